// SPDX-License-Identifier: GPL-2.0-only

//! Machines by name: IOMMU mode, memory, CPUs, devices.
//!
//! `selftests/topologies.yaml` holds a map from name to [`Topology`]. Every endpoint sits behind a PCIe root port of
//! its own, at 00:03.0, 00:04.0 and so on, so that each is alone in its IOMMU group and the same scenario runs in every
//! mode. Nothing depends on bus numbers: the guest finds a device along its [path](Device), as the next kernel may
//! number buses anew.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Deserialize;

use crate::error::HarnessError;
use crate::yaml;

/// Slot of the first root port on the root bus; lower ones are QEMU's own.
const FIRST_SLOT: usize = 3;
/// 00:1f is the ICH9.
const LAST_SLOT: usize = 0x1e;

/// The topologies of a file.
#[derive(Clone, Debug)]
pub struct Topologies {
    path: String,
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
    /// Reads a file.
    pub fn load(path: &Utf8Path) -> Result<Self, HarnessError> {
        let by_name: BTreeMap<String, Topology> = yaml::load(path)?;
        for (name, topology) in &by_name {
            topology.check().map_err(|what| HarnessError::Data(format!("{path}: topology `{name}`: {what}")))?;
        }
        Ok(Self { path: path.to_string(), by_name })
    }

    /// Looks one up; the error names those that exist.
    pub fn get(&self, name: &str) -> Result<&Topology, HarnessError> {
        self.by_name.get(name).ok_or_else(|| {
            let known: Vec<_> = self.names().collect();
            HarnessError::Data(format!("no topology `{name}` in {}; there are {}", self.path, known.join(", ")))
        })
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

impl Topology {
    fn check(&self) -> Result<(), String> {
        if self.cpus == 0 {
            return Err("cpus must be at least 1".into());
        }
        let room = LAST_SLOT - FIRST_SLOT + 1;
        if self.devices.len() > room {
            return Err(format!("{} devices, but the root bus has room for {room} root ports", self.devices.len()));
        }
        for (index, device) in self.devices.iter().enumerate() {
            if device.id.is_empty() || !device.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(format!("device id `{}` must consist of letters, digits and `-`", device.id));
            }
            if self.devices[..index].iter().any(|earlier| earlier.id == device.id) {
                return Err(format!("two devices are called `{}`", device.id));
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
    use std::fs;

    use camino::Utf8PathBuf;

    use super::*;

    fn load(text: &str) -> Result<Topology, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("t.yaml")).unwrap();
        fs::write(&path, text).unwrap();
        let short = |error: HarnessError| error.to_string().replace(&format!("{}/", path.parent().unwrap()), "");
        Topologies::load(&path).and_then(|topologies| topologies.get("a").cloned()).map_err(short)
    }

    #[test]
    fn the_project_s_own_file_is_good_and_regular() {
        let path = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../topologies.yaml"));
        let topologies = Topologies::load(&path).unwrap();
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
        insta::assert_snapshot!(load("a:\n  iommu: legacy\n  devces: []\n").unwrap_err(), @"t.yaml:3:3: a: unknown field `devces`, expected one of `iommu`, `memory`, `cpus`, `devices`");
        insta::assert_snapshot!(load("a:\n  iommu: legasy\n  devices: []\n").unwrap_err(), @"t.yaml:2:10: a.iommu: unknown variant `legasy`, expected one of `none`, `legacy`, `scalable`, `first-stage`");
        insta::assert_snapshot!(load("a: {iommu: none, devices: [{id: x, model: igb}, {id: x, model: igb}]}").unwrap_err(), @"t.yaml: topology `a`: two devices are called `x`");
        insta::assert_snapshot!(load("b: {iommu: none, devices: []}").unwrap_err(), @"no topology `a` in t.yaml; there are b");
    }
}
