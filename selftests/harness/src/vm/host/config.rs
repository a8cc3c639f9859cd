// SPDX-License-Identifier: GPL-2.0-only

//! A device's config space, written behind the back of every kernel: through the ports of configuration mechanism 1, which QEMU's monitor
//! reaches as a CPU would.
//!
//! A kernel may stand between its own two accesses to these ports, so the VM stands still meanwhile, or the guest waits for the effect and
//! nothing else; and the address that was selected is put back.

use std::fmt;

use serde_json::{Value, json};

use super::Host;
use crate::error::HarnessError;
use crate::topology::Place;
use crate::vm::watch::Watch;

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;
const ENABLE: u64 = 1 << 31;

const COMMAND: u16 = 4;
const COMMAND_MASTER: u64 = 1 << 2;
const CAPABILITIES: u16 = 0x34;
const CAP_EXPRESS: u64 = 0x10;
/// Device Control in that capability, and its bit that resets.
const DEVICE_CONTROL: u16 = 8;
const INITIATE_FLR: u64 = 1 << 15;

/// Where a device is now: bus numbers are the kernel's business.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Address {
    bus: u64,
    device: u64,
    function: u64,
}

impl Address {
    /// As a number of 16 bits: the name that the device has for an IOMMU.
    pub(super) fn requester(self) -> u16 {
        // A bus number has 8 bits, a device number 5, a function number 3.
        (self.bus << 8 | self.device << 3 | self.function) as u16
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{:x}", self.bus, self.device, self.function)
    }
}

impl Host<'_> {
    /// Switches bus mastering of a device on or off.
    pub(super) fn set_bus_master(
        &self,
        watch: &mut Watch,
        hop: usize,
        place: &Place,
        on: bool,
    ) -> Result<(), HarnessError> {
        self.configure(watch, hop, place, |space, watch| {
            let command = space.read(watch, COMMAND, 2)?;
            let wanted = if on { command | COMMAND_MASTER } else { command & !COMMAND_MASTER };
            space.write(watch, COMMAND, 2, wanted)?;
            // Read back: a device that is gone takes no write and says nothing.
            let command = space.read(watch, COMMAND, 2)?;
            watch.note(&format!("command register of {} at {}: {command:#06x}", place.name, space.address))?;
            if command == wanted { Ok(()) } else { Err(space.failed(&format!("it is {command:#x}, not {wanted:#x}"))) }
        })
    }

    /// Resets the function.
    pub(super) fn reset(&self, watch: &mut Watch, hop: usize, place: &Place) -> Result<(), HarnessError> {
        self.configure(watch, hop, place, |space, watch| {
            let control = space.express(watch)? + DEVICE_CONTROL;
            let before = space.read(watch, control, 2)?;
            space.write(watch, control, 2, before | INITIATE_FLR)?;
            let command = space.read(watch, COMMAND, 2)?;
            watch
                .note(&format!("reset {} at {}: its command register is {command:#06x}", place.name, space.address))?;
            if command == 0 {
                Ok(())
            } else {
                Err(space.failed(&format!("its command register is still {command:#x}")))
            }
        })
    }

    fn configure(
        &self,
        watch: &mut Watch,
        hop: usize,
        place: &Place,
        work: impl FnOnce(&Space<'_, '_>, &mut Watch) -> Result<(), HarnessError>,
    ) -> Result<(), HarnessError> {
        let what = format!("config space of {}", place.name);
        let buses = self.command(watch, hop, &what, "query-pci", &json!({}))?;
        let Some(address) = locate(&buses, &place.id) else {
            return Err(self.failed(what, hop, "QEMU has no such device, or no kernel has numbered its bus"));
        };
        let space = Space { host: self, hop, what, address };
        let selected = space.input(watch, ADDRESS_PORT, 4)?;
        work(&space, watch)?;
        space.output(watch, ADDRESS_PORT, 4, selected)
    }
}

/// The config space of one function.
struct Space<'h, 'r> {
    host: &'h Host<'r>,
    hop: usize,
    what: String,
    address: Address,
}

impl Space<'_, '_> {
    fn read(&self, watch: &mut Watch, register: u16, width: u32) -> Result<u64, HarnessError> {
        self.select(watch, register)?;
        self.input(watch, DATA_PORT + (register & 3), width)
    }

    fn write(&self, watch: &mut Watch, register: u16, width: u32, value: u64) -> Result<(), HarnessError> {
        self.select(watch, register)?;
        self.output(watch, DATA_PORT + (register & 3), width, value)
    }

    /// Where the PCI Express capability is.
    fn express(&self, watch: &mut Watch) -> Result<u16, HarnessError> {
        let mut at = CAPABILITIES;
        // There is room for no more.
        for _ in 0..48 {
            at = u16::try_from(self.read(watch, at, 1)? & 0xfc).unwrap_or(0);
            if at == 0 {
                break;
            }
            if self.read(watch, at, 1)? == CAP_EXPRESS {
                return Ok(at);
            }
            at += 1;
        }
        Err(self.failed("it has no PCI Express capability"))
    }

    fn select(&self, watch: &mut Watch, register: u16) -> Result<(), HarnessError> {
        let Address { bus, device, function } = self.address;
        let selector = ENABLE | bus << 16 | device << 11 | function << 8 | u64::from(register & 0xfc);
        self.output(watch, ADDRESS_PORT, 4, selector)
    }

    fn input(&self, watch: &mut Watch, port: u16, width: u32) -> Result<u64, HarnessError> {
        let said = self.monitor(watch, &format!("i /{} {port:#x}", size(width)))?;
        number(&said).ok_or_else(|| self.failed(&format!("QEMU's monitor says {said:?}")))
    }

    fn output(&self, watch: &mut Watch, port: u16, width: u32, value: u64) -> Result<(), HarnessError> {
        let said = self.monitor(watch, &format!("o /{} {port:#x} {value:#x}", size(width)))?;
        // What is written may have a device do at once what its IOMMU refuses.
        match said.lines().find(|line| !line.trim().is_empty() && !is_of_iommu(line)) {
            None => Ok(()),
            Some(line) => Err(self.failed(&format!("QEMU's monitor says {line:?}"))),
        }
    }

    fn monitor(&self, watch: &mut Watch, line: &str) -> Result<String, HarnessError> {
        let arguments = json!({"command-line": line});
        let answer = self.host.command(watch, self.hop, &self.what, "human-monitor-command", &arguments)?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    fn failed(&self, why: &str) -> HarnessError {
        self.host.failed(self.what.clone(), self.hop, format!("{} at {}: {why}", self.what, self.address))
    }
}

/// The monitor's letter for 1, 2 or 4 bytes.
fn size(width: u32) -> char {
    match width {
        1 => 'b',
        2 => 'h',
        _ => 'w',
    }
}

/// `portw[0x0cfc] = 0x0107`.
fn number(said: &str) -> Option<u64> {
    let (_, value) = said.lines().find_map(|line| line.trim().split_once("] = 0x"))?;
    u64::from_str_radix(value, 16).ok()
}

/// Whether QEMU says this of its IOMMU. Whatever it says while it executes a command of the monitor becomes part of the answer.
fn is_of_iommu(line: &str) -> bool {
    line.starts_with("vtd_") || line.starts_with("New fault is not recorded")
}

/// The device with this id in the answer to `query-pci`: a list of buses, each with the devices on it, and bridges with those behind.
pub(super) fn locate(buses: &Value, id: &str) -> Option<Address> {
    let devices = buses.as_array()?.iter().filter_map(|bus| bus.get("devices"));
    devices.filter_map(|devices| among(devices, id)).next()
}

fn among(devices: &Value, id: &str) -> Option<Address> {
    devices.as_array()?.iter().find_map(|device| {
        let number = |name: &str| device.get(name)?.as_u64();
        if device.get("qdev_id")?.as_str() == Some(id) {
            return Some(Address { bus: number("bus")?, device: number("slot")?, function: number("function")? });
        }
        among(device.pointer("/pci_bridge/devices")?, id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_behind_bridges() {
        let igb = |bus, id| json!({"bus": bus, "slot": 0, "function": 1, "qdev_id": id});
        let port = |id, devices| json!({"bus": 0, "slot": 3, "function": 0, "qdev_id": id, "pci_bridge": {"bus": {}, "devices": devices}});
        let host = json!({"bus": 0, "slot": 0, "function": 0, "qdev_id": ""});
        let buses = json!([{"bus": 0, "devices": [host, port("port0", json!([igb(1, "dut")])), port("port1", json!([igb(2, "dut1")]))]}]);
        let at = |id| locate(&buses, id).map(|address| address.to_string());
        assert_eq!(at("dut1").as_deref(), Some("02:00.1"));
        assert_eq!(at("port1").as_deref(), Some("00:03.0"));
        assert_eq!(at("dut2"), None);
        assert_eq!(locate(&buses, "dut1").map(Address::requester), Some(0x201));
        assert_eq!(locate(&json!({}), "dut"), None);
    }

    #[test]
    fn the_monitor_is_understood() {
        assert_eq!(number("portw[0x0cfc] = 0x0107\r\n"), Some(0x107));
        assert_eq!(number("portl[0x0cf8] = 0x80010004\r\n"), Some(0x8001_0004));
        assert_eq!(number("unknown command: 'i'\r\n"), None);
        let aside = "vtd_iommu_translate: detected translation failure (dev=02:00:00, iova=0x1c1f470)\r\nNew fault is not recorded due to compression of faults\r\n";
        assert_eq!(number(&format!("{aside}portw[0x0cfc] = 0x0107\r\n{aside}")), Some(0x107));
        assert!(aside.lines().all(is_of_iommu) && !is_of_iommu("unknown command: 'o'"));
        assert_eq!([1, 2, 4].map(size), ['b', 'h', 'w']);
    }
}
