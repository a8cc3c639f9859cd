// SPDX-License-Identifier: GPL-2.0-only

//! From a Linux worktree back to the checkout that it belongs to.
//!
//! In a worktree that `edit` opened, the current directory says nothing about the project: Linux is no checkout of it.
//! A file beside the worktree names the checkout, so that a plain `phasectl refresh` works where the editing is done.

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

/// A worktree and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    worktree: Utf8PathBuf,
    /// The root of the checkout.
    pub(crate) project: Utf8PathBuf,
}

impl Known {
    /// The cache that holds the worktree, `<cache>/worktrees/<name>`.
    pub(crate) fn cache(&self) -> Option<Utf8PathBuf> {
        self.worktree.ancestors().nth(2).map(Utf8Path::to_owned)
    }
}

fn note(worktree: &Utf8Path) -> Option<Utf8PathBuf> {
    Some(worktree.with_file_name(format!("{}.project", worktree.file_name()?)))
}

/// Notes the checkout of a worktree.
pub(crate) fn remember(worktree: &Utf8Path, project: &Utf8Path) -> anyhow::Result<()> {
    if let Some(note) = note(worktree) {
        std::fs::write(&note, project.as_str()).with_context(|| format!("cannot write {note}"))?;
    }
    Ok(())
}

/// Forgets a worktree that is gone.
pub(crate) fn forget(worktree: &Utf8Path) -> anyhow::Result<()> {
    let Some(note) = note(worktree) else { return Ok(()) };
    match std::fs::remove_file(&note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {note}"))
        }
        _ => Ok(()),
    }
}

/// The worktree at or around a directory.
pub(crate) fn find(inside: &Utf8Path) -> Option<Known> {
    inside.ancestors().find_map(|directory| {
        let project = std::fs::read_to_string(note(directory)?).ok()?;
        Some(Known { worktree: directory.to_owned(), project: project.into() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_from_below() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(dir.path()).unwrap();
        let worktree = cache.join("worktrees/edit-phase1-kho");
        std::fs::create_dir_all(worktree.join("drivers/pci")).unwrap();
        assert_eq!(find(&worktree.join("drivers/pci")), None);
        remember(&worktree, Utf8Path::new("/project")).unwrap();
        let known = find(&worktree.join("drivers/pci")).unwrap();
        assert_eq!((known.project.as_str(), known.cache().unwrap().as_path()), ("/project", cache));
        assert_eq!(find(&cache.join("worktrees")), None);
        forget(&worktree).unwrap();
        forget(&worktree).unwrap();
        assert_eq!(find(&worktree), None);
    }
}
