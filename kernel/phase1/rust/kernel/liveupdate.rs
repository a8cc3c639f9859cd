// SPDX-License-Identifier: GPL-2.0

//! The Live Update Orchestrator (LUO).
//!
//! A live update replaces the running kernel through kexec while userspace's most precious
//! resources live on. Userspace names these resources by file descriptors: it *preserves* a file
//! in a session of the old kernel and *retrieves* it from the same session in the new one.
//!
//! What a preserved file means is decided by the [`FileHandler`] that recognises it. The memory in
//! which a handler tells its successor what to rebuild is that of [`kho`](crate::kho).
//!
//! C header: [`include/linux/liveupdate.h`](srctree/include/linux/liveupdate.h)

mod file;

pub use self::file::{
    FileHandler,
    Handler,
    Outcome,
    Registration, //
};
