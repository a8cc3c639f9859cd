// SPDX-License-Identifier: GPL-2.0-only

//! What an init does: mount, open the channel, say that it runs, execute the stage, power off.
//!
//! The guest powers off in every case: after a stage that failed, without a plan, and on a panic in here, so that only the
//! kernel can make a run hang. `Boot` is said before the plan is read, so that a broken plan is not taken for a broken kernel.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use plan::{Event, PLAN_PATH, Plan};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::system::{RebootCommand, reboot, uname};

use crate::channel::Channel;
use crate::cmdline;
use crate::failure::Failure;
use crate::files;
use crate::stage;

/// For the panic hook, which can be given nothing.
static CHANNEL: OnceLock<(Channel, u32)> = OnceLock::new();

/// Target, type, and whether a test can do without: debugfs only exists on kernels configured for it.
const MOUNTS: &[(&str, &str, bool)] = &[
    ("/dev", "devtmpfs", true),
    ("/proc", "proc", true),
    ("/sys", "sysfs", true),
    ("/tmp", "tmpfs", true),
    ("/sys/kernel/debug", "debugfs", false),
];

/// Runs the guest. `started` is the time stamp counter at the start of the program.
pub(crate) fn run(started: u64) -> ! {
    std::panic::set_hook(Box::new(|info| {
        say(&format!("{info}"));
        if let Some((channel, hop)) = CHANNEL.get() {
            channel.write(&Event::Done { hop: *hop, ok: false });
        }
        power_off()
    }));
    if let Err(failure) = prepare(started) {
        say(&failure.to_string());
    }
    power_off()
}

fn prepare(started: u64) -> Result<(), Failure> {
    for (target, kind, needed) in MOUNTS {
        if let Err(failure) = mount(target, kind)
            && *needed
        {
            return Err(failure);
        }
    }
    let hop = this_hop()?;
    let opened = Channel::open()?;
    let (channel, _) = CHANNEL.get_or_init(|| (opened, hop));
    let uname = uname();
    let kernel = format!("{} {}", uname.release().to_string_lossy(), uname.version().to_string_lossy());
    channel.write(&Event::Boot { hop, kernel, tsc: started });
    match read_plan() {
        Ok(plan) => stage::execute(&plan, hop, &mut &*channel),
        Err(failure) => stage::refuse(hop, &failure.to_string(), &mut &*channel),
    }
    Ok(())
}

fn mount(target: &str, kind: &str) -> Result<(), Failure> {
    let what = || format!("mount {kind} on {target}");
    // debugfs is mounted on a directory that only exists if the kernel has it; all others may be missing from the initramfs.
    if kind != "debugfs" {
        fs::create_dir_all(target).map_err(|error| Failure::new(format!("{}: {}", what(), files::explain(&error))))?;
    }
    match rustix::mount::mount(kind, target, kind, MountFlags::empty(), None) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(errno) => Err(Failure::setup(what(), errno)),
    }
}

/// The plan of this run.
pub(crate) fn read_plan() -> Result<Plan, Failure> {
    let text = fs::read_to_string(PLAN_PATH)
        .map_err(|error| Failure::new(format!("read {PLAN_PATH}: {}", files::explain(&error))))?;
    serde_json::from_str(&text).map_err(|error| Failure::new(format!("{PLAN_PATH}: {error}")))
}

/// Says it on the console, whole lines that do not mix with the kernel's. Without a kernel log there is no one to tell.
fn say(text: &str) {
    if let Ok(mut log) = File::options().write(true).open("/dev/kmsg") {
        // One call is one line of the log.
        let line = format!("<3>guest: {}\n", text.replace('\n', " "));
        let _ = log.write_all(line.as_bytes());
    }
}

fn power_off() -> ! {
    if let Some((channel, _)) = CHANNEL.get() {
        channel.flush();
    }
    rustix::fs::sync();
    let refused = reboot(RebootCommand::PowerOff);
    // A kernel that cannot power off panics when its init ends, which `panic=-1` turns into a reset that ends QEMU.
    say(&format!("power off: {refused:?}"));
    std::process::exit(1)
}

/// How many kernels came before this one.
pub(crate) fn this_hop() -> Result<u32, Failure> {
    files::read_trimmed(Path::new("/proc/cmdline")).and_then(|line| cmdline::hop(&line))
}
