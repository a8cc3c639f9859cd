// SPDX-License-Identifier: GPL-2.0-only

//! The list of tracked devices by itself.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};

use crate::handover::{Address, Entry, Fault};
use crate::tracked::{self, Found, Tracked};

/// Addresses that are close together: same and neighbouring domains, buses and functions.
fn address() -> impl Strategy<Value = Address> {
    let domain = prop_oneof![0u32..3, 0x1_0000u32..0x1_0002, i32::MAX as u32 - 1..=i32::MAX as u32];
    let byte = prop_oneof![0u8..4, 254u8..];
    (domain, byte.clone(), byte).prop_map(|(domain, bus, devfn)| Address::new(domain, u16::from_be_bytes([bus, devfn])))
}

fn tracked(address: Address) -> Tracked {
    Tracked::new(Entry { address, refcount: 1 })
}

/// Devices in the order in which they are kept.
fn sorted(addresses: &BTreeSet<Address>) -> Vec<Tracked> {
    addresses.iter().copied().map(tracked).collect()
}

/// What is looked up by domain, bus and function, all of which are found in the address.
fn parts(address: Address) -> (u32, u8, u8) {
    (address.domain(), address.bus(), address.devfn())
}

#[test]
fn a_device_that_was_not_found_yet_is_nothing_but_its_entry() {
    let entry = Entry { address: Address::new(0, 0x0100), refcount: 7 };
    let device = Tracked::new(entry);
    assert_eq!((device.entry, device.unfinished, device.found), (entry, 7, None));
    assert!(!device.claimed && !device.lost_buses && !device.unreachable && !device.is_bridge());
}

#[test]
fn what_was_found_tells_a_bridge() {
    let mut device = tracked(Address::new(0, 0x0100));
    device.found = Some(Found { upstream: None, is_bridge: false });
    assert!(!device.is_bridge());
    device.found = Some(Found { upstream: None, is_bridge: true });
    assert!(device.is_bridge());
}

proptest! {
    #[test]
    fn devices_are_sorted_and_duplicates_refused(addresses in vec(address(), 0..20)) {
        let mut devices: Vec<Tracked> = addresses.iter().copied().map(tracked).collect();
        let unique: BTreeSet<Address> = addresses.iter().copied().collect();

        match tracked::sort(&mut devices) {
            Ok(()) => {
                let sorted: Vec<_> = devices.iter().map(|device| parts(device.entry.address)).collect();
                let mut wanted: Vec<_> = addresses.iter().copied().map(parts).collect();
                wanted.sort_unstable();
                prop_assert_eq!(sorted, wanted);
                prop_assert_eq!(unique.len(), addresses.len());
            }
            Err(Fault::Duplicate(twice)) => {
                prop_assert!(addresses.iter().filter(|address| **address == twice).count() > 1);
            }
            Err(fault) => prop_assert!(false, "{}", fault),
        }
    }

    #[test]
    fn exactly_the_listed_devices_are_found(addresses in prop::collection::btree_set(address(), 0..40), wanted in address()) {
        let mut devices = sorted(&addresses);
        let found = tracked::find(&mut devices, wanted).map(|device| device.entry.address);
        prop_assert_eq!(found, addresses.get(&wanted).copied());
        for &address in &addresses {
            let found = tracked::find(&mut devices, address).map(|device| device.entry.address);
            prop_assert_eq!(found, Some(address));
        }
    }

    #[test]
    fn a_bus_is_used_until_its_devices_are_finished(
        addresses in prop::collection::btree_set((address(), any::<bool>()), 0..40),
        at in address(),
    ) {
        let finished: BTreeSet<Address> = addresses.iter().filter(|(_, done)| *done).map(|(address, _)| *address).collect();
        let addresses: BTreeSet<Address> = addresses.into_iter().map(|(address, _)| address).collect();
        let mut devices = sorted(&addresses);
        for device in devices.iter_mut().filter(|device| finished.contains(&device.entry.address)) {
            device.unfinished = 0;
        }
        // As many look-ups hit as miss.
        for (domain, bus) in addresses.iter().chain([&at]).map(|address| (address.domain(), address.bus())) {
            let used = addresses.difference(&finished).any(|address| (address.domain(), address.bus()) == (domain, bus));
            prop_assert_eq!(tracked::uses_bus(&devices, domain, bus), used);
        }
    }
}
