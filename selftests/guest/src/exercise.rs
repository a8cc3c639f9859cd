// SPDX-License-Identifier: GPL-2.0-only

//! Using a device in all the ways that a VMM does, for some time.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use plan::Exercise;
use rustix::ioctl::{Opcode, opcode};

use crate::failure::Failure;
use crate::ioctl::{self, Argument};
use crate::resource::Registers;
use crate::steps::Runner;
use crate::vfio::{self, BASE, TYPE};

const WIDTH: u32 = 4;
/// The device answers with its vendor, whatever it is doing.
const VENDOR: u64 = 0;

/// `struct vfio_device_info`.
#[repr(C)]
#[derive(Default)]
struct DeviceInfo {
    argsz: u32,
    flags: u32,
    num_regions: u32,
    num_irqs: u32,
    cap_offset: u32,
    pad: u32,
}

// SAFETY: The structure's fields are those of the header, integers all, and there is no pointer among them.
unsafe impl Argument for DeviceInfo {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 7);
    const NAME: &'static str = "VFIO_DEVICE_GET_INFO";
}

impl Runner {
    /// `exercise`.
    pub(crate) fn exercise(&self, step: &Exercise) -> Result<String, Failure> {
        let device = self.names.get(&step.fd)?;
        let device = device.as_fd();
        let region = vfio::region_info(device, step.bar)?;
        let registers = Registers::map(device, region.offset, step.offset, WIDTH)?;
        let vendor = vfio::read(device, vfio::CONFIG_REGION, VENDOR, 2)?;
        let end = Instant::now() + Duration::from_millis(step.ms);
        let mut rounds = 0_u64;
        while Instant::now() < end {
            rounds += 1;
            let mapped = registers.read();
            let read = vfio::read(device, step.bar, step.offset, WIDTH)?;
            let config = vfio::read(device, vfio::CONFIG_REGION, VENDOR, 2)?;
            let mut info = DeviceInfo { argsz: ioctl::size::<DeviceInfo>(), ..DeviceInfo::default() };
            ioctl::call(device, &mut info).map_err(|errno| Failure::call(DeviceInfo::NAME, errno))?;
            if (mapped, read, config) != (step.want, step.want, vendor) {
                return Err(Failure::new(format!(
                    "round {rounds}: mapped {mapped:#x}, read {read:#x}, want {:#x}; vendor {config:#x}, was {vendor:#x}",
                    step.want
                )));
            }
        }
        Ok(format!("{rounds} rounds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_and_its_code_are_those_of_the_header() {
        assert_eq!((size_of::<DeviceInfo>(), DeviceInfo::OPCODE), (24, 0x3b6b));
    }
}
