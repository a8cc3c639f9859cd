// SPDX-License-Identifier: GPL-2.0-only

//! Opening, reading and writing files by path.
//!
//! One rule for all of them: a path that is not there is a mistake of the plan or of the kernel's configuration, never
//! the errno a `fails` step waits for (see [`crate::failure`]).

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::errno;
use crate::failure::Failure;

/// Opens an existing file or device.
pub(crate) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Failure> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        let what = format!("open {}", path.display());
        match errno {
            Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::NOTDIR => Failure::setup(what, errno),
            _ => Failure::call(what, errno),
        }
    })
}

/// Writes a value to an existing file in one call, as sysfs wants it.
pub(crate) fn write(path: &Path, value: &str) -> Result<(), Failure> {
    let fd = open(path, OFlags::WRONLY | OFlags::TRUNC)?;
    write_all(fd.as_fd(), value, || format!("write {value:?} to {}", path.display()))
}

/// Writes a text to an open file in one call.
pub(crate) fn write_fd(fd: BorrowedFd<'_>, text: &str) -> Result<(), Failure> {
    write_all(fd, text, || format!("write {text:?}"))
}

fn write_all(fd: BorrowedFd<'_>, text: &str, what: impl Fn() -> String) -> Result<(), Failure> {
    match rustix::io::write(fd, text.as_bytes()) {
        Ok(n) if n == text.len() => Ok(()),
        Ok(n) => Err(Failure::new(format!("{}: only {n} bytes were taken", what()))),
        Err(errno) => Err(Failure::call(what(), errno)),
    }
}

/// Reads an open file in one call, at most a page, and checks that it gives this text.
pub(crate) fn check_fd(fd: BorrowedFd<'_>, want: &str) -> Result<(), Failure> {
    let mut page = [0; 4096];
    let n = rustix::io::read(fd, &mut page).map_err(|errno| Failure::call("read", errno))?;
    let got = String::from_utf8_lossy(&page[..n]);
    if got == want { Ok(()) } else { Err(Failure::new(format!("read {got:?}, want {want:?}"))) }
}

/// Reads a small text file without the white space around it.
pub(crate) fn read_trimmed(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|error| Failure::new(format!("read {}: {}", path.display(), explain(&error))))
}

/// An I/O error in the terms of this program: the errno's name where there is one.
pub(crate) fn explain(error: &std::io::Error) -> String {
    Errno::from_io_error(error).map_or_else(|| error.to_string(), errno::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_no_errno_for_fails() {
        let dir = tempfile::tempdir().unwrap();
        let failure = write(&dir.path().join("numvfs"), "1").unwrap_err();
        assert!(failure.errno().is_none());
        assert!(failure.to_string().ends_with("numvfs: ENOENT"), "{failure}");
    }

    #[test]
    fn a_refused_open_is() {
        let dir = tempfile::tempdir().unwrap();
        let failure = write(dir.path(), "1").unwrap_err();
        assert_eq!(failure.errno(), Some(Errno::ISDIR));
    }

    #[test]
    fn what_an_fd_gives_is_compared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        fs::write(&path, "").unwrap();
        let writer = open(&path, OFlags::RDWR).unwrap();
        write_fd(writer.as_fd(), "a note").unwrap();
        let reader = open(&path, OFlags::RDWR).unwrap();
        check_fd(reader.as_fd(), "a note").unwrap();
        let failure = check_fd(reader.as_fd(), "a note").unwrap_err();
        assert_eq!(failure.to_string(), r#"read "", want "a note""#);
    }

    #[test]
    fn values_are_written_whole_and_read_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value");
        fs::write(&path, "longer than before").unwrap();
        write(&path, "0x8086\n").unwrap();
        assert_eq!(read_trimmed(&path).unwrap(), "0x8086");
    }
}
