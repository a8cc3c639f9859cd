// SPDX-License-Identifier: GPL-2.0-only

//! Host tests of the kernel's pure modules.
//!
//! What parses the hand-over of another kernel, and what judges it, needs nothing but `core`, so the very files that are
//! built into the kernel are included here by path and tested in seconds, with inputs that no kernel would write.
//!
//! Each crate of the kernel has one test target here, a directory of `tests` with the name of the crate. Its `main.rs`
//! declares the included files as modules of the same names as in the kernel, so that `crate::handover` is the same thing
//! in both. A further crate needs a further directory and nothing else.
//!
//! What all of them need is in this library: the driver of the fuzz runs.

pub mod fuzz;
