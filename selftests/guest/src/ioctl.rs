// SPDX-License-Identifier: GPL-2.0-only

//! Extensible ioctls: a command code and a pointer to a structure that tells its own size.
//!
//! LUO, VFIO and iommufd all work this way: codes are plain `_IO()`, the structure's first word is its size, and the
//! kernel reads it and writes results back into it. [`call`] is the only place that makes such a call; a
//! structure becomes usable there by the one-line promise of [`Argument`].

use std::ffi::c_void;
use std::marker::PhantomData;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};

/// A structure that an ioctl takes.
///
/// # Safety
///
/// The type must be `repr(C)`, laid out as the structure that the kernel takes for `OPCODE`, valid for whatever bytes the
/// kernel leaves in it, and must hold no address through which the kernel would touch other memory of this process.
pub(crate) unsafe trait Argument {
    /// The command.
    const OPCODE: Opcode;
    /// The command's name in the kernel's headers, for reports.
    const NAME: &'static str;
}

/// Makes the call; results are in `argument` afterwards.
pub(crate) fn call<A: Argument>(fd: BorrowedFd<'_>, argument: &mut A) -> Result<(), Errno> {
    // SAFETY: `Argument` promises that the structure is the one which this command takes.
    unsafe { rustix::ioctl::ioctl(fd, InOut(argument)) }.map(|_| ())
}

/// Makes a call whose result is a new fd.
///
/// # Safety
///
/// The command must be one that installs an fd and returns its number.
pub(crate) unsafe fn call_for_fd<A: Argument>(fd: BorrowedFd<'_>, argument: &mut A) -> Result<OwnedFd, Errno> {
    // SAFETY: `Argument` promises that the structure is the one which this command takes.
    let number = unsafe { rustix::ioctl::ioctl(fd, InOut(argument)) }?;
    // SAFETY: The caller promises that this is a new fd, which nobody else knows of.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The size of a structure, as its first word wants it.
pub(crate) const fn size<A>() -> u32 {
    // No structure of these interfaces comes near 4 GiB.
    size_of::<A>() as u32
}

struct InOut<'a, A>(&'a mut A);

// SAFETY: The pointer is to a live, exclusively borrowed structure of the kind which the command takes (promised by
// `Argument`), the call is declared as mutating, and no output but the structure itself is read.
unsafe impl<A: Argument> Ioctl for InOut<'_, A> {
    type Output = IoctlOutput;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        A::OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<IoctlOutput> {
        Ok(output)
    }
}

/// The same with an argument that lies anywhere, and may not even be writable.
pub(crate) struct Raw<A> {
    argument: *mut c_void,
    _command: PhantomData<A>,
}

impl<A> Raw<A> {
    /// `argument` must point to an `A` for as long as the call takes.
    pub(crate) fn new(argument: *mut c_void) -> Self {
        Self { argument, _command: PhantomData }
    }
}

// SAFETY: The call is declared as mutating, and no output is read. What the pointer points to is the promise of whoever makes the
// call, which is unsafe.
unsafe impl<A: Argument> Ioctl for Raw<A> {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        A::OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}
