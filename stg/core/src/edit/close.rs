// SPDX-License-Identifier: GPL-2.0-only

//! The end of a worktree.
//!
//! It is a whole Linux tree, and nobody else removes it: the tool cannot know when an edit is over. What `refresh` has not
//! taken yet exists nowhere else, so such a worktree stays unless its owner insists. Ignored files (what a build leaves
//! behind) can be made again and do not count.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Record, lock, record_path, worktree_path};
use crate::base::repo_path;
use crate::error::{Error, Result};
use crate::git::Repo;
use crate::source::absolute;

/// What [`close`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// `phase1/kho-rust`.
    pub patch: String,
    /// The worktree that was removed.
    pub path: Utf8PathBuf,
}

/// Whether there is, or once was, a worktree of a patch `phase/name`.
pub fn is_open(cache: &Utf8Path, patch: &str) -> bool {
    let path = worktree_path(cache, patch);
    path.exists() || record_path(&path).exists()
}

/// Removes the worktree of a patch `phase/name`. Neither the patch nor a base must exist any more.
///
/// # Errors
/// [`Error::Refused`] when there is none, and, unless `force`, when it has changes that `refresh` has not taken, or that
/// cannot be told.
pub fn close(cache: &Utf8Path, patch: &str, force: bool) -> Result<Closed> {
    let cache = &absolute(cache)?;
    let _one_at_a_time = lock(cache)?;
    let path = worktree_path(cache, patch);
    let record = record_path(&path);
    if !is_open(cache, patch) {
        let message = format!("there is no worktree of {patch}");
        return Err(Error::refused(message, format!("there is nothing to do; `phasectl edit {patch}` opens one")));
    }
    let repo = Repo::open_or_create(&repo_path(cache))?;
    if !force && path.exists() {
        let why = match clean(&repo, &path) {
            Ok(true) => None,
            Ok(false) => Some(format!("the worktree {path} has changes that were not taken back")),
            Err(error) => Some(format!("whether the worktree {path} has changes cannot be told: {error}")),
        };
        if let Some(message) = why {
            let fix = format!(
                "run `phasectl refresh {patch}` to take its changes, or `phasectl edit --done --force {patch}` to drop them"
            );
            return Err(Error::refused(message, fix));
        }
    }
    repo.remove_worktree(&path)?;
    match std::fs::remove_file(&record) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&record)(error)),
        _ => {}
    }
    Ok(Closed { patch: patch.to_owned(), path })
}

/// Whether the worktree is as `edit` or `refresh` left it.
fn clean(repo: &Repo, path: &Utf8Path) -> Result<bool> {
    let commit = Repo::oid(&Record::load(path)?.commit)?;
    Ok(repo.worktree_head(path)? == commit && repo.worktree_tree(path)? == repo.tree_of(commit)?)
}
