// SPDX-License-Identifier: GPL-2.0

//! A new file for a device that was handed over.

use core::ptr::NonNull;

use kernel::{
    bindings,
    container_of,
    error::from_err_ptr,
    ffi,
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};

use crate::{
    device::Device,
    handover::Address, //
};

/// A vfio device that does not go away, although it may be unregistered at any time.
///
/// # Invariants
///
/// `0` points to a valid device, and this object owns a reference to its `struct device`.
struct FoundDevice(NonNull<bindings::vfio_device>);

impl FoundDevice {
    /// Finds the device of vfio-pci at `address`.
    fn find(address: &Address) -> Option<Self> {
        // SAFETY: `matches` is called, during this call only, with devices of the class that
        // `vfio_device_find` looks through and with the pointer to `address`.
        let device = unsafe {
            bindings::vfio_device_find(Some(matches), core::ptr::from_ref(address).cast())
        };

        // INVARIANT: `vfio_device_find` returns a reference that is ours.
        NonNull::new(device).map(Self)
    }

    /// Opens the device as its character device would be opened.
    fn open(&self) -> Result<ARef<File>> {
        // SAFETY: By the type invariants we have a reference to the device.
        let file = from_err_ptr(unsafe { bindings::vfio_device_cdev_getfile(self.0.as_ptr()) })?;
        let file = NonNull::new(file).ok_or(ENODEV)?;

        // SAFETY: The reference is ours. Nobody else knows of the new file, so no `fdget_pos` is
        // active on it; `File` is a transparent wrapper.
        Ok(unsafe { ARef::from_raw(file.cast()) })
    }
}

impl Drop for FoundDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this is our reference.
        unsafe { bindings::put_device(&raw mut (*self.0.as_ptr()).device) };
    }
}

/// Returns whether a device is the one that is looked for.
///
/// # Safety
///
/// `dev` must be the `device` of a vfio device, and `address` must point to an [`Address`].
unsafe extern "C" fn matches(
    dev: *mut bindings::device,
    address: *const ffi::c_void,
) -> ffi::c_int {
    // SAFETY: By the requirements of this function.
    let device = unsafe { container_of!(dev, bindings::vfio_device, device) };
    // SAFETY: By the requirements of this function.
    let address = unsafe { &*address.cast::<Address>() };

    // SAFETY: The caller holds a reference to `dev`, which is part of the device. Any device of
    // the class is set up this far, because `Device` needs nothing that comes with registration.
    let found = NonNull::new(device).and_then(|device| unsafe { Device::new(device) });

    found
        .and_then(|device| device.address().ok())
        .is_some_and(|found| found == *address)
        .into()
}

/// Opens the device at `address`.
///
/// Fails with [`ENODEV`] if there is no device that vfio-pci is bound to, and with what opening its
/// character device can fail with.
pub(crate) fn open(address: &Address) -> Result<ARef<File>> {
    FoundDevice::find(address).ok_or(ENODEV)?.open()
}
