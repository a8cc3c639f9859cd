// SPDX-License-Identifier: GPL-2.0-only

//! Host tests of `iommu_liveupdate`: what one kernel tells the next about IOMMUs that go on translating.
//!
//! The expectations come from the ABI, `include/linux/kho/abi/iommu.h`: [`image`] writes and reads the bytes by offsets
//! of its own.

// The kernel formats its sources by rules of its own.
#[rustfmt::skip]
#[path = "../../../phase2/drivers/iommu/iommu_liveupdate/handover.rs"]
mod handover;
#[rustfmt::skip]
#[path = "../../../phase2/drivers/iommu/iommu_liveupdate/record.rs"]
mod record;

mod contents;
mod corpus;
mod image;
mod opinion;

mod checking;
mod encoding;
mod faults;
mod fuzz;
mod messages;
mod reading;
mod unknown;
