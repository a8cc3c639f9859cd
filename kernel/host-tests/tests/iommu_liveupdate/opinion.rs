// SPDX-License-Identifier: GPL-2.0-only

//! A second opinion on the devices of all domains.
//!
//! Each is compared with each other, and nothing is sorted, so that there is little to get wrong.

use crate::handover::{Device, Fault};

/// A device, and the number of its domain.
pub(crate) type Listed = (u32, Device);

/// Whether one domain id stands for two domains on a unit.
fn is_shared(one: &Listed, other: &Listed) -> bool {
    one.1.unit == other.1.unit && one.1.did == other.1.did && one.0 != other.0
}

/// Whether two domain ids stand for one domain on a unit.
fn is_second(one: &Listed, other: &Listed) -> bool {
    one.1.unit == other.1.unit && one.1.did != other.1.did && one.0 == other.0
}

/// Whether something is so of a device and another one. None of this is so of a device and itself, nor is it one-sided.
fn any_pair(devices: &[Listed], is_so: fn(&Listed, &Listed) -> bool) -> bool {
    devices.iter().enumerate().any(|(index, one)| devices[..index].iter().any(|other| is_so(one, other)))
}

/// Whether an address is listed twice.
fn is_ambiguous(devices: &[Listed]) -> bool {
    any_pair(devices, |(_, one), (_, other)| one.address() == other.address())
}

pub(crate) fn has_shared_id(devices: &[Listed]) -> bool {
    any_pair(devices, is_shared)
}

pub(crate) fn has_second_id(devices: &[Listed]) -> bool {
    any_pair(devices, is_second)
}

fn is_unused(unit: usize, devices: &[Listed]) -> bool {
    !devices.iter().any(|(_, device)| device.unit as usize == unit)
}

/// Whether the devices of all domains, behind so many units, have a fault that the kernel may name.
///
/// As long as an address is listed twice nothing else is named: what the two say contradicts itself anyway.
pub(crate) fn has(nr_units: usize, devices: &[Listed], fault: Fault) -> bool {
    match fault {
        Fault::Device(segment, bdf) => {
            devices.iter().filter(|(_, device)| device.address() == (segment, bdf)).count() > 1
        }
        Fault::Unit(index) => !is_ambiguous(devices) && index < nr_units && is_unused(index, devices),
        Fault::DomainId(segment, bdf) => {
            let is_so = |one: &Listed| devices.iter().any(|other| is_shared(one, other) || is_second(one, other));
            !is_ambiguous(devices) && devices.iter().any(|listed| listed.1.address() == (segment, bdf) && is_so(listed))
        }
        _ => false,
    }
}

/// Whether nothing can be said against the devices of all domains, behind so many units.
pub(crate) fn is_right(nr_units: usize, devices: &[Listed]) -> bool {
    !is_ambiguous(devices)
        && !has_shared_id(devices)
        && !has_second_id(devices)
        && (0..nr_units).all(|unit| !is_unused(unit, devices))
}
