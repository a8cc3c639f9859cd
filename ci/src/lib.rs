// SPDX-License-Identifier: GPL-2.0-only

//! Kernels of single commits, and the pipeline that runs everything.
//!
//! [`kbuild`] turns a commit of the cache's repository into a bootable image, once: the result is kept under a key of
//! everything that goes into it. [`outcomes`] keeps what was found out about commits and kernels, under such keys too; a [`shard`] is a part of
//! such work. [`handover`] says which kernel can take over from which. [`bisect`] searches the patch that broke something. [`pipeline`] is
//! `cargo ci`: steps as data, timed, counted, resumable.

pub mod bisect;
pub mod handover;
pub mod kbuild;
pub mod outcomes;
pub mod pipeline;
pub mod shard;
