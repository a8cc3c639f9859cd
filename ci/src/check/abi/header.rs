// SPDX-License-Identifier: GPL-2.0-only

//! A header of the ABI, as far as the lint needs it.

use camino::Utf8PathBuf;

use crate::check::source::{Layers, layers, words};

/// What an item is to the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A struct, union or enum.
    Layout,
    /// A constant.
    Constant,
    /// A macro that says which version this is.
    Version,
}

/// Something that a header defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Without comments, with single blanks.
    pub(super) text: String,
    /// 1-based.
    pub(super) line: usize,
}

impl Item {
    /// The string that it is, if it is one.
    pub(super) fn string(&self) -> Option<&str> {
        self.text.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('"'))
    }
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) path: Utf8PathBuf,
    pub(super) items: Vec<Item>,
    /// What comments call a compatible string, by line.
    pub(super) documented: Vec<(usize, String)>,
    comments: Vec<String>,
}

impl Header {
    pub(super) fn parse(path: Utf8PathBuf, text: &str) -> Self {
        let layers = layers(text, false);
        let lines = bare(text, &layers);
        let mut items = macros(&lines);
        items.extend(layouts(&lines));
        let documented = documented(&layers.comments);
        Self { path, items, documented, comments: layers.comments }
    }

    /// Its own versions.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.kind == Kind::Version)
    }

    /// Whether a comment names something.
    pub(super) fn names(&self, name: &str) -> bool {
        words(&self.comments, name).next().is_some()
    }
}

/// The lines with strings and without comments.
fn bare(text: &str, layers: &Layers) -> Vec<String> {
    let blank = |line: &str, comment: &str| -> String {
        line.chars()
            .zip(comment.chars().chain(std::iter::repeat(' ')))
            .map(|(c, over)| if over == ' ' { c } else { ' ' })
            .collect()
    };
    text.lines().zip(&layers.comments).map(|(line, comment)| blank(line, comment)).collect()
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `#define NAME value`; not those with arguments, and not the include guard.
fn macros(lines: &[String]) -> Vec<Item> {
    let mut items = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix("#define") else { continue };
        let mut value = rest.trim_end().to_owned();
        for next in &lines[index + 1..] {
            let Some(open) = value.strip_suffix('\\') else { break };
            value = format!("{open} {}", next.trim_end());
        }
        let value = value.trim();
        let name: String = value.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let rest = &value[name.len()..];
        if rest.trim().is_empty() || rest.starts_with('(') {
            continue;
        }
        let version = name.contains("COMPATIBLE") || name.contains("VERSION");
        let kind = if version { Kind::Version } else { Kind::Constant };
        items.push(Item { name, kind, text: squeeze(rest), line: index + 1 });
    }
    items
}

/// `struct name { ... } ...;` on the outermost level.
fn layouts(lines: &[String]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut directive = false;
    let (mut depth, mut head, mut line) = (0_usize, String::new(), 0);
    for (index, text) in lines.iter().enumerate() {
        let this = directive || text.trim_start().starts_with('#');
        directive = this && text.trim_end().ends_with('\\');
        if this {
            continue;
        }
        for c in text.chars().chain(['\n']) {
            if head.trim().is_empty() {
                line = index + 1;
            }
            head.push(c);
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ';' if depth == 0 => items.extend(layout(&std::mem::take(&mut head), line)),
                _ => {}
            }
        }
    }
    items
}

fn layout(text: &str, line: usize) -> Option<Item> {
    let text = squeeze(text);
    let (head, _) = text.split_once('{')?;
    let name = head.trim();
    let known =
        ["struct ", "union ", "enum ", "typedef struct", "typedef union"].iter().any(|start| name.starts_with(start));
    known.then(|| Item { name: name.to_owned(), kind: Kind::Layout, text: text.clone(), line })
}

/// The strings behind the word `compatible` and a `=` or `:`.
fn documented(comments: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, at) in words(comments, "compatible") {
        let rest = comments[line][at + "compatible".len()..].trim_start();
        let string = rest.strip_prefix(['=', ':']).and_then(|rest| rest.trim_start().strip_prefix('"'));
        if let Some((string, _)) = string.and_then(|rest| rest.split_once('"')) {
            found.push((line + 1, string.to_owned()));
        }
    }
    found
}
