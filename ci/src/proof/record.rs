// SPDX-License-Identifier: GPL-2.0-only

//! A record as a file.
//!
//! The last line but one holds the SHA-256 of every byte before it, so that nobody needs this program to derive it:
//!
//! ```text
//! head -n -2 proofs/phase1/kho-rust.json | sha256sum
//! ```

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Made, Record, Subject, Tools};
use crate::hash::sha256;

/// How the line with the hash begins.
const HASH: &str = "  \"hash\": \"";
/// What follows the hash.
const END: &str = "\"\n}\n";
/// The first line of what cannot be derived.
const MADE: &str = "  \"toolchain\": ";

/// The bytes of a hash.
fn bytes(hash: &str) -> Option<Vec<u8>> {
    let pairs = (0..hash.len()).step_by(2).map(|at| u8::from_str_radix(hash.get(at..at + 2)?, 16).ok());
    pairs.collect()
}

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
    Sound {
        /// What it says.
        record: Box<Record>,
        /// Its hash.
        hash: String,
    },
    /// They are not.
    Changed {
        /// The first line that is, or may be, wrong; 1-based.
        line: usize,
        /// What is known about it.
        what: String,
    },
}

/// Reads a file, whatever its bytes are. `expected` is what the repository says, and the hash of the record before; with it, the place of a
/// change is found.
pub fn read(text: &[u8], expected: &Subject, parent: Option<&str>) -> Read {
    let changed = |line, what: String| Read::Changed { line, what };
    let Some((body, stored)) = split(text) else {
        return changed(lines(text).max(1), "it does not end with the line of its hash and a `}`".to_owned());
    };
    let hash = sha256(body);
    if hash.as_bytes() != stored {
        let (line, what) = place(body, stored, expected, parent);
        return changed(line, what);
    }
    match serde_json::from_slice(text) {
        Ok(record) => Read::Sound { record: Box::new(record), hash },
        Err(error) => changed(error.line(), format!("it is no record: {error}")),
    }
}

/// The hash that a file has in it, right or wrong; nothing if it is no text.
pub fn stored(text: &[u8]) -> Option<&str> {
    split(text).and_then(|(_, stored)| std::str::from_utf8(stored).ok())
}

/// What is hashed, and the hash.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_suffix(END.as_bytes())?;
    let at = text.windows(HASH.len()).rposition(|bytes| bytes == HASH.as_bytes())?;
    Some((&text[..at], &text[at + HASH.len()..]))
}

/// How many lines there are.
fn lines(text: &[u8]) -> usize {
    text.split_inclusive(|&byte| byte == b'\n').count()
}

/// Where a file was changed whose hash does not fit: the line, and what is known about it.
///
/// The hash tells right from wrong. So whatever makes it fit is what was there: with the lines that can be derived as the repository has them, or
/// with another byte in those that cannot.
fn place(body: &[u8], stored: &[u8], expected: &Subject, parent: Option<&str>) -> (usize, String) {
    let derived = derivable(expected, parent);
    let whole = body.starts_with(derived.as_bytes()).then_some(derived.len());
    let marked = || body.windows(MADE.len()).position(|bytes| bytes == MADE.as_bytes());
    let (head, made) = body.split_at(whole.or_else(marked).unwrap_or(body.len()));
    if sha256([derived.as_bytes(), made].concat()).as_bytes() == stored {
        let at = head.iter().zip(derived.as_bytes()).position(|(one, other)| one != other);
        let at = at.unwrap_or(head.len().min(derived.len()));
        let (line, column) = line_column(head, at);
        let was = derived.lines().nth(line - 1).unwrap_or_default().trim();
        return (line, format!("byte {} (column {column}) was changed: the line was {was}", at + 1));
    }
    if let Some((at, byte)) = search(head, made, stored) {
        let (line, column) = line_column(body, at);
        let was = char::from(byte).escape_default();
        return (line, format!("byte {} (column {column}) was changed: it was `{was}`", at + 1));
    }
    let last = lines(body) + 1;
    let what = "the SHA-256 of the lines above is another one: the record was changed, here or in several places";
    (last, what.to_owned())
}

/// The beginning of a record, up to what cannot be derived.
fn derivable(subject: &Subject, parent: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Derivable<'a> {
        #[serde(flatten)]
        subject: &'a Subject,
        parent: Option<&'a str>,
    }
    let json = serde_json::to_string_pretty(&Derivable { subject, parent }).unwrap_or_default();
    format!("{},\n", json.trim_end_matches('}').trim_end())
}

/// The byte of `made`, behind `head`, with another value of which the hash fits: its place in both, and that value.
fn search(head: &[u8], made: &[u8], stored: &[u8]) -> Option<(usize, u8)> {
    let stored = bytes(std::str::from_utf8(stored).ok()?)?;
    let mut before = Sha256::new_with_prefix(head);
    for (at, &here) in made.iter().enumerate() {
        for byte in (0..=u8::MAX).filter(|&byte| byte != here) {
            let hasher = before.clone().chain_update([byte]).chain_update(&made[at + 1..]);
            if *hasher.finalize() == *stored {
                return Some((head.len() + at, byte));
            }
        }
        before.update([here]);
    }
    None
}

/// Line and column of a byte, 1-based.
fn line_column(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    (before.iter().filter(|&&byte| byte == b'\n').count() + 1, at - start + 1)
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
