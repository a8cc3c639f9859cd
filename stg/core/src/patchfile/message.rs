// SPDX-License-Identifier: GPL-2.0-only

//! The upper half of a `.patch`: headers and body.
//!
//! The rules for the text are those of `git am`, read backwards: what it would strip or take for something else may not
//! be written in the first place. (`git-mailinfo` cuts `[...]` and `Re:` from subjects, ends the message at `---`, at
//! `diff -` and at `Index: `, and takes `From:`, `Subject:` and `Date:` on the first line of a body for headers.)

use camino::Utf8Path;

use super::{Header, Kind, PatchFile, parse_diffs, patch_path};
use crate::error::{Diagnostic, Result, check};

pub(super) fn parse(path: &Utf8Path, bytes: &[u8], kind: Kind) -> Result<PatchFile> {
    if let Some(nul) = bytes.iter().position(|&byte| byte == 0) {
        let line = bytes[..nul].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let fix = "keep binary files out of the series";
        return Err(Diagnostic::new(path, "binary file: a NUL byte in a patch", fix).at(line).into());
    }
    let mut found = Vec::new();
    let (upper, lower, lower_line) = split(bytes);
    let text = std::str::from_utf8(upper).map_err(|error| {
        let line = upper[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Diagnostic::new(path, "the message is not UTF-8", "save the message as UTF-8").at(line)
    })?;

    let mut headers = Vec::new();
    let mut line = 0;
    let mut rest = text;
    while let Some((first, after)) = rest.split_once('\n') {
        line += 1;
        rest = after;
        if first.is_empty() {
            break;
        }
        header(path, line, first, kind, &mut headers, &mut found);
    }
    if !headers.iter().any(|header| header.name == "Subject") {
        found.push(Diagnostic::new(path, "empty message: no `Subject:`", "begin the file with `Subject: ...`").at(1));
    }
    check_body(path, line + 1, rest, &mut found);
    check(found)?;
    let diffs = parse_diffs(path, lower, lower_line)?;
    Ok(PatchFile { headers, body: rest.to_owned(), body_line: line + 1, diffs })
}

/// The message, the diffs, and the line at which the diffs begin.
fn split(bytes: &[u8]) -> (&[u8], &[u8], usize) {
    let mut at = 0;
    for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii_end() == b"---" {
            return (&bytes[..at], &bytes[at + line.len()..], number + 2);
        }
        at += line.len();
    }
    (bytes, &[], 0)
}

fn header(
    path: &Utf8Path,
    line: usize,
    text: &str,
    kind: Kind,
    headers: &mut Vec<Header>,
    found: &mut Vec<Diagnostic>,
) {
    let known = kind.headers();
    let Some((name, value)) = text.split_once(':').filter(|(name, _)| known.contains(name)) else {
        let message = format!("unknown header `{}`", text.split(':').next().unwrap_or(text));
        let fix = format!("use {}, then an empty line before the body", known.join(", "));
        found.push(Diagnostic::new(path, message, fix).at(line));
        return;
    };
    let value = value.trim();
    match name {
        "Subject" => check_subject(path, line, value, found),
        "Adds" => {
            if let Err(why) = patch_path(value) {
                let fix = "write the path as it is in the Linux tree, such as `rust/kernel/kho.rs`";
                found.push(Diagnostic::new(path, why, fix).at(line));
            }
            if let Some(first) = headers.iter().find(|header| header.name == "Adds" && header.value == value) {
                let message = format!("file added twice: {value} (first on line {})", first.line);
                found.push(Diagnostic::new(path, message, "remove one of the two lines").at(line));
            }
        }
        _ => {}
    }
    if name != "Adds" && headers.iter().any(|header| header.name == name) {
        found.push(Diagnostic::new(path, format!("a second `{name}:`"), "keep one of them").at(line));
    }
    headers.push(Header { name: name.to_owned(), value: value.to_owned(), line });
}

pub(super) fn check_subject(path: &Utf8Path, line: usize, subject: &str, found: &mut Vec<Diagnostic>) {
    let message = if subject.is_empty() {
        "empty message: the subject is empty"
    } else if subject.starts_with('[') || subject.to_ascii_lowercase().starts_with("re:") {
        "`git am` would cut the subject's beginning (`[...]` or `Re:`)"
    } else {
        return;
    };
    found.push(Diagnostic::new(path, message, "write `Subject: subsystem: what the patch does`").at(line));
}

pub(super) fn check_body(path: &Utf8Path, first: usize, body: &str, found: &mut Vec<Diagnostic>) {
    let is_trailer = |line: &str| {
        line.split_once(": ").is_some_and(|(name, _)| name.ends_with("-by") && !name.contains(char::is_whitespace))
    };
    if body.lines().all(|line| line.trim().is_empty() || is_trailer(line)) {
        let fix = "say under the subject, after an empty line, why the change is needed";
        found.push(Diagnostic::new(path, "empty message: the body is empty", fix).at(first));
        return;
    }
    if body.starts_with('\n') || !body.ends_with('\n') || body.ends_with("\n\n") {
        let message = "the body begins or ends with an empty line, or its last line has no end";
        let fix = "leave exactly one empty line before the body and none after it";
        found.push(Diagnostic::new(path, message, fix).at(first));
    }
    for (number, line) in body.lines().enumerate() {
        let header = number == 0 && ["From:", "Subject:", "Date:"].iter().any(|name| line.starts_with(name));
        let end = ["diff -", "Index: ", "--- "].iter().any(|start| line.starts_with(start)) || line.trim_end() == "---";
        if header || end || line.starts_with("From ") {
            let message = "`git am` would not take this line as part of the message";
            let fix = "indent it, or put diffs after a line `---`";
            found.push(Diagnostic::new(path, message, fix).at(first + number));
        }
    }
}
