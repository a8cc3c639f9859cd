// SPDX-License-Identifier: GPL-2.0

//! What the previous kernel handed over.

use kernel::{
    kho::Restored,
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

use crate::{
    device::{
        Device,
        FoundDevice, //
    },
    handover::{
        self,
        Address,
        BlockBytes,
        Fault,
        Header,
        HeaderBytes,
        Source, //
    },
    tracked::{
        self,
        Contradiction,
        Found,
        Tracked, //
    }, //
};

/// Blocks in memory that KHO carried over.
struct Kho;

/// A block that KHO carried over.
struct KhoBlock(Restored<BlockBytes>);

impl AsRef<BlockBytes> for KhoBlock {
    fn as_ref(&self) -> &BlockBytes {
        &self.0
    }
}

impl Source for Kho {
    type Block = KhoBlock;

    fn claim(&mut self, phys: u64) -> Option<KhoBlock> {
        // SAFETY: The previous kernel handed the address over as that of a block of this list, the
        // format of which is what the version stands for.
        unsafe { Restored::claim(phys) }.ok().map(KhoBlock)
    }
}

/// The devices that the previous kernel preserved.
///
/// There is one from the first look at it to the finish of the last file. Its lock is taken under
/// the lock for rescanning and removing devices, and within the LUO.
#[pin_data]
pub(crate) struct Incoming {
    #[pin]
    devices: Mutex<KVVec<Tracked>>,
}

impl Incoming {
    /// Reads what was handed over.
    pub(crate) fn read(header: &HeaderBytes) -> Result<Result<Pin<KBox<Self>>, Fault>> {
        let mut devices = KVVec::new();
        let read = Header::decode(header)
            .and_then(|header| {
                handover::read(header, &mut Kho, |entry| {
                    devices
                        .push(Tracked::new(entry), GFP_KERNEL)
                        .map_err(|_| Fault::NoMemory)
                })
            })
            .and_then(|()| tracked::sort(&mut devices));

        if let Err(fault) = read {
            return Ok(Err(fault));
        }
        KBox::pin_init(
            pin_init!(Self {
                devices <- new_mutex!(devices, "pci_liveupdate_incoming"),
            }),
            GFP_KERNEL,
        )
        .map(Ok)
    }

    /// Notes that a device was found, and marks it if it is one that was preserved.
    ///
    /// Returns how many preserved devices are at or below it in this case.
    pub(crate) fn found(&self, device: Device<'_>) -> Option<u16> {
        let mut devices = self.devices.lock();
        let tracked = tracked::find(&mut devices, device.address())?;

        tracked.found = Some(Found {
            upstream: device.upstream().map(Device::address),
            is_bridge: device.is_bridge(),
        });
        if tracked.unfinished == 0 || tracked.removed {
            return None;
        }
        device.set_incoming(true);
        Some(tracked.unfinished)
    }

    /// Checks that the devices were found. All buses were scanned.
    pub(crate) fn check(&self) -> Result<(), Contradiction> {
        tracked::check(&mut self.devices.lock())
    }

    /// Notes that a bridge lost its bus numbers. Returns whether that is news.
    pub(crate) fn lost_buses(&self, bridge: Device<'_>) -> bool {
        let mut devices = self.devices.lock();

        tracked::find(&mut devices, bridge.address())
            .is_some_and(|tracked| !core::mem::replace(&mut tracked.lost_buses, true))
    }

    /// Whether a bus number is that of a preserved device.
    pub(crate) fn uses_bus(&self, domain: u32, bus: u8) -> bool {
        tracked::uses_bus(&self.devices.lock(), domain, bus)
    }

    /// Notes that a device is being removed.
    ///
    /// Whatever is found at its address later is another one.
    pub(crate) fn removed(&self, device: Device<'_>) {
        let mut devices = self.devices.lock();

        if let Some(tracked) = tracked::find(&mut devices, device.address()) {
            tracked.removed = true;
        }
    }

    /// Notes that a file has come for the device at an address.
    ///
    /// Fails with [`EINVAL`] if it was not handed over, or if it is a bridge, and with [`EBUSY`] if
    /// another file has come for it.
    pub(crate) fn claim(&self, address: Address) -> Result {
        let mut devices = self.devices.lock();
        let tracked = tracked::find(&mut devices, address).ok_or(EINVAL)?;

        if tracked.is_bridge() {
            return Err(EINVAL);
        }
        if tracked.claimed {
            return Err(EBUSY);
        }
        // Set even if the file cannot be retrieved in the end: it is accounted for.
        tracked.claimed = true;
        Ok(())
    }

    /// Lets go of a device, and of the bridges above it that are there for no other.
    pub(crate) fn finish_device(&self, device: Device<'_>) {
        let mut devices = self.devices.lock();
        let is_finished = tracked::find(&mut devices, device.address())
            .is_none_or(|tracked| tracked.unfinished == 0);

        if is_finished {
            return;
        }
        for device in device.path() {
            let Some(tracked) = tracked::find(&mut devices, device.address()) else {
                continue;
            };

            if tracked.unfinished == 1 {
                device.stop();
                device.release();
            }
            tracked.unfinished = tracked.unfinished.saturating_sub(1);
        }
    }

    /// Lets go of all devices. Every file is finished.
    ///
    /// Those that are left could not be retrieved, and the bridges above them. They are not running
    /// any more when this returns, unless a driver has taken them into use.
    ///
    /// As the object is going away, nobody else holds the lock.
    ///
    /// Fails with the address of a device for which no file came.
    pub(crate) fn finish(&self) -> Result<(), Address> {
        let mut devices = self.devices.lock();

        // From below: no bridge is released before what is behind it has stopped.
        for tracked in devices
            .iter_mut()
            .rev()
            .filter(|device| device.unfinished != 0)
        {
            let address = tracked.entry.address;

            if !tracked.claimed && !tracked.unreachable && !tracked.is_bridge() {
                return Err(address);
            }
            tracked.unfinished = 0;
            // It would get bus numbers if it were like any other bridge.
            if tracked.lost_buses {
                continue;
            }
            if let Some(found) = FoundDevice::at(address) {
                found.device().stop();
                found.device().release();
            }
        }
        Ok(())
    }
}
