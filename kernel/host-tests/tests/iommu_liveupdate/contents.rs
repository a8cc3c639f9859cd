// SPDX-License-Identifier: GPL-2.0-only

//! What a hand-over says, apart from how it is written.

use std::{collections::BTreeMap, ops::RangeInclusive};

use proptest::{collection::vec, prelude::*};

use crate::handover::{Device, Table, Unit};

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
    /// One that a kernel could hand over: no device is listed twice, and each domain has an id of its own on each unit.
    ///
    /// There are no domains without devices.
    pub(crate) fn new(units: Vec<Unit>, tables: &[Table], parts: &[Part]) -> Self {
        let mut domains: BTreeMap<usize, Vec<Device>> = BTreeMap::new();
        let mut next = 0;
        for part in parts {
            let (domain, unit) = (part.domain % tables.len(), part.unit % units.len());
            let number = next + part.gap % 0x1_0000;
            next = number + 1;
            domains.entry(domain).or_default().push(Device {
                segment: number >> 16,
                // The multiplier is odd, so that addresses differ as the numbers do. They are not sorted as they are.
                bdf: (number as u16).wrapping_mul(40_503),
                // Some are the same on several units.
                did: (2 + 3 * domain + unit) as u16,
                unit: unit as u32,
            });
        }
        Self { units, domains: domains.into_iter().map(|(domain, devices)| (tables[domain], devices)).collect() }
    }

    /// All devices, each with the number of its domain, as the kernel keeps them.
    pub(crate) fn devices(&self) -> Vec<(u32, Device)> {
        let numbered = (0..).zip(&self.domains);
        numbered.flat_map(|(number, (_, devices))| devices.iter().map(move |&device| (number, device))).collect()
    }
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
    let tables = vec(any::<[u8; 32]>().prop_map(Table), 1..6);
    (units(1..=6), tables, vec(part(), 1..20)).prop_map(|(units, tables, parts)| Contents::new(units, &tables, &parts))
}
