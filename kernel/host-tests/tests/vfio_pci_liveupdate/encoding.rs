// SPDX-License-Identifier: GPL-2.0-only

//! The layout of the record.

use proptest::prelude::*;

use crate::handover::{state, state_mut, Address, Record, Traits, RESET_WORKS, SIZE, STATE};

/// A record in which all bytes are the same.
fn filled(byte: u8) -> Box<Record> {
    Box::new([byte; SIZE])
}

#[test]
fn the_constants_are_those_of_the_abi() {
    assert_eq!((SIZE, STATE, RESET_WORKS), (4096, 8, 0x0001));
}

#[test]
fn the_record_has_the_layout_of_the_abi() {
    let mut record = filled(0);
    Address::new(0x1_0002, 0x0308).encode(&mut record);
    Traits { reset_works: true }.encode(&mut record);
    state_mut(&mut record).fill(0x5a);

    let mut wanted = filled(0x5a);
    wanted[0..4].copy_from_slice(&0x1_0002u32.to_ne_bytes());
    wanted[4..6].copy_from_slice(&0x0308u16.to_ne_bytes());
    wanted[6..8].copy_from_slice(&1u16.to_ne_bytes());
    assert!(record == wanted, "{:?}", &record[..16]);
}

#[test]
fn an_address_is_written_the_way_it_is_written_everywhere() {
    assert_eq!(Address::new(0, 0x0100).to_string(), "0000:01:00.0");
    assert_eq!(Address::new(0, 0xffff).to_string(), "0000:ff:1f.7");
    assert_eq!(Address::new(0x1_0000, 0x0009).to_string(), "10000:00:01.1");
}

/// There are few enough flags to try all of them.
#[test]
fn flags_that_are_not_defined_are_refused() {
    for flags in 0..=u16::MAX {
        let mut record = filled(0xff);
        record[6..8].copy_from_slice(&flags.to_ne_bytes());
        let wanted = match flags {
            0 => Some(Traits { reset_works: false }),
            1 => Some(Traits { reset_works: true }),
            _ => None,
        };
        assert_eq!(Traits::decode(&record), wanted, "{flags:#06x}");
    }
}

proptest! {
    /// Whatever the previous kernel wrote is either refused or means exactly what was written.
    #[test]
    fn any_address_is_refused_or_kept(head: [u8; 8], rest: u8) {
        let mut record = filled(rest);
        record[..8].copy_from_slice(&head);
        let domain = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]);
        match Address::decode(&record) {
            Some(address) => {
                prop_assert!(address.domain() >= 0);
                let mut again = filled(rest);
                again[6..8].copy_from_slice(&head[6..8]);
                address.encode(&mut again);
                prop_assert!(again == record);
            }
            // What the PCI core cannot count.
            None => prop_assert!(domain > i32::MAX as u32),
        }
    }

    /// Each part of the record is written without regard to the others, in any order, over anything.
    #[test]
    fn a_record_survives_the_hand_over(
        domain in 0..=i32::MAX as u32,
        bus: u8,
        devfn: u8,
        reset_works: bool,
        before: u8,
        inside: u8,
        order in Just([0, 1, 2]).prop_shuffle(),
    ) {
        let address = Address::new(domain, u16::from(bus) << 8 | u16::from(devfn));
        let mut record = filled(before);
        for part in order {
            match part {
                0 => address.encode(&mut record),
                1 => Traits { reset_works }.encode(&mut record),
                _ => state_mut(&mut record).fill(inside),
            }
        }

        let read = Address::decode(&record).expect("it was just written");
        prop_assert_eq!(read, address);
        prop_assert_eq!((read.domain() as u32, read.bus(), read.devfn()), (domain, bus, devfn));
        prop_assert_eq!(Traits::decode(&record), Some(Traits { reset_works }));
        prop_assert!(state(&record) == [inside; 4088]);
    }
}
