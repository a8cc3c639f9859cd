// SPDX-License-Identifier: GPL-2.0-only

//! A receive ring of an igb in a memfd, with the frames that landed and a count of them.
//!
//! How it is laid out is said in [`plan::ring`]. (The device's legacy format of descriptors would leave the address of a buffer in place,
//! but QEMU's igb does not know that one.)

use plan::Frame;
use plan::ring::{BUFFER, DESCRIPTOR, DONE, MAGIC, MAX_RING_PAGES, NEXT_BUFFER, OWN_ADDRESS, STATUS, word};

use crate::failure::Failure;
use crate::memory::{Memory, PAGE};

/// Descriptors in a page; a ring is a whole number of pages.
pub(crate) const PER_PAGE: usize = PAGE / DESCRIPTOR;

/// What has landed so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) landed: u64,
    pub(crate) damaged: u64,
    pub(crate) missing: u64,
    first: u64,
    due: u64,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} frames landed", self.landed)?;
        if self.due > 0 {
            write!(f, ", numbers {} to {}", self.first, self.due - 1)?;
        }
        write!(f, ", {} missing, {} damaged", self.missing, self.damaged)
    }
}

/// Where everything is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Layout {
    ring: Vec<usize>,
    buffers: Vec<usize>,
}

impl Layout {
    /// Chooses pages for a ring, given where the device sees each page of the memfd.
    pub(crate) fn choose(addresses: &[u64], descriptors: u32) -> Result<Self, Failure> {
        let descriptors = descriptors as usize;
        let ring_pages = descriptors / PER_PAGE;
        if descriptors == 0 || !descriptors.is_multiple_of(PER_PAGE) || ring_pages > MAX_RING_PAGES {
            return Err(Failure::new(format!(
                "{descriptors} descriptors: want a multiple of {PER_PAGE} up to {}",
                PER_PAGE * MAX_RING_PAGES
            )));
        }
        let need = 1 + ring_pages + descriptors * BUFFER / PAGE;
        if addresses.len() < need {
            return Err(Failure::new(format!(
                "a ring of {descriptors} descriptors needs a memfd of {} bytes, this one has {}",
                need * PAGE,
                addresses.len() * PAGE
            )));
        }
        let mut order: Vec<usize> = (1..addresses.len()).collect();
        order.sort_by_key(|page| addresses[*page]);
        let follows = |pair: &[usize]| addresses[pair[0]] + PAGE as u64 == addresses[pair[1]];
        let run = order.windows(ring_pages).find(|run| run.windows(2).all(follows)).ok_or_else(|| {
            Failure::new(format!(
                "no {ring_pages} pages of the memfd are contiguous; make it larger or the ring smaller"
            ))
        })?;
        Ok(Self::with(run.to_vec(), addresses.len()))
    }

    fn with(ring: Vec<usize>, pages: usize) -> Self {
        let buffers = (1..pages).filter(|page| !ring.contains(page)).collect();
        Self { ring, buffers }
    }

    /// How many descriptors there are.
    pub(crate) fn descriptors(&self) -> usize {
        self.ring.len() * PER_PAGE
    }

    /// Page of the memfd where the ring starts.
    pub(crate) fn first_page(&self) -> usize {
        self.ring[0]
    }

    fn descriptor(&self, index: usize) -> usize {
        self.ring[index / PER_PAGE] * PAGE + index % PER_PAGE * DESCRIPTOR
    }

    fn buffer(&self, index: usize) -> usize {
        let per_page = PAGE / BUFFER;
        self.buffers[index / per_page] * PAGE + index % per_page * BUFFER
    }

    /// Writes descriptors for all buffers, none of them used.
    pub(crate) fn write_ring(&self, memory: &Memory, addresses: &[u64]) {
        for index in 0..self.descriptors() {
            let buffer = self.buffer(index);
            memory.write(buffer + OWN_ADDRESS, addresses[buffer / PAGE] + (buffer % PAGE) as u64);
            self.free(memory, index);
        }
    }

    /// Makes a descriptor as good as new.
    fn free(&self, memory: &Memory, index: usize) {
        let at = self.descriptor(index);
        memory.write(at, memory.read(self.buffer(index) + OWN_ADDRESS));
        memory.write(at + STATUS, 0);
    }
}

/// A ring in its memfd.
#[derive(Debug)]
pub(crate) struct Ring {
    memory: Memory,
    layout: Layout,
}

impl Ring {
    /// Lays a new one out. What the memfd held is lost. `addresses` are those at which the device sees its pages, `physical` is for the host.
    pub(crate) fn create(memory: Memory, layout: Layout, addresses: &[u64], physical: &[u64]) -> Self {
        for at in (0..memory.pages() * PAGE).step_by(8) {
            memory.write(at, 0);
        }
        layout.write_ring(&memory, addresses);
        let ring = Self { memory, layout };
        for (page, index) in ring.layout.ring.iter().zip(0..) {
            ring.set(word::PAGES + index, *page as u64);
            ring.set(word::PHYSICAL + index, physical[*page]);
        }
        ring.link(physical);
        ring.set(word::HEADER, physical[0]);
        ring.set(word::DESCRIPTORS, ring.layout.descriptors() as u64);
        ring.set(word::MAGIC, MAGIC);
        ring
    }

    /// Tells the host where the buffers are.
    fn link(&self, physical: &[u64]) {
        let descriptors = self.layout.descriptors();
        let place = |index: usize| {
            let at = self.layout.buffer(index % descriptors);
            physical[at / PAGE] + (at % PAGE) as u64
        };
        self.set(word::FIRST_BUFFER, place(0));
        for index in 0..descriptors {
            self.memory.write(self.layout.buffer(index) + NEXT_BUFFER, place(index + 1));
        }
    }

    /// Reads the header of one that was laid out earlier, perhaps by another kernel.
    pub(crate) fn load(memory: Memory) -> Result<Self, Failure> {
        let get = |index: usize| memory.read(index * 8);
        if get(word::MAGIC) != MAGIC {
            return Err(Failure::new("the memfd holds no ring; igb-receive lays one out"));
        }
        let broken = |what: String| Failure::new(format!("the header of the ring is damaged: {what}"));
        let pages = memory.pages();
        let descriptors = usize::try_from(get(word::DESCRIPTORS)).unwrap_or(usize::MAX);
        let ring_pages = descriptors / PER_PAGE;
        if !(1..=MAX_RING_PAGES).contains(&ring_pages) || !descriptors.is_multiple_of(PER_PAGE) {
            return Err(broken(format!("{descriptors} descriptors")));
        }
        let page = |index| match usize::try_from(get(word::PAGES + index)) {
            Ok(page) if (1..pages).contains(&page) => Ok(page),
            other => Err(broken(format!("page {other:?} of {pages}"))),
        };
        let layout = Layout::with((0..ring_pages).map(page).collect::<Result<_, _>>()?, pages);
        if layout.buffers.len() * (PAGE / BUFFER) < descriptors || get(word::NEXT) >= descriptors as u64 {
            return Err(broken(format!("{pages} pages, next {}", get(word::NEXT))));
        }
        Ok(Self { memory, layout })
    }

    /// Where everything is.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What has landed up to the last [`Ring::reap`].
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            landed: self.get(word::LANDED),
            damaged: self.get(word::DAMAGED),
            missing: self.get(word::MISSING),
            first: self.get(word::FIRST),
            due: self.get(word::DUE),
        }
    }

    /// Counts from here on.
    pub(crate) fn forget(&mut self) {
        for index in [word::LANDED, word::GIVEN, word::DAMAGED, word::MISSING, word::FIRST, word::DUE] {
            self.set(index, 0);
        }
    }

    /// Takes note that the device has got back all descriptors up to the last [`Ring::reap`].
    pub(crate) fn given_back(&self) {
        self.set(word::GIVEN, self.get(word::LANDED));
    }

    /// The descriptor that is used next.
    pub(crate) fn next(&self) -> usize {
        // `load` has checked it and `reap` keeps it small.
        self.get(word::NEXT) as usize
    }

    /// Takes note of the frames that have landed and makes their descriptors ready to be used again.
    pub(crate) fn reap(&mut self) {
        for _ in 0..self.layout.descriptors() {
            let next = self.next();
            if self.memory.read(self.layout.descriptor(next) + STATUS) & DONE == 0 {
                return;
            }
            let frame = Frame::from_bytes(&self.memory.copy::<{ Frame::LENGTH }>(self.layout.buffer(next)));
            self.note(frame);
            self.layout.free(&self.memory, next);
            self.set(word::NEXT, ((next + 1) % self.layout.descriptors()) as u64);
        }
    }

    fn note(&self, frame: Option<Frame>) {
        let due = self.get(word::DUE);
        match frame {
            Some(Frame { sequence, .. }) if due == 0 => {
                self.set(word::FIRST, sequence);
                self.set(word::DUE, sequence.wrapping_add(1));
            }
            Some(Frame { sequence, .. }) if sequence >= due => {
                self.set(word::MISSING, self.get(word::MISSING) + (sequence - due));
                self.set(word::DUE, sequence.wrapping_add(1));
            }
            _ => self.set(word::DAMAGED, self.get(word::DAMAGED) + 1),
        }
        self.set(word::LANDED, self.get(word::LANDED) + 1);
    }

    fn get(&self, index: usize) -> u64 {
        self.memory.read(index * 8)
    }

    fn set(&self, index: usize, value: u64) {
        self.memory.write(index * 8, value);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use super::*;
    use crate::memfd;

    fn memory(pages: usize) -> (OwnedFd, Memory) {
        let fd = memfd::create("t", (pages * PAGE) as u64, 9, &[]).unwrap();
        let memory = Memory::map(fd.as_fd()).unwrap();
        (fd, memory)
    }

    /// Two pages for a ring are together only at pages 3 and 1.
    fn addresses(pages: usize) -> Vec<u64> {
        let mut addresses: Vec<u64> = (0..pages as u64).map(|page| 0x10_0000 + page * 0x3000).collect();
        addresses[1] = addresses[3] + 0x1000;
        addresses
    }

    /// What the host sees differs from what the device sees.
    fn physical(pages: usize) -> Vec<u64> {
        (0..pages as u64).map(|page| 0x80_0000 - page * 0x1000).collect()
    }

    /// What a device does with the descriptor at `index`.
    fn land(memory: &Memory, layout: &Layout, index: usize, bytes: &[u8]) {
        for (chunk, at) in bytes.chunks_exact(8).zip((layout.buffer(index)..).step_by(8)) {
            memory.write(at, u64::from_le_bytes(chunk.try_into().unwrap()));
        }
        memory.write(layout.descriptor(index), 0x5555);
        memory.write(layout.descriptor(index) + 8, DONE | 64 << 32);
    }

    #[test]
    fn the_ring_is_put_where_pages_are_contiguous() {
        let layout = Layout::choose(&addresses(131), 512).unwrap();
        assert_eq!(layout.ring, [3, 1]);
        assert_eq!(layout.buffers[..3], [2, 4, 5]);
        assert!(Layout::choose(&addresses(130), 512).unwrap_err().to_string().contains("536576 bytes"));
        assert!(Layout::choose(&addresses(300), 768).unwrap_err().to_string().contains("contiguous"));
        for bad in [0, 100, 8192] {
            assert!(Layout::choose(&addresses(131), bad).unwrap_err().to_string().contains("multiple of 256"));
        }
    }

    #[test]
    fn a_ring_is_found_again_in_its_memfd() {
        let (fd, mapped) = memory(131);
        let layout = Layout::choose(&addresses(131), 512).unwrap();
        let ring = Ring::create(mapped, layout.clone(), &addresses(131), &physical(131));
        assert_eq!(ring.memory.read(3 * PAGE), 0x10_0000 + 2 * 0x3000, "buffer 0 is at the start of page 2");
        assert_eq!(ring.memory.read(3 * PAGE + 16), 0x10_0000 + 2 * 0x3000 + 1024);
        let again = Ring::load(Memory::map(fd.as_fd()).unwrap()).unwrap();
        assert_eq!(again.layout, layout);
        let host = [word::HEADER, word::PHYSICAL, word::PHYSICAL + 1, word::FIRST_BUFFER].map(|index| ring.get(index));
        assert_eq!(host, [0x80_0000, 0x7f_d000, 0x7f_f000, 0x7f_e000], "pages 0, 3, 1 and 2");
        let next = |buffer: usize| ring.memory.read(layout.buffer(buffer) + NEXT_BUFFER);
        assert_eq!([next(0), next(3), next(511)], [0x7f_e400, 0x7f_c000, 0x7f_e000]);
        ring.set(word::PAGES, 131);
        assert!(Ring::load(Memory::map(fd.as_fd()).unwrap()).unwrap_err().to_string().contains("damaged"));
        let (_fd, other) = memory(131);
        assert!(Ring::load(other).unwrap_err().to_string().contains("no ring"));
    }

    #[test]
    fn frames_are_counted_checked_and_their_descriptors_given_back() {
        let (fd, mapped) = memory(66);
        let device = Memory::map(fd.as_fd()).unwrap();
        let layout = Layout::choose(&addresses(66), 256).unwrap();
        let mut ring = Ring::create(mapped, layout.clone(), &addresses(66), &physical(66));
        let frame = |sequence| Frame { sequence, sent: 1 }.to_bytes();
        for (index, sequence) in [(0, 7), (1, 8), (2, 11), (3, 10)] {
            land(&device, &layout, index, &frame(sequence));
        }
        land(&device, &layout, 4, &[0x55; 64]);
        ring.reap();
        assert_eq!(ring.tally().to_string(), "5 frames landed, numbers 7 to 11, 2 missing, 2 damaged");
        assert_eq!(ring.next(), 5);
        // Round the corner, and descriptors are used twice.
        for index in 5..256 {
            land(&device, &layout, index, &frame(index as u64 + 7));
        }
        land(&device, &layout, 0, &frame(263));
        ring.reap();
        assert_eq!((ring.tally().landed, ring.tally().missing, ring.next()), (257, 2, 1));
        ring.reap();
        assert_eq!(ring.tally().landed, 257, "nothing is counted twice");
        assert_eq!(
            device.read(layout.descriptor(9)),
            0x10_0000 + 4 * 0x3000 + 1024,
            "buffer 9 is the second of page 4"
        );
        ring.forget();
        assert_eq!(ring.tally().to_string(), "0 frames landed, 0 missing, 0 damaged");
    }
}
