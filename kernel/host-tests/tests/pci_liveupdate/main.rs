// SPDX-License-Identifier: GPL-2.0-only

//! Host tests of `pci_liveupdate`: what one kernel tells the next about its PCI devices, and what the next one makes of it
//! when it has scanned its buses; and the form in which it hands over the saved state of a device.
//!
//! The expectations come from the ABI, `pci.h` and `pci_saved_state.h` in `include/linux/kho/abi/`, and from how the first
//! kernel counts: [`image`] and [`state_image`] write and read the bytes by offsets of their own, and [`topology`] counts
//! anew whenever it is asked.

// The kernel formats its sources by rules of its own.
#[rustfmt::skip]
#[path = "../../../phase1/drivers/pci/pci_liveupdate/handover.rs"]
mod handover;
#[rustfmt::skip]
#[path = "../../../phase1/drivers/pci/pci_liveupdate/state_record.rs"]
mod state_record;
// What happens to a device later, for example that it is removed, is not the matter of these tests.
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../phase1/drivers/pci/pci_liveupdate/tracked.rs"]
mod tracked;

mod corpus;
mod image;
mod state_corpus;
mod state_image;
mod topology;

mod checking;
mod encoding;
mod faults;
mod fuzz;
mod messages;
mod reading;
mod state_encoding;
mod state_fuzz;
mod state_reading;
mod tracking;
