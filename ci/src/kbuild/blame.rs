// SPDX-License-Identifier: GPL-2.0-only

//! Which patch a line of a built tree comes from.
//!
//! The question goes to git, not to the .patch files: a line may have been added by one patch and moved or changed by
//! another, and `git blame` follows that. The answer names the patch whose line the compiler complains about. That is
//! where to look first, though the cause may be another patch that changed what the line uses.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{Oid, Repo};

use super::error::BuildError;

/// Whose line it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Culprit {
    /// Nobody's here: it was in Linux before.
    Base,
    /// A patch's.
    Patch {
        /// `phase1/kho-rust`.
        id: String,
        /// The file of the project that holds the line under the same number.
        file: Option<Utf8PathBuf>,
    },
}

impl Culprit {
    /// The file of the project in which the line can be edited.
    pub fn project_file(&self) -> Option<&Utf8Path> {
        match self {
            Self::Patch { file, .. } => file.as_deref(),
            Self::Base => None,
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("none, the line is the base's own"),
            Self::Patch { id, .. } => f.write_str(id),
        }
    }
}

/// Answers whose line it is.
pub trait Blame {
    /// The culprit for a line (1-based) of a file (relative to the tree); `None` if there is no such line.
    fn blame(&self, file: &Utf8Path, line: u32) -> Option<Culprit>;

    /// The first line of a patch that mentions a symbol. The last link of a kernel knows of an undefined symbol no more
    /// than its name.
    fn mention(&self, symbol: &str) -> Option<(Utf8PathBuf, u32)>;
}

/// [`Blame`] by `git blame` between the base and the built commit.
pub struct GitBlame<'a> {
    repo: Repo,
    base: Oid,
    commit: Oid,
    patches: &'a [(String, String)],
    project: Option<&'a Utf8Path>,
}

impl<'a> GitBlame<'a> {
    /// `patches` are pairs of commit id and `phase/name`; `project` is the root of the checkout that they come from.
    ///
    /// # Errors
    ///
    /// If the repository cannot be opened or an id is malformed.
    pub fn new(
        repo: &Utf8Path,
        base: &str,
        commit: &str,
        patches: &'a [(String, String)],
        project: Option<&'a Utf8Path>,
    ) -> Result<Self, BuildError> {
        let (base, commit) = (Repo::oid(base)?, Repo::oid(commit)?);
        Ok(Self { repo: Repo::open(repo)?, base, commit, patches, project })
    }

    /// Where the project keeps a file that a phase adds, if the line stands there under the same number. (It need not:
    /// the project has files as of the end of their phase, and the built commit may be an earlier one.)
    fn project_file(&self, file: &Utf8Path, line: u32, text: &[u8]) -> Option<Utf8PathBuf> {
        let root = self.project?;
        let nth =
            |text: &[u8]| text.split(|&byte| byte == b'\n').nth(line.checked_sub(1)? as usize).map(<[u8]>::to_vec);
        let mut phases: Vec<&str> = self.patches.iter().filter_map(|(_, id)| Some(id.split_once('/')?.0)).collect();
        phases.dedup();
        let places = phases.iter().flat_map(|phase| ["kernel", "selftests"].map(|top| (top, phase)));
        let mut places = places.map(|(top, phase)| Utf8Path::new(top).join(phase).join(file));
        places.find(|place| std::fs::read(root.join(place)).is_ok_and(|own| nth(&own) == nth(text)))
    }
}

impl Blame for GitBlame<'_> {
    fn blame(&self, file: &Utf8Path, line: u32) -> Option<Culprit> {
        let tree = self.repo.tree_of(self.commit).ok()?;
        let bytes = self.repo.read(tree, file).ok()??.bytes;
        let commit = self.repo.blame(self.base, self.commit, file, line as usize).ok()?;
        let Some(commit) = commit else {
            // Either the base's line, or past the end of the file.
            let lines = bytes.split(|&byte| byte == b'\n').count();
            return (line as usize <= lines).then_some(Culprit::Base);
        };
        let commit = commit.to_string();
        let id = self.patches.iter().find(|(id, _)| *id == commit)?.1.clone();
        Some(Culprit::Patch { id, file: self.project_file(file, line, &bytes) })
    }

    fn mention(&self, symbol: &str) -> Option<(Utf8PathBuf, u32)> {
        let (from, to) = (self.repo.tree_of(self.base).ok()?, self.repo.tree_of(self.commit).ok()?);
        let changes = self.repo.changes(from, to, Utf8Path::new("the built commit")).ok()?;
        let added = changes.added.into_iter().map(|(path, _)| path);
        let mut files: Vec<Utf8PathBuf> = added.chain(changes.edits.into_iter().map(|edit| edit.path)).collect();
        // A header declares the symbol, and prose may tell of it: what calls it is compiled.
        files.retain(|file| file.extension().is_some_and(|extension| ["c", "rs", "S", "h"].contains(&extension)));
        files.sort_by_key(|file| file.extension() == Some("h"));
        files.into_iter().find_map(|file| {
            let bytes = self.repo.read(to, &file).ok()??.bytes;
            let text = String::from_utf8_lossy(&bytes);
            let mut lines = (1..).zip(text.lines()).filter(|(_, line)| has_word(line, symbol));
            let (line, _) = lines.find(|(line, _)| matches!(self.blame(&file, *line), Some(Culprit::Patch { .. })))?;
            Some((file, line))
        })
    }
}

/// Whether a line has a word by itself, not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$')).any(|part| part == word)
}
