// SPDX-License-Identifier: GPL-2.0-only

//! A phase as mails: one directory per series, a cover letter and the patches, ready for `git am`.
//!
//! For the same identity the bytes are the same on every run and every machine. The commits are written once more with
//! the exporting identity as author (their trees, messages and dates stay), and `git format-patch` prints those, in an
//! environment without configuration and with every option spelt out that a configuration could have changed. The cover
//! letter is composed here (`cover`).
//!
//! A patch is exported in someone's name only if that someone signed it off, last. The tool never writes that line.

mod cover;
mod sign_off;

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::assemble::{Assembled, AssembledPatch};
use crate::error::{Diagnostic, Error, Result};
use crate::git::command::Git;
use crate::git::{NewCommit, Oid, Repo};
use crate::manifest::{Identity, Series};
use crate::source::{Source, replace_file};
use crate::stack::Stack;

/// How to export.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// Who sends it: `From:` of every mail.
    pub identity: Identity,
    /// Lifts the sign-off rule and marks every subject as a draft.
    pub draft: bool,
    /// Version of the posting, from 1.
    pub version: u32,
    /// Paragraphs or list lines for `What was tested`, the same in every series' cover.
    pub tested: Vec<String>,
}

/// A series as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedSeries {
    /// Its name.
    pub series: String,
    /// Its directory.
    pub directory: Utf8PathBuf,
    /// The cover letter.
    pub cover: Utf8PathBuf,
    /// The patches in order, for `git am`.
    pub patches: Vec<Utf8PathBuf>,
}

/// Writes every series of a phase below `out`. `assembled` must reach to the end of the phase.
///
/// # Errors
/// [`Error::Invalid`] for a patch that the identity has not signed off last; [`Error::Refused`] when a directory holds
/// files that no export wrote. Nothing was written in both cases.
pub fn export(
    assembled: &Assembled,
    source: &dyn Source,
    stack: &Stack,
    phase: &str,
    out: &Utf8Path,
    options: &ExportOptions,
) -> Result<Vec<ExportedSeries>> {
    let found = stack.phase(phase)?;
    if !options.draft {
        sign_off::check_phase(found, &options.identity)?;
    }
    for series in &found.manifest.series {
        refuse_foreign(&out.join(&series.name))?;
    }
    let repo = Repo::open(&assembled.base.repo)?;
    let mut all = Vec::new();
    for series in &found.manifest.series {
        let mine = |patch: &&AssembledPatch| patch.phase == phase && patch.series == series.name;
        let patches: Vec<&AssembledPatch> = assembled.patches.iter().filter(mine).collect();
        if patches.len() != series.patches.len() {
            let message = format!(
                "only {} of {} patches of {phase}/{} were assembled",
                patches.len(),
                series.patches.len(),
                series.name
            );
            return Err(Error::refused(message, "assemble the whole phase"));
        }
        let blurb = blurb(source, found, series)?;
        all.push(Job { repo: &repo, assembled, stack, series, patches, blurb, options }.write(out)?);
    }
    Ok(all)
}

fn blurb(source: &dyn Source, phase: &crate::stack::Phase, series: &Series) -> Result<String> {
    let path = phase.file.with_file_name(&series.cover);
    let file = source.read(&path)?.unwrap_or(crate::source::File { bytes: Vec::new(), executable: false });
    let text = String::from_utf8(file.bytes).map_err(|_| Diagnostic::new(&path, "not UTF-8", "save it as UTF-8"))?;
    if text.trim().is_empty() {
        let fix = "say what the series does, and why";
        return Err(Diagnostic::new(&path, "empty message: the cover letter has no text", fix).at(1).into());
    }
    Ok(text.trim().to_owned())
}

/// Whether a name is one that an export writes.
fn is_ours(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.strip_prefix('v').and_then(|rest| rest.split_once('-'));
    let Some((version, rest)) = parts else { return false };
    let numbered = rest.split_once('-').is_some_and(|(n, _)| n.len() == 4 && number(n));
    number(version) && numbered && name.ends_with(".patch")
}

fn entries(directory: &Utf8Path) -> Result<Vec<String>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let listed = directory.read_dir_utf8().map_err(Error::io(directory))?;
    listed.map(|entry| Ok(entry.map_err(Error::io(directory))?.file_name().to_owned())).collect()
}

fn refuse_foreign(directory: &Utf8Path) -> Result<()> {
    match entries(directory)?.iter().find(|name| !is_ours(name)) {
        Some(name) => {
            let message = format!("{} is not a file that an export writes", directory.join(name));
            Err(Error::refused(message, "choose another directory with `-o`, or move the file away"))
        }
        None => Ok(()),
    }
}

/// One series on its way out.
struct Job<'a> {
    repo: &'a Repo,
    assembled: &'a Assembled,
    stack: &'a Stack,
    series: &'a Series,
    patches: Vec<&'a AssembledPatch>,
    blurb: String,
    options: &'a ExportOptions,
}

impl Job<'_> {
    /// What stands in the brackets, without the numbers.
    fn prefix(&self) -> String {
        let draft = if self.options.draft { "DRAFT " } else { "" };
        let version = if self.options.version > 1 { format!(" v{}", self.options.version) } else { String::new() };
        format!("{draft}PATCH{version}")
    }

    /// The series' commits with the exporting identity; (the commit before them, the last).
    fn sign(&self) -> Result<(Oid, Oid)> {
        let before = match self.patches.first() {
            Some(first) => first.parent,
            None => self.assembled.tip()?,
        };
        let mut parent = before;
        for patch in &self.patches {
            let text = self.stack.patch(&patch.id())?.1.text.message();
            let number = self.assembled.patches.iter().position(|other| other.commit == patch.commit).unwrap_or(0);
            parent = self.repo.commit(&NewCommit {
                tree: patch.tree,
                parent: Some(parent),
                who: &self.options.identity,
                date: self.stack.base.epoch + number as i64 + 1,
                message: &text,
            })?;
        }
        Ok((before, parent))
    }

    fn write(&self, out: &Utf8Path) -> Result<ExportedSeries> {
        let (before, last) = self.sign()?;
        let staging = tempfile::tempdir().map_err(Error::io("a temporary directory"))?;
        let staging = Utf8Path::from_path(staging.path())
            .ok_or_else(|| Error::refused("the temporary directory's name is not UTF-8", "set TMPDIR to another path"))?
            .to_owned();
        std::fs::create_dir_all(&staging).map_err(Error::io(&staging))?;
        let prefix = format!("--subject-prefix={}", self.prefix());
        let git = Git::repo(self.repo.path()).args(FORMAT).args([&prefix, "-o", staging.as_str()]);
        git.args([format!("{before}..{last}")]).run()?;

        let directory = out.join(&self.series.name);
        std::fs::create_dir_all(&directory).map_err(Error::io(&directory))?;
        let mut kept = BTreeSet::new();
        let mut put = |name: &str, bytes: &[u8]| -> Result<Utf8PathBuf> {
            let name = format!("v{}-{name}", self.options.version);
            let path = directory.join(&name);
            replace_file(&path, bytes, false)?;
            kept.insert(name);
            Ok(path)
        };
        let cover = put("0000-cover-letter.patch", self.cover(before, last)?.as_bytes())?;
        let mut names = entries(&staging)?;
        names.sort();
        let mut patches = Vec::new();
        for name in names {
            let path = staging.join(&name);
            patches.push(put(&name, &std::fs::read(&path).map_err(Error::io(&path))?)?);
        }
        for name in entries(&directory)?.iter().filter(|name| is_ours(name) && !kept.contains(*name)) {
            let path = directory.join(name);
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        Ok(ExportedSeries { series: self.series.name.clone(), directory, cover, patches })
    }
}

/// Everything that a configuration, a terminal or another version of git might decide otherwise.
pub(crate) const FORMAT: [&str; 26] = [
    "format-patch",
    "--quiet",
    "--numbered",
    "--no-thread",
    "--zero-commit",
    "--no-signature",
    "--full-index",
    "--no-attach",
    "--no-cover-letter",
    "--no-notes",
    "--no-base",
    "--no-from",
    "--encode-email-headers",
    "--filename-max-length=64",
    "--suffix=.patch",
    "--patch",
    "--stat=72",
    "--summary",
    "--unified=3",
    "--inter-hunk-context=0",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--find-renames=50%",
    "--no-ext-diff",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

#[cfg(test)]
mod tests;
