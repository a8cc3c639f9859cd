// SPDX-License-Identifier: GPL-2.0-only

//! What can go wrong in the harness itself.
//!
//! A guest that misbehaves is no error but a [verdict](crate::verdict): errors here are about files, data and the host.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::Diagnostic;

/// The harness could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A file of the project is wrong, or cannot be read.
    #[error(transparent)]
    Project(#[from] stg_core::Error),
    /// A choice of cases that fits none.
    #[error("there is no case `{wanted}`\n  fix: name one of: {known}")]
    NoCase {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// Two runs that must not differ did: no number of theirs means anything.
    #[error(
        "{case} took {first} and {second} instructions in two runs, which must not differ: something from outside disturbed them (compare their events.jsonl in {logs})"
    )]
    Differ {
        /// Which case, which of its stages, and up to which mark or in which span.
        case: String,
        /// What the first run took.
        first: u64,
        /// What the second run took.
        second: u64,
        /// The directory of both runs' logs.
        logs: Utf8PathBuf,
    },
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
    /// A good run, and yet no time that could be measured: the clock went backwards.
    #[error("`{mark}` does not come after what it is measured from (see events.jsonl in {logs})")]
    NoSpan {
        /// The mark or span.
        mark: String,
        /// The directory of the run's logs.
        logs: Utf8PathBuf,
    },
    /// The host could not do to the VM what the scenario wants, so the run shows nothing.
    #[error(
        "the host failed to act on the VM ({action}, kernel {hop}): {why} (see qemu.log and console-{hop}.log in {logs})"
    )]
    Host {
        /// What it should have done.
        action: String,
        /// How many kexecs came before.
        hop: usize,
        /// Why not.
        why: String,
        /// The directory of the run's logs.
        logs: Utf8PathBuf,
    },
    /// The host was to act between two kernels, or before the end, and came too late, because it was too busy to see it in time.
    #[error(
        "the host failed to act on the VM ({action}, kernel {hop}): {why}, so it came too late (see qemu.log and console-{hop}.log in {logs})"
    )]
    TooLate {
        /// What it should have done.
        action: &'static str,
        /// How many kexecs came before.
        hop: usize,
        /// What had happened meanwhile.
        why: &'static str,
        /// The directory of the run's logs.
        logs: Utf8PathBuf,
    },
    /// DMA was to be witnessed, and the witness saw nothing.
    #[error("the DMA of the VM could not be witnessed: {why} (see qemu.log and events.jsonl in {logs})")]
    Witness {
        /// Why not.
        why: String,
        /// The directory of the run's logs.
        logs: Utf8PathBuf,
    },
    /// The control socket cannot lie in the system's temporary directory.
    #[error("{path} is too long for the paths of unix sockets\n  fix: set TMPDIR to a directory with a short path")]
    TempDir {
        /// That directory.
        path: Utf8PathBuf,
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
    /// A program that a scenario runs is not among the tree's selftests.
    #[error("{case} runs `{program}`, which the selftests of the tree do not have\n  fix: name one of: {known}")]
    NoProgram {
        /// The case's id.
        case: String,
        /// What it wants.
        program: String,
        /// What there is.
        known: String,
    },
    /// A module that a scenario loads is not among those of the kernel that runs then.
    #[error(
        "{case} loads the module `{module}`, which its kernel does not have\n  fix: name one of: {known}; `kernels:` names a variant that has modules, such as `current+modules`"
    )]
    NoModule {
        /// The case's id.
        case: String,
        /// What it wants.
        module: String,
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

impl From<Diagnostic> for HarnessError {
    fn from(one: Diagnostic) -> Self {
        Self::Project(one.into())
    }
}

/// Names the file in an error of the operating system.
pub(crate) fn io(action: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> HarnessError {
    let path = path.to_owned();
    move |source| HarnessError::Io { action, path, source }
}
