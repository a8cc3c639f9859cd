// SPDX-License-Identifier: GPL-2.0-only

//! The little of iommufd that a stage needs, `include/uapi/linux/iommufd.h`.

use std::os::fd::BorrowedFd;

use rustix::ioctl::{Opcode, opcode};

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
    fn structure_and_code_are_those_of_the_header() {
        assert_eq!(size_of::<IoasAlloc>(), 12);
        assert_eq!(IoasAlloc::OPCODE, 0x3b81);
    }
}
