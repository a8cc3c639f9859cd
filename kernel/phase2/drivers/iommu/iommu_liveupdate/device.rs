// SPDX-License-Identifier: GPL-2.0

//! A domain, and a device that is attached to it, as live update sees them.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    container_of,
    error::to_result,
    prelude::*, //
};

use crate::handover::{
    self,
    Table,
    Unit, //
};

/// A domain, of which nothing is known but where it is.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Domain(NonNull<bindings::iommu_domain>);

impl Domain {
    /// # Safety
    ///
    /// `domain` must point to a domain that stays valid for as long as the object is used.
    pub(crate) unsafe fn from_raw(domain: *mut bindings::iommu_domain) -> Self {
        // SAFETY: A valid pointer is not null.
        Self(unsafe { NonNull::new_unchecked(domain) })
    }

    /// The page tables, if they are of a kind that can be preserved.
    pub(crate) fn table(self) -> Option<*mut bindings::pt_iommu> {
        let domain = self.0.as_ptr();
        // SAFETY: By the requirements of `from_raw`. The fields are set when it is allocated.
        let (is_iommupt, tracks_dirty) =
            unsafe { ((*domain).is_iommupt, !(*domain).dirty_ops.is_null()) };

        if !is_iommupt || tracks_dirty {
            return None;
        }
        // SAFETY: It is embedded in a `pt_iommu`, which is what the flag says.
        let table = unsafe { container_of!(domain, bindings::pt_iommu, domain) };
        // SAFETY: As above.
        let ops = unsafe { (*table).ops };

        (!ops.is_null()).then_some(table)
    }
}

/// A PCI device behind an IOMMU.
///
/// # Invariants
///
/// The pointer is that of the `dev` of a `struct pci_dev` which an IOMMU driver has probed, and
/// which stays so for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Device<'a>(NonNull<bindings::device>, PhantomData<&'a bindings::device>);

impl<'a> Device<'a> {
    /// Returns `None` unless it is a PCI device behind an IOMMU.
    ///
    /// # Safety
    ///
    /// `dev` must point to a device that stays valid, and with its IOMMU driver, for `'a`.
    pub(crate) unsafe fn from_raw(dev: *mut bindings::device) -> Option<Self> {
        // SAFETY: By the requirements of this function.
        unsafe {
            if (*dev).bus != &raw const bindings::pci_bus_type || (*dev).iommu.is_null() {
                return None;
            }
            if (*(*dev).iommu).iommu_dev.is_null() {
                return None;
            }
        }
        // INVARIANT: It is a PCI device, and an IOMMU driver has probed it.
        NonNull::new(dev).map(|dev| Self(dev, PhantomData))
    }

    /// The C struct.
    pub(crate) fn as_ptr(self) -> NonNull<bindings::device> {
        self.0
    }

    /// The PCI device.
    fn as_pci(self) -> *mut bindings::pci_dev {
        // SAFETY: By the type invariants it is embedded in one.
        unsafe { container_of!(self.0.as_ptr(), bindings::pci_dev, dev) }
    }

    /// Its segment, and bus, device and function number.
    pub(crate) fn address(self) -> (u32, u16) {
        // SAFETY: By the type invariants it is a PCI device, which is on a bus. The domain of a bus
        // that exists is not negative.
        unsafe {
            let pci = self.as_pci();

            (
                bindings::pci_domain_nr((*pci).bus) as u32,
                bindings::pci_dev_id(pci),
            )
        }
    }

    /// What its IOMMU driver does for live update.
    pub(crate) fn ops(self) -> Option<&'static bindings::iommu_liveupdate_ops> {
        // SAFETY: By the type invariants there is an IOMMU, the ops of which are static.
        unsafe {
            let ops = (*(*(*self.0.as_ptr()).iommu).iommu_dev).ops;

            (*ops).liveupdate.as_ref()
        }
    }

    /// Preserves what leads to its entry, and returns what the next kernel has to know of it.
    ///
    /// The entry must be one for these page tables.
    pub(crate) fn preserve(self, table: &Table) -> Result<(handover::Device, Unit)> {
        let preserve = self
            .ops()
            .and_then(|ops| ops.preserve_device)
            .ok_or(EOPNOTSUPP)?;
        let mut ser = bindings::iommu_dev_ser::default();
        let mut unit = bindings::iommu_unit_ser::default();

        // SAFETY: By the type invariants the device is valid; the structs are there to be written.
        // The bytes are those of the struct, which is packed.
        to_result(unsafe {
            preserve(
                self.0.as_ptr(),
                core::ptr::from_ref(table).cast(),
                &raw mut ser,
                &raw mut unit,
            )
        })?;

        let (segment, bdf) = self.address();

        Ok((
            handover::Device {
                segment,
                bdf,
                did: ser.did,
                unit: 0,
            },
            Unit {
                registers: unit.registers,
                root: unit.root,
                scalable: unit.mode == handover::SCALABLE,
            },
        ))
    }

    /// Undoes [`Self::preserve`].
    pub(crate) fn unpreserve(self) {
        if let Some(unpreserve) = self.ops().and_then(|ops| ops.unpreserve_device) {
            // SAFETY: By the type invariants; the device was preserved.
            unsafe { unpreserve(self.0.as_ptr()) };
        }
    }

    /// Tells the PCI core whether DMA of the device remains valid in the next kernel.
    pub(crate) fn keeps_translation(self, keeps: bool) {
        // SAFETY: By the type invariants it is a PCI device.
        unsafe { bindings::pci_liveupdate_set_translated(self.as_pci(), keeps) };
    }

    /// Whether it is the only one in its group. If not, the IOMMU could not tell them apart.
    ///
    /// Takes the lock of the group.
    pub(crate) fn is_alone(self) -> bool {
        // SAFETY: By the type invariants the device is in a group.
        unsafe { bindings::iommu_liveupdate_is_alone(self.0.as_ptr()) }
    }
}

/// Whether there is a device at an address.
pub(crate) fn is_present(segment: u32, bdf: u16) -> bool {
    let [bus, devfn] = bdf.to_be_bytes();
    let Ok(segment) = c_int::try_from(segment) else {
        return false;
    };
    // SAFETY: The function has no preconditions.
    let found = unsafe { bindings::pci_get_domain_bus_and_slot(segment, bus.into(), devfn.into()) };

    // SAFETY: The reference that it may have returned is given back, and null is allowed.
    unsafe { bindings::pci_dev_put(found) };
    !found.is_null()
}
