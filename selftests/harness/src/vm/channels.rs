// SPDX-License-Identifier: GPL-2.0-only

//! Our ends of what QEMU speaks through.
//!
//! QEMU's serial port gives up on a byte when its backend takes none for a moment, and it sends byte by byte. A unix
//! socket is full of some 280 such sends, whatever its buffer; a host that is busy for that long then costs a KUnit result or a
//! report. A pipe counts bytes: adjacent writes share a page. So the serial ports are FIFOs, as large as an ordinary
//! user gets them, which is more than a run says in all.
//!
//! We hold a FIFO open for reading and writing before QEMU starts. So QEMU's own open does not wait for a reader, and we
//! see no end of file before it has opened. That QEMU is gone, its process tells.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use camino::Utf8Path;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustix::pipe::fcntl_setpipe_size;

use crate::error::{HarnessError, io};

/// The usual `fs.pipe-max-size`.
const FIFO_BYTES: usize = 1 << 20;
/// What a pipe has to begin with, unless its user has too many.
const SMALLEST: usize = 1 << 16;

/// Creates a FIFO and opens it, not blocking.
pub(crate) fn fifo(path: &Utf8Path) -> Result<File, HarnessError> {
    mkfifoat(CWD, path.as_str(), Mode::RUSR | Mode::WUSR).map_err(|errno| io("create the FIFO", path)(errno.into()))?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fifo = open(path.as_str(), flags, Mode::empty()).map_err(|errno| io("open", path)(errno.into()))?;
    let mut size = FIFO_BYTES;
    // An administrator may allow less; then less has to do.
    while fcntl_setpipe_size(&fifo, size).is_err() && size > SMALLEST {
        size /= 2;
    }
    Ok(fifo.into())
}

/// A unix socket that QEMU can connect to.
pub(crate) fn listen(path: &Utf8Path) -> Result<UnixListener, HarnessError> {
    let listener = UnixListener::bind(path).map_err(io("listen on", path))?;
    listener.set_nonblocking(true).map_err(io("listen on", path))?;
    Ok(listener)
}

/// The connection, not blocking, if there is one.
pub(crate) fn accept(listener: &UnixListener, path: &Utf8Path) -> Result<Option<File>, HarnessError> {
    match listener.accept() {
        Ok((stream, _)) => {
            stream.set_nonblocking(true).map_err(io("accept on", path))?;
            Ok(Some(OwnedFd::from(stream).into()))
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(io("accept on", path)(error)),
    }
}
