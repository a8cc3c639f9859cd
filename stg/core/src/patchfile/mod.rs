// SPDX-License-Identifier: GPL-2.0-only

//! The `.patch` file: a message, the files it adds, and its edits to files that exist already.
//!
//! ```text
//! Subject: rust: kho: add abstractions for preserved memory
//! Adds: rust/kernel/kho.rs
//!
//! KHO hands memory to the next kernel ...
//! ---
//! diff --git a/rust/kernel/lib.rs b/rust/kernel/lib.rs
//! --- a/rust/kernel/lib.rs
//! +++ b/rust/kernel/lib.rs
//! @@ -1,3 +1,4 @@
//! ```
//!
//! A body that a mail tool would read differently (a `---` of its own, a `From:` on its first line, a subject in
//! brackets) is refused here, since the same text becomes a mail later and must come back from `git am` unchanged. What
//! [`PatchFile::print`] writes, [`PatchFile::parse`] reads back exactly; `index` and `similarity` lines of pasted diffs
//! are read and not kept, because they repeat what the hunks say.

mod diff;
mod message;

use camino::{Utf8Path, Utf8PathBuf};

pub use self::diff::FileDiff;
pub(crate) use self::diff::{parse_diffs, patch_path, print_diffs};
use crate::error::{Diagnostic, Result};

/// One header line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `Subject`, `Adds`, or one that the reader allowed.
    pub name: String,
    /// Without surrounding blanks.
    pub value: String,
    /// 1-based line in the file.
    pub line: usize,
}

/// Which headers a kind of .patch may have beside `Subject` and `Adds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A patch of a phase: nothing more.
    Phase,
    /// A planted fault: `Phase`, `Scenario`, `Row` and `Expect`, once each, and `Finding` for some.
    Fault,
}

impl Kind {
    fn headers(self) -> &'static [&'static str] {
        match self {
            Self::Phase => &["Subject", "Adds"],
            Self::Fault => &["Subject", "Adds", "Phase", "Scenario", "Row", "Expect", "Finding"],
        }
    }
}

/// A parsed `.patch` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchFile {
    /// In the order of the file.
    pub headers: Vec<Header>,
    /// The text between the headers and the `---`, verbatim, ending with a line feed.
    pub body: String,
    /// 1-based line of the body's first line.
    pub body_line: usize,
    /// The edits.
    pub diffs: Vec<FileDiff>,
}

impl PatchFile {
    /// A new one, from a commit message's two parts.
    pub fn new(subject: &str, adds: &[Utf8PathBuf], body: &str, diffs: Vec<FileDiff>) -> Self {
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned(), line: 0 };
        let mut headers = vec![header("Subject", subject)];
        headers.extend(adds.iter().map(|path| header("Adds", path.as_str())));
        Self { headers, body: body.to_owned(), body_line: 0, diffs }
    }

    /// Parses a file; `path` is for messages.
    ///
    /// # Errors
    /// Every mistake of the first part of the file that has any.
    pub fn parse(path: &Utf8Path, bytes: &[u8], kind: Kind) -> Result<Self> {
        message::parse(path, bytes, kind)
    }

    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&Header> {
        self.headers.iter().find(|header| header.name == name)
    }

    /// The subject line.
    pub fn subject(&self) -> &str {
        self.header("Subject").map_or("", |header| &header.value)
    }

    /// The files it adds, with the lines that say so.
    pub fn adds(&self) -> impl Iterator<Item = (&Utf8Path, usize)> {
        self.headers.iter().filter(|header| header.name == "Adds").map(|h| (Utf8Path::new(&h.value), h.line))
    }

    /// The commit message that it becomes: subject, empty line, body.
    pub fn message(&self) -> String {
        format!("{}\n\n{}", self.subject(), self.body)
    }

    /// The last `Signed-off-by:` of the body, and its line in the file (the body's last line when there is none).
    pub fn last_sign_off(&self) -> (Option<&str>, usize) {
        let lines = || self.body.lines().enumerate();
        let signed = lines().filter_map(|(n, line)| Some((n, line.strip_prefix("Signed-off-by:")?.trim())));
        let last = lines().filter(|(_, line)| !line.is_empty()).last().map_or(0, |(n, _)| n);
        match signed.last() {
            Some((n, who)) => (Some(who), self.body_line + n),
            None => (None, self.body_line + last),
        }
    }

    /// The file's bytes.
    pub fn print(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for header in &self.headers {
            out.extend_from_slice(format!("{}: {}\n", header.name, header.value).as_bytes());
        }
        out.push(b'\n');
        out.extend_from_slice(self.body.as_bytes());
        if !self.diffs.is_empty() {
            out.extend_from_slice(b"---\n");
            print_diffs(&mut out, &self.diffs);
        }
        out
    }
}

/// A message from a commit, split into what a `.patch` keeps.
///
/// # Errors
/// An empty subject or body, or a text that mail would change.
pub fn split_message(path: &Utf8Path, commit_message: &str) -> Result<(String, String)> {
    let (subject, body) = commit_message.split_once('\n').unwrap_or((commit_message, ""));
    let mut body = body.trim_matches('\n').to_owned();
    body.push('\n');
    let mut found: Vec<Diagnostic> = Vec::new();
    message::check_subject(path, 1, subject.trim(), &mut found);
    message::check_body(path, 3, &body, &mut found);
    crate::error::check(found)?;
    Ok((subject.trim().to_owned(), body))
}

#[cfg(test)]
mod tests;
