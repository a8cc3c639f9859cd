// SPDX-License-Identifier: GPL-2.0-only

//! Kernels of single commits, and the pipeline that runs everything.
//!
//! [`kbuild`] turns a commit of the cache's repository into a bootable image, once: the result is kept under a key of
//! everything that goes into it. [`check`] looks at a patch as a reviewer would, [`gate`] shows that a phase whose gates are off changes
//! nothing, [`handover`] says which kernel can take over from which. [`outcomes`] keeps what was found out about commits and kernels, under such
//! keys too; a [`shard`] is a part of such work. [`bisect`] searches the patch that broke something. [`proof`] keeps, in the repository, what
//! every patch was shown to do. [`pipeline`] is `cargo ci`: steps as data, timed, counted, resumable. Keys are made
//! by [`hash`](mod@hash).

pub mod bisect;
pub mod check;
pub mod gate;
pub mod handover;
pub mod hash;
pub mod kbuild;
pub mod outcomes;
pub mod pipeline;
pub mod proof;
pub mod shard;
