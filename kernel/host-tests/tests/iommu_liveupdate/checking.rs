// SPDX-License-Identifier: GPL-2.0-only

//! The devices of all domains against each other.
//!
//! Lists are random, and close enough together that what must not happen does.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::contents::contents;
use crate::handover::{check, find, Device, Fault};
use crate::opinion::{self, Listed};

/// Addresses that are close together, and at the ends: neighbouring segments, buses and functions.
fn address() -> impl Strategy<Value = (u32, u16)> {
    let segment = prop_oneof![0u32..3, 0x1_0000u32..0x1_0002, u32::MAX - 1..=u32::MAX];
    let byte = prop_oneof![0u8..4, 254u8..];
    (segment, byte.clone(), byte).prop_map(|(segment, bus, devfn)| (segment, u16::from_be_bytes([bus, devfn])))
}

/// Any device of one of few domains, behind one of few units, with one of few ids.
fn listed() -> impl Strategy<Value = Listed> {
    let few = prop_oneof![0u32..3, u32::MAX - 1..=u32::MAX];
    let did = prop_oneof![0u16..6, u16::MAX - 1..=u16::MAX];
    (few.clone(), address(), did, few)
        .prop_map(|(domain, (segment, bdf), did, unit)| (domain, Device { segment, bdf, did, unit }))
}

fn sorted(devices: &[Listed]) -> Vec<Listed> {
    let mut sorted = devices.to_vec();
    sorted.sort_by_key(|(domain, device)| (device.address(), device.unit, device.did, *domain));
    sorted
}

proptest! {
    #[test]
    fn what_the_kernel_hands_over_is_right(contents in contents()) {
        let mut devices = contents.devices();
        prop_assert_eq!(check(contents.units.len(), &mut devices), Ok(()));
        prop_assert_eq!(&devices, &sorted(&contents.devices()));
        // Checking again changes nothing.
        prop_assert_eq!(check(contents.units.len(), &mut devices), Ok(()));
        prop_assert_eq!(&devices, &sorted(&contents.devices()));
    }

    /// Nothing is a fault that is none, and nothing that is one passes.
    #[test]
    fn any_list_is_right_or_has_a_fault(listed in vec(listed(), 0..12), nr_units in 0usize..4) {
        let mut devices = listed.clone();
        match check(nr_units, &mut devices) {
            Ok(()) => {
                prop_assert!(opinion::is_right(nr_units, &listed));
                // Neither lost nor made up, in the order of the addresses, of which no two are the same.
                prop_assert_eq!(&devices, &sorted(&listed));
                prop_assert!(devices.windows(2).all(|pair| pair[0].1.address() < pair[1].1.address()));
            }
            Err(fault) => prop_assert!(opinion::has(nr_units, &listed, fault), "{}", fault),
        }
    }

    #[test]
    fn a_device_is_listed_twice(contents in contents(), which: Index, at: Index) {
        let mut devices = contents.devices();
        let twice = devices[which.index(devices.len())];
        devices.insert(at.index(devices.len() + 1), twice);
        prop_assert_eq!(check(contents.units.len(), &mut devices), Err(Fault::Device(twice.1.segment, twice.1.bdf)));
    }

    /// Whatever else the second one says, and even if there are units that nobody uses: it is looked at first.
    #[test]
    fn an_address_is_listed_twice(contents in contents(), which: Index, mut second in listed(), unused in 0usize..3) {
        let mut devices = contents.devices();
        let (_, first) = devices[which.index(devices.len())];
        (second.1.segment, second.1.bdf) = first.address();
        devices.push(second);
        let fault = check(contents.units.len() + unused, &mut devices);
        prop_assert_eq!(fault, Err(Fault::Device(first.segment, first.bdf)));
    }

    /// At the beginning, at the end and between others.
    #[test]
    fn a_unit_has_no_devices(contents in contents(), at: Index) {
        let mut contents = contents;
        let unused = at.index(contents.units.len() + 1);
        contents.insert_unit(unused, contents.units[0]);
        prop_assert_eq!(check(contents.units.len(), &mut contents.devices()), Err(Fault::Unit(unused)));
        // Not if there is no such unit.
        let devices = contents.devices();
        let mut before: Vec<Listed> =
            devices.iter().filter(|(_, device)| (device.unit as usize) < unused).copied().collect();
        prop_assert_eq!(check(unused, &mut before), Ok(()));
    }

    /// The last device that goes makes the difference.
    #[test]
    fn a_unit_loses_its_devices(contents in contents(), which: Index) {
        let nr_units = contents.units.len();
        let unit = which.index(nr_units);
        let mut left = contents.devices();
        left.retain(|(_, device)| device.unit as usize != unit);
        prop_assert_eq!(check(nr_units, &mut left.clone()), Err(Fault::Unit(unit)));
        for listed in contents.devices().into_iter().filter(|(_, device)| device.unit as usize == unit) {
            let mut with_one = left.clone();
            with_one.push(listed);
            prop_assert_eq!(check(nr_units, &mut with_one), Ok(()));
        }
    }

    /// A domain id says nothing about any other unit, nor is it used up by a device.
    #[test]
    fn a_domain_id_is_one_of_a_unit(domains in vec((any::<u32>(), address()), 1..8), did: u16) {
        // Each behind a unit of its own, in any domains.
        let mut devices: Vec<Listed> = (0..)
            .zip(&domains)
            .map(|(unit, &(domain, (segment, bdf)))| (domain, Device { segment, bdf, did, unit }))
            .collect();
        // Behind one unit, all in one domain.
        let mut together: Vec<Listed> =
            devices.iter().map(|&(_, device)| (7, Device { unit: 0, ..device })).collect();
        let in_order = sorted(&devices);

        prop_assume!(in_order.windows(2).all(|pair| pair[0].1.address() != pair[1].1.address()));
        prop_assert_eq!(check(domains.len(), &mut devices), Ok(()));
        prop_assert_eq!(check(1, &mut together), Ok(()));
    }

    #[test]
    fn a_domain_id_is_that_of_two_domains(
        one in address(),
        other in address(),
        did: u16,
        unit: u32,
        domain: u32,
        by in 1u32..,
    ) {
        prop_assume!(one != other);
        let device = |(segment, bdf)| Device { segment, bdf, did, unit };
        let mut devices = [(domain, device(one)), (domain.wrapping_add(by), device(other))];
        let fault = check(0, &mut devices);
        let named = [one, other].map(|(segment, bdf)| Err(Fault::DomainId(segment, bdf)));
        prop_assert!(named.contains(&fault), "{:?}", fault);
        // Either would do with another id, or behind another unit.
        devices[0].1.did ^= 1;
        prop_assert_eq!(check(0, &mut devices), Ok(()));
        devices[0].1.did ^= 1;
        devices[0].1.unit ^= 1;
        prop_assert_eq!(check(0, &mut devices), Ok(()));
    }

    /// The next kernel invalidates by one of them what the hardware has cached of the domain, and would miss the rest.
    #[test]
    fn a_domain_has_two_ids(
        one in address(),
        other in address(),
        did: u16,
        unit: u32,
        domain: u32,
        by in 1u16..,
    ) {
        prop_assume!(one != other);
        let device = |(segment, bdf), did| Device { segment, bdf, did, unit };
        let mut devices = [(domain, device(one, did)), (domain, device(other, did.wrapping_add(by)))];
        let fault = check(0, &mut devices);
        let named = [one, other].map(|(segment, bdf)| Err(Fault::DomainId(segment, bdf)));
        prop_assert!(named.contains(&fault), "{:?}", fault);
        // Either would do behind another unit, or in another domain.
        devices[0].1.unit ^= 1;
        prop_assert_eq!(check(0, &mut devices), Ok(()));
        devices[0].1.unit ^= 1;
        devices[0].0 ^= 1;
        prop_assert_eq!(check(0, &mut devices), Ok(()));
    }

    /// Among others that are right, and wherever those are.
    #[test]
    fn a_device_has_another_id_than_its_domain(contents in contents(), which: Index, at: u32, did: u16) {
        let mut devices = contents.devices();
        let (domain, like) = devices[which.index(devices.len())];
        let (segment, bdf) = contents.free_address(at);
        // Unless it is the right one, it is that of nobody, or of another domain.
        devices.push((domain, Device { segment, bdf, did, ..like }));
        let result = check(contents.units.len(), &mut devices.clone());
        if did == like.did {
            prop_assert_eq!(result, Ok(()));
        } else {
            let fault = result.expect_err("it is not right");
            prop_assert!(matches!(fault, Fault::DomainId(..)), "{}", fault);
            prop_assert!(opinion::has(contents.units.len(), &devices, fault));
        }
    }

    #[test]
    fn exactly_the_listed_devices_are_found(contents in contents(), wanted in address()) {
        let mut devices = contents.devices();
        prop_assert_eq!(check(contents.units.len(), &mut devices), Ok(()));
        for (index, listed) in devices.iter().enumerate() {
            prop_assert_eq!(find(&devices, listed.1.segment, listed.1.bdf), Some(index));
        }
        // Those right beside one are there or not.
        let beside = contents.devices().into_iter().map(|(_, device)| device.address());
        let beside = beside.flat_map(|(segment, bdf)| [(segment ^ 1, bdf), (segment, bdf ^ 1), (segment, bdf ^ 0x100)]);
        for (segment, bdf) in beside.chain([wanted]) {
            let is_listed = |(_, device): &Listed| device.address() == (segment, bdf);
            prop_assert_eq!(find(&devices, segment, bdf), devices.iter().position(is_listed));
        }
    }
}

#[test]
fn nothing_is_right_and_has_nothing() {
    assert_eq!(check(0, &mut []), Ok(()));
    assert_eq!(find(&[], 0, 0), None);
}

#[test]
fn of_several_units_without_devices_the_first_is_named() {
    assert_eq!(check(1, &mut []), Err(Fault::Unit(0)));
    assert_eq!(check(169, &mut []), Err(Fault::Unit(0)));
    let device = |unit| (0, Device { segment: 0, bdf: 0, did: 2, unit });
    assert_eq!(check(169, &mut [device(0)]), Err(Fault::Unit(1)));
    assert_eq!(check(169, &mut [device(168)]), Err(Fault::Unit(0)));
}

/// Bus numbers count for more than those of functions, and segments for more than both.
#[test]
fn addresses_are_sorted_by_segment_bus_and_function() {
    let addresses = [(0, 0x0000), (0, 0x00ff), (0, 0x0100), (0, 0xff00), (1, 0x0001), (u32::MAX, 0)];
    let device = |(segment, bdf)| Device { segment, bdf, did: 2, unit: 0 };
    let mut devices: Vec<Listed> = addresses.iter().rev().map(|&address| (0, device(address))).collect();
    assert_eq!(check(1, &mut devices), Ok(()));
    let sorted: Vec<_> = devices.iter().map(|(_, device)| device.address()).collect();
    assert_eq!(sorted, addresses);
}

/// As many devices as a segment can have, behind as many units as there can be, each in one of several domains.
#[test]
fn a_segment_may_be_full() {
    let device = |bdf: u16| Device { segment: 3, bdf, did: 2 + bdf % 1009, unit: u32::from(bdf) % 169 };
    let mut devices: Vec<Listed> = (0..=u16::MAX).rev().map(|bdf| (u32::from(bdf % 1009), device(bdf))).collect();
    assert_eq!(check(169, &mut devices), Ok(()));
    assert!((0..=u16::MAX).all(|bdf| find(&devices, 3, bdf) == Some(bdf.into())));
    assert_eq!(check(170, &mut devices), Err(Fault::Unit(169)));
}
