// SPDX-License-Identifier: GPL-2.0

//! The vfio-pci device behind a file.

use kernel::{
    bindings,
    error::to_result,
    fs::File,
    prelude::*,
    sync::Mutex,
    types::Opaque, //
};

use crate::handover::Address;

/// A vfio-pci device that was found through one of its files.
///
/// # Invariants
///
/// `vdev` points to a device of vfio-pci itself, no variant driver, and is valid for `'a`; `df`
/// points to the private data of the file through which it was found and is valid for `'a`, too.
#[derive(Clone, Copy)]
pub(crate) struct OpenDevice<'a> {
    vdev: &'a Opaque<bindings::vfio_pci_core_device>,
    df: *const bindings::vfio_device_file,
}

impl<'a> OpenDevice<'a> {
    /// Returns the device that `file` stands for, if it is one that is driven by vfio-pci.
    pub(crate) fn from_file(file: &'a File) -> Option<Self> {
        // SAFETY: `file` is a valid file.
        let core_vdev = unsafe { bindings::vfio_device_from_file(file.as_ptr()) };
        if core_vdev.is_null() {
            return None;
        }

        // SAFETY: The file holds a reference to the device, whose `ops` never change.
        let ops = unsafe { (*core_vdev).ops };
        if !core::ptr::eq(ops, &raw const bindings::vfio_pci_ops) {
            return None;
        }

        // The devices of vfio-pci are embedded in a `struct vfio_pci_core_device`.
        // SAFETY: By the operations this is such a device.
        let vdev =
            unsafe { kernel::container_of!(core_vdev, bindings::vfio_pci_core_device, vdev) };

        // INVARIANT: The operations are those of vfio-pci. The file, which is borrowed for `'a`,
        // has a reference to the device and keeps its private data until it is released.
        Some(Self {
            // SAFETY: See above; `Opaque` promises nothing about the contents.
            vdev: unsafe { &*Opaque::cast_from(vdev) },
            // SAFETY: `file` is a valid file, its private data is set before it gets the
            // operations of a vfio device file and never changes.
            df: unsafe { (*file.as_ptr()).private_data }.cast(),
        })
    }

    fn core_vdev(self) -> *mut bindings::vfio_device {
        // SAFETY: By the type invariants the device is valid. No reference is made.
        unsafe { &raw mut (*self.vdev.get()).vdev }
    }

    /// A number that identifies the device for as long as it is open.
    pub(crate) fn id(self) -> usize {
        self.vdev.get().addr()
    }

    /// Where the device is found on the PCI bus.
    pub(crate) fn address(self) -> Result<Address> {
        // SAFETY: By the type invariants the device is valid; its `pdev` never changes, and a
        // registered device holds a reference to it.
        let pdev = unsafe { (*self.vdev.get()).pdev };
        // SAFETY: `pdev` is valid, and so is the bus that it is on.
        let domain = unsafe { bindings::pci_domain_nr((*pdev).bus) };
        // SAFETY: `pdev` is valid.
        let bdf = unsafe { bindings::pci_dev_id(pdev) };

        Address::new(u32::try_from(domain)?, bdf).ok_or(EINVAL)
    }

    /// Checks that the device can be handed over through this file.
    ///
    /// Fails with [`EINVAL`] for a file that was opened through a group, or that was not yet bound
    /// to an iommufd, and so stands for no access to the device; with [`EOPNOTSUPP`] for a device
    /// that cannot be [`reset`](Self::reset).
    pub(crate) fn check_preservable(self) -> Result {
        // SAFETY: By the type invariants the device is valid; its `dev_set` never changes while
        // it is registered, and the set's lock is initialised.
        let lock = unsafe { Mutex::<()>::from_raw(&raw mut (*(*self.core_vdev()).dev_set).lock) };
        let _guard = lock.lock();

        // SAFETY: By the type invariants the file's private data is valid. `access_granted` is
        // written under the lock that is held here, `group` never changes.
        let (group, access_granted) = unsafe { ((*self.df).group, (*self.df).access_granted) };
        if !group.is_null() || access_granted == 0 {
            return Err(EINVAL);
        }

        // SAFETY: By the type invariants the device is valid. The bit shares its storage with
        // others that change only under the lock that is held here, or before the device is
        // opened, as it now is.
        if !unsafe { (*self.vdev.get()).reset_works() } {
            return Err(EOPNOTSUPP);
        }
        Ok(())
    }

    /// Resets the device, as userspace can do with `VFIO_DEVICE_RESET`.
    pub(crate) fn reset(self) -> Result {
        // SAFETY: By the type invariants the device is valid. It is open: a file that could be
        // preserved is bound, and stays so until it is released. This command has no argument.
        let ret = unsafe {
            bindings::vfio_pci_core_ioctl(self.core_vdev(), bindings::VFIO_DEVICE_RESET, 0)
        };

        to_result(ret as kernel::ffi::c_int)
    }
}
