// SPDX-License-Identifier: GPL-2.0-only

//! Config space through sysfs.
//!
//! The file `config` of a device works whatever the device is bound to, and for bridges. It reaches hardware directly, past what
//! vfio makes a VM believe. An access is one of its width, so it must be aligned.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;

use crate::failure::Failure;
use crate::files;
use crate::value;

const CAPABILITY_LIST: u64 = 0x34;
const EXTENDED: u64 = 0x100;
/// Bytes of config space; what a device does not have reads as zero.
pub(crate) const SIZE: u64 = 0x1000;

/// The open config space of a device.
#[derive(Debug)]
pub(crate) struct Config {
    file: OwnedFd,
}

/// A place in config space.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Field {
    /// Offset from the start of config space.
    pub(crate) at: u64,
    /// 1, 2 or 4 bytes.
    pub(crate) width: u32,
}

impl Config {
    /// Opens that of the device with this directory.
    pub(crate) fn open(device: &Path) -> Result<Self, Failure> {
        Ok(Self { file: files::open(&device.join("config"), OFlags::RDWR)? })
    }

    /// The place at an offset from a capability, or from the start without one.
    pub(crate) fn field(
        &self,
        cap: Option<u8>,
        ext_cap: Option<u16>,
        offset: u16,
        width: u32,
    ) -> Result<Field, Failure> {
        let start = match (cap, ext_cap) {
            (None, None) => 0,
            (Some(id), None) => self.capability(id)?,
            (None, Some(id)) => self.extended_capability(id)?,
            (Some(_), Some(_)) => return Err(Failure::new("`cap` and `ext-cap` exclude each other")),
        };
        let at = start + u64::from(offset);
        if !matches!(width, 1 | 2 | 4) || !at.is_multiple_of(u64::from(width)) || at + u64::from(width) > SIZE {
            return Err(Failure::new(format!(
                "{width} bytes at {at:#x}: the width must be 1, 2 or 4, and the place aligned and within {SIZE:#x}"
            )));
        }
        Ok(Field { at, width })
    }

    /// Reads everything.
    pub(crate) fn all(&self) -> Result<[u8; SIZE as usize], Failure> {
        let mut bytes = [0; SIZE as usize];
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pread(self.fd(), &mut bytes[done..], done as u64) {
                // A conventional device has 256 bytes.
                Ok(0) => break,
                Ok(n) => done += n,
                Err(errno) => return Err(Failure::setup("read of config space", errno)),
            }
        }
        Ok(bytes)
    }

    /// Reads a field.
    pub(crate) fn read(&self, Field { at, width }: Field) -> Result<u64, Failure> {
        let mut bytes = [0; 8];
        let buffer = &mut bytes[..width as usize];
        let what = || format!("read of {width} bytes of config space at {at:#x}");
        match rustix::io::pread(self.fd(), &mut *buffer, at) {
            Ok(n) if n == buffer.len() => Ok(u64::from_le_bytes(bytes)),
            Ok(n) => Err(Failure::new(format!("{}: gave {n} bytes", what()))),
            Err(errno) => Err(Failure::call(what(), errno)),
        }
    }

    /// Replaces the bits of `mask`, and returns what the field held, what was written and what it holds now.
    pub(crate) fn write(&self, field: Field, bits: u64, mask: u64) -> Result<[u64; 3], Failure> {
        let old = self.read(field)?;
        let new = (old & !mask | bits & mask) & value::all_ones(field.width);
        let bytes = new.to_le_bytes();
        let buffer = &bytes[..field.width as usize];
        let what = || format!("write of {} bytes of config space at {:#x}", field.width, field.at);
        match rustix::io::pwrite(self.fd(), buffer, field.at) {
            Ok(n) if n == buffer.len() => Ok([old, new, self.read(field)?]),
            Ok(n) => Err(Failure::new(format!("{}: only {n} bytes were taken", what()))),
            Err(errno) => Err(Failure::call(what(), errno)),
        }
    }

    fn capability(&self, id: u8) -> Result<u64, Failure> {
        let mut at = self.get(CAPABILITY_LIST, 1)?;
        let mut seen = Vec::new();
        // 48 fit into the 192 bytes behind the header, so a list that is longer is a loop.
        while (0x40..EXTENDED - 1).contains(&at) && seen.len() < 48 {
            let header = self.get(at & !3, 2)?;
            if header & 0xff == u64::from(id) {
                return Ok(at & !3);
            }
            seen.push(format!("{:#x}", header & 0xff));
            at = header >> 8;
        }
        Err(Failure::new(format!("no capability {id:#x}; there are: [{}]", seen.join(", "))))
    }

    fn extended_capability(&self, id: u16) -> Result<u64, Failure> {
        let mut at = EXTENDED;
        let mut seen = Vec::new();
        while (EXTENDED..SIZE).contains(&at) && (seen.len() as u64) < (SIZE - EXTENDED) / 8 {
            let header = self.get(at & !3, 4)?;
            // No list at all reads as zero, an absent device as all ones.
            if header == 0 || header == value::all_ones(4) {
                break;
            }
            if header & 0xffff == u64::from(id) {
                return Ok(at & !3);
            }
            seen.push(format!("{:#x}", header & 0xffff));
            at = header >> 20;
        }
        Err(Failure::new(format!("no extended capability {id:#x}; there are: [{}]", seen.join(", "))))
    }

    fn get(&self, at: u64, width: u32) -> Result<u64, Failure> {
        // Only prepares the access that the step is about.
        self.read(Field { at, width }).map_err(|failure| Failure::new(failure.to_string()))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capabilities 0x01 at 0x50 and 0x10 at 0x70; extended ones 0x0001 at 0x100 and 0x000d at 0x148.
    fn config() -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; SIZE as usize];
        bytes[0x34] = 0x50;
        bytes[0x50..0x52].copy_from_slice(&[0x01, 0x70]);
        bytes[0x70..0x7a].copy_from_slice(&[0x10, 0x00, 2, 3, 4, 5, 6, 7, 0x2f, 0x28]);
        bytes[0x100..0x104].copy_from_slice(&0x1481_0001_u32.to_le_bytes());
        bytes[0x148..0x14c].copy_from_slice(&0x0001_000d_u32.to_le_bytes());
        std::fs::write(dir.path().join("config"), bytes).unwrap();
        let config = Config::open(dir.path()).unwrap();
        (dir, config)
    }

    #[test]
    fn capabilities_are_found_in_both_lists() {
        let (_dir, config) = config();
        let at = |cap, ext_cap| config.field(cap, ext_cap, 2, 2).map(|field| field.at);
        assert_eq!(at(Some(0x10), None).unwrap(), 0x72);
        assert_eq!(at(None, Some(0xd)).unwrap(), 0x14a);
        assert_eq!(at(None, None).unwrap(), 2);
        let text = at(Some(0x11), None).unwrap_err().to_string();
        assert_eq!(text, "no capability 0x11; there are: [0x1, 0x10]");
        let text = at(None, Some(0x10)).unwrap_err().to_string();
        assert_eq!(text, "no extended capability 0x10; there are: [0x1, 0xd]");
        assert!(at(Some(1), Some(1)).unwrap_err().to_string().contains("exclude"));
    }

    #[test]
    fn a_list_that_loops_ends() {
        let (dir, config) = config();
        let mut bytes = std::fs::read(dir.path().join("config")).unwrap();
        bytes[0x71] = 0x50;
        bytes[0x14b] = 0x10;
        std::fs::write(dir.path().join("config"), bytes).unwrap();
        config.field(Some(0x11), None, 0, 1).unwrap_err();
        config.field(None, Some(0x11), 0, 1).unwrap_err();
    }

    #[test]
    fn only_the_bits_of_the_mask_are_written() {
        let (_dir, config) = config();
        let field = config.field(Some(0x10), None, 8, 2).unwrap();
        assert_eq!(config.read(field).unwrap(), 0x282f);
        assert_eq!(config.write(field, 0xffff, 0x100).unwrap(), [0x282f, 0x292f, 0x292f]);
        assert_eq!(config.write(field, 0x1, u64::MAX).unwrap(), [0x292f, 0x1, 0x1]);
    }

    #[test]
    fn accesses_are_aligned_and_inside() {
        let (_dir, config) = config();
        for (offset, width) in [(2, 4), (1, 2), (0xffe, 4), (0, 8), (0, 3)] {
            assert!(config.field(None, None, offset, width).is_err(), "{offset} {width}");
        }
    }
}
