// SPDX-License-Identifier: GPL-2.0-only

//! The init of the guest: PID 1 of a tiny initramfs, and the only process there is unless a plan runs programs or starts
//! processes ([`process`]), which are this program again.
//!
//! It executes one stage of a [`plan::Plan`] and reports on the second serial port; see [`init`] for the order of things,
//! [`stage`] for how steps are executed and reported, [`channel`] for what may be relied on in the report.
//! Nothing here judges a run: that is the host's work, which also sees the console and QEMU.
//!
//! Two runs with `-icount` must give the same time stamps, so nothing in here may depend on a random seed or
//! on an address: ordered maps only, no threads but those that a plan asks for (`background`, `igb-receive`), no time-outs
//! that count real time on the expected path.

mod attempt;
mod background;
mod canary;
mod channel;
mod cmdline;
mod config;
mod contend;
mod describe;
mod devices;
mod dmabuf;
mod errno;
mod exercise;
mod failure;
mod faults;
mod files;
mod group;
mod igb;
mod init;
mod interrupts;
mod ioctl;
mod iommufd;
mod kexec;
mod kmemleak;
mod kmsg;
mod lock;
mod luo;
mod memfd;
mod meminfo;
mod memory;
mod mock;
mod modules;
mod names;
mod process;
mod program;
mod receive;
mod resource;
mod ring;
mod rings;
mod snapshot;
mod sriov;
mod stage;
mod steps;
mod sys;
mod sysfs;
mod tap;
mod value;
mod vfio;
mod vmstat;
mod wait;

fn main() {
    // First of all, because it is the end of the blackout that the host computes.
    let started = sys::tsc();
    match process::main_of_worker(std::env::args()) {
        None => {}
        Some(Ok(())) => return,
        Some(Err(failure)) => {
            eprintln!("guest: {failure}");
            std::process::exit(1);
        }
    }
    if std::process::id() != 1 {
        eprintln!("guest: this is the init of a test VM; it mounts and powers off, so it only runs as PID 1");
        std::process::exit(2);
    }
    init::run(started)
}
