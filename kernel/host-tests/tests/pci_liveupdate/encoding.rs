// SPDX-License-Identifier: GPL-2.0-only

//! The layout of header and entry.

use proptest::prelude::*;

use crate::handover::{Address, Entry, EntryBytes, Fault, Header, HeaderBytes};
use crate::handover::{BLOCK_SIZE, ENTRY_SIZE, HEADER_SIZE, LIVE_TRANSLATION, VERSION};
use crate::image::{slot, slot_of};

#[test]
fn the_constants_are_those_of_the_abi() {
    assert_eq!((VERSION, LIVE_TRANSLATION), (2, 0x8000_0000));
    assert_eq!((HEADER_SIZE, ENTRY_SIZE, BLOCK_SIZE), (16, 8, 4096));
}

#[test]
fn the_header_has_the_layout_of_the_abi() {
    let mut wanted: HeaderBytes = [0; 16];
    wanted[0..4].copy_from_slice(&2u32.to_ne_bytes());
    wanted[4..8].copy_from_slice(&0x0102_0304u32.to_ne_bytes());
    wanted[8..16].copy_from_slice(&0x0a0b_0c0d_0e0f_1000u64.to_ne_bytes());
    assert_eq!(Header { nr_devices: 0x0102_0304, devices: 0x0a0b_0c0d_0e0f_1000 }.encode(), wanted);
}

#[test]
fn the_empty_header_has_no_devices() {
    assert_eq!(Header::decode(&Header::EMPTY.encode()), Ok(Header { nr_devices: 0, devices: 0 }));
}

#[test]
fn an_address_keeps_bus_and_function_apart() {
    let address = Address::new(0x1_0002, 0x03fe);
    assert_eq!((address.domain(), address.bus(), address.devfn()), (0x1_0002, 0x03, 0xfe));
}

proptest! {
    #[test]
    fn a_header_survives_the_hand_over(nr_devices: u32, devices: u64) {
        let header = Header { nr_devices, devices };
        prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    /// Whatever the previous kernel wrote is either of another version or means exactly what was written.
    #[test]
    fn any_header_is_refused_or_kept(mut bytes: HeaderBytes, known: bool) {
        if known {
            bytes[0..4].copy_from_slice(&2u32.to_ne_bytes());
        }
        let version = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        match Header::decode(&bytes) {
            Ok(header) => prop_assert_eq!(header.encode(), bytes),
            Err(Fault::LiveTranslation) => prop_assert_ne!(version >> 31, 0),
            Err(fault) => {
                prop_assert!(version != 2 && version >> 31 == 0);
                prop_assert_eq!(fault, Fault::Version(version));
            }
        }
    }

    #[test]
    fn an_entry_survives_the_hand_over(domain: u32, bdf: u16, refcount in 1..=u16::MAX) {
        let entry = Entry { address: Address::new(domain, bdf), refcount };
        prop_assert_eq!(entry.encode(), slot(domain, bdf, refcount));
        prop_assert_eq!(entry.encode(), slot_of(&entry));
        prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
    }

    /// Whatever the previous kernel wrote is free or means exactly what was written.
    #[test]
    fn any_entry_is_free_or_kept(mut bytes: EntryBytes, free: bool) {
        if free {
            bytes[6..8].fill(0);
        }
        match Entry::decode(&bytes) {
            Some(entry) => {
                prop_assert_ne!(entry.refcount, 0);
                prop_assert_eq!(entry.encode(), bytes);
            }
            None => prop_assert_eq!(&bytes[6..8], &[0, 0]),
        }
    }
}
