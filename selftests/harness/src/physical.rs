// SPDX-License-Identifier: GPL-2.0-only

//! Guest memory by physical address.

use std::fs::File;
use std::os::unix::fs::FileExt;

use camino::Utf8Path;

use crate::vtd::{PAGE, WORDS, Words};

/// Guest memory as a file. On q35, what does not fit below 4 GiB continues there.
#[derive(Debug)]
pub(crate) struct Memory {
    file: File,
    length: u64,
}

/// Size from which QEMU splits the memory of a q35, and what then stays below 4 GiB.
const SPLIT_FROM: u64 = 0xb000_0000;
const SPLIT_AT: u64 = 0x8000_0000;
/// Where the rest continues.
const FOUR_GIB: u64 = 1 << 32;

impl Memory {
    /// Opens the file that QEMU was given, if there is one.
    pub(crate) fn open(path: Option<&Utf8Path>) -> Result<Self, String> {
        let path = path.ok_or("the guest's memory is no file in this run")?;
        let file = File::options().read(true).write(true).open(path);
        Self::new(file.map_err(|error| format!("{path}: {error}"))?)
    }

    /// Takes the file that QEMU was given.
    pub(crate) fn new(file: File) -> Result<Self, String> {
        let length = file.metadata().map_err(|error| format!("the memory file: {error}"))?.len();
        Ok(Self { file, length })
    }

    /// Where a physical address lies in the file.
    pub(crate) fn offset(&self, address: u64, length: u64) -> Result<u64, String> {
        let low = if self.length < SPLIT_FROM { self.length } else { SPLIT_AT };
        let fits = |at: u64, end: u64| at.checked_add(length).is_some_and(|last| last <= end);
        if fits(address, low) {
            return Ok(address);
        }
        match address.checked_sub(FOUR_GIB).and_then(|above| above.checked_add(low)) {
            Some(at) if low < self.length && fits(at, self.length) => Ok(at),
            _ => Err(format!("{length} bytes at {address:#x} are not in the guest's memory")),
        }
    }

    /// The physical address of a place in the file.
    pub(crate) fn address(&self, offset: u64) -> u64 {
        if self.length >= SPLIT_FROM && offset >= SPLIT_AT { offset - SPLIT_AT + FOUR_GIB } else { offset }
    }

    /// How long the file is.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads from a place in the file.
    pub(crate) fn fill(&self, bytes: &mut [u8], offset: u64) -> Result<(), String> {
        self.file.read_exact_at(bytes, offset).map_err(|error| format!("the memory file: {error}"))
    }

    /// So many bytes at a physical address.
    pub(crate) fn read<const N: usize>(&self, address: u64) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, self.offset(address, N as u64)?)?;
        Ok(bytes)
    }

    /// A number of 8 bytes at a physical address.
    pub(crate) fn u64(&self, address: u64) -> Result<u64, String> {
        self.read(address).map(u64::from_le_bytes)
    }

    /// The same of 4.
    pub(crate) fn u32(&self, address: u64) -> Result<u32, String> {
        self.read(address).map(u32::from_le_bytes)
    }

    /// The same of 2.
    pub(crate) fn u16(&self, address: u64) -> Result<u16, String> {
        self.read(address).map(u16::from_le_bytes)
    }

    /// The same of 1, 2, 4 or 8.
    pub(crate) fn field(&self, address: u64, width: u32) -> Result<u64, String> {
        Ok(match width {
            1 => u64::from(self.read::<1>(address)?[0]),
            2 => u64::from(self.u16(address)?),
            4 => u64::from(self.u32(address)?),
            _ => self.u64(address)?,
        })
    }

    /// Writes a number of at most 8 bytes.
    pub(crate) fn write(&self, address: u64, width: u32, value: u64) -> Result<(), String> {
        let at = self.offset(address, u64::from(width))?;
        let bytes = value.to_le_bytes();
        self.put(&bytes[..width as usize], at)
    }

    /// Writes to a place in the file.
    pub(crate) fn put(&self, bytes: &[u8], offset: u64) -> Result<(), String> {
        self.file.write_all_at(bytes, offset).map_err(|error| format!("the memory file: {error}"))
    }
}

impl Words for Memory {
    fn table(&self, address: u64) -> Option<[u64; WORDS]> {
        let bytes = self.read::<{ PAGE as usize }>(address).ok()?;
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        Some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_words() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 * PAGE).unwrap();
        let memory = Memory::new(file).unwrap();
        memory.write(PAGE + 8, 8, 0x1122_3344_5566_7788).unwrap();
        assert_eq!(memory.table(PAGE).unwrap()[1], 0x1122_3344_5566_7788);
        assert_eq!((memory.word(PAGE + 8), memory.word(2 * PAGE)), (Some(0x1122_3344_5566_7788), None));
    }

    #[test]
    fn memory_above_4_gib_follows_in_the_file() {
        let memory = |length| Memory { file: tempfile::tempfile().unwrap(), length };
        let large = memory(0xc000_0000);
        assert_eq!(large.offset(0x7fff_fff8, 8), Ok(0x7fff_fff8));
        assert!(large.offset(0x7fff_fff9, 8).is_err() && large.offset(0x8000_0000, 8).is_err());
        assert_eq!(large.offset(FOUR_GIB, 8), Ok(0x8000_0000));
        assert!(large.offset(FOUR_GIB + 0x4000_0000, 8).is_err());
        assert!(memory(0x1000).offset(FOUR_GIB, 8).is_err());
        assert!(large.offset(u64::MAX, 8).is_err());
        assert_eq!((large.address(0x7fff_ffff), large.address(0x8000_0000)), (0x7fff_ffff, FOUR_GIB));
        assert_eq!(memory(0x9000_0000).address(0x8000_0000), 0x8000_0000);
    }
}
