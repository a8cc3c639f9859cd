// SPDX-License-Identifier: GPL-2.0

//! A vfio device that is driven by vfio-pci.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    container_of,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    }, //
};

use crate::{
    handover::{
        self,
        Address,
        Record,
        Traits, //
    },
    retrieve::SavedState, //
};

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

    /// Whether the device is gone, so that nothing can be done with it any more.
    pub(crate) fn is_disconnected(self) -> bool {
        // SAFETY: The registration keeps the PCI device. C code accesses the field atomically.
        let state = unsafe { Atomic::from_ptr(&raw mut (*self.as_pci()).error_state) };

        state.load(Relaxed) == bindings::pci_channel_io_perm_failure
    }

    /// The lock for opening and closing the device and those that are reset with it.
    pub(crate) fn dev_set_lock(self) -> &'a Mutex<()> {
        // SAFETY: By the type invariants the device is valid and registered; its `dev_set` does not
        // change meanwhile.
        let lock = unsafe { &raw mut (*(*self.as_vfio()).dev_set).lock };

        // SAFETY: The lock is initialised, and lives as long as the set.
        unsafe { Mutex::from_raw(lock) }
    }

    /// Whether the device has virtual functions that are enabled.
    pub(crate) fn has_vfs(self) -> bool {
        #[cfg(CONFIG_PCI_IOV)]
        {
            // SAFETY: The registration keeps the PCI device.
            unsafe { bindings::pci_num_vf(self.as_pci()) != 0 }
        }
        #[cfg(not(CONFIG_PCI_IOV))]
        false
    }

    /// Writes down what the next kernel must know of the device.
    ///
    /// Fails with [`EOPNOTSUPP`] if its state could not be saved when it was opened, if its INTx
    /// cannot be masked, as the next kernel must, and if it has virtual functions; with
    /// [`ENOSPC`] if its saved state is too large.
    ///
    /// # Safety
    ///
    /// The device must be open, and the lock of its `dev_set` must be held.
    pub(crate) unsafe fn describe(self, record: &mut Record) -> Result {
        // SAFETY: By the requirements of this function the state is neither exchanged nor freed.
        let state = unsafe { (*self.vdev.as_ptr()).pci_saved_state };

        // SAFETY: Passed on from the caller.
        if state.is_null() || unsafe { !bindings::vfio_pci_core_intx_masks(self.vdev.as_ptr()) } {
            return Err(EOPNOTSUPP);
        }
        if self.has_vfs() {
            return Err(EOPNOTSUPP);
        }
        self.address()?.encode(record);
        Traits {
            // SAFETY: Passed on from the caller.
            reset_works: unsafe { self.reset_works() },
        }
        .encode(record);

        let buffer = handover::state_mut(record);
        // SAFETY: The state is one that was saved when the device was opened, or that was read when
        // it was retrieved, and the buffer is borrowed.
        to_result(unsafe {
            bindings::pci_liveupdate_write_state(state, buffer.as_mut_ptr().cast(), buffer.len())
        })
    }

    /// Takes over a device that the previous kernel handed over, as it is.
    ///
    /// It is going to be opened without a reset. The state, which is not that of the running
    /// device, is what it gets when it is closed.
    ///
    /// # Safety
    ///
    /// The device must be incoming, and nobody may have got a file of it yet.
    pub(crate) unsafe fn adopt(self, state: SavedState, traits: Traits) {
        let vdev = self.vdev.as_ptr();

        let _guard = self.dev_set_lock().lock();
        // SAFETY: The lock is held. By the requirements of this function the device is not open,
        // so that nobody else accesses these fields and those that share their storage.
        unsafe {
            (*vdev).pci_saved_state = state.into_raw();
            bindings::vfio_pci_core_device::set_reset_works_raw(vdev, traits.reset_works);
            (*vdev).handed_over = true;
        }
    }

    /// Makes a device that was adopted one like any other.
    pub(crate) fn release(self) {
        let vdev = self.vdev.as_ptr();

        let _guard = self.dev_set_lock().lock();
        // SAFETY: The lock is held. If the device is not open, nobody else has the saved state.
        unsafe {
            (*vdev).handed_over = false;
            if (*vdev).vdev.open_count == 0 {
                bindings::kfree((*vdev).pci_saved_state.cast());
                (*vdev).pci_saved_state = core::ptr::null_mut();
            }
        }
    }

    /// Whether the device could be reset when it was opened.
    ///
    /// # Safety
    ///
    /// The device must be open, and the lock of its `dev_set` must be held.
    unsafe fn reset_works(self) -> bool {
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

    /// Checks that nobody is removing the device, unbinding it from vfio-pci, or resetting it, and
    /// that it has no virtual functions.
    ///
    /// Fails with [`EBUSY`] if that is not so. That is how it was when the function was called;
    /// there is no way to keep it so.
    pub(crate) fn check_settled(self) -> Result {
        let pdev = self.as_pci();

        // SAFETY: The registration keeps the PCI device.
        if unsafe { bindings::pci_dev_trylock(pdev) } == 0 {
            return Err(EBUSY);
        }
        // With the lock they cannot be enabled or disabled now.
        let has_vfs = self.has_vfs();
        // SAFETY: It was locked just now.
        unsafe { bindings::pci_dev_unlock(pdev) };

        if has_vfs {
            Err(EBUSY)
        } else {
            Ok(())
        }
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
