// SPDX-License-Identifier: GPL-2.0-only

//! A device in use: mappings, ioctls and dma-bufs, and its config space as a whole.

use serde::{Deserialize, Serialize};

/// Uses a device for some time: reads a register through a mapping of the BAR, the same through the fd, and a word of config space, and
/// asks for its properties, again and again. Meant for `background`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exercise {
    /// The vfio device fd.
    pub fd: String,
    /// Number of the BAR.
    pub bar: u32,
    /// Offset of the register, of 4 bytes.
    pub offset: u64,
    /// What the register must hold all the time.
    pub want: u64,
    /// For how long; a jump ends it earlier.
    pub ms: u64,
}

/// Exports part of a BAR as a dma-buf (`VFIO_DEVICE_FEATURE_DMA_BUF`).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DmaBuf {
    /// The vfio device fd.
    pub fd: String,
    /// Number of the BAR.
    pub bar: u32,
    /// How much of it, from its start.
    pub bytes: u64,
    /// Name for the dma-buf.
    pub buffer: String,
}

/// Maps a dma-buf, or takes the mapping back.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MapDmaBuf {
    /// The vfio device fd whose I/O address space it is, the one of `attach-ioas`.
    pub fd: String,
    /// The iommufd.
    pub iommufd: String,
    /// The dma-buf.
    pub buffer: String,
    /// Its size.
    pub bytes: u64,
    /// Where.
    pub iova: u64,
}

/// Compares config space with what `save-config` read.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckConfig {
    /// Device name.
    pub device: String,
    /// The memfd of `save-config`, or what it was retrieved as.
    pub saved: String,
    /// What may differ.
    #[serde(default)]
    pub except: Vec<ConfigField>,
}

/// A part of config space.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigField {
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
}
