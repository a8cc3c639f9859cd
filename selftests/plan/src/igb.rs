// SPDX-License-Identifier: GPL-2.0-only

//! Frames that an igb writes into memory: the witness of DMA.
//!
//! The host sends numbered frames from outside, so each that lands is a DMA write that the device made on its own. `igb-receive` lays
//! a receive ring into a memfd and starts the device; a thread of the guest gives used descriptors back until the kernel
//! is left. How the memfd is laid out is said in the guest's module `ring`.

use serde::{Deserialize, Serialize};

/// Starts reception.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IgbReceive {
    /// The vfio device fd.
    pub fd: String,
    /// The iommufd; the device must have been attached with `attach-ioas`. Without one the device is given physical addresses (noiommu).
    #[serde(default)]
    pub iommufd: Option<String>,
    /// The memfd for ring and frames; what it held is lost.
    pub memory: String,
    /// Where the device sees it; `same` if not given. Only with `iommufd` and without `canary`.
    #[serde(default)]
    pub iova: Option<Iova>,
    /// Another memfd, at least a page larger. The device sees `memory` at the physical addresses of this one, which becomes a copy of
    /// the empty ring and is sealed with checksums: a device that masters the bus without translation writes here.
    #[serde(default)]
    pub canary: Option<String>,
    /// Size of the ring, a multiple of 256 up to 4096.
    #[serde(default = "one_page")]
    pub descriptors: u32,
    /// Whether used descriptors are given back. Without, the device stops when the ring is full.
    #[serde(default = "yes")]
    pub refill: bool,
}

/// Where a device sees memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Iova {
    /// At one address after the other from here.
    At(u64),
    /// A word that is no number.
    Named(IovaName),
}

/// A rule for I/O addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IovaName {
    /// Each page at its own physical address.
    Same,
}

/// Waits for frames.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IgbReceived {
    /// The memfd of `igb-receive`, or what it was retrieved as.
    pub memory: String,
    /// So many frames must have landed within 20 s, all of them undamaged.
    pub at_least: u64,
    /// Count from the start of this step and not from `igb-receive`, which may have been in an earlier kernel.
    #[serde(default)]
    pub fresh: bool,
    /// No sequence number may be missing among all that landed.
    #[serde(default)]
    pub complete: bool,
}

fn one_page() -> u32 {
    256
}

fn yes() -> bool {
    true
}
