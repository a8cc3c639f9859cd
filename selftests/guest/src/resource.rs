// SPDX-License-Identifier: GPL-2.0-only

//! BARs that are mapped: those of sysfs (`resourceN`), which everybody may map whoever drives the device, and those of a vfio fd.

use std::os::fd::AsFd;
use std::path::Path;
use std::ptr::NonNull;

use plan::{ResourceRead, ResourceWrite};
use rustix::fs::OFlags;
use rustix::mm::{MapFlags, ProtFlags};

use crate::failure::Failure;
use crate::files;
use crate::memory::PAGE;
use crate::steps::Runner;
use crate::sysfs;
use crate::value;

/// A page of registers.
#[derive(Debug)]
pub(crate) struct Registers {
    start: NonNull<u8>,
    /// Where the register is in the page.
    at: usize,
    width: usize,
}

impl Registers {
    /// Maps the page of a register that is at `offset` of a region, which starts at `region` in the file.
    pub(crate) fn map(file: impl AsFd, region: u64, offset: u64, width: u32) -> Result<Self, Failure> {
        let width = match width {
            1 | 2 | 4 if offset.is_multiple_of(width.into()) => width as usize,
            _ => {
                return Err(Failure::new(format!(
                    "{width} bytes at {offset:#x}: the width must be 1, 2 or 4, and the place aligned"
                )));
            }
        };
        let at = offset as usize % PAGE;
        let page = region + offset - at as u64;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: The kernel chooses a place where nothing is; no memory of this program is replaced.
        let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), PAGE, protection, MapFlags::SHARED, file, page) }
            .map_err(|errno| Failure::call(format!("mmap of the page at {page:#x}"), errno))?;
        let start = NonNull::new(start.cast()).ok_or_else(|| Failure::new("mmap gave no address"))?;
        Ok(Self { start, at, width })
    }

    /// Reads the register.
    pub(crate) fn read(&self) -> u64 {
        // SAFETY: The register lies in the mapped page and is aligned, as `map` has checked.
        unsafe {
            let register = self.start.as_ptr().add(self.at);
            match self.width {
                1 => register.read_volatile().into(),
                2 => register.cast::<u16>().read_volatile().into(),
                _ => register.cast::<u32>().read_volatile().into(),
            }
        }
    }
}

impl Registers {
    /// Writes the low bytes to the register.
    fn write(&self, value: u32) {
        // SAFETY: As in `read`.
        unsafe {
            let register = self.start.as_ptr().add(self.at);
            match self.width {
                1 => register.write_volatile(value as u8),
                2 => register.cast::<u16>().write_volatile(value as u16),
                _ => register.cast::<u32>().write_volatile(value),
            }
        }
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        // SAFETY: The range is the mapping that `map` made. A failure leaves it mapped, which harms nobody.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), PAGE) };
    }
}

impl Runner {
    /// `read-resource`.
    pub(crate) fn read_resource(&self, read: &ResourceRead) -> Result<String, Failure> {
        let ResourceRead { device, bar, offset, width, check } = read;
        let directory = self.device(device)?;
        let registers = of_sysfs(&directory, *bar, *offset, *width)?;
        match value::check(registers.read(), *width, check) {
            Ok(value) => Ok(format!("{}: {value}", sysfs::address(&directory))),
            Err(failure) => Err(Failure::new(format!("{}: {failure}", sysfs::address(&directory)))),
        }
    }

    /// `write-resource`.
    pub(crate) fn write_resource(&self, write: &ResourceWrite) -> Result<String, Failure> {
        let ResourceWrite { device, bar, offset, width, value } = write;
        let directory = self.device(device)?;
        of_sysfs(&directory, *bar, *offset, *width)?.write(*value);
        Ok(sysfs::address(&directory).to_owned())
    }
}

/// A register of a device with this directory.
fn of_sysfs(device: &Path, bar: u32, offset: u64, width: u32) -> Result<Registers, Failure> {
    let file = files::open(&device.join(format!("resource{bar}")), OFlags::RDWR | OFlags::SYNC)?;
    Registers::map(&file, 0, offset, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memfd;

    #[test]
    fn a_register_is_read_and_written_at_its_width() {
        let fd = memfd::create("t", 3 * PAGE as u64, 0x1122_3344_5566_7788, &[]).unwrap();
        let read = |region, offset, width| Registers::map(&fd, region, offset, width).map(|registers| registers.read());
        assert_eq!(read(0, 4, 4).unwrap(), 0x1122_3344);
        assert_eq!(read(0, 6, 2).unwrap(), 0x1122);
        assert_eq!(read(PAGE as u64, PAGE as u64 + 1, 1).unwrap(), 0x7b, "word 1024 is the seed and 0x400");
        Registers::map(&fd, 0, 4, 4).unwrap().write(0xdead_beef);
        Registers::map(&fd, 0, 2, 1).unwrap().write(0x99);
        assert_eq!((read(0, 4, 4).unwrap(), read(0, 0, 4).unwrap()), (0xdead_beef, 0x5599_7788));
        for (offset, width) in [(2, 4), (1, 2), (0, 8), (0, 3)] {
            assert!(read(0, offset, width).unwrap_err().to_string().contains("aligned"), "{offset} {width}");
        }
    }
}
