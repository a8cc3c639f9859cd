// SPDX-License-Identifier: GPL-2.0-only

//! What was handed over against what was found.
//!
//! Machines are random, and so is which of their endpoints were preserved. What follows from that is right; what differs
//! from it in one point has to be noticed, and the device that is named has to be the one to look at.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::handover::{Address, Entry};
use crate::topology::{Machine, Part, MAX_PARTS, ROOTS};
use crate::tracked::{check, Contradiction, Tracked};

/// A machine, and what was handed over of it: at least one device.
#[derive(Clone, Debug)]
struct Case {
    machine: Machine,
    entries: Vec<Entry>,
}

fn case() -> impl Strategy<Value = Case> {
    let part = (any::<bool>(), 0..1000usize, 0..4u8).prop_map(|(is_bridge, bus, gap)| Part { is_bridge, bus, gap });
    let machine = vec(part, 1..MAX_PARTS).prop_map(|parts| Machine::new(&parts));

    (machine, vec(any::<bool>(), MAX_PARTS))
        .prop_map(|(machine, is_preserved)| {
            let endpoints = machine.endpoints().into_iter().zip(is_preserved);
            let preserved: Vec<_> = endpoints.filter(|(_, preserved)| *preserved).map(|(address, _)| address).collect();
            Case { entries: machine.hand_over(&preserved), machine }
        })
        .prop_filter("nothing was preserved", |case| !case.entries.is_empty())
}

impl Case {
    /// Entries of bridges, or of endpoints.
    fn of_kind(&self, is_bridge: bool) -> Vec<usize> {
        let is_kind = |&index: &usize| self.machine.devices[&self.entries[index].address].is_bridge == is_bridge;
        (0..self.entries.len()).filter(is_kind).collect()
    }

    fn lists(&self, address: Address) -> bool {
        self.entries.iter().any(|entry| entry.address == address)
    }

    fn scan(&self) -> Vec<Tracked> {
        self.machine.scan(&self.entries).expect("no device is listed twice")
    }

    fn check(&self) -> Result<(), Contradiction> {
        check(&mut self.scan())
    }

    /// Whether the number of devices below a device is found to be wrong.
    ///
    /// That of a bridge that lost its buses can only be told by the bridge right above it.
    fn refutes(&self, address: Address) -> bool {
        let Err(Contradiction::Refcount(wrong)) = self.check() else { return false };
        wrong == address || self.machine.lost.contains(&address) && Some(wrong) == self.machine.upstream(address)
    }
}

/// Addresses below the root buses at which there is nothing.
fn empty(machine: &Machine, domain: bool, bus: u8, devfn: u8) -> Option<Address> {
    let address = Address::new(if domain { 0x10 } else { 0 }, u16::from_be_bytes([bus, devfn]));
    (!machine.devices.contains_key(&address)).then_some(address)
}

fn unreachable(devices: &[Tracked]) -> BTreeSet<Address> {
    devices.iter().filter(|device| device.unreachable).map(|device| device.entry.address).collect()
}

proptest! {
    #[test]
    fn what_the_kernel_hands_over_is_right(case in case()) {
        let mut devices = case.scan();
        prop_assert_eq!(check(&mut devices), Ok(()));
        prop_assert_eq!(unreachable(&devices), BTreeSet::new());
        // Checking again changes nothing.
        prop_assert_eq!(check(&mut devices), Ok(()));
    }

    #[test]
    fn a_refcount_is_wrong(mut case in case(), what: Index, refcount in 1..=u16::MAX) {
        let what = what.index(case.entries.len());
        prop_assume!(case.entries[what].refcount != refcount);
        case.entries[what].refcount = refcount;
        prop_assert!(case.refutes(case.entries[what].address), "{:?}", case.check());
    }

    #[test]
    fn a_bridge_is_not_listed(mut case in case(), what: Index) {
        let bridges = case.of_kind(true);
        prop_assume!(!bridges.is_empty());
        let bridge = case.entries.remove(bridges[what.index(bridges.len())]).address;
        prop_assert_eq!(case.check(), Err(Contradiction::Untracked(bridge)));
    }

    #[test]
    fn an_endpoint_is_not_listed(mut case in case(), what: Index) {
        let endpoints = case.of_kind(false);
        let endpoint = case.entries.remove(endpoints[what.index(endpoints.len())]).address;
        match case.machine.upstream(endpoint) {
            Some(bridge) => prop_assert_eq!(case.check(), Err(Contradiction::Refcount(bridge))),
            // Nothing else tells of it.
            None => prop_assert_eq!(case.check(), Ok(())),
        }
    }

    #[test]
    fn an_endpoint_is_where_nothing_is(mut case in case(), what: Index, to: (bool, u8, u8)) {
        let to = empty(&case.machine, to.0, to.1, to.2);
        prop_assume!(to.is_some_and(|to| !case.lists(to)));
        let to = to.unwrap();
        let endpoints = case.of_kind(false);
        case.entries[endpoints[what.index(endpoints.len())]].address = to;
        prop_assert_eq!(case.check(), Err(Contradiction::Missing(to)));
    }

    #[test]
    fn an_entry_is_too_many(mut case in case(), what: Index, refcount in 1..=u16::MAX) {
        let others: Vec<Address> = case.machine.devices.keys().copied().filter(|&address| !case.lists(address)).collect();
        prop_assume!(!others.is_empty());
        let address = others[what.index(others.len())];
        let is_bridge = case.machine.devices[&address].is_bridge;
        case.entries.push(Entry { address, refcount });

        match case.machine.upstream(address) {
            Some(bridge) if !case.lists(bridge) => {
                prop_assert_eq!(case.check(), Err(Contradiction::Untracked(bridge)));
            }
            // That it was preserved as well is not impossible.
            None if !is_bridge && refcount == 1 => prop_assert_eq!(case.check(), Ok(())),
            _ => prop_assert!(case.refutes(address), "{:?}", case.check()),
        }
    }

    #[test]
    fn an_entry_is_of_nothing(mut case in case(), at: (bool, u8, u8), refcount in 1..=u16::MAX) {
        let address = empty(&case.machine, at.0, at.1, at.2);
        prop_assume!(address.is_some());
        let address = address.unwrap();
        case.entries.push(Entry { address, refcount });
        prop_assert_eq!(case.check(), Err(Contradiction::Missing(address)));
    }

    /// A device is named and not what is below it.
    #[test]
    fn a_device_is_gone(mut case in case(), what: Index) {
        let gone = case.entries[what.index(case.entries.len())].address;
        for address in case.machine.below(gone) {
            case.machine.devices.remove(&address);
        }
        case.machine.devices.remove(&gone);
        prop_assert_eq!(case.check(), Err(Contradiction::Missing(gone)));
    }

    /// What is behind it is out of reach, and nothing else is the matter.
    #[test]
    fn a_bridge_lost_its_buses(mut case in case(), which: Index) {
        let bridges = case.of_kind(true);
        prop_assume!(!bridges.is_empty());
        let bridge = case.entries[bridges[which.index(bridges.len())]].address;
        let below: BTreeSet<_> = case.machine.below(bridge).into_iter().filter(|&address| case.lists(address)).collect();
        case.machine.lose_buses(bridge);

        let mut devices = case.scan();
        prop_assert_eq!(check(&mut devices), Ok(()));
        prop_assert_eq!(unreachable(&devices), below);
    }

    /// It is no excuse for a wrong refcount elsewhere.
    #[test]
    fn a_bridge_lost_its_buses_and_a_refcount_is_wrong(
        mut case in case(),
        which: Index,
        what: Index,
        refcount in 1..=u16::MAX,
    ) {
        let bridges = case.of_kind(true);
        prop_assume!(!bridges.is_empty());
        let bridge = case.entries[bridges[which.index(bridges.len())]].address;
        case.machine.lose_buses(bridge);
        let known: Vec<usize> = (0..case.entries.len())
            .filter(|&index| case.machine.devices.contains_key(&case.entries[index].address))
            // That of the bridge can be told by what is above it, if there is anything.
            .filter(|&index| case.entries[index].address != bridge || case.machine.upstream(bridge).is_some())
            .collect();
        prop_assume!(!known.is_empty());
        let what = known[what.index(known.len())];
        prop_assume!(case.entries[what].refcount != refcount);
        case.entries[what].refcount = refcount;
        prop_assert!(case.refutes(case.entries[what].address), "{:?}", case.check());
    }

    /// It is no excuse for what is missing in another domain.
    #[test]
    fn a_bridge_lost_its_buses_and_a_device_is_gone_elsewhere(mut case in case(), which: Index, at: (bool, u8, u8)) {
        let bridges = case.of_kind(true);
        let address = empty(&case.machine, at.0, at.1, at.2);
        prop_assume!(!bridges.is_empty() && address.is_some());
        let address = address.unwrap();
        let bridge = case.entries[bridges[which.index(bridges.len())]].address;
        prop_assume!(bridge.domain() != address.domain());
        case.machine.lose_buses(bridge);
        case.entries.push(Entry { address, refcount: 1 });
        prop_assert_eq!(case.check(), Err(Contradiction::Missing(address)));
    }
}

proptest! {
    /// It is no excuse for what is missing on a bus that was scanned.
    #[test]
    fn a_bridge_lost_its_buses_and_a_device_is_gone_beside_another(mut case in case(), which: Index, beside: Index, devfn: u8) {
        let bridges = case.of_kind(true);
        prop_assume!(!bridges.is_empty());
        case.machine.lose_buses(case.entries[bridges[which.index(bridges.len())]].address);
        let found: Vec<_> =
            case.entries.iter().map(|entry| entry.address).filter(|at| case.machine.devices.contains_key(at)).collect();
        let beside = found[beside.index(found.len())];
        let address = Address::new(beside.domain(), u16::from_be_bytes([beside.bus(), devfn]));
        prop_assume!(!case.machine.devices.contains_key(&address) && !case.lists(address));
        case.entries.push(Entry { address, refcount: 1 });
        prop_assert_eq!(case.check(), Err(Contradiction::Missing(address)));
    }
}

/// The sum of what is below a bridge is neither cut off nor capped.
#[test]
fn refcounts_do_not_overflow() {
    // The first bus behind a bridge is the one after the root buses. Nothing but the bridge above knows better than a
    // bridge that lost its buses, so that the refcounts of these can be anything.
    let parts = [0, ROOTS.len(), ROOTS.len()].map(|bus| Part { is_bridge: true, bus, gap: 0 });
    let mut machine = Machine::new(&parts);
    let addresses: Vec<Address> = machine.devices.keys().copied().collect();
    machine.lost = BTreeSet::from([addresses[1], addresses[2]]);

    for (refcounts, wanted) in [
        ([7, 4, 3], Ok(())),
        ([2, u16::MAX, 3], Err(Contradiction::Refcount(addresses[0]))),
        ([u16::MAX, u16::MAX, 3], Err(Contradiction::Refcount(addresses[0]))),
    ] {
        let entries = addresses.iter().zip(refcounts).map(|(&address, refcount)| Entry { address, refcount }).collect();
        assert_eq!(Case { machine: machine.clone(), entries }.check(), wanted);
    }
}
