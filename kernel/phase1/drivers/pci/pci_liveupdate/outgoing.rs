// SPDX-License-Identifier: GPL-2.0

//! What this kernel is going to hand over.

use kernel::{
    io::PhysAddr,
    kho::Preserved,
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

use crate::{
    blocks::Blocks,
    device::Device,
    handover::{
        Entry,
        Header,
        HeaderBytes, //
    }, //
};

/// The devices that are preserved, and the bridges above them.
///
/// There is one at a time, from the first file that is preserved to the last. Its lock protects the
/// slot numbers in the devices as well.
#[pin_data]
pub(crate) struct Outgoing {
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    header: Preserved<HeaderBytes>,
    blocks: Blocks,
    nr_devices: u32,
}

impl Outgoing {
    /// Creates one with no devices.
    pub(crate) fn new() -> Result<Pin<KBox<Self>>> {
        let inner = Inner {
            header: Preserved::new(Header::EMPTY.encode())?,
            blocks: Blocks::new()?,
            nr_devices: 0,
        };

        KBox::pin_init(
            pin_init!(Self {
                inner <- new_mutex!(inner, "pci_liveupdate_outgoing"),
            }),
            GFP_KERNEL,
        )
    }

    /// Where the next kernel finds it.
    pub(crate) fn phys(&self) -> PhysAddr {
        self.inner.lock().header.phys()
    }

    /// Adds a device, and counts it at every bridge above it.
    ///
    /// Fails with [`EBUSY`] if it is there already, with [`EOVERFLOW`] if there are too many
    /// devices below a bridge, and if there is no memory. Then nothing has changed.
    pub(crate) fn add(&self, device: Device<'_>) -> Result {
        let mut inner = self.inner.lock();

        // SAFETY: The lock is held, here and for every device of the path below.
        if unsafe { device.slot() }.is_some() {
            return Err(EBUSY);
        }
        let mut missing = 0;
        for device in device.path() {
            // SAFETY: See above.
            match unsafe { device.slot() }.and_then(|slot| inner.blocks.read(slot)) {
                Some(entry) if entry.refcount == u16::MAX => return Err(EOVERFLOW),
                Some(_) => (),
                None => missing += 1,
            }
        }
        inner.blocks.reserve(missing)?;
        let nr_dma = u32::from(!device.is_translated());

        for device in device.path() {
            // SAFETY: See above.
            let slot = match unsafe { device.slot() } {
                Some(slot) => slot,
                None => {
                    // There are as many as were missing.
                    let slot = inner.blocks.take().ok_or(ENOMEM)?;
                    // SAFETY: See above.
                    unsafe { device.set_slot(Some(slot)) };
                    inner.nr_devices += 1;
                    slot
                }
            };
            let refcount = inner.blocks.read(slot).map_or(0, |entry| entry.refcount);
            let address = device.address();

            inner.blocks.write(
                slot,
                Entry {
                    address,
                    refcount: refcount + 1,
                },
            );
            // SAFETY: See above.
            unsafe { device.set_nr_dma(device.nr_dma() + nr_dma) };
        }
        inner.update_header();
        Ok(())
    }

    /// Takes out a device that was added.
    pub(crate) fn remove(&self, device: Device<'_>) {
        let mut inner = self.inner.lock();

        // SAFETY: The lock is held.
        if unsafe { device.slot() }.is_none() {
            return;
        }
        // SAFETY: The lock is held.
        let nr_dma = unsafe { device.nr_dma() };

        for device in device.path() {
            // SAFETY: The lock is held. An endpoint counts for itself, so that it was counted at
            // every bridge if it was at all.
            unsafe { device.set_nr_dma(device.nr_dma() - nr_dma) };
            // SAFETY: The lock is held.
            let Some(slot) = (unsafe { device.slot() }) else {
                continue;
            };
            match inner.blocks.read(slot) {
                Some(entry) if entry.refcount > 1 => inner.blocks.write(
                    slot,
                    Entry {
                        refcount: entry.refcount - 1,
                        ..entry
                    },
                ),
                _ => {
                    inner.blocks.give_back(slot);
                    // SAFETY: The lock is held.
                    unsafe { device.set_slot(None) };
                    inner.nr_devices -= 1;
                }
            }
        }
        inner.update_header();
    }
}

impl Inner {
    /// Brings the header up to date, so that the hand-over is complete at any time.
    fn update_header(&mut self) {
        *self.header = Header {
            nr_devices: self.nr_devices,
            devices: self.blocks.phys(),
        }
        .encode();
    }
}
