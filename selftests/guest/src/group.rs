// SPDX-License-Identifier: GPL-2.0-only

//! Groups: the older way to a vfio device, without its cdev (`include/uapi/linux/vfio.h`), and resets, which are for whole groups.

use std::ffi::{CStr, CString, c_void};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};

use crate::failure::Failure;
use crate::files;
use crate::ioctl::{self, Argument};
use crate::steps::Runner;
use crate::sysfs;
use crate::vfio::{BASE, TYPE};

/// The argument of `VFIO_GROUP_SET_CONTAINER` is a plain fd.
#[repr(transparent)]
struct SetContainer(RawFd);

// SAFETY: The kernel reads an integer.
unsafe impl Argument for SetContainer {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 4);
    const NAME: &'static str = "VFIO_GROUP_SET_CONTAINER";
}

/// The argument of `VFIO_GROUP_GET_DEVICE_FD` is a device's address as text, its result an fd.
struct GetDeviceFd<'a>(&'a CStr);

const GET_DEVICE_FD: &str = "VFIO_GROUP_GET_DEVICE_FD";

// SAFETY: The pointer is to a terminated string, which the kernel only reads. What it returns is a new fd.
unsafe impl Ioctl for GetDeviceFd<'_> {
    type Output = OwnedFd;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        opcode::none(TYPE, BASE + 6)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.0.as_ptr().cast_mut().cast()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
        // SAFETY: The call succeeded, so this is the number of an fd that nobody else knows of.
        Ok(unsafe { OwnedFd::from_raw_fd(output) })
    }
}

/// `struct vfio_pci_hot_reset` without group fds: what is bound to the same iommufd is the caller's.
#[repr(C)]
struct HotReset {
    argsz: u32,
    flags: u32,
    count: u32,
}

// SAFETY: The structure's fields are those of the header, integers all; the kernel only reads it.
unsafe impl Argument for HotReset {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 13);
    const NAME: &'static str = "VFIO_DEVICE_PCI_HOT_RESET";
}

/// `VFIO_DEVICE_RESET` has no argument.
#[repr(transparent)]
struct Reset(u32);

// SAFETY: The kernel does not look at the argument.
unsafe impl Argument for Reset {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 11);
    const NAME: &'static str = "VFIO_DEVICE_RESET";
}

impl Runner {
    /// `open-group`.
    pub(crate) fn open_group(&self, device: &str, fd: &str) -> Result<String, Failure> {
        self.names.free(fd)?;
        let node = node(&self.device(device)?, Path::new("/dev/vfio"))?;
        self.names.add(fd, files::open(&node, OFlags::RDWR)?);
        Ok(node.display().to_string())
    }

    /// `set-container`.
    pub(crate) fn set_container(&self, group: &str, iommufd: &str) -> Result<String, Failure> {
        let iommufd = self.names.get(iommufd)?;
        ioctl::call(self.names.get(group)?.as_fd(), &mut SetContainer(iommufd.as_raw_fd()))
            .map_err(|errno| Failure::call(SetContainer::NAME, errno))?;
        Ok(String::new())
    }

    /// `group-device`.
    pub(crate) fn group_device(&self, group: &str, device: &str, fd: &str) -> Result<String, Failure> {
        self.names.free(fd)?;
        let directory = self.device(device)?;
        let address = sysfs::address(&directory);
        let name = CString::new(address).map_err(|_| Failure::new(format!("{address:?} holds a NUL")))?;
        // SAFETY: This is the argument that the command takes.
        let opened = unsafe { rustix::ioctl::ioctl(self.names.get(group)?.as_fd(), GetDeviceFd(&name)) }
            .map_err(|errno| Failure::call(format!("{GET_DEVICE_FD} of {address}"), errno))?;
        self.names.add(fd, opened);
        Ok(address.to_owned())
    }

    /// `reset`.
    pub(crate) fn reset(&self, fd: &str) -> Result<String, Failure> {
        ioctl::call(self.names.get(fd)?.as_fd(), &mut Reset(0)).map_err(|errno| Failure::call(Reset::NAME, errno))?;
        Ok(String::new())
    }

    /// `hot-reset`.
    pub(crate) fn hot_reset(&self, fd: &str) -> Result<String, Failure> {
        let mut argument = HotReset { argsz: ioctl::size::<HotReset>(), flags: 0, count: 0 };
        ioctl::call(self.names.get(fd)?.as_fd(), &mut argument)
            .map_err(|errno| Failure::call(HotReset::NAME, errno))?;
        Ok(String::new())
    }
}

/// The node of a device's group, which the kernel numbers.
fn node(device: &Path, nodes: &Path) -> Result<PathBuf, Failure> {
    let link = device.join("iommu_group");
    let target = std::fs::read_link(&link)
        .map_err(|error| Failure::new(format!("read the link {}: {}", link.display(), files::explain(&error))))?;
    let number = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let candidates = [nodes.join(number), nodes.join(format!("noiommu-{number}"))];
    candidates.into_iter().find(|node| node.exists()).ok_or_else(|| {
        Failure::new(format!("group {number} has no node in {}; is the device bound to vfio-pci?", nodes.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn structures_and_codes_are_those_of_the_header() {
        assert_eq!((size_of::<SetContainer>(), SetContainer::OPCODE), (4, 0x3b68));
        assert_eq!(GetDeviceFd(c"").opcode(), 0x3b6a);
        assert_eq!(Reset::OPCODE, 0x3b6f);
        assert_eq!((size_of::<HotReset>(), HotReset::OPCODE), (12, 0x3b71));
    }

    #[test]
    fn the_node_has_the_number_of_the_group() {
        let dir = tempfile::tempdir().unwrap();
        let (device, nodes) = (dir.path().join("device"), dir.path().join("vfio"));
        fs::create_dir(&device).unwrap();
        fs::create_dir(&nodes).unwrap();
        assert!(node(&device, &nodes).unwrap_err().to_string().ends_with("iommu_group: ENOENT"));
        symlink("../../kernel/iommu_groups/7", device.join("iommu_group")).unwrap();
        assert!(node(&device, &nodes).unwrap_err().to_string().contains("group 7 has no node"));
        fs::write(nodes.join("noiommu-7"), "").unwrap();
        assert_eq!(node(&device, &nodes).unwrap(), nodes.join("noiommu-7"));
        fs::write(nodes.join("7"), "").unwrap();
        assert_eq!(node(&device, &nodes).unwrap(), nodes.join("7"));
    }
}
