// SPDX-License-Identifier: GPL-2.0-only

//! From a worktree back to kernel/ and the .patch files: all or nothing.
//!
//! 1. The worktree's files make a tree (through a copy of its index, which stays as it is).
//! 2. Parent of the patch -> that tree is the new content of the .patch: added files, and hunks for the rest.
//! 3. The later patches of the phase, and of the phases that require it, are carried over (`replay`); the files at the
//!    end of each phase are the new `kernel/<phase>`.
//! 4. The result is assembled from memory: the patch must give the worktree's tree, and all those phases must assemble.
//! 5. Only then files are written, and the worktree's HEAD moves to the new commit.
//!
//! A conflict in 2 to 4 names patch, file and hunk, and leaves the project and the worktree as they were.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::replay::{Replayed, replay};
use super::{Record, worktree_path};
use crate::assemble::{Assembled, AssembledPatch, assemble, assemble_chain, assemble_in};
use crate::base::Base;
use crate::error::{Error, Result};
use crate::git::{Changes, Oid, Repo};
use crate::patchfile::{PatchFile, split_message};
use crate::source::{Disk, File, Overlay, Source, absolute, replace_file};
use crate::stack::{Patch, Phase, Stack, Target, home};

/// Which worktree to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// That of a patch (`phase1/kho-rust`, or its name alone).
    Patch(String),
    /// The one at, or around, this path.
    Worktree(Utf8PathBuf),
}

/// What [`refresh`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// `phase1/kho-rust`.
    pub patch: String,
    /// Its commit now.
    pub commit: Oid,
    /// Files that were written, relative to the project root; none when nothing had changed.
    pub written: Vec<Utf8PathBuf>,
    /// Files that were removed.
    pub removed: Vec<Utf8PathBuf>,
}

/// Takes a worktree's state back into the project.
///
/// # Errors
/// [`Error::Invalid`] for conflicts with later patches and for content that a patch cannot hold; [`Error::Refused`] when
/// the worktree and the project no longer belong together. Nothing was written then.
pub fn refresh(cache: &Utf8Path, base: &Base, disk: &Disk, which: &Which) -> Result<Refreshed> {
    let cache = &absolute(cache)?;
    let _one_at_a_time = super::lock(cache)?;
    let stack = Stack::load(disk)?;
    let (path, record) = find(cache, &stack, which)?;
    let repo = Repo::open(&base.repo)?;
    let Ok((phase, patch)) = stack.patch(&record.patch) else {
        let fix = format!("put it back into phase.yaml, or run `phasectl edit --done {}`", record.patch);
        return Err(Error::refused(
            format!("{path} is a worktree of {}, which is no patch any more", record.patch),
            fix,
        ));
    };
    let old = assemble_in(&repo, base, disk, &stack, &Target::Phase(phase.name().to_owned()))?;
    let Some(index) = old.patches.iter().position(|one| one.id() == record.patch) else {
        return Err(Error::refused(format!("{} did not assemble", record.patch), "report this as a bug"));
    };
    let at = &old.patches[index];
    let message = current_message(&repo, &path, &record, at)?;
    let tree = repo.worktree_tree(&path)?;

    let changes = repo.changes(at.parent_tree, tree, &patch.file)?;
    let edited = edited_patch(patch, message, &changes)?;
    let mut replayed = replay(&repo, &stack, tree, &own_patches(phase, &old, index + 1))?;
    replayed.texts.insert(patch.file.clone(), edited);
    let mut new = Changed::new();
    collect(&repo, disk, phase, &replayed, &mut new)?;
    for other in stack.dependants(phase.name()) {
        let old = assemble_in(&repo, base, disk, &stack, &Target::Phase(other.name().to_owned()))?;
        let overlay = Overlay::new(disk, &new);
        let now = Stack::load(&overlay)?;
        let mut chain = now.chain(&Target::Phase(other.name().to_owned()))?;
        chain.retain(|(phase, _)| phase.name() != other.name());
        let start = assemble_chain(&repo, base, &overlay, &now, &chain)?.tip_tree()?;
        let replayed = replay(&repo, &stack, start, &own_patches(other, &old, 0))?;
        collect(&repo, disk, other, &replayed, &mut new)?;
    }
    new = unlike(disk, new)?;

    verify(&repo, base, &Overlay::new(disk, &new), &record.patch, tree, phase)?;
    let (written, removed) = write(disk, &new)?;
    let stack = Stack::load(disk)?;
    let assembled = assemble(base, disk, &stack, &Target::Patch(record.patch.clone()))?;
    let commit = assembled.tip()?;
    repo.worktree_reset(&path, commit)?;
    Record { patch: record.patch.clone(), commit: commit.to_string() }.save(&path)?;
    Ok(Refreshed { patch: record.patch, commit, written, removed })
}

fn find(cache: &Utf8Path, stack: &Stack, which: &Which) -> Result<(Utf8PathBuf, Record)> {
    let path = match which {
        Which::Patch(id) => worktree_path(cache, &stack.patch(id)?.1.id()),
        Which::Worktree(inside) => {
            let inside = absolute(inside)?;
            let found = inside.ancestors().find(|path| super::record_path(path).exists() && path.join(".git").exists());
            let fix = "run it in a worktree that `phasectl edit` made, or name the patch";
            found.ok_or_else(|| Error::refused(format!("{inside} is not in a worktree of a patch"), fix))?.to_owned()
        }
    };
    if !path.join(".git").exists() {
        let message = format!("there is no worktree {path}");
        return Err(Error::refused(message, "run `phasectl edit` with the patch's name first"));
    }
    let record = Record::load(&path)?;
    Ok((path, record))
}

/// The message that the worktree's history gives to the patch, if it gives one: that of the first commit after the
/// parent, when it is not the one that was checked out.
fn current_message(repo: &Repo, path: &Utf8Path, record: &Record, at: &AssembledPatch) -> Result<Option<String>> {
    let head = repo.worktree_head(path)?;
    let history = repo.path_between(at.parent, head)?;
    let Some(history) = history else {
        let fix = format!(
            "in {path}, save your changes (`git stash`), `git checkout --detach {}`, take them back (`git stash pop`), and refresh again",
            at.commit
        );
        return Err(Error::refused(
            format!("HEAD of {path} ({head}) does not stand on the patches before {}", at.id()),
            fix,
        ));
    };
    let opened = Repo::oid(&record.commit)?;
    if opened != at.commit && !history.contains(&at.commit) {
        let message = format!("{} changed in the project after {path} was opened", at.id());
        let fix = format!(
            "in {path}, save your changes (`git stash`), `git checkout --detach {}`, take them back (`git stash pop`), and refresh again",
            at.commit
        );
        return Err(Error::refused(message, fix));
    }
    match history.first() {
        Some(first) if *first != at.commit => Ok(Some(repo.message(*first)?)),
        _ => Ok(None),
    }
}

fn edited_patch(patch: &Patch, message: Option<String>, changes: &Changes) -> Result<PatchFile> {
    let (subject, body) = match message {
        Some(message) => split_message(&patch.file, &message)?,
        None => (patch.text.subject().to_owned(), patch.text.body.clone()),
    };
    // Files that were added before keep their place in the header; new ones follow.
    let added: BTreeSet<&Utf8Path> = changes.added.iter().map(|(path, _)| path.as_path()).collect();
    let mut adds: Vec<Utf8PathBuf> =
        patch.text.adds().map(|(path, _)| path.to_owned()).filter(|path| added.contains(path.as_path())).collect();
    let fresh: Vec<_> =
        added.iter().filter(|path| !adds.iter().any(|kept| kept == *path)).map(|path| path.to_path_buf()).collect();
    adds.extend(fresh);
    Ok(PatchFile::new(&subject, &adds, &body, changes.edits.clone()))
}

/// The patches of a phase from its nth patch of the stack on, with their commits.
fn own_patches<'a>(phase: &'a Phase, old: &'a Assembled, from: usize) -> Vec<(&'a Patch, &'a AssembledPatch)> {
    let find = |id: &str| phase.patches.iter().find(|patch| patch.id() == id);
    old.patches[from..].iter().filter_map(|one| Some((find(&one.id())?, one))).collect()
}

/// New contents by path; `None` for a file that goes.
type Changed = BTreeMap<Utf8PathBuf, Option<File>>;

/// Every file that belongs to a phase, as it is to be.
fn collect(repo: &Repo, disk: &Disk, phase: &Phase, replayed: &Replayed, new: &mut Changed) -> Result<()> {
    for (file, text) in &replayed.texts {
        new.insert(file.clone(), Some(File { bytes: text.print(), executable: false }));
    }
    // The phase's own files at its end, under the names that renamings gave them.
    let mut own: BTreeSet<Utf8PathBuf> = BTreeSet::new();
    for patch in &phase.patches {
        let text = replayed.texts.get(&patch.file).unwrap_or(&patch.text);
        for diff in &text.diffs {
            if own.remove(diff.old_path()) && diff.deleted.is_none() {
                own.insert(diff.path.clone());
            }
        }
        own.extend(text.adds().map(|(path, _)| path.to_owned()));
    }
    for path in &own {
        if let Some(file) = repo.read(replayed.end, path)? {
            let file = File { bytes: file.bytes, executable: file.mode == 0o100_755 };
            new.insert(home(phase.name(), path), Some(file));
        }
    }
    for top in ["kernel", "selftests"] {
        for entry in disk.list(&Utf8Path::new(top).join(phase.name()))? {
            new.entry(entry.path).or_insert(None);
        }
    }
    Ok(())
}

/// Those that are other than on disk.
fn unlike(disk: &Disk, new: Changed) -> Result<Changed> {
    let mut kept = Changed::new();
    for (path, file) in new {
        if disk.read(&path)? != file {
            kept.insert(path, file);
        }
    }
    Ok(kept)
}

fn verify(repo: &Repo, base: &Base, overlay: &Overlay<'_>, patch: &str, tree: Oid, phase: &Phase) -> Result<()> {
    let stack = Stack::load(overlay)?;
    let again = assemble_in(repo, base, overlay, &stack, &Target::Phase(phase.name().to_owned()))?;
    let got = again.patch(patch).map(|one| one.tree);
    if got != Some(tree) {
        let message = format!("{patch} would not assemble to the worktree's files; nothing was written");
        return Err(Error::refused(message, "report this as a bug, with the worktree"));
    }
    for other in stack.dependants(phase.name()) {
        assemble_in(repo, base, overlay, &stack, &Target::Phase(other.name().to_owned()))?;
    }
    Ok(())
}

/// Files first, removals last: an interruption leaves a state that assembling complains about, and nothing is lost.
fn write(disk: &Disk, new: &Changed) -> Result<(Vec<Utf8PathBuf>, Vec<Utf8PathBuf>)> {
    let (mut written, mut removed) = (Vec::new(), Vec::new());
    for (path, file) in new {
        if let Some(file) = file {
            replace_file(&disk.root().join(path), &file.bytes, file.executable)?;
            written.push(path.clone());
        }
    }
    for path in new.iter().filter(|(_, file)| file.is_none()).map(|(path, _)| path) {
        let absolute = disk.root().join(path);
        std::fs::remove_file(&absolute).map_err(Error::io(&absolute))?;
        // Directories that became empty go too; the first that is not empty ends this.
        for parent in path.ancestors().skip(1).take_while(|parent| parent.components().count() > 1) {
            if std::fs::remove_dir(disk.root().join(parent)).is_err() {
                break;
            }
        }
        removed.push(path.clone());
    }
    Ok((written, removed))
}
