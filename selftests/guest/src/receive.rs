// SPDX-License-Identifier: GPL-2.0-only

//! The steps that give memory to a device, and those that look at what it wrote there.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use plan::ring::DESCRIPTOR;
use plan::{IgbReceive, IgbReceived, Iova, IovaName};

use crate::canary;
use crate::failure::Failure;
use crate::igb::Igb;
use crate::iommufd;
use crate::lock::lock;
use crate::memory::{Memory, PAGE};
use crate::ring::{Layout, Ring, Tally};
use crate::steps::Runner;
use crate::wait;

/// Where memory is mapped only to pin it: within the 39 bits of every IOMMU, and above all memory of a test machine.
const PIN_AT: u64 = 0x40_0000_0000;
/// QEMU delivers what a socket has queued within one of these.
const SETTLE: Duration = Duration::from_millis(50);
const SETTLE_LOOKS: u32 = 4;

/// An I/O address space.
#[derive(Clone, Copy)]
struct Space<'a> {
    iommufd: BorrowedFd<'a>,
    ioas: u32,
}

impl Space<'_> {
    /// Physical addresses of a memfd's pages, which stay what they are: pinning has moved away what had to move.
    fn pinned(&self, memfd: BorrowedFd<'_>, memory: &Memory) -> Result<Vec<u64>, Failure> {
        let bytes = (memory.pages() * PAGE) as u64;
        iommufd::map(self.iommufd, self.ioas, memfd, 0..bytes, PIN_AT)?;
        let addresses = memory.physical();
        iommufd::unmap(self.iommufd, self.ioas, PIN_AT, bytes)?;
        addresses
    }

    /// Maps each page of a memfd at its address.
    fn map(&self, memfd: BorrowedFd<'_>, addresses: &[u64]) -> Result<(), Failure> {
        for (first, count) in runs(addresses) {
            let start = (first * PAGE) as u64;
            let range = start..start + (count * PAGE) as u64;
            iommufd::map(self.iommufd, self.ioas, memfd, range, addresses[first])?;
        }
        Ok(())
    }
}

/// First index and length of each piece in which every address is a page behind the one before.
fn runs(addresses: &[u64]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        match runs.last_mut() {
            Some((first, count)) if addresses[*first] + (*count * PAGE) as u64 == *address => *count += 1,
            _ => runs.push((index, 1)),
        }
    }
    runs
}

impl Runner {
    /// `map`.
    pub(crate) fn map(&self, fd: &str, iommufd: &str, memory: &str, iova: Option<Iova>) -> Result<String, Failure> {
        let (iommufd, memfd) = (self.names.get(iommufd)?, self.names.get(memory)?);
        let space = Space { iommufd: iommufd.as_fd(), ioas: self.ioas(fd)? };
        let mapped = Memory::map(memfd.as_fd())?;
        let addresses = addresses(space, memfd.as_fd(), &mapped, iova)?;
        space.map(memfd.as_fd(), &addresses)?;
        Ok(format!("{} pages in {} pieces, the first at {:#x}", addresses.len(), runs(&addresses).len(), addresses[0]))
    }

    /// `igb-receive`.
    pub(crate) fn igb_receive(&self, step: &IgbReceive) -> Result<String, Failure> {
        let IgbReceive { fd, iommufd, memory, iova, canary, descriptors, refill } = step;
        let device = Igb::new(self.names.get(fd)?);
        self.rings.stop(fd)?;
        let memfd = self.names.get(memory)?;
        let mapped = Memory::map(memfd.as_fd())?;
        let (layout, addresses) = match (iommufd, canary) {
            (None, None) if iova.is_none() => {
                let addresses = mapped.physical()?;
                (Layout::choose(&addresses, *descriptors)?, addresses)
            }
            (None, _) => return Err(Failure::new("`iova` and `canary` want an `iommufd`, which translates")),
            (Some(_), Some(_)) if iova.is_some() => {
                return Err(Failure::new(
                    "`iova` and `canary` exclude each other: the canary's pages give the addresses",
                ));
            }
            (Some(iommufd), canary) => {
                let iommufd = self.names.get(iommufd)?;
                let space = Space { iommufd: iommufd.as_fd(), ioas: self.ioas(fd)? };
                let (layout, addresses) = match canary {
                    Some(canary) => self.canary(space, canary, mapped.pages(), *descriptors)?,
                    None => {
                        let addresses = addresses(space, memfd.as_fd(), &mapped, *iova)?;
                        (Layout::choose(&addresses, *descriptors)?, addresses)
                    }
                };
                space.map(memfd.as_fd(), &addresses)?;
                (layout, addresses)
            }
        };
        let start = addresses[layout.first_page()];
        let descriptors = layout.descriptors();
        // Whatever had to move for the device has moved by now.
        let physical = mapped.physical()?;
        let ring = self.rings.set(memory, Ring::create(mapped, layout, &addresses, &physical));
        let link = device.start(start, descriptors, descriptors * DESCRIPTOR)?;
        settle(&device, &ring)?;
        self.rings.announce(fd, physical[0]);
        if *refill {
            self.rings.refill(fd, device, ring)?;
        }
        Ok(format!("ring of {descriptors} at {start:#x}, {} pieces, {link}", runs(&addresses).len()))
    }

    /// Makes a memfd the canary for another of `pages` pages. Gives the addresses at which the device is to see that one.
    fn canary(
        &self,
        space: Space<'_>,
        name: &str,
        pages: usize,
        descriptors: u32,
    ) -> Result<(Layout, Vec<u64>), Failure> {
        let memfd = self.names.get(name)?;
        let canary = Memory::map(memfd.as_fd())?;
        let mut addresses = space.pinned(memfd.as_fd(), &canary)?;
        addresses.truncate(pages);
        let layout = Layout::choose(&addresses, descriptors)?;
        canary::prepare(&canary, &layout, &addresses)?;
        Ok((layout, addresses))
    }

    /// `igb-resume`.
    pub(crate) fn igb_resume(&self, fd: &str, memory: &str) -> Result<String, Failure> {
        let device = Igb::new(self.names.get(fd)?);
        let ring = self.rings.get(&self.names, memory)?;
        let before = lock(&ring).tally();
        self.rings.refill(fd, device, ring)?;
        Ok(format!("so far {before}"))
    }

    /// `igb-received`.
    pub(crate) fn igb_received(&self, step: &IgbReceived) -> Result<String, Failure> {
        let ring = self.rings.get(&self.names, &step.memory)?;
        let look = || {
            let mut ring = lock(&ring);
            ring.reap();
            ring.tally()
        };
        let start = look();
        let from = if step.fresh { start.landed } else { 0 };
        let enough = |tally: &Tally| tally.landed - from >= step.at_least;
        let came = wait::until(wait::LIMIT, || Ok(Some(look()).filter(enough)))?;
        let tally = came.map_or_else(look, |(tally, _)| tally);
        let mut detail = tally.to_string();
        if step.fresh {
            detail = format!("{} frames more; in all {detail}", tally.landed - from);
        }
        let bad = match () {
            () if !enough(&tally) => format!("; want {}{}", step.at_least, self.rings.complaints()),
            () if tally.damaged > 0 => "; want none damaged".to_owned(),
            () if step.complete && tally.missing > 0 => "; want none missing".to_owned(),
            () => return Ok(detail),
        };
        Err(Failure::new(detail + &bad))
    }

    /// `check-canary`.
    pub(crate) fn check_canary(&self, fd: &str) -> Result<String, Failure> {
        canary::check(&Memory::map(self.names.get(fd)?.as_fd())?)
    }
}

/// Lets everything land that was sent before the link was up, and starts the count after it.
fn settle(device: &Igb, ring: &Mutex<Ring>) -> Result<(), Failure> {
    for _ in 0..SETTLE_LOOKS {
        thread::sleep(SETTLE);
        let mut ring = lock(ring);
        ring.reap();
        ring.forget();
        device.give_back(ring.next(), ring.layout().descriptors())?;
        ring.given_back();
    }
    Ok(())
}

fn addresses(
    space: Space<'_>,
    memfd: BorrowedFd<'_>,
    memory: &Memory,
    iova: Option<Iova>,
) -> Result<Vec<u64>, Failure> {
    match iova {
        None | Some(Iova::Named(IovaName::Same)) => space.pinned(memfd, memory),
        Some(Iova::At(base)) => Ok((base..).step_by(PAGE).take(memory.pages()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_contiguous_is_mapped_at_once() {
        assert_eq!(runs(&[0x1000, 0x2000, 0x5000, 0x4000, 0x5000]), [(0, 2), (2, 1), (3, 2)]);
        assert_eq!(runs(&[]), []);
    }
}
