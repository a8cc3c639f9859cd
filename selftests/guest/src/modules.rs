// SPDX-License-Identifier: GPL-2.0-only

//! Loading and unloading modules, by the system calls themselves.
//!
//! What a module needs stands in its own `.modinfo`, a list of strings with NULs between them; loading goes down that list first.
//! A name is that of a file, `vfio-pci`; the kernel's own spelling has underscores for the hyphens.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use plan::MODULE_DIR;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::failure::Failure;
use crate::files;

/// The modules of the kernel that runs.
#[derive(Debug)]
pub(crate) struct Modules {
    files: PathBuf,
    /// sysfs' list of what is loaded.
    loaded: PathBuf,
}

impl Modules {
    /// Those of the kernel with this [role](plan::ROLES).
    pub(crate) fn of(role: &str) -> Self {
        Self { files: Path::new(MODULE_DIR).join(role), loaded: "/sys/module".into() }
    }

    /// Loads a module, and before it what it needs. Returns the names of all that were loaded.
    pub(crate) fn load(&self, module: &str, params: &str) -> Result<String, Failure> {
        let missing = self.missing(module)?;
        for needed in &missing {
            insert(&self.file(needed), "")
                .map_err(|errno| Failure::setup(format!("finit_module of {needed}"), errno))?;
        }
        insert(&self.file(module), params).map_err(|errno| match errno {
            // No errno of the kernel's: there is no such file.
            Errno::NOENT if !self.file(module).exists() => Failure::setup(self.file(module).display(), errno),
            errno => Failure::call(format!("finit_module of {module}"), errno),
        })?;
        Ok(format!("loaded {}", missing.iter().map(String::as_str).chain([module]).collect::<Vec<_>>().join(", ")))
    }

    /// What a module needs and is not loaded, each before what needs it.
    fn missing(&self, module: &str) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        self.gather(module, &mut found)?;
        Ok(found)
    }

    fn gather(&self, module: &str, found: &mut Vec<String>) -> Result<(), Failure> {
        let path = self.file(module);
        let bytes = fs::read(&path)
            .map_err(|error| Failure::new(format!("read {}: {}", path.display(), files::explain(&error))))?;
        for needed in needs(&bytes) {
            if !found.contains(&needed) && !self.loaded.join(spelt(&needed)).exists() {
                self.gather(&needed, found)?;
                found.push(needed);
            }
        }
        Ok(())
    }

    fn file(&self, module: &str) -> PathBuf {
        self.files.join(format!("{module}.ko"))
    }
}

/// Unloads a module; does not wait for those who use it.
pub(crate) fn unload(module: &str) -> Result<(), Failure> {
    let name = CString::new(spelt(module)).map_err(|_| Failure::new("the name holds a NUL"))?;
    rustix::system::delete_module(&name, i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
        .map_err(|errno| Failure::call(format!("delete_module of {module}"), errno))
}

fn insert(file: &Path, params: &str) -> Result<(), Errno> {
    let fd = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
    let params = CString::new(params).map_err(|_| Errno::INVAL)?;
    rustix::system::finit_module(fd.as_fd(), &params, 0)
}

/// As the kernel spells it.
fn spelt(module: &str) -> String {
    module.replace('-', "_")
}

/// The modules that a module needs directly, from its `.modinfo`.
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let list = &module[at + KEY.len()..];
    let list = &list[..list.iter().position(|&byte| byte == 0).unwrap_or(list.len())];
    let names = String::from_utf8_lossy(list);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)], loaded: &[&str]) -> (tempfile::TempDir, Modules) {
        let dir = tempfile::tempdir().unwrap();
        let modules = Modules { files: dir.path().join("modules"), loaded: dir.path().join("loaded") };
        fs::create_dir_all(&modules.files).unwrap();
        for (name, needed) in files {
            let modinfo = format!("ELF\0license=GPL\0depends={needed}\0intree=Y\0");
            fs::write(modules.file(name), modinfo).unwrap();
        }
        for name in loaded {
            fs::create_dir_all(modules.loaded.join(name)).unwrap();
        }
        (dir, modules)
    }

    const VFIO: [(&str, &str); 5] = [
        ("irqbypass", ""),
        ("iommufd", ""),
        ("vfio", "iommufd"),
        ("vfio-pci-core", "vfio,irqbypass,iommufd"),
        ("vfio-pci", "vfio-pci-core,vfio"),
    ];

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let (_dir, modules) = tree(&VFIO, &[]);
        assert_eq!(modules.missing("vfio-pci").unwrap(), ["iommufd", "vfio", "irqbypass", "vfio-pci-core"]);
        assert!(modules.missing("iommufd").unwrap().is_empty());
    }

    #[test]
    fn what_is_loaded_is_not_loaded_again() {
        let (_dir, modules) = tree(&VFIO, &["vfio_pci_core", "vfio"]);
        assert!(modules.missing("vfio-pci").unwrap().is_empty());
        let (_dir, modules) = tree(&VFIO, &["irqbypass", "iommufd"]);
        assert_eq!(modules.missing("vfio-pci").unwrap(), ["vfio", "vfio-pci-core"]);
    }

    #[test]
    fn a_module_that_is_not_there_is_no_errno_for_fails() {
        let (_dir, modules) = tree(&[("a", "b")], &[]);
        let failure = modules.load("a", "").unwrap_err();
        assert!(failure.errno().is_none() && failure.to_string().contains("b.ko: ENOENT"), "{failure}");
        assert!(modules.load("c", "").unwrap_err().errno().is_none());
    }
}
