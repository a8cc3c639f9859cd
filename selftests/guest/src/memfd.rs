// SPDX-License-Identifier: GPL-2.0-only

//! Memory that stands for a VM's: a memfd with a pattern that tells every word from every other.
//!
//! The word at index `i` (8 bytes, little-endian) is `seed + i`, wrapping. A page that is missing, zeroed, swapped with
//! another or left over from another test shows up as a wrong word, and its index says where.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use plan::Seal;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

use crate::failure::Failure;

const CHUNK: usize = 64 * 1024;
const WORD: usize = size_of::<u64>();

/// Creates a memfd and fills it. Every page of it exists afterwards.
pub(crate) fn create(name: &str, bytes: u64, seed: u64, seals: &[Seal]) -> Result<OwnedFd, Failure> {
    // One that is not sealed is left as it always was: the kernel seals it against seals.
    let sealing = if seals.is_empty() { MemfdFlags::empty() } else { MemfdFlags::ALLOW_SEALING };
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | sealing)
        .map_err(|errno| Failure::call(format!("memfd_create {name:?}"), errno))?;
    rustix::fs::ftruncate(&fd, bytes).map_err(|errno| Failure::call(format!("ftruncate to {bytes}"), errno))?;
    let mut buffer = vec![0; CHUNK];
    for (offset, length) in chunks(bytes) {
        fill(&mut buffer[..length], seed, offset);
        let mut done = 0;
        while done < length {
            done += rustix::io::pwrite(&fd, &buffer[done..length], offset + done as u64)
                .map_err(|errno| Failure::call(format!("write of the memfd at {}", offset + done as u64), errno))?;
        }
    }
    if !seals.is_empty() {
        seal(fd.as_fd(), seals)?;
    }
    Ok(fd)
}

/// Adds seals.
pub(crate) fn seal(fd: BorrowedFd<'_>, seals: &[Seal]) -> Result<(), Failure> {
    let flags = seals.iter().map(|seal| match seal {
        Seal::Seal => SealFlags::SEAL,
        Seal::Shrink => SealFlags::SHRINK,
        Seal::Grow => SealFlags::GROW,
        Seal::Write => SealFlags::WRITE,
    });
    rustix::fs::fcntl_add_seals(fd, flags.collect())
        .map_err(|errno| Failure::call(format!("F_ADD_SEALS {seals:?}"), errno))
}

/// Gives pages back.
pub(crate) fn punch_hole(fd: BorrowedFd<'_>, offset: u64, bytes: u64) -> Result<(), Failure> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(fd, flags, offset, bytes)
        .map_err(|errno| Failure::call(format!("fallocate of a hole at {offset:#x}"), errno))
}

/// Checks the memfd's size and every byte of it.
pub(crate) fn check(fd: BorrowedFd<'_>, bytes: u64, seed: u64) -> Result<(), Failure> {
    let size = rustix::fs::fstat(fd).map_err(|errno| Failure::call("fstat of the memfd", errno))?.st_size;
    if u64::try_from(size) != Ok(bytes) {
        return Err(Failure::new(format!("the memfd has {size} bytes, want {bytes}")));
    }
    let (mut got, mut want) = (vec![0; CHUNK], vec![0; CHUNK]);
    for (offset, length) in chunks(bytes) {
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            match rustix::io::pread(fd, &mut got[done..length], at) {
                Ok(0) => return Err(Failure::new(format!("the memfd ends at byte {at}, want {bytes}"))),
                Ok(n) => done += n,
                Err(errno) => return Err(Failure::call(format!("read of the memfd at {at}"), errno)),
            }
        }
        fill(&mut want[..length], seed, offset);
        if let Some(index) = got[..length].iter().zip(&want[..length]).position(|(a, b)| a != b) {
            return Err(mismatch(&got[..length], &want[..length], offset, index));
        }
    }
    Ok(())
}

fn mismatch(got: &[u8], want: &[u8], offset: u64, index: usize) -> Failure {
    let start = index - index % WORD;
    let hex = |bytes: &[u8]| bytes.iter().skip(start).take(WORD).map(|b| format!("{b:02x}")).collect::<String>();
    let at = offset + start as u64;
    Failure::new(format!("the memfd differs at byte {at} (page {}): {}, want {}", at / 4096, hex(got), hex(want)))
}

/// Offset and length of each piece of at most [`CHUNK`] bytes.
fn chunks(bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    // The difference is at most CHUNK, so it fits.
    (0..bytes).step_by(CHUNK).map(move |offset| (offset, (bytes - offset).min(CHUNK as u64) as usize))
}

/// Fills a buffer with the pattern for `offset`, a multiple of the word.
fn fill(buffer: &mut [u8], seed: u64, offset: u64) {
    let first = seed.wrapping_add(offset / WORD as u64);
    for (word, index) in buffer.chunks_mut(WORD).zip(0..) {
        let value = first.wrapping_add(index).to_le_bytes();
        word.copy_from_slice(&value[..word.len()]);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_pattern_is_what_the_plan_says() {
        let mut buffer = [0; 20];
        fill(&mut buffer, u64::MAX, 0);
        assert_eq!(buffer[..8], [0xff; 8]);
        assert_eq!(buffer[8..16], [0; 8]);
        assert_eq!(buffer[16..], [1, 0, 0, 0]);
        fill(&mut buffer, 0x10, 0x1000);
        assert_eq!(buffer[..2], [0x10, 0x02]);
    }

    #[test]
    fn what_is_filled_is_found_again_across_chunks() {
        for bytes in [0, 5, 4096, CHUNK as u64, CHUNK as u64 * 2 + 13] {
            let fd = create("t", bytes, 7, &[]).unwrap();
            check(fd.as_fd(), bytes, 7).unwrap();
        }
    }

    #[test]
    fn one_wrong_byte_is_found_and_named() {
        let bytes = CHUNK as u64 + 8192;
        let fd = create("t", bytes, 7, &[]).unwrap();
        rustix::io::pwrite(&fd, b"\xff", CHUNK as u64 + 4097).unwrap();
        let text = check(fd.as_fd(), bytes, 7).unwrap_err().to_string();
        assert_eq!(text, "the memfd differs at byte 69632 (page 17): 07ff000000000000, want 0722000000000000");
    }

    #[test]
    fn another_size_or_seed_fails() {
        let fd = create("t", 4096, 7, &[]).unwrap();
        assert_eq!(check(fd.as_fd(), 8192, 7).unwrap_err().to_string(), "the memfd has 4096 bytes, want 8192");
        check(fd.as_fd(), 4096, 8).unwrap_err();
    }
}
