// SPDX-License-Identifier: GPL-2.0

//! The device behind an open file.

use core::ptr::NonNull;

use kernel::{
    bindings,
    fs::File,
    prelude::*, //
};

use crate::{
    device::Device,
    handover::Record, //
};

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

    /// Calls a function if the file gives access to the device, which is open then, while nobody
    /// opens or closes a device of its `dev_set`.
    ///
    /// Fails with [`EINVAL`] for a file that is not bound to an iommufd, and so gives no access to
    /// the device, and for a file that gives access through a group.
    fn with_access<R>(self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        // SAFETY: By the type invariants this is a vfio device file. Its private data is set before
        // it becomes one and is freed when it is released.
        let df = unsafe { (*self.file.as_ptr()).private_data }.cast::<bindings::vfio_device_file>();

        let _guard = self.device.dev_set_lock().lock();
        // SAFETY: `df` is valid. `access_granted` is written under the lock that is held here,
        // `group` never changes.
        let (group, access_granted) = unsafe { ((*df).group, (*df).access_granted) };

        if !group.is_null() || access_granted == 0 {
            return Err(EINVAL);
        }
        f()
    }

    /// Checks that the file gives access to the device.
    ///
    /// Fails with [`EINVAL`] if it does not, see [`Self::with_access`].
    pub(crate) fn check_access(self) -> Result {
        self.with_access(|| Ok(()))
    }

    /// Writes down what the next kernel must know of the device.
    ///
    /// Fails with [`EINVAL`] if the file gives no access to it, see [`Self::with_access`], and with
    /// what [`Device::describe`] fails with.
    pub(crate) fn describe(self, record: &mut Record) -> Result {
        // SAFETY: The device is open, and the lock of its `dev_set` is held.
        self.with_access(|| unsafe { self.device.describe(record) })
    }
}
