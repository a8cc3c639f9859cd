// SPDX-License-Identifier: GPL-2.0-only

//! What was done to a record whose bytes are not those that were written.
//!
//! The hash tells right from wrong, and the record of the next patch has a copy of it. So whatever makes a hash fit is what was there: lines that
//! end otherwise, another hash, the lines that can be derived as the repository has them, or another byte in those that cannot.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Subject;
use super::record::{END, HASH, continues, fits, split};
use crate::hash::sha256;

/// The first line of what cannot be derived.
const MADE: &str = "  \"toolchain\": ";

/// How many bytes of a record's end may differ for it to be the end of these lines all the same. Half of a hash fits by chance nowhere.
const NEAR: usize = 32;

/// What is known of a record from elsewhere. With it, the place of a change is found.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What the repository says.
    pub subject: &'a Subject,
    /// The hash of the record before, `Some(None)` if there is none; `None` if that is not known.
    pub parent: Option<Option<&'a str>>,
    /// What the next record says that it continues.
    pub next: Option<&'a str>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The first line that is, or may be, wrong; 1-based.
    pub line: usize,
    /// What is known about it.
    pub what: String,
    /// The hash that the record had before, if that is known.
    pub hash: Option<String>,
}

/// What was done to a file whose hash does not fit.
pub(super) fn find(text: &[u8], known: &Known<'_>) -> Damage {
    line_ends(text, known).or_else(|| end(text, known.next)).unwrap_or_else(|| lines(text, known))
}

/// Whether lines end otherwise than they were written.
fn line_ends(text: &[u8], known: &Known<'_>) -> Option<Damage> {
    let all: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let returns = all.iter().filter(|line| line.ends_with(b"\r\n")).count();
    let newline = text.ends_with(b"\n");
    let mut plain = Vec::with_capacity(text.len() + 1);
    for line in &all {
        match line.strip_suffix(b"\r\n") {
            Some(line) => plain.extend([line, b"\n"].concat()),
            None => plain.extend_from_slice(line),
        }
    }
    if !newline {
        plain.push(b'\n');
    }
    let first = all.iter().position(|line| line.ends_with(b"\r\n")).map_or(all.len(), |index| index + 1);
    let returned = match returns {
        0 => None,
        1 => Some("this line ends with a carriage return and a line feed (CRLF), not with a line feed alone"),
        _ => Some("its lines end with a carriage return and a line feed (CRLF), not with a line feed alone"),
    };
    let mut what = returned.unwrap_or_default().to_owned();
    if !newline {
        what.push_str(if returns > 0 {
            ", and there is no newline at its end"
        } else {
            "there is no newline at its end"
        });
    }
    if let Some(hash) = fits(&plain) {
        return Some(Damage { line: first, what, hash: Some(hash) });
    }
    // Whoever has turned all of them may have changed something else besides.
    (returns > 1 && returns + usize::from(!newline) >= all.len()).then(|| {
        let Damage { line, what: besides, hash } = find(&plain, known);
        Damage { line: first, what: format!("{what}; with line feeds alone, line {line}: {besides}"), hash }
    })
}

/// Whether the lines above the hash are right, and the hash or what follows it is not.
fn end(text: &[u8], next: Option<&str>) -> Option<Damage> {
    let newlines = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    newlines.chain([text.len()]).take(5).find_map(|at| {
        let (body, wrong) = text.split_at(at);
        let hash = sha256(body);
        let right = format!("{HASH}{hash}{END}");
        let same = common(wrong.iter(), right.as_bytes().iter());
        let behind = common(wrong[same.min(wrong.len())..].iter().rev(), right.as_bytes()[same..].iter().rev());
        if right.len() - same - behind > NEAR && next != Some(&hash) {
            return None;
        }
        let (line, column) = line_column(text, at + same);
        let byte = at + same + 1;
        let what = if right[..same].contains('\n') {
            format!("byte {byte} (column {column}) is wrong: behind the line of the hash there is one with `}}`, and nothing else")
        } else {
            let line = format!("{HASH}{hash}\"");
            format!("byte {byte} (column {column}) was changed, in the record's own hash: the line was {}", line.trim())
        };
        Some(Damage { line, what, hash: Some(hash) })
    })
}

/// How many of the first bytes are the same.
fn common<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

/// What is wrong in the lines above the hash.
fn lines(text: &[u8], known: &Known<'_>) -> Damage {
    let Some((body, stored)) = split(text) else {
        let what = "it does not end with the line of its hash and a `}`".to_owned();
        return Damage { line: count(text).max(1), what, hash: None };
    };
    let hash = std::str::from_utf8(stored).ok().map(str::to_owned);
    if let Some((line, what)) = place(body, stored, known) {
        return Damage { line, what, hash };
    }
    let line = count(body) + 1;
    let other = "the SHA-256 of the lines above is another one";
    if known.next.is_some() && known.next == hash.as_deref() {
        return Damage { line, what: format!("{other}: they were changed, in more than one byte"), hash };
    }
    let what = format!("{other}: the record was changed, here or in several places");
    Damage { line, what, hash: None }
}

/// The one place above the hash that was changed.
fn place(body: &[u8], stored: &[u8], known: &Known<'_>) -> Option<(usize, String)> {
    let said = Some(continues(body));
    let mut parents = vec![known.parent.or(said).flatten()];
    parents.extend(said.filter(|said| !parents.contains(said)));
    let mut unchanged = None;
    for parent in parents {
        let derived = derivable(known.subject, parent);
        let whole = body.starts_with(derived.as_bytes()).then_some(derived.len());
        unchanged = unchanged.or(whole);
        let (head, made) = body.split_at(whole.unwrap_or_else(|| made(body)));
        if sha256([derived.as_bytes(), made].concat()).as_bytes() == stored {
            let at = common(head.iter(), derived.as_bytes().iter());
            let (line, column) = line_column(head, at);
            let was = derived.lines().nth(line - 1).unwrap_or_default().trim();
            return Some((line, format!("byte {} (column {column}) was changed: the line was {was}", at + 1)));
        }
    }
    let (head, made) = body.split_at(unchanged.unwrap_or_else(|| made(body)));
    let (at, byte) = search(head, made, stored)?;
    let (line, column) = line_column(body, at);
    let was = char::from(byte).escape_default();
    Some((line, format!("byte {} (column {column}) was changed: it was `{was}`", at + 1)))
}

/// Where that begins that cannot be derived.
fn made(body: &[u8]) -> usize {
    body.windows(MADE.len()).position(|bytes| bytes == MADE.as_bytes()).unwrap_or(body.len())
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

/// The bytes of a hash.
fn bytes(hash: &str) -> Option<Vec<u8>> {
    let pairs = (0..hash.len()).step_by(2).map(|at| u8::from_str_radix(hash.get(at..at + 2)?, 16).ok());
    pairs.collect()
}

/// How many lines there are.
fn count(text: &[u8]) -> usize {
    text.split_inclusive(|&byte| byte == b'\n').count()
}

/// Line and column of a byte, 1-based.
fn line_column(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    (before.iter().filter(|&&byte| byte == b'\n').count() + 1, at - start + 1)
}
