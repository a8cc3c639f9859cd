// SPDX-License-Identifier: GPL-2.0

//! Live update of vfio-pci device files.
//!
//! Userspace preserves the file of a device that it drives in a session of the Live Update
//! Orchestrator, replaces the kernel through kexec, and retrieves from the session a file for the
//! device at the same address.
//!
//! # What is preserved
//!
//! - The address of the device: its domain, bus, device and function number.
//!
//! # What is not preserved
//!
//! Everything else, for now. In particular:
//!
//! - The state of the device. On the way into the next kernel the PCI core clears bus mastering of
//!   a device that is behind an IOMMU, which ends its DMA. One that is not, of a cdev in noiommu
//!   mode, goes on with DMA, to memory that userspace must have preserved. Either is reset when
//!   the retrieved file is bound to an iommufd, as whenever a vfio-pci device is opened; a device
//!   for which this does not work cannot be preserved.
//! - The iommufd to which the file was bound, with everything in it: the new file must be bound
//!   again.
//! - Interrupts, region mappings, dma-bufs and eventfds that userspace set up through the file.
//!   The next kernel disables MSI and MSI-X when it finds the device.
//! - Virtual functions, which do not exist before somebody enables them. They are refused.
//!
//! Only files of the device's character device are accepted, and only once they are bound to an
//! iommufd: before that they give no access to the device. Those that give access through a group
//! depend on a container, which cannot be preserved.
//!
//! # In the next kernel
//!
//! vfio-pci must have been bound to the device before its file is retrieved, and the LUO does not
//! let a failed retrieve be tried again. The bind must have returned; the uevent of the vfio device
//! comes too early.
//!
//! A session that holds a file which was not retrieved cannot be finished; one that holds a file
//! which could not be retrieved can. The session must not be closed before it is finished: the LUO
//! cannot give it out again, and keeps its files until the next reboot.
//!
//! Nothing keeps the device from being opened through its character device meanwhile. If userspace
//! does that, and preserves that file for the next live update, the file of this one cannot be
//! retrieved any more.
//!
//! C header: [`include/linux/kho/abi/vfio_pci.h`](srctree/include/linux/kho/abi/vfio_pci.h)

#[path = "vfio_pci_liveupdate/device.rs"]
mod device;
#[path = "vfio_pci_liveupdate/handover.rs"]
mod handover;
#[path = "vfio_pci_liveupdate/open.rs"]
mod open;
#[path = "vfio_pci_liveupdate/retrieve.rs"]
mod retrieve;

use core::mem::offset_of;

use kernel::{
    bindings,
    error::to_result,
    fs::File,
    kho::{
        Preserved,
        Restored, //
    },
    liveupdate::{
        FileHandler,
        Handler,
        Outcome,
        Registration, //
    },
    prelude::*,
    sync::aref::ARef,
    ThisModule, //
};

use crate::{
    handover::Address,
    open::OpenDevice, //
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
        OpenDevice::new(file).is_some()
    }

    fn id(file: &File) -> usize {
        // The device and not the file, so that no device is preserved twice. The LUO asks only for
        // files that `can_preserve` accepted or `retrieve` returned; any other is its own.
        OpenDevice::new(file).map_or(file.as_ptr().addr(), |open| open.device.id())
    }

    fn preserve(file: &File) -> Result<Preserved<handover::Record>> {
        let open = OpenDevice::new(file).ok_or(EINVAL)?;

        open.check_preservable()?;
        let data = Preserved::new(open.device.address()?.encode())?;

        // SAFETY: The file holds a reference to the registration, so that the device stays bound to
        // vfio-pci until it is unpreserved.
        to_result(unsafe { bindings::pci_liveupdate_preserve(open.device.as_pci()) })?;
        Ok(data)
    }

    fn unpreserve(file: &File, _data: Preserved<handover::Record>) {
        if let Some(open) = OpenDevice::new(file) {
            // SAFETY: The device was preserved by `preserve`, and the file kept it bound.
            unsafe { bindings::pci_liveupdate_unpreserve(open.device.as_pci()) };
        }
    }

    fn retrieve(data: Restored<handover::Record>) -> Result<ARef<File>> {
        let address = Address::decode(&data).ok_or(EINVAL)?;

        retrieve::open(address).inspect_err(|error| {
            pr_warn!("cannot retrieve the file of {}: {:?}\n", address, error);
        })
    }

    fn can_finish(outcome: Outcome<'_, ()>) -> bool {
        // Somebody may still want to take charge of the device. If that failed, it is not going to
        // succeed later, and must not keep the other files of the session.
        !matches!(outcome, Outcome::Unclaimed(()))
    }

    fn finish(outcome: Outcome<'_, Restored<handover::Record>>) {
        // Of a device that could not be retrieved, the PCI core lets go with the last one.
        let Outcome::Retrieved(file) = outcome else {
            return;
        };

        if let Some(open) = OpenDevice::new(file) {
            // SAFETY: The file, which `retrieve` returned, keeps the device bound to vfio-pci.
            unsafe { bindings::pci_liveupdate_finish(open.device.as_pci()) };
        }
    }
}

static HANDLER: Handler<VfioPci> = Handler::new();

/// Registers the handler, and with it what it depends on.
fn register() -> Result<Registration<VfioPci>> {
    let registration = HANDLER.register()?;

    // SAFETY: The handler was registered just now, by a device_initcall. Files are preserved by way
    // of `/dev/liveupdate`, which a late_initcall creates.
    to_result(unsafe { bindings::pci_liveupdate_register_flb(registration.as_raw()) })?;
    Ok(registration)
}

/// Makes the files of vfio-pci devices preservable.
///
/// Called once, when vfio-pci is initialised. Does nothing when live update is disabled in this
/// boot. An error costs the ability to preserve files, not vfio-pci.
#[export]
pub extern "C" fn vfio_pci_liveupdate_init() {
    match register() {
        // Built-in code never goes away, so the handler stays.
        Ok(registration) => core::mem::forget(registration),
        Err(EOPNOTSUPP) => (),
        Err(error) => pr_err!("cannot register for live update: {:?}\n", error),
    }
}
