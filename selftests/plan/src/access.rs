// SPDX-License-Identifier: GPL-2.0-only

//! Reads and writes of device registers, and what a value must be.

use serde::{Deserialize, Serialize};

/// A read through a vfio fd.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BarRead {
    /// The vfio device fd.
    pub fd: String,
    /// Number of the BAR; ignored for config space.
    #[serde(default)]
    pub bar: u32,
    /// Offset in bytes.
    pub offset: u64,
    /// 1, 2, 4 or 8 bytes.
    pub width: u32,
    /// What the value must be.
    pub check: Check,
}

/// A write through a vfio fd.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BarWrite {
    /// The vfio device fd.
    pub fd: String,
    /// Number of the BAR; ignored for config space.
    #[serde(default)]
    pub bar: u32,
    /// Offset in bytes.
    pub offset: u64,
    /// 1, 2, 4 or 8 bytes.
    pub width: u32,
    /// What is written.
    pub value: u64,
}

/// A read of a BAR through sysfs, whoever drives the device: nobody need have opened it. Its memory space must be enabled.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResourceRead {
    /// Device name.
    pub device: String,
    /// Number of the BAR.
    pub bar: u32,
    /// Offset in bytes.
    pub offset: u64,
    /// 1, 2 or 4 bytes.
    pub width: u32,
    /// What the value must be.
    pub check: Check,
}

/// A write of a BAR through sysfs, behind the back of whoever drives the device.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResourceWrite {
    /// Device name.
    pub device: String,
    /// Number of the BAR.
    pub bar: u32,
    /// Offset in bytes.
    pub offset: u64,
    /// 1, 2 or 4 bytes.
    pub width: u32,
    /// What is written.
    pub value: u32,
}

/// A place in a device's config space, reached through sysfs: of bridges and of devices without a driver, too.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigRead {
    /// Device name.
    pub device: String,
    /// Id of the capability that `offset` counts from (`PCI_CAP_ID_*`), the first of that id.
    #[serde(default)]
    pub cap: Option<u8>,
    /// Id of the extended capability that `offset` counts from (`PCI_EXT_CAP_ID_*`), the first of that id.
    #[serde(default)]
    pub ext_cap: Option<u16>,
    /// Offset in bytes, from the capability if one is named.
    pub offset: u16,
    /// 1, 2 or 4 bytes.
    pub width: u32,
    /// What the value must be.
    pub check: Check,
}

/// A write to config space through sysfs: reads, replaces the bits of `mask`, writes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigWrite {
    /// Device name.
    pub device: String,
    /// As in [`ConfigRead::cap`].
    #[serde(default)]
    pub cap: Option<u8>,
    /// As in [`ConfigRead::ext_cap`].
    #[serde(default)]
    pub ext_cap: Option<u16>,
    /// Offset in bytes, from the capability if one is named.
    pub offset: u16,
    /// 1, 2 or 4 bytes.
    pub width: u32,
    /// What the bits of `mask` become.
    pub value: u64,
    /// Which bits are replaced; all of the width, if not given.
    #[serde(default = "all_bits")]
    pub mask: u64,
}

/// What a value must be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Check {
    /// `value & mask == want & mask`.
    Equals {
        /// The wanted value.
        want: u64,
        /// Which bits count.
        #[serde(default = "all_bits")]
        mask: u64,
    },
    /// Neither zero nor all ones, the two things an absent device or a switched-off decoder gives.
    Alive,
    /// All ones: nobody answers.
    Absent,
}

pub(crate) fn all_bits() -> u64 {
    u64::MAX
}
