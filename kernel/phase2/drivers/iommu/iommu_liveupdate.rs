// SPDX-License-Identifier: GPL-2.0

//! Live update of IOMMUs.
//!
//! A device that goes on with DMA while the kernel is replaced must find its memory where it was.
//! If an IOMMU translates for it, that means that the IOMMU goes on as well, through the same
//! tables: those that lead to the entry of the device, and the page tables of its domain. They are
//! memory that is preserved, and neither kernel writes to what the hardware uses.
//!
//! Whoever has a domain preserves it with `iommu_liveupdate_preserve()`, for each device that is
//! attached to it. The next kernel reads which ones these are when it initialises its IOMMUs. The
//! domain is then the first one of the device's group, and is owned by nobody that could be asked
//! to give it up: any other use of the device is refused until the next boot.
//!
//! A device whose translation nobody knows of corrupts memory. So a kernel that cannot make sense
//! of what it was handed panics, and says why.
//!
//! C headers: [`include/linux/iommu-liveupdate.h`](srctree/include/linux/iommu-liveupdate.h),
//! [`include/linux/kho/abi/iommu.h`](srctree/include/linux/kho/abi/iommu.h)

#[path = "iommu_liveupdate/device.rs"]
mod device;
#[path = "iommu_liveupdate/handover.rs"]
mod handover;
#[path = "iommu_liveupdate/incoming.rs"]
mod incoming;
#[path = "iommu_liveupdate/outgoing.rs"]
mod outgoing;
#[path = "iommu_liveupdate/record.rs"]
mod record;

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
    ThisModule, //
};

use crate::{
    device::{
        Device,
        Domain, //
    },
    handover::Name,
    incoming::Incoming,
    outgoing::Outgoing, //
};

/// Prefix of log messages.
const __LOG_PREFIX: &[u8] = b"iommu\0";

/// What `#[vtable]` takes for the owner of the callbacks.
struct LocalModule;

impl kernel::ModuleMetadata for LocalModule {
    const NAME: &'static CStr = c"iommu_liveupdate";

    // SAFETY: A null pointer stands for built-in code.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
}

// The bytes of `handover` are the C structs of the ABI.
const _: () = {
    use bindings::{
        iommu_dev_ser,
        iommu_domain_ser,
        iommu_ser,
        iommu_unit_ser,
        pt_iommu_ser, //
    };

    assert!(handover::VERSION == bindings::IOMMU_LUO_FLB_VERSION);
    assert!(handover::SCALABLE == bindings::IOMMU_UNIT_SER_SCALABLE);
    assert!(handover::HEADER_SIZE == size_of::<iommu_ser>());
    assert!(offset_of!(iommu_ser, version) == 0);
    assert!(offset_of!(iommu_ser, nr_units) == 4);
    assert!(offset_of!(iommu_ser, nr_domains) == 8);
    assert!(offset_of!(iommu_ser, domains) == 16);
    assert!(handover::UNIT_SIZE == size_of::<iommu_unit_ser>());
    assert!(offset_of!(iommu_unit_ser, registers) == 0);
    assert!(offset_of!(iommu_unit_ser, root) == 8);
    assert!(offset_of!(iommu_unit_ser, mode) == 16);
    assert!(handover::DOMAIN_SIZE == size_of::<iommu_domain_ser>());
    assert!(handover::TABLE_SIZE == size_of::<pt_iommu_ser>());
    assert!(offset_of!(iommu_domain_ser, next) == 0);
    assert!(offset_of!(iommu_domain_ser, table) == 8);
    assert!(offset_of!(iommu_domain_ser, nr_devices) == 40);
    assert!(handover::DEVICE_SIZE == size_of::<iommu_dev_ser>());
    assert!(offset_of!(iommu_dev_ser, segment) == 0);
    assert!(offset_of!(iommu_dev_ser, bdf) == 4);
    assert!(offset_of!(iommu_dev_ser, did) == 6);
    assert!(offset_of!(iommu_dev_ser, unit) == 8);
    assert!(handover::PAGE_SIZE == kernel::page::PAGE_SIZE);
};

// The log macros have a trait of their own, which `handover` does not know.
impl kernel::fmt::Display for handover::Fault {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl kernel::fmt::Display for Name {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// Stops the kernel, because it does not know where devices access memory.
fn lost(reason: kernel::fmt::Arguments<'_>) -> ! {
    // SAFETY: The format is a C string with one conversion, which takes the address of a
    // `fmt::Arguments`, and is done with it when the function has formatted its message.
    unsafe {
        bindings::panic(
            c"iommu: the hand-over \"iommu-running\" of the previous kernel cannot be trusted: %pA"
                .as_char_ptr(),
            core::ptr::from_ref(&reason).cast::<c_void>(),
        )
    }
}

/// The LUO object by which kernels tell each other about IOMMUs.
struct Translation;

static TRANSLATION: Flb<Translation> = Flb::new();

// SAFETY: The address is that of the header, which `Outgoing` owns and neither moves nor exchanges.
// The C header requires of those who register their handlers that their compatible strings stand
// for it.
#[vtable]
unsafe impl FlbOps for Translation {
    const COMPATIBLE: &'static CStr =
        match CStr::from_bytes_with_nul(bindings::IOMMU_LUO_FLB_COMPATIBLE) {
            Ok(string) => string,
            Err(_) => panic!("a string literal of C ends in its only NUL"),
        };

    type Data = handover::Page;
    type Outgoing = Pin<KBox<Outgoing>>;
    type Incoming = Pin<KBox<Incoming>>;

    fn preserve() -> Result<Self::Outgoing> {
        Outgoing::new()
    }

    fn phys(outgoing: Pin<&Outgoing>) -> PhysAddr {
        outgoing.phys()
    }

    fn unpreserve(_outgoing: Self::Outgoing) {
        // The files are unpreserved, and with them the domains.
    }

    fn retrieve(data: Restored<Self::Data>) -> Result<Self::Incoming> {
        Ok(Incoming::read(&data)?.unwrap_or_else(|fault| lost(fmt!("{fault}"))))
    }

    fn finish(_incoming: Self::Incoming) {
        // The files say that they cannot be finished.
    }
}

/// Calls a function with what the previous kernel handed over, if it did.
fn with_incoming<R>(f: impl FnOnce(&Incoming) -> R) -> Option<R> {
    match TRANSLATION.incoming() {
        Ok(incoming) => Some(f(&incoming.borrow())),
        // There was no live update, or it did not involve IOMMUs.
        Err(ENODATA | ENOENT | EOPNOTSUPP) => None,
        Err(error) => lost(fmt!("{error:?}")),
    }
}

/// Lets a file handler preserve domains; documented in the C header.
///
/// # Safety
///
/// `fh` must be a handler that was registered just now. No file of it must be preserved so far, nor
/// meanwhile.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_register_flb(
    fh: *mut bindings::liveupdate_file_handler,
) -> c_int {
    // SAFETY: By the requirements of this function.
    from_result(|| unsafe { TRANSLATION.register_with(fh) }.map(|()| 0))
}

/// Preserves a domain for a device; documented in the C header.
///
/// # Safety
///
/// `domain` must be a domain to which `dev` is attached. Both must stay so until the device is
/// unpreserved, and the page tables of the domain must not change.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_preserve(
    domain: *mut bindings::iommu_domain,
    dev: *mut bindings::device,
) -> c_int {
    // SAFETY: By the requirements of this function.
    let (domain, device) = unsafe { (Domain::from_raw(domain), Device::from_raw(dev)) };

    from_result(|| {
        let device = device.ok_or(ENODEV)?;
        let outgoing = TRANSLATION.outgoing()?;

        if !device.is_alone() {
            return Err(EBUSY);
        }
        outgoing.borrow().add(domain, device)?;
        Ok(0)
    })
}

/// Undoes [`iommu_liveupdate_preserve`].
///
/// # Safety
///
/// `dev` must be a device that was preserved with `domain`, and not unpreserved since. It must be
/// attached still.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_unpreserve(
    domain: *mut bindings::iommu_domain,
    dev: *mut bindings::device,
) {
    // SAFETY: By the requirements of this function. The device stays attached during the call, so
    // its IOMMU driver does not let go of it.
    let (domain, device) = unsafe { (Domain::from_raw(domain), Device::from_raw(dev)) };
    let (Some(device), Ok(outgoing)) = (device, TRANSLATION.outgoing()) else {
        return;
    };

    outgoing.borrow().remove(domain, device);
}

/// Whether the next kernel is about to take over; documented in the C header.
#[export]
pub extern "C" fn iommu_liveupdate_is_final() -> bool {
    // SAFETY: The variable is only read.
    unsafe { bindings::kexec_in_progress }
}

/// Takes note of a device that is going away.
///
/// # Safety
///
/// `dev` must be a device that its IOMMU driver is about to release.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_release_device(dev: *mut bindings::device) {
    // SAFETY: By the requirements of this function.
    let Some(device) = (unsafe { Device::from_raw(dev) }) else {
        return;
    };

    with_incoming(|incoming| incoming.release(device));
}

/// Stops the kernel if a device would be let go of that is in use; documented in the C header.
///
/// # Safety
///
/// `dev` must be a device that its IOMMU driver has probed.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_assert_unused(dev: *mut bindings::device) {
    // SAFETY: By the requirements of this function.
    let Some(device) = (unsafe { Device::from_raw(dev) }) else {
        return;
    };

    if with_incoming(|incoming| incoming.has(device)) == Some(true) {
        let (segment, bdf) = device.address();

        lost(fmt!("{} would be let go of", Name(segment, bdf)));
    }
}

/// Returns the domain that the previous kernel preserved with a device; documented in the C header.
///
/// # Safety
///
/// `dev` must be a device that its IOMMU driver has probed.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_restored_domain(
    dev: *mut bindings::device,
) -> *mut bindings::iommu_domain {
    // SAFETY: By the requirements of this function.
    let Some(device) = (unsafe { Device::from_raw(dev) }) else {
        return core::ptr::null_mut();
    };

    match with_incoming(|incoming| incoming.domain(device)) {
        None | Some(Ok(None)) => core::ptr::null_mut(),
        Some(Ok(Some(domain))) => domain.as_ptr(),
        Some(Err(error)) => {
            let (segment, bdf) = device.address();

            lost(fmt!(
                "the page tables of {} cannot be taken over: {:?}",
                Name(segment, bdf),
                error
            ))
        }
    }
}

/// Looks up a unit; documented in the C header.
///
/// # Safety
///
/// `unit` must be valid for writes.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_find_unit(
    registers: u64,
    unit: *mut bindings::iommu_unit_ser,
) -> c_int {
    from_result(|| {
        let (index, found) = with_incoming(|incoming| incoming.unit(registers))
            .flatten()
            .ok_or(ENOENT)?;
        let mode = if found.scalable {
            handover::SCALABLE
        } else {
            0
        };

        // SAFETY: By the requirements of this function.
        unsafe {
            *unit = bindings::iommu_unit_ser {
                registers,
                root: found.root,
                mode,
                reserved: 0,
            };
        }
        // There are no more than `handover::MAX_UNITS`.
        Ok(index as c_int)
    })
}

/// Looks up a device; documented in the C header.
///
/// # Safety
///
/// `ser` must be valid for writes, and `table` too if it is not null.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_find_device(
    segment: u32,
    bdf: u16,
    ser: *mut bindings::iommu_dev_ser,
    table: *mut bindings::pt_iommu_ser,
) -> c_int {
    from_result(|| {
        let (device, found) = with_incoming(|incoming| incoming.device(segment, bdf))
            .flatten()
            .ok_or(ENOENT)?;

        // SAFETY: By the requirements of this function. The struct is packed.
        unsafe {
            *ser = bindings::iommu_dev_ser {
                segment,
                bdf,
                did: device.did,
                unit: device.unit,
                reserved: 0,
            };
            if !table.is_null() {
                table.cast::<[u8; handover::TABLE_SIZE]>().write(found.0);
            }
        }
        Ok(0)
    })
}

/// Returns how many devices behind a unit were handed over; documented in the C header.
#[export]
pub extern "C" fn iommu_liveupdate_nr_devices(registers: u64) -> u32 {
    with_incoming(|incoming| incoming.nr_devices(registers)).unwrap_or(0)
}

/// Stops the kernel; documented in the C header.
///
/// # Safety
///
/// Both must be strings of C.
#[export]
pub unsafe extern "C" fn iommu_liveupdate_lost(unit: *const c_char, reason: *const c_char) -> ! {
    // SAFETY: By the requirements of this function.
    let (unit, reason) = unsafe { (CStr::from_char_ptr(unit), CStr::from_char_ptr(reason)) };

    lost(fmt!("{unit}: {reason}"))
}

/// Notes that a unit's tables are in use by this kernel; documented in the C header.
#[export]
pub extern "C" fn iommu_liveupdate_adopted(registers: u64) {
    with_incoming(|incoming| {
        if let Some((index, _)) = incoming.unit(registers) {
            incoming.adopted(index);
        }
    });
}

/// Checks that all units were found that the previous kernel handed over.
///
/// Called where they have been, or where they are about to be switched off.
#[export]
pub extern "C" fn iommu_liveupdate_assert_none() {
    if let Some(Some(index)) = with_incoming(Incoming::missing_unit) {
        lost(fmt!("unit {index} is not taken over"));
    }

    let lists_units = with_incoming(Incoming::is_empty) == Some(false);

    // SAFETY: The function has no preconditions.
    if !lists_units && unsafe { bindings::pci_liveupdate_translation() } {
        lost(fmt!("it is missing, but devices depend on it"));
    }
}

/// Checks that all units were found, and all devices that are there.
#[export]
pub extern "C" fn iommu_liveupdate_assert_all() {
    iommu_liveupdate_assert_none();
    if let Some(Some((segment, bdf))) = with_incoming(Incoming::missing_device) {
        lost(fmt!("{} is not set up", Name(segment, bdf)));
    }
}
