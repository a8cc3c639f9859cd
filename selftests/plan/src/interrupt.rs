// SPDX-License-Identifier: GPL-2.0-only

//! Interrupts of a device, as a VMM sets them up.

use serde::{Deserialize, Serialize};

/// `VFIO_DEVICE_SET_IRQS`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetIrqs {
    /// The vfio device fd.
    pub fd: String,
    /// Which kind.
    pub kind: IrqKind,
    /// The eventfds that are signalled, for vectors 0, 1 and so on; without any, interrupts of this kind are switched off.
    #[serde(default)]
    pub eventfds: Vec<String>,
}

/// A kind of interrupts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IrqKind {
    /// The line.
    Intx,
    /// Messages with one address.
    Msi,
    /// Messages from a table.
    Msix,
}

/// Checks that the line of a device does not scream: it goes no further than `at_most` in `/proc/interrupts` within `ms`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IrqQuiet {
    /// Device name: one whose driver uses the line. Whoever else asserts it is heard.
    pub device: String,
    /// How long to look.
    #[serde(default = "half_a_second")]
    pub ms: u64,
    /// How many interrupts are no scream.
    #[serde(default)]
    pub at_most: u64,
}

fn half_a_second() -> u64 {
    500
}
