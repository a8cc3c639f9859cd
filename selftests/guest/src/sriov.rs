// SPDX-License-Identifier: GPL-2.0-only

//! Virtual functions, whose files are only bound with the token that the owner of the physical function has set.

use std::os::fd::{AsFd, AsRawFd};

use rustix::ioctl::{Opcode, opcode};

use crate::failure::Failure;
use crate::ioctl::{self, Argument};
use crate::steps::Runner;
use crate::vfio::{self, BASE, BIND_TOKEN, TYPE};

/// A uuid, which any 16 bytes are.
static TOKEN: [u8; 16] = *b"phasectl's token";

const FEATURE_SET: u32 = 1 << 17;
const FEATURE_VF_TOKEN: u32 = 0;

/// `struct vfio_device_feature` with the token behind it.
#[repr(C)]
struct VfToken {
    argsz: u32,
    flags: u32,
    token: [u8; 16],
}

// SAFETY: The structure's fields are those of the header, and there is no pointer among them; the kernel only reads it.
unsafe impl Argument for VfToken {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 17);
    const NAME: &'static str = "VFIO_DEVICE_FEATURE_PCI_VF_TOKEN";
}

impl Runner {
    /// `set-vf-token`.
    pub(crate) fn set_vf_token(&self, fd: &str) -> Result<String, Failure> {
        let argsz = ioctl::size::<VfToken>();
        let mut argument = VfToken { argsz, flags: FEATURE_SET | FEATURE_VF_TOKEN, token: TOKEN };
        ioctl::call(self.names.get(fd)?.as_fd(), &mut argument).map_err(|errno| Failure::call(VfToken::NAME, errno))?;
        Ok(String::new())
    }

    /// `bind-vf`.
    pub(crate) fn bind_vf(&self, fd: &str, iommufd: &str) -> Result<String, Failure> {
        let iommufd = self.names.get(iommufd)?;
        let mut argument = vfio::BindIommufd::new(iommufd.as_raw_fd(), BIND_TOKEN, TOKEN.as_ptr().addr() as u64);
        ioctl::call(self.names.get(fd)?.as_fd(), &mut argument)
            .map_err(|errno| Failure::call(vfio::BindIommufd::NAME, errno))?;
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_and_its_code_are_those_of_the_header() {
        assert_eq!((size_of::<VfToken>(), VfToken::OPCODE), (24, 0x3b75));
    }
}
