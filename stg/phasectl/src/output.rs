// SPDX-License-Identifier: GPL-2.0-only

//! Standard output.
//!
//! A reader that has seen enough (`phasectl list | head -1`) closes the pipe. That is no error of ours, and it must not
//! change the verdict of a test run either: from then on output is dropped, the command runs to its end, and its exit code
//! is what it would have been.

use std::io::{self, Write};

use serde::Serialize;

/// Standard output that outlives its reader.
#[derive(Debug)]
pub(crate) struct Stdout<W = io::Stdout> {
    inner: W,
    closed: bool,
}

impl Stdout {
    /// The process' own.
    pub(crate) fn new() -> Self {
        Self { inner: io::stdout(), closed: false }
    }
}

impl<W> Stdout<W> {
    fn tolerate<T>(&mut self, result: io::Result<T>, dropped: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(dropped)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(buffer.len());
        }
        let result = self.inner.write(buffer);
        self.tolerate(result, buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.tolerate(result, ())
    }
}

/// Writes a value as an indented JSON document.
pub(crate) fn json(out: &mut dyn Write, value: &impl Serialize) -> anyhow::Result<()> {
    writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one write, then its reader is gone.
    struct Closing(Vec<u8>);

    impl Write for Closing {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            if !self.0.is_empty() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.extend_from_slice(buffer);
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let mut out = Stdout { inner: Closing(Vec::new()), closed: false };
        out.write_all(b"first").unwrap();
        out.write_all(b"second").unwrap();
        out.flush().unwrap();
        assert_eq!(out.inner.0, b"first");
    }

    #[test]
    fn a_full_disk_is_one() {
        let mut out = Stdout { inner: Full, closed: false };
        assert_eq!(out.write_all(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
