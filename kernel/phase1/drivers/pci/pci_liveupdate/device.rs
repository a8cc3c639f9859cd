// SPDX-License-Identifier: GPL-2.0

//! A PCI device as the tracking sees it.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    container_of,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        }, //
    }, //
};

use crate::{
    handover::Address,
    state_record::CapShape, //
};

/// A PCI device.
///
/// # Invariants
///
/// The pointer is that of a device which is on a bus and stays valid for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Device<'a>(
    NonNull<bindings::pci_dev>,
    PhantomData<&'a bindings::pci_dev>,
);

impl<'a> Device<'a> {
    /// # Safety
    ///
    /// `dev` must point to a PCI device that is on a bus and stays valid for `'a`.
    pub(crate) unsafe fn from_raw(dev: *mut bindings::pci_dev) -> Self {
        // INVARIANT: By the requirements of this function.
        // SAFETY: A valid pointer is not null.
        Self(unsafe { NonNull::new_unchecked(dev) }, PhantomData)
    }

    /// The C struct.
    pub(crate) fn as_raw(self) -> *mut bindings::pci_dev {
        self.0.as_ptr()
    }

    /// The device as it is logged.
    pub(crate) fn as_device(self) -> &'a pci::Device {
        // SAFETY: By the type invariants the device is valid for `'a`, and `pci::Device` is a
        // transparent wrapper around it.
        unsafe { self.0.cast().as_ref() }
    }

    /// Where the device is.
    pub(crate) fn address(self) -> Address {
        // SAFETY: By the type invariants the device is valid and on a bus, which it holds a
        // reference to. The domain of a bus that exists is not negative.
        let domain = unsafe { bindings::pci_domain_nr((*self.as_raw()).bus) } as u32;
        // SAFETY: As above.
        let bdf = unsafe { bindings::pci_dev_id(self.as_raw()) };

        Address::new(domain, bdf)
    }

    /// The bridge above the device, if it is not on a root bus.
    pub(crate) fn upstream(self) -> Option<Self> {
        // SAFETY: By the type invariants the device is valid and holds a reference to its bus,
        // which keeps the bridge that it is behind.
        let bridge = unsafe { (*(*self.as_raw()).bus).self_ };

        // INVARIANT: The bridge is a device on a bus of its own, and stays as long as the device.
        NonNull::new(bridge).map(|bridge| Self(bridge, PhantomData))
    }

    /// The last bus number that is routed to the bus of the device.
    pub(crate) fn last_bus(self) -> u8 {
        // SAFETY: By the type invariants the device is valid and holds a reference to its bus, the
        // numbers of which do not change while it is scanned.
        let last = unsafe { (*(*self.as_raw()).bus).busn_res.end };

        u8::try_from(last).unwrap_or(u8::MAX)
    }

    /// The device and every bridge above it, up to the root bus.
    pub(crate) fn path(self) -> impl Iterator<Item = Self> {
        core::iter::successors(Some(self), |device| device.upstream())
    }

    /// Whether the device is a bridge, by the type of its configuration space.
    pub(crate) fn is_bridge(self) -> bool {
        // SAFETY: By the type invariants the device is valid. The type is set once, at the very
        // beginning of its setup.
        let header_type = unsafe { (*self.as_raw()).hdr_type };

        u32::from(header_type) != bindings::PCI_HEADER_TYPE_NORMAL
    }

    /// The vendor and device ID, as the first dword of the configuration space has them.
    pub(crate) fn ids(self) -> u32 {
        // SAFETY: By the type invariants the device is valid. The IDs never change.
        let (vendor, device) = unsafe { ((*self.as_raw()).vendor, (*self.as_raw()).device) };

        u32::from(device) << 16 | u32::from(vendor)
    }

    /// What the PCI core saves of the capabilities of the device.
    pub(crate) fn saved_caps(self) -> impl Iterator<Item = CapShape> + Clone + use<'a> {
        // SAFETY: By the type invariants the device is valid. The list is built when it is set up.
        let first = unsafe { (*self.as_raw()).saved_cap_space.first };

        core::iter::successors(NonNull::new(first), |node| {
            // SAFETY: The nodes are those of the list, and stay as long as the device.
            NonNull::new(unsafe { (*node.as_ptr()).next })
        })
        .map(|node| {
            // SAFETY: The list is one of these structs.
            let saved =
                unsafe { container_of!(node.as_ptr(), bindings::pci_cap_saved_state, next) };
            // SAFETY: As above. What is read is set when the node is allocated.
            let cap = unsafe { &raw const (*saved).cap };

            // SAFETY: As above.
            unsafe {
                CapShape {
                    nr: (*cap).cap_nr,
                    extended: (*cap).cap_extended,
                    size: (*cap).size as usize,
                }
            }
        })
    }

    /// Reads a dword of configuration space, by its index.
    pub(crate) fn config_dword(self, index: usize) -> Result<u32> {
        let mut value = 0;

        // SAFETY: By the type invariants the device is valid, and `value` is there to be written.
        let status = unsafe {
            bindings::pci_read_config_dword(self.as_raw(), 4 * index as c_int, &raw mut value)
        };

        // All ones are what is read from a device that is not there.
        if status == 0 && value != u32::MAX {
            Ok(value)
        } else {
            Err(EIO)
        }
    }

    /// Whether the device is a virtual function.
    pub(crate) fn is_virtfn(self) -> bool {
        // SAFETY: By the type invariants the device is valid. The bit is set before the device is
        // set up, and never again; whoever writes to others of the same word leaves it as it is.
        unsafe { bindings::pci_dev::is_virtfn_raw(self.as_raw()) != 0 }
    }

    /// Whether the firmware numbers the device's segment, and the next kernel finds it at boot.
    pub(crate) fn has_fixed_segment(self) -> bool {
        // SAFETY: By the type invariants the device is valid and holds a reference to its bus.
        unsafe { bindings::pci_liveupdate_is_acpi_root((*self.as_raw()).bus) }
    }

    /// The slot of the hand-over that describes the device.
    ///
    /// # Safety
    ///
    /// The lock of the outgoing hand-over must be held, or a kexec must be in progress.
    pub(crate) unsafe fn slot(self) -> Option<u32> {
        // SAFETY: By the type invariants the device is valid. The field is protected by the lock,
        // which is held, or nothing is preserved or unpreserved any more.
        unsafe { (*self.as_raw()).liveupdate_slot }.checked_sub(1)
    }

    /// Sets the slot of the hand-over that describes the device.
    ///
    /// # Safety
    ///
    /// The lock of the outgoing hand-over must be held.
    pub(crate) unsafe fn set_slot(self, slot: Option<u32>) {
        // SAFETY: As for `slot`.
        unsafe { (*self.as_raw()).liveupdate_slot = slot.map_or(0, |slot| slot + 1) };
    }

    /// Forbids the device to signal interrupts by INTx.
    pub(crate) fn disable_intx(self) {
        // SAFETY: By the type invariants the device is valid.
        unsafe { bindings::pci_intx(self.as_raw(), 0) };
    }

    /// Switches off all interrupts of the device.
    ///
    /// Behind the back of those who set them up in this kernel, which is on its way out.
    pub(crate) fn silence(self) {
        // SAFETY: By the type invariants the device is valid. The fields are set once, when it is
        // set up.
        let (msi, msix) = unsafe { ((*self.as_raw()).msi_cap, (*self.as_raw()).msix_cap) };

        // A device without MSI falls back to INTx, so that goes first.
        self.disable_intx();
        if msi != 0 {
            self.clear_config(
                c_int::from(msi) + bindings::PCI_MSI_FLAGS as c_int,
                bindings::PCI_MSI_FLAGS_ENABLE as u16,
            );
        }
        if msix != 0 {
            self.clear_config(
                c_int::from(msix) + bindings::PCI_MSIX_FLAGS as c_int,
                bindings::PCI_MSIX_FLAGS_ENABLE as u16,
            );
        }
    }

    /// Clears bits of a 16-bit register in configuration space.
    fn clear_config(self, offset: c_int, bits: u16) {
        let mut value = 0;

        // SAFETY: By the type invariants the device is valid, and `value` is there to be written.
        let status =
            unsafe { bindings::pci_read_config_word(self.as_raw(), offset, &raw mut value) };
        // There is nothing to be done about a device that does not answer.
        if status == 0 {
            // SAFETY: As above.
            unsafe { bindings::pci_write_config_word(self.as_raw(), offset, value & !bits) };
        }
    }

    /// The flag that C looks at: whether the device was preserved by the previous kernel.
    fn incoming_flag(self) -> &'a Atomic<bool> {
        // SAFETY: By the type invariants the device is valid for `'a`. The flag is a field of its
        // own and is accessed atomically only; C reads it with `READ_ONCE()`.
        unsafe { Atomic::from_ptr(&raw mut (*self.as_raw()).liveupdate_incoming) }
    }

    /// Whether the device, or one below it, was preserved by the previous kernel and is not
    /// finished.
    pub(crate) fn is_incoming(self) -> bool {
        self.incoming_flag().load(Relaxed)
    }

    /// Sets what [`Self::is_incoming`] returns.
    pub(crate) fn set_incoming(self, incoming: bool) {
        self.incoming_flag().store(incoming, Relaxed);
    }

    /// Makes an incoming device one like any other.
    ///
    /// The lock of the incoming hand-over must be held, for this to be done once.
    pub(crate) fn release(self) {
        if !self.is_incoming() {
            return;
        }
        self.set_incoming(false);
        // SAFETY: By the type invariants the device is valid. The reference is the one that was
        // taken when the device was added.
        unsafe { bindings::pm_runtime_put(self.as_dev()) };
    }

    /// Ends the DMA of an endpoint that no driver has taken into use.
    pub(crate) fn stop(self) {
        // SAFETY: By the type invariants the device is valid.
        let is_enabled = unsafe { bindings::pci_is_enabled(self.as_raw()) } != 0;

        if !is_enabled && !self.is_bridge() {
            dev_info!(
                self.as_device(),
                "was not used since the live update, clearing bus mastering\n"
            );
            // SAFETY: As above. A driver that enables the device right now either sets the bit
            // afterwards, or does so when it knows what to use the device for.
            unsafe { bindings::pci_clear_master(self.as_raw()) };
        }
    }

    /// The device as the driver core knows it.
    fn as_dev(self) -> *mut bindings::device {
        // SAFETY: By the type invariants the device is valid; no reference is made.
        unsafe { &raw mut (*self.as_raw()).dev }
    }

    /// Keeps an incoming device from being suspended while it is idle, until it is released.
    pub(crate) fn keep_active(self) {
        // SAFETY: By the type invariants the device is valid. It is being added, and initialised
        // as far as the power management is concerned.
        unsafe { bindings::pm_runtime_get_noresume(self.as_dev()) };
    }

    /// Whether DMA of the device goes through an IOMMU, in whichever way.
    ///
    /// Not whether it is in an IOMMU group: vfio makes one up for a device without an IOMMU.
    pub(crate) fn is_translated(self) -> bool {
        #[cfg(CONFIG_IOMMU_API)]
        {
            // SAFETY: By the type invariants the device is valid. The field is set, if there is an
            // IOMMU for the device, before a driver is bound to it, and cleared after that.
            let iommu = unsafe { (*self.as_raw()).dev.iommu };

            // SAFETY: If it is not null it stays valid as long as a driver is bound. It is
            // without an IOMMU when a driver of one has declined.
            !iommu.is_null() && unsafe { !(*iommu).iommu_dev.is_null() }
        }
        #[cfg(not(CONFIG_IOMMU_API))]
        false
    }

    /// The number of preserved devices at or below this one that go on with DMA.
    ///
    /// # Safety
    ///
    /// The lock of the outgoing hand-over must be held, or a kexec must be in progress.
    pub(crate) unsafe fn nr_dma(self) -> u32 {
        // SAFETY: As for `slot`. Nothing is preserved or unpreserved while a kexec is in progress.
        unsafe { (*self.as_raw()).liveupdate_nr_dma }
    }

    /// Sets what [`Self::nr_dma`] returns.
    ///
    /// # Safety
    ///
    /// The lock of the outgoing hand-over must be held.
    pub(crate) unsafe fn set_nr_dma(self, count: u32) {
        // SAFETY: As for `slot`.
        unsafe { (*self.as_raw()).liveupdate_nr_dma = count };
    }
}

/// A device that was looked up.
pub(crate) struct FoundDevice(ARef<pci::Device>);

impl FoundDevice {
    /// Looks up the device at an address.
    pub(crate) fn at(address: Address) -> Option<Self> {
        // SAFETY: The function has no preconditions; it returns a reference or null.
        let dev = unsafe {
            bindings::pci_get_domain_bus_and_slot(
                address.domain() as i32,
                address.bus().into(),
                address.devfn().into(),
            )
        };

        // SAFETY: The reference is ours, and `pci::Device` is a transparent wrapper.
        NonNull::new(dev).map(|dev| Self(unsafe { ARef::from_raw(dev.cast()) }))
    }

    /// The device.
    pub(crate) fn device(&self) -> Device<'_> {
        let dev: *const pci::Device = &raw const *self.0;

        // SAFETY: The reference keeps the device, which was on a bus when it was found and keeps
        // that.
        unsafe { Device::from_raw(dev.cast_mut().cast()) }
    }

    /// Gives the reference away.
    pub(crate) fn into_raw(self) -> *mut bindings::pci_dev {
        ARef::into_raw(self.0).as_ptr().cast()
    }
}
