// SPDX-License-Identifier: GPL-2.0-only

//! Loading the next kernel.
//!
//! Every kernel of a run gets the initramfs of the first, from `/sys/firmware/initrd`; that file exists only when the
//! kernel was booted with `retain_initrd`. It and the kernel are handed to `kexec_file_load` as they are: the kernel
//! reads both files itself.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use plan::KERNEL_DIR;
use rustix::fs::OFlags;

use crate::cmdline;
use crate::failure::Failure;
use crate::files;
use crate::sys;

const INITRD: &str = "/sys/firmware/initrd";
const CMDLINE: &str = "/proc/cmdline";

/// Loads a kernel of the initramfs and returns its command line.
pub(crate) fn load(kernel: &str, append: &str, drop: &[String]) -> Result<String, Failure> {
    let line = cmdline::next(&files::read_trimmed(Path::new(CMDLINE))?, append, drop)?;
    let terminated = CString::new(line.as_str()).map_err(|_| Failure::new("the command line holds a NUL"))?;
    let image = files::open(&Path::new(KERNEL_DIR).join(kernel), OFlags::RDONLY)?;
    if !fs::exists(INITRD).unwrap_or(false) {
        return Err(Failure::new(format!("{INITRD} is missing; boot with retain_initrd")));
    }
    let initrd = files::open(Path::new(INITRD), OFlags::RDONLY)?;
    sys::kexec_file_load(image.as_fd(), initrd.as_fd(), &terminated)
        .map_err(|errno| Failure::call(format!("kexec_file_load of {kernel:?}"), errno))?;
    Ok(line)
}

/// Unloads the next kernel.
pub(crate) fn unload() -> Result<(), Failure> {
    sys::kexec_file_unload().map_err(|errno| Failure::call("kexec_file_load(KEXEC_FILE_UNLOAD)", errno))
}
