// SPDX-License-Identifier: GPL-2.0-only

//! Bridges and devices as QEMU is told of them: as arguments, or by QMP while it runs.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};

use crate::topology::{BridgeModel, Model, Place, PlaceKind};

/// What `-device` and `device_add` say.
#[derive(Clone, Debug, PartialEq)]
pub struct Added {
    driver: &'static str,
    properties: Vec<(&'static str, Value)>,
}

impl Added {
    /// For one place.
    pub fn of(place: &Place) -> Self {
        let mut properties: Vec<(&str, Value)> = Vec::new();
        let (device, function) = place.address;
        let id = ("id", json!(place.id));
        let bus = ("bus", json!(place.bus));
        // Behind a port there is nothing else, so QEMU finds it itself.
        let address = (device > 0 || place.multifunction).then(|| ("addr", json!(format!("{device:02x}.{function}"))));
        let driver = match place.kind {
            PlaceKind::Bridge { model, slot, bus_reserve } => {
                properties.extend([id, bus]);
                properties.extend(address);
                if matches!(model, BridgeModel::RootPort | BridgeModel::Downstream) {
                    properties.extend([("chassis", json!(slot)), ("slot", json!(slot))]);
                }
                properties.extend(bus_reserve.map(|buses| ("bus-reserve", json!(buses))));
                match model {
                    BridgeModel::RootPort => "pcie-root-port",
                    BridgeModel::Upstream => "x3130-upstream",
                    BridgeModel::Downstream => "xio3130-downstream",
                    BridgeModel::PciBridge => "pcie-pci-bridge",
                }
            }
            PlaceKind::Device { model, frames } => {
                if model != Model::Igb {
                    properties.extend([("disable-legacy", json!("on")), ("iommu_platform", json!(true))]);
                }
                if model == Model::VirtioNetAts {
                    properties.push(("ats", json!(true)));
                }
                // Without its option ROM, which only costs time.
                properties.extend([("romfile", json!("")), id, bus]);
                properties.extend(address);
                if place.multifunction {
                    properties.push(("multifunction", json!(true)));
                    // With ARI, functions are a list, which QEMU otherwise ends after the first.
                    if model == Model::Igb && function == 0 {
                        properties.push(("x-pcie-ari-nextfn-1", json!(true)));
                    }
                }
                properties.extend(frames.map(|_| ("netdev", json!(netdev_id(&place.id)))));
                match model {
                    Model::Igb => "igb",
                    Model::VirtioNet | Model::VirtioNetAts => "virtio-net-pci",
                }
            }
        };
        Self { driver, properties }
    }

    /// The value of `-device`.
    pub fn argument(&self) -> String {
        let mut text = self.driver.to_owned();
        for (name, value) in &self.properties {
            let value = match value {
                Value::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
                Value::String(value) => value.clone(),
                value => value.to_string(),
            };
            text.push_str(&format!(",{name}={value}"));
        }
        text
    }

    /// The arguments of `device_add`.
    pub fn qmp(&self) -> Value {
        let mut object = Map::from_iter([("driver".to_owned(), json!(self.driver))]);
        object.extend(self.properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Value::Object(object)
    }
}

/// Where frames for a network card pass: a datagram is a frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Netdev {
    id: String,
    /// The unix socket that QEMU binds.
    pub qemu: Utf8PathBuf,
    /// The unix socket that we bind.
    pub host: Utf8PathBuf,
}

impl Netdev {
    /// For one place, with its sockets in a directory.
    pub fn of(place: &Place, directory: &Utf8Path) -> Self {
        let id = &place.id;
        Self { id: netdev_id(id), qemu: directory.join(format!("q-{id}")), host: directory.join(format!("h-{id}")) }
    }

    /// The value of `-netdev`.
    pub fn argument(&self) -> String {
        let [qemu, host] = [&self.qemu, &self.host].map(|path| escape(path));
        format!("dgram,id={},local.type=unix,local.path={qemu},remote.type=unix,remote.path={host}", self.id)
    }

    /// The arguments of `netdev_add`.
    pub fn qmp(&self) -> Value {
        let socket = |path: &Utf8Path| json!({"type": "unix", "path": path});
        json!({"type": "dgram", "id": self.id, "local": socket(&self.qemu), "remote": socket(&self.host)})
    }
}

/// The network backend without a device, which sends back what it gets: the [witness](crate::witness)' reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    /// The unix socket that QEMU binds.
    pub to: Utf8PathBuf,
    /// The unix socket that we send from.
    pub from: Utf8PathBuf,
    /// The unix socket where we get it back.
    pub echo: Utf8PathBuf,
    /// The other one that QEMU binds; nobody sends to it.
    back: Utf8PathBuf,
}

impl Reference {
    /// With its sockets in a directory.
    pub fn of(directory: &Utf8Path) -> Self {
        let [to, from, echo, back] =
            ["q-reference", "h-reference", "h-echo", "q-echo"].map(|name| directory.join(name));
        Self { to, from, echo, back }
    }

    /// The values of QEMU's `-netdev`: two sockets and a hub between them.
    pub fn arguments(&self) -> [String; 4] {
        let socket = |id: &str, local, remote| {
            let [local, remote] = [local, remote].map(|path: &Utf8PathBuf| escape(path));
            format!("dgram,id={id},local.type=unix,local.path={local},remote.type=unix,remote.path={remote}")
        };
        [
            socket("reference", &self.to, &self.from),
            "hubport,id=reference-hub,hubid=0,netdev=reference".to_owned(),
            socket("echo", &self.back, &self.echo),
            "hubport,id=echo-hub,hubid=0,netdev=echo".to_owned(),
        ]
    }
}

fn netdev_id(device: &str) -> String {
    format!("{device}-net")
}

/// Commas separate options; a doubled one stands for itself.
pub(crate) fn escape(path: &Utf8Path) -> String {
    path.as_str().replace(',', ",,")
}
