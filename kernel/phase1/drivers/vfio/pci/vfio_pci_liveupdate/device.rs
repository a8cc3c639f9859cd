// SPDX-License-Identifier: GPL-2.0

//! A vfio device that is driven by vfio-pci.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    container_of,
    prelude::*, //
};

use crate::handover::Address;

/// A vfio device that is driven by vfio-pci itself and not by one of the variant drivers, which
/// keep state of their own.
///
/// # Invariants
///
/// `vdev` points to a device of vfio-pci, and a reference to its registration is held for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Device<'a> {
    vdev: NonNull<bindings::vfio_pci_core_device>,
    _lifetime: PhantomData<&'a bindings::vfio_pci_core_device>,
}

impl<'a> Device<'a> {
    /// Returns the device if it is one that vfio-pci drives.
    ///
    /// # Safety
    ///
    /// `device` must point to a vfio device, and a reference to its registration must be held for
    /// `'a`.
    pub(crate) unsafe fn new(device: NonNull<bindings::vfio_device>) -> Option<Self> {
        let device = device.as_ptr();

        // SAFETY: The device is valid, and its operations never change.
        let ops = unsafe { (*device).ops };
        if !core::ptr::eq(ops, &raw const bindings::vfio_pci_ops) {
            return None;
        }

        // SAFETY: The devices with these operations are allocated by vfio-pci, as part of a
        // `struct vfio_pci_core_device`.
        let vdev = unsafe { container_of!(device, bindings::vfio_pci_core_device, vdev) };

        // INVARIANT: By its operations the device is one of vfio-pci. Its registration is held by
        // the requirements of this function.
        Some(Self {
            vdev: NonNull::new(vdev)?,
            _lifetime: PhantomData,
        })
    }

    /// A number that no other device has at the same time.
    pub(crate) fn id(self) -> usize {
        self.vdev.as_ptr().addr()
    }

    /// The vfio device.
    pub(crate) fn as_vfio(self) -> *mut bindings::vfio_device {
        // SAFETY: By the type invariants the pointer is valid; no reference is made.
        unsafe { &raw mut (*self.vdev.as_ptr()).vdev }
    }

    /// Whether the device could be reset when it was opened.
    ///
    /// # Safety
    ///
    /// The device must be open, and the lock of its `dev_set` must be held.
    pub(crate) unsafe fn reset_works(self) -> bool {
        // SAFETY: By the type invariants the device is valid; no reference to it is made. The bit,
        // and those that share its storage, are not written while the requirements are met.
        unsafe { bindings::vfio_pci_core_device::reset_works_raw(self.vdev.as_ptr()) }
    }

    /// The PCI device. It is bound to vfio-pci for as long as the registration is held.
    pub(crate) fn as_pci(self) -> *mut bindings::pci_dev {
        // SAFETY: By the type invariants the device is valid. Its `pdev` is set when it is
        // allocated and never changes.
        unsafe { (*self.vdev.as_ptr()).pdev }
    }

    /// Where the device is found on the PCI bus.
    pub(crate) fn address(self) -> Result<Address> {
        let pdev = self.as_pci();
        // SAFETY: The registration keeps vfio-pci bound, and with it the PCI device, which is on a
        // bus.
        let domain = unsafe { bindings::pci_domain_nr((*pdev).bus) };
        // SAFETY: As above, the PCI device is valid.
        let bdf = unsafe { bindings::pci_dev_id(pdev) };

        Ok(Address::new(u32::try_from(domain)?, bdf))
    }
}
