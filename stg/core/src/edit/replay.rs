// SPDX-License-Identifier: GPL-2.0-only
//! The patches after an edited one, put on the new tree.
//!
//! A later hunk knows its place in the old file. Where the edit moved that place is known exactly, since both states of
//! the file are at hand: the line numbers are moved along first, so that a hunk in repetitive code cannot slip to a
//! neighbour that looks the same. Only then the hunk is applied, without fuzz. Hunks whose numbers changed are written
//! back, everything else of a later .patch stays as it is.

use camino::Utf8PathBuf;

use crate::assemble::{AssembledPatch, forward_edit, gather};
use crate::error::{Result, check};
use crate::git::{Oid, Repo, Update};
use crate::hunk::Hunk;
use crate::patchfile::FileDiff;
use crate::stack::{Patch, Stack};

/// A later patch after the replay.
pub(super) struct Replayed {
    /// Its tree now.
    pub(super) tree: Oid,
    /// Its diffs, if a line number in them changed.
    pub(super) diffs: Option<Vec<FileDiff>>,
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
) -> Result<Vec<Replayed>> {
    let mut all = Vec::new();
    for (patch, old) in patches {
        let mut moved = (*patch).clone();
        let mut updates: Vec<(Utf8PathBuf, Update)> = Vec::new();
        let mut found = Vec::new();
        for (path, line) in patch.text.adds() {
            if repo.read(tree, path)?.is_some() {
                let message = format!("conflict: {path} is added by patch {} too", patch.entry.name);
                let fix = "leave the file out of the edited patch, or remove it from this one first";
                found.push(crate::error::Diagnostic::new(&patch.file, message, fix).at(line));
            }
            if let Some(file) = repo.read(old.tree, path)? {
                updates.push((path.to_owned(), Update::Put(file.id, file.mode)));
            }
        }
        for diff in &mut moved.text.diffs {
            follow(repo, old.parent_tree, tree, diff)?;
        }
        for diff in &moved.text.diffs {
            if let Some(more) = gather(forward_edit(repo, tree, patch, diff, stack), &mut found)? {
                updates.extend(more);
            }
        }
        check(found)?;
        tree = repo.update_tree(tree, &updates)?;
        // Line numbers as they are in the result, for all hunks of a file that moved.
        let changed = moved.text.diffs != patch.text.diffs;
        all.push(Replayed { tree, diffs: changed.then_some(moved.text.diffs) });
    }
    Ok(all)
}

/// Moves the line numbers of a diff from the old state of its file to the new one.
fn follow(repo: &Repo, old_tree: Oid, new_tree: Oid, diff: &mut FileDiff) -> Result<()> {
    let (Some(old), Some(new)) = (repo.read(old_tree, diff.old_path())?, repo.read(new_tree, diff.old_path())?) else {
        return Ok(());
    };
    if old.id == new.id {
        return Ok(());
    }
    let between = repo.hunks(&old.bytes, &new.bytes)?;
    // Where the hunks really are in the old state: their own numbers may be stale.
    let Ok(places) = crate::hunk::places(&old.bytes, &diff.hunks) else { return Ok(()) };
    for (hunk, place) in diff.hunks.iter_mut().zip(places) {
        let start = place.saturating_add_signed(shift_before(&between, place));
        let by = start as isize - hunk.old_index() as isize;
        hunk.old_start = hunk.old_start.saturating_add_signed(by);
        hunk.new_start = hunk.new_start.saturating_add_signed(by);
    }
    Ok(())
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
                crate::hunk::Tag::Context => at += 1,
                crate::hunk::Tag::Remove => {
                    at += 1;
                    if at <= line {
                        shift -= 1;
                    }
                }
                crate::hunk::Tag::Add => shift += 1,
            }
        }
    }
    shift
}
