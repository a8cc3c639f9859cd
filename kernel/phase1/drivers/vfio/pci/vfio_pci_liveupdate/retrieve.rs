// SPDX-License-Identifier: GPL-2.0

//! A new file for a device that was handed over.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::from_err_ptr,
    fs::File,
    pci,
    prelude::*,
    sync::aref::ARef, //
};

use crate::{
    device::Device,
    handover::{
        self,
        Address,
        Record,
        Traits, //
    }, //
};

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

    /// The device.
    fn device(&self) -> Result<Device<'_>> {
        // SAFETY: By the type invariants we hold a reference to the registration.
        unsafe { Device::new(self.0) }.ok_or(ENODEV)
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

/// The state of a device that was saved before it was given to userspace, in the first kernel.
///
/// # Invariants
///
/// The pointer is that of a state that this object owns.
pub(crate) struct SavedState(NonNull<bindings::pci_saved_state>);

impl SavedState {
    /// Reads the state that the previous kernel wrote down.
    ///
    /// # Safety
    ///
    /// `pdev` must be a device that [`find`] returned.
    unsafe fn read(pdev: &pci::Device, bytes: &[u8]) -> Result<Self> {
        // `pci::Device` is a transparent wrapper around the C struct.
        let pdev = NonNull::from(pdev).cast::<bindings::pci_dev>().as_ptr();

        // SAFETY: By the requirements of this function.
        let state = from_err_ptr(unsafe {
            bindings::pci_liveupdate_read_state(pdev, bytes.as_ptr().cast(), bytes.len())
        })?;

        // INVARIANT: The function gives the state to the caller.
        NonNull::new(state).map(Self).ok_or(ENOMEM)
    }

    /// Gives the state away, to be freed with `kfree()`.
    pub(crate) fn into_raw(self) -> *mut bindings::pci_saved_state {
        ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for SavedState {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the state is ours, to be freed like this.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

/// Opens the device at `address`, as the previous kernel has described it.
///
/// Fails with [`EINVAL`] if the PCI core of the previous kernel did not say that the device is
/// preserved, or if the description cannot be understood; with [`EBUSY`] if there was another file
/// for it; with [`ENODEV`] if there is no device, if it is not the one that was described, or if
/// vfio-pci is not bound to it or has not finished binding; and with what opening its character
/// device can fail with.
pub(crate) fn open(address: Address, record: &Record) -> Result<ARef<File>> {
    // The first thing to do, whatever becomes of the rest: a file has come for the device.
    let pdev = find(address)?;
    let registered = RegisteredDevice::of(&pdev)?;
    let traits = Traits::decode(record).ok_or(EINVAL)?;
    // SAFETY: The device was looked up just now.
    let state = unsafe { SavedState::read(&pdev, handover::state(record)) }?;
    let file = registered.open()?;

    // SAFETY: The PCI core knows the device to be incoming, so that the new file is the only one,
    // and nobody has got it yet.
    unsafe { registered.device()?.adopt(state, traits) };
    Ok(file)
}
