// SPDX-License-Identifier: GPL-2.0-only

//! A worktree at a patch, and the way back.
//!
//! [`open`] checks the patch out under `<cache>/worktrees`; people edit, amend or commit there as they like. [`refresh`]
//! takes the difference between the patch's parent and the worktree's files, however it came about, and writes it into
//! kernel/ and the .patch files. A small record beside the worktree says which commit it was opened at: if the project's
//! idea of the patch changed meanwhile, `refresh` refuses, because it would take that change back. [`close`] removes a
//! worktree, if nothing is lost with it.
//!
//! All three hold the cache's lock `edit`, so that of two processes the second sees what the first one did, whole.

mod close;
mod refresh;
mod replay;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use stg_env::{Cache, LockGuard};

pub use self::close::{Closed, close, is_open};
pub use self::refresh::{Refreshed, Which, refresh};
use crate::assemble::{AssembledPatch, assemble};
use crate::base::Base;
use crate::error::{Error, Result};
use crate::git::{Oid, Repo};
use crate::source::{Source, absolute, replace_file};
use crate::stack::{Stack, Target};

/// What [`open`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// `phase1/kho-rust`.
    pub patch: String,
    /// The worktree.
    pub path: Utf8PathBuf,
    /// The commit that is checked out, which is the patch.
    pub commit: Oid,
    /// Whether the worktree was there already (and had nothing unsaved).
    pub existed: bool,
}

/// What is known about a worktree; `<worktree>.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    patch: String,
    commit: String,
}

/// The worktree of a patch `phase/name`.
pub fn worktree_path(cache: &Utf8Path, patch: &str) -> Utf8PathBuf {
    cache.join("worktrees").join(format!("edit-{}", patch.replace('/', "-")))
}

fn record_path(worktree: &Utf8Path) -> Utf8PathBuf {
    worktree.with_file_name(format!("{}.json", worktree.file_name().unwrap_or_default()))
}

fn lock(cache: &Utf8Path) -> Result<LockGuard> {
    Ok(Cache::at(cache)?.lock("edit")?)
}

impl Record {
    fn load(worktree: &Utf8Path) -> Result<Self> {
        let path = record_path(worktree);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        serde_json::from_str(&text).map_err(|error| {
            let fix = "save your changes elsewhere, remove the worktree and run `phasectl edit` again";
            Error::refused(format!("{path} is damaged: {error}"), fix)
        })
    }

    fn save(&self, worktree: &Utf8Path) -> Result<()> {
        let path = record_path(worktree);
        let text = serde_json::to_string(self)
            .map_err(|error| Error::refused(format!("{path}: {error}"), "report this as a bug"))?;
        replace_file(&path, text.as_bytes(), false)
    }
}

/// Checks a patch out for editing.
///
/// # Errors
/// [`Error::Refused`] when its worktree has changes that `refresh` has not taken yet.
pub fn open(cache: &Utf8Path, base: &Base, source: &dyn Source, patch: &str) -> Result<Opened> {
    let cache = &absolute(cache)?;
    let _one_at_a_time = lock(cache)?;
    let stack = Stack::load(source)?;
    let id = stack.patch(patch)?.1.id();
    let assembled = assemble(base, source, &stack, &Target::Patch(id.clone()))?;
    let Some(at) = assembled.patch(&id) else {
        return Err(Error::refused(format!("{id} did not assemble"), "report this as a bug"));
    };
    let repo = Repo::open(&base.repo)?;
    let path = worktree_path(cache, &id);
    let existed = record_path(&path).exists() && path.join(".git").exists();
    if existed {
        unsaved(&repo, &path, at)?;
    } else {
        // Without a record its checkout was interrupted: nobody has been told of it yet.
        repo.remove_worktree(&path)?;
    }
    repo.checkout(&path, at.commit)?;
    Record { patch: id.clone(), commit: at.commit.to_string() }.save(&path)?;
    Ok(Opened { patch: id, path, commit: at.commit, existed })
}

/// Refuses when the worktree holds anything that is neither the patch as it is now nor as it was when it was opened.
fn unsaved(repo: &Repo, path: &Utf8Path, at: &AssembledPatch) -> Result<()> {
    let tree = repo.worktree_tree(path)?;
    let head = repo.worktree_head(path)?;
    let opened = Record::load(path).ok().and_then(|record| Repo::oid(&record.commit).ok());
    let clean = |commit: Oid| repo.tree_of(commit).is_ok_and(|there| there == tree) && head == commit;
    if clean(at.commit) || opened.is_some_and(clean) {
        return Ok(());
    }
    let fix = format!(
        "run `phasectl refresh {}` to take them, or `git -C {path} reset --hard` and `git -C {path} clean -df` to drop them",
        at.id()
    );
    Err(Error::refused(format!("the worktree {path} has changes that are not saved"), fix))
}

#[cfg(test)]
mod tests;
