// SPDX-License-Identifier: GPL-2.0-only

//! The layout of the pages.

use proptest::prelude::*;

use crate::contents::{contents, Contents};
use crate::handover::{self, Device, Page, Table, Unit};
use crate::handover::{DEVICE_SIZE, DOMAIN_SIZE, HEADER_SIZE, PAGE_SIZE, TABLE_SIZE, UNIT_SIZE};
use crate::handover::{MAX_DEVICES, MAX_DOMAINS, MAX_UNITS, SCALABLE, VERSION};
use crate::image::{put, Image, DEVICES, UNITS};
use crate::record;

/// Numbers of which each byte tells where it belongs.
const UNIT: Unit = Unit { registers: 0x0102_0304_0506_0708, root: 0x1112_1314_1516_1718, scalable: true };

const DEVICE: Device = Device { segment: 0x2122_2324, bdf: 0x3132, did: 0x4142, unit: 0x5152_5354 };

fn table() -> Table {
    Table(std::array::from_fn(|byte| 0x60 + byte as u8))
}

#[test]
fn the_constants_are_those_of_the_abi() {
    assert_eq!((VERSION, SCALABLE), (1, 1));
    assert_eq!((HEADER_SIZE, UNIT_SIZE, DOMAIN_SIZE, TABLE_SIZE, DEVICE_SIZE), (24, 24, 48, 32, 16));
    assert_eq!((PAGE_SIZE, MAX_UNITS, MAX_DEVICES, MAX_DOMAINS), (4096, UNITS, DEVICES, 65_536));
}

#[test]
fn the_header_has_the_layout_of_the_abi() {
    let mut wanted = [0; 4096];
    put(&mut wanted, 0, 1u32.to_ne_bytes());
    put(&mut wanted, 4, 0x0102_0304u32.to_ne_bytes());
    put(&mut wanted, 8, 0x1112_1314u32.to_ne_bytes());
    put(&mut wanted, 16, 0x2122_2324_2526_2728u64.to_ne_bytes());

    let mut page = [0xff; 4096];
    record::header::clear(&mut page);
    record::header::set_nr_units(&mut page, 0x0102_0304);
    record::header::set_domains(&mut page, 0x2122_2324_2526_2728, 0x1112_1314);
    assert_eq!(page, wanted);
    assert_eq!(handover::header::domains(&page), (0x1112_1314, 0x2122_2324_2526_2728));
}

#[test]
fn a_unit_has_the_layout_of_the_abi() {
    // The first, one in the middle, and the last, which ends 16 bytes before the page does.
    for index in [0, 7, UNITS - 1] {
        let at = 24 + 24 * index;
        let mut wanted = [0xff; 4096];
        put(&mut wanted, at, UNIT.registers.to_ne_bytes());
        put(&mut wanted, at + 8, UNIT.root.to_ne_bytes());
        put(&mut wanted, at + 16, 1u32.to_ne_bytes());
        put(&mut wanted, at + 20, 0u32.to_ne_bytes());

        let mut page = [0xff; 4096];
        record::header::set_unit(&mut page, index, UNIT);
        assert_eq!(page, wanted, "unit {index}");

        put(&mut wanted, at + 16, 0u32.to_ne_bytes());
        record::header::set_unit(&mut page, index, Unit { scalable: false, ..UNIT });
        assert_eq!(page, wanted, "unit {index} in legacy mode");
    }
}

#[test]
fn a_domain_has_the_layout_of_the_abi() {
    let mut wanted = [0; 4096];
    put(&mut wanted, 0, 0x0102_0304_0506_0708u64.to_ne_bytes());
    put(&mut wanted, 8, table().0);
    put(&mut wanted, 40, 0x1112_1314u32.to_ne_bytes());

    let mut page = [0; 4096];
    record::domain::set_next(&mut page, 0x0102_0304_0506_0708);
    record::domain::set_table(&mut page, table());
    record::domain::set_nr_devices(&mut page, 0x1112_1314);
    assert_eq!(page, wanted);
    assert_eq!(handover::domain::next(&page), 0x0102_0304_0506_0708);
    assert_eq!(handover::domain::table(&page), table());
    assert_eq!(handover::domain::nr_devices(&page), 0x1112_1314);
}

#[test]
fn a_device_has_the_layout_of_the_abi() {
    // The first, one in the middle, and the last, which ends with the page.
    for index in [0, 7, DEVICES - 1] {
        let at = 48 + 16 * index;
        let mut wanted = [0xff; 4096];
        put(&mut wanted, at, DEVICE.segment.to_ne_bytes());
        put(&mut wanted, at + 4, DEVICE.bdf.to_ne_bytes());
        put(&mut wanted, at + 6, DEVICE.did.to_ne_bytes());
        put(&mut wanted, at + 8, DEVICE.unit.to_ne_bytes());
        put(&mut wanted, at + 12, 0u32.to_ne_bytes());

        let mut page = [0xff; 4096];
        record::domain::set_device(&mut page, index, DEVICE);
        assert_eq!(page, wanted, "device {index}");
        assert_eq!(handover::domain::device(&page, index), DEVICE);
    }
}

/// The kernel never writes those, so that it only has to be harmless.
#[test]
fn what_has_no_room_is_not_written_beyond_the_page() {
    let mut page = [0; 4096];
    record::domain::set_device(&mut page, DEVICES, DEVICE);
    assert_eq!(page, [0; 4096]);
    record::header::set_unit(&mut page, UNITS + 1, UNIT);
    assert_eq!(page, [0; 4096]);
    // One has room for a part of it, which is behind all that is read.
    record::header::set_unit(&mut page, UNITS, UNIT);
    assert_eq!(page[..24 + 24 * UNITS], [0; 24 + 24 * UNITS]);
}

#[test]
fn nothing_is_handed_over_at_first() {
    let mut page = Box::new([0xff; 4096]);
    record::header::clear(&mut page);
    let image = Image { header: page, pages: Default::default() };
    assert_eq!(image.read().result, Ok(Contents::default()));
    assert_eq!(image, Image::new(&Contents::default()));
}

/// The bytes by which a page becomes one that is not known, if each is set in turn and nothing else is.
fn reserved(is_known: impl Fn(&Page) -> bool) -> Vec<usize> {
    let is_reserved = |&byte: &usize| !is_known(&over(&[0; 4096], |page| page[byte] = 1 << (byte % 8)));
    (0..4096).filter(is_reserved).collect()
}

/// No byte more and no byte less.
#[test]
fn the_reserved_fields_are_those_of_the_abi() {
    assert_eq!(reserved(handover::header::is_known), [12, 13, 14, 15]);

    for devices in [0, 1, 2, 100, DEVICES] {
        let in_devices = (0..devices).flat_map(|index| (12..16).map(move |byte| 48 + 16 * index + byte));
        let wanted: Vec<usize> = [19, 20, 21, 22, 23, 44, 45, 46, 47].into_iter().chain(in_devices).collect();
        assert_eq!(reserved(|page| handover::domain::is_known(page, devices)), wanted, "{devices} devices");
    }
}

/// A page in which something is written over what was there before.
fn over<T>(before: &Page, write: impl FnOnce(&mut Page) -> T) -> Page {
    let mut page = *before;
    write(&mut page);
    page
}

/// Which bytes of two pages differ, as one range.
fn differ(one: &Page, other: &Page) -> Option<(usize, usize)> {
    let first = (0..4096).find(|&byte| one[byte] != other[byte])?;
    let last = (0..4096).rfind(|&byte| one[byte] != other[byte])?;
    Some((first, last))
}

/// Whether nothing but these bytes differs.
fn is_within(change: Option<(usize, usize)>, from: usize, to: usize) -> bool {
    change.is_none_or(|(first, last)| from <= first && last < to)
}

proptest! {
    /// Byte by byte, whatever was in the memory before.
    #[test]
    fn the_kernel_writes_what_the_abi_says(contents in contents(), before: u8) {
        prop_assert_eq!(Image::written(&contents, before), Image::new(&contents));
    }

    #[test]
    fn what_is_written_is_read(contents in contents(), before: u8) {
        prop_assert_eq!(Image::written(&contents, before).read().result, Ok(contents));
    }

    /// Each field is written without regard to the others, over anything.
    #[test]
    fn a_field_is_written_where_it_is(
        before: u8,
        index in 0..UNITS,
        registers: u64,
        root: u64,
        scalable: bool,
        device: (u32, u16, u16, u32),
    ) {
        let unit = Unit { registers, root, scalable };
        let device = Device { segment: device.0, bdf: device.1, did: device.2, unit: device.3 };
        let before = [before; 4096];

        let page = over(&before, |page| record::header::set_unit(page, index, unit));
        prop_assert!(is_within(differ(&page, &before), 24 + 24 * index, 48 + 24 * index));
        let page = over(&before, |page| record::domain::set_device(page, index, device));
        prop_assert!(is_within(differ(&page, &before), 48 + 16 * index, 64 + 16 * index));
        prop_assert_eq!(handover::domain::device(&page, index), device);
        let page = over(&before, |page| record::header::set_nr_units(page, device.segment));
        prop_assert!(is_within(differ(&page, &before), 4, 8));
        let page = over(&before, |page| record::header::set_domains(page, root, 0));
        prop_assert!(is_within(differ(&page, &before), 8, 24));
        prop_assert_eq!(&page[12..16], &before[12..16]);
        let page = over(&before, |page| record::domain::set_next(page, root));
        prop_assert!(is_within(differ(&page, &before), 0, 8));
        let page = over(&before, |page| record::domain::set_nr_devices(page, device.segment));
        prop_assert!(is_within(differ(&page, &before), 40, 44));
    }

    /// Whatever the previous kernel wrote for a unit is refused, or means exactly what was written.
    #[test]
    fn any_unit_is_refused_or_kept(
        bytes: [u8; 24],
        mode in prop_oneof![Just(0u32), Just(1), any::<u32>()],
        clean: bool,
    ) {
        let mut page = [0; 4096];
        put(&mut page, 24, bytes);
        put(&mut page, 40, mode.to_ne_bytes());
        if clean {
            put(&mut page, 44, 0u32.to_ne_bytes());
        }
        match handover::header::unit(&page, 0) {
            Ok(unit) => prop_assert_eq!(over(&[0; 4096], |page| record::header::set_unit(page, 0, unit)), page),
            Err(_) => prop_assert!(mode > 1 || page[44..48] != [0; 4]),
        }
    }
}
