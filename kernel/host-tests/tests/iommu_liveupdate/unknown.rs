// SPDX-License-Identifier: GPL-2.0-only

//! Hand-overs in which something is set that has no meaning yet.
//!
//! A kernel that gives a reserved field a meaning relies on being refused where that is not known. That of a unit is
//! among the [`faults`](crate::faults), as it has a fault of its own.

use proptest::{prelude::*, sample::Index};

use crate::contents::{contents, table, Contents, Part};
use crate::handover::{Fault, Unit};
use crate::image::{device_at, put, Image};

/// Whether it is noticed that a field is set: in the header, or in the domain that is the last of so many.
///
/// Nothing behind it is read, and without it there is nothing to be said against the image.
fn is_noticed(image: &Image, contents: &Contents, in_domain: usize) -> bool {
    let reading = image.read();
    let mut clean = image.clone();
    clean.clear_reserved();
    (reading.result, reading.claims) == (Err(Fault::Unknown), in_domain)
        && image.is_unreadable_for(Fault::Unknown)
        && image.has_unknown_field(in_domain)
        && clean.is_readable_as(contents)
        && clean.read().result.as_ref() == Ok(contents)
}

proptest! {
    #[test]
    fn in_the_header(contents in contents(), value in 1u32..) {
        let mut image = Image::new(&contents);
        put(&mut image.header, 12, value.to_ne_bytes());
        prop_assert!(is_noticed(&image, &contents, 0));
    }

    #[test]
    fn in_a_domain(contents in contents(), which: Index, value in 1u32..) {
        let mut image = Image::new(&contents);
        let number = which.index(contents.domains.len());
        put(image.page(number), 44, value.to_ne_bytes());
        prop_assert!(is_noticed(&image, &contents, number + 1));
    }

    /// Nobody else looks at it: the page tables are restored from what is known of them.
    #[test]
    fn in_page_tables(contents in contents(), which: Index, byte in 19usize..24, value in 1u8..) {
        let mut image = Image::new(&contents);
        let number = which.index(contents.domains.len());
        image.page(number)[byte] = value;
        prop_assert!(is_noticed(&image, &contents, number + 1));
    }

    #[test]
    fn in_a_device(contents in contents(), which: Index, slot: Index, value in 1u32..) {
        let mut image = Image::new(&contents);
        let number = which.index(contents.domains.len());
        let slot = slot.index(contents.domains[number].1.len());
        put(image.page(number), device_at(slot) + 12, value.to_ne_bytes());
        prop_assert!(is_noticed(&image, &contents, number + 1));
    }

    /// A domain is looked at as a whole before anything of it is used.
    #[test]
    fn in_a_device_behind_no_unit(contents in contents(), which: Index, value in 1u32..) {
        let mut image = Image::new(&contents);
        let number = which.index(contents.domains.len());
        let last = contents.domains[number].1.len() - 1;
        put(image.page(number), device_at(0) + 8, u32::MAX.to_ne_bytes());
        put(image.page(number), device_at(last) + 12, value.to_ne_bytes());
        let reading = image.read();
        prop_assert_eq!((reading.result, reading.claims), (Err(Fault::Unknown), number + 1));
    }
}

/// One bit is enough, whichever it is.
#[test]
fn a_single_bit() {
    let unit = Unit { registers: 0xfed9_0000, root: 0x1000, scalable: true };
    let parts = [Part { domain: 0, unit: 0, gap: 0 }; 2];
    let contents = Contents::new(&[unit], &[table([0xff; 32])], &parts);
    let clean = Image::new(&contents);
    for bit in 0..8 {
        for byte in 12..16 {
            let mut image = clean.clone();
            image.header[byte] = 1 << bit;
            assert!(is_noticed(&image, &contents, 0), "bit {bit} of byte {byte}");
        }
        for byte in [19, 20, 21, 22, 23, 44, 45, 46, 47, 60, 61, 62, 63, 76, 77, 78, 79] {
            let mut image = clean.clone();
            image.page(0)[byte] = 1 << bit;
            assert!(is_noticed(&image, &contents, 1), "bit {bit} of byte {byte}");
        }
    }
}
