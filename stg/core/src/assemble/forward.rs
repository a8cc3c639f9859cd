// SPDX-License-Identifier: GPL-2.0-only

//! One patch put on a tree.

use camino::{Utf8Path, Utf8PathBuf};

use super::derive::Own;
use super::misplaced;
use crate::error::{Diagnostic, Result, check, gather};
use crate::git::{Oid, Repo, Update};
use crate::hunk::{self, Direction};
use crate::patchfile::FileDiff;
use crate::source::File;
use crate::stack::{Patch, Stack};

fn mode(executable: bool) -> u32 {
    if executable { 0o100_755 } else { 0o100_644 }
}

/// The tree after the patch.
pub(super) fn patch(repo: &Repo, tree: Oid, patch: &Patch, own: &Own, stack: &Stack) -> Result<Oid> {
    let mut updates: Vec<(Utf8PathBuf, Update)> = Vec::new();
    let mut found = Vec::new();
    for (path, line) in patch.text.adds() {
        if repo.read(tree, path)?.is_some() {
            found.push(exists(stack, patch, path, line));
        }
    }
    updates.extend(own.gone.iter().map(|path| (path.clone(), Update::Remove)));
    for (path, File { bytes, executable }) in &own.after {
        updates.push((path.clone(), Update::Put(repo.blob(bytes)?, mode(*executable))));
    }
    for diff in patch.text.diffs.iter().filter(|diff| !own.done.contains(&diff.path)) {
        if let Some(more) = gather(edit(repo, tree, patch, diff, stack), &mut found)? {
            updates.extend(more);
        }
    }
    check(found)?;
    repo.update_tree(tree, &updates)
}

/// The updates that one diff makes to a tree.
pub(crate) fn edit(
    repo: &Repo,
    tree: Oid,
    patch: &Patch,
    diff: &FileDiff,
    stack: &Stack,
) -> Result<Vec<(Utf8PathBuf, Update)>> {
    let complain = |message: String, fix: &str| Err(Diagnostic::new(&patch.file, message, fix).at(diff.line).into());
    let old_path = diff.old_path();
    let Some(old) = repo.read(tree, old_path)? else {
        let later = adder(stack, old_path)
            .map_or_else(String::new, |by| format!(" ({} adds it, which is not before)", by.file));
        let message = format!("the diff changes {old_path}, which does not exist at this patch{later}");
        return complain(message, "correct the path, or move the patch after the one that adds the file");
    };
    if old.mode & 0o170_000 != 0o100_000 {
        return complain(format!("{old_path} is a symlink in Linux"), "change the file that it points to");
    }
    let content =
        hunk::apply(&old.bytes, &diff.hunks).map_err(|what| misplaced(patch, diff, &what, Direction::Apply))?;
    if diff.deleted.is_some() {
        if !content.is_empty() {
            let message = format!("the diff deletes {old_path}, but takes only part of its lines");
            return complain(message, "take out every line of the file in its hunk, or take the .patch back with git");
        }
        return Ok(vec![(old_path.to_owned(), Update::Remove)]);
    }
    let mut new_mode = old.mode;
    if let Some((from, to)) = diff.modes {
        if from != old.mode {
            let message = format!("the diff changes the mode of {old_path} from {from:o}, but it is {:o}", old.mode);
            return complain(message, "correct the line `old mode`");
        }
        new_mode = to;
    }
    let mut updates = Vec::new();
    if diff.renamed_from.is_some() {
        if repo.read(tree, &diff.path)?.is_some() {
            return complain(
                format!("the diff renames {old_path} to {}, which exists", diff.path),
                "choose another name",
            );
        }
        updates.push((old_path.to_owned(), Update::Remove));
    }
    updates.push((diff.path.clone(), Update::Put(repo.blob(&content)?, new_mode)));
    Ok(updates)
}

fn adder<'a>(stack: &'a Stack, path: &Utf8Path) -> Option<&'a Patch> {
    let adds = |patch: &&Patch| patch.text.adds().any(|(added, _)| added == path);
    stack.phases.iter().flat_map(|phase| &phase.patches).find(adds)
}

fn exists(stack: &Stack, patch: &Patch, path: &Utf8Path, line: usize) -> Diagnostic {
    let other = adder(stack, path).filter(|other| other.file != patch.file);
    let message = match other {
        Some(other) => format!("file added twice: {path} is added by {} already", other.file),
        None => format!("{path} exists in the base already"),
    };
    Diagnostic::new(&patch.file, message, "change the file by hunks in the .patch instead of adding it").at(line)
}
