// SPDX-License-Identifier: GPL-2.0-only

//! The staged-series engine: from the project's files to commits, and back.
//!
//! New kernel files live whole under `kernel/`, edits and messages in `phases/*/*.patch`, the order in `phase.yaml`.
//! [`assemble()`] turns (base, files) into a line of commits and is a pure function: the same ids on every machine for
//! the same base. [`edit`] goes the other way, from a worktree to the files, and proves before it writes that the result
//! assembles. [`export`] prints a series as mails. Everything else serves these three:
//!
//! 1. [`yaml`], [`manifest`], [`patchfile`] and [`graph`] read what people write, [`stack`] holds it, checked. [`names`] helps who mistypes one.
//! 2. [`hunk`] puts edits on and takes them off, without guessing.
//! 3. [`git`] is the only module that knows git; [`base`] obtains the tree to build on.

pub mod assemble;
pub mod base;
pub mod edit;
pub mod error;
pub mod export;
pub mod git;
pub mod graph;
pub mod hunk;
pub mod manifest;
pub mod names;
pub mod patchfile;
pub mod source;
pub mod stack;
pub mod yaml;

#[cfg(test)]
mod testing;

pub use assemble::{Assembled, AssembledPatch, Fault, assemble};
pub use base::{Base, Origin};
pub use error::{Diagnostic, Error, Result};
pub use source::{Disk, Source};
pub use stack::{Phase, Stack, Target};
