// SPDX-License-Identifier: GPL-2.0-only

//! What a hand-over says, apart from how it is written.

use std::{collections::BTreeMap, ops::RangeInclusive};

use proptest::{collection::vec, prelude::*};

use crate::handover::{Device, Table, Unit};
use crate::opinion::Listed;

/// What a hand-over says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Contents {
    pub(crate) units: Vec<Unit>,
    /// Page tables, each with the devices that are attached to them.
    pub(crate) domains: Vec<(Table, Vec<Device>)>,
}

/// A device that is added to those there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Which domain it is attached to, by the remainder.
    pub(crate) domain: usize,
    /// Which unit it is behind, by the remainder.
    pub(crate) unit: usize,
    /// How many addresses are left out before it.
    pub(crate) gap: u32,
}

impl Contents {
    /// One that a kernel could hand over: no device is listed twice, and each domain has one id on each unit, which is
    /// its own.
    ///
    /// There are no domains without devices, nor any units: those that no part needs are left out.
    pub(crate) fn new(units: &[Unit], tables: &[Table], parts: &[Part]) -> Self {
        let mut domains: BTreeMap<usize, Vec<Device>> = BTreeMap::new();
        let is_used = |unit: &usize| parts.iter().any(|part| part.unit % units.len() == *unit);
        let used: Vec<usize> = (0..units.len()).filter(is_used).collect();
        let mut next = 0;
        for part in parts {
            let (domain, unit) = (part.domain % tables.len(), part.unit % units.len());
            let index = used.iter().position(|&used| used == unit).expect("it is used");
            let number = next + part.gap % 0x1_0000;
            next = number + 1;
            domains.entry(domain).or_default().push(Device {
                segment: number >> 16,
                // The multiplier is odd, so that addresses differ as the numbers do. They are not sorted as they are.
                bdf: (number as u16).wrapping_mul(40_503),
                // Some are the same on several units.
                did: (2 + 3 * domain + unit) as u16,
                unit: index as u32,
            });
        }
        Self {
            units: used.into_iter().map(|unit| units[unit]).collect(),
            domains: domains.into_iter().map(|(domain, devices)| (tables[domain], devices)).collect(),
        }
    }

    /// All devices, each with the number of its domain, as the kernel keeps them.
    pub(crate) fn devices(&self) -> Vec<Listed> {
        let numbered = (0..).zip(&self.domains);
        numbered.flat_map(|(number, (_, devices))| devices.iter().map(move |&device| (number, device))).collect()
    }

    /// Lists a unit that nobody uses before another one, or as the last.
    pub(crate) fn insert_unit(&mut self, index: usize, unit: Unit) {
        self.units.insert(index, unit);
        let devices = self.domains.iter_mut().flat_map(|(_, devices)| devices);
        for device in devices.filter(|device| device.unit as usize >= index) {
            device.unit += 1;
        }
    }

    /// The first number from this one on that is that of no device, as an address.
    pub(crate) fn free_address(&self, from: u32) -> (u32, u16) {
        let addresses: Vec<_> = self.devices().iter().map(|(_, device)| device.address()).collect();
        let mut all = (from..=u32::MAX).chain(0..from).map(|number| (number >> 16, number as u16));
        all.find(|address| !addresses.contains(address)).expect("there are more addresses than devices")
    }
}

/// Page tables of which anything is said, but nothing where the ABI says that there is nothing.
pub(crate) fn table(mut bytes: [u8; 32]) -> Table {
    bytes[11..16].fill(0);
    Table(bytes)
}

/// Units, no two of which have the same registers.
fn units(count: RangeInclusive<usize>) -> impl Strategy<Value = Vec<Unit>> {
    prop::collection::btree_map(any::<u64>(), (any::<u64>(), any::<bool>()), count)
        .prop_map(|units| {
            let unit = |(registers, (root, scalable))| Unit { registers, root, scalable };
            units.into_iter().map(unit).collect::<Vec<_>>()
        })
        .prop_shuffle()
}

fn part() -> impl Strategy<Value = Part> {
    (any::<usize>(), any::<usize>(), any::<u32>()).prop_map(|(domain, unit, gap)| Part { domain, unit, gap })
}

/// What a kernel could hand over. There is at least one device.
pub(crate) fn contents() -> impl Strategy<Value = Contents> {
    let tables = vec(any::<[u8; 32]>().prop_map(table), 1..6);
    (units(1..=6), tables, vec(part(), 1..20)).prop_map(|(units, tables, parts)| Contents::new(&units, &tables, &parts))
}
