// SPDX-License-Identifier: GPL-2.0

//! The devices that the previous kernel preserved, and what this one has seen of them.
//!
//! Pure data, like [`handover`](crate::handover).

use core::fmt;

use crate::handover::{
    Address,
    Entry,
    Fault, //
};

/// What was found where a device was handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    /// The bridge above it, if it is not on a root bus.
    pub(crate) upstream: Option<Address>,
    /// Whether it is a bridge itself.
    pub(crate) is_bridge: bool,
}

/// A device that was handed over, or a bridge above one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracked {
    /// What the previous kernel said.
    pub(crate) entry: Entry,
    /// How many of the preserved devices at or below it are not finished.
    pub(crate) unfinished: u16,
    /// What the scan of the bus found, if it did.
    pub(crate) found: Option<Found>,
    /// Whether it was removed since.
    pub(crate) removed: bool,
    /// Whether a file came for it.
    pub(crate) claimed: bool,
    /// Whether it is a bridge that lost its bus numbers.
    pub(crate) lost_buses: bool,
    /// Whether it is out of reach, behind a bridge that lost its bus numbers.
    pub(crate) unreachable: bool,
    /// Sum of the refcounts directly below it.
    below: u32,
}

impl Tracked {
    /// A device that was not found yet.
    pub(crate) fn new(entry: Entry) -> Self {
        Self {
            entry,
            unfinished: entry.refcount,
            found: None,
            removed: false,
            claimed: false,
            lost_buses: false,
            unreachable: false,
            below: 0,
        }
    }

    /// Whether it is known not to be an endpoint.
    pub(crate) fn is_bridge(&self) -> bool {
        self.found.is_some_and(|found| found.is_bridge)
    }
}

/// How what was handed over contradicts what was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Contradiction {
    /// There is no device at an address.
    Missing(Address),
    /// The refcount of a device is not the number of preserved devices at or below it.
    Refcount(Address),
    /// A bridge above a preserved device was not handed over.
    Untracked(Address),
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(address) => write!(f, "preserved device {address} is not there"),
            Self::Refcount(address) => write!(
                f,
                "the number of preserved devices at or below {address} is wrong"
            ),
            Self::Untracked(address) => {
                write!(f, "bridge {address} above a preserved device is not listed")
            }
        }
    }
}

/// Puts the devices into the order in which the other functions expect them.
pub(crate) fn sort(devices: &mut [Tracked]) -> Result<(), Fault> {
    devices.sort_unstable_by_key(|device| device.entry.address);

    for pair in devices.windows(2) {
        if let [a, b] = pair {
            if a.entry.address == b.entry.address {
                return Err(Fault::Duplicate(a.entry.address));
            }
        }
    }
    Ok(())
}

/// Looks a device up.
pub(crate) fn find(devices: &mut [Tracked], address: Address) -> Option<&mut Tracked> {
    let index = devices
        .binary_search_by_key(&address, |device| device.entry.address)
        .ok()?;

    devices.get_mut(index)
}

/// The devices on a bus.
fn on_bus(devices: &[Tracked], domain: u32, bus: u8) -> impl Iterator<Item = &Tracked> {
    let first = Address::new(domain, u16::from_be_bytes([bus, 0]));
    let from = devices.partition_point(|device| device.entry.address < first);

    devices.iter().skip(from).take_while(move |device| {
        let address = device.entry.address;
        address.domain() == domain && address.bus() == bus
    })
}

/// Whether a bus number is that of a device that is not finished.
pub(crate) fn uses_bus(devices: &[Tracked], domain: u32, bus: u8) -> bool {
    on_bus(devices, domain, bus).any(|device| device.unfinished != 0)
}

/// Whether a device was not found because a bridge lost its bus numbers.
///
/// What is behind a bridge has a greater bus number than the bridge. If another device was found on
/// the same bus, that bus was scanned.
fn is_cut_off(devices: &[Tracked], address: Address) -> bool {
    let domain = address.domain();

    devices.iter().any(|device| {
        let bridge = device.entry.address;
        device.lost_buses && bridge.domain() == domain && bridge.bus() < address.bus()
    }) && !on_bus(devices, domain, address.bus()).any(|device| device.found.is_some())
}

/// Checks the devices after all buses were scanned.
///
/// A device that was not found is [out of reach](Tracked::unreachable) if a bridge lost its bus
/// numbers.
pub(crate) fn check(devices: &mut [Tracked]) -> Result<(), Contradiction> {
    for index in 0..devices.len() {
        let Some(device) = devices.get(index).filter(|device| device.found.is_none()) else {
            continue;
        };
        let address = device.entry.address;

        if !is_cut_off(devices, address) {
            return Err(Contradiction::Missing(address));
        }
        if let Some(device) = devices.get_mut(index) {
            device.unreachable = true;
        }
    }

    for device in devices.iter_mut() {
        device.below = 0;
    }
    for index in 0..devices.len() {
        let Some(device) = devices.get(index) else {
            continue;
        };
        let refcount = u32::from(device.entry.refcount);

        if let Some(upstream) = device.found.and_then(|found| found.upstream) {
            let bridge = find(devices, upstream).ok_or(Contradiction::Untracked(upstream))?;

            bridge.below = bridge.below.saturating_add(refcount);
        }
    }

    // A refcount that is wrong makes that of the bridge above look wrong as well. What is behind a
    // bridge has a greater bus number.
    for device in devices.iter().rev() {
        let expected = if device.is_bridge() { device.below } else { 1 };
        let is_known = device.found.is_some() && !device.lost_buses;

        if is_known && u32::from(device.entry.refcount) != expected {
            return Err(Contradiction::Refcount(device.entry.address));
        }
    }
    Ok(())
}
