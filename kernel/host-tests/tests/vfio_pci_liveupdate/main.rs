// SPDX-License-Identifier: GPL-2.0-only

//! Host tests of `vfio_pci_liveupdate`: the record by which kernels tell each other about a vfio-pci device.

// The kernel formats its sources by rules of its own.
#[rustfmt::skip]
#[path = "../../../phase1/drivers/vfio/pci/vfio_pci_liveupdate/handover.rs"]
mod handover;

use proptest::prelude::*;

use crate::handover::{Address, Record, SIZE};

#[test]
fn the_record_has_the_layout_of_the_abi() {
    let record = Address::new(0x1_0002, 0x0308).encode();
    let mut wanted: Record = [0; SIZE];
    wanted[..4].copy_from_slice(&0x1_0002u32.to_ne_bytes());
    wanted[4..].copy_from_slice(&0x0308u16.to_ne_bytes());
    assert_eq!(record, wanted);
}

#[test]
fn an_address_is_written_the_way_it_is_written_everywhere() {
    assert_eq!(Address::new(0, 0x0100).to_string(), "0000:01:00.0");
    assert_eq!(Address::new(0, 0xffff).to_string(), "0000:ff:1f.7");
    assert_eq!(Address::new(0x1_0000, 0x0009).to_string(), "10000:00:01.1");
}

proptest! {
    /// Whatever the previous kernel wrote is either refused or means exactly what was written.
    #[test]
    fn any_record_is_refused_or_kept(record: Record) {
        let domain = u32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
        match Address::decode(&record) {
            Some(address) => {
                prop_assert!(address.domain() >= 0);
                prop_assert_eq!(address.encode(), record);
            }
            // What the PCI core cannot count.
            None => prop_assert!(domain > i32::MAX as u32),
        }
    }

    #[test]
    fn an_address_survives_the_hand_over(domain in 0..=i32::MAX as u32, bus: u8, devfn: u8) {
        let address = Address::new(domain, u16::from(bus) << 8 | u16::from(devfn));
        let read = Address::decode(&address.encode()).expect("it was just written");
        prop_assert_eq!(read, address);
        prop_assert_eq!((read.domain() as u32, read.bus(), read.devfn()), (domain, bus, devfn));
    }
}
