// SPDX-License-Identifier: GPL-2.0-only

//! The lines of a header as the preprocessor takes them: continued ones joined, each with the conditions around it.

/// A line without comments, with those that a backslash joins to it.
pub(super) struct Line {
    /// 1-based.
    pub(super) number: usize,
    pub(super) text: String,
    /// The conditions, and the packing, under which it counts.
    pub(super) under: String,
}

impl Line {
    /// `define` and what follows it, if it is a directive.
    pub(super) fn directive(&self) -> Option<(&str, &str)> {
        let text = self.text.trim_start().strip_prefix('#')?.trim();
        Some(text.split_at(text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len())))
    }

    /// Whether it is a directive that decides what is in a struct around it.
    pub(super) fn decides(&self) -> bool {
        let decides = |word: &str| ["if", "el", "endif", "include", "pragma"].iter().any(|one| word.starts_with(one));
        self.directive().is_some_and(|(word, _)| decides(word))
    }
}

fn packs(word: &str, rest: &str) -> bool {
    word == "pragma" && rest.trim_start().starts_with("pack")
}

pub(super) fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All lines but those of the include guard.
pub(super) fn lines(bare: &[String]) -> Vec<Line> {
    let mut all = joined(bare);
    let guarded = is_guarded(&all);
    // None is the guard, which is no condition.
    let mut conditions: Vec<Option<String>> = Vec::new();
    let mut packing = String::new();
    let mut kept = vec![true; all.len()];
    for (index, line) in all.iter_mut().enumerate() {
        let text = squeeze(line.text.trim_start().trim_start_matches('#'));
        if let Some((word, rest)) = line.directive() {
            let guards = guarded && index < 2;
            kept[index] = !guards;
            match word {
                _ if word.starts_with("if") => conditions.push((!guards).then_some(text)),
                _ if word.starts_with("el") => {
                    if let Some(Some(last)) = conditions.last_mut() {
                        *last = format!("{last}, {text}");
                    }
                }
                "endif" => kept[index] = conditions.pop().flatten().is_some(),
                _ if packs(word, rest) => packing = if rest.contains(char::is_numeric) { text } else { String::new() },
                _ => {}
            }
        }
        let around = conditions.iter().flatten().map(String::as_str).chain([packing.as_str()]);
        line.under = around.filter(|one| !one.is_empty()).collect::<Vec<_>>().join("; ");
    }
    all.into_iter().zip(kept).filter_map(|(line, kept)| kept.then_some(line)).collect()
}

fn joined(bare: &[String]) -> Vec<Line> {
    let mut all: Vec<Line> = Vec::new();
    let mut open = false;
    for (index, text) in bare.iter().enumerate() {
        let (part, goes_on) = text.trim_end().strip_suffix('\\').map_or((text.trim_end(), false), |part| (part, true));
        match all.last_mut().filter(|_| open) {
            Some(line) => line.text = format!("{} {}", line.text, part.trim()),
            None => all.push(Line { number: index + 1, text: part.to_owned(), under: String::new() }),
        }
        open = goes_on;
    }
    // Empty ones say nothing, and would stand between the two lines of a guard.
    all.retain(|line| !line.text.trim().is_empty());
    all
}

/// Whether the first two lines are an include guard: `#ifndef X`, `#define X`.
fn is_guarded(all: &[Line]) -> bool {
    let named = |line: &Line, wanted: &str| {
        line.directive().filter(|(word, _)| *word == wanted).map(|(_, name)| name.trim().to_owned())
    };
    match all {
        [first, second, ..] => named(first, "ifndef").is_some_and(|name| named(second, "define") == Some(name)),
        _ => false,
    }
}
