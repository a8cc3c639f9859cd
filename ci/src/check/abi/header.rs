// SPDX-License-Identifier: GPL-2.0-only

//! A header of the ABI, as far as the lint needs it.

use camino::Utf8PathBuf;

use super::items::{Item, Kind, layouts, macros, makes_layout};
use super::lines::lines;
use crate::check::source::{Layers, layers, words};

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
    fn parse(path: Utf8PathBuf, text: &str) -> Self {
        let layers = layers(text, false);
        let lines = lines(&bare(text, &layers));
        let mut items = macros(&lines);
        items.extend(layouts(&lines));
        for at in 0..items.len() {
            items[at].nth = items[..at].iter().filter(|one| one.name == items[at].name).count();
        }
        let documented = documented(&layers.comments);
        Self { path, items, documented, comments: layers.comments }
    }

    /// All headers of a directory. Of macros with arguments those stay that lay something out, by themselves or because something that does
    /// uses them; the others are code.
    pub(super) fn parse_all(texts: impl Iterator<Item = (Utf8PathBuf, String)>) -> Vec<Self> {
        let mut all: Vec<Self> = texts.map(|(path, text)| Self::parse(path, &text)).collect();
        loop {
            let items = all.iter().flat_map(|header| &header.items);
            let known: Vec<String> =
                items.filter(|item| item.kind != Kind::Code).map(|item| item.text.clone()).collect();
            let used = |item: &Item| makes_layout(&item.text) || words(&known, &item.name).next().is_some();
            let code = all.iter_mut().flat_map(|header| &mut header.items).filter(|item| item.kind == Kind::Code);
            let found: Vec<&mut Item> = code.filter(|item| used(item)).collect();
            if found.is_empty() {
                break;
            }
            found.into_iter().for_each(|item| item.kind = Kind::Layout);
        }
        all.iter_mut().for_each(|header| header.items.retain(|item| item.kind != Kind::Code));
        all
    }

    /// The item of this name, the nth.
    pub(super) fn item(&self, name: &str, nth: usize) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name && item.nth == nth)
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
