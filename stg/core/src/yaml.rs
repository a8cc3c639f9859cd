// SPDX-License-Identifier: GPL-2.0-only

//! Reading the project's YAML: its mistakes as diagnostics, and the places of values that were read.
//!
//! Manifests, scenarios and topologies all come through [`read`], so that a misspelt field looks the same wherever it is.

use camino::Utf8Path;
use serde::de::DeserializeOwned;

use crate::error::{Diagnostic, Result};
use crate::source::Source;

/// How the complaint about a row without quotes begins.
pub(crate) const UNQUOTED: &str = "this row is not quoted: YAML";

/// A file of the project as text and as a value.
///
/// # Errors
/// A missing file, one that is not UTF-8, bad YAML, unknown or wrong fields.
pub fn read<T: DeserializeOwned>(source: &dyn Source, path: &Utf8Path) -> Result<(String, T)> {
    let Some(file) = source.read(path)? else {
        return Err(Diagnostic::new(path, "missing file", "put it back, it belongs to the project").into());
    };
    let text = String::from_utf8(file.bytes)
        .map_err(|_| Diagnostic::new(path, "bad YAML: not UTF-8", "save the file as UTF-8"))?;
    let value = serde_yaml::from_str(&text).map_err(|error| explain(path, &error))?;
    Ok((text, value))
}

/// What the reader said, with a place and a fix.
fn explain(path: &Utf8Path, error: &serde_yaml::Error) -> Diagnostic {
    let said = error.to_string();
    let place = error.location();
    let message = match place.as_ref() {
        Some(place) => said
            .replace(&format!(" at line {} column {}", place.line(), place.column()), "")
            .replace(&format!(" at line {}, column {}", place.line(), place.column()), ""),
        None => said,
    };
    let fix = if message.contains("unknown field") {
        nearest(&message).map_or_else(
            || "remove the field, or correct its name".to_owned(),
            |name| format!("remove the field, or write `{name}` if that was meant"),
        )
    } else if message.contains("unknown variant") {
        nearest(&message).map_or_else(
            || "write one of those names".to_owned(),
            |name| format!("write `{name}` if that was meant, else one of the others"),
        )
    } else if message.contains("missing field") {
        "add the field".to_owned()
    } else if message.contains(UNQUOTED) {
        "put the row into quotes, as in rows: [\"1.1\", \"1.10\"]".to_owned()
    } else {
        "correct the YAML at this place".to_owned()
    };
    let bad = [
        "unknown field",
        "unknown variant",
        "missing field",
        UNQUOTED,
        "duplicate field",
        "invalid type",
        "is not a row",
    ];
    let message =
        if bad.iter().any(|known| message.contains(known)) { message } else { format!("bad YAML: {message}") };
    let at = Diagnostic::new(path, message, fix);
    match place {
        Some(place) => at.at(place.line()).column(Some(place.column())),
        None => at,
    }
}

/// The known name that shares the longest beginning with the unknown one, from the message
/// "unknown field `x`, expected one of `a`, `b`".
fn nearest(message: &str) -> Option<&str> {
    let mut names = message.split('`').skip(1).step_by(2);
    let wrong = names.next()?;
    let shared = |name: &&str| name.bytes().zip(wrong.bytes()).take_while(|(a, b)| a == b).count();
    names.filter(|name| shared(name) >= 3.min(wrong.len())).max_by_key(shared)
}

/// Line and column (1-based) of a value: the first mention of `value` as a whole word at or after `key:`.
///
/// The YAML reader keeps no places, and the manifests are plain enough for this; where the words are not found, the
/// diagnostic names the file only.
pub fn locate(text: &str, key: &str, value: &str) -> (usize, Option<usize>) {
    let key = format!("{key}:");
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let code = line.split(" #").next().unwrap_or(line);
        let mut from = 0;
        if let Some(at) = code.find(&key)
            && code[..at].trim_start_matches([' ', '-', '{']).is_empty()
        {
            inside = true;
            from = at + key.len();
        }
        if inside && let Some(column) = word(code, from, value) {
            return (number + 1, Some(column));
        }
    }
    (0, None)
}

fn word(line: &str, from: usize, value: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    line[from..].match_indices(value).map(|(at, _)| from + at).find_map(|at| {
        let before = line[..at].chars().next_back();
        let after = line[at + value.len()..].chars().next();
        let whole = !before.is_some_and(part) && !after.is_some_and(part);
        whole.then(|| line[..at].chars().count() + 1)
    })
}
