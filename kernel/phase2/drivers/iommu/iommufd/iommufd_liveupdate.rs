// SPDX-License-Identifier: GPL-2.0

//! Live update of iommufd.
//!
//! A preserved iommufd keeps the page tables that devices are attached to, so that they go on with
//! DMA. The next kernel takes these over, with the devices, but cannot rebuild the iommufd around
//! them yet: its file cannot be retrieved, and its session not finished.

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
        Registration,
        Session, //
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

/// Prefix of log messages.
const __LOG_PREFIX: &[u8] = b"iommufd\0";

/// What `#[vtable]` takes for the owner of the callbacks.
///
/// This code is part of the iommufd module, which is a C module.
struct LocalModule;

impl kernel::ModuleMetadata for LocalModule {
    const NAME: &'static CStr = c"iommufd";

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

/// What is handed over with the file: a `struct iommufd_ser`.
#[repr(C)]
#[derive(FromBytes, IntoBytes)]
struct Record {
    nr_devices: u64,
}

/// The iommufd that a file stands for.
fn context(file: &File) -> Result<*mut bindings::iommufd_ctx> {
    // SAFETY: The file is valid.
    let context = unsafe { bindings::iommufd_liveupdate_ctx(file.as_ptr()) };

    if context.is_null() {
        Err(EINVAL)
    } else {
        Ok(context)
    }
}

/// The LUO's handler for the files of iommufd.
struct Iommufd;

#[vtable]
impl FileHandler for Iommufd {
    const COMPATIBLE: &'static CStr =
        match CStr::from_bytes_with_nul(bindings::IOMMUFD_LUO_FH_COMPATIBLE) {
            Ok(string) => string,
            Err(_) => panic!("a string literal of C ends in its only NUL"),
        };

    type Data = Record;

    fn can_preserve(file: &File) -> bool {
        // Pairs with `register`.
        READY.load(Acquire) && context(file).is_ok()
    }

    fn id(file: &File) -> usize {
        context(file).map_or(file.as_ptr().addr(), |context| context.addr())
    }

    fn preserve(file: &File, session: &Session) -> Result<Preserved<Record>> {
        let mut data = Preserved::<Record>::zeroed()?;
        let mut nr_devices = 0;

        // SAFETY: The file keeps the iommufd, and the session is that of the file.
        to_result(unsafe {
            bindings::iommufd_liveupdate_preserve(
                context(file)?,
                session.as_raw(),
                &raw mut nr_devices,
            )
        })?;
        data.nr_devices = nr_devices;
        Ok(data)
    }

    fn unpreserve(file: &File, _data: Preserved<Record>) {
        if let Ok(context) = context(file) {
            // SAFETY: The file keeps the iommufd.
            unsafe { bindings::iommufd_liveupdate_unpreserve(context) };
        }
    }

    fn freeze(file: &File, session: &Session, _data: &mut Record) -> Result {
        // SAFETY: The file keeps the iommufd, and the session is that of the file.
        to_result(unsafe { bindings::iommufd_liveupdate_freeze(context(file)?, session.as_raw()) })
    }

    fn retrieve(data: Restored<Record>) -> Result<ARef<File>> {
        pr_warn!(
            "{} device(s) of the previous kernel's file cannot be used before the next reboot\n",
            data.nr_devices
        );
        Err(EOPNOTSUPP)
    }

    fn can_finish(_outcome: Outcome<'_, ()>) -> bool {
        false
    }

    fn finish(_outcome: Outcome<'_, Restored<Record>>) {
        // Not called, as it cannot be finished.
    }
}

static HANDLER: Handler<Iommufd> = Handler::new();

/// Whether everything is set up that a preserved file depends on.
static READY: Atomic<bool> = Atomic::new(false);

global_lock! {
    // SAFETY: Initialised when the module is, before anything else is done with it.
    unsafe(uninit) static REGISTRATION: Mutex<Option<Registration<Iommufd>>> = None;
}

/// Registers the handler, and with it what it depends on.
fn register() -> Result<Registration<Iommufd>> {
    let registration = HANDLER.register()?;

    // SAFETY: The handler was registered just now, and does not claim any file before it is ready.
    unsafe {
        to_result(bindings::pci_liveupdate_register_flb(registration.as_raw()))?;
        to_result(bindings::iommu_liveupdate_register_flb(
            registration.as_raw(),
        ))?;
        to_result(bindings::iommufd_liveupdate_register_reboot())?;
    }
    // Pairs with `can_preserve`.
    READY.store(true, Release);
    Ok(registration)
}

/// Makes the files of iommufd preservable.
///
/// Does nothing when live update is disabled in this boot. An error costs the ability to preserve
/// files, not iommufd.
///
/// # Safety
///
/// To be called once, when iommufd is initialised.
#[export]
pub unsafe extern "C" fn iommufd_liveupdate_init() {
    // SAFETY: By the requirements of this function.
    unsafe { REGISTRATION.init() };

    match register() {
        Ok(registration) => *REGISTRATION.lock() = Some(registration),
        Err(EOPNOTSUPP) => (),
        Err(error) => pr_err!("cannot register for live update: {:?}\n", error),
    }
}

/// Undoes [`iommufd_liveupdate_init`].
///
/// # Safety
///
/// To be called once, after [`iommufd_liveupdate_init`], when iommufd is unloaded.
#[export]
pub unsafe extern "C" fn iommufd_liveupdate_exit() {
    if REGISTRATION.lock().take().is_some() {
        // SAFETY: `register` was successful. No file is preserved any more.
        unsafe { bindings::iommufd_liveupdate_unregister_reboot() };
    }
}
