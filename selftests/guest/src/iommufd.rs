// SPDX-License-Identifier: GPL-2.0-only

//! The little of iommufd that a stage needs, `include/uapi/linux/iommufd.h`.

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::ioctl::{Opcode, opcode};
use rustix::mm::{MapFlags, ProtFlags};

use crate::failure::Failure;
use crate::ioctl::{self, Argument};

/// The device to open for an iommufd.
pub(crate) const DEVICE: &str = "/dev/iommu";

/// `struct iommu_ioas_alloc`.
#[repr(C)]
struct IoasAlloc {
    size: u32,
    flags: u32,
    out_ioas_id: u32,
}

// SAFETY: The structure's fields are those of the header, integers all, and there is no pointer among them.
unsafe impl Argument for IoasAlloc {
    const OPCODE: Opcode = opcode::none(b';', 0x81);
    const NAME: &'static str = "IOMMU_IOAS_ALLOC";
}

/// `struct iommu_option`.
#[repr(C)]
struct IommuOption {
    size: u32,
    option_id: u32,
    op: u16,
    reserved: u16,
    object_id: u32,
    val64: u64,
}

/// `IOMMU_OPTION_HUGE_PAGES`.
const HUGE_PAGES: u32 = 1;

/// `IOMMU_OPTION_OP_SET`.
const SET: u16 = 0;

// SAFETY: As above.
unsafe impl Argument for IommuOption {
    const OPCODE: Opcode = opcode::none(b';', 0x87);
    const NAME: &'static str = "IOMMU_OPTION";
}

/// `struct iommu_hwpt_alloc`.
#[repr(C)]
struct HwptAlloc {
    size: u32,
    flags: u32,
    dev_id: u32,
    pt_id: u32,
    out_hwpt_id: u32,
    reserved: u32,
    data_type: u32,
    data_len: u32,
    data_uptr: u64,
    fault_id: u32,
    reserved2: u32,
}

// SAFETY: The data is only read, and those who allocate one with data keep it alive meanwhile.
unsafe impl Argument for HwptAlloc {
    const OPCODE: Opcode = opcode::none(b';', 0x89);
    const NAME: &'static str = "IOMMU_HWPT_ALLOC";
}

/// `struct iommu_ioas_map_file`.
#[repr(C)]
struct IoasMapFile {
    size: u32,
    flags: u32,
    ioas_id: u32,
    fd: i32,
    start: u64,
    length: u64,
    iova: u64,
}

/// `struct iommu_ioas_map`.
#[repr(C)]
struct IoasMap {
    size: u32,
    flags: u32,
    ioas_id: u32,
    reserved: u32,
    user_va: u64,
    length: u64,
    iova: u64,
}

// SAFETY: The memory is that of a mapping that is never taken back; the kernel pins it.
unsafe impl Argument for IoasMap {
    const OPCODE: Opcode = opcode::none(b';', 0x85);
    const NAME: &'static str = "IOMMU_IOAS_MAP";
}

/// `struct iommu_ioas_unmap`.
#[repr(C)]
struct IoasUnmap {
    size: u32,
    ioas_id: u32,
    iova: u64,
    length: u64,
}

/// `IOMMU_IOAS_MAP_FIXED_IOVA`, `_WRITEABLE` and `_READABLE`.
const FIXED_READ_WRITE: u32 = 1 << 0 | 1 << 1 | 1 << 2;

// SAFETY: As above: what is mapped is told by an fd.
unsafe impl Argument for IoasMapFile {
    const OPCODE: Opcode = opcode::none(b';', 0x8f);
    const NAME: &'static str = "IOMMU_IOAS_MAP_FILE";
}

// SAFETY: As above.
unsafe impl Argument for IoasUnmap {
    const OPCODE: Opcode = opcode::none(b';', 0x86);
    const NAME: &'static str = "IOMMU_IOAS_UNMAP";
}

/// Maps a range of a memfd, in bytes, at this address, for reading and writing.
pub(crate) fn map(
    iommufd: BorrowedFd<'_>,
    ioas: u32,
    memfd: BorrowedFd<'_>,
    range: Range<u64>,
    iova: u64,
) -> Result<(), Failure> {
    let mut argument = IoasMapFile {
        size: ioctl::size::<IoasMapFile>(),
        flags: FIXED_READ_WRITE,
        ioas_id: ioas,
        fd: memfd.as_raw_fd(),
        start: range.start,
        length: range.end - range.start,
        iova,
    };
    let what = || format!("{} of bytes {range:x?} at {iova:#x}", IoasMapFile::NAME);
    ioctl::call(iommufd, &mut argument).map_err(|errno| Failure::call(what(), errno))
}

/// Maps fresh memory of this process at this address, for reading and writing. It stays until the process ends.
pub(crate) fn map_anonymous(iommufd: BorrowedFd<'_>, ioas: u32, bytes: u64, iova: u64) -> Result<(), Failure> {
    let length = usize::try_from(bytes).map_err(|_| Failure::new(format!("{bytes} bytes are too many")))?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: The kernel chooses the address, and nobody else knows it.
    let start = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), length, protection, MapFlags::PRIVATE | MapFlags::POPULATE)
    }
    .map_err(|errno| Failure::setup("mmap", errno))?;
    let mut argument = IoasMap {
        size: ioctl::size::<IoasMap>(),
        flags: FIXED_READ_WRITE,
        ioas_id: ioas,
        reserved: 0,
        user_va: start as u64,
        length: bytes,
        iova,
    };
    ioctl::call(iommufd, &mut argument).map_err(|errno| Failure::call(format!("{} at {iova:#x}", IoasMap::NAME), errno))
}

/// Allows no entries but those for the smallest pages.
pub(crate) fn forbid_huge_pages(iommufd: BorrowedFd<'_>, ioas: u32) -> Result<(), Failure> {
    let size = ioctl::size::<IommuOption>();
    let mut argument = IommuOption { size, option_id: HUGE_PAGES, op: SET, reserved: 0, object_id: ioas, val64: 0 };
    ioctl::call(iommufd, &mut argument).map_err(|errno| Failure::setup("IOMMU_OPTION_HUGE_PAGES", errno))
}

/// Allocates page tables for a device, from an IOAS or nested in others, and returns their id. The driver of its IOMMU knows what the
/// data means.
pub(crate) fn allocate_table(
    iommufd: BorrowedFd<'_>,
    device: u32,
    parent: u32,
    flags: u32,
    data: Option<(u32, &[u32])>,
) -> Result<u32, Failure> {
    let (data_type, data) = data.unwrap_or((0, &[]));
    let mut argument = HwptAlloc {
        size: ioctl::size::<HwptAlloc>(),
        flags,
        dev_id: device,
        pt_id: parent,
        out_hwpt_id: 0,
        reserved: 0,
        data_type,
        // A few words.
        data_len: size_of_val(data) as u32,
        data_uptr: if data.is_empty() { 0 } else { data.as_ptr().addr() as u64 },
        fault_id: 0,
        reserved2: 0,
    };
    ioctl::call(iommufd, &mut argument).map_err(|errno| Failure::setup(HwptAlloc::NAME, errno))?;
    Ok(argument.out_hwpt_id)
}

/// Takes a mapping back.
pub(crate) fn unmap(iommufd: BorrowedFd<'_>, ioas: u32, iova: u64, length: u64) -> Result<(), Failure> {
    let mut argument = IoasUnmap { size: ioctl::size::<IoasUnmap>(), ioas_id: ioas, iova, length };
    ioctl::call(iommufd, &mut argument)
        .map_err(|errno| Failure::call(format!("{} at {iova:#x}", IoasUnmap::NAME), errno))
}

/// Allocates an empty I/O address space and returns its id.
pub(crate) fn allocate_ioas(iommufd: BorrowedFd<'_>) -> Result<u32, Failure> {
    let mut argument = IoasAlloc { size: ioctl::size::<IoasAlloc>(), flags: 0, out_ioas_id: 0 };
    // Only prepares the attachment that the step is about.
    ioctl::call(iommufd, &mut argument).map_err(|errno| Failure::setup(IoasAlloc::NAME, errno))?;
    Ok(argument.out_ioas_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_and_codes_are_those_of_the_header() {
        assert_eq!(size_of::<IoasAlloc>(), 12);
        assert_eq!(IoasAlloc::OPCODE, 0x3b81);
        assert_eq!(size_of::<IoasMapFile>(), 40);
        assert_eq!(IoasMapFile::OPCODE, 0x3b8f);
        assert_eq!((size_of::<IoasMap>(), IoasMap::OPCODE), (40, 0x3b85));
        assert_eq!(size_of::<IoasUnmap>(), 24);
        assert_eq!(IoasUnmap::OPCODE, 0x3b86);
        assert_eq!((size_of::<IommuOption>(), IommuOption::OPCODE), (24, 0x3b87));
        assert_eq!((size_of::<HwptAlloc>(), HwptAlloc::OPCODE), (48, 0x3b89));
    }
}
