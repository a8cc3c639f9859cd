// SPDX-License-Identifier: GPL-2.0

//! What this kernel is going to hand over.

use core::ptr::NonNull;

use kernel::{
    bindings,
    error::to_result,
    io::PhysAddr,
    kho::Preserved,
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

use crate::{
    device::{
        Device,
        Domain, //
    },
    handover::{
        self,
        Page,
        Unit, //
    },
    record::{
        self,
        header, //
    }, //
};

/// The domains that are preserved, their devices, and the IOMMUs of these.
///
/// There is one at a time, from the first file that is preserved to the last.
#[pin_data]
pub(crate) struct Outgoing {
    /// Where the header is. Asked for with a lock of the LUO held, which is also taken, for another
    /// object, while the one below is.
    phys: PhysAddr,
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    header: Preserved<Page>,
    units: KVec<UsedUnit>,
    domains: KVec<PreservedDomain>,
}

/// A unit, and how many devices behind it are preserved.
struct UsedUnit {
    unit: Unit,
    users: usize,
}

/// A domain that is preserved.
struct PreservedDomain {
    domain: Domain,
    page: Preserved<Page>,
    devices: KVec<NonNull<bindings::device>>,
}

// SAFETY: The pointers are compared, and passed on under the lock only.
unsafe impl Send for PreservedDomain {}

impl Outgoing {
    /// Creates one with no domains.
    pub(crate) fn new() -> Result<Pin<KBox<Self>>> {
        let mut header = Preserved::<Page>::zeroed()?;

        header::clear(&mut header);
        let phys = header.phys();
        let inner = Inner {
            header,
            units: KVec::new(),
            domains: KVec::new(),
        };

        KBox::pin_init(
            pin_init!(Self {
                phys,
                inner <- new_mutex!(inner, "iommu_liveupdate_outgoing"),
            }),
            GFP_KERNEL,
        )
    }

    /// Where the next kernel finds it.
    pub(crate) fn phys(&self) -> PhysAddr {
        self.phys
    }

    /// Adds a device of a domain, and the domain if it is the first one.
    pub(crate) fn add(&self, domain: Domain, device: Device<'_>) -> Result {
        let mut inner = self.inner.lock();

        if inner.has(device) {
            return Err(EBUSY);
        }
        let index = match inner.position(domain) {
            Some(index) => index,
            None => inner.add_domain(domain)?,
        };

        let added = inner.add_device(index, device);
        inner.tidy();
        added
    }

    /// Takes out a device that was added, and the domain if it was the last one.
    pub(crate) fn remove(&self, domain: Domain, device: Device<'_>) {
        let mut inner = self.inner.lock();

        if let Some(index) = inner.position(domain) {
            inner.remove_device(index, device);
        }
        inner.tidy();
    }
}

impl Inner {
    fn position(&self, domain: Domain) -> Option<usize> {
        self.domains.iter().position(|one| one.domain == domain)
    }

    /// Whether a device was added, whichever domain with.
    fn has(&self, device: Device<'_>) -> bool {
        self.domains
            .iter()
            .any(|domain| domain.devices.contains(&device.as_ptr()))
    }

    /// Adds a domain without devices, and returns its index.
    fn add_domain(&mut self, domain: Domain) -> Result<usize> {
        if self.domains.len() == handover::MAX_DOMAINS as usize {
            return Err(ENOSPC);
        }
        let mut page = Preserved::<Page>::zeroed()?;

        self.domains.reserve(1, GFP_KERNEL)?;
        record::domain::set_table(&mut page, domain.preserve()?);
        // There is room for it.
        let _ = self.domains.push_within_capacity(PreservedDomain {
            domain,
            page,
            devices: KVec::new(),
        });
        Ok(self.domains.len() - 1)
    }

    /// Adds a device to the domain with an index.
    fn add_device(&mut self, index: usize, device: Device<'_>) -> Result {
        let domain = self.domains.get_mut(index).ok_or(EINVAL)?;
        let table = handover::domain::table(&domain.page);
        let slot = domain.devices.len();

        if slot == handover::MAX_DEVICES {
            return Err(ENOSPC);
        }
        domain.devices.reserve(1, GFP_KERNEL)?;
        self.units.reserve(1, GFP_KERNEL)?;

        let (mut entry, unit) = device.preserve(&table)?;
        let known = self
            .units
            .iter()
            .position(|used| used.unit.registers == unit.registers);
        let number = match known {
            Some(number) => number,
            None if self.units.len() == handover::MAX_UNITS => {
                device.unpreserve();
                return Err(ENOSPC);
            }
            None => {
                let number = self.units.len();

                header::set_unit(&mut self.header, number, unit);
                // There is room for it.
                let _ = self.units.push_within_capacity(UsedUnit { unit, users: 0 });
                number
            }
        };

        if let Some(used) = self.units.get_mut(number) {
            used.users += 1;
        }
        entry.unit = number as u32;
        record::domain::set_device(&mut domain.page, slot, entry);
        // There is room for it.
        let _ = domain.devices.push_within_capacity(device.as_ptr());
        record::domain::set_nr_devices(&mut domain.page, slot as u32 + 1);
        device.keeps_translation(true);
        Ok(())
    }

    /// Takes a device out of the domain with an index.
    fn remove_device(&mut self, index: usize, device: Device<'_>) {
        let Some(domain) = self.domains.get_mut(index) else {
            return;
        };
        let dev = device.as_ptr();
        let Some(slot) = domain.devices.iter().position(|&one| one == dev) else {
            return;
        };
        let unit = handover::domain::device(&domain.page, slot).unit as usize;
        let last = domain.devices.len() - 1;
        let moved = handover::domain::device(&domain.page, last);

        device.keeps_translation(false);
        device.unpreserve();
        record::domain::set_device(&mut domain.page, slot, moved);
        record::domain::set_nr_devices(&mut domain.page, last as u32);
        domain.devices.swap(slot, last);
        domain.devices.truncate(last);
        if let Some(used) = self.units.get_mut(unit) {
            used.users -= 1;
        }
    }

    /// Takes out the unit with an index, the place of which the last one takes.
    fn remove_unit(&mut self, index: usize) {
        let Some(last) = self.units.pop() else {
            return;
        };
        let moved = self.units.len();

        if moved == index {
            return;
        }
        header::set_unit(&mut self.header, index, last.unit);
        for domain in self.domains.iter_mut() {
            for slot in 0..domain.devices.len() {
                let mut device = handover::domain::device(&domain.page, slot);

                if device.unit as usize == moved {
                    device.unit = index as u32;
                    record::domain::set_device(&mut domain.page, slot, device);
                }
            }
        }
        if let Some(used) = self.units.get_mut(index) {
            *used = last;
        }
    }

    /// Lets go of what no device needs any more, and writes down how it all hangs together.
    fn tidy(&mut self) {
        let mut index = 0;

        while let Some(domain) = self.domains.get(index) {
            if domain.devices.is_empty() {
                domain.domain.unpreserve();
                // The page is dropped, which frees it.
                let _ = self.domains.remove(index);
            } else {
                index += 1;
            }
        }
        while let Some(index) = self.units.iter().position(|used| used.users == 0) {
            self.remove_unit(index);
        }

        let mut next = 0;

        for domain in self.domains.iter_mut().rev() {
            record::domain::set_next(&mut domain.page, next);
            next = domain.page.phys();
        }
        header::set_domains(&mut self.header, next, self.domains.len() as u32);
        header::set_nr_units(&mut self.header, self.units.len() as u32);
    }
}

impl Drop for PreservedDomain {
    fn drop(&mut self) {
        // What is left when the object goes away with its last file; each file takes out its own.
        debug_assert!(self.devices.is_empty());
    }
}

impl Domain {
    /// Preserves the page tables, and returns what the next kernel has to know of them.
    fn preserve(self) -> Result<handover::Table> {
        let table = self.table().ok_or(EOPNOTSUPP)?;
        let mut ser = bindings::pt_iommu_ser::default();
        // SAFETY: The table belongs to the domain, which the caller keeps, and was initialised.
        let preserve = unsafe { (*(*table).ops).preserve }.ok_or(EOPNOTSUPP)?;

        // SAFETY: The caller sees to it that the table does not change until it is unpreserved.
        to_result(unsafe { preserve(table, &raw mut ser) })?;
        // SAFETY: The struct has neither padding nor pointers.
        Ok(handover::Table(unsafe {
            core::mem::transmute::<bindings::pt_iommu_ser, [u8; handover::TABLE_SIZE]>(ser)
        }))
    }

    /// Undoes [`Self::preserve`].
    fn unpreserve(self) {
        let Some(table) = self.table() else {
            return;
        };

        // SAFETY: As for `preserve`; the table was preserved.
        unsafe {
            if let Some(unpreserve) = (*(*table).ops).unpreserve {
                unpreserve(table);
            }
        }
    }
}
