// SPDX-License-Identifier: GPL-2.0-only

//! The lower half of a `.patch`: git-style diffs of text files.
//!
//! Modification, deletion, renaming and a change of mode are understood, alone or together, as git writes them. A new
//! file is not: its content belongs into the tree under `kernel/`, where it can be read.

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Diagnostic, Result};
use crate::hunk::{Hunk, Line, Tag};

/// The edits of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// The file after the edit (before it, when it is deleted).
    pub path: Utf8PathBuf,
    /// Its name before, if that was another.
    pub renamed_from: Option<Utf8PathBuf>,
    /// Old and new mode, such as 0o100644, if they differ.
    pub modes: Option<(u32, u32)>,
    /// The file's mode when this deletes it.
    pub deleted: Option<u32>,
    /// In the order of the file.
    pub hunks: Vec<Hunk>,
    /// 1-based line of its `diff --git`; 0 when it did not come from a file.
    pub line: usize,
}

impl FileDiff {
    /// The file's name before the edit.
    pub fn old_path(&self) -> &Utf8Path {
        self.renamed_from.as_deref().unwrap_or(&self.path)
    }
}

/// Why a path cannot stand in a patch, if it cannot.
pub(crate) fn patch_path(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("empty path".to_owned());
    }
    if path.starts_with('/') {
        return Err(format!("absolute path: {path}"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(format!("escaping path: {path}"));
    }
    if path.split('/').any(|part| part.is_empty() || part == "." || part == ".git") {
        return Err(format!("not a plain path: {path}"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
        return Err(format!("a path with blanks, quotes or characters outside ASCII: {path}"));
    }
    Ok(())
}

/// Parses what follows the `---`; `first` is its line in the file.
pub(crate) fn parse_diffs(path: &Utf8Path, bytes: &[u8], first: usize) -> Result<Vec<FileDiff>> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let mut parser = Parser { path, lines, at: 0, first };
    let mut all: Vec<FileDiff> = Vec::new();
    while parser.peek().is_some() {
        let one = parser.file()?;
        if all.iter().any(|other| other.path == one.path) {
            let message = format!("two diffs of {}", one.path);
            return Err(Diagnostic::new(path, message, "put all hunks of a file under one `diff --git`")
                .at(one.line)
                .into());
        }
        all.push(one);
    }
    Ok(all)
}

struct Parser<'a> {
    path: &'a Utf8Path,
    lines: Vec<&'a [u8]>,
    at: usize,
    first: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        self.lines.get(self.at).copied()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.peek().unwrap_or_default()).trim_end().to_owned()
    }

    fn error<T>(&self, message: impl Into<String>, fix: &str) -> Result<T> {
        Err(Diagnostic::new(self.path, message, fix).at(self.first + self.at).into())
    }

    fn checked(&self, name: &str) -> Result<Utf8PathBuf> {
        match patch_path(name) {
            Ok(()) => Ok(name.into()),
            Err(why) => self.error(why, "name files by their path in the Linux tree, after `a/` and `b/`"),
        }
    }

    fn mode(&self, text: &str) -> Result<u32> {
        match text {
            "100644" => Ok(0o100_644),
            "100755" => Ok(0o100_755),
            _ => self.error(format!("mode {text} is not that of a regular file"), "keep links and submodules out"),
        }
    }

    fn file(&mut self) -> Result<FileDiff> {
        let line = self.first + self.at;
        let head = self.text();
        let Some((old, new)) = head.strip_prefix("diff --git a/").and_then(|names| names.split_once(" b/")) else {
            let fix = "put only git-style diffs after `---`, each beginning with `diff --git a/PATH b/PATH`";
            return self.error(format!("not a diff: {head}"), fix);
        };
        let old = self.checked(old)?;
        let path = self.checked(new)?;
        let mut file = FileDiff {
            renamed_from: (old != path).then(|| old.clone()),
            path,
            modes: None,
            deleted: None,
            hunks: Vec::new(),
            line,
        };
        self.at += 1;
        let named = self.extended(&mut file)?;
        if named != file.renamed_from.is_some() {
            self.at = line - self.first;
            return self
                .error(format!("the diff names {old} and {}", file.path), "add `rename from` and `rename to` lines");
        }
        if self.peek().is_some_and(|line| line.starts_with(b"--- ")) {
            let to = if file.deleted.is_some() { "/dev/null".to_owned() } else { format!("b/{}", file.path) };
            self.expect(&format!("--- a/{old}"))?;
            self.expect(&format!("+++ {to}"))?;
            while self.peek().is_some_and(|line| line.starts_with(b"@@ ")) {
                file.hunks.push(self.hunk()?);
            }
        }
        if file.hunks.is_empty() && file.modes.is_none() && file.deleted.is_none() && file.renamed_from.is_none() {
            return self.error(format!("the diff of {} changes nothing", file.path), "add its hunks, or remove it");
        }
        Ok(file)
    }

    /// The lines between `diff --git` and `---`; whether they name a renaming.
    fn extended(&mut self, file: &mut FileDiff) -> Result<bool> {
        let mut old_mode = None;
        let mut renames = 0;
        loop {
            let text = self.text();
            if let Some(mode) = text.strip_prefix("old mode ") {
                old_mode = Some(self.mode(mode)?);
            } else if let Some(mode) = text.strip_prefix("new mode ") {
                let new = self.mode(mode)?;
                file.modes = old_mode.map(|old| (old, new));
            } else if let Some(mode) = text.strip_prefix("deleted file mode ") {
                file.deleted = Some(self.mode(mode)?);
            } else if text.starts_with("new file mode ") {
                let message = format!("{} is new: new files are kept whole, not as diffs", file.path);
                let fix = format!("add the header `Adds: {}` and put the file under kernel/<phase>/", file.path);
                return self.error(message, &fix);
            } else if text.starts_with("copy from ") || text.starts_with("copy to ") {
                return self.error("copies are not understood", "add the copy as a new file with `Adds:`");
            } else if let Some(from) = text.strip_prefix("rename from ") {
                renames += usize::from(file.renamed_from.as_ref().is_some_and(|old| old == from));
            } else if let Some(to) = text.strip_prefix("rename to ") {
                renames += usize::from(file.path == to);
            } else if text.starts_with("Binary files ") || text.starts_with("GIT binary patch") {
                return self.error(format!("binary file: {}", file.path), "keep binary files out of the series");
            } else if !["index ", "similarity index ", "dissimilarity index "].iter().any(|s| text.starts_with(s)) {
                return Ok(renames == 2);
            }
            self.at += 1;
        }
    }

    fn expect(&mut self, wanted: &str) -> Result<()> {
        if self.text() != wanted {
            return self.error(format!("`{}` where `{wanted}` belongs", self.text()), "let the file names agree");
        }
        self.at += 1;
        Ok(())
    }

    fn hunk(&mut self) -> Result<Hunk> {
        let head = self.peek().unwrap_or_default();
        let Some((old, new, heading)) = ranges(head) else {
            return self
                .error(format!("`{}` is not a hunk header", self.text()), "write `@@ -line,count +line,count @@`");
        };
        let mut hunk =
            Hunk { at: self.first + self.at, old_start: old.0, new_start: new.0, heading, lines: Vec::new() };
        self.at += 1;
        let (mut left_old, mut left_new) = (old.1, new.1);
        while left_old > 0 || left_new > 0 {
            let line = self.peek().unwrap_or_default();
            let tag = match line.first() {
                Some(b' ') => Tag::Context,
                Some(b'-') => Tag::Remove,
                Some(b'+') => Tag::Add,
                // Editors strip the blank of an empty context line.
                Some(b'\n') => Tag::Context,
                _ => return self.count(&hunk),
            };
            if !line.ends_with(b"\n") {
                return self.error("the file ends in the middle of a line", "end the last line with a line feed");
            }
            let text = if line == b"\n" { line.to_vec() } else { line[1..].to_vec() };
            let (from_old, from_new) = (usize::from(tag != Tag::Add), usize::from(tag != Tag::Remove));
            if from_old > left_old || from_new > left_new {
                return self.count(&hunk);
            }
            left_old -= from_old;
            left_new -= from_new;
            hunk.lines.push(Line { tag, text });
            self.at += 1;
            self.no_newline(&mut hunk);
        }
        if self.peek().is_some_and(|line| matches!(line.first(), Some(b' ' | b'+' | b'-'))) {
            return self.count(&hunk);
        }
        Ok(hunk)
    }

    /// Takes a `\ No newline at end of file` after the last line read.
    fn no_newline(&mut self, hunk: &mut Hunk) {
        if self.peek().is_some_and(|line| line.starts_with(b"\\ ")) {
            if let Some(last) = hunk.lines.last_mut() {
                last.text.pop();
            }
            self.at += 1;
        }
    }

    fn count<T>(&self, hunk: &Hunk) -> Result<T> {
        let message = format!(
            "the hunk of line {} has other line counts than its header says (old {}, new {} so far)",
            hunk.at,
            hunk.old_lines(),
            hunk.new_lines()
        );
        self.error(message, "correct the header, or let `phasectl edit` and `refresh` write the file")
    }
}

type Range = (usize, usize);

/// `@@ -1,2 +3,4 @@ heading` as ((1, 2), (3, 4), " heading").
fn ranges(head: &[u8]) -> Option<(Range, Range, Vec<u8>)> {
    let rest = head.strip_prefix(b"@@ -")?;
    let end = rest.windows(3).position(|three| three == b" @@")?;
    let (old, new) = std::str::from_utf8(&rest[..end]).ok()?.split_once(" +")?;
    let range = |text: &str| -> Option<Range> {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let heading = rest[end + 3..].strip_suffix(b"\n").unwrap_or(&rest[end + 3..]);
    Some((range(old)?, range(new)?, heading.to_vec()))
}

pub(crate) fn print_diffs(out: &mut Vec<u8>, diffs: &[FileDiff]) {
    for file in diffs {
        print_head(out, file);
        for hunk in &file.hunks {
            let range = |start: usize, count: usize| match count {
                1 => format!("{start}"),
                _ => format!("{start},{count}"),
            };
            let old = range(hunk.old_start, hunk.old_lines());
            let new = range(hunk.new_start, hunk.new_lines());
            out.extend_from_slice(format!("@@ -{old} +{new} @@").as_bytes());
            out.extend_from_slice(&hunk.heading);
            out.push(b'\n');
            for line in &hunk.lines {
                out.push(match line.tag {
                    Tag::Context => b' ',
                    Tag::Remove => b'-',
                    Tag::Add => b'+',
                });
                out.extend_from_slice(&line.text);
                if !line.text.ends_with(b"\n") {
                    out.extend_from_slice(b"\n\\ No newline at end of file\n");
                }
            }
        }
    }
}

fn print_head(out: &mut Vec<u8>, file: &FileDiff) {
    let mut say = |text: String| out.extend_from_slice(text.as_bytes());
    let (old, new) = (file.old_path(), &file.path);
    say(format!("diff --git a/{old} b/{new}\n"));
    if let Some((before, after)) = file.modes {
        say(format!("old mode {before:06o}\nnew mode {after:06o}\n"));
    }
    if let Some(mode) = file.deleted {
        say(format!("deleted file mode {mode:06o}\n"));
    }
    if file.renamed_from.is_some() {
        say(format!("rename from {old}\nrename to {new}\n"));
    }
    if !file.hunks.is_empty() {
        let to = if file.deleted.is_some() { "/dev/null".to_owned() } else { format!("b/{new}") };
        say(format!("--- a/{old}\n+++ {to}\n"));
    }
}
