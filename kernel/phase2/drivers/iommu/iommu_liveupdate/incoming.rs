// SPDX-License-Identifier: GPL-2.0

//! What the previous kernel handed over.

use core::ptr::NonNull;

use kernel::{
    bindings,
    kho::Restored,
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

use crate::{
    device::Device,
    handover::{
        self,
        Fault,
        Page,
        Sink,
        Source,
        Table,
        Unit, //
    },
};

/// Pages in memory that KHO carried over.
struct Kho;

/// A page that KHO carried over.
struct KhoPage(Restored<Page>);

impl AsRef<Page> for KhoPage {
    fn as_ref(&self) -> &Page {
        &self.0
    }
}

impl Source for Kho {
    type Page = KhoPage;

    fn claim(&mut self, phys: u64) -> Option<KhoPage> {
        // SAFETY: The previous kernel handed the address over as that of a page of this list, the
        // format of which is what the version stands for.
        unsafe { Restored::claim(phys) }.ok().map(KhoPage)
    }
}

/// The domains that the previous kernel preserved.
#[pin_data]
pub(crate) struct Incoming {
    units: KVec<Unit>,
    devices: KVVec<(u32, handover::Device)>,
    #[pin]
    state: Mutex<State>,
}

/// What this kernel has made of it so far.
struct State {
    domains: KVec<Restoring>,
    adopted: KVec<bool>,
    /// What has become of the devices, by index.
    devices: KVVec<Progress>,
}

/// What has become of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// It was not found yet.
    Expected,
    /// It was found, and has got its domain.
    SetUp,
    /// It is no longer what was handed over.
    Gone,
}

impl State {
    fn is_gone(&self, device: usize) -> bool {
        matches!(self.devices.get(device), None | Some(Progress::Gone))
    }
}

/// A domain, and the object that stands for it once there is one.
struct Restoring {
    table: Table,
    domain: Option<NonNull<bindings::iommu_domain>>,
}

// SAFETY: The pointers are those of domains, which are not bound to a thread.
unsafe impl Send for State {}

/// What was read so far.
struct Reading {
    units: KVec<Unit>,
    domains: KVec<Restoring>,
    devices: KVVec<(u32, handover::Device)>,
}

impl Sink for Reading {
    fn unit(&mut self, unit: Unit) -> Result<(), Fault> {
        self.units
            .push(unit, GFP_KERNEL)
            .map_err(|_| Fault::NoMemory)
    }

    fn domain(&mut self, table: Table) -> Result<(), Fault> {
        let domain = Restoring {
            table,
            domain: None,
        };

        self.domains
            .push(domain, GFP_KERNEL)
            .map_err(|_| Fault::NoMemory)
    }

    fn device(&mut self, device: handover::Device) -> Result<(), Fault> {
        let domain = self.domains.len() as u32 - 1;

        self.devices
            .push((domain, device), GFP_KERNEL)
            .map_err(|_| Fault::NoMemory)
    }
}

impl Incoming {
    /// Reads what was handed over.
    pub(crate) fn read(header: &Page) -> Result<Result<Pin<KBox<Self>>, Fault>> {
        let mut reading = Reading {
            units: KVec::new(),
            domains: KVec::new(),
            devices: KVVec::new(),
        };
        let read = handover::read(header, &mut Kho, &mut reading)
            .and_then(|()| handover::check(reading.units.len(), &mut reading.devices));

        if let Err(fault) = read {
            return Ok(Err(fault));
        }
        let Reading {
            units,
            domains,
            devices,
        } = reading;
        let adopted = KVec::from_elem(false, units.len(), GFP_KERNEL)?;
        let progress = KVVec::from_elem(Progress::Expected, devices.len(), GFP_KERNEL)?;
        let state = State {
            domains,
            adopted,
            devices: progress,
        };

        KBox::pin_init(
            pin_init!(Self {
                units,
                devices,
                state <- new_mutex!(state, "iommu_liveupdate_incoming"),
            }),
            GFP_KERNEL,
        )
        .map(Ok)
    }

    /// The unit with these registers.
    pub(crate) fn unit(&self, registers: u64) -> Option<(usize, Unit)> {
        let index = self
            .units
            .iter()
            .position(|unit| unit.registers == registers)?;

        self.units.get(index).map(|&unit| (index, unit))
    }

    /// How many devices are behind a unit.
    pub(crate) fn nr_devices(&self, registers: u64) -> u32 {
        let Some((unit, _)) = self.unit(registers) else {
            return 0;
        };
        let count = self
            .devices
            .iter()
            .filter(|(_, device)| device.unit as usize == unit)
            .count();

        count as u32
    }

    /// Whether no unit was handed over: all devices were detached too late to leave it out.
    pub(crate) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Notes that a unit's tables are in use by this kernel.
    pub(crate) fn adopted(&self, index: usize) {
        if let Some(adopted) = self.state.lock().adopted.get_mut(index) {
            *adopted = true;
        }
    }

    /// A unit that this kernel has not found so far.
    pub(crate) fn missing_unit(&self) -> Option<usize> {
        self.state
            .lock()
            .adopted
            .iter()
            .position(|adopted| !adopted)
    }

    /// The device at an address, and the page tables of its domain.
    pub(crate) fn device(&self, segment: u32, bdf: u16) -> Option<(handover::Device, Table)> {
        let index = handover::find(&self.devices, segment, bdf)?;
        let &(domain, device) = self.devices.get(index)?;
        let state = self.state.lock();

        if state.is_gone(index) {
            return None;
        }
        state
            .domains
            .get(domain as usize)
            .map(|domain| (device, domain.table))
    }

    /// The domain of a device, if it was preserved with one. `None` stands for one that was not.
    pub(crate) fn domain(
        &self,
        device: Device<'_>,
    ) -> Result<Option<NonNull<bindings::iommu_domain>>> {
        let (segment, bdf) = device.address();
        let Some(index) = handover::find(&self.devices, segment, bdf) else {
            return Ok(None);
        };
        let &(number, _) = self.devices.get(index).ok_or(EINVAL)?;
        let mut state = self.state.lock();

        if state.is_gone(index) {
            return Ok(None);
        }
        let restoring = state.domains.get_mut(number as usize).ok_or(EINVAL)?;

        if restoring.domain.is_none() {
            restoring.domain = Some(device.restore_domain(&restoring.table)?);
        }
        let domain = restoring.domain;

        if let Some(progress) = state.devices.get_mut(index) {
            *progress = Progress::SetUp;
        }
        Ok(domain)
    }

    /// Notes that a device goes away. What comes in its place later on is another one.
    pub(crate) fn release(&self, device: Device<'_>) {
        let (segment, bdf) = device.address();
        let mut state = self.state.lock();

        if let Some(index) = handover::find(&self.devices, segment, bdf) {
            if let Some(progress) = state.devices.get_mut(index) {
                *progress = Progress::Gone;
            }
        }
    }

    /// Whether a device was handed over, and has not gone away since.
    pub(crate) fn has(&self, device: Device<'_>) -> bool {
        let (segment, bdf) = device.address();
        let state = self.state.lock();

        handover::find(&self.devices, segment, bdf).is_some_and(|index| !state.is_gone(index))
    }

    /// A device that is there, and has not got its domain.
    pub(crate) fn missing_device(&self) -> Option<(u32, u16)> {
        let state = self.state.lock();
        let expected = |index| state.devices.get(index) == Some(&Progress::Expected);

        self.devices
            .iter()
            .enumerate()
            .filter(|&(index, _)| expected(index))
            .map(|(_, (_, device))| device.address())
            .find(|&(segment, bdf)| crate::device::is_present(segment, bdf))
    }
}

impl Device<'_> {
    /// Makes a domain of page tables that the previous kernel preserved.
    fn restore_domain(self, table: &Table) -> Result<NonNull<bindings::iommu_domain>> {
        let restore = self
            .ops()
            .and_then(|ops| ops.restore_domain)
            .ok_or(EOPNOTSUPP)?;
        let ser: *const Table = table;

        // SAFETY: By the type invariants the device is valid. The bytes are those of the struct,
        // which is packed.
        let domain =
            kernel::error::from_err_ptr(unsafe { restore(self.as_ptr().as_ptr(), ser.cast()) })?;

        NonNull::new(domain).ok_or(ENOMEM)
    }
}
