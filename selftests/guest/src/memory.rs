// SPDX-License-Identifier: GPL-2.0-only

//! A memfd as memory that a device writes, and the physical addresses of its pages.
//!
//! The pages are locked, so each stays where it is as long as the kernel moves no pages on its own (the test kernels have no
//! compaction). The one thing that does move them is long-term pinning, away from areas that the kernel wants back (KHO's scratch
//! areas are such): whoever gives physical addresses to a device pins first, by mapping the memfd through an iommufd or
//! by preserving it.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::ptr::NonNull;

use rustix::fs::OFlags;
use rustix::mm::{MapFlags, ProtFlags};

use crate::failure::Failure;
use crate::files;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;

const WORD: usize = size_of::<u64>();

/// All of a memfd, mapped and locked.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: It is plain memory that belongs to no thread, and every access is a volatile one of a word: a device writes there at
// any time, so nobody may rely on more.
unsafe impl Send for Memory {}

impl Memory {
    /// Maps it. Its size must be a whole number of pages.
    pub(crate) fn map(memfd: BorrowedFd<'_>) -> Result<Self, Failure> {
        let setup = |what: &'static str| move |errno| Failure::setup(format!("{what} of the memfd"), errno);
        let size = rustix::fs::fstat(memfd).map_err(setup("fstat"))?.st_size;
        let bytes = usize::try_from(size).unwrap_or(0);
        if bytes == 0 || !bytes.is_multiple_of(PAGE) {
            return Err(Failure::new(format!("the memfd has {size} bytes, which is no whole number of pages")));
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: The kernel chooses a place where nothing is; no memory of this program is replaced.
        let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, memfd, 0) }
            .map_err(setup("mmap"))?;
        let start = NonNull::new(start.cast()).ok_or_else(|| Failure::new("mmap of the memfd gave no address"))?;
        let memory = Self { start, bytes };
        // SAFETY: The range is the mapping that was just made.
        unsafe { rustix::mm::mlock(memory.start.as_ptr().cast(), bytes) }.map_err(setup("mlock"))?;
        Ok(memory)
    }

    /// How many pages it has.
    pub(crate) fn pages(&self) -> usize {
        self.bytes / PAGE
    }

    /// The word at a byte offset that is a multiple of 8.
    pub(crate) fn read(&self, offset: usize) -> u64 {
        // SAFETY: `word` gives an aligned place inside the mapping; any bytes are a valid integer.
        u64::from_le(unsafe { self.word(offset).read_volatile() })
    }

    /// Writes the word at a byte offset that is a multiple of 8.
    pub(crate) fn write(&self, offset: usize, value: u64) {
        // SAFETY: As in `read`; no reference to this memory exists.
        unsafe { self.word(offset).write_volatile(value.to_le()) }
    }

    /// A copy of `N` bytes, a multiple of 8, from an offset that is a multiple of 8.
    pub(crate) fn copy<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        for (chunk, at) in bytes.chunks_exact_mut(WORD).zip((offset..).step_by(WORD)) {
            chunk.copy_from_slice(&self.read(at).to_le_bytes());
        }
        bytes
    }

    /// The physical address of every page.
    pub(crate) fn physical(&self) -> Result<Vec<u64>, Failure> {
        let path = "/proc/self/pagemap";
        let file = files::open(Path::new(path), OFlags::RDONLY)?;
        let mut entries = vec![0; self.pages() * WORD];
        let first = (self.start.as_ptr() as usize / PAGE * WORD) as u64;
        let mut done = 0;
        while done < entries.len() {
            match rustix::io::pread(file.as_fd(), &mut entries[done..], first + done as u64) {
                Ok(0) => return Err(Failure::new(format!("{path} ends before the memfd does"))),
                Ok(n) => done += n,
                Err(errno) => return Err(Failure::setup(format!("read of {path}"), errno)),
            }
        }
        let words = entries.chunks_exact(WORD).map(|chunk| chunk.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b)));
        words.enumerate().map(|(page, entry)| frame(entry).ok_or_else(|| hidden(page, entry))).collect()
    }

    fn word(&self, offset: usize) -> *mut u64 {
        // Offsets come from layouts that were checked against the size; a mistake must not become a stray access.
        assert!(
            offset.is_multiple_of(WORD) && offset + WORD <= self.bytes,
            "offset {offset:#x} in {:#x} bytes",
            self.bytes
        );
        // SAFETY: The result lies inside the mapping, as was just checked.
        unsafe { self.start.as_ptr().add(offset).cast() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: The range is the mapping that `map` made, and nothing points into it any more. A failure leaves it mapped, which
        // harms nobody.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// The address in an entry of pagemap: present (bit 63), and a frame number in bits 0 to 54 that is not hidden as zero.
fn frame(entry: u64) -> Option<u64> {
    let number = entry & ((1 << 55) - 1);
    (entry >> 63 == 1 && number != 0).then_some(number * PAGE as u64)
}

fn hidden(page: usize, entry: u64) -> Failure {
    Failure::new(format!("page {page} of the memfd has no physical address: pagemap says {entry:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memfd;

    #[test]
    fn words_are_those_of_the_file() {
        let fd = memfd::create("t", 2 * PAGE as u64, 5, &[]).unwrap();
        let memory = Memory::map(fd.as_fd()).unwrap();
        assert_eq!((memory.pages(), memory.read(PAGE)), (2, 5 + 512));
        memory.write(PAGE + 8, 0x1122_3344_5566_7788);
        let mut byte = [0];
        rustix::io::pread(&fd, &mut byte, PAGE as u64 + 8).unwrap();
        assert_eq!(byte, [0x88]);
        assert_eq!(memory.copy::<16>(PAGE)[7..10], [0, 0x88, 0x77]);
    }

    #[test]
    fn a_part_of_a_page_is_refused() {
        let fd = memfd::create("t", 5000, 5, &[]).unwrap();
        assert!(Memory::map(fd.as_fd()).unwrap_err().to_string().contains("5000 bytes"));
    }

    #[test]
    fn entries_that_hide_the_address_are_no_addresses() {
        assert_eq!(frame(1 << 63 | 0x12345), Some(0x1234_5000));
        assert_eq!(frame(1 << 63 | 1 << 55 | 0x12345), Some(0x1234_5000), "soft-dirty is no part of it");
        assert_eq!(frame(0x12345), None, "not present");
        assert_eq!(frame(1 << 63), None, "no right to see it");
    }
}
