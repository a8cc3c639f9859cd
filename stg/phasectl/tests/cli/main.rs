// SPDX-License-Identifier: GPL-2.0-only

//! The command line from outside: a tiny project, a tiny Linux, a cleared environment, and what a user sees.
//!
//! Each snapshot holds exit code, standard output and standard error together. Object ids and temporary paths are
//! replaced, everything else is compared to the letter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod bisecting;
mod checking;
mod editing;
mod errors;
mod exporting;
mod handover;
mod knowing;
mod lab;
mod merging;
mod proving;
mod qemu;
mod reading;
mod sharding;
mod world;
