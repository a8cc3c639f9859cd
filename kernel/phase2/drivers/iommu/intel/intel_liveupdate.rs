// SPDX-License-Identifier: GPL-2.0

//! Live update of Intel VT-d.
//!
//! What the hardware reads for a device that is preserved stays where it is, and as it is: the root
//! table, the context table that has the entry of the device, and, in scalable mode, the directory
//! of its PASIDs and the first table of them. Everything else goes away with this kernel, so the
//! entries that lead there are cleared when nobody else is left to do anything: on the way out,
//! with interrupts off, on the last processor.
//!
//! The next kernel uses the same tables as its own. Before that it checks that they have exactly
//! the entries that it was told of.

#[path = "intel_liveupdate/entries.rs"]
mod entries;
#[path = "intel_liveupdate/incoming.rs"]
mod incoming;
#[path = "intel_liveupdate/outgoing.rs"]
mod outgoing;
#[path = "intel_liveupdate/unit.rs"]
mod unit;

use kernel::{
    bindings,
    error::from_result,
    prelude::*, //
};

use crate::{
    outgoing::Kept,
    unit::{
        Entry,
        Unit, //
    },
};

/// Prefix of log messages.
const __LOG_PREFIX: &[u8] = b"DMAR\0";

impl entries::Translation {
    /// Whether it is by these page tables.
    fn is_by(&self, table: &bindings::pt_iommu_ser) -> bool {
        let format = if self.first_stage {
            bindings::pt_iommu_ser_format_PT_IOMMU_SER_X86_64
        } else {
            bindings::pt_iommu_ser_format_PT_IOMMU_SER_VTDSS
        };

        (format, self.top, self.top_level) == (table.format, table.top, table.top_level)
    }
}

/// Preserves what leads to the entry of a device; see `struct iommu_liveupdate_ops`.
///
/// # Safety
///
/// `dev` must be a PCI device that this driver has probed, and that is attached to a domain.
/// `table` must be valid for reads, `ser` and `unit` for writes. Calls must be serialised.
#[export]
pub unsafe extern "C" fn intel_liveupdate_preserve_device(
    dev: *mut bindings::device,
    table: *const bindings::pt_iommu_ser,
    ser: *mut bindings::iommu_dev_ser,
    unit: *mut bindings::iommu_unit_ser,
) -> c_int {
    from_result(|| {
        // SAFETY: By the requirements of this function.
        let entry = unsafe { Entry::only_of(dev) }?;
        let translation = entry.translation()?;

        // SAFETY: By the requirements of this function.
        if !translation.is_by(unsafe { &*table }) {
            return Err(EOPNOTSUPP);
        }
        // SAFETY: By the requirements of this function.
        unsafe { Kept::add(entry) }?;
        // SAFETY: By the requirements of this function.
        unsafe {
            (*ser).did = translation.did;
            (*unit).registers = entry.unit.registers();
            (*unit).root = entry.unit.root_phys();
            (*unit).mode = if entry.unit.mode().scalable {
                bindings::IOMMU_UNIT_SER_SCALABLE
            } else {
                0
            };
        }
        Ok(0)
    })
}

/// Undoes [`intel_liveupdate_preserve_device`].
///
/// # Safety
///
/// `dev` must be a device that was preserved, and not unpreserved since. Calls must be serialised.
#[export]
pub unsafe extern "C" fn intel_liveupdate_unpreserve_device(dev: *mut bindings::device) {
    // SAFETY: By the requirements of this function.
    if let Some(entry) = unsafe { Entry::of(dev) } {
        // SAFETY: By the requirements of this function.
        unsafe { Kept::remove(entry) };
    }
}

/// Makes a unit ready for the next kernel.
///
/// Returns whether it must go on translating.
///
/// # Safety
///
/// `iommu` must be a unit. This must be the only processor, with interrupts off, on the way out.
#[export]
pub unsafe extern "C" fn intel_liveupdate_shutdown(iommu: *mut bindings::intel_iommu) -> bool {
    // SAFETY: By the requirements of this function.
    let unit = unsafe { Unit::from_raw(iommu) };

    // SAFETY: Nobody else is running.
    unsafe { outgoing::shutdown(unit) }
}

/// Takes over the tables of a unit, if the previous kernel handed them over.
///
/// Panics if they are not what it said.
///
/// # Safety
///
/// `iommu` must be a unit that is being initialised, and `rtaddr` what its register of that name
/// has.
#[export]
pub unsafe extern "C" fn intel_liveupdate_adopt(
    iommu: *mut bindings::intel_iommu,
    enabled: bool,
    rtaddr: u64,
) -> bool {
    // SAFETY: By the requirements of this function.
    let unit = unsafe { Unit::from_raw(iommu) };

    match incoming::adopt(unit, enabled, rtaddr) {
        Ok(adopted) => adopted,
        // SAFETY: The string is one of C.
        Err(reason) => unsafe {
            bindings::iommu_liveupdate_lost((*iommu).name.as_ptr().cast(), reason.as_char_ptr())
        },
    }
}
