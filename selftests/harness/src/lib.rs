// SPDX-License-Identifier: GPL-2.0-only

//! Boots VMs and live-updates them.
//!
//! A [`Scenario`](scenario::Scenario) is data: which machine, which kernels, what the guest does in each of them, what
//! must hold. [`Runner::run`](run::Runner::run) turns every case of it into a VM:
//!
//! 1. [`guest`] builds the guest's init and packs it, the plan and the kernels into an initramfs ([`newc`]).
//! 2. [`cmdline`] derives QEMU's arguments and the kernel's command line from the [`topology`].
//! 3. [`vm`] starts QEMU and watches it: its control socket ([`qmp`]) and two serial ports ([`serial`]), one for the
//!    console, one for the guest's own reports. It always comes back: with an end of its own, after silence, or at the
//!    wall limit.
//!    If wanted, the [`witness`] sees what devices write into memory meanwhile, and it is recorded whether the IOMMU goes on with
//!    [`translation`], and what must stay [`unchanged`].
//! 4. [`verdict`] judges what was [observed](observe), as a pure function.
//! 5. [`ktap`], [`junit`] and [`report`] tell people and machines.
//!
//! The harness does not build kernels; it is given files.

pub mod blackout;
pub mod case;
mod clock;
pub mod cmdline;
pub mod console;
pub mod devices;
pub mod error;
pub mod exact;
pub mod filter;
pub mod frames;
pub mod growth;
pub mod guest;
pub mod junit;
pub mod ktap;
pub mod measure;
pub mod memory;
pub mod modules;
pub mod needs;
pub mod newc;
pub mod observe;
mod physical;
pub mod programs;
pub mod qmp;
pub mod report;
pub mod run;
pub mod rundir;
pub mod scenario;
pub mod serial;
pub mod symbols;
pub mod tamper;
#[cfg(test)]
mod testing;
pub mod topology;
pub mod translation;
pub mod unchanged;
pub mod verdict;
pub mod vm;
mod vtd;
pub mod witness;

pub use error::HarnessError;

/// The SHA-256 of the source that this was made from: what it does with a scenario is part of every verdict.
pub const SOURCE: &str = env!("HARNESS_SOURCE");
