// SPDX-License-Identifier: GPL-2.0-only

//! A vfio device fd, `include/uapi/linux/vfio.h`: binding it to an iommufd, attaching it, reading and writing through it.
//!
//! Nothing works on a cdev fd before it is bound to an iommufd. Accesses go through `pread` and `pwrite` at the offset that the kernel
//! tells for a region, so they take the same path as a VMM's: they fail where the driver blocks access, and read all ones
//! where the device is gone.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::ioctl::{Opcode, opcode};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use crate::failure::Failure;
use crate::files;
use crate::ioctl::{self, Argument};
use crate::memory::PAGE;

pub(crate) const TYPE: u8 = b';';
pub(crate) const BASE: u8 = 100;
/// `VFIO_PCI_CONFIG_REGION_INDEX`; the BARs are regions 0 to 5 and the expansion ROM is 6.
pub(crate) const CONFIG_REGION: u32 = 7;

/// `struct vfio_region_info`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct RegionInfo {
    argsz: u32,
    flags: u32,
    index: u32,
    cap_offset: u32,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Where the region starts in the file.
    pub(crate) offset: u64,
}

/// `VFIO_DEVICE_BIND_FLAG_TOKEN`.
pub(crate) const BIND_TOKEN: u32 = 1 << 0;

/// `struct vfio_device_bind_iommufd`.
#[repr(C)]
pub(crate) struct BindIommufd {
    argsz: u32,
    flags: u32,
    iommufd: i32,
    out_devid: u32,
    token_uuid_ptr: u64,
}

impl BindIommufd {
    /// The address is that of a token, if there is one.
    pub(crate) fn new(iommufd: RawFd, flags: u32, token_uuid_ptr: u64) -> Self {
        Self { argsz: ioctl::size::<Self>(), flags, iommufd, out_devid: 0, token_uuid_ptr }
    }
}

/// `struct vfio_device_attach_iommufd_pt`.
#[repr(C)]
struct AttachIommufdPt {
    argsz: u32,
    flags: u32,
    pt_id: u32,
    pasid: u32,
}

// SAFETY: The structure's fields are those of the header, integers all, and there is no pointer among them.
unsafe impl Argument for RegionInfo {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 8);
    const NAME: &'static str = "VFIO_DEVICE_GET_REGION_INFO";
}

// SAFETY: As above; `token_uuid_ptr` is only followed with VFIO_DEVICE_BIND_FLAG_TOKEN, and then only read.
unsafe impl Argument for BindIommufd {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 18);
    const NAME: &'static str = "VFIO_DEVICE_BIND_IOMMUFD";
}

// SAFETY: As above, without pointers.
unsafe impl Argument for AttachIommufdPt {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 19);
    const NAME: &'static str = "VFIO_DEVICE_ATTACH_IOMMUFD_PT";
}

/// `struct vfio_device_detach_iommufd_pt`.
#[repr(C)]
struct DetachIommufdPt {
    argsz: u32,
    flags: u32,
    pasid: u32,
}

// SAFETY: The structure's fields are those of the header, integers all, and there is no pointer among them.
unsafe impl Argument for DetachIommufdPt {
    const OPCODE: Opcode = opcode::none(b';', 120);
    const NAME: &'static str = "VFIO_DEVICE_DETACH_IOMMUFD_PT";
}

/// Binds the device to an iommufd and returns the id of this bond.
pub(crate) fn bind(device: BorrowedFd<'_>, iommufd: BorrowedFd<'_>) -> Result<u32, Failure> {
    let mut argument = BindIommufd::new(iommufd.as_raw_fd(), 0, 0);
    ioctl::call(device, &mut argument).map_err(|errno| Failure::call(BindIommufd::NAME, errno))?;
    Ok(argument.out_devid)
}

/// Binds the device to an iommufd with an argument in memory that may not be written. The kernel writes the id of the bond last, when the
/// device is open: it must close it again.
pub(crate) fn bind_unwritable(device: BorrowedFd<'_>, iommufd: BorrowedFd<'_>) -> Result<(), Failure> {
    let setup = |what: &'static str| move |errno| Failure::setup(what, errno);
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: The kernel chooses a place where nothing is.
    let page = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), PAGE, protection, MapFlags::PRIVATE) }
        .map_err(setup("mmap"))?;
    let argument = BindIommufd::new(iommufd.as_raw_fd(), 0, 0);
    // SAFETY: The page is ours, writable, aligned and large enough.
    unsafe { page.cast::<BindIommufd>().write(argument) };
    // SAFETY: The page is ours, and no reference into it exists.
    let result =
        unsafe { rustix::mm::mprotect(page, PAGE, MprotectFlags::READ) }.map_err(setup("mprotect")).and_then(|()| {
            // SAFETY: The pointer is to a structure of the kind that this command takes; a write to it faults in the kernel, which
            // reports that.
            unsafe { rustix::ioctl::ioctl(device, ioctl::Raw::<BindIommufd>::new(page)) }
                .map_err(|errno| Failure::call(BindIommufd::NAME, errno))
        });
    // SAFETY: The mapping is ours and nothing points into it any more. A failure leaves it mapped, which harms nobody.
    let _ = unsafe { rustix::mm::munmap(page, PAGE) };
    result
}

/// Attaches the bound device to an I/O address space and returns the id of the page table the kernel chose for it.
pub(crate) fn attach(device: BorrowedFd<'_>, ioas: u32) -> Result<u32, Failure> {
    let mut argument = AttachIommufdPt { argsz: ioctl::size::<AttachIommufdPt>(), flags: 0, pt_id: ioas, pasid: 0 };
    ioctl::call(device, &mut argument)
        .map_err(|errno| Failure::call(format!("{} to IOAS {ioas}", AttachIommufdPt::NAME), errno))?;
    Ok(argument.pt_id)
}

/// Detaches the device from whatever it is attached to.
pub(crate) fn detach(device: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut argument = DetachIommufdPt { argsz: ioctl::size::<DetachIommufdPt>(), flags: 0, pasid: 0 };
    ioctl::call(device, &mut argument).map_err(|errno| Failure::call(DetachIommufdPt::NAME, errno))
}

/// Reads `width` bytes of a region, little-endian.
pub(crate) fn read(device: BorrowedFd<'_>, region: u32, offset: u64, width: u32) -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    let buffer = part(&mut bytes, width)?;
    let info = region_info(device, region)?;
    let what = || format!("read of {width} bytes at {offset:#x} of region {region} ({:#x} bytes)", info.size);
    match rustix::io::pread(device, &mut *buffer, info.offset.wrapping_add(offset)) {
        Ok(n) if n == buffer.len() => Ok(u64::from_le_bytes(bytes)),
        Ok(n) => Err(Failure::new(format!("{}: gave {n} bytes", what()))),
        Err(errno) => Err(Failure::call(what(), errno)),
    }
}

/// Writes `width` bytes of a region, little-endian.
pub(crate) fn write(device: BorrowedFd<'_>, region: u32, offset: u64, width: u32, value: u64) -> Result<(), Failure> {
    let mut bytes = value.to_le_bytes();
    let buffer = part(&mut bytes, width)?;
    let info = region_info(device, region)?;
    let what = || format!("write of {width} bytes at {offset:#x} of region {region} ({:#x} bytes)", info.size);
    match rustix::io::pwrite(device, &*buffer, info.offset.wrapping_add(offset)) {
        Ok(n) if n == buffer.len() => Ok(()),
        Ok(n) => Err(Failure::new(format!("{}: only {n} bytes were taken", what()))),
        Err(errno) => Err(Failure::call(what(), errno)),
    }
}

fn part(bytes: &mut [u8; 8], width: u32) -> Result<&mut [u8], Failure> {
    match width {
        1 | 2 | 4 | 8 => Ok(&mut bytes[..width as usize]),
        _ => Err(Failure::new(format!("an access of {width} bytes: the width must be 1, 2, 4 or 8"))),
    }
}

/// Where a region is in the file, and how large.
pub(crate) fn region_info(device: BorrowedFd<'_>, region: u32) -> Result<RegionInfo, Failure> {
    let mut info = RegionInfo { argsz: ioctl::size::<RegionInfo>(), index: region, ..RegionInfo::default() };
    ioctl::call(device, &mut info)
        .map_err(|errno| Failure::call(format!("{} of region {region}", RegionInfo::NAME), errno))?;
    Ok(info)
}

/// The sysfs directory of the device that a vfio fd stands for.
///
/// vfio has no ioctl that names the device; it does so in the fd's fdinfo (`vfio_device_show_fdinfo` in
/// drivers/vfio/vfio_main.c).
pub(crate) fn sysfs_path(device: BorrowedFd<'_>) -> Result<PathBuf, Failure> {
    let path = format!("/proc/self/fdinfo/{}", device.as_raw_fd());
    let text = files::read_trimmed(Path::new(&path))?;
    syspath(&text).map(Into::into).ok_or_else(|| Failure::new(format!("{path} does not name a vfio device: {text:?}")))
}

fn syspath(fdinfo: &str) -> Option<&str> {
    fdinfo.lines().find_map(|line| Some(line.strip_prefix("vfio-device-syspath:")?.trim()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn structures_and_codes_are_those_of_the_header() {
        assert_eq!(size_of::<RegionInfo>(), 32);
        assert_eq!(size_of::<BindIommufd>(), 24);
        assert_eq!(size_of::<AttachIommufdPt>(), 16);
        assert_eq!(RegionInfo::OPCODE, 0x3b6c);
        assert_eq!(BindIommufd::OPCODE, 0x3b76);
        assert_eq!(AttachIommufdPt::OPCODE, 0x3b77);
    }

    #[test]
    fn fdinfo_names_the_device() {
        let text = "pos:\t0\nflags:\t02000002\nvfio-device-syspath: /sys/devices/pci0000:00/0000:01:00.0\n";
        assert_eq!(syspath(text), Some("/sys/devices/pci0000:00/0000:01:00.0"));
        let file = std::fs::File::open("/dev/null").unwrap();
        let failure = sysfs_path(file.as_fd()).unwrap_err();
        assert!(failure.to_string().contains("does not name a vfio device"), "{failure}");
    }

    #[test]
    fn widths_are_checked_before_the_kernel_is_asked() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let failure = read(file.as_fd(), 0, 0, 3).unwrap_err();
        assert!(failure.errno().is_none() && failure.to_string().contains("1, 2, 4 or 8"), "{failure}");
        let failure = read(file.as_fd(), 0, 0, 4).unwrap_err();
        assert_eq!(failure.to_string(), "VFIO_DEVICE_GET_REGION_INFO of region 0: ENOTTY");
    }
}
