// SPDX-License-Identifier: GPL-2.0-only

//! The lock under which kernels are loaded, and which a jump needs.
//!
//! It is held for as long as `kexec_file_load` reads kernel and initramfs. A load with too long a command line is refused only after that, so
//! that nothing is ever loaded and the reboot call cannot succeed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::io::Errno;
use rustix::system::RebootCommand;

use crate::failure::Failure;
use crate::kexec;
use crate::steps::Runner;
use crate::wait;

impl Runner {
    /// `kexec-contend`.
    pub(crate) fn contend(&self) -> Result<String, Failure> {
        let kernel = self.kernels.first().ok_or_else(|| Failure::new("the plan has no kernel to load"))?;
        kexec::unload()?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let loader = scope.spawn(|| load_until(kernel, &stop));
            let mut refused = 0;
            let busy = wait::until_at_once(wait::LIMIT, || match rustix::system::reboot(RebootCommand::Kexec) {
                Err(Errno::BUSY) => Ok(Some(())),
                Err(Errno::INVAL) => {
                    refused += 1;
                    Ok(None)
                }
                Err(errno) => Err(Failure::new(Failure::call("reboot(LINUX_REBOOT_CMD_KEXEC)", errno).to_string())),
                Ok(()) => Err(Failure::new("reboot(LINUX_REBOOT_CMD_KEXEC) came back without an error")),
            });
            stop.store(true, Ordering::Relaxed);
            let loads = loader.join().map_err(|_| Failure::new("the loading thread panicked"))??;
            match busy? {
                Some(_) => Ok(format!("EBUSY after {refused} times EINVAL, {loads} loads")),
                None => Err(Failure::new(format!("never EBUSY; {refused} times EINVAL, {loads} loads"))),
            }
        })
    }
}

fn load_until(kernel: &str, stop: &AtomicBool) -> Result<u32, Failure> {
    let mut loads = 0;
    while !stop.load(Ordering::Relaxed) {
        match kexec::load_too_long(kernel)? {
            // Busy when the reboot call is in the lock just then.
            Err(Errno::INVAL | Errno::BUSY) => loads += 1,
            other => return Err(Failure::new(format!("a load with too long a command line gave {other:?}"))),
        }
    }
    Ok(loads)
}
