// SPDX-License-Identifier: GPL-2.0-only

//! The hand-over ABI, `include/linux/kho/abi`: nothing changes there without a version that says so.
//!
//! 1. A struct, union, enum, constant or string that changes or goes must come with a step of a version that covers its header: a macro
//!    whose name has `VERSION` or `COMPATIBLE`, of the header itself or named in its comments. A number steps by
//!    growing, a string such as `"kho-v4"` by a greater number at its end, or by being another string.
//! 2. A header that lays something out names at least one such version.
//! 3. What a comment calls the compatible string is the value of a macro that covers the header.
//!
//! The directory is compared as a whole, so moving a struct to another header is no change. Macros with arguments are code and no
//! layout.

mod header;

use std::collections::BTreeMap;

use camino::Utf8Path;
use stg_core::git::{Oid, Repo};

use self::header::{Header, Item, Kind};
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

/// All headers of a tree.
fn read(repo: &Repo, tree: Oid) -> Result<Vec<Header>, BuildError> {
    let part = repo.subset(tree, &[DIRECTORY])?;
    let files = repo.changes(repo.empty_tree()?, part, Utf8Path::new(DIRECTORY))?.added;
    Ok(files.into_iter().map(|(path, file)| Header::parse(path, &String::from_utf8_lossy(&file.bytes))).collect())
}

/// The versions that cover a header: its own, and those it names.
fn covers<'a>(header: &'a Header, all: &'a [Header]) -> Vec<&'a Item> {
    let named = |item: &&Item| header.names(&item.name);
    let others = all.iter().filter(|other| other.path != header.path);
    header.versions().chain(others.flat_map(Header::versions).filter(named)).collect()
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
            let strings = || versions.iter().filter_map(|item| Some((item, item.string()?)));
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

/// Rule 1.
fn changes(old: &[Header], new: &[Header]) -> Vec<Finding> {
    let index = |all: &[Header]| -> BTreeMap<String, (usize, Item)> {
        let items =
            all.iter().enumerate().flat_map(|(n, header)| header.items.iter().map(move |item| (n, item.clone())));
        items.map(|(n, item)| (item.name.clone(), (n, item))).collect()
    };
    let (before, after) = (index(old), index(new));
    let mut found = Vec::new();
    for (name, (at, item)) in &before {
        let now = after.get(name);
        if item.kind == Kind::Version {
            if let Some((there, now)) = now.filter(|(_, now)| goes_back(&item.text, &now.text)) {
                let message = format!("`{name}` goes back from {} to {}", item.text, now.text);
                found.push(Finding::new(&new[*there].path, now.line, message, "versions only ever grow"));
            }
            continue;
        }
        if now.is_some_and(|(_, now)| now.text == item.text) {
            continue;
        }
        let versions = covers(&old[*at], old);
        let stepped = |version: &&Item| {
            let now = after.get(&version.name).map(|(_, item)| item.text.as_str());
            now != Some(&version.text) && !now.is_some_and(|now| goes_back(&version.text, now))
        };
        if versions.iter().any(stepped) {
            continue;
        }
        let names: Vec<&str> = versions.iter().map(|version| version.name.as_str()).collect();
        let fix = match &names[..] {
            [] => "define a version for this header, and step it with each change".to_owned(),
            names => format!("step {}, or leave the layout as it is", names.join(" or ")),
        };
        let (path, line, what) = match now {
            Some((there, now)) => (&new[*there].path, now.line, "changes"),
            None => (&old[*at].path, 0, "goes"),
        };
        found.push(Finding::new(path, line, format!("`{name}` {what} without a step of any version"), fix));
    }
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
