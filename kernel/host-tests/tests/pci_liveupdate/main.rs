// SPDX-License-Identifier: GPL-2.0-only

//! Host tests of `pci_liveupdate`: what one kernel tells the next about its PCI devices, and what the next one makes of it
//! when it has scanned its buses.
//!
//! The expectations come from the ABI, `include/linux/kho/abi/pci.h`, and from how the first kernel counts: [`image`]
//! writes and reads the bytes by offsets of its own, and [`topology`] counts anew whenever it is asked.

// The kernel formats its sources by rules of its own.
#[rustfmt::skip]
#[path = "../../../phase1/drivers/pci/pci_liveupdate/handover.rs"]
mod handover;
// What happens to a device later, for example that it is removed, is not the matter of these tests.
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../phase1/drivers/pci/pci_liveupdate/tracked.rs"]
mod tracked;

mod corpus;
mod image;
mod topology;

mod checking;
mod encoding;
mod faults;
mod fuzz;
mod messages;
mod reading;
mod tracking;
