// SPDX-License-Identifier: GPL-2.0-only

//! The difference of two trees as the model has it: files added whole, and edits of files that exist.

use camino::{Utf8Path, Utf8PathBuf};
use git2::{Delta, DiffFindOptions, DiffOptions, Oid, Patch};

use super::{Repo, TreeFile, Update};
use crate::error::{Diagnostic, Error, Result};
use crate::hunk::Hunk;
use crate::patchfile::{FileDiff, parse_diffs, patch_path};

/// What one patch changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that did not exist before, sorted.
    pub added: Vec<(Utf8PathBuf, TreeFile)>,
    /// Edits, sorted by path.
    pub edits: Vec<FileDiff>,
}

fn options() -> DiffOptions {
    let mut options = DiffOptions::new();
    options.context_lines(3).interhunk_lines(0).indent_heuristic(true);
    options
}

impl Repo {
    /// What leads from one tree to another. A file whose name changed while at least half of it stayed is a renaming.
    ///
    /// # Errors
    /// Binary files, links and names that a patch cannot hold, as diagnostics for `blame`.
    pub fn changes(&self, from: Oid, to: Oid, blame: &Utf8Path) -> Result<Changes> {
        let doing = || Error::git(format!("comparing {from} with {to}"));
        let (old, new) = (self.inner.find_tree(from), self.inner.find_tree(to));
        let (old, new) = (old.map_err(doing())?, new.map_err(doing())?);
        let mut diff = self.inner.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options())).map_err(doing())?;
        diff.find_similar(Some(DiffFindOptions::new().renames(true).rename_threshold(50))).map_err(doing())?;

        let mut changes = Changes::default();
        let mut found = Vec::new();
        let mut text = Vec::new();
        for index in 0..diff.deltas().len() {
            let Some(delta) = diff.get_delta(index) else { continue };
            let side = if delta.status() == Delta::Deleted { delta.old_file() } else { delta.new_file() };
            let name = side.path_bytes().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
            if let Err(why) = patch_path(&name) {
                found.push(Diagnostic::new(blame, why, "give the file another name"));
                continue;
            }
            let path = Utf8PathBuf::from(&name);
            let regular = |mode: git2::FileMode| {
                [git2::FileMode::Blob, git2::FileMode::BlobExecutable, git2::FileMode::Unreadable].contains(&mode)
            };
            if !regular(delta.old_file().mode()) || !regular(delta.new_file().mode()) {
                found.push(Diagnostic::new(
                    blame,
                    format!("{path} is not a regular file"),
                    "keep links out of the series",
                ));
                continue;
            }
            let file = self.read(to, &path)?;
            if file.as_ref().is_some_and(|file| file.bytes.contains(&0)) {
                let fix = "keep binary files out of the series; add what is generated to .gitignore";
                found.push(Diagnostic::new(blame, format!("binary file: {path}"), fix));
                continue;
            }
            match (delta.status(), file) {
                (Delta::Added, Some(file)) => changes.added.push((path, file)),
                _ => {
                    let patch = Patch::from_diff(&diff, index).map_err(doing())?;
                    if let Some(mut patch) = patch {
                        text.extend_from_slice(&patch.to_buf().map_err(doing())?);
                    }
                }
            }
        }
        crate::error::check(found)?;
        changes.edits = parse_diffs(blame, &text, 0)?;
        for hunk in changes.edits.iter_mut().flat_map(|edit| &mut edit.hunks) {
            hunk.at = 0;
        }
        changes.edits.iter_mut().for_each(|edit| edit.line = 0);
        Ok(changes)
    }

    /// The hunks between two contents.
    pub(crate) fn hunks(&self, old: &[u8], new: &[u8]) -> Result<Vec<Hunk>> {
        if old == new {
            return Ok(Vec::new());
        }
        let doing = || Error::git("comparing two files");
        let name = Some(std::path::Path::new("x"));
        let mut options = options();
        options.force_text(true);
        let mut patch = Patch::from_buffers(old, name, new, name, Some(&mut options)).map_err(doing())?;
        let text = patch.to_buf().map_err(doing())?;
        let mut files = parse_diffs(Utf8Path::new("x"), &text, 0)?;
        Ok(files.pop().map(|file| file.hunks).unwrap_or_default())
    }

    /// Merges two changes of a file; `None` where they overlap or touch.
    pub(crate) fn merge(&self, old: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Option<Vec<u8>>> {
        let doing = || Error::git("merging a file");
        let tree = |bytes: &[u8]| {
            let put = Update::Put(self.blob(bytes)?, 0o100_644);
            let id = self.update_tree(self.empty_tree()?, &[(Utf8PathBuf::from("x"), put)])?;
            self.inner.find_tree(id).map_err(doing())
        };
        let (old, ours, theirs) = (tree(old)?, tree(ours)?, tree(theirs)?);
        let mut index = self.inner.merge_trees(&old, &ours, &theirs, None).map_err(doing())?;
        if index.has_conflicts() {
            return Ok(None);
        }
        let merged = index.write_tree_to(&self.inner).map_err(doing())?;
        Ok(self.read(merged, Utf8Path::new("x"))?.map(|file| file.bytes))
    }

    /// The id that `git patch-id --stable` gives to the difference of two trees.
    pub fn patch_id(&self, from: Oid, to: Oid) -> Result<Oid> {
        let doing = || Error::git(format!("comparing {from} with {to}"));
        let (old, new) = (self.inner.find_tree(from), self.inner.find_tree(to));
        let (old, new) = (old.map_err(doing())?, new.map_err(doing())?);
        let diff = self.inner.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options())).map_err(doing())?;
        diff.patchid(None).map_err(doing())
    }
}
