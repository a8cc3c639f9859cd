// SPDX-License-Identifier: GPL-2.0-only

//! A machine with its PCI buses, and what a kernel hands over of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use crate::handover::{Address, Entry, Fault};
use crate::tracked::{self, Contradiction, Found, Tracked};

/// Domain and bus numbers of each root bus and all below it.
pub(crate) const ROOTS: [(u32, RangeInclusive<u8>); 3] = [(0, 0..=0x7f), (0, 0x80..=0xff), (0x10, 0..=0xff)];

/// How many devices there can be, so that bus and function numbers suffice.
pub(crate) const MAX_PARTS: usize = 60;

/// A device that is added to those there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Whether there is a bus behind it.
    pub(crate) is_bridge: bool,
    /// Which of the buses that there are it is put on, by the remainder.
    pub(crate) bus: usize,
    /// How many function numbers are left out before it.
    pub(crate) gap: u8,
}

/// What was found where.
pub(crate) type Devices = BTreeMap<Address, Found>;

/// A machine that has scanned all of its buses.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) devices: Devices,
    /// Bridges that lost their bus numbers.
    pub(crate) lost: BTreeSet<Address>,
}

/// A bus that is being set up.
#[derive(Default)]
struct Bus {
    /// Function number of each device, and the bus behind it if it is a bridge.
    children: Vec<(u8, Option<usize>)>,
}

impl Machine {
    /// A machine with these devices. Buses are numbered depth first, as firmware does it.
    pub(crate) fn new(parts: &[Part]) -> Self {
        let mut buses: Vec<Bus> = ROOTS.iter().map(|_| Bus::default()).collect();
        for part in &parts[..parts.len().min(MAX_PARTS)] {
            let behind = part.is_bridge.then(|| {
                buses.push(Bus::default());
                buses.len() - 1
            });
            // Not on its own bus.
            let there = buses.len() - usize::from(part.is_bridge);
            let on = &mut buses[part.bus % there];
            let next = on.children.last().map_or(0, |(devfn, _)| devfn + 1);
            on.children.push((next + part.gap % 4, behind));
        }

        let mut machine = Self { devices: Devices::new(), lost: BTreeSet::new() };
        for (root, (domain, numbers)) in ROOTS.into_iter().enumerate() {
            machine.number(&buses, root, domain, &mut numbers.start().clone(), None);
        }
        machine
    }

    /// Gives a bus its number, and then those below it.
    fn number(&mut self, buses: &[Bus], bus: usize, domain: u32, last: &mut u8, upstream: Option<Address>) {
        let number = *last;
        for &(devfn, behind) in &buses[bus].children {
            let address = Address::new(domain, u16::from_be_bytes([number, devfn]));
            self.devices.insert(address, Found { upstream, is_bridge: behind.is_some() });
            if let Some(behind) = behind {
                *last += 1;
                self.number(buses, behind, domain, last, Some(address));
            }
        }
    }

    /// The bridge above a device, if there is one.
    pub(crate) fn upstream(&self, address: Address) -> Option<Address> {
        self.devices[&address].upstream
    }

    /// A device and the bridges above it.
    pub(crate) fn path(&self, address: Address) -> impl Iterator<Item = Address> + '_ {
        std::iter::successors(Some(address), |&address| self.upstream(address))
    }

    /// What is below a bridge.
    pub(crate) fn below(&self, bridge: Address) -> BTreeSet<Address> {
        let is_below = |address: Address| self.path(address).skip(1).any(|above| above == bridge);
        self.devices.keys().copied().filter(|&address| is_below(address)).collect()
    }

    pub(crate) fn endpoints(&self) -> Vec<Address> {
        self.devices.iter().filter(|(_, found)| !found.is_bridge).map(|(&address, _)| address).collect()
    }

    /// What a kernel hands over that preserved these endpoints.
    pub(crate) fn hand_over(&self, preserved: &[Address]) -> Vec<Entry> {
        let mut refcounts = BTreeMap::new();
        for address in preserved.iter().flat_map(|&address| self.path(address)) {
            *refcounts.entry(address).or_default() += 1;
        }
        refcounts.into_iter().map(|(address, refcount)| Entry { address, refcount }).collect()
    }

    /// Takes away what is below a bridge, the bus numbers of which were lost.
    pub(crate) fn lose_buses(&mut self, bridge: Address) {
        for address in self.below(bridge) {
            self.devices.remove(&address);
            self.lost.remove(&address);
        }
        self.lost.insert(bridge);
    }

    /// What a kernel knows of devices that were handed over, after it has found what there is.
    pub(crate) fn scan(&self, entries: &[Entry]) -> Result<Vec<Tracked>, Fault> {
        let mut devices: Vec<Tracked> = entries.iter().copied().map(Tracked::new).collect();
        tracked::sort(&mut devices)?;
        for (&address, &found) in &self.devices {
            if let Some(device) = tracked::find(&mut devices, address) {
                device.found = Some(found);
                device.lost_buses = self.lost.contains(&address);
            }
        }
        Ok(devices)
    }

    /// Whether a contradiction is one between these entries and what is found.
    pub(crate) fn contradicts(&self, entries: &[Entry], contradiction: Contradiction) -> bool {
        let lists = |wanted: Address| entries.iter().any(|entry| entry.address == wanted);
        match contradiction {
            Contradiction::Missing(address) => lists(address) && !self.devices.contains_key(&address),
            Contradiction::Untracked(bridge) => {
                !lists(bridge)
                    && entries
                        .iter()
                        .filter_map(|entry| self.devices.get(&entry.address))
                        .any(|found| found.upstream == Some(bridge))
            }
            Contradiction::Refcount(address) => entries.iter().any(|entry| {
                entry.address == address
                    && self.expected(entries, address).is_some_and(|expected| expected != entry.refcount.into())
            }),
        }
    }

    /// The refcount that a device should have by what is listed directly below it, if that can be told.
    fn expected(&self, entries: &[Entry], address: Address) -> Option<u64> {
        match self.devices.get(&address) {
            Some(found) if !found.is_bridge => Some(1),
            Some(_) if !self.lost.contains(&address) => {
                let is_child = |entry: &&Entry| {
                    self.devices.get(&entry.address).is_some_and(|found| found.upstream == Some(address))
                };
                Some(entries.iter().filter(is_child).map(|entry| u64::from(entry.refcount)).sum())
            }
            _ => None,
        }
    }

    /// Whether a device may be missing, because a listed bridge of its domain lost its buses and its own bus was not scanned.
    pub(crate) fn excuses(&self, entries: &[Entry], address: Address) -> bool {
        let is_listed = |bridge: &Address| entries.iter().any(|entry| entry.address == *bridge);
        let is_beside = |other: Address| other.domain() == address.domain() && other.bus() == address.bus();

        let is_above = |bridge: &&Address| bridge.domain() == address.domain() && bridge.bus() < address.bus();

        self.lost.iter().filter(is_above).any(is_listed)
            && !self.devices.keys().any(|&other| is_beside(other) && is_listed(&other))
    }

    /// Whether there is nothing to be said against the entries.
    pub(crate) fn agrees(&self, entries: &[Entry]) -> bool {
        entries.iter().all(|entry| {
            let address = entry.address;
            let excused = self.excuses(entries, address);
            let is_missing = self.contradicts(entries, Contradiction::Missing(address));
            let upstream = self.devices.get(&address).and_then(|found| found.upstream);

            (excused || !is_missing)
                && upstream.is_none_or(|bridge| entries.iter().any(|entry| entry.address == bridge))
                && self.expected(entries, address).is_none_or(|expected| expected == entry.refcount.into())
        })
    }
}
