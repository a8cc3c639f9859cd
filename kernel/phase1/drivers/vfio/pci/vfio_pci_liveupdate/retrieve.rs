// SPDX-License-Identifier: GPL-2.0

//! Finding a device that was handed over, and opening it.

use core::ptr::NonNull;

use kernel::{
    bindings,
    error::from_err_ptr,
    fs::File,
    pci,
    prelude::*,
    sync::aref::ARef, //
};

use crate::handover::Address;

/// A PCI device whose driver neither comes nor goes.
///
/// # Invariants
///
/// `pdev` is valid for the lifetime of the object, and its device lock is held by it.
struct LockedDevice<'a> {
    pdev: NonNull<bindings::pci_dev>,
    _reference: &'a ARef<pci::Device>,
}

impl<'a> LockedDevice<'a> {
    fn lock(reference: &'a ARef<pci::Device>) -> Self {
        // `pci::Device` is a transparent wrapper around the C struct.
        let pdev = NonNull::from(&**reference).cast::<bindings::pci_dev>();

        // SAFETY: The reference keeps the device alive for `'a`.
        unsafe { bindings::device_lock(&raw mut (*pdev.as_ptr()).dev) };

        // INVARIANT: The device is valid for `'a`, and was just locked.
        Self {
            pdev,
            _reference: reference,
        }
    }

    /// Returns the vfio device, if vfio-pci is the driver.
    fn vfio_device(&self) -> Result<*mut bindings::vfio_device> {
        let pdev = self.pdev.as_ptr();

        // SAFETY: By the type invariants the device is valid.
        let driver = unsafe { (*pdev).driver };
        if !core::ptr::eq(driver, &raw const bindings::vfio_pci_driver) {
            return Err(ENODEV);
        }

        // SAFETY: By the type invariants the device is valid.
        let vdev = unsafe { bindings::dev_get_drvdata(&raw const (*pdev).dev) };
        let vdev = vdev.cast::<bindings::vfio_pci_core_device>();
        if vdev.is_null() {
            return Err(ENODEV);
        }

        // SAFETY: The driver data of vfio-pci is a `struct vfio_pci_core_device`, which is freed
        // only after the driver is unbound.
        Ok(unsafe { &raw mut (*vdev).vdev })
    }
}

impl Drop for LockedDevice<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the device is valid and locked by this object.
        unsafe { bindings::device_unlock(&raw mut (*self.pdev.as_ptr()).dev) };
    }
}

/// Opens the device at `address` as its character device would be opened.
///
/// Fails with [`ENODEV`] if there is no device or if vfio-pci is not its driver, and with what
/// opening the character device can fail with.
pub(crate) fn open(address: Address) -> Result<ARef<File>> {
    // SAFETY: The function has no preconditions; it returns a reference or null.
    let pdev = unsafe {
        bindings::pci_get_domain_bus_and_slot(
            address.domain(),
            address.bus().into(),
            address.devfn().into(),
        )
    };
    let pdev = NonNull::new(pdev).ok_or(ENODEV)?;
    // SAFETY: The reference is ours, and `pci::Device` is a transparent wrapper.
    let pdev: ARef<pci::Device> = unsafe { ARef::from_raw(pdev.cast()) };

    let device = LockedDevice::lock(&pdev);
    let vfio_device = device.vfio_device()?;
    // SAFETY: The device is registered with vfio: vfio-pci is bound, and under the device lock it
    // is neither in the middle of its probe nor of its removal.
    let file = from_err_ptr(unsafe { bindings::vfio_device_cdev_getfile(vfio_device) })?;
    let file = NonNull::new(file).ok_or(ENODEV)?;

    // SAFETY: The reference is ours. Nobody else knows of the new file, so no `fdget_pos` is
    // active on it; `File` is a transparent wrapper.
    Ok(unsafe { ARef::from_raw(file.cast()) })
}
