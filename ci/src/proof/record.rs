// SPDX-License-Identifier: GPL-2.0-only

//! A record as a file.
//!
//! The last line but one holds the SHA-256 of every byte before it, so that nobody needs this program to derive it:
//!
//! ```text
//! head -n -2 proofs/phase1/kho-rust.json | sha256sum
//! ```

use super::damage::{self, Damage, Known};
use super::{Made, Proved, Record, Tools};
use crate::hash::sha256;

/// How the line with the hash begins.
pub(super) const HASH: &str = "  \"hash\": \"";
/// What follows the hash.
pub(super) const END: &str = "\"\n}\n";
/// How the line begins that says which record it continues.
const PARENT: &str = "  \"parent\": \"";

impl Record {
    /// Text and hash of its file.
    pub fn write(&self) -> (String, String) {
        // Plain strings and numbers can always be written.
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        let body = format!("{},\n", json.trim_end_matches('}').trim_end());
        let hash = sha256(&body);
        (format!("{body}{HASH}{hash}{END}"), hash)
    }
}

/// What could be read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Its bytes are those that were written.
    Sound(Box<Proved>),
    /// They are not.
    Changed(Damage),
}

impl Read {
    /// The hash that the record has, or had before it was changed, if that is known. The next record continues it.
    pub fn hash(&self) -> Option<&str> {
        match self {
            Self::Sound(proved) => Some(&proved.hash),
            Self::Changed(damage) => damage.hash.as_deref(),
        }
    }
}

/// Reads a file, whatever its bytes are.
pub fn read(text: &[u8], known: &Known<'_>) -> Read {
    let Some(hash) = fits(text) else { return Read::Changed(damage::find(text, known)) };
    match serde_json::from_slice(text) {
        Ok(record) => Read::Sound(Box::new(Proved { record, hash })),
        Err(error) => {
            let what = format!("it is no record: {error}");
            Read::Changed(Damage { line: error.line(), what, hash: Some(hash) })
        }
    }
}

/// The record in a file, if its bytes are those that were written.
pub fn sound(text: &[u8]) -> Option<Proved> {
    let hash = fits(text)?;
    Some(Proved { record: serde_json::from_slice(text).ok()?, hash })
}

/// Which record one says that it continues, whether or not its own bytes are right.
pub fn continues(text: &[u8]) -> Option<&str> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(PARENT.as_bytes()))?;
    std::str::from_utf8(line).ok()?.split('"').next()
}

/// The hash of a file, if it is the one that it has in it.
pub(super) fn fits(text: &[u8]) -> Option<String> {
    let (body, stored) = split(text)?;
    Some(sha256(body)).filter(|hash| hash.as_bytes() == stored)
}

/// What is hashed, and the hash.
pub(super) fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_suffix(END.as_bytes())?;
    let at = text.windows(HASH.len()).rposition(|bytes| bytes == HASH.as_bytes())?;
    Some((&text[..at], &text[at + HASH.len()..]))
}

impl Made {
    /// The tools that are others on this machine: their names, what was used, and what is here.
    pub fn others<'a>(&'a self, here: &'a Tools) -> Vec<(&'static str, &'a str, &'a str)> {
        let tools = &self.tools;
        let all = [
            ("toolchain", &tools.toolchain, &here.toolchain),
            ("QEMU", &tools.qemu, &here.qemu),
            ("harness", &tools.harness, &here.harness),
        ];
        all.into_iter()
            .filter(|(_, one, other)| one != other)
            .map(|(what, one, other)| (what, &**one, &**other))
            .collect()
    }
}
