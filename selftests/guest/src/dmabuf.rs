// SPDX-License-Identifier: GPL-2.0-only

//! Parts of BARs as dma-bufs, and mapping them for a device (`VFIO_DEVICE_FEATURE_DMA_BUF`, `IOMMU_IOAS_MAP_FILE`).

use std::os::fd::AsFd;

use plan::{DmaBuf, MapDmaBuf};
use rustix::ioctl::{Opcode, opcode};

use crate::failure::Failure;
use crate::ioctl::{self, Argument};
use crate::iommufd;
use crate::steps::Runner;
use crate::vfio::{BASE, TYPE};

const FEATURE_GET: u32 = 1 << 16;
const FEATURE_DMA_BUF: u32 = 11;
/// `O_RDWR | O_CLOEXEC`.
const OPEN_FLAGS: u32 = 0o2 | 0o2_000_000;

/// `struct vfio_device_feature` with a `struct vfio_device_feature_dma_buf` of one range.
#[repr(C)]
struct ExportRange {
    argsz: u32,
    flags: u32,
    region_index: u32,
    open_flags: u32,
    buffer_flags: u32,
    nr_ranges: u32,
    offset: u64,
    length: u64,
}

// SAFETY: The structure's fields are those of the header, integers all, and there is no pointer among them.
unsafe impl Argument for ExportRange {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 17);
    const NAME: &'static str = "VFIO_DEVICE_FEATURE_DMA_BUF";
}

impl Runner {
    /// `dma-buf`.
    pub(crate) fn dma_buf(&self, step: &DmaBuf) -> Result<String, Failure> {
        self.names.free(&step.buffer)?;
        let mut argument = ExportRange {
            argsz: ioctl::size::<ExportRange>(),
            flags: FEATURE_GET | FEATURE_DMA_BUF,
            region_index: step.bar,
            open_flags: OPEN_FLAGS,
            buffer_flags: 0,
            nr_ranges: 1,
            offset: 0,
            length: step.bytes,
        };
        // SAFETY: This command returns a new fd.
        let buffer = unsafe { ioctl::call_for_fd(self.names.get(&step.fd)?.as_fd(), &mut argument) }
            .map_err(|errno| Failure::call(ExportRange::NAME, errno))?;
        self.names.add(&step.buffer, buffer);
        Ok(String::new())
    }

    /// `map-dma-buf`.
    pub(crate) fn map_dma_buf(&self, step: &MapDmaBuf) -> Result<String, Failure> {
        let (iommufd, buffer) = (self.names.get(&step.iommufd)?, self.names.get(&step.buffer)?);
        iommufd::map(iommufd.as_fd(), self.ioas(&step.fd)?, buffer.as_fd(), 0..step.bytes, step.iova)?;
        Ok(String::new())
    }

    /// `unmap-dma-buf`.
    pub(crate) fn unmap_dma_buf(&self, step: &MapDmaBuf) -> Result<String, Failure> {
        let iommufd = self.names.get(&step.iommufd)?;
        iommufd::unmap(iommufd.as_fd(), self.ioas(&step.fd)?, step.iova, step.bytes)?;
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_and_its_code_are_those_of_the_header() {
        assert_eq!((size_of::<ExportRange>(), ExportRange::OPCODE), (40, 0x3b75));
    }
}
