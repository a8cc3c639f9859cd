// SPDX-License-Identifier: GPL-2.0-only

//! Shows from outside of the guest that the IOMMU never stops translating.
//!
//! What a kernel says of its IOMMU is no proof, least of all while no kernel runs. QEMU's own word is: it [traces](trace) when translation is
//! switched on or off, when the unit is told where its root table is, the same for the remapping of interrupts, and each request of a device that is
//! refused, with the time. Beside that the host looks at the unit's status register now and then. A scenario asks for it with `translation` and names devices:
//!
//! - From when the first kernel switches it on until the last stage is over, translation is not switched off, and whenever the host looks,
//!   the register says that it is on. What the last kernel does when the machine is switched off is no matter.
//! - Meanwhile the unit is not told of another root table, nor once more of the same.
//! - Meanwhile no request of a device that is `preserved` is refused.
//! - Meanwhile interrupts are remapped without a break, by a table of two entries, the fewest there can be, before each one that a kernel uses:
//!   nothing that devices do gets through to a kernel that has no table yet, by one of a kernel that is gone. That does not hold
//!   for a next kernel that knows nothing of this, and panics later on: `remapping-ends`.
//! - A device that is `shut-out` is not preserved, and tries all the same: after the last kexec, a request of each is refused at least once.
//!   Nobody expects it to go on, so the [witness](crate::witness) does not care about it.
//!
//! That holds for a kernel that is to panic as well, up to the panic: no step can be expected of it, but whatever it does before must not harm.
//!
//! The host looks when a kernel after the first has reached its init, before the next one is loaded, and before the last stage ends: a step
//! `check-translation` is put there, see [`watched`]. It waits for nobody; a look that came when all was over counts for nothing, and the VM is run
//! again.
//!
//! The outcome is judged by [`violation`] and [`missing`]; both are pure.

mod judge;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use plan::{HostAction, Stage, Step};
use serde::Deserialize;

use crate::clock::nanoseconds;
use crate::error::{HarnessError, io};
use crate::scenario::innermost;

pub(crate) use judge::{Violation, missing, summary, violation};
pub(crate) use trace::{Fault, Told, arguments};

/// What is to become of devices, by their names.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Devices {
    /// These go on with DMA all the time.
    pub preserved: Vec<String>,
    /// These try to, and are refused.
    pub shut_out: Vec<String>,
    /// The next kernel does not know that interrupts must be remapped all the time.
    pub remapping_ends: bool,
}

impl Devices {
    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.preserved.iter().chain(&self.shut_out).map(String::as_str)
    }
}

/// What is to be watched.
#[derive(Clone, Debug)]
pub struct Task {
    /// The devices.
    pub devices: Devices,
    /// Where QEMU's trace goes.
    pub trace: Utf8PathBuf,
}

impl Task {
    /// With the trace among the other logs of a run.
    pub fn new(devices: Devices, log_dir: &Utf8Path) -> Self {
        Self { devices, trace: log_dir.join("iommu.log") }
    }
}

/// What was seen. All times are nanoseconds since QEMU was started.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// What is to become of devices.
    pub devices: Devices,
    /// What QEMU told, and when.
    pub(crate) told: Vec<(u64, Told)>,
    /// What the host saw itself.
    pub looks: Vec<Look>,
    /// The last stage was not over then, but soon after; if it ever was.
    pub over: Option<u64>,
}

/// A look at the unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look {
    /// When.
    pub at: u64,
    /// The status register.
    pub status: u32,
    /// Where the devices are, by bus, device and function number: that is how QEMU names them.
    pub addresses: BTreeMap<String, u16>,
}

/// The status register's bit that says that the unit translates.
const TRANSLATES: u32 = 1 << 31;

impl Look {
    /// Whether the unit translates.
    pub fn translates(&self) -> bool {
        self.status & TRANSLATES != 0
    }
}

impl Record {
    /// Puts together what was seen of a VM that was started at `started`.
    pub(crate) fn new(
        task: &Task,
        looks: Vec<Look>,
        started: SystemTime,
        over: Option<Duration>,
    ) -> Result<Self, HarnessError> {
        // QEMU makes it when it has understood its arguments.
        let text =
            if task.trace.exists() { std::fs::read(&task.trace).map_err(io("read", &task.trace))? } else { Vec::new() };
        let started = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let told = text.lines().filter_map(trace::parse);
        let told = told.map(|(at, told)| (nanoseconds(at.saturating_sub(started)), told)).collect();
        Ok(Self { devices: task.devices.clone(), told, looks, over: over.map(nanoseconds) })
    }
}

/// Has the host look in every stage.
pub(crate) fn watched(stages: &mut [Stage]) {
    let last = stages.len().saturating_sub(1);
    for (index, stage) in stages.iter_mut().enumerate() {
        let look = || Step::Host { action: HostAction::CheckTranslation };
        if index == last {
            stage.steps.push(look());
        } else {
            let loads = |step: &Step| matches!(innermost(step), Step::KexecLoad { .. });
            let end = stage.steps.len().saturating_sub(1);
            stage.steps.insert(stage.steps.iter().rposition(loads).unwrap_or(end), look());
        }
        if index > 0 {
            stage.steps.insert(0, look());
        }
    }
}
