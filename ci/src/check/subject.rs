// SPDX-License-Identifier: GPL-2.0-only

//! A patch under examination: its message, its mail, and every file it touches, before and after.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{NewCommit, Oid, Repo};
use stg_core::hunk::Tag;
use stg_core::manifest::Identity;

use super::{Finding, Member};
use crate::kbuild::BuildError;

/// Where a patch comes from, and so where its message can be corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `phase1/kho-rust`, or the subject of a mail.
    pub id: String,
    /// The `.patch`, or what stands for it.
    pub file: Utf8PathBuf,
    /// The line there of the message body's first line.
    pub body_line: usize,
}

/// A patch.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where it comes from.
    pub origin: Origin,
    /// First line of the message.
    pub subject: String,
    /// The rest of the message.
    pub body: String,
    /// The tree before it.
    pub parent_tree: Oid,
    /// The tree after it.
    pub tree: Oid,
    /// It as a mail.
    pub mail: Vec<u8>,
    /// What it touches, sorted by path.
    pub touched: Vec<Touched>,
    /// All patches of its series, if it is the first one of them.
    pub series: Vec<Member>,
    /// What is wrong with its place in the series, see [`crate::gate::misplaced`].
    pub misplaced: Option<Finding>,
}

/// A file that a patch adds, changes, renames or deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Its path; that before, if it is deleted.
    pub path: Utf8PathBuf,
    /// Its text before.
    pub old: Option<String>,
    /// Its text after.
    pub new: Option<String>,
    /// The lines (1-based) that the patch adds.
    pub added: BTreeSet<usize>,
}

impl Touched {
    /// Whether it is there afterwards and has one of these extensions.
    pub fn is(&self, extensions: &[&str]) -> bool {
        self.new.is_some() && self.path.extension().is_some_and(|extension| extensions.contains(&extension))
    }
}

impl Subject {
    /// A commit on its parent.
    ///
    /// # Errors
    ///
    /// If the repository fails.
    pub fn of_commit(repo: &Repo, origin: Origin, commit: Oid, parent_tree: Oid) -> Result<Self, BuildError> {
        let message = repo.message(commit)?;
        let tree = repo.tree_of(commit)?;
        let mail = repo.mail(signed(repo, commit, tree, &message)?)?;
        Self::new(repo, origin, &message, mail, parent_tree, tree)
    }

    /// A mail, and the trees that it leads from and to.
    ///
    /// # Errors
    ///
    /// If the repository fails.
    pub fn new(
        repo: &Repo,
        origin: Origin,
        message: &str,
        mail: Vec<u8>,
        parent_tree: Oid,
        tree: Oid,
    ) -> Result<Self, BuildError> {
        let (subject, body) = message.split_once('\n').unwrap_or((message, ""));
        let touched = touched(repo, &origin.file, parent_tree, tree)?;
        Ok(Self {
            subject: subject.to_owned(),
            body: body.trim_start_matches('\n').to_owned(),
            origin,
            parent_tree,
            tree,
            mail,
            touched,
            series: Vec::new(),
            misplaced: None,
        })
    }
}

/// The commit as of who signed it off last, who will be the one to send it; as it is, if nobody did.
fn signed(repo: &Repo, commit: Oid, tree: Oid, message: &str) -> Result<Oid, BuildError> {
    let last = message.lines().rev().find_map(|line| line.strip_prefix("Signed-off-by: "));
    let who = last.and_then(|who| who.strip_suffix('>')?.split_once(" <"));
    let Some((name, email)) = who else { return Ok(commit) };
    let who = Identity { name: name.to_owned(), email: email.to_owned() };
    let parent = repo.parent_of(commit)?;
    Ok(repo.commit(&NewCommit { tree, parent, who: &who, date: repo.date_of(commit)?, message })?)
}

fn touched(repo: &Repo, blame: &Utf8Path, from: Oid, to: Oid) -> Result<Vec<Touched>, BuildError> {
    let changes = repo.changes(from, to, blame)?;
    let read = |tree: Oid, path: &Utf8Path| -> Result<Option<String>, BuildError> {
        Ok(repo.read(tree, path)?.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()))
    };
    let mut all = Vec::new();
    for (path, file) in changes.added {
        let text = String::from_utf8_lossy(&file.bytes).into_owned();
        all.push(Touched { added: (1..=text.lines().count()).collect(), path, old: None, new: Some(text) });
    }
    for edit in changes.edits {
        let mut added = BTreeSet::new();
        for hunk in &edit.hunks {
            let mut line = hunk.new_start;
            for one in &hunk.lines {
                if one.tag == Tag::Add {
                    added.insert(line);
                }
                line += usize::from(one.tag != Tag::Remove);
            }
        }
        let new = if edit.deleted.is_some() { None } else { read(to, &edit.path)? };
        all.push(Touched { old: read(from, edit.old_path())?, new, path: edit.path, added });
    }
    all.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(all)
}
