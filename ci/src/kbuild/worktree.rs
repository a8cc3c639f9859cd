// SPDX-License-Identifier: GPL-2.0-only

//! The one source tree that all kernels of a cache are built from.
//!
//! It moves from commit to commit by rewriting only the files that differ. git gives those the current time, also when an
//! older content comes back, and that is what keeps incremental builds right: a file that was merely put back with its
//! old time would be older than the object made from its successor, and make would not compile it again.
//!
//! A run that is killed half-way leaves a lock, half-written files, or files that git does not know. So the tree is not
//! trusted: after every move what is on disk must hash to the tree of the commit. It is our own directory and nobody
//! works in it (`phasectl edit` has others), so a difference is answered by making it anew.

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{Oid, Repo};

use super::error::BuildError;

/// Brings the worktree to a commit, exactly. The caller holds the lock.
pub(super) fn prepare(repo: &Repo, worktree: &Utf8Path, commit: Oid) -> Result<(), BuildError> {
    let tree = repo.tree_of(commit)?;
    if moved(repo, worktree, commit, tree).is_ok_and(|same| same) {
        return Ok(());
    }
    repo.remove_worktree(worktree)?;
    if moved(repo, worktree, commit, tree)? {
        return Ok(());
    }
    Err(BuildError::Worktree {
        worktree: worktree.to_owned(),
        commit: commit.to_string(),
        why: format!("its files do not hash to the tree {tree}"),
    })
}

fn moved(repo: &Repo, worktree: &Utf8Path, commit: Oid, tree: Oid) -> Result<bool, BuildError> {
    if let Some(git_dir) = git_dir(worktree) {
        // We hold the lock of the build, so a lock of the index is one that a killed git left.
        let _ = std::fs::remove_file(git_dir.join("index.lock"));
    }
    repo.checkout(worktree, commit)?;
    Ok(repo.worktree_head(worktree)? == commit && repo.worktree_tree(worktree)? == tree)
}

/// Where git keeps the worktree's index.
fn git_dir(worktree: &Utf8Path) -> Option<Utf8PathBuf> {
    let text = std::fs::read_to_string(worktree.join(".git")).ok()?;
    Some(worktree.join(text.trim().strip_prefix("gitdir: ")?))
}
