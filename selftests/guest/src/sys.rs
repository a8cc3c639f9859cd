// SPDX-License-Identifier: GPL-2.0-only

//! What neither the standard library nor rustix offers: the time stamp counter and `kexec_file_load`.
//!
//! The system call is made by hand because glibc has no wrapper for it and a libc crate for one call is not worth it. Numbers
//! are x86-64's, from `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/linux/kexec.h`.

use std::arch::asm;
use std::arch::x86_64::_rdtsc;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

const SYS_KEXEC_FILE_LOAD: usize = 320;
const KEXEC_FILE_UNLOAD: usize = 0x0000_0001;

/// The time stamp counter: with `-icount shift=0` one tick is one guest instruction, and a kexec does not reset it.
pub(crate) fn tsc() -> u64 {
    // SAFETY: Every x86-64 processor has the instruction, and user space may use it: nothing here sets PR_TSC_SIGSEGV.
    unsafe { _rdtsc() }
}

/// Loads a kernel and its initramfs for `RebootCommand::Kexec`.
pub(crate) fn kexec_file_load(kernel: BorrowedFd<'_>, initrd: BorrowedFd<'_>, cmdline: &CStr) -> Result<(), Errno> {
    let line = cmdline.to_bytes_with_nul();
    // SAFETY: Both fds are open for the whole call, and `line` is a readable buffer of the length that is passed with it.
    let result = unsafe {
        syscall5(
            SYS_KEXEC_FILE_LOAD,
            [kernel.as_raw_fd() as usize, initrd.as_raw_fd() as usize, line.len(), line.as_ptr() as usize, 0],
        )
    };
    check(result)
}

/// Unloads what [`kexec_file_load`] loaded; no error if there is nothing.
pub(crate) fn kexec_file_unload() -> Result<(), Errno> {
    const NO_FD: usize = -1_isize as usize;
    // SAFETY: With KEXEC_FILE_UNLOAD the kernel looks at no other argument; it gets no pointer.
    check(unsafe { syscall5(SYS_KEXEC_FILE_LOAD, [NO_FD, NO_FD, 0, 0, KEXEC_FILE_UNLOAD]) })
}

fn check(result: isize) -> Result<(), Errno> {
    // The kernel returns the negated errno; i32 holds every one of them (at most 4095).
    if result < 0 { Err(Errno::from_raw_os_error(-result as i32)) } else { Ok(()) }
}

/// # Safety
///
/// The arguments must be what the system call `number` takes: pointers among them valid for what the kernel does with them.
unsafe fn syscall5(number: usize, args: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: This is the kernel's calling convention: rax in and out, rcx and r11 clobbered, memory possibly written. The
    // arguments are the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_counts() {
        let first = tsc();
        assert!(tsc() > first);
    }

    #[test]
    fn a_negative_result_is_an_errno() {
        assert_eq!(check(-16), Err(Errno::BUSY));
        assert_eq!(check(0), Ok(()));
    }

    #[test]
    fn the_calling_convention_holds() {
        const SYS_GETPID: usize = 39;
        // SAFETY: getpid takes no arguments.
        let pid = unsafe { syscall5(SYS_GETPID, [0; 5]) };
        assert_eq!(pid, std::process::id() as isize);
    }
}
