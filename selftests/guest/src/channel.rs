// SPDX-License-Identifier: GPL-2.0-only

//! The result channel: the second serial port, one event per line.
//!
//! It is apart from the console because two kernels write there and a panic cuts lines. What may be relied on:
//!
//! - An event is written in one call and in the order of emission.
//! - Nothing is lost: before power off and before a kexec the port is drained, that is, the last byte has left it.
//! - Bytes are what was written: the line discipline adds nothing (no echo, no CR before LF).

use std::os::fd::OwnedFd;
use std::path::Path;

use plan::Event;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{self, OptionalActions};

use crate::failure::Failure;
use crate::files;
use crate::stage::Report;

const PORT: &str = "/dev/ttyS1";
/// QEMU's port takes a byte at once whatever the rate says, but the kernel's waits for it are computed from the rate.
const BAUD: u32 = 115_200;

/// The open port.
#[derive(Debug)]
pub(crate) struct Channel {
    port: OwnedFd,
}

impl Channel {
    /// Opens the port and makes it raw.
    pub(crate) fn open() -> Result<Self, Failure> {
        let port = files::open(Path::new(PORT), OFlags::RDWR | OFlags::NOCTTY)?;
        let failed = |what: &'static str| move |errno| Failure::setup(format!("{what} of {PORT}"), errno);
        let mut settings = termios::tcgetattr(&port).map_err(failed("tcgetattr"))?;
        settings.make_raw();
        settings.set_speed(BAUD).map_err(failed("setting the rate"))?;
        termios::tcsetattr(&port, OptionalActions::Now, &settings).map_err(failed("tcsetattr"))?;
        Ok(Self { port })
    }

    /// Writes one event. A port that fails cannot be reported on; the host then sees events missing.
    pub(crate) fn write(&self, event: &Event) {
        let line = event.to_line() + "\n";
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match rustix::io::write(&self.port, rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        }
    }

    /// Waits until the last byte has left the port.
    pub(crate) fn flush(&self) {
        while termios::tcdrain(&self.port) == Err(Errno::INTR) {}
    }
}

impl Report for &Channel {
    fn emit(&mut self, event: Event) {
        self.write(&event);
    }

    fn drain(&mut self) {
        self.flush();
    }
}
