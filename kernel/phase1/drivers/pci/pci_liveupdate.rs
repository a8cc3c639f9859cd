// SPDX-License-Identifier: GPL-2.0

//! Live update of PCI devices.
//!
//! A driver that preserves a device across a live update of the kernel tells the PCI core, with
//! `pci_liveupdate_preserve()`. The PCI core tells the next kernel: which devices are preserved,
//! and which bridges are above them. It does so through an object of the Live Update Orchestrator
//! (LUO) that is bound to the files of all such drivers.
//!
//! The next kernel reads it when it finds its first PCI device. What it knows from then on of a
//! preserved device, or of a bridge above one, it knows before anything else is done to it: it is
//! *incoming* from [`setup`](pci_liveupdate_setup_device) until the driver that retrieved it lets
//! go of it with [`pci_liveupdate_finish`].
//!
//! A device that keeps accessing memory and that nobody knows of corrupts memory. So a kernel that
//! cannot make sense of what it was handed panics, and says why.
//!
//! C headers: [`include/linux/pci_liveupdate.h`](srctree/include/linux/pci_liveupdate.h),
//! [`include/linux/kho/abi/pci.h`](srctree/include/linux/kho/abi/pci.h),
//! [`include/linux/kho/abi/pci_saved_state.h`](srctree/include/linux/kho/abi/pci_saved_state.h)

#[path = "pci_liveupdate/blocks.rs"]
mod blocks;
#[path = "pci_liveupdate/device.rs"]
mod device;
#[path = "pci_liveupdate/handover.rs"]
mod handover;
#[path = "pci_liveupdate/incoming.rs"]
mod incoming;
#[path = "pci_liveupdate/outgoing.rs"]
mod outgoing;
#[path = "pci_liveupdate/saved_state.rs"]
mod saved_state;
#[path = "pci_liveupdate/state_record.rs"]
mod state_record;
#[path = "pci_liveupdate/tracked.rs"]
mod tracked;

use core::mem::offset_of;

use kernel::{
    bindings,
    error::from_result,
    io::PhysAddr,
    kho::Restored,
    liveupdate::{
        Flb,
        FlbOps, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    ThisModule, //
};

use crate::{
    device::{
        Device,
        FoundDevice, //
    },
    handover::Address,
    incoming::Incoming,
    outgoing::Outgoing,
    saved_state::SavedState, //
};

/// Prefix of log messages.
const __LOG_PREFIX: &[u8] = b"PCI\0";

/// What `#[vtable]` takes for the owner of the callbacks.
struct LocalModule;

impl kernel::ModuleMetadata for LocalModule {
    const NAME: &'static CStr = c"pci_liveupdate";

    // SAFETY: A null pointer stands for built-in code.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
}

// The types of `handover` are the C structs of the ABI, byte by byte.
const _: () = {
    use bindings::{
        pci_dev_ser,
        pci_ser, //
    };

    assert!(handover::VERSION == bindings::PCI_LUO_FLB_VERSION);
    assert!(handover::LIVE_TRANSLATION == bindings::PCI_LUO_FLB_LIVE_TRANSLATION);
    assert!(handover::HEADER_SIZE == size_of::<pci_ser>());
    assert!(offset_of!(pci_ser, version) == 0);
    assert!(offset_of!(pci_ser, nr_devices) == 4);
    assert!(offset_of!(pci_ser, devices) == 8);
    assert!(handover::ENTRY_SIZE == size_of::<pci_dev_ser>());
    assert!(offset_of!(pci_dev_ser, domain) == 0);
    assert!(offset_of!(pci_dev_ser, bdf) == 4);
    assert!(offset_of!(pci_dev_ser, refcount) == 6);
    assert!(handover::BLOCK_SIZE == kernel::page::PAGE_SIZE);
};

// The log macros have a trait of their own, which `handover` does not know.
impl kernel::fmt::Display for Address {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl kernel::fmt::Display for handover::Fault {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl kernel::fmt::Display for tracked::Contradiction {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// Stops the kernel, because it does not know which devices access memory.
fn lost(reason: kernel::fmt::Arguments<'_>) -> ! {
    // SAFETY: The format is a C string with one conversion, which takes the address of a
    // `fmt::Arguments`, and is done with it when the function has formatted its message.
    unsafe {
        bindings::panic(
            c"PCI: the hand-over \"pci\" of the previous kernel cannot be trusted: %pA"
                .as_char_ptr(),
            core::ptr::from_ref(&reason).cast::<c_void>(),
        )
    }
}

/// Whether this kernel was handed devices when it was booted.
static INHERITED: Atomic<bool> = Atomic::new(false);

/// The LUO object by which kernels tell each other about PCI devices.
struct Tracking;

static TRACKING: Flb<Tracking> = Flb::new();

// SAFETY: The address is that of the header, which `Outgoing` owns and neither moves nor exchanges.
// The C header requires of those who register their handlers that their compatible strings stand
// for it.
#[vtable]
unsafe impl FlbOps for Tracking {
    const COMPATIBLE: &'static CStr =
        match CStr::from_bytes_with_nul(bindings::PCI_LUO_FLB_COMPATIBLE) {
            Ok(string) => string,
            Err(_) => panic!("a string literal of C ends in its only NUL"),
        };

    type Data = handover::HeaderBytes;
    type Outgoing = Pin<KBox<Outgoing>>;
    type Incoming = Pin<KBox<Incoming>>;

    fn preserve() -> Result<Self::Outgoing> {
        Outgoing::new()
    }

    fn phys(outgoing: Pin<&Outgoing>) -> PhysAddr {
        outgoing.phys()
    }

    fn unpreserve(_outgoing: Self::Outgoing) {
        // The files are unpreserved, and with them the devices.
    }

    fn retrieve(data: Restored<Self::Data>) -> Result<Self::Incoming> {
        let incoming = Incoming::read(&data)?.unwrap_or_else(|fault| lost(fmt!("{fault}")));

        INHERITED.store(true, Relaxed);
        Ok(incoming)
    }

    fn finish(incoming: Self::Incoming) {
        if let Err(address) = incoming.finish() {
            lost(fmt!("no file came for the preserved device {address}"));
        }
    }
}

/// Calls a function with what the previous kernel handed over, if it did.
fn with_incoming<R>(f: impl FnOnce(&Incoming) -> R) -> Option<R> {
    match TRACKING.incoming() {
        Ok(incoming) => Some(f(&incoming.borrow())),
        // There was no live update, it did not involve PCI devices, or it is over.
        Err(ENODATA | ENOENT | EOPNOTSUPP) => None,
        Err(error) => lost(fmt!("{error:?}")),
    }
}

/// Lets a file handler preserve PCI devices; documented in the C header.
///
/// # Safety
///
/// `fh` must be a handler that was registered just now. No file of it must be preserved so far, nor
/// meanwhile.
#[export]
pub unsafe extern "C" fn pci_liveupdate_register_flb(
    fh: *mut bindings::liveupdate_file_handler,
) -> c_int {
    // SAFETY: By the requirements of this function.
    from_result(|| unsafe { TRACKING.register_with(fh) }.map(|()| 0))
}

/// Preserves a device, and the bridges above it; documented in the C header.
///
/// # Safety
///
/// `dev` must be a device that is bound to a driver, and must stay so until it is unpreserved.
#[export]
pub unsafe extern "C" fn pci_liveupdate_preserve(dev: *mut bindings::pci_dev) -> c_int {
    // SAFETY: The device is bound to the caller's driver, and so is on a bus.
    let device = unsafe { Device::from_raw(dev) };

    from_result(|| {
        if device.is_bridge() {
            return Err(EINVAL);
        }
        if device.is_virtfn() || !device.has_fixed_segment() {
            return Err(EOPNOTSUPP);
        }
        TRACKING.outgoing()?.borrow().add(device).map(|()| 0)
    })
}

/// Undoes [`pci_liveupdate_preserve`].
///
/// # Safety
///
/// `dev` must be a device that was preserved, and not unpreserved since.
#[export]
pub unsafe extern "C" fn pci_liveupdate_unpreserve(dev: *mut bindings::pci_dev) {
    // SAFETY: The device was preserved, and is still bound to its driver.
    let device = unsafe { Device::from_raw(dev) };

    if let Ok(outgoing) = TRACKING.outgoing() {
        outgoing.borrow().remove(device);
    }
}

/// Takes note of a device that was found on a bus.
///
/// The first thing that is done when a device is found, once it is known what kind of device it is.
///
/// # Safety
///
/// `dev` must be a device that is being set up and has a bus.
#[export]
pub unsafe extern "C" fn pci_liveupdate_setup_device(dev: *mut bindings::pci_dev) {
    // SAFETY: The device is being set up, and knows its bus.
    let device = unsafe { Device::from_raw(dev) };

    if let Some(count) = with_incoming(|incoming| incoming.found(device)).flatten() {
        dev_info!(
            device.as_device(),
            "preserved by the previous kernel, with {} device(s) at or below it\n",
            count
        );
        // Before MSI is disabled, as for every device that is found: one that is running must not
        // fall back to INTx, which nobody listens to.
        if !device.is_bridge() {
            device.disable_intx();
        }
    }
}

/// Takes note of a device that is being removed.
///
/// If it is incoming, nobody is going to be responsible for it any more.
///
/// # Safety
///
/// `dev` must be a device that is being removed, and is not bound to a driver any more.
#[export]
pub unsafe extern "C" fn pci_liveupdate_remove_device(dev: *mut bindings::pci_dev) {
    // SAFETY: The device is still on its bus.
    let device = unsafe { Device::from_raw(dev) };

    if device.is_incoming() {
        with_incoming(|incoming| incoming.removed(device));
        device.stop();
    }
}

/// Keeps an incoming device powered.
///
/// Called once the device is initialised for the driver core.
///
/// # Safety
///
/// `dev` must be a device that is being added.
#[export]
pub unsafe extern "C" fn pci_liveupdate_device_add(dev: *mut bindings::pci_dev) {
    // SAFETY: The device is being added, and knows its bus.
    let device = unsafe { Device::from_raw(dev) };

    if device.is_incoming() {
        device.keep_active();
    }
}

/// Checks that the preserved devices were found, and the bridges above them.
///
/// Called when all root buses that the firmware describes have been scanned.
#[export]
pub extern "C" fn pci_liveupdate_check_found() -> c_int {
    if let Some(Err(contradiction)) = with_incoming(|incoming| incoming.check()) {
        lost(fmt!("{contradiction}"));
    }
    0
}

/// Returns whether bus numbers must be left as they were found.
///
/// Devices are known by them, so that no bridge may get the number of another. True until the next
/// boot, even when all devices are finished.
#[export]
pub extern "C" fn pci_liveupdate_inherits_buses() -> bool {
    INHERITED.load(Relaxed)
}

/// Deals with a bridge that has no valid bus numbers.
///
/// Returns whether it must not be given any, because a preserved device is behind it. Nothing can
/// be learned about that device any more, so it must not access memory any more either.
///
/// # Safety
///
/// `dev` must be a bridge on a bus that is being scanned.
#[export]
pub unsafe extern "C" fn pci_liveupdate_lost_buses(dev: *mut bindings::pci_dev) -> bool {
    // SAFETY: The caller scans the bridge, which is on a bus.
    let bridge = unsafe { Device::from_raw(dev) };

    if !bridge.is_incoming() {
        return false;
    }
    if with_incoming(|incoming| incoming.lost_buses(bridge)) == Some(true) {
        dev_err!(
            bridge.as_device(),
            "lost its bus numbers in the live update, the devices behind it are cut off\n"
        );
        // SAFETY: The bridge is valid. Whatever is behind it must not access memory any more.
        unsafe { bindings::pci_clear_master(dev) };
    }
    true
}

/// Finds a bus number for a bridge, from a given one on, that no preserved device has.
///
/// Returns whether there is one among the numbers that are routed to the bridge.
///
/// # Safety
///
/// `dev` must be a bridge on a bus that is being scanned, and `busnr` must be valid and used by
/// nobody else.
#[export]
pub unsafe extern "C" fn pci_liveupdate_skip_busnr(
    dev: *mut bindings::pci_dev,
    busnr: *mut c_int,
) -> bool {
    // SAFETY: The caller scans the bridge, which is on a bus.
    let bridge = unsafe { Device::from_raw(dev) };
    // SAFETY: By the requirements of this function.
    let busnr = unsafe { &mut *busnr };
    let domain = bridge.address().domain();

    let is_used =
        |busnr: u8| with_incoming(|incoming| incoming.uses_bus(domain, busnr)).unwrap_or(false);
    // SAFETY: The function has no preconditions, and what it returns is only compared.
    let exists =
        |busnr: u8| unsafe { !bindings::pci_find_bus(domain as c_int, busnr.into()).is_null() };

    // More than there are; that is for the caller to find out.
    let Ok(first) = u8::try_from(*busnr) else {
        return true;
    };
    if !is_used(first) {
        return true;
    }
    let found = (first..=bridge.last_bus()).find(|&busnr| !is_used(busnr) && !exists(busnr));

    match found {
        Some(found) => *busnr = found.into(),
        None => dev_warn!(
            bridge.as_device(),
            "all bus numbers that are left belong to preserved devices\n"
        ),
    }
    found.is_some()
}

/// Looks up a device that the previous kernel preserved; documented in the C header.
#[export]
pub extern "C" fn pci_liveupdate_retrieve(
    domain: c_int,
    bus: c_uint,
    devfn: c_uint,
) -> *mut bindings::pci_dev {
    let retrieve = || {
        let bdf = u16::from_be_bytes([u8::try_from(bus)?, u8::try_from(devfn)?]);
        let address = Address::new(u32::try_from(domain)?, bdf);

        with_incoming(|incoming| incoming.claim(address)).ok_or(EINVAL)??;
        // What is found where a device was removed is another one.
        FoundDevice::at(address)
            .filter(|found| found.device().is_incoming())
            .ok_or(ENODEV)
    };

    match retrieve() {
        Ok(found) => found.into_raw(),
        Err(error) => error.to_ptr(),
    }
}

/// Lets go of a device that was retrieved; documented in the C header.
///
/// # Safety
///
/// `dev` must be a device that [`pci_liveupdate_retrieve`] returned and that is bound to a driver.
#[export]
pub unsafe extern "C" fn pci_liveupdate_finish(dev: *mut bindings::pci_dev) {
    // SAFETY: The device is bound to the caller's driver, and so is on a bus.
    let device = unsafe { Device::from_raw(dev) };

    with_incoming(|incoming| incoming.finish_device(device));
}

/// Writes down a saved state for the next kernel; documented in the C header.
///
/// # Safety
///
/// `state` must be one that `pci_store_saved_state()` or [`pci_liveupdate_read_state`] made.
/// `buffer` must be `size` bytes that are initialised, and that nobody else uses meanwhile.
#[export]
pub unsafe extern "C" fn pci_liveupdate_write_state(
    state: *const bindings::pci_saved_state,
    buffer: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), size) };

    // SAFETY: By the requirements of this function.
    from_result(|| unsafe { saved_state::write(state, buffer) }.map(|()| 0))
}

/// Reads a saved state of the previous kernel; documented in the C header.
///
/// # Safety
///
/// `dev` must be a device that [`pci_liveupdate_retrieve`] returned. `buffer` must be `size` bytes
/// that are initialised, and that nobody changes meanwhile.
#[export]
pub unsafe extern "C" fn pci_liveupdate_read_state(
    dev: *mut bindings::pci_dev,
    buffer: *const c_void,
    size: usize,
) -> *mut bindings::pci_saved_state {
    // SAFETY: The device was on a bus when it was looked up.
    let device = unsafe { Device::from_raw(dev) };
    // SAFETY: By the requirements of this function.
    let buffer = unsafe { core::slice::from_raw_parts(buffer.cast::<u8>(), size) };

    match SavedState::read(device, buffer) {
        Ok(state) => state.into_raw(),
        Err(error) => error.to_ptr(),
    }
}

/// Whether a device must be left master of the bus for the next kernel. Switches its interrupts off
/// if it is preserved.
///
/// That is so for a preserved device whose DMA remains valid, because no IOMMU translates it, and
/// for the bridges above it. The translations of an IOMMU end with this kernel, and what was an
/// address of them would become one of memory.
///
/// Called on the way into the next kernel, when nothing can be preserved or unpreserved any more.
///
/// # Safety
///
/// `dev` must be a device that is being shut down for a kexec.
#[export]
pub unsafe extern "C" fn pci_liveupdate_shutdown(dev: *mut bindings::pci_dev) -> bool {
    // SAFETY: The caller shuts the device down, which is on a bus.
    let device = unsafe { Device::from_raw(dev) };

    if device.is_incoming() && !device.is_bridge() {
        dev_warn!(
            device.as_device(),
            "was preserved by the previous kernel, but is not finished\n"
        );
    }
    // SAFETY: A kexec is in progress.
    if unsafe { !carries_handover() } {
        return false;
    }
    // SAFETY: A kexec is in progress.
    if !device.is_bridge() && unsafe { device.slot() }.is_some() {
        device.silence();
    }
    // SAFETY: A kexec is in progress.
    unsafe { device.nr_dma() != 0 }
}

/// Whether the next kernel is going to be told about the devices at all.
///
/// # Safety
///
/// A kexec must be in progress.
unsafe fn carries_handover() -> bool {
    // SAFETY: The image is not exchanged while a kexec is in progress.
    unsafe {
        let image = bindings::kexec_image;

        !image.is_null() && (*image).kho.fdt != 0
    }
}
