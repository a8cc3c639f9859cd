// SPDX-License-Identifier: GPL-2.0-only

//! A file for the guest's memory.
//!
//! It is as large as the memory and written to at the guest's pace, so it should lie in a file system that is memory
//! itself; else the disk has to do.

use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::statvfs;

use crate::error::HarnessError;
use crate::rundir::RunDir;

/// Where Linux has such a file system.
const SHARED_MEMORY: &str = "/dev/shm";

/// The place for the file; it disappears with this.
#[derive(Debug)]
pub struct MemoryFile {
    path: Utf8PathBuf,
    _directory: Option<RunDir>,
}

impl MemoryFile {
    /// A place for so much, in QEMU's notation: in shared memory if there is room, else in the given directory.
    pub fn new(size: &str, otherwise: &Utf8Path) -> Result<Self, HarnessError> {
        let room = statvfs(SHARED_MEMORY).map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize));
        // A full file system there would not be an error but a signal that kills QEMU.
        if bytes(size).is_some_and(|size| size < room)
            && let Ok(directory) = RunDir::new_in(Path::new(SHARED_MEMORY))
        {
            return Ok(Self { path: directory.path().join("memory"), _directory: Some(directory) });
        }
        Ok(Self { path: otherwise.join("memory"), _directory: None })
    }

    /// Where it is to be.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// A size in QEMU's notation: without a letter, MiB.
pub(crate) fn bytes(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match &size[digits.len()..] {
        "K" | "k" => 10,
        "" | "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("1G"), Some(1 << 30));
        assert_eq!(bytes("512"), Some(512 << 20));
        assert_eq!(bytes("8k"), Some(8192));
        assert_eq!(bytes("1T"), None, "that is more than we would put there");
    }

    #[test]
    fn what_does_not_fit_goes_elsewhere() {
        let file = MemoryFile::new("8000000G", Utf8Path::new("run")).unwrap();
        assert_eq!(file.path(), "run/memory");
    }
}
