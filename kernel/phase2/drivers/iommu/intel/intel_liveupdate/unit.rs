// SPDX-License-Identifier: GPL-2.0

//! A VT-d unit, and the entry of a device in its tables.

use core::ptr::NonNull;

use kernel::{
    bindings,
    container_of,
    prelude::*, //
};

use crate::entries::{
    self,
    Mode,
    Place,
    Translation,
    ADDRESS,
    PASID_WORDS,
    PRESENT,
    WORDS, //
};

/// A table that the hardware reads: a page of 64-bit words.
///
/// # Invariants
///
/// The pointer is that of a page in the direct map that was allocated, or taken over, by
/// `iommu-pages`, and which stays so as long as the object is used.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Table(NonNull<u64>);

impl Table {
    /// The table that an entry leads to, if it is in use.
    ///
    /// # Safety
    ///
    /// If the entry is in use, it must be one of this driver, and the table must stay allocated as
    /// long as the object is used.
    pub(crate) unsafe fn at(entry: u64) -> Option<Self> {
        if entry & PRESENT == 0 {
            return None;
        }
        // SAFETY: By the requirements of this function this is memory of the direct map.
        let page = unsafe { bindings::phys_to_virt(entry & ADDRESS) };

        // INVARIANT: By the requirements of this function.
        NonNull::new(page.cast()).map(Self)
    }

    /// # Safety
    ///
    /// `page` must be null, or a page of `iommu-pages` that stays allocated as long as the object
    /// is used.
    pub(crate) unsafe fn from_raw(page: *mut c_void) -> Option<Self> {
        // INVARIANT: By the requirements of this function.
        NonNull::new(page.cast()).map(Self)
    }

    /// The memory, as it is preserved.
    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// Reads a word. There is none at an index that is too large, which reads as zero.
    pub(crate) fn read(self, index: usize) -> u64 {
        if index >= WORDS {
            return 0;
        }
        // SAFETY: By the type invariants the word is there. The hardware, and other processors, may
        // write to it meanwhile, 64 bits at a time.
        unsafe { self.0.as_ptr().add(index).read_volatile() }
    }

    /// Reads an entry.
    pub(crate) fn entry<const N: usize>(self, first: usize) -> [u64; N] {
        core::array::from_fn(|word| self.read(first + word))
    }

    /// Writes a word.
    ///
    /// # Safety
    ///
    /// The table must be one that nobody else writes to, and the hardware must be able to do
    /// without the entry.
    pub(crate) unsafe fn write(self, index: usize, value: u64) {
        if index < WORDS {
            // SAFETY: By the type invariants the word is there.
            unsafe { self.0.as_ptr().add(index).write_volatile(value) };
        }
    }

    /// Frees the table.
    ///
    /// # Safety
    ///
    /// It must not be used any more, neither by hardware nor through another object.
    pub(crate) unsafe fn free(self) {
        // SAFETY: By the type invariants, and the requirements of this function.
        unsafe { bindings::iommu_free_pages(self.as_ptr()) };
    }

    /// Preserves the table.
    pub(crate) fn preserve(self) -> Result {
        // SAFETY: By the type invariants.
        kernel::error::to_result(unsafe { bindings::iommu_pages_preserve(self.as_ptr()) })
    }

    /// Undoes [`Self::preserve`].
    pub(crate) fn unpreserve(self) {
        // SAFETY: It was preserved.
        unsafe { bindings::iommu_pages_unpreserve(self.as_ptr()) };
    }
}

/// A VT-d unit.
///
/// # Invariants
///
/// The pointer is that of a unit, which stays as long as the object is used.
#[derive(Clone, Copy)]
pub(crate) struct Unit(NonNull<bindings::intel_iommu>);

impl Unit {
    /// # Safety
    ///
    /// `iommu` must point to a unit that stays as long as the object is used.
    pub(crate) unsafe fn from_raw(iommu: *mut bindings::intel_iommu) -> Self {
        // INVARIANT: By the requirements of this function.
        // SAFETY: A valid pointer is not null.
        Self(unsafe { NonNull::new_unchecked(iommu) })
    }

    /// The C struct.
    pub(crate) fn as_raw(self) -> *mut bindings::intel_iommu {
        self.0.as_ptr()
    }

    /// Physical address of its registers.
    pub(crate) fn registers(self) -> u64 {
        // SAFETY: By the type invariants; it is set when the unit is found.
        unsafe { (*self.as_raw()).reg_phys }
    }

    /// PCI segment of the devices behind it.
    pub(crate) fn segment(self) -> u32 {
        // SAFETY: By the type invariants; it is set when the unit is found.
        unsafe { (*self.as_raw()).segment }.into()
    }

    /// How it is set up.
    pub(crate) fn mode(self) -> Mode {
        Mode {
            // SAFETY: By the type invariants.
            scalable: unsafe { bindings::intel_liveupdate_scalable(self.as_raw()) },
        }
    }

    /// The root table.
    pub(crate) fn root(self) -> Option<Table> {
        // SAFETY: By the type invariants. The table stays as long as the unit translates.
        unsafe { Table::from_raw((*self.as_raw()).root_entry.cast()) }
    }

    /// Makes a table the root table.
    ///
    /// # Safety
    ///
    /// The unit must be one that is being initialised, and has none yet.
    pub(crate) unsafe fn set_root(self, table: Table) {
        // SAFETY: By the type invariants, and the requirements of this function.
        unsafe { (*self.as_raw()).root_entry = table.as_ptr().cast() };
    }

    /// Takes the table that the previous kernel had blocked interrupts with, if it did and this
    /// kernel has put another one in its place.
    ///
    /// # Safety
    ///
    /// The unit must be one that is being initialised.
    pub(crate) unsafe fn take_old_irt(self) -> Option<u64> {
        // SAFETY: By the type invariants, and the requirements of this function.
        let table = unsafe { core::mem::take(&mut (*self.as_raw()).old_irt) };

        (table != 0).then_some(table)
    }

    /// Physical address of the root table.
    pub(crate) fn root_phys(self) -> u64 {
        self.root().map_or(0, |root| {
            // SAFETY: The table is in the direct map.
            unsafe { bindings::virt_to_phys(root.as_ptr()) }
        })
    }

    /// What is preserved of the unit: a pointer that C keeps, and does not follow.
    ///
    /// # Safety
    ///
    /// Calls of this and of [`Self::set_kept`] must be serialised.
    pub(crate) unsafe fn kept(self) -> *mut c_void {
        // SAFETY: By the type invariants; nobody writes to it meanwhile.
        unsafe { (*self.as_raw()).liveupdate }
    }

    /// Sets what [`Self::kept`] returns.
    ///
    /// # Safety
    ///
    /// As for [`Self::kept`].
    pub(crate) unsafe fn set_kept(self, kept: *mut c_void) {
        // SAFETY: By the type invariants. `intel_liveupdate_any_kept()` may read it meanwhile, with
        // `READ_ONCE()`: a volatile access is what `WRITE_ONCE()` is in C.
        unsafe { (&raw mut (*self.as_raw()).liveupdate).write_volatile(kept) };
    }

    /// Writes a table back to memory where the hardware looks there only.
    pub(crate) fn flush_table(self, table: Table) {
        // SAFETY: By the type invariants of both.
        unsafe {
            bindings::intel_liveupdate_flush_line(
                self.as_raw(),
                table.as_ptr(),
                (8 * WORDS) as c_int,
            )
        };
    }

    /// A new table, which is empty.
    pub(crate) fn new_table(self) -> Result<Table> {
        // SAFETY: By the type invariants. It is freed by `Table::free`.
        unsafe { Table::from_raw(bindings::intel_liveupdate_alloc_table(self.as_raw())) }
            .ok_or(ENOMEM)
    }

    /// Whether interrupts are remapped.
    pub(crate) fn remaps_irqs(self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::intel_liveupdate_remaps_irqs(self.as_raw()) }
    }

    /// Has interrupts remapped by another table, which is empty: by none, that is.
    ///
    /// # Safety
    ///
    /// This must be the only processor, with interrupts off, on the way out of this kernel.
    pub(crate) unsafe fn block_irqs(self, table: Table) {
        // SAFETY: By the type invariants of both, and the requirements of this function.
        unsafe { bindings::intel_liveupdate_block_irqs(self.as_raw(), table.as_ptr()) };
    }

    /// Has the hardware forget what it has read so far, and no longer tell this kernel of faults.
    pub(crate) fn quiesce(self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::intel_liveupdate_quiesce(self.as_raw()) };
    }
}

/// The entry of a device.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) unit: Unit,
    pub(crate) bus: u8,
    pub(crate) devfn: u8,
}

impl Entry {
    /// Fails with [`EOPNOTSUPP`] if there is more to the device than one entry.
    ///
    /// # Safety
    ///
    /// As for [`Self::of`].
    pub(crate) unsafe fn only_of(dev: *mut bindings::device) -> Result<Self> {
        // SAFETY: By the requirements of this function.
        unsafe {
            let info = Self::info(dev).ok_or(EOPNOTSUPP)?.as_ptr();
            let pci = container_of!(dev, bindings::pci_dev, dev);
            // What a TLB of the device has is not known to the next kernel.
            let has_tlb = bindings::pci_ats_supported(pci);
            // Nor is a directory of PASIDs that is longer than a page.
            let has_pasids = bindings::device_domain_info::pasid_supported_raw(info) != 0;
            let is_subdevice = bindings::pci_real_dma_dev(pci) != pci;
            // The next kernel knows devices by the numbers that they have on the bus.
            let is_renamed =
                u16::from_be_bytes([(*info).bus, (*info).devfn]) != bindings::pci_dev_id(pci);

            if has_tlb || has_pasids || is_subdevice || is_renamed || !is_its_own_alias(pci) {
                return Err(EOPNOTSUPP);
            }
            Self::of(dev).ok_or(EOPNOTSUPP)
        }
    }

    /// Returns `None` if the driver has nothing about the device.
    ///
    /// # Safety
    ///
    /// `dev` must be a PCI device that the driver has probed, and stay so as long as the object is
    /// used.
    pub(crate) unsafe fn of(dev: *mut bindings::device) -> Option<Self> {
        // SAFETY: By the requirements of this function.
        unsafe {
            let info = Self::info(dev)?.as_ptr();

            Some(Self {
                unit: Unit::from_raw((*info).iommu),
                bus: (*info).bus,
                devfn: (*info).devfn,
            })
        }
    }

    /// What the driver keeps of a device.
    ///
    /// # Safety
    ///
    /// As for [`Self::of`].
    unsafe fn info(dev: *mut bindings::device) -> Option<NonNull<bindings::device_domain_info>> {
        // SAFETY: By the requirements of this function. The driver keeps it as long as the device.
        NonNull::new(unsafe { (*(*dev).iommu).priv_.cast() })
    }

    /// Where it is in the tables.
    pub(crate) fn place(self) -> Place {
        self.unit.mode().place(self.bus, self.devfn)
    }

    /// The context table that it is in.
    pub(crate) fn context_table(self) -> Option<Table> {
        let root = self.unit.root()?;

        // SAFETY: Context tables are not freed before the unit goes away.
        unsafe { Table::at(root.read(self.place().root)) }
    }

    /// The directory of its PASIDs, and the first table, in scalable mode.
    pub(crate) fn pasid_tables(self) -> Option<(Table, Table)> {
        let context = self.context_table()?.read(self.place().context);
        // SAFETY: Both stay as long as the device.
        let directory = unsafe { Table::at(context) }?;
        // SAFETY: As above.
        let first = unsafe { Table::at(directory.read(0)) }?;

        Some((directory, first))
    }

    /// What it says.
    pub(crate) fn translation(self) -> Result<Translation> {
        let translation = if self.unit.mode().scalable {
            self.pasid_tables()
                .and_then(|(_, first)| entries::pasid(first.entry::<PASID_WORDS>(0)))
        } else {
            self.context_table()
                .and_then(|table| entries::context(table.entry::<2>(self.place().context)))
        };

        translation.ok_or(EOPNOTSUPP)
    }
}

/// Whether requests of a device come under no other name than its own.
///
/// # Safety
///
/// `pci` must be a valid device.
unsafe fn is_its_own_alias(pci: *mut bindings::pci_dev) -> bool {
    /// Stops at a name that is not the device's own.
    ///
    /// # Safety
    ///
    /// `own` must point to a `u16`.
    unsafe extern "C" fn differs(
        _pci: *mut bindings::pci_dev,
        alias: u16,
        own: *mut c_void,
    ) -> c_int {
        // SAFETY: By the requirements of this function.
        c_int::from(alias != unsafe { *own.cast::<u16>() })
    }
    // SAFETY: By the requirements of this function.
    let mut own = unsafe { bindings::pci_dev_id(pci) };

    // SAFETY: As above. The callback uses the number during the call only.
    unsafe { bindings::pci_for_each_dma_alias(pci, Some(differs), (&raw mut own).cast()) == 0 }
}
