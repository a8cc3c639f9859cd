// SPDX-License-Identifier: GPL-2.0-only

//! Where everything sits: from the description to bridges and devices with their addresses.
//!
//! - Named bridges come first and take the slots of the root bus from 3 on, in their order; then each device without `behind`
//!   takes a slot for its own root port.
//! - Behind a root or downstream port there is one place, 00, with up to eight functions.
//! - The downstream ports behind an upstream port are its devices 00, 01 and so on.
//! - Behind a conventional bridge the slots begin with 01; 00 is its hot-plug controller's.
//!
//! What is not plugged from the start may share its place with others that are not, or with one that is: then one is
//! unplugged before the other comes.

use super::describe::{Bridge, BridgeModel, Description, Device, Frames, Model};

/// Slot of the first root port on the root bus; lower ones are QEMU's own.
const FIRST_SLOT: usize = 3;
/// 00:1f is the ICH9.
const LAST_SLOT: usize = 0x1e;
/// Device numbers are five bits.
const DEVICES: usize = 32;
/// Function numbers are three bits.
const FUNCTIONS: u8 = 8;
/// QEMU's igb creates its virtual functions with the device, at every second function number: those of the third function would
/// be in the place of the first one's.
const IGB_FUNCTIONS: u8 = 2;

/// The path of a unix socket is limited, see [`rundir`](crate::rundir).
const LONGEST: usize = 12;

/// What is wrong, and the remedy.
pub(super) type Wrong = (String, &'static str);

/// A bridge or device, placed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Name in the scenario's steps and in the guest's plan.
    pub name: String,
    /// Name for QEMU.
    pub id: String,
    /// QEMU's name of the bus.
    pub bus: String,
    /// Device and function on that bus.
    pub address: (usize, u8),
    /// `DD.F` of every bridge from the root bus on, and its own.
    pub path: Vec<String>,
    /// What it is.
    pub kind: PlaceKind,
    /// Whether it is one of several functions.
    pub multifunction: bool,
    /// Whether it is there from the start.
    pub present: bool,
    /// What it sits behind: an index of an earlier place.
    pub behind: Option<usize>,
    /// Whether it comes with what it sits behind.
    pub plugged: bool,
}

/// What is placed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PlaceKind {
    /// A bridge.
    Bridge {
        /// Which.
        model: BridgeModel,
        /// Chassis and slot number, if it has a slot.
        slot: usize,
        /// Bus numbers that the firmware keeps free.
        bus_reserve: Option<u8>,
    },
    /// An endpoint.
    Device {
        /// Which.
        model: Model,
        /// What the host sends it.
        frames: Option<Frames>,
    },
}

impl Place {
    /// Which bridge it is, if it is one.
    pub fn bridge(&self) -> Option<BridgeModel> {
        match self.kind {
            PlaceKind::Bridge { model, .. } => Some(model),
            PlaceKind::Device { .. } => None,
        }
    }
}

/// Places everything; parents come before what sits behind them.
pub(super) fn place(description: &Description) -> Result<Vec<Place>, Wrong> {
    let bridges = description.bridges.iter().map(|bridge| (&bridge.id, "bridges"));
    let devices = description.devices.iter().map(|device| (&device.id, "devices"));
    let ids: Vec<_> = bridges.chain(devices).collect();
    for (index, (id, what)) in ids.iter().enumerate() {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err((format!("`{id}` is not a device id"), "use letters, digits and `-`"));
        }
        if ids[..index].contains(&(*id, *what)) {
            return Err((format!("two {what} are called `{id}`"), "rename one of them"));
        }
    }
    let mut placer = Placer::default();
    for bridge in &description.bridges {
        placer.bridge(bridge)?;
    }
    for device in &description.devices {
        placer.devices(device)?;
    }
    placer.check()?;
    Ok(placer.places)
}

#[derive(Default)]
struct Placer {
    places: Vec<Place>,
    /// Root ports that belong to one device.
    own_ports: usize,
    /// Ports with a slot.
    slots: usize,
}

impl Placer {
    fn bridge(&mut self, bridge: &Bridge) -> Result<(), Wrong> {
        use BridgeModel::{Downstream, PciBridge, RootPort, Upstream};

        let Bridge { id, model, behind, bus_reserve, plugged } = bridge;
        let behind = behind.as_deref().map(|name| self.named(id, name)).transpose()?;
        let parent = behind.and_then(|parent| self.places[parent].bridge());
        let fits = match (model, parent) {
            (RootPort, None) | (Downstream, Some(Upstream)) => true,
            (Upstream | PciBridge, Some(RootPort | Downstream)) => true,
            (RootPort | Upstream | Downstream | PciBridge, _) => false,
        };
        if !fits {
            return Err((
                format!("bridge `{id}` does not fit where it is put"),
                "a root port goes on the root bus, a downstream port behind an upstream port, the others behind a root \
                 or downstream port",
            ));
        }
        if bus_reserve.is_some() && *model != RootPort {
            return Err((format!("bridge `{id}` has `bus-reserve`"), "only root ports have it"));
        }
        if !plugged && matches!(model, RootPort | Downstream) {
            return Err((
                format!("bridge `{id}` cannot be plugged"),
                "QEMU plugs only into root and downstream ports: an upstream port or a conventional bridge, or a device",
            ));
        }
        if *model == Downstream && behind.is_some_and(|parent| !self.places[parent].present) {
            return Err((
                format!("bridge `{id}` cannot be plugged together with its upstream port"),
                "QEMU plugs nothing behind an upstream port: use a `pci-bridge`",
            ));
        }
        let kind = PlaceKind::Bridge { model: *model, slot: self.slot(*model), bus_reserve: *bus_reserve };
        self.add(id.clone(), id.clone(), behind, None, kind, *plugged)?;
        Ok(())
    }

    fn devices(&mut self, device: &Device) -> Result<(), Wrong> {
        let Device { id, model, behind, function, count, plugged, frames } = device;
        if *count == Some(0) || (count.is_some() && function.is_some()) {
            return Err((format!("device `{id}` has a `count` of 0, or `function` too"), "leave one of them out"));
        }
        if matches!(frames, Some(Frames { rate: 0 })) {
            return Err((format!("device `{id}` has frames at rate 0"), "give the frames per second"));
        }
        if frames.is_some() && id.len() > LONGEST {
            return Err((
                format!("device `{id}` has frames and a long name"),
                "the path of a socket has it: use 12 letters at most",
            ));
        }
        for number in 0..count.unwrap_or(1) {
            let name = if number == 0 { id.clone() } else { format!("{id}{number}") };
            let behind = behind.as_deref().map(|behind| self.named(id, behind)).transpose()?;
            let parent = behind.and_then(|parent| self.places[parent].bridge());
            let own_port = match parent {
                None => Some(BridgeModel::RootPort),
                Some(BridgeModel::Upstream) => Some(BridgeModel::Downstream),
                Some(_) => None,
            };
            let behind = match own_port {
                Some(model) => Some(self.own_port(&name, model, behind)?),
                None => behind,
            };
            let on_port = matches!(parent, Some(BridgeModel::RootPort | BridgeModel::Downstream));
            let function = function.or_else(|| (on_port && count.is_some()).then_some(number));
            let room = if *model == Model::Igb { IGB_FUNCTIONS } else { FUNCTIONS };
            if function.is_some_and(|function| function >= room) {
                return Err((
                    format!("device `{name}` has function {}", function.unwrap_or_default()),
                    "functions are 0 to 7, those of an igb 0 and 1; put the others behind a port of their own",
                ));
            }
            let kind = PlaceKind::Device { model: *model, frames: *frames };
            self.add(name.clone(), name, behind, function, kind, *plugged)?;
        }
        Ok(())
    }

    /// The port of a device that names none.
    fn own_port(&mut self, device: &str, model: BridgeModel, behind: Option<usize>) -> Result<usize, Wrong> {
        let id = format!("port{}", self.own_ports);
        self.own_ports += 1;
        let kind = PlaceKind::Bridge { model, slot: self.slot(model), bus_reserve: None };
        self.add(format!("{device}-port"), id, behind, None, kind, true)
    }

    fn slot(&mut self, model: BridgeModel) -> usize {
        self.slots += usize::from(matches!(model, BridgeModel::RootPort | BridgeModel::Downstream));
        self.slots
    }

    fn named(&self, who: &str, name: &str) -> Result<usize, Wrong> {
        let found = self.places.iter().position(|place| place.name == name && place.bridge().is_some());
        found.ok_or_else(|| {
            (format!("`{who}` is behind `{name}`, which is no bridge above it"), "name a bridge, parents first")
        })
    }

    fn add(
        &mut self,
        name: String,
        id: String,
        behind: Option<usize>,
        function: Option<u8>,
        kind: PlaceKind,
        plugged: bool,
    ) -> Result<usize, Wrong> {
        let siblings = self.places.iter().filter(|place| place.behind == behind).count();
        let parent = behind.map(|index| &self.places[index]);
        let device = match parent.map(Place::bridge) {
            None => FIRST_SLOT + siblings,
            Some(Some(BridgeModel::Upstream)) => siblings,
            // Functions of one device share its slot.
            Some(Some(BridgeModel::PciBridge)) if function.is_none_or(|function| function == 0) => {
                self.slots_behind(behind) + 1
            }
            Some(Some(BridgeModel::PciBridge)) => self.slots_behind(behind).max(1),
            Some(_) => 0,
        };
        let (room, what) = match parent {
            None => (LAST_SLOT, "the root bus has"),
            Some(_) => (DEVICES - 1, "the bridge has"),
        };
        if device > room {
            return Err((format!("there is no place for `{name}`: {what} no more slots"), "take some devices out"));
        }
        let function_number = function.unwrap_or(0);
        let mut path = parent.map(|parent| parent.path.clone()).unwrap_or_default();
        path.push(format!("{device:02x}.{function_number}"));
        let present = plugged && parent.is_none_or(|parent| parent.present);
        let bus = parent.map_or_else(|| "pcie.0".to_owned(), |parent| parent.id.clone());
        let address = (device, function_number);
        let multifunction = function.is_some();
        self.places.push(Place { name, id, bus, address, path, kind, multifunction, present, behind, plugged });
        Ok(self.places.len() - 1)
    }

    /// The last slot in use behind a conventional bridge.
    fn slots_behind(&self, behind: Option<usize>) -> usize {
        self.places.iter().filter(|place| place.behind == behind).map(|place| place.address.0).max().unwrap_or(0)
    }

    /// What is wrong with the whole.
    fn check(&self) -> Result<(), Wrong> {
        for (index, place) in self.places.iter().enumerate() {
            let name = &place.name;
            let taken = |earlier: &&Place| earlier.name == *name || earlier.id == place.id;
            if let Some(earlier) = self.places[..index].iter().find(taken) {
                return Err((
                    format!("`{name}` and `{}` have the same name, here or in QEMU", earlier.name),
                    "rename the one that you named",
                ));
            }
            let same = |other: &&Place| other.path == place.path && other.present && place.present;
            if let Some(other) = self.places[..index].iter().find(same) {
                return Err((
                    format!("`{}` and `{name}` are in the same place", other.name),
                    "give them a `function` each, or bridges of their own, or plug one of them later",
                ));
            }
        }
        Ok(())
    }
}
