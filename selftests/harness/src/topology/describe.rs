// SPDX-License-Identifier: GPL-2.0-only

//! A topology as it is written.

use serde::Deserialize;

/// One machine of [`FILE`](super::FILE).
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What translates DMA.
    pub iommu: Iommu,
    /// In QEMU's notation, for example `1G`.
    #[serde(default = "default_memory")]
    pub memory: String,
    /// Number of CPUs.
    #[serde(default = "default_cpus")]
    pub cpus: u32,
    /// What runs before the first kernel.
    #[serde(default)]
    pub firmware: Firmware,
    /// Whether devices can be plugged and unplugged, by PCIe hot-plug. They can whenever something is `plugged: false`.
    #[serde(default)]
    pub hotplug: bool,
    /// Parents before their children. Those of the root bus take its slots in this order.
    #[serde(default)]
    pub bridges: Vec<Bridge>,
    /// What is plugged in, in the order of the slots.
    pub devices: Vec<Device>,
}

/// Mode of the emulated Intel IOMMU.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Iommu {
    /// There is none.
    None,
    /// Legacy mode: root and context tables, second-stage translation.
    Legacy,
    /// Scalable mode with second-stage translation.
    Scalable,
    /// Scalable mode with first-stage translation.
    FirstStage,
}

/// What runs before the first kernel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// QEMU's default. It numbers the buses and assigns the resources, and stops for ever when a dozen or so bridges want more I/O
    /// windows than there are ports.
    #[default]
    Seabios,
    /// It leaves PCI alone, so the kernel numbers and assigns everything, and goes without I/O windows that do not fit.
    Qboot,
}

/// A bridge that is named, because devices or further bridges sit behind it.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// Name in the scenario's steps.
    pub id: String,
    /// What it is.
    pub model: BridgeModel,
    /// The bridge that it sits behind; a root port sits on the root bus.
    #[serde(default)]
    pub behind: Option<String>,
    /// Only of a root port: how many bus numbers the firmware keeps free below it.
    #[serde(default, rename = "bus-reserve")]
    pub bus_reserve: Option<u8>,
    /// Whether it is there from the start. If not, a host action plugs it, and with it whatever sits behind it and
    /// does not say `plugged: false` itself.
    #[serde(default = "yes")]
    pub plugged: bool,
}

/// What QEMU emulates.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BridgeModel {
    /// A PCIe root port, with hot-plug and ARI forwarding.
    RootPort,
    /// The upstream port of an x3130 switch.
    Upstream,
    /// A downstream port of an x3130 switch, with hot-plug and ARI forwarding.
    Downstream,
    /// From PCIe to conventional PCI: all behind it is one IOMMU group.
    PciBridge,
}

/// An endpoint, or several alike.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Name in the scenario's steps. The device that is tested is called `dut`.
    pub id: String,
    /// What it is.
    pub model: Model,
    /// The bridge that it sits behind. Without one it gets a root port of its own, behind an upstream port a downstream
    /// port of its own; that is called `<id>-port`.
    #[serde(default)]
    pub behind: Option<String>,
    /// Its function number, for several at one place; 0 if not given.
    #[serde(default)]
    pub function: Option<u8>,
    /// So many of them, called `dut`, `dut1`, `dut2` and so on. Behind a root or downstream port they are functions of one device, else
    /// each takes a place of its own.
    #[serde(default)]
    pub count: Option<u8>,
    /// Whether it is there from the start. If not, a host action plugs it.
    #[serde(default = "yes")]
    pub plugged: bool,
    /// The host sends it frames as long as the VM runs.
    #[serde(default)]
    pub frames: Option<Frames>,
}

/// What QEMU emulates.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// Intel 82576: MSI-X, FLR, SR-IOV.
    Igb,
    /// A modern virtio network card that goes through the IOMMU.
    VirtioNet,
    /// The same, which may translate addresses itself (ATS).
    VirtioNetAts,
}

/// What the host sends to a network card.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// Frames per second.
    pub rate: u32,
}

fn default_memory() -> String {
    "1G".into()
}

fn default_cpus() -> u32 {
    2
}

fn yes() -> bool {
    true
}
