// SPDX-License-Identifier: GPL-2.0-only

//! The Live Update Orchestrator's user interface, `include/uapi/linux/liveupdate.h`.
//!
//! `/dev/liveupdate` can be open once at a time, so it is opened by the first step that needs it and kept for the stage.
//! Sessions are fds of their own and outlive it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, opcode};

use crate::failure::Failure;
use crate::files;
use crate::ioctl::{self, Argument};

const TYPE: u8 = 0xBA;
const NAME_LENGTH: usize = 64;
const CREATE: u8 = 0x00;
const RETRIEVE: u8 = 0x01;

/// `struct liveupdate_ioctl_create_session` and `struct liveupdate_ioctl_retrieve_session`, which are alike.
#[repr(C)]
struct SessionByName<const COMMAND: u8> {
    size: u32,
    fd: i32,
    name: [u8; NAME_LENGTH],
}

/// `struct liveupdate_session_preserve_fd`.
#[repr(C)]
struct PreserveFd {
    size: u32,
    fd: i32,
    token: u64,
}

/// `struct liveupdate_session_retrieve_fd`.
#[repr(C)]
struct RetrieveFd {
    size: u32,
    fd: i32,
    token: u64,
}

/// `struct liveupdate_session_finish`.
#[repr(C)]
struct Finish {
    size: u32,
    reserved: u32,
}

// SAFETY: The structure's fields are those of the header, integers all, and there is no pointer among them.
unsafe impl Argument for SessionByName<CREATE> {
    const OPCODE: Opcode = opcode::none(TYPE, CREATE);
    const NAME: &'static str = "LIVEUPDATE_IOCTL_CREATE_SESSION";
}

// SAFETY: As above.
unsafe impl Argument for SessionByName<RETRIEVE> {
    const OPCODE: Opcode = opcode::none(TYPE, RETRIEVE);
    const NAME: &'static str = "LIVEUPDATE_IOCTL_RETRIEVE_SESSION";
}

// SAFETY: As above; the kernel only reads it.
unsafe impl Argument for PreserveFd {
    const OPCODE: Opcode = opcode::none(TYPE, 0x40);
    const NAME: &'static str = "LIVEUPDATE_SESSION_PRESERVE_FD";
}

// SAFETY: As above.
unsafe impl Argument for RetrieveFd {
    const OPCODE: Opcode = opcode::none(TYPE, 0x41);
    const NAME: &'static str = "LIVEUPDATE_SESSION_RETRIEVE_FD";
}

// SAFETY: As above; the kernel only reads it.
unsafe impl Argument for Finish {
    const OPCODE: Opcode = opcode::none(TYPE, 0x42);
    const NAME: &'static str = "LIVEUPDATE_SESSION_FINISH";
}

/// `/dev/liveupdate`, opened when first needed.
#[derive(Debug, Default)]
pub(crate) struct Luo {
    device: Option<OwnedFd>,
}

impl Luo {
    /// A new session.
    pub(crate) fn create(&mut self, session: &str) -> Result<OwnedFd, Failure> {
        self.session::<CREATE>(session)
    }

    /// A session of the previous kernel.
    pub(crate) fn retrieve(&mut self, session: &str) -> Result<OwnedFd, Failure> {
        self.session::<RETRIEVE>(session)
    }

    fn session<const COMMAND: u8>(&mut self, session: &str) -> Result<OwnedFd, Failure>
    where
        SessionByName<COMMAND>: Argument,
    {
        let mut argument =
            SessionByName::<COMMAND> { size: ioctl::size::<SessionByName<COMMAND>>(), fd: -1, name: name(session)? };
        ioctl::call(self.device()?, &mut argument)
            .map_err(|errno| Failure::call(format!("{} {session:?}", SessionByName::<COMMAND>::NAME), errno))?;
        own(argument.fd, SessionByName::<COMMAND>::NAME)
    }

    fn device(&mut self) -> Result<BorrowedFd<'_>, Failure> {
        let device = match self.device.take() {
            Some(device) => device,
            None => files::open(Path::new("/dev/liveupdate"), OFlags::RDWR)?,
        };
        let device: &OwnedFd = self.device.insert(device);
        Ok(device.as_fd())
    }
}

/// Marks an fd for the next kernel.
pub(crate) fn preserve(session: BorrowedFd<'_>, fd: BorrowedFd<'_>, token: u64) -> Result<(), Failure> {
    let mut argument = PreserveFd { size: ioctl::size::<PreserveFd>(), fd: fd.as_raw_fd(), token };
    ioctl::call(session, &mut argument).map_err(|errno| on_token(PreserveFd::NAME, token, errno))
}

/// Takes an fd over from the previous kernel.
pub(crate) fn retrieve(session: BorrowedFd<'_>, token: u64) -> Result<OwnedFd, Failure> {
    let mut argument = RetrieveFd { size: ioctl::size::<RetrieveFd>(), fd: -1, token };
    ioctl::call(session, &mut argument).map_err(|errno| on_token(RetrieveFd::NAME, token, errno))?;
    own(argument.fd, RetrieveFd::NAME)
}

/// Ends a session of the previous kernel: everything in it is this kernel's now.
pub(crate) fn finish(session: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut argument = Finish { size: ioctl::size::<Finish>(), reserved: 0 };
    ioctl::call(session, &mut argument).map_err(|errno| Failure::call(Finish::NAME, errno))
}

fn on_token(call: &str, token: u64, errno: Errno) -> Failure {
    Failure::call(format!("{call} token {token}"), errno)
}

fn name(session: &str) -> Result<[u8; NAME_LENGTH], Failure> {
    let mut name = [0; NAME_LENGTH];
    // The last byte stays zero: the length of the header includes the termination.
    match name[..NAME_LENGTH - 1].get_mut(..session.len()) {
        Some(room) if !session.is_empty() && !session.contains('\0') => room.copy_from_slice(session.as_bytes()),
        _ => {
            return Err(Failure::new(format!(
                "session name {session:?}: LUO takes 1 to {} bytes without NUL",
                NAME_LENGTH - 1
            )));
        }
    }
    Ok(name)
}

fn own(fd: i32, call: &str) -> Result<OwnedFd, Failure> {
    if fd < 0 {
        return Err(Failure::new(format!("{call} succeeded but returned fd {fd}")));
    }
    // SAFETY: The kernel has just installed this fd for us and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_and_codes_are_those_of_the_header() {
        assert_eq!(size_of::<SessionByName<CREATE>>(), 72);
        assert_eq!(size_of::<PreserveFd>(), 16);
        assert_eq!(size_of::<RetrieveFd>(), 16);
        assert_eq!(size_of::<Finish>(), 8);
        assert_eq!(SessionByName::<CREATE>::OPCODE, 0xBA00);
        assert_eq!(SessionByName::<RETRIEVE>::OPCODE, 0xBA01);
        assert_eq!(PreserveFd::OPCODE, 0xBA40);
        assert_eq!(RetrieveFd::OPCODE, 0xBA41);
        assert_eq!(Finish::OPCODE, 0xBA42);
    }

    #[test]
    fn session_names_are_terminated() {
        assert_eq!(name("s").unwrap()[..2], *b"s\0");
        assert_eq!(name(&"x".repeat(63)).unwrap()[62..], *b"x\0");
        for bad in ["", "a\0b", &"x".repeat(64)] {
            assert!(name(bad).unwrap_err().to_string().contains("1 to 63 bytes"));
        }
    }
}
