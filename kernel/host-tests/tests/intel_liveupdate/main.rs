// SPDX-License-Identifier: GPL-2.0-only

//! Host tests of `intel_liveupdate`: how the tables of VT-d lead from a device to its page tables.
//!
//! The expectations come from chapter 9 of the VT-d specification: [`layout`] takes fields by the numbers of their
//! bits, counted through the whole entry as they are there.

// What is written is the matter of the kernel.
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../phase2/drivers/iommu/intel/intel_liveupdate/entries.rs"]
mod entries;

mod layout;

mod decoding;
mod fuzz;
mod places;
