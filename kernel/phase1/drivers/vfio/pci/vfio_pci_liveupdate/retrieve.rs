// SPDX-License-Identifier: GPL-2.0

//! A new file for a device that was handed over.

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

/// The PCI device at `address`, which the PCI core knows to be preserved.
fn find(address: Address) -> Result<ARef<pci::Device>> {
    // SAFETY: The function has no preconditions; it returns a reference or an error.
    let pdev = from_err_ptr(unsafe {
        bindings::pci_liveupdate_retrieve(
            address.domain(),
            address.bus().into(),
            address.devfn().into(),
        )
    })?;
    let pdev = NonNull::new(pdev).ok_or(ENODEV)?;

    // SAFETY: The reference is ours, and `pci::Device` is a transparent wrapper.
    Ok(unsafe { ARef::from_raw(pdev.cast()) })
}

/// A device of vfio-pci that is registered with vfio.
///
/// # Invariants
///
/// `0` points to a valid device, and this object owns a reference to its registration.
struct RegisteredDevice(NonNull<bindings::vfio_device>);

impl RegisteredDevice {
    /// The vfio device of a PCI device, if vfio-pci is its driver.
    fn of(pdev: &pci::Device) -> Result<Self> {
        // `pci::Device` is a transparent wrapper around the C struct.
        let pdev = NonNull::from(pdev).cast::<bindings::pci_dev>().as_ptr();

        // SAFETY: The caller borrows the PCI device from a reference.
        let device = unsafe {
            bindings::vfio_device_get_child(&raw mut (*pdev).dev, &raw const bindings::vfio_pci_ops)
        };

        // INVARIANT: The reference that `vfio_device_get_child` returns is ours.
        NonNull::new(device).map(Self).ok_or(ENODEV)
    }

    /// Creates a file for the device, as if its character device had been opened.
    fn open(&self) -> Result<ARef<File>> {
        // SAFETY: By the type invariants we hold a reference to the registration.
        let file = from_err_ptr(unsafe { bindings::vfio_device_cdev_getfile(self.0.as_ptr()) })?;
        let file = NonNull::new(file).ok_or(ENODEV)?;

        // SAFETY: The reference is ours. Nobody else knows of the new file, so no `fdget_pos` is
        // active on it; `File` is a transparent wrapper.
        Ok(unsafe { ARef::from_raw(file.cast()) })
    }
}

impl Drop for RegisteredDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this is our reference.
        unsafe { bindings::vfio_device_put_registration(self.0.as_ptr()) };
    }
}

/// Opens the device at `address`.
///
/// Fails with [`EINVAL`] if the PCI core of the previous kernel did not say that the device is
/// preserved, with [`EBUSY`] if there was another file for it, with [`ENODEV`] if there is no
/// device, or if vfio-pci is not bound to it or has not finished binding, and with what opening its
/// character device can fail with.
pub(crate) fn open(address: Address) -> Result<ARef<File>> {
    let pdev = find(address)?;

    RegisteredDevice::of(&pdev)?.open()
}
