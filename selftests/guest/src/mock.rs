// SPDX-License-Identifier: GPL-2.0-only

//! Devices behind the kernel's own mock IOMMU, `drivers/iommu/iommufd/iommufd_test.h`.

use std::os::fd::BorrowedFd;

use plan::Mock;
use rustix::ioctl::{Opcode, opcode};

use crate::failure::Failure;
use crate::ioctl::{self, Argument};
use crate::iommufd;

/// `struct iommu_test_cmd`. What it says depends on the operation; these are the words of those below.
#[repr(C)]
struct Command {
    size: u32,
    op: u32,
    id: u32,
    reserved: u32,
    words: [u32; 12],
    last: u32,
    padding: u32,
}

// SAFETY: For the operations below the structure holds numbers only.
unsafe impl Argument for Command {
    const OPCODE: Opcode = opcode::none(b';', 0xa0);
    const NAME: &'static str = "IOMMU_TEST_CMD";
}

/// `IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE`.
const REPLACE: u32 = 10;
/// `IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS`.
const CREATE: u32 = 12;
/// `IOMMU_TEST_OP_PASID_ATTACH`.
const ATTACH_PASID: u32 = 18;
/// `MOCK_FLAGS_DEVICE_PASID`.
const HAS_PASIDS: u32 = 1 << 2;

/// `IOMMU_HWPT_ALLOC_NEST_PARENT`, `_DIRTY_TRACKING` and `_PASID`.
const NEST_PARENT: u32 = 1 << 0;
const DIRTY_TRACKING: u32 = 1 << 1;
const PASID: u32 = 1 << 3;

/// `IOMMU_HWPT_DATA_SELFTEST`, and `struct iommu_hwpt_selftest` for a table of the usual kind.
const SELFTEST: (u32, &[u32]) = (0xdead, &[0x0bad_beef, 0]);

fn run(iommufd: BorrowedFd<'_>, op: u32, id: u32, words: &[u32]) -> Result<[u32; 12], Failure> {
    let mut command =
        Command { size: ioctl::size::<Command>(), op, id, reserved: 0, words: [0; 12], last: 0, padding: 0 };
    command.words[..words.len()].copy_from_slice(words);
    ioctl::call(iommufd, &mut command).map_err(|errno| Failure::setup(format!("{} {op}", Command::NAME), errno))?;
    Ok(command.words)
}

/// Makes a device of an iommufd, and attaches it.
pub(crate) fn attach(iommufd: BorrowedFd<'_>, attached: Mock) -> Result<(), Failure> {
    let ioas = iommufd::allocate_ioas(iommufd)?;
    let words = run(iommufd, CREATE, ioas, &[0, 0, 0, if attached == Mock::Pasid { HAS_PASIDS } else { 0 }])?;
    let (device, id) = (words[0], words[2]);
    let table = |parent, flags, data| iommufd::allocate_table(iommufd, id, parent, flags, data);
    let replace = |table| run(iommufd, REPLACE, device, &[table]).map(|_| ());
    match attached {
        Mock::Plain => Ok(()),
        Mock::NestParent => replace(table(ioas, NEST_PARENT, None)?),
        Mock::Nested => replace(table(table(ioas, NEST_PARENT, None)?, 0, Some(SELFTEST))?),
        Mock::DirtyTracking => replace(table(ioas, DIRTY_TRACKING, None)?),
        Mock::Pasid => {
            // Both must be ones that can be used with PASIDs.
            let table = table(ioas, PASID, None)?;
            replace(table)?;
            run(iommufd, ATTACH_PASID, device, &[1, table]).map(|_| ())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_and_code_are_those_of_the_header() {
        assert_eq!((size_of::<Command>(), Command::OPCODE), (72, 0x3ba0));
    }
}
