// SPDX-License-Identifier: GPL-2.0-only

//! What a header defines: macros and types.

use super::lines::{Line, squeeze};
use crate::check::source::words;

/// What an item is to the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A struct, union, enum or typedef, or a macro with arguments that makes one.
    Layout,
    /// A constant.
    Constant,
    /// A macro that says which version this is.
    Version,
    /// A macro with arguments that lays nothing out.
    Code,
}

/// Something that a header defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    /// How many of its name are before it in its header: the branches of an `#if` may each have one.
    pub(super) nth: usize,
    pub(super) kind: Kind,
    /// Without comments, with single blanks.
    pub(super) text: String,
    /// The conditions under which it is there.
    pub(super) under: String,
    /// 1-based.
    pub(super) line: usize,
}

impl Item {
    fn new(name: String, kind: Kind, text: &str, line: &Line) -> Self {
        Self { name, nth: 0, kind, text: squeeze(text), under: line.under.clone(), line: line.number }
    }

    /// The string that it is, if it is one.
    pub(super) fn string(&self) -> Option<&str> {
        self.text.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('"'))
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `#define NAME value`, `#define NAME(arguments) value`.
pub(super) fn macros(lines: &[Line]) -> Vec<Item> {
    let item = |line: &Line| {
        let (_, rest) = line.directive().filter(|(word, _)| *word == "define")?;
        let rest = rest.trim_start();
        let (name, value) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        let kind = match name {
            _ if value.starts_with('(') => Kind::Code,
            _ if name.contains("COMPATIBLE") || name.contains("VERSION") => Kind::Version,
            _ => Kind::Constant,
        };
        Some(Item::new(name.to_owned(), kind, value, line))
    };
    lines.iter().filter_map(item).collect()
}

/// Whether the text of a macro has the body of a struct, union or enum in it.
pub(super) fn makes_layout(text: &str) -> bool {
    let lines = [text.to_owned()];
    let opens = |word: &str| {
        let mut found = words(&lines, word);
        found.any(|(_, at)| text[at..].split([';', ',', '(', ')']).next().is_some_and(|head| head.contains('{')))
    };
    ["struct", "union", "enum"].into_iter().any(opens)
}

/// `struct name { ... } ...;` and `typedef ...;` on the outermost level. Conditions inside are a part of the text.
pub(super) fn layouts(lines: &[Line]) -> Vec<Item> {
    let mut items = Vec::new();
    let (mut depth, mut head) = (0_usize, String::new());
    let mut first = None;
    for line in lines {
        if line.directive().is_some() {
            if !head.trim().is_empty() && line.decides() {
                head.push_str(&format!(" {} ", line.text.trim()));
            }
            continue;
        }
        for c in line.text.chars().chain(['\n']) {
            if head.trim().is_empty() {
                first = Some(line);
            }
            head.push(c);
            match c {
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    // Behind the body of a function there is no `;`.
                    if depth == 0 && declared(&head).is_none() {
                        head.clear();
                    }
                }
                ';' if depth == 0 => {
                    let text = std::mem::take(&mut head);
                    items.extend(first.zip(name(&text)).map(|(line, name)| Item::new(name, Kind::Layout, &text, line)));
                }
                '\n' if depth == 0 && is_call(&head) => head.clear(),
                _ => {}
            }
        }
    }
    items
}

/// Whether a line is complete without a `;`: the use of a macro, or what stands before the body of a function.
fn is_call(head: &str) -> bool {
    let balanced = head.matches('(').count() == head.matches(')').count();
    head.trim_end().ends_with(')') && balanced && !head.contains('{') && declared(head).is_none()
}

/// The words of a declaration up to its body; nothing if it is not one of a type.
fn declared(text: &str) -> Option<Vec<String>> {
    let head = without_arguments(text.split(['{', ':', ';']).next().unwrap_or_default());
    let words: Vec<String> = head.split_whitespace().map(str::to_owned).collect();
    let types = ["struct", "union", "enum", "typedef"];
    let is_type = words.first().is_some_and(|word| types.contains(&word.as_str()));
    (is_type && !head.contains(['(', '='])).then_some(words)
}

/// A text in which attributes, such as `__aligned(8)`, have lost what is in brackets.
fn without_arguments(text: &str) -> String {
    let mut kept = String::new();
    let mut attribute = 0_usize;
    for c in text.chars() {
        let word = kept.trim_end().rsplit(|c| !is_name(c)).next().unwrap_or_default();
        match c {
            '(' if attribute > 0 || word.starts_with("__") => attribute += 1,
            ')' if attribute > 0 => attribute -= 1,
            c if attribute == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// What a declaration is called: `struct x`, `typedef x`, and `enum { FIRST }` if it has no name.
fn name(text: &str) -> Option<String> {
    let words = declared(text)?;
    let word = words.first()?;
    let named = if word == "typedef" {
        // The last word before the `;` or the size of an array.
        let tail = without_arguments(text.rfind('}').map_or(text, |end| &text[end + 1..]));
        let tail = tail.split([';', '[']).next().unwrap_or_default();
        tail.split_whitespace().rfind(|word| !word.starts_with("__")).map(str::to_owned)
    } else {
        let body = &text[text.find('{')?..];
        let first = || body.split(|c| !is_name(c)).find(|word| !word.is_empty());
        words.get(1..)?.last().cloned().or_else(|| Some(format!("{{ {} }}", first()?)))
    };
    Some(format!("{word} {}", named.unwrap_or_default()))
}
