// SPDX-License-Identifier: GPL-2.0-only

//! What the guest does and says, as data.
//!
//! A scenario is data from end to end: the harness reads it from YAML, packs it as JSON into the initramfs
//! as `/plan.json`, and the guest's init executes it. Every kernel of a run sees the same initramfs, so the same plan;
//! which [`Stage`] it executes is told by `phasectl.hop=N` on its command line (0 for the first kernel, N after
//! the Nth kexec).
//!
//! The guest answers on a channel of its own (the second serial port), one JSON [`Event`] per line behind
//! [`EVENT_PREFIX`], because the console is shared with two kernels and may be cut in the middle of a line.

mod access;
mod attempt;
mod each;
mod event;
mod frame;
mod host;
mod igb;
mod interrupt;
mod meter;
mod mock;
mod nesting;
mod process;
mod program;
pub mod ring;
mod seal;
mod stage;
mod step;
mod usage;

pub use access::{BarRead, BarWrite, Check, ConfigRead, ConfigWrite, ResourceRead, ResourceWrite};
pub use attempt::{Attempt, FailEach, FailNth};
pub use each::ForEach;
pub use event::{EVENT_PREFIX, Event, Outcome};
pub use frame::{Frame, fnv1a};
pub use host::{AddressOf, Attached, Change, Edit, HostAction, Level, Place, Tamper, Value};
pub use igb::{IgbReceive, IgbReceived, Iova, IovaName};
pub use interrupt::{IrqKind, IrqQuiet, SetIrqs};
pub use meter::Meter;
pub use mock::Mock;
pub use process::{InProcess, Process};
pub use program::{PROGRAM_DIR, Program, device_of, virtual_function};
pub use seal::Seal;
pub use stage::{Plan, Stage};
pub use step::Step;
pub use usage::{CheckConfig, ConfigField, DmaBuf, Exercise, MapDmaBuf};

/// Kernel command line parameter that tells the guest how many kexecs came before this boot.
pub const HOP_PARAM: &str = "phasectl.hop";

/// Where the plan lies in the initramfs.
pub const PLAN_PATH: &str = "/plan.json";

/// Directory in the initramfs that holds the kernels which stages may load, one file per name in [`Plan::kernels`].
pub const KERNEL_DIR: &str = "/kernels";

/// Directory in the initramfs that holds the modules of the kernels: a directory for each of [`ROLES`] that has any.
pub const MODULE_DIR: &str = "/modules";

/// What the kernels of a run are called: the one that boots first, and the one that takes over.
pub const ROLES: [&str; 2] = ["outgoing", "incoming"];
