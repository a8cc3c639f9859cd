// SPDX-License-Identifier: GPL-2.0

//! Live update of vfio-pci device files.
//!
//! Userspace preserves the file of a device that it drives in a session of the Live Update
//! Orchestrator, replaces the kernel through kexec, and retrieves from the session a file for the
//! same device.
//!
//! # What is preserved
//!
//! - The identity of the device: its domain, bus, device and function number.
//!
//! # What is not preserved
//!
//! Everything else, for now. In particular:
//!
//! - The state of the device: it is reset before the kexec, so that it hands over no DMA and no
//!   interrupt, and userspace finds it as after opening it. A device that cannot be reset cannot
//!   be preserved.
//! - The iommufd to which the file was bound, with everything in it: the new file must be bound
//!   again.
//! - Interrupts, region mappings, dma-bufs and eventfds that userspace set up through the file.
//!
//! Only files of the device's character device are accepted, and only once they are bound to an
//! iommufd: before that, and through a group, a file stands for no access to the device.
//!
//! C header: [`include/linux/kho/abi/vfio_pci.h`](srctree/include/linux/kho/abi/vfio_pci.h)

#[path = "vfio_pci_liveupdate/device.rs"]
mod device;
#[path = "vfio_pci_liveupdate/handover.rs"]
mod handover;
#[path = "vfio_pci_liveupdate/retrieve.rs"]
mod retrieve;

use core::mem::offset_of;

use kernel::{
    bindings,
    fs::File,
    kho::{
        Preserved,
        Restored, //
    },
    liveupdate::{
        FileHandler,
        Handler,
        Outcome, //
    },
    prelude::*,
    sync::aref::ARef,
    ThisModule, //
};

use crate::{
    device::OpenDevice,
    handover::Address, //
};

/// Prefix of log messages.
const __LOG_PREFIX: &[u8] = b"vfio_pci\0";

/// What `#[vtable]` takes for the owner of the callbacks.
///
/// This code is part of the vfio-pci module, which is a C module and, as long as it supports live
/// update, built in.
struct LocalModule;

impl kernel::ModuleMetadata for LocalModule {
    const NAME: &'static CStr = c"vfio_pci";

    // SAFETY: A null pointer stands for built-in code.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
}

// `handover::Record` is the C struct of the ABI, byte by byte.
const _: () = {
    use bindings::vfio_pci_core_device_ser as Ser;

    assert!(handover::SIZE == size_of::<Ser>());
    assert!(offset_of!(Ser, domain) == 0);
    assert!(offset_of!(Ser, bdf) == 4);
};

// The log macros have a trait of their own, which `handover` does not know.
impl kernel::fmt::Display for Address {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// The LUO's handler for the files of vfio-pci devices.
struct VfioPci;

#[vtable]
impl FileHandler for VfioPci {
    const COMPATIBLE: &'static CStr =
        match CStr::from_bytes_with_nul(bindings::VFIO_PCI_LUO_FH_COMPATIBLE) {
            Ok(string) => string,
            Err(_) => panic!("a string literal of C ends in its only NUL"),
        };

    type Data = handover::Record;

    fn can_preserve(file: &File) -> bool {
        OpenDevice::from_file(file).is_some()
    }

    fn id(file: &File) -> usize {
        // The device and not the file, so that no device is preserved twice. Zero is no address:
        // the LUO asks only for files that `can_preserve` accepted.
        OpenDevice::from_file(file).map_or(0, OpenDevice::id)
    }

    fn preserve(file: &File) -> Result<Preserved<handover::Record>> {
        let device = OpenDevice::from_file(file).ok_or(EINVAL)?;

        device.check_preservable()?;
        Preserved::new(device.address()?.encode())
    }

    fn unpreserve(_file: &File, _data: Preserved<handover::Record>) {
        // The device was left alone by `preserve`, and the memory goes away by itself.
    }

    fn freeze(file: &File, _data: &mut handover::Record) -> Result {
        // Version 1 of the ABI promises a device that was reset.
        OpenDevice::from_file(file).ok_or(EINVAL)?.reset()
    }

    fn retrieve(data: Restored<handover::Record>) -> Result<ARef<File>> {
        let address = Address::decode(&data).ok_or(EINVAL)?;

        retrieve::open(address).inspect_err(|error| {
            pr_warn!("cannot retrieve the file of {}: {:?}\n", address, error);
        })
    }

    fn can_finish(outcome: Outcome<'_, ()>) -> bool {
        // Somebody must have taken charge of the device.
        matches!(outcome, Outcome::Retrieved(_))
    }

    fn finish(_outcome: Outcome<'_, Restored<handover::Record>>) {
        // Memory that nobody claimed goes away by itself.
    }
}

static HANDLER: Handler<VfioPci> = Handler::new();

/// Makes the files of vfio-pci devices preservable.
///
/// Called once, when vfio-pci is initialised. Does nothing when live update is disabled in this
/// boot.
#[export]
pub extern "C" fn vfio_pci_liveupdate_init() -> kernel::ffi::c_int {
    match HANDLER.register() {
        Ok(registration) => {
            // Built-in code never goes away, so the handler stays.
            core::mem::forget(registration);
            0
        }
        Err(EOPNOTSUPP) => 0,
        Err(error) => {
            pr_err!("cannot register for live update: {:?}\n", error);
            error.to_errno()
        }
    }
}
