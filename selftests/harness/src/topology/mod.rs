// SPDX-License-Identifier: GPL-2.0-only

//! Machines by name: IOMMU mode, memory, CPUs, bridges, devices.
//!
//! [`FILE`] holds a map from name to [`Description`], which becomes a [`Topology`]. An endpoint that names no bridge sits behind a PCIe
//! root port of its own, at 00:03.0, 00:04.0 and so on, so that each is alone in its IOMMU group and the same scenario runs in
//! every mode. Nothing depends on bus numbers: the guest finds a device along its [path](Place::path), as the next
//! kernel may number buses anew.
//!
//! ```yaml
//! nested-legacy:
//!   iommu: legacy
//!   bridges:
//!     - { id: rp, model: root-port, bus-reserve: 8 }
//!     - { id: up, model: upstream, behind: rp }
//!     - { id: down, model: downstream, behind: up }
//!     - { id: hp, model: root-port }
//!     - { id: conv, model: pci-bridge, behind: hp, plugged: false }
//!   devices:
//!     - { id: dut, model: igb, behind: down }
//!     - { id: many, model: igb, behind: up, count: 8 }          # many, many1 .. many7, each behind a port of its own
//!     - { id: one, model: igb, frames: { rate: 200 } }          # behind the root port `one-port`
//!     - { id: late, model: igb, behind: conv }                  # comes with `conv`
//! ```

mod describe;
mod place;

use std::collections::BTreeMap;

use camino::Utf8Path;
use stg_core::error::check;
use stg_core::yaml::{self, locate};
use stg_core::{Diagnostic, Source};

pub use describe::{Bridge, BridgeModel, Description, Device, Firmware, Frames, Iommu, Model};
pub use place::{Place, PlaceKind};

use crate::error::HarnessError;
use place::Wrong;

/// Where the topologies are, relative to the project root.
pub const FILE: &str = "selftests/topologies.yaml";

/// The topologies of the project.
#[derive(Clone, Debug)]
pub struct Topologies {
    by_name: BTreeMap<String, Topology>,
}

/// A machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topology {
    /// What translates DMA.
    pub iommu: Iommu,
    /// In QEMU's notation, for example `1G`.
    pub memory: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// What runs before the first kernel.
    pub firmware: Firmware,
    /// Whether devices can be plugged and unplugged.
    pub hotplug: bool,
    /// Bridges and devices, parents before what sits behind them.
    pub places: Vec<Place>,
}

impl Topologies {
    /// Reads [`FILE`].
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(source: &dyn Source) -> Result<Self, HarnessError> {
        let (text, described): (String, BTreeMap<String, Description>) = yaml::read(source, Utf8Path::new(FILE))?;
        let mut found = Vec::new();
        let mut by_name = BTreeMap::new();
        for (name, description) in described {
            match Topology::new(&description) {
                Ok(topology) => {
                    by_name.insert(name, topology);
                }
                Err((what, fix)) => {
                    let (line, _) = locate(&text, &name, "iommu");
                    found.push(Diagnostic::new(FILE, format!("topology `{name}`: {what}"), fix).at(line));
                }
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
    /// Places what is described.
    fn new(description: &Description) -> Result<Self, Wrong> {
        if description.cpus == 0 {
            return Err(("it has no CPU".into(), "set `cpus` to 1 at least"));
        }
        let places = place::place(description)?;
        Ok(Self {
            iommu: description.iommu,
            memory: description.memory.clone(),
            cpus: description.cpus,
            firmware: description.firmware,
            hotplug: description.hotplug || places.iter().any(|place| !place.present),
            places,
        })
    }

    /// The bridge or device of this name.
    pub fn named(&self, name: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.name == name)
    }

    /// What comes when this is plugged: itself, and whatever sits behind it and is not to come later.
    pub fn subtree(&self, name: &str) -> Vec<&Place> {
        let mut members = Vec::new();
        let mut found = Vec::new();
        for (index, place) in self.places.iter().enumerate() {
            let comes = place.behind.is_some_and(|parent| members.contains(&parent)) && place.plugged;
            if comes || place.name == name {
                members.push(index);
                found.push(place);
            }
        }
        found
    }

    /// Bridges and devices as the guest's plan names them.
    pub fn plan_devices(&self) -> BTreeMap<String, Vec<String>> {
        self.places.iter().map(|place| (place.name.clone(), place.path.clone())).collect()
    }

    /// The network cards that the host sends frames to, present or not.
    pub fn frames(&self) -> impl Iterator<Item = (&Place, Frames)> {
        self.places.iter().filter_map(|place| match place.kind {
            PlaceKind::Device { frames: Some(frames), .. } => Some((place, frames)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Files, checkout, topology};

    fn error(text: &str) -> String {
        Topologies::load(&Files::of(&[(FILE, text)])).unwrap_err().to_string()
    }

    #[test]
    fn the_project_s_own_file_is_good_and_regular() {
        let topologies = Topologies::load(&checkout()).unwrap();
        for devices in ["", "igb8-", "virtio-net-"] {
            for mode in ["none", "legacy", "scalable", "first-stage"] {
                let topology = topologies.get(&format!("{devices}{mode}")).unwrap();
                assert_eq!(topology.named("dut").unwrap().path, ["03.0", "00.0"]);
                assert_eq!(topology.places.len(), if devices == "igb8-" { 16 } else { 2 });
            }
        }
    }

    #[test]
    fn paths_follow_the_slots() {
        let topology = topology("iommu: none\ndevices: [{ id: d, model: igb, count: 9 }]");
        assert_eq!(topology.plan_devices()["d"], ["03.0", "00.0"]);
        assert_eq!(topology.plan_devices()["d8"], ["0b.0", "00.0"]);
    }

    #[test]
    fn the_special_machines_are_what_they_are_for() {
        let topologies = Topologies::load(&checkout()).unwrap();
        for (name, count) in [("many-1", 1), ("many-8", 8), ("many-32", 32)] {
            let topology = topologies.get(name).unwrap();
            let endpoints: Vec<_> = topology.places.iter().filter(|place| place.bridge().is_none()).collect();
            assert_eq!(endpoints.len(), count, "{name}");
            assert!(endpoints.iter().all(|place| place.path.len() == 4), "three levels of bridges: {name}");
        }
        let hotplug = topologies.get("hotplug-legacy").unwrap();
        assert!(hotplug.hotplug);
        let comes = |name| hotplug.subtree(name).into_iter().map(|place| place.name.as_str()).collect::<Vec<_>>();
        assert_eq!((comes("late"), comes("conv")), (vec!["late"], vec!["conv", "late1"]));
        assert!(hotplug.places.iter().all(|place| place.present != ["late", "conv", "late1"].contains(&&*place.name)));
        assert_eq!(topologies.get("frames-legacy").unwrap().frames().count(), 1);
        assert_eq!(topologies.get("frames8-none").unwrap().frames().count(), 8);
    }

    #[test]
    fn a_place_for_everything() {
        let topology = topology(
            "
iommu: none
bridges:
  - { id: rp, model: root-port }
  - { id: up, model: upstream, behind: rp }
  - { id: down, model: downstream, behind: up }
  - { id: hp, model: root-port }
  - { id: conv, model: pci-bridge, behind: down }
devices:
  - { id: pair, model: igb, behind: hp, count: 2 }
  - { id: swap, model: igb, behind: hp, plugged: false }
  - { id: old, model: igb, behind: conv, count: 2 }
  - { id: net, model: virtio-net, behind: conv, function: 0 }
  - { id: net1, model: virtio-net, behind: conv, function: 7 }
  - { id: own, model: igb, behind: up }
  - { id: last, model: igb }
",
        );
        let paths: Vec<_> =
            topology.plan_devices().iter().map(|(name, path)| format!("{name} {}", path.join("/"))).collect();
        insta::assert_snapshot!(paths.join("\n"), @r"
        conv 03.0/00.0/00.0/00.0
        down 03.0/00.0/00.0
        hp 04.0
        last 05.0/00.0
        last-port 05.0
        net 03.0/00.0/00.0/00.0/03.0
        net1 03.0/00.0/00.0/00.0/03.7
        old 03.0/00.0/00.0/00.0/01.0
        old1 03.0/00.0/00.0/00.0/02.0
        own 03.0/00.0/01.0/00.0
        own-port 03.0/00.0/01.0
        pair 04.0/00.0
        pair1 04.0/00.1
        rp 03.0
        swap 04.0/00.0
        up 03.0/00.0
        ");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let wrong = |bridges: &str, devices: &str| {
            let text = error(&format!("t:\n  iommu: none\n  bridges: [{bridges}]\n  devices: [{devices}]\n"));
            text.lines().next().unwrap().rsplit("`t`: ").next().unwrap().to_owned()
        };
        let rp = "{ id: rp, model: root-port }";
        let igb = |rest: &str| format!("{{ id: a, model: igb, {rest} }}");
        let bridge = |rest: &str| wrong(&format!("{rp}, {{ id: b, {rest} }}"), "");
        let device = |rest: &str| wrong(rp, &igb(rest));
        let all = [
            bridge("model: root-port, behind: rp"),
            bridge("model: downstream, behind: rp"),
            bridge("model: pci-bridge"),
            bridge("model: upstream, behind: no"),
            bridge("model: upstream, behind: rp, bus-reserve: 1"),
            bridge("model: root-port, plugged: false"),
            bridge("model: upstream, behind: rp, plugged: false }, { id: c, model: downstream, behind: b"),
            bridge("model: root-port }, { id: rp, model: root-port"),
            device("behind: no"),
            device("behind: rp, count: 3"),
            device("behind: rp, function: 2"),
            device("count: 0"),
            device("count: 2, function: 1"),
            device("count: 28"),
            device("frames: { rate: 0 }"),
            wrong(rp, &format!("{}, {{ id: c, model: igb, behind: rp }}", igb("behind: rp"))),
            wrong(rp, "{ id: a.b, model: igb }"),
            wrong(rp, "{ id: a-rather-long-one, model: igb, frames: { rate: 1 } }"),
            wrong("{ id: port0, model: root-port }", &igb("plugged: false")),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        bridge `b` does not fit where it is put
        bridge `b` does not fit where it is put
        bridge `b` does not fit where it is put
        `b` is behind `no`, which is no bridge above it
        bridge `b` has `bus-reserve`
        bridge `b` cannot be plugged
        bridge `c` cannot be plugged together with its upstream port
        two bridges are called `rp`
        `a` is behind `no`, which is no bridge above it
        device `a2` has function 2
        device `a` has function 2
        device `a` has a `count` of 0, or `function` too
        device `a` has a `count` of 0, or `function` too
        there is no place for `a27-port`: the root bus has no more slots
        device `a` has frames at rate 0
        `a` and `c` are in the same place
        `a.b` is not a device id
        device `a-rather-long-one` has frames and a long name
        `a-port` and `port0` have the same name, here or in QEMU
        ");
    }

    #[test]
    fn mistakes_are_located() {
        insta::assert_snapshot!(error("a:\n  iommu: legacy\n  devces: []\n"), @r"
        selftests/topologies.yaml:3:3: a: unknown field `devces`, expected one of `iommu`, `memory`, `cpus`, `firmware`, `hotplug`, `bridges`, `devices`
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
        selftests/topologies.yaml:1:4: a: invalid type: sequence, expected struct Description
          fix: correct the YAML at this place
        ");
        insta::assert_snapshot!(Topologies::load(&Files::of(&[])).unwrap_err(), @r"
        selftests/topologies.yaml: missing file
          fix: put it back, it belongs to the project
        ");
    }
}
