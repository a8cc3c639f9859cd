// SPDX-License-Identifier: GPL-2.0-only

//! Line numbers in a kernel's data. They are set to zero before a comparison: a patch that adds lines that the preprocessor drops moves
//! those below them, and that is no change of the code.
//!
//! - `__bug_table`: an entry of BUG() and WARN() is a few relative pointers, then the line (16 bits), then flags (16 bits).
//! - `core::panic::Location` of Rust: pointer and length of the file's name, line, column (32 bits each).
//! - What `KUnit`'s macros make: `struct kunit_loc`, a line (32 bits) before a pointer, which is `__loc` in C and `LOCATION` in Rust; and
//!   `static LINE: i32` in Rust.

use std::collections::BTreeMap;

use super::elf::{Elf, Fixup};

/// Sets line numbers in a section's contents to zero.
pub(super) fn mask(elf: &Elf<'_>, section: &str, names: &BTreeMap<u64, String>, fixups: &[Fixup], bytes: &mut [u8]) {
    if section == "__bug_table" {
        return bugs(fixups, bytes);
    }
    for fixup in fixups {
        if is_location(elf, fixup, bytes) {
            zero(bytes, fixup.at + 16, 8);
        }
    }
    for (at, name) in names {
        // Of a mangled path of Rust the end: the length of the last name, and the name. Of C `function.__loc.12`.
        if name.ends_with("4LINE") || name.ends_with("8LOCATION") || name.contains(".__loc") {
            zero(bytes, *at, 4);
        }
    }
}

fn bugs(fixups: &[Fixup], bytes: &mut [u8]) {
    const POINTER: u64 = 4;
    for (index, fixup) in fixups.iter().enumerate() {
        let next = fixup.at + POINTER;
        if fixups.get(index + 1).is_none_or(|following| following.at != next) {
            zero(bytes, next, 2);
        }
    }
}

/// Whether a `Location` begins at a pointer: the text that it leads to is the name of a Rust file of the length behind it.
fn is_location(elf: &Elf<'_>, fixup: &Fixup, bytes: &[u8]) -> bool {
    let length = usize::try_from(fixup.at + 8).ok().and_then(|at| bytes.get(at..at + 8)?.try_into().ok());
    let length = length.map(u64::from_le_bytes).and_then(|length| usize::try_from(length).ok());
    let (Some(length), Some(text)) = (length, elf.text(fixup)) else { return false };
    // With or without the NUL that it is stored with.
    let name = text.get(..length).or_else(|| (text.len() + 1 == length).then_some(text));
    name.is_some_and(|name| name.ends_with(b".rs"))
}

fn zero(bytes: &mut [u8], at: u64, length: usize) {
    let Ok(at) = usize::try_from(at) else { return };
    if let Some(line) = bytes.get_mut(at..at + length) {
        line.fill(0);
    }
}
