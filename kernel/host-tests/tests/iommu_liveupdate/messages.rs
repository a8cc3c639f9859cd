// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel says when it stops.

use crate::handover::{Fault, Name};

#[test]
fn an_address_is_written_the_way_it_is_written_everywhere() {
    assert_eq!(Name(0, 0x0100).to_string(), "0000:01:00.0");
    assert_eq!(Name(0, 0xffff).to_string(), "0000:ff:1f.7");
    assert_eq!(Name(0x1_0000, 0x0009).to_string(), "10000:00:01.1");
    assert_eq!(Name(u32::MAX, 0).to_string(), "ffffffff:00:00.0");
}

#[test]
fn a_fault_says_what_it_is() {
    for (fault, wanted) in [
        (Fault::Version(2), "version 2 is unknown, this kernel understands 1"),
        (Fault::Units(170), "170 units are claimed, 169 have room"),
        (Fault::Unit(3), "unit 3 is listed twice, unknown or unused"),
        (Fault::Domains { claimed: 2, found: 1 }, "2 domains are claimed, but 1 are listed"),
        (Fault::Domain(3), "domain 3 was not preserved or is listed twice"),
        (Fault::Devices(3, 254), "domain 3 has an invalid number of devices: 254"),
        (Fault::Device(0, 0x0308), "device 0000:03:01.0 is listed twice or behind no unit"),
        (Fault::DomainId(0, 0x0308), "the domain id of device 0000:03:01.0 is not that of its domain alone"),
        (Fault::Devices(0, 0), "domain 0 has an invalid number of devices: 0"),
        (Fault::Unknown, "a field is set that has no meaning"),
        (Fault::NoMemory, "out of memory"),
    ] {
        assert_eq!(fault.to_string(), wanted);
    }
}
