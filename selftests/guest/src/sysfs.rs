// SPDX-License-Identifier: GPL-2.0-only

//! PCI devices in sysfs: finding them by their place, binding them to drivers, finding their vfio cdev.
//!
//! A device is named by its path of `DD.F` (device and function number) from the root bus, because that is what the topology
//! fixes. Bus numbers are assigned by each kernel anew, so nothing here remembers one across calls.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::Failure;
use crate::files;
use crate::wait;

const ROOT_BUS: &str = "devices/pci0000:00";
/// How long devtmpfs may take to make a node.
const CDEV_LIMIT: Duration = Duration::from_secs(2);

/// The mounted sysfs, `/dev` for the device nodes it speaks of, and `/proc`.
#[derive(Debug)]
pub(crate) struct Sysfs {
    root: PathBuf,
    dev: PathBuf,
    proc: PathBuf,
}

impl Sysfs {
    /// The usual places.
    pub(crate) fn mounted() -> Self {
        Self { root: "/sys".into(), dev: "/dev".into(), proc: "/proc".into() }
    }

    /// The directory of the device at the end of this path of `DD.F`.
    pub(crate) fn device(&self, path: &[String]) -> Result<PathBuf, Failure> {
        if path.is_empty() {
            return Err(Failure::new("the plan gives this device an empty path"));
        }
        let mut dir = self.root.join(ROOT_BUS);
        for hop in path {
            dir = child(&dir, hop)?;
        }
        Ok(dir)
    }

    /// The directory of a virtual function, by its number.
    pub(crate) fn virtual_function(&self, physical: &Path, number: u32) -> Result<PathBuf, Failure> {
        let link = physical.join(format!("virtfn{number}"));
        let target = fs::read_link(&link).map_err(|error| {
            Failure::new(format!("{}: no virtual function {number}: {}", address(physical), files::explain(&error)))
        })?;
        let name = target.file_name().ok_or_else(|| Failure::new(format!("{} leads nowhere", link.display())))?;
        // It sits beside the physical one, on the same bus or on one that has no bridge of its own.
        Ok(physical.with_file_name(name))
    }

    /// The same, but a device that is not there, or whose bridge is not, is no error.
    pub(crate) fn find(&self, path: &[String]) -> Result<Option<PathBuf>, Failure> {
        let mut dir = self.root.join(ROOT_BUS);
        for hop in path {
            let names = match children(&dir) {
                Ok(names) => names,
                // It went between two looks.
                Err(_) if !dir.exists() => return Ok(None),
                Err(failure) => return Err(failure),
            };
            dir = match at(&names, hop)[..] {
                [name] => dir.join(name),
                [] => return Ok(None),
                _ => return Err(twice(&dir, hop)),
            };
        }
        Ok(Some(dir))
    }

    /// Whether a device that has just come is about to let drivers in. Its directory appears long before that; late signs are its node in
    /// `/proc/bus/pci` and, on a kernel with power management, that this is enabled (`pci_bus_add_device`).
    pub(crate) fn is_ready(&self, device: &Path) -> bool {
        let listed = address(device).split_once(':').and_then(|(_, rest)| rest.split_once(':'));
        let node = listed.map(|(bus, slot)| self.proc.join("bus/pci").join(bus).join(slot));
        let status = files::read_trimmed(&device.join("power/runtime_status"));
        node.is_some_and(|node| node.exists()) && !status.is_ok_and(|status| status == "unsupported")
    }

    /// Binds to a driver, away from another if need be.
    pub(crate) fn bind(&self, device: &Path, driver: &str) -> Result<(), Failure> {
        if bound_driver(device).as_deref() == Some(driver) {
            return Ok(());
        }
        let bind = self.root.join("bus/pci/drivers").join(driver).join("bind");
        if !bind.exists() {
            return Err(Failure::new(format!(
                "the kernel has no PCI driver {driver:?} ({} is missing)",
                bind.display()
            )));
        }
        files::write(&device.join("driver_override"), driver)?;
        self.unbind(device)?;
        files::write(&bind, address(device))?;
        match bound_driver(device) {
            Some(bound) if bound == driver => Ok(()),
            other => Err(Failure::new(format!(
                "{}: the bind succeeded but the driver is {}",
                address(device),
                other.as_deref().unwrap_or("none")
            ))),
        }
    }

    /// Unbinds from whatever driver there is, and returns its name.
    pub(crate) fn unbind(&self, device: &Path) -> Result<Option<String>, Failure> {
        let Some(driver) = bound_driver(device) else { return Ok(None) };
        files::write(&device.join("driver/unbind"), address(device))?;
        if bound_driver(device).is_some() {
            return Err(Failure::new(format!("{}: still bound to {driver} after unbind", address(device))));
        }
        Ok(Some(driver))
    }

    /// The device node of the vfio device; waits up to 2 s for devtmpfs to make it.
    pub(crate) fn vfio_cdev(&self, device: &Path) -> Result<PathBuf, Failure> {
        if let Some((node, _)) = wait::until(CDEV_LIMIT, || Ok(self.find_cdev(device)))? {
            return Ok(node);
        }
        Err(Failure::new(format!(
            "{}: no vfio cdev after {} s (driver: {}); is the device bound to vfio-pci and CONFIG_VFIO_DEVICE_CDEV set?",
            address(device),
            wait::scaled(CDEV_LIMIT).as_secs(),
            bound_driver(device).as_deref().unwrap_or("none")
        )))
    }

    fn find_cdev(&self, device: &Path) -> Option<PathBuf> {
        let entry = fs::read_dir(device.join("vfio-dev")).ok()?.next()?.ok()?;
        let node = self.dev.join("vfio/devices").join(entry.file_name());
        node.exists().then_some(node)
    }
}

/// Vendor and device id, in the layout of the first word of config space.
pub(crate) fn ids(device: &Path) -> Result<u32, Failure> {
    let id = |name: &str| {
        let path = device.join(name);
        let text = files::read_trimmed(&path)?;
        text.strip_prefix("0x")
            .and_then(|hex| u16::from_str_radix(hex, 16).ok())
            .ok_or_else(|| Failure::new(format!("{} holds {text:?}, not an id", path.display())))
    };
    Ok(u32::from(id("device")?) << 16 | u32::from(id("vendor")?))
}

/// `DDDD:BB:DD.F` of a device's directory.
pub(crate) fn address(device: &Path) -> &str {
    // Directories come from `child`, which only takes names in UTF-8.
    device.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The driver that a device is bound to.
pub(crate) fn bound_driver(device: &Path) -> Option<String> {
    fs::read_link(device.join("driver")).ok()?.file_name()?.to_str().map(str::to_owned)
}

/// The one child of a bridge, or of the root bus, with this device and function number.
fn child(dir: &Path, hop: &str) -> Result<PathBuf, Failure> {
    let names = children(dir)?;
    match at(&names, hop)[..] {
        [name] => Ok(dir.join(name)),
        [] => Err(Failure::new(format!("no PCI device {hop} in {}; there are: [{}]", dir.display(), names.join(", ")))),
        _ => Err(twice(dir, hop)),
    }
}

fn twice(dir: &Path, hop: &str) -> Failure {
    Failure::new(format!("more than one PCI device {hop} in {}", dir.display()))
}

/// Those with this device and function number.
fn at<'a>(names: &'a [String], hop: &str) -> Vec<&'a String> {
    names.iter().filter(|name| name.rsplit(':').next() == Some(hop)).collect()
}

/// The addresses of all devices in a directory, sorted.
fn children(dir: &Path) -> Result<Vec<String>, Failure> {
    let listing = fs::read_dir(dir)
        .map_err(|error| Failure::new(format!("list {}: {}", dir.display(), files::explain(&error))))?;
    let mut names: Vec<String> = listing
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()))
        .filter(|name| is_address(name))
        .collect();
    names.sort();
    Ok(names)
}

/// Whether a directory entry is a device (`0000:01:00.0`) and not one of the many attributes beside them.
fn is_address(name: &str) -> bool {
    name.len() == 12
        && name.as_bytes().iter().enumerate().all(|(i, byte)| match i {
            4 | 7 => *byte == b':',
            10 => *byte == b'.',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Replaces each `{name}` in a path by the sysfs directory of the device of that name.
pub(crate) fn expand(
    path: &str,
    mut directory: impl FnMut(&str) -> Result<PathBuf, Failure>,
) -> Result<PathBuf, Failure> {
    let mut expanded = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) =
            after.split_once('}').ok_or_else(|| Failure::new(format!("path {path:?}: a brace is not closed")))?;
        expanded.extend_from_slice(before.as_bytes());
        expanded.extend_from_slice(directory(name)?.as_os_str().as_bytes());
        rest = behind;
    }
    expanded.extend_from_slice(rest.as_bytes());
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(&expanded)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root port 03.0 with an igb and one VF of it, another root port 04.0 with two devices of one number, and an attribute.
    fn tree() -> (tempfile::TempDir, Sysfs) {
        let dir = tempfile::tempdir().unwrap();
        let sysfs = Sysfs { root: dir.path().join("sys"), dev: dir.path().join("dev"), proc: dir.path().join("proc") };
        let bus = sysfs.root.join(ROOT_BUS);
        for path in [
            "0000:00:03.0/0000:01:00.0/vfio-dev/vfio7",
            "0000:00:03.0/0000:01:10.0",
            "0000:00:03.0/pci_bus",
            "0000:00:04.0/0000:02:00.0",
            "0000:00:04.0/0000:03:00.0",
        ] {
            fs::create_dir_all(bus.join(path)).unwrap();
        }
        fs::create_dir_all(sysfs.root.join("bus/pci/drivers/vfio-pci")).unwrap();
        (dir, sysfs)
    }

    fn path(hops: &[&str]) -> Vec<String> {
        hops.iter().map(|hop| (*hop).to_owned()).collect()
    }

    #[test]
    fn devices_are_found_by_their_place() {
        let (_dir, sysfs) = tree();
        let find = |hops: &[&str]| sysfs.device(&path(hops)).map(|dir| address(&dir).to_owned());
        assert_eq!(find(&["03.0", "00.0"]).unwrap(), "0000:01:00.0");
        assert_eq!(find(&["03.0", "10.0"]).unwrap(), "0000:01:10.0");
        let text = find(&["03.0", "01.0"]).unwrap_err().to_string();
        assert!(text.contains("no PCI device 01.0") && text.ends_with("[0000:01:00.0, 0000:01:10.0]"), "{text}");
        assert!(find(&["04.0", "00.0"]).unwrap_err().to_string().contains("more than one"));
        assert!(find(&[]).unwrap_err().to_string().contains("empty path"));
        let find = |hops: &[&str]| sysfs.find(&path(hops)).map(|dir| dir.is_some());
        assert!(
            find(&["03.0", "00.0"]).unwrap() && !find(&["03.0", "01.0"]).unwrap() && !find(&["05.0", "00.0"]).unwrap()
        );
        assert!(find(&["04.0", "00.0"]).unwrap_err().to_string().contains("more than one"), "two are not none");
    }

    #[test]
    fn a_virtual_function_is_found_through_its_physical_one() {
        let (_dir, sysfs) = tree();
        let physical = sysfs.device(&path(&["03.0", "00.0"])).unwrap();
        symlink("../0000:01:10.0", physical.join("virtfn0")).unwrap();
        assert_eq!(sysfs.virtual_function(&physical, 0).unwrap(), sysfs.device(&path(&["03.0", "10.0"])).unwrap());
        let text = sysfs.virtual_function(&physical, 1).unwrap_err().to_string();
        assert_eq!(text, "0000:01:00.0: no virtual function 1: ENOENT");
    }

    #[test]
    fn the_cdev_is_the_node_of_the_vfio_device() {
        let (_dir, sysfs) = tree();
        let device = sysfs.device(&path(&["03.0", "00.0"])).unwrap();
        assert_eq!(sysfs.find_cdev(&device), None, "there is no node yet");
        fs::create_dir_all(sysfs.dev.join("vfio/devices/vfio7")).unwrap();
        assert_eq!(sysfs.vfio_cdev(&device).unwrap(), sysfs.dev.join("vfio/devices/vfio7"));
    }

    #[test]
    fn ids_are_laid_out_as_in_config_space() {
        let (_dir, sysfs) = tree();
        let device = sysfs.device(&path(&["03.0", "00.0"])).unwrap();
        fs::write(device.join("vendor"), "0x8086\n").unwrap();
        fs::write(device.join("device"), "0x10c9\n").unwrap();
        assert_eq!(ids(&device).unwrap(), 0x10c9_8086);
        fs::write(device.join("device"), "none\n").unwrap();
        assert!(ids(&device).unwrap_err().to_string().contains("not an id"));
    }

    #[test]
    fn a_device_is_ready_when_the_last_signs_are_there() {
        let (_dir, sysfs) = tree();
        let device = sysfs.device(&path(&["03.0", "00.0"])).unwrap();
        assert!(!sysfs.is_ready(&device));
        fs::create_dir_all(sysfs.proc.join("bus/pci/01/00.0")).unwrap();
        assert!(sysfs.is_ready(&device), "there need not be any power management");
        fs::create_dir(device.join("power")).unwrap();
        for (status, ready) in [("unsupported\n", false), ("active\n", true), ("suspended\n", true)] {
            fs::write(device.join("power/runtime_status"), status).unwrap();
            assert_eq!(sysfs.is_ready(&device), ready, "{status}");
        }
    }

    #[test]
    fn binding_unbinds_first_and_checks_the_result() {
        let (_dir, sysfs) = tree();
        let device = sysfs.device(&path(&["03.0", "00.0"])).unwrap();
        assert!(sysfs.bind(&device, "nosuch").unwrap_err().to_string().contains("no PCI driver"));

        let drivers = sysfs.root.join("bus/pci/drivers");
        fs::create_dir_all(drivers.join("igb")).unwrap();
        fs::write(drivers.join("igb/unbind"), "").unwrap();
        fs::write(drivers.join("vfio-pci/bind"), "").unwrap();
        fs::write(device.join("driver_override"), "").unwrap();
        symlink(drivers.join("igb"), device.join("driver")).unwrap();
        // A directory of plain files does not follow the writes, and that must be noticed.
        let text = sysfs.bind(&device, "vfio-pci").unwrap_err().to_string();
        assert_eq!(text, "0000:01:00.0: still bound to igb after unbind");
        assert_eq!(fs::read_to_string(device.join("driver_override")).unwrap(), "vfio-pci");
        assert_eq!(fs::read_to_string(drivers.join("igb/unbind")).unwrap(), "0000:01:00.0");

        fs::remove_file(device.join("driver")).unwrap();
        let text = sysfs.bind(&device, "vfio-pci").unwrap_err().to_string();
        assert_eq!(text, "0000:01:00.0: the bind succeeded but the driver is none");
        assert_eq!(sysfs.unbind(&device).unwrap(), None);
    }

    #[test]
    fn names_in_braces_become_directories() {
        let expand = |path| {
            expand(path, |name| match name {
                "dut" => Ok(PathBuf::from("/sys/d")),
                _ => Err(Failure::new(format!("no {name}"))),
            })
        };
        assert_eq!(expand("{dut}/numvfs").unwrap(), PathBuf::from("/sys/d/numvfs"));
        assert_eq!(expand("/proc/x").unwrap(), PathBuf::from("/proc/x"));
        assert_eq!(expand("{other}/x").unwrap_err().to_string(), "no other");
        assert!(expand("{dut/x").unwrap_err().to_string().contains("not closed"));
    }
}
