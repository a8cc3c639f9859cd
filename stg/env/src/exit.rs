// SPDX-License-Identifier: GPL-2.0-only

//! The exit codes, which are part of the command line's contract: scripts and `git bisect run` depend on them.
//!
//! 100 to 103 say that the tool worked and the subject failed; 110 that the machine is at fault, 125 that this revision
//! cannot be judged at all (`git bisect run` skips it).

/// Everything went as asked.
pub const OK: i32 = 0;
/// An error that has no class of its own.
pub const OTHER: i32 = 1;
/// The command line was wrong (clap's code), or names what does not exist.
pub const USAGE: i32 = 2;
/// A scenario ran and failed.
pub const TEST_FAILED: i32 = 100;
/// A kernel did not build.
pub const BUILD_FAILED: i32 = 101;
/// A check of a patch failed.
pub const CHECK_FAILED: i32 = 102;
/// The two kernels do not agree about the hand-over.
pub const ABI_MISMATCH: i32 = 103;
/// The environment is missing something; `phasectl doctor` says what.
pub const ENVIRONMENT: i32 = 110;
/// This revision cannot be tested.
pub const UNTESTABLE: i32 = 125;
/// `bisect-step` could not even try: `git bisect run` stops.
pub const ABORT: i32 = 128;
