// SPDX-License-Identifier: GPL-2.0-only

//! Memory that nobody may write, and that says so afterwards.
//!
//! The device is told I/O addresses that are the physical addresses of the canary, while the IOMMU translates them to another
//! memfd. Should translation end while the device still masters the bus, it finds a ring at the same addresses and writes frames
//! there. So the canary holds a ring that is as good as the real one, and a checksum of every page:
//!
//! - pages 0 to n: as in the memfd that it stands in for (see [`plan::ring`]): the ring's pages hold descriptors, all others what the
//!   `memfd` step put there;
//! - the last page or pages are the seal: a magic word, the number of pages before, and a checksum of each.
//!
//! The device knows no address in the seal, unless it makes one up.

use plan::ring::BUFFER;
use plan::{Frame, fnv1a};

use crate::failure::Failure;
use crate::memory::{Memory, PAGE};
use crate::ring::Layout;

const MAGIC: u64 = u64::from_le_bytes(*b"phsctlCA");
const WORDS: usize = PAGE / 8;
/// Changed pages that a report names.
const NAMED: usize = 4;

/// Pages before the seal of a memfd with this many pages.
fn covered(pages: usize) -> usize {
    pages - (pages + 2).div_ceil(WORDS).min(pages)
}

/// Writes the ring and the seal. The device sees page i of the memfd that this one stands in for at the physical address of page i.
pub(crate) fn prepare(canary: &Memory, layout: &Layout, addresses: &[u64]) -> Result<(), Failure> {
    let sealed = covered(canary.pages());
    if sealed < addresses.len() {
        return Err(Failure::new(format!(
            "the canary has {} pages, of which {} are for its seal; it must be that much larger than the memory, which has {}",
            canary.pages(),
            canary.pages() - sealed,
            addresses.len()
        )));
    }
    layout.write_ring(canary, addresses);
    let seal = sealed * PAGE;
    for page in 0..sealed {
        canary.write(seal + 16 + page * 8, sum(canary, page));
    }
    canary.write(seal + 8, sealed as u64);
    canary.write(seal, MAGIC);
    Ok(())
}

/// Checks every page against the seal.
pub(crate) fn check(canary: &Memory) -> Result<String, Failure> {
    let sealed = covered(canary.pages());
    let seal = sealed * PAGE;
    if sealed == 0 || canary.read(seal) != MAGIC || canary.read(seal + 8) != sealed as u64 {
        return Err(Failure::new("the memfd has no seal: it is no canary of igb-receive, or its seal was overwritten"));
    }
    let changed: Vec<_> = (0..sealed).filter(|page| canary.read(seal + 16 + page * 8) != sum(canary, *page)).collect();
    if changed.is_empty() {
        return Ok(format!("{sealed} pages are as they were"));
    }
    let frames: Vec<_> = changed.iter().flat_map(|page| frames(canary, *page)).collect();
    let mut text = format!("{} of {sealed} pages were written: {}", changed.len(), some(&changed));
    if let (Some(first), Some(last)) = (frames.iter().min(), frames.iter().max()) {
        text += &format!("; {} frames are in them, numbers {first} to {last}", frames.len());
    }
    Err(Failure::new(text))
}

fn sum(canary: &Memory, page: usize) -> u64 {
    fnv1a(&canary.copy::<PAGE>(page * PAGE))
}

/// Sequence numbers of the frames in the buffers of a page.
fn frames(canary: &Memory, page: usize) -> impl Iterator<Item = u64> {
    let buffers = (page * PAGE..(page + 1) * PAGE).step_by(BUFFER);
    buffers.filter_map(|at| Some(Frame::from_bytes(&canary.copy::<{ Frame::LENGTH }>(at))?.sequence))
}

fn some<T: ToString>(all: &[T]) -> String {
    let named: Vec<_> = all.iter().take(NAMED).map(T::to_string).collect();
    named.join(", ") + if all.len() > NAMED { ", ..." } else { "" }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::memfd;

    #[test]
    fn the_seal_covers_all_pages_before_it() {
        for (pages, before) in [(1, 0), (2, 1), (510, 509), (511, 509), (512, 510), (1041, 1038)] {
            assert_eq!(covered(pages), before, "{pages} pages");
            assert!(before + 2 <= (pages - before) * WORDS, "the seal of {pages} pages has room");
        }
    }

    #[test]
    fn every_byte_counts_and_frames_are_named() {
        let fd = memfd::create("t", 70 * PAGE as u64, 3, &[]).unwrap();
        let canary = Memory::map(fd.as_fd()).unwrap();
        let addresses: Vec<u64> = (0..66).map(|page| page * PAGE as u64).collect();
        let layout = Layout::choose(&addresses, 256).unwrap();
        assert!(check(&canary).unwrap_err().to_string().contains("no seal"));
        prepare(&canary, &layout, &addresses).unwrap();
        assert_eq!(check(&canary).unwrap(), "69 pages are as they were");
        let last = 69 * PAGE - 8;
        canary.write(last, canary.read(last) ^ 1 << 63);
        assert_eq!(check(&canary).unwrap_err().to_string(), "1 of 69 pages were written: 68");
        canary.write(last, canary.read(last) ^ 1 << 63);
        check(&canary).unwrap();
        rustix::io::pwrite(&fd, &Frame { sequence: 42, sent: 0 }.to_bytes(), 2 * PAGE as u64 + 1024).unwrap();
        let text = check(&canary).unwrap_err().to_string();
        assert_eq!(text, "1 of 69 pages were written: 2; 1 frames are in them, numbers 42 to 42");
    }

    #[test]
    fn a_canary_without_room_for_the_seal_is_refused() {
        let fd = memfd::create("t", 66 * PAGE as u64, 3, &[]).unwrap();
        let canary = Memory::map(fd.as_fd()).unwrap();
        let addresses: Vec<u64> = (0..66).map(|page| page * PAGE as u64).collect();
        let layout = Layout::choose(&addresses, 256).unwrap();
        let text = prepare(&canary, &layout, &addresses).unwrap_err().to_string();
        assert!(text.contains("has 66 pages, of which 1 are for its seal"), "{text}");
    }
}
