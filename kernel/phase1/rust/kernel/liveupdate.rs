// SPDX-License-Identifier: GPL-2.0

//! The Live Update Orchestrator (LUO).
//!
//! A live update replaces the running kernel through kexec while userspace's most precious
//! resources live on. Userspace names these resources by file descriptors: it *preserves* a file
//! in a session of the old kernel and *retrieves* it from the same session in the new one.
//!
//! What a preserved file means is decided by the [`FileHandler`] that recognises it. What files
//! have in common, and none of them owns, is described by an [`FlbOps`]. The memory in which these
//! tell their successors what to rebuild is that of [`kho`](crate::kho).
//!
//! C header: [`include/linux/liveupdate.h`](srctree/include/linux/liveupdate.h)

use crate::prelude::*;

mod file;
mod flb;

pub use self::{
    file::{
        FileHandler,
        Handler,
        Outcome,
        Registration, //
    },
    flb::{
        Flb,
        FlbOps,
        Incoming,
        Outgoing, //
    }, //
};

/// Turns a compatible string into the form of a C struct. Too long a string does not compile.
const fn compatible<const N: usize>(string: &CStr) -> [crate::ffi::c_char; N] {
    let mut array = [0; N];
    let bytes = string.to_bytes();

    assert!(!bytes.is_empty(), "the compatible string is empty");
    assert!(
        bytes.len() < array.len(),
        "the compatible string does not fit, NUL included"
    );

    let mut i = 0;
    while i < bytes.len() {
        array[i] = bytes[i];
        i += 1;
    }
    array
}
