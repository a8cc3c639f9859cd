// SPDX-License-Identifier: GPL-2.0

//! The device behind an open file.

use core::ptr::NonNull;

use kernel::{
    bindings,
    fs::File,
    prelude::*,
    sync::Mutex, //
};

use crate::device::Device;

/// A device of vfio-pci that was found through one of its files.
///
/// # Invariants
///
/// `file` is a file of `device`.
#[derive(Clone, Copy)]
pub(crate) struct OpenDevice<'a> {
    pub(crate) device: Device<'a>,
    file: &'a File,
}

impl<'a> OpenDevice<'a> {
    /// Returns the device that `file` stands for, if it is one that vfio-pci drives.
    pub(crate) fn new(file: &'a File) -> Option<Self> {
        // SAFETY: `file` is a valid file.
        let device = NonNull::new(unsafe { bindings::vfio_device_from_file(file.as_ptr()) })?;

        // INVARIANT: The device was found through the file.
        Some(Self {
            // SAFETY: The file, which is borrowed for `'a`, holds a reference to the registration.
            device: unsafe { Device::new(device) }?,
            file,
        })
    }

    /// Checks that the device can be handed over through this file.
    ///
    /// Fails with [`EINVAL`] for a file that is not bound to an iommufd, and so gives no access to
    /// the device, and for a file that gives access through a group, which cannot be handed over.
    /// Fails with [`EOPNOTSUPP`] for a device that cannot be reset.
    pub(crate) fn check_preservable(self) -> Result {
        // SAFETY: By the type invariants this is a vfio device file. Its private data is set before
        // it becomes one and is freed when it is released.
        let df = unsafe { (*self.file.as_ptr()).private_data }.cast::<bindings::vfio_device_file>();
        // SAFETY: The device is valid. Its `dev_set` does not change while it has files.
        let lock = unsafe { &raw mut (*(*self.device.as_vfio()).dev_set).lock };
        // SAFETY: The lock is initialised, and lives as long as the set.
        let lock = unsafe { Mutex::<()>::from_raw(lock) };

        let _guard = lock.lock();
        // SAFETY: `df` is valid. `access_granted` is written under the lock that is held here,
        // `group` never changes.
        let (group, access_granted) = unsafe { ((*df).group, (*df).access_granted) };

        if !group.is_null() || access_granted == 0 {
            return Err(EINVAL);
        }
        // SAFETY: Access was granted, so the device is open, and the lock is held.
        if !unsafe { self.device.reset_works() } {
            return Err(EOPNOTSUPP);
        }
        Ok(())
    }
}
