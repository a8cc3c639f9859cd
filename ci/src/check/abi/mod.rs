// SPDX-License-Identifier: GPL-2.0-only

//! The hand-over ABI, `include/linux/kho/abi`: nothing changes there without a version that says so.
//!
//! 1. A struct, union, enum, typedef, constant or string that changes or goes must come with a step of a version that covers its header: a
//!    macro whose name has `VERSION` or `COMPATIBLE`, of the header itself or named in its comments. A number steps by
//!    growing, a string such as `"kho-v4"` by a greater number at its end, or by being another string. A version that
//!    goes has not stepped, unless everything that it covered goes with it.
//! 2. A header that lays something out names at least one such version.
//! 3. What a comment calls the compatible string is the value of a macro that covers the header.
//!
//! The directory is compared as a whole, so moving a struct to another header is no change. What an item says includes the conditions
//! inside and around it. Macros with arguments are code, unless they make structs or are used by what does.

mod header;
mod items;
mod lines;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{Oid, Repo};

use self::header::Header;
use self::items::{Item, Kind};
use super::finding::fresh;
use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

const DIRECTORY: &str = "include/linux/kho/abi";

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    if !subject.touched.iter().any(|file| file.path.starts_with(DIRECTORY)) {
        return Ok(Verdict::default());
    }
    let (old, new) = (read(bench.repo, subject.parent_tree)?, read(bench.repo, subject.tree)?);
    let mut found = changes(&old, &new);
    found.extend(fresh(&lint(&old), lint(&new)));
    Ok(found.into())
}

/// What is wrong with the headers of a tree as they are: rules 2 and 3.
///
/// # Errors
///
/// If the repository fails.
pub fn lint_tree(repo: &Repo, tree: Oid) -> Result<Vec<Finding>, BuildError> {
    Ok(lint(&read(repo, tree)?))
}

/// The headers of the hand-over ABI in a tree, with their text.
///
/// # Errors
///
/// If the repository fails.
pub fn headers(repo: &Repo, tree: Oid) -> Result<Vec<(Utf8PathBuf, String)>, BuildError> {
    let part = repo.subset(tree, &[DIRECTORY])?;
    let files = repo.changes(repo.empty_tree()?, part, Utf8Path::new(DIRECTORY))?.added;
    Ok(files.into_iter().map(|(path, file)| (path, String::from_utf8_lossy(&file.bytes).into_owned())).collect())
}

/// All headers of a tree.
fn read(repo: &Repo, tree: Oid) -> Result<Vec<Header>, BuildError> {
    Ok(Header::parse_all(headers(repo, tree)?.into_iter()))
}

/// The versions that cover a header: its own, and those it names.
fn covers<'a>(header: &'a Header, all: &'a [Header]) -> Vec<(&'a Header, &'a Item)> {
    let of = |one: &'a Header| one.versions().map(move |item| (one, item));
    let others = all.iter().filter(|other| other.path != header.path);
    of(header).chain(others.flat_map(of).filter(|(_, item)| header.names(&item.name))).collect()
}

/// Rules 2 and 3.
fn lint(all: &[Header]) -> Vec<Finding> {
    let mut found = Vec::new();
    for header in all {
        let versions = covers(header, all);
        if let Some(item) = header.items.iter().find(|item| item.kind == Kind::Layout).filter(|_| versions.is_empty()) {
            let message = format!("no version covers `{}`", item.name);
            let fix = "define a compatible string or a version, or name the one that steps when this header changes";
            found.push(Finding::new(&header.path, item.line, message, fix));
        }
        for (line, said) in &header.documented {
            let strings = || versions.iter().filter_map(|(_, item)| Some((item, item.string()?)));
            if strings().any(|(_, value)| value == said) {
                continue;
            }
            let Some((item, value)) = strings().find(|(_, value)| stem(value).0 == stem(said).0).or(strings().next())
            else {
                continue;
            };
            let message = format!("documented as \"{said}\", but {} is \"{value}\"", item.name);
            found.push(Finding::new(&header.path, *line, message, "make the documentation say what the macro says"));
        }
    }
    found
}

/// Two states of the directory.
struct Change<'a> {
    old: &'a [Header],
    new: &'a [Header],
}

impl<'a> Change<'a> {
    /// What has become of an item: that of its name in its header, else in another one where it is new.
    fn now(&self, header: &Header, item: &Item) -> Option<(&'a Header, &'a Item)> {
        let had = |path: &Utf8Path| {
            let before = self.old.iter().find(|other| other.path == path);
            before.is_some_and(|other| other.item(&item.name, item.nth).is_some())
        };
        let here = |other: &&Header| other.path == header.path;
        let all = self.new.iter().filter(here).chain(self.new.iter().filter(|other| !here(other) && !had(&other.path)));
        all.filter_map(|other| Some((other, other.item(&item.name, item.nth)?))).next()
    }

    fn stepped(&self, (header, version): (&Header, &Item)) -> bool {
        self.now(header, version)
            .is_some_and(|(_, now)| now.text != version.text && !goes_back(&version.text, &now.text))
    }

    /// Whether nothing is left of a header and of the versions that cover it, under other names either: nobody is handed such things any more.
    fn ended(&self, header: &Header) -> bool {
        let versions = covers(header, self.old);
        let mut strings = versions.iter().filter_map(|(_, version)| version.string());
        let said = |string: &str| self.new.iter().flat_map(Header::versions).any(|now| now.string() == Some(string));
        let own = header.items.iter().map(|item| (header, item));
        !versions.is_empty()
            && own.chain(versions.iter().copied()).all(|(header, item)| self.now(header, item).is_none())
            && !strings.any(said)
    }
}

/// Rule 1.
fn changes(old: &[Header], new: &[Header]) -> Vec<Finding> {
    let change = Change { old, new };
    let mut found = Vec::new();
    for (header, item) in old.iter().flat_map(|header| header.items.iter().map(move |item| (header, item))) {
        let (name, now) = (&item.name, change.now(header, item));
        if let Some((there, now)) = now.filter(|(_, now)| item.kind == Kind::Version && now.text != item.text) {
            if goes_back(&item.text, &now.text) {
                let message = format!("`{name}` goes back from {} to {}", item.text, now.text);
                found.push(Finding::new(&there.path, now.line, message, "versions only ever grow"));
            }
            continue;
        }
        if now.is_some_and(|(_, now)| (&now.text, &now.under) == (&item.text, &item.under)) {
            continue;
        }
        let versions = covers(header, old);
        if versions.iter().any(|&version| change.stepped(version)) || now.is_none() && change.ended(header) {
            continue;
        }
        let names: Vec<&str> = versions.iter().map(|(_, version)| version.name.as_str()).collect();
        let fix = match &names[..] {
            _ if item.kind == Kind::Version && now.is_none() => "put it back: versions only ever grow".to_owned(),
            [] => "define a version for this header, and step it with each change".to_owned(),
            names => format!("step {}, or leave the layout as it is", names.join(" or ")),
        };
        let (path, line, what) = match now {
            Some((there, now)) => (&there.path, now.line, "changes"),
            None => (&header.path, item.line, "goes"),
        };
        found.push(Finding::new(path, line, format!("`{name}` {what} without a step of any version"), fix));
    }
    found.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    found
}

/// `kho-v` and 4 of `kho-v4`.
fn stem(value: &str) -> (&str, Option<u64>) {
    let stem = value.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem, value[stem.len()..].parse().ok())
}

/// Whether a value is an earlier one of the same line of values.
fn goes_back(old: &str, new: &str) -> bool {
    let plain = |text: &str| text.trim_matches('"').to_owned();
    let (old, new) = (plain(old), plain(new));
    let ((old, before), (new, now)) = (stem(&old), stem(&new));
    old == new && now < before
}

#[cfg(test)]
mod tests;
