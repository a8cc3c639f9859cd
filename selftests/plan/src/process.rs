// SPDX-License-Identifier: GPL-2.0-only

//! Other processes than init: a second user of a device, and an owner that can be killed.
//!
//! ```yaml
//! - process: { name: vmm }                     # starts it; it has names of its own
//! - in: { process: vmm, step: { open-cdev: { device: dut, fd: dut } } }
//! - process: { name: rival, with: [vm] }       # has init's `vm` open as well, under the same name
//! - fails: { errno: EBUSY, step: { in: { process: rival, step: { open-cdev: { device: dut, fd: other } } } } }
//! - kill: { process: vmm }                     # SIGKILL; comes back when all that it had open is closed
//! ```
//!
//! A process lives until it is killed or the kernel is left. One that was not killed keeps everything open across the jump, as an agent
//! does. It executes one step at a time.

use serde::{Deserialize, Serialize};

use crate::step::Step;

/// Starts a process.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Process {
    /// Name for it.
    pub name: String,
    /// Files and sessions of init that it has open as well, as if it had inherited them.
    #[serde(default)]
    pub with: Vec<String>,
}

/// A step of another process.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InProcess {
    /// Its name.
    pub process: String,
    /// What it does.
    pub step: Box<Step>,
}
