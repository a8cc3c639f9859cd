// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel says when it stops.

use crate::handover::{Address, Fault};
use crate::tracked::Contradiction;

#[test]
fn an_address_is_written_the_way_it_is_written_everywhere() {
    assert_eq!(Address::new(0, 0x0100).to_string(), "0000:01:00.0");
    assert_eq!(Address::new(0, 0xffff).to_string(), "0000:ff:1f.7");
    assert_eq!(Address::new(0x1_0000, 0x0009).to_string(), "10000:00:01.1");
}

#[test]
fn a_fault_says_what_it_is() {
    let address = Address::new(0, 0x0308);
    for (fault, wanted) in [
        (Fault::Version(1), "version 1 is unknown, this kernel understands 2"),
        (Fault::LiveTranslation, "it comes with live translation, which this kernel cannot take over"),
        (Fault::Block(3), "block 3 was not preserved or is listed twice"),
        (Fault::BlockCount(3, 511), "block 3 has an invalid number of entries: 511"),
        (Fault::TooManyBlocks, "there are more than 10000 blocks"),
        (Fault::Domain(Address::new(0x8000_0000, 0)), "device 80000000:00:00.0 is in an invalid domain"),
        (Fault::Duplicate(address), "device 0000:03:01.0 is listed twice"),
        (Fault::Devices { claimed: 2, found: 1 }, "2 devices are claimed, but 1 are listed"),
        (Fault::NoMemory, "out of memory"),
    ] {
        assert_eq!(fault.to_string(), wanted);
    }
}

#[test]
fn a_contradiction_names_the_device() {
    let address = Address::new(0, 0x0308);
    for (contradiction, wanted) in [
        (Contradiction::Missing(address), "preserved device 0000:03:01.0 is not there"),
        (Contradiction::Refcount(address), "the number of preserved devices at or below 0000:03:01.0 is wrong"),
        (Contradiction::Untracked(address), "bridge 0000:03:01.0 above a preserved device is not listed"),
    ] {
        assert_eq!(contradiction.to_string(), wanted);
    }
}
