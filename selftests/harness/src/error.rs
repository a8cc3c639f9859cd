// SPDX-License-Identifier: GPL-2.0-only

//! What can go wrong in the harness itself.
//!
//! A guest that misbehaves is no error but a [verdict](crate::verdict): errors here are about files, data and the host.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

/// The harness could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A file of ours is wrong. The text starts with `file:line:column` as far as known and says what to change.
    #[error("{0}")]
    Data(String),
    /// The operating system refused something.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: Utf8PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The guest's init did not build; holds cargo's output.
    #[error("the guest's init did not build:\n{0}")]
    GuestBuild(String),
    /// A kernel that a scenario wants was not given.
    #[error("{scenario} wants the kernel `{kernel}`, which was not built; known are: {known}")]
    NoKernel {
        /// The scenario's id.
        scenario: String,
        /// What it wants.
        kernel: String,
        /// What there is.
        known: String,
    },
    /// QEMU cannot be started at all.
    #[error("cannot start {qemu}: {source}; `phasectl setup` installs QEMU")]
    NoQemu {
        /// The program.
        qemu: Utf8PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Results could not be written (a full disk, a closed pipe).
    #[error("cannot write results: {0}")]
    Output(#[from] io::Error),
}

/// Names the file in an error of the operating system.
pub(crate) fn io(action: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> HarnessError {
    let path = path.to_owned();
    move |source| HarnessError::Io { action, path, source }
}
