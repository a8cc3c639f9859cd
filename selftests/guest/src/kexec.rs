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

use plan::{KERNEL_DIR, PLAN_PATH};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cmdline;
use crate::failure::Failure;
use crate::files;
use crate::sys;

const INITRD: &str = "/sys/firmware/initrd";
const CMDLINE: &str = "/proc/cmdline";

/// Loads a kernel of the initramfs and returns its command line.
pub(crate) fn load(kernel: &str, append: &str, drop: &[String]) -> Result<String, Failure> {
    let line = cmdline::next(&files::read_trimmed(Path::new(CMDLINE))?, append, drop)?;
    file_load(&Path::new(KERNEL_DIR).join(kernel), &line)?
        .map_err(|errno| Failure::call(format!("kexec_file_load of {kernel:?}"), errno))?;
    Ok(line)
}

/// Loads what is no kernel.
pub(crate) fn load_bad() -> Result<(), Failure> {
    file_load(Path::new(PLAN_PATH), "")?
        .map_err(|errno| Failure::call(format!("kexec_file_load of {PLAN_PATH}"), errno))
}

/// Loads a kernel with a command line that it does not take, and returns what came of it.
pub(crate) fn load_too_long(kernel: &str) -> Result<Result<(), Errno>, Failure> {
    file_load(&Path::new(KERNEL_DIR).join(kernel), &"x".repeat(2 * cmdline::LIMIT))
}

/// The call, and separately what can go wrong before it.
fn file_load(image: &Path, line: &str) -> Result<Result<(), Errno>, Failure> {
    let terminated = CString::new(line).map_err(|_| Failure::new("the command line holds a NUL"))?;
    let image = files::open(image, OFlags::RDONLY).map_err(|failure| Failure::new(failure.to_string()))?;
    if !fs::exists(INITRD).unwrap_or(false) {
        return Err(Failure::new(format!("{INITRD} is missing; boot with retain_initrd")));
    }
    let initrd = files::open(Path::new(INITRD), OFlags::RDONLY)?;
    Ok(sys::kexec_file_load(image.as_fd(), initrd.as_fd(), &terminated))
}

/// Unloads the next kernel.
pub(crate) fn unload() -> Result<(), Failure> {
    sys::kexec_file_unload().map_err(|errno| Failure::call("kexec_file_load(KEXEC_FILE_UNLOAD)", errno))
}
