// SPDX-License-Identifier: GPL-2.0-only

//! Short-lived directories for FIFOs, socket and initramfs.
//!
//! They lie in the system's temporary directory, because the path of a unix socket must fit into 108 bytes and the
//! place for results may be deep. Each holds a locked file while its owner lives. The kernel drops the lock however the
//! owner ends, so the next run finds and removes what a killed one left.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use crate::error::{HarnessError, io};

const PREFIX: &str = "phasectl-vm-";
const LOCK: &str = "lock";
/// `sun_path` less the longest socket name.
const LONGEST: usize = 90;

/// A directory that disappears with its owner.
#[derive(Debug)]
pub struct RunDir {
    path: Utf8PathBuf,
    _directory: TempDir,
    _lock: File,
}

impl RunDir {
    /// Removes what killed runs left, and makes a new one.
    pub fn new() -> Result<Self, HarnessError> {
        let base = env::temp_dir();
        Self::new_in(&base)
    }

    /// The same in a given place.
    pub fn new_in(base: &Path) -> Result<Self, HarnessError> {
        let base = Utf8Path::from_path(base)
            .filter(|base| base.as_str().len() + PREFIX.len() + 6 <= LONGEST)
            .ok_or_else(|| HarnessError::TempDir { path: base.to_string_lossy().into_owned().into() })?;
        sweep(base);
        let directory =
            tempfile::Builder::new().prefix(PREFIX).tempdir_in(base).map_err(io("create a directory in", base))?;
        let path =
            base.join(directory.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
        // Locked before it gets the name that sweeping looks for; else a sweep could take it in between.
        let fresh = path.join("lock.new");
        let lock = File::create_new(&fresh).map_err(io("create", &fresh))?;
        lock.try_lock().map_err(|error| io("lock", &fresh)(error.into()))?;
        fs::rename(&fresh, path.join(LOCK)).map_err(io("rename", &fresh))?;
        Ok(Self { path, _directory: directory, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// Best effort: what cannot be looked at or removed belongs to somebody else or can wait.
fn sweep(base: &Utf8Path) {
    let Ok(entries) = base.read_dir_utf8() else { return };
    let own = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let is_ours = entry.file_name().starts_with(PREFIX)
            && fs::symlink_metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == own);
        if is_ours && File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_are_swept() {
        let base = tempfile::tempdir().unwrap();
        let alive = RunDir::new_in(base.path()).unwrap();
        let dead = base.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let foreign = base.path().join("else");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join(LOCK), "").unwrap();

        let second = RunDir::new_in(base.path()).unwrap();
        assert!(!dead.exists());
        assert!(foreign.exists() && alive.path().exists() && second.path().exists());
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_base_is_refused_with_the_remedy() {
        let error = RunDir::new_in(&Path::new("/tmp").join("x".repeat(100))).unwrap_err();
        assert!(error.to_string().contains("TMPDIR"), "{error}");
    }
}
