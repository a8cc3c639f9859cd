// SPDX-License-Identifier: GPL-2.0-only

//! The devices of all domains against each other.
//!
//! Lists are random, and close enough together that what must not happen does. A second opinion compares each device
//! with each other.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::contents::contents;
use crate::handover::{check, find, Device, Fault};

/// A device of a domain.
type Listed = (u32, Device);

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

/// Whether two devices must not be listed together, and why.
fn conflict(one: &Listed, other: &Listed) -> Option<fn(u32, u16) -> Fault> {
    if one.0 != other.0 && (one.1.unit, one.1.did) == (other.1.unit, other.1.did) {
        Some(Fault::DomainId)
    } else if one.1.address() == other.1.address() {
        Some(Fault::Device)
    } else {
        None
    }
}

/// The faults that there are, each with the device that it is found at.
fn faults(devices: &[Listed]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, one) in devices.iter().enumerate() {
        for (_, other) in devices.iter().enumerate().filter(|(other, _)| *other != index) {
            if let Some(fault) = conflict(one, other) {
                faults.push(fault(one.1.segment, one.1.bdf));
            }
        }
    }
    faults
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
        prop_assert_eq!(check(&mut devices), Ok(()));
        prop_assert_eq!(&devices, &sorted(&contents.devices()));
        // Checking again changes nothing.
        prop_assert_eq!(check(&mut devices), Ok(()));
    }

    /// Nothing is a fault that is none, and nothing that is one passes.
    #[test]
    fn any_list_is_right_or_has_a_fault(listed in vec(listed(), 0..12)) {
        let mut devices = listed.clone();
        let faults = faults(&listed);
        match check(&mut devices) {
            Ok(()) => {
                prop_assert_eq!(faults, []);
                // Neither lost nor made up, in the order of the addresses, of which no two are the same.
                prop_assert_eq!(&devices, &sorted(&listed));
                prop_assert!(devices.windows(2).all(|pair| pair[0].1.address() < pair[1].1.address()));
            }
            Err(fault) => prop_assert!(faults.contains(&fault), "{}: {:?}", fault, faults),
        }
    }

    #[test]
    fn a_device_is_listed_twice(contents in contents(), which: Index, at: Index) {
        let mut devices = contents.devices();
        let twice = devices[which.index(devices.len())];
        devices.insert(at.index(devices.len() + 1), twice);
        prop_assert_eq!(check(&mut devices), Err(Fault::Device(twice.1.segment, twice.1.bdf)));
    }

    /// Whatever else the second one says.
    #[test]
    fn an_address_is_listed_twice(contents in contents(), which: Index, mut second in listed()) {
        let mut devices = contents.devices();
        let (_, first) = devices[which.index(devices.len())];
        (second.1.segment, second.1.bdf) = first.address();
        let is_other_fault = |fault: fn(u32, u16) -> Fault| fault(0, 0) == Fault::DomainId(0, 0);
        prop_assume!(!devices.iter().any(|other| conflict(&second, other).is_some_and(is_other_fault)));
        devices.push(second);
        prop_assert_eq!(check(&mut devices), Err(Fault::Device(first.segment, first.bdf)));
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
        prop_assert_eq!(check(&mut devices), Ok(()));
        prop_assert_eq!(check(&mut together), Ok(()));
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
        let fault = check(&mut devices);
        let named = [one, other].map(|(segment, bdf)| Err(Fault::DomainId(segment, bdf)));
        prop_assert!(named.contains(&fault), "{:?}", fault);
        // Either would do with another id, or behind another unit.
        devices[0].1.did ^= 1;
        prop_assert_eq!(check(&mut devices), Ok(()));
        devices[0].1.did ^= 1;
        devices[0].1.unit ^= 1;
        prop_assert_eq!(check(&mut devices), Ok(()));
    }

    #[test]
    fn exactly_the_listed_devices_are_found(contents in contents(), wanted in address()) {
        let mut devices = contents.devices();
        prop_assert_eq!(check(&mut devices), Ok(()));
        for listed in contents.devices() {
            prop_assert_eq!(find(&devices, listed.1.segment, listed.1.bdf), Some(&listed));
        }
        // Those right beside one are there or not.
        let beside = contents.devices().into_iter().map(|(_, device)| device.address());
        let beside = beside.flat_map(|(segment, bdf)| [(segment ^ 1, bdf), (segment, bdf ^ 1), (segment, bdf ^ 0x100)]);
        for (segment, bdf) in beside.chain([wanted]) {
            let is_listed = |(_, device): &&Listed| device.address() == (segment, bdf);
            let listed = contents.devices();
            prop_assert_eq!(find(&devices, segment, bdf), listed.iter().find(is_listed));
        }
    }
}

#[test]
fn nothing_is_right_and_has_nothing() {
    assert_eq!(check(&mut []), Ok(()));
    assert_eq!(find(&[], 0, 0), None);
}

/// Bus numbers count for more than those of functions, and segments for more than both.
#[test]
fn addresses_are_sorted_by_segment_bus_and_function() {
    let addresses = [(0, 0x0000), (0, 0x00ff), (0, 0x0100), (0, 0xff00), (1, 0x0001), (u32::MAX, 0)];
    let device = |(segment, bdf)| Device { segment, bdf, did: bdf, unit: segment };
    let mut devices: Vec<Listed> = addresses.iter().rev().map(|&address| (0, device(address))).collect();
    assert_eq!(check(&mut devices), Ok(()));
    let sorted: Vec<_> = devices.iter().map(|(_, device)| device.address()).collect();
    assert_eq!(sorted, addresses);
}
