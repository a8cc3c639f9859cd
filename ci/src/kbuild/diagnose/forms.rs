// SPDX-License-Identifier: GPL-2.0-only

//! The forms in which the tools of a kernel build report.
//!
//! Each function looks at the first of some lines, and at the following ones where a report has several.

use camino::Utf8PathBuf;

use super::Dirs;
use crate::kbuild::error::CompileError;

/// How far behind its first line a report goes on (rustc's ` --> `, ld.lld's `>>> `).
const REACH: usize = 6;

/// `file:line:column`, as far as known.
type Place = (Option<Utf8PathBuf>, Option<u32>, Option<u32>);

/// The error that begins on the first of these lines.
pub(super) fn error(lines: &[&str], dirs: Dirs<'_>) -> Option<CompileError> {
    let line = *lines.first()?;
    make(line, dirs)
        .or_else(|| kconfig(line, dirs))
        .or_else(|| placed(line, &[": error: ", ": fatal error: "], dirs))
        .or_else(|| rustc(lines, "error", dirs))
        .or_else(|| linker(lines, dirs))
        .or_else(|| modpost(line, dirs))
}

/// The warning that begins on the first of these lines, in one line.
pub(super) fn warning(lines: &[&str], dirs: Dirs<'_>) -> Option<String> {
    let line = *lines.first()?;
    let found = placed(line, &[": warning: "], dirs).or_else(|| rustc(lines, "warning", dirs));
    if let Some(found) = found {
        let place = [found.line, found.column].into_iter().flatten().map(|number| format!(":{number}"));
        let file = found.file.map(|file| format!("{file}{}: ", place.collect::<String>()));
        return Some(format!("{}warning: {}", file.unwrap_or_default(), dirs.shorten(&found.message)));
    }
    // kernel-doc, modpost.
    let plain = ["Warning: ", "WARNING: "].into_iter().find_map(|word| line.strip_prefix(word))?;
    Some(format!("warning: {}", dirs.shorten(plain)))
}

/// clang, and tools in its style: `path:1:2: error: message`, `path: error: message`. bindgen quotes such a line.
fn placed(line: &str, words: &[&str], dirs: Dirs<'_>) -> Option<CompileError> {
    let (before, message) = words.iter().find_map(|word| line.split_once(word))?;
    // What is quoted begins behind the last blank or quotation mark.
    let place = before.rsplit([' ', '"', '\'', '`', '\t']).next()?;
    let (file, line, column) = split(place, dirs)?;
    // `ld.lld-19: error:` is a program, not a file; the linker has a form of its own.
    let program = line.is_none() && !place.contains('/') && !place.ends_with(".o");
    if program {
        return None;
    }
    let quoted = before.len() > place.len() && before[..before.len() - place.len()].ends_with('"');
    let message = if quoted { message.trim_end_matches(['"', ')']) } else { message }.to_owned();
    Some(CompileError { file, line, column, message, culprit: None })
}

/// rustc: `error[E0425]: message`, then ` --> path:1:2`. Closing lines ("aborting due to ...") have no arrow.
fn rustc(lines: &[&str], word: &str, dirs: Dirs<'_>) -> Option<CompileError> {
    let rest = lines[0].strip_prefix(word)?;
    let (code, message) = rest.split_once(": ")?;
    if !(code.is_empty() || code.starts_with('[') && code.ends_with(']')) {
        return None;
    }
    let message = if code.is_empty() { message.to_owned() } else { format!("{message} {code}") };
    let place = lines[1..].iter().take(REACH).find_map(|line| line.trim_start().strip_prefix("--> "));
    match place {
        Some(place) => {
            let (file, line, column) = split(place.trim(), dirs)?;
            Some(CompileError { file, line, column, message, culprit: None })
        }
        // objtool and rustc's own troubles, such as a missing crate.
        None if code.is_empty() && !message.starts_with("aborting due to") && word == "error" => {
            Some(CompileError::unplaced(message))
        }
        None => None,
    }
}

/// ld.lld: `ld.lld-19: error: undefined symbol: x`, then `>>> referenced by a.c:12 (drivers/a.c:12)`, `>>> drivers/a.o:(f)`.
fn linker(lines: &[&str], dirs: Dirs<'_>) -> Option<CompileError> {
    let (program, message) = lines[0].split_once(": error: ")?;
    if !program.contains("ld") || program.contains(' ') {
        return None;
    }
    let notes = lines[1..].iter().take_while(|line| line.starts_with(">>>")).take(REACH);
    let mut place: Place = (None, None, None);
    for note in notes {
        let note = note.trim_start_matches('>').trim();
        if let Some(by) = note.strip_prefix("referenced by ") {
            // The long form in brackets, if there is one, has the directory.
            let long = by.rsplit_once('(').map(|(_, long)| long.trim_end_matches(')'));
            let long = long.filter(|long| long.contains('/'));
            if let Some((file, Some(line), _)) = split(long.unwrap_or(by), dirs)
                && file.as_ref().is_some_and(|file| dirs.source.join(file).is_file())
            {
                return Some(CompileError {
                    file,
                    line: Some(line),
                    column: None,
                    message: message.into(),
                    culprit: None,
                });
            }
        } else if place.0.is_none() {
            let object = note.split(":(").next().unwrap_or(note);
            place.0 = dirs.source_of(object);
        }
    }
    Some(CompileError { file: place.0, line: None, column: None, message: message.to_owned(), culprit: None })
}

/// modpost: `ERROR: modpost: "x" [drivers/y.ko] undefined!`.
fn modpost(line: &str, dirs: Dirs<'_>) -> Option<CompileError> {
    let message = line.strip_prefix("ERROR: modpost: ")?;
    let module = message.split_once('[').and_then(|(_, rest)| rest.split_once(".ko]")).map(|(module, _)| module);
    let file = module.and_then(|module| dirs.source_of(&format!("{module}.o")));
    Some(CompileError { file, ..CompileError::unplaced(format!("modpost: {message}")) })
}

/// make: `path:12: *** message.  Stop.` and `make[2]: *** No rule to make target 'x', needed by 'y'.  Stop.`; that a
/// recipe failed says nothing that the recipe's own output does not say.
fn make(line: &str, dirs: Dirs<'_>) -> Option<CompileError> {
    let (before, message) = line.split_once(": *** ")?;
    let message = message.trim_end().trim_end_matches("Stop.").trim_end();
    if before.starts_with("make") && !before.contains('/') && !before.contains(".mk:") && !before.contains("file:") {
        let target = message.strip_prefix("No rule to make target '")?.split('\'').next()?;
        let file = dirs.source_of(target);
        return Some(CompileError { file, ..CompileError::unplaced(message) });
    }
    let (file, line, _) = split(before, dirs)?;
    Some(CompileError { file, line, column: None, message: message.to_owned(), culprit: None })
}

/// Kconfig: `path/Kconfig:12: syntax error`, `path/Kconfig:12:error: recursive dependency detected!`.
fn kconfig(line: &str, dirs: Dirs<'_>) -> Option<CompileError> {
    let mut parts = line.splitn(3, ':');
    let (file, number, message) = (parts.next()?, parts.next()?, parts.next()?.trim());
    let name = file.rsplit('/').next()?;
    if !name.starts_with("Kconfig") || message.starts_with("warning") || message.is_empty() {
        return None;
    }
    let message = message.strip_prefix("error:").unwrap_or(message).trim().to_owned();
    let line = Some(number.parse().ok()?);
    Some(CompileError { file: Some(dirs.relative(file)), line, column: None, message, culprit: None })
}

/// Splits `path:line:column`; the numbers may be missing.
fn split(place: &str, dirs: Dirs<'_>) -> Option<Place> {
    let mut parts = place.split(':');
    let file = parts.next().filter(|file| !file.is_empty() && !file.starts_with('<'))?;
    let mut number = || parts.next().and_then(|text| text.parse().ok());
    let (line, column) = (number(), number());
    Some((Some(dirs.relative(file)), line, column))
}
