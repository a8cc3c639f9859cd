// SPDX-License-Identifier: GPL-2.0-only

//! What should be refused, and is not yet.
//!
//! Each test fails, and says why the kernel has to change for it.

use crate::contents::{Contents, Part};
use crate::handover::{check, Device, Fault, Table, Unit};
use crate::image::{device_at, put, Image};

/// Two devices behind one unit, in two domains.
fn contents() -> Contents {
    let unit = Unit { registers: 0xfed9_0000, root: 0x1000, scalable: true };
    let parts = [0, 1].map(|domain| Part { domain, unit: 0, gap: 0 });
    Contents::new(vec![unit], &[Table([0; 32]); 2], &parts)
}

/// Whether an image is refused in which something is set that has no meaning yet.
fn is_refused(damage: impl FnOnce(&mut Image)) -> bool {
    let mut image = Image::new(&contents());
    damage(&mut image);
    image.read().result.is_err()
}

/// The ABI says that these fields are zero. A kernel that gives one a meaning relies on being refused where that is not
/// known, as it is with that of a unit.
#[test]
#[ignore = "handover.rs does not look at iommu_ser.reserved"]
fn a_header_with_something_reserved() {
    assert!(is_refused(|image| put(&mut image.header, 12, 1u32.to_ne_bytes())));
}

#[test]
#[ignore = "handover.rs does not look at iommu_domain_ser.reserved"]
fn a_domain_with_something_reserved() {
    assert!(is_refused(|image| put(image.page(1), 44, 1u32.to_ne_bytes())));
}

#[test]
#[ignore = "handover.rs does not look at iommu_dev_ser.reserved"]
fn a_device_with_something_reserved() {
    assert!(is_refused(|image| put(image.page(1), device_at(0) + 12, 1u32.to_ne_bytes())));
}

/// Nor does `pt_iommu_init_restored()`, which gets the table as it is.
#[test]
#[ignore = "neither handover.rs nor iommu_pt.h looks at pt_iommu_ser.reserved"]
fn a_table_with_something_reserved() {
    assert!((19..24).all(|byte| is_refused(|image| image.page(1)[byte] = 1)));
}

/// A domain has one id on each unit, by which the next kernel invalidates what the hardware has cached of it. With two
/// it would miss what is cached under the other one.
#[test]
#[ignore = "handover::check only compares ids of different domains"]
fn a_domain_with_two_ids_on_a_unit() {
    let device = |bdf, did| (0, Device { segment: 0, bdf, did, unit: 0 });
    let fault = check(&mut [device(0x0100, 2), device(0x0200, 3)]);
    assert!(matches!(fault, Err(Fault::DomainId(0, 0x0100 | 0x0200))), "{fault:?}");
}

/// Nobody writes one, as a domain goes with its last device. Its tables would belong to nobody.
#[test]
#[ignore = "handover.rs accepts any number of devices that has room"]
fn a_domain_without_devices() {
    assert!(is_refused(|image| put(image.page(1), 40, 0u32.to_ne_bytes())));
}
