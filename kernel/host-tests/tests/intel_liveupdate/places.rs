// SPDX-License-Identifier: GPL-2.0-only

//! Where the entry of a device is.

use std::collections::BTreeSet;

use crate::entries::{Mode, Place, ADDRESS, PASID_WORDS, PRESENT, WORDS};

const LEGACY: Mode = Mode { scalable: false };
const SCALABLE: Mode = Mode { scalable: true };

#[test]
fn the_constants_are_those_of_the_specification() {
    assert_eq!((WORDS * 8, PASID_WORDS * 8), (4096, 64));
    assert_eq!((PRESENT, ADDRESS), (0x1, 0xffff_ffff_ffff_f000));
    assert_eq!((LEGACY.tables_per_bus(), LEGACY.context_words()), (1, 2));
    assert_eq!((SCALABLE.tables_per_bus(), SCALABLE.context_words()), (2, 4));
}

/// In bytes: root entries have 16, context entries 16 or 32. In scalable mode there is a table for each half of a bus.
#[test]
fn an_entry_is_where_the_specification_has_it() {
    for (bus, devfn) in (0..=u16::MAX).map(|bdf| (bdf >> 8, bdf & 0xff)) {
        let legacy = LEGACY.place(bus as u8, devfn as u8);
        let scalable = SCALABLE.place(bus as u8, devfn as u8);
        let (bus, devfn) = (usize::from(bus), usize::from(devfn));
        assert_eq!((legacy.root * 8, legacy.context * 8), (16 * bus, 16 * devfn));
        assert_eq!((scalable.root * 8, scalable.context * 8), (16 * bus + 8 * (devfn / 128), 32 * (devfn % 128)));
    }
}

#[test]
fn a_place_is_that_of_one_device() {
    for mode in [LEGACY, SCALABLE] {
        let mut seen = BTreeSet::new();
        for bdf in 0..=u16::MAX {
            let [bus, devfn] = bdf.to_be_bytes();
            let place = mode.place(bus, devfn);
            assert_eq!(mode.bdf(place), bdf);
            assert!(place.root < WORDS && place.context + mode.context_words() <= WORDS);
            assert!(seen.insert((place.root, place.context)));
        }
    }
}

/// As the kernel goes through the tables, in the order in which it does.
#[test]
fn every_entry_is_that_of_one_device() {
    for mode in [LEGACY, SCALABLE] {
        let mut next = 0;
        for root in (0..WORDS).filter(|root| root % 2 < mode.tables_per_bus()) {
            for context in (0..WORDS).step_by(mode.context_words()) {
                let place = Place { root, context };
                assert_eq!(u32::from(mode.bdf(place)), next);
                assert_eq!(mode.place((next >> 8) as u8, next as u8), place);
                next += 1;
            }
        }
        assert_eq!(next, 1 << 16);
    }
}

/// Each word of an entry is that of the same device, wherever someone looks.
#[test]
fn all_words_of_an_entry_are_those_of_its_device() {
    for mode in [LEGACY, SCALABLE] {
        for (root, context) in (0..WORDS).flat_map(|root| (0..WORDS).map(move |context| (root, context))) {
            let first = context - context % mode.context_words();
            let bdf = mode.bdf(Place { root, context });
            assert_eq!(bdf, mode.bdf(Place { root, context: first }));
            assert_eq!(usize::from(bdf >> 8), root / 2);
        }
    }
}
