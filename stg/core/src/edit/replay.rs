// SPDX-License-Identifier: GPL-2.0-only

//! The patches after an edited one, carried over to the new tree.
//!
//! A later hunk knows its place in the old file. Where the edit moved that place is known exactly, since both states of
//! the file are at hand: the line numbers are moved along first, so that a hunk in repetitive code cannot slip to a
//! neighbour that looks the same. Then the hunk is applied, without fuzz. If only its context changed, the two changes are
//! merged from their common ancestor, and the hunks are written anew; if they overlap or touch, that is a conflict.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use crate::assemble::{AssembledPatch, forward_edit};
use crate::error::{Diagnostic, Error, Result, check, gather};
use crate::git::{Oid, Repo, Update};
use crate::hunk::{Hunk, Tag};
use crate::patchfile::{FileDiff, PatchFile};
use crate::stack::{Patch, Stack};

/// What became of the later patches.
pub(super) struct Replayed {
    /// The tree after the last of them.
    pub(super) end: Oid,
    /// Those whose text changed, by their file.
    pub(super) texts: BTreeMap<Utf8PathBuf, PatchFile>,
}

/// Puts `patches` (with their old commits) on `tree`, one after the other.
///
/// # Errors
/// The conflicts of the first patch that has any.
pub(super) fn replay(
    repo: &Repo,
    stack: &Stack,
    mut tree: Oid,
    patches: &[(&Patch, &AssembledPatch)],
) -> Result<Replayed> {
    let mut texts = BTreeMap::new();
    for (patch, old) in patches {
        let mut updates: Vec<(Utf8PathBuf, Update)> = Vec::new();
        let mut found = Vec::new();
        for (path, line) in patch.text.adds() {
            if repo.read(tree, path)?.is_some() {
                let message = format!("conflict: {path} is added by patch {} too", patch.entry.name);
                let fix = "leave the file out of the edited patch, or remove it from this one first";
                found.push(Diagnostic::new(&patch.file, message, fix).at(line));
            }
            if let Some(file) = repo.read(old.tree, path)? {
                updates.push((path.to_owned(), Update::Put(file.id, file.mode)));
            }
        }
        let mut diffs = Vec::new();
        for diff in &patch.text.diffs {
            let Some((diff, more)) = gather(carry(repo, stack, tree, patch, old, diff), &mut found)? else { continue };
            updates.extend(more);
            diffs.extend(diff);
        }
        check(found)?;
        tree = repo.update_tree(tree, &updates)?;
        if diffs != patch.text.diffs {
            texts.insert(patch.file.clone(), PatchFile { diffs, ..patch.text.clone() });
        }
    }
    Ok(Replayed { end: tree, texts })
}

/// A diff as it must be now (`None` when the edit made its change already), and what it does to the tree.
type Carried = (Option<FileDiff>, Vec<(Utf8PathBuf, Update)>);

fn carry(
    repo: &Repo,
    stack: &Stack,
    tree: Oid,
    patch: &Patch,
    old: &AssembledPatch,
    diff: &FileDiff,
) -> Result<Carried> {
    let moved = follow(repo, old.parent_tree, tree, diff)?;
    let refused = match forward_edit(repo, tree, patch, &moved, stack) {
        Ok(updates) => return Ok((Some(moved), updates)),
        Err(Error::Invalid(found)) => found,
        Err(other) => return Err(other),
    };
    if let Some(merged) = merge(repo, tree, old, diff)? {
        if merged.hunks.is_empty() && merged.modes.is_none() && merged.renamed_from.is_none() {
            return Ok((None, Vec::new()));
        }
        let updates = forward_edit(repo, tree, patch, &merged, stack)?;
        return Ok((Some(merged), updates));
    }
    let conflict = |mut one: Diagnostic| {
        one.message = format!("conflict with a later patch: {}", one.message);
        one.fix = format!(
            "change the edited patch so that these lines of {} stay, or take them out of patch {} first; nothing was written",
            diff.path, patch.entry.name
        );
        one
    };
    Err(Error::Invalid(refused.into_iter().map(conflict).collect()))
}

/// A diff with the line numbers moved from the old state of its file to the new one.
fn follow(repo: &Repo, old_tree: Oid, new_tree: Oid, diff: &FileDiff) -> Result<FileDiff> {
    let mut diff = diff.clone();
    let (Some(old), Some(new)) = (repo.read(old_tree, diff.old_path())?, repo.read(new_tree, diff.old_path())?) else {
        return Ok(diff);
    };
    if old.id == new.id {
        return Ok(diff);
    }
    let between = repo.hunks(&old.bytes, &new.bytes)?;
    // Where the hunks really are in the old state: their own numbers may be stale.
    let Ok(places) = crate::hunk::places(&old.bytes, &diff.hunks) else { return Ok(diff) };
    for (hunk, place) in diff.hunks.iter_mut().zip(places) {
        let start = place.saturating_add_signed(shift_before(&between, place));
        let by = start as isize - hunk.old_index() as isize;
        hunk.old_start = hunk.old_start.saturating_add_signed(by);
        hunk.new_start = hunk.new_start.saturating_add_signed(by);
    }
    Ok(diff)
}

/// By how many lines the changes that lie before a line (0-based) move it.
fn shift_before(between: &[Hunk], line: usize) -> isize {
    let mut shift = 0;
    for hunk in between {
        let mut at = hunk.old_index();
        for change in &hunk.lines {
            if at > line {
                return shift;
            }
            match change.tag {
                Tag::Context => at += 1,
                Tag::Add => shift += 1,
                Tag::Remove => {
                    at += 1;
                    shift -= isize::from(at <= line);
                }
            }
        }
    }
    shift
}

/// The diff with new hunks, if its change and the edit's can be told apart.
fn merge(repo: &Repo, tree: Oid, old: &AssembledPatch, diff: &FileDiff) -> Result<Option<FileDiff>> {
    if diff.deleted.is_some() {
        return Ok(None);
    }
    let before = repo.read(old.parent_tree, diff.old_path())?;
    let (ours, theirs) = (repo.read(tree, diff.old_path())?, repo.read(old.tree, &diff.path)?);
    let (Some(before), Some(ours), Some(theirs)) = (before, ours, theirs) else { return Ok(None) };
    let Some(merged) = repo.merge(&before.bytes, &ours.bytes, &theirs.bytes)? else { return Ok(None) };
    Ok(Some(FileDiff { hunks: repo.hunks(&ours.bytes, &merged)?, ..diff.clone() }))
}
