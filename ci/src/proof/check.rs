// SPDX-License-Identifier: GPL-2.0-only

//! Whether the records are there, whole, and about this repository.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::Serialize;
use stg_core::Diagnostic;

use super::damage::Known;
use super::record::{Read, continues, read, sound};
use super::{FRESH, Record, Subject, Tools, file};

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// There is none.
    Missing,
    /// Its bytes are not those that were written.
    Changed,
    /// It is about something else than what the repository has now.
    Stale,
    /// It is about this, but does not continue the record before it.
    Unchained,
}

/// A record that does not prove its patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The patch.
    pub patch: String,
    /// The class.
    pub kind: Kind,
    /// File, line, what, and what to do.
    pub diagnostic: Box<Diagnostic>,
}

/// A record that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// What it says.
    pub record: Record,
    /// Its hash.
    pub hash: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// For each patch, in order, its record or what is wrong with it.
    pub patches: Vec<Result<Proved, Finding>>,
    /// What is other than when a record was made, but makes none wrong.
    pub notes: Vec<String>,
}

impl Report {
    /// Everything that is wrong.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.patches.iter().filter_map(|one| one.as_ref().err())
    }
}

/// Checks the records of some phases, of each a line of patches. `texts` are the files by patch; `here` are the tools of this machine, if it has them.
pub fn check(subjects: &[Subject], texts: &BTreeMap<String, Vec<u8>>, here: Option<&Tools>) -> Report {
    let mut report = Report::default();
    let mut notes: BTreeMap<String, usize> = BTreeMap::new();
    let text_of = |subject: &Subject| texts.get(&subject.patch).map(Vec::as_slice);
    // The hash that the next record must continue; `None` where nothing can be said: behind a patch without a record, or with one that was
    // changed, nobody knows from what.
    let mut parent: Option<Option<String>> = Some(None);
    let mut phase = "";
    for (index, subject) in subjects.iter().enumerate() {
        if phase != subject.phase() {
            (phase, parent) = (subject.phase(), Some(None));
        }
        let next = subjects.get(index + 1).filter(|next| next.phase() == phase).and_then(text_of).and_then(continues);
        let text = text_of(subject);
        let known = Known { subject, parent: parent.as_ref().map(Option::as_deref), next };
        let read = text.map(|text| read(text, &known));
        let hash = read.as_ref().and_then(|read| read.hash().map(str::to_owned));
        let found = one(&known, text.zip(read));
        if let Ok(proved) = &found {
            for note in self::notes(subject, &proved.record, here) {
                *notes.entry(note).or_default() += 1;
            }
        }
        // A record that is no good is continued all the same.
        parent = hash.map(Some);
        report.patches.push(found);
    }
    let many =
        |(note, count)| if count == 1 { format!("1 record: {note}") } else { format!("{count} records: {note}") };
    report.notes = notes.into_iter().map(many).collect();
    report
}

/// Checks one record, of which there are the bytes and what could be read.
fn one(known: &Known<'_>, file: Option<(&[u8], Read)>) -> Result<Proved, Finding> {
    let Known { subject, parent, .. } = *known;
    let (back, prove) =
        (format!("`git checkout -- {}`", subject.file()), format!("`phasectl prove {}`", subject.patch));
    let wrong = |kind, line: usize, message: String| {
        let fix = match kind {
            Kind::Changed => format!("take it back with {back}, or prove it again: {prove}"),
            Kind::Missing => format!("if it was deleted, take it back with {back}; else run {prove}"),
            Kind::Stale | Kind::Unchained => format!("run {prove}"),
        };
        let diagnostic = Diagnostic::new(subject.file(), message, fix).at(line);
        Finding { patch: subject.patch.clone(), kind, diagnostic: Box::new(diagnostic) }
    };
    let (text, proved) = match file {
        None => return Err(wrong(Kind::Missing, 0, format!("there is no proof of {}", subject.patch))),
        Some((_, Read::Changed(damage))) => return Err(wrong(Kind::Changed, damage.line, damage.what)),
        Some((text, Read::Sound(proved))) => (text, *proved),
    };
    if let Some((key, what)) = stale(subject, &proved.record.subject) {
        return Err(wrong(Kind::Stale, line_of(text, key), format!("stale: {what}")));
    }
    match parent {
        Some(parent) if proved.record.parent.as_deref() != parent => {
            let message = match parent {
                Some(hash) => {
                    format!("it does not continue the record of the patch before it, {}", short(hash))
                }
                None => "it continues another record, and this is the first patch of its phase".to_owned(),
            };
            Err(wrong(Kind::Unchained, line_of(text, "parent"), message))
        }
        _ => Ok(proved),
    }
}

/// The record in a file, if it is whole and about what the repository has now; it may have to be chained anew.
pub fn current(subject: &Subject, text: Option<&[u8]>) -> Option<Proved> {
    sound(text?).filter(|proved| stale(subject, &proved.record.subject).is_none())
}

/// What the repository says otherwise, and the key of the line that says it.
fn stale<'a>(now: &'a Subject, then: &'a Subject) -> Option<(&'a str, String)> {
    if now.patch != then.patch {
        return Some(("patch", format!("it is about {}, not about {}", then.patch, now.patch)));
    }
    // On another base the trees differ by what the bases do; what the patch changes still compares.
    if now.diff != then.diff || (now.base == then.base && now.tree != then.tree) {
        let what =
            if now.diff == then.diff { "an earlier patch is another one now" } else { "the patch is another one now" };
        return Some(("tree", format!("{what}: tree {} was proved, it is {}", short(&then.tree), short(&now.tree))));
    }
    let maps = [
        ("the configuration of kernel", &now.configs, &then.configs),
        ("scenario", &now.scenarios, &then.scenarios),
        ("topology", &now.topologies, &then.topologies),
        ("the verdict of case", &now.verdicts, &then.verdicts),
    ];
    for (what, now, then) in maps {
        let mut names: Vec<&String> = now.keys().chain(then.keys()).collect();
        names.sort_unstable();
        for name in names {
            let how = match (now.get(name), then.get(name)) {
                (Some(one), Some(other)) if one == other => continue,
                (Some(_), Some(_)) => "has changed",
                (Some(_), None) => "is new",
                (None, _) => "is gone",
            };
            return Some((name, format!("{what} {name} {how}")));
        }
    }
    ((now.boots, now.kexecs) != (then.boots, then.kexecs)).then(|| {
        (
            "boots",
            format!(
                "it counts {} boots and {} kexecs, there are {} and {}",
                then.boots, then.kexecs, now.boots, now.kexecs
            ),
        )
    })
}

/// What is other than when the record was made.
fn notes(subject: &Subject, record: &Record, here: Option<&Tools>) -> Vec<String> {
    let base = (subject.base != record.subject.base).then(|| {
        let (then, now) = (short(&record.subject.base), short(&subject.base));
        format!(
            "proved on a base with tree {then}, here it is {now}: what the patches change was compared, not their trees"
        )
    });
    let tools = here.into_iter().flat_map(|here| record.made.others(here));
    base.into_iter()
        .chain(tools.map(|(what, then, now)| match what {
            "harness" => "proved with another source of the harness".to_owned(),
            _ => format!("proved with {what} `{then}`, here it is `{now}`"),
        }))
        .collect()
}

/// The line of a key, 1-based; 0 if there is none, as it is new.
fn line_of(text: &[u8], key: &str) -> usize {
    let start = format!("\"{key}\":");
    String::from_utf8_lossy(text)
        .lines()
        .position(|line| line.trim_start().starts_with(&start))
        .map_or(0, |index| index + 1)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Files below the directory of proofs that belong to no patch: the paths of all files, and the patches that there are.
pub fn strays(files: &[Utf8PathBuf], patches: &[String]) -> Vec<Diagnostic> {
    let known: Vec<Utf8PathBuf> = patches.iter().map(|patch| file(patch)).collect();
    let stray = |path: &Utf8PathBuf| {
        let (message, fix) = if known.contains(path) {
            return None;
        } else if known.contains(&path.with_extension("")) && path.extension() == Some(FRESH) {
            ("a record that was not written to its end", "delete it")
        } else if path.extension() == Some("json") && path.components().count() == 3 {
            ("a proof of a patch that does not exist", "delete it, or put the patch back into phase.yaml")
        } else {
            ("this is no record, and nothing else belongs here", "delete it, or move it elsewhere")
        };
        Some(Diagnostic::new(path, message, fix))
    };
    files.iter().filter_map(stray).collect()
}
