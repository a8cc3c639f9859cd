// SPDX-License-Identifier: GPL-2.0-only

//! Machines by name: IOMMU mode, memory, CPUs, devices.
//!
//! [`FILE`] holds a map from name to [`Topology`]. Every endpoint sits behind a PCIe root port of
//! its own, at 00:03.0, 00:04.0 and so on, so that each is alone in its IOMMU group and the same scenario runs in every
//! mode. Nothing depends on bus numbers: the guest finds a device along its [path](Device), as the next kernel may
//! number buses anew.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Deserialize;
use stg_core::error::check;
use stg_core::yaml::{self, locate};
use stg_core::{Diagnostic, Source};

use crate::error::HarnessError;

/// Where the topologies are, relative to the project root.
pub const FILE: &str = "selftests/topologies.yaml";

/// Slot of the first root port on the root bus; lower ones are QEMU's own.
const FIRST_SLOT: usize = 3;
/// 00:1f is the ICH9.
const LAST_SLOT: usize = 0x1e;

/// The topologies of the project.
#[derive(Clone, Debug)]
pub struct Topologies {
    by_name: BTreeMap<String, Topology>,
}

/// A machine.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// What translates DMA.
    pub iommu: Iommu,
    /// In QEMU's notation, for example `1G`.
    #[serde(default = "default_memory")]
    pub memory: String,
    /// Number of CPUs.
    #[serde(default = "default_cpus")]
    pub cpus: u32,
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

/// An endpoint.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Name in the scenario's steps. The device that is tested is called `dut`.
    pub id: String,
    /// What it is.
    pub model: Model,
}

/// What QEMU emulates.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// Intel 82576: MSI-X, FLR, SR-IOV.
    Igb,
    /// A modern virtio network card that goes through the IOMMU.
    VirtioNet,
}

impl Topologies {
    /// Reads [`FILE`].
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(source: &dyn Source) -> Result<Self, HarnessError> {
        let (text, by_name): (String, BTreeMap<String, Topology>) = yaml::read(source, Utf8Path::new(FILE))?;
        let mut found = Vec::new();
        for (name, topology) in &by_name {
            if let Err((what, fix)) = topology.check() {
                let (line, _) = locate(&text, name, "iommu");
                found.push(Diagnostic::new(FILE, format!("topology `{name}`: {what}"), fix).at(line));
            }
        }
        check(found)?;
        Ok(Self { by_name })
    }

    /// Looks one up.
    pub(crate) fn get(&self, name: &str) -> Option<&Topology> {
        self.by_name.get(name)
    }

    /// Every name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

impl Topology {
    /// What is wrong with it, and the remedy.
    fn check(&self) -> Result<(), (String, &'static str)> {
        if self.cpus == 0 {
            return Err(("it has no CPU".into(), "set `cpus` to 1 at least"));
        }
        let room = LAST_SLOT - FIRST_SLOT + 1;
        if self.devices.len() > room {
            let message = format!("{} devices, but the root bus has room for {room} root ports", self.devices.len());
            return Err((message, "take some out"));
        }
        for (index, device) in self.devices.iter().enumerate() {
            if device.id.is_empty() || !device.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err((format!("`{}` is not a device id", device.id), "use letters, digits and `-`"));
            }
            if self.devices[..index].iter().any(|earlier| earlier.id == device.id) {
                return Err((format!("two devices are called `{}`", device.id), "rename one of them"));
            }
        }
        Ok(())
    }

    /// Each device with the address of its root port on the root bus, `DD.F`.
    pub fn ports(&self) -> impl Iterator<Item = (String, &Device)> {
        self.devices.iter().enumerate().map(|(index, device)| (format!("{:02x}.0", FIRST_SLOT + index), device))
    }

    /// The devices as the guest's plan names them.
    pub fn plan_devices(&self) -> BTreeMap<String, Vec<String>> {
        self.ports().map(|(port, device)| (device.id.clone(), vec![port, "00.0".into()])).collect()
    }
}

fn default_memory() -> String {
    "1G".into()
}

fn default_cpus() -> u32 {
    2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Files, checkout};

    fn error(text: &str) -> String {
        Topologies::load(&Files::of(&[(FILE, text)])).unwrap_err().to_string()
    }

    #[test]
    fn the_project_s_own_file_is_good_and_regular() {
        let topologies = Topologies::load(&checkout()).unwrap();
        for devices in ["", "igb8-", "virtio-net-"] {
            for mode in ["none", "legacy", "scalable", "first-stage"] {
                let topology = topologies.get(&format!("{devices}{mode}")).unwrap();
                assert_eq!(topology.devices[0].id, "dut");
                assert_eq!(topology.devices.len(), if devices == "igb8-" { 8 } else { 1 });
            }
        }
    }

    #[test]
    fn paths_follow_the_slots() {
        let devices: Vec<_> = (0..9).map(|n| Device { id: format!("d{n}"), model: Model::Igb }).collect();
        let topology = Topology { iommu: Iommu::None, memory: default_memory(), cpus: 1, devices };
        assert_eq!(topology.plan_devices()["d0"], ["03.0", "00.0"]);
        assert_eq!(topology.plan_devices()["d8"], ["0b.0", "00.0"]);
    }

    #[test]
    fn mistakes_are_located() {
        insta::assert_snapshot!(error("a:\n  iommu: legacy\n  devces: []\n"), @r"
        selftests/topologies.yaml:3:3: a: unknown field `devces`, expected one of `iommu`, `memory`, `cpus`, `devices`
          fix: remove the field, or write `devices` if that was meant
        ");
        insta::assert_snapshot!(error("a:\n  iommu: legasy\n  devices: []\n"), @r"
        selftests/topologies.yaml:2:10: a.iommu: unknown variant `legasy`, expected one of `none`, `legacy`, `scalable`, `first-stage`
          fix: write `legacy` if that was meant, else one of the others
        ");
        let twice = "a:\n  iommu: none\n  devices: [{id: x, model: igb}, {id: x, model: igb}]\n";
        insta::assert_snapshot!(error(&format!("{twice}b: {{iommu: none, cpus: 0, devices: []}}\n")), @r"
        selftests/topologies.yaml:2: topology `a`: two devices are called `x`
          fix: rename one of them
        selftests/topologies.yaml:4: topology `b`: it has no CPU
          fix: set `cpus` to 1 at least
        ");
        insta::assert_snapshot!(error("a: [\n"), @r"
        selftests/topologies.yaml:1:4: a: invalid type: sequence, expected struct Topology
          fix: correct the YAML at this place
        ");
        insta::assert_snapshot!(Topologies::load(&Files::of(&[])).unwrap_err(), @r"
        selftests/topologies.yaml: missing file
          fix: put it back, it belongs to the project
        ");
    }
}
