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
//! - The state of the device itself. It is not reset: not on the way out, not when it is found, and
//!   not when the retrieved file is bound to an iommufd. A device without an IOMMU, of a cdev in
//!   noiommu mode, goes on with DMA all the time, to memory that userspace must have preserved.
//! - The configuration space that was saved when the device was opened, before userspace changed
//!   it, and whether the device can be reset. It is reset, and that state restored, when the last
//!   file is closed, as ever.
//!
//! # What is not preserved
//!
//! Everything else, for now. In particular:
//!
//! - DMA of a device that is behind an IOMMU. On the way into the next kernel the PCI core clears
//!   its bus mastering; userspace can set it again when it has mapped the memory again.
//! - The iommufd to which the file was bound, with everything in it: the new file must be bound
//!   again.
//! - Interrupts, region mappings, dma-bufs and eventfds that userspace set up through the file.
//!   All interrupts of the device are off when it is handed over. INTx stays off, and cannot fire
//!   while nobody listens, until userspace sets up an interrupt.
//! - What vfio-pci presents to userspace in place of the device's own configuration space. It is
//!   made up from the device as it is found.
//! - Virtual functions, which do not exist before somebody enables them. They are refused, and so
//!   is a device that has some: the next kernel would disable them in it.
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
//! A session that holds a file which was not retrieved, or not bound to an iommufd again, cannot be
//! finished; one that holds a file which could not be retrieved can. The session must not be closed
//! before it is finished: the LUO cannot give it out again, and keeps its files until the next
//! reboot.
//!
//! Until the session is finished, the retrieved file is the only one that gives access to the
//! device: opening its character device, or the group that it is in, fails with `EBUSY`.
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
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        global_lock, //
    },
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
/// This code is part of the vfio-pci module, which is a C module.
struct LocalModule;

impl kernel::ModuleMetadata for LocalModule {
    const NAME: &'static CStr = c"vfio_pci";

    #[cfg(MODULE)]
    const THIS_MODULE: ThisModule = {
        extern "C" {
            static __this_module: kernel::types::Opaque<bindings::module>;
        }

        // SAFETY: The object is part of the module, and is there for as long as the module is.
        unsafe { ThisModule::from_ptr(__this_module.get()) }
    };

    #[cfg(not(MODULE))]
    // SAFETY: A null pointer stands for built-in code.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
}

// `handover::Record` is the C struct of the ABI, byte by byte.
const _: () = {
    use bindings::vfio_pci_core_device_ser as Ser;

    assert!(handover::SIZE == size_of::<Ser>());
    assert!(offset_of!(Ser, domain) == 0);
    assert!(offset_of!(Ser, bdf) == 4);
    assert!(offset_of!(Ser, flags) == 6);
    assert!(offset_of!(Ser, state) == handover::STATE);
    assert!(handover::RESET_WORKS as u32 == bindings::VFIO_PCI_SER_RESET_WORKS);
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
        // Pairs with `register`.
        READY.load(Acquire) && OpenDevice::new(file).is_some()
    }

    fn id(file: &File) -> usize {
        // The device and not the file, so that no device is preserved twice. The LUO asks only for
        // files that `can_preserve` accepted or `retrieve` returned; any other is its own.
        OpenDevice::new(file).map_or(file.as_ptr().addr(), |open| open.device.id())
    }

    fn preserve(file: &File) -> Result<Preserved<handover::Record>> {
        let open = OpenDevice::new(file).ok_or(EINVAL)?;

        let mut data = Preserved::<handover::Record>::zeroed()?;

        open.describe(&mut data)?;

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

    fn freeze(file: &File, _data: &mut handover::Record) -> Result {
        // The device is left as it is, so that there is nothing for an `unfreeze` to undo.
        OpenDevice::new(file).ok_or(EINVAL)?.device.check_settled()
    }

    fn retrieve(data: Restored<handover::Record>) -> Result<ARef<File>> {
        let address = Address::decode(&data).ok_or(EINVAL)?;

        retrieve::open(address, &data).inspect_err(|error| {
            pr_warn!("cannot retrieve the file of {}: {:?}\n", address, error);
        })
    }

    fn can_finish(outcome: Outcome<'_, ()>) -> bool {
        // Pairs with `register`. The finish of a file counts down what the handler depends on.
        if !READY.load(Acquire) {
            return false;
        }
        // Somebody may still want to take charge of the device. If that failed, it is not going to
        // succeed later, and must not keep the other files of the session.
        match outcome {
            Outcome::Retrieved(file) => {
                // One that is gone cannot be bound any more.
                OpenDevice::new(file)
                    .is_none_or(|open| open.check_access().is_ok() || open.device.is_disconnected())
            }
            Outcome::Unclaimed(()) => false,
            Outcome::Failed(_) => true,
        }
    }

    fn finish(outcome: Outcome<'_, Restored<handover::Record>>) {
        // Of a device that could not be retrieved, the PCI core lets go with the last one. If it
        // was adopted nevertheless, that means nothing any more when it is not incoming.
        let Outcome::Retrieved(file) = outcome else {
            return;
        };

        if let Some(open) = OpenDevice::new(file) {
            // First: when the PCI core has let go of it, others may open it.
            open.device.release();
            // SAFETY: The file, which `retrieve` returned, keeps the device bound to vfio-pci.
            unsafe { bindings::pci_liveupdate_finish(open.device.as_pci()) };
        }
    }
}

static HANDLER: Handler<VfioPci> = Handler::new();

/// Whether everything is set up that a preserved file depends on.
///
/// The object is linked by the PCI core, which has the handler as C knows it, and not through
/// [`Registration`].
static READY: Atomic<bool> = Atomic::new(false);

global_lock! {
    // SAFETY: Initialised when the module is, before anything else is done with it.
    unsafe(uninit) static REGISTRATION: Mutex<Option<Registration<VfioPci>>> = None;
}

/// Registers the handler, and with it what it depends on.
fn register() -> Result<Registration<VfioPci>> {
    let registration = HANDLER.register()?;

    // SAFETY: The handler was registered just now, and does not claim any file before it is ready.
    to_result(unsafe { bindings::pci_liveupdate_register_flb(registration.as_raw()) })?;
    // Pairs with `can_preserve` and `can_finish`.
    READY.store(true, Release);
    Ok(registration)
}

/// Makes the files of vfio-pci devices preservable.
///
/// Does nothing when live update is disabled in this boot. An error costs the ability to preserve
/// files, not vfio-pci.
///
/// # Safety
///
/// To be called once, when vfio-pci is initialised.
#[export]
pub unsafe extern "C" fn vfio_pci_liveupdate_init() {
    // SAFETY: By the requirements of this function.
    unsafe { REGISTRATION.init() };

    match register() {
        Ok(registration) => *REGISTRATION.lock() = Some(registration),
        Err(EOPNOTSUPP) => (),
        Err(error) => pr_err!("cannot register for live update: {:?}\n", error),
    }
}

/// Undoes [`vfio_pci_liveupdate_init`].
///
/// The module is not unloaded while a file is preserved, nor, once `/dev/liveupdate` was opened,
/// while one that was handed over is not finished: the LUO has a reference to it then.
///
/// # Safety
///
/// To be called once, after [`vfio_pci_liveupdate_init`], when vfio-pci is unloaded.
#[export]
pub unsafe extern "C" fn vfio_pci_liveupdate_cleanup() {
    *REGISTRATION.lock() = None;
}
