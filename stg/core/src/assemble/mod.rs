// SPDX-License-Identifier: GPL-2.0-only

//! From (base, phases/, kernel/, selftests/) to a line of commits, as a pure function.
//!
//! `kernel/<phase>` holds every new file as of the END of its phase. For each phase the earlier states are derived first,
//! from the end backwards (`derive`); then the patches are put on forwards (`forward`), new files from the derived
//! states, edits of other files by their hunks. Author, committer and dates come from `phases/base.yaml`, so that the
//! same files give the same commit ids everywhere; no clock and no configuration is asked.

mod derive;
mod fault;
mod forward;

use camino::Utf8PathBuf;

pub use self::fault::{Fault, faults};
pub(crate) use self::forward::edit as forward_edit;

use crate::base::Base;
use crate::error::{Diagnostic, Result};
use crate::git::{NewCommit, Oid, Repo};
use crate::hunk::{Direction, Mismatch};
use crate::patchfile::FileDiff;
use crate::source::Source;
use crate::stack::{Patch, Phase, Stack, Target, home};

/// A stack as commits.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// What they stand on.
    pub base: Base,
    /// In order; the last one is the target.
    pub patches: Vec<AssembledPatch>,
}

/// A patch as a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssembledPatch {
    /// Name of its phase.
    pub phase: String,
    /// Name of its series.
    pub series: String,
    /// Its own name.
    pub name: String,
    /// Its .patch, relative to the project root.
    pub file: Utf8PathBuf,
    /// First line of its message.
    pub subject: String,
    /// Commit id.
    pub commit: Oid,
    /// Tree id.
    pub tree: Oid,
    /// Commit id of the patch, or base, before.
    pub parent: Oid,
    /// Tree id of the patch, or base, before.
    pub parent_tree: Oid,
}

impl AssembledPatch {
    /// `phase1/kho-rust`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.phase, self.name)
    }
}

impl Assembled {
    /// Commit id of the target: the last patch, or the base when there is none.
    pub fn tip(&self) -> Result<Oid> {
        self.patches.last().map_or_else(|| Repo::oid(&self.base.commit), |last| Ok(last.commit))
    }

    /// Tree id of the target.
    pub fn tip_tree(&self) -> Result<Oid> {
        self.patches.last().map_or_else(|| Repo::oid(&self.base.tree), |last| Ok(last.tree))
    }

    /// The patch `phase/name`, if it is part of this.
    pub fn patch(&self, id: &str) -> Option<&AssembledPatch> {
        self.patches.iter().find(|patch| patch.id() == id)
    }
}

/// Assembles a target and points `refs/phasectl/<phase>/<patch>` at its commits, which keeps them alive.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for every mistake in the project's files;
/// [`Error::Git`](crate::Error::Git) when the repository fails.
pub fn assemble(base: &Base, source: &dyn Source, stack: &Stack, target: &Target) -> Result<Assembled> {
    let repo = Repo::open(&base.repo)?;
    let assembled = assemble_in(&repo, base, source, stack, target)?;
    for patch in &assembled.patches {
        repo.set_ref(&format!("refs/phasectl/{}", patch.id()), patch.commit)?;
    }
    Ok(assembled)
}

/// The same without refs.
pub(crate) fn assemble_in(
    repo: &Repo,
    base: &Base,
    source: &dyn Source,
    stack: &Stack,
    target: &Target,
) -> Result<Assembled> {
    assemble_chain(repo, base, source, stack, &stack.chain(target)?)
}

/// The same for a line of phases, and of each the number of its patches.
pub(crate) fn assemble_chain(
    repo: &Repo,
    base: &Base,
    source: &dyn Source,
    stack: &Stack,
    chain: &[(&Phase, usize)],
) -> Result<Assembled> {
    let mut parent = Repo::oid(&base.commit)?;
    let mut tree = Repo::oid(&base.tree)?;
    let mut patches: Vec<AssembledPatch> = Vec::new();
    for &(phase, count) in chain {
        let derived = derive::phase(source, phase)?;
        for (patch, own) in phase.patches.iter().zip(&derived).take(count) {
            let next = forward::patch(repo, tree, patch, own, stack)?;
            if next == tree {
                let fix = "add its files with `Adds:` or its hunks after `---`, or take it out of phase.yaml";
                return Err(Diagnostic::new(&patch.file, "the patch changes nothing", fix).at(1).into());
            }
            let commit = repo.commit(&NewCommit {
                tree: next,
                parent: Some(parent),
                who: &stack.base.author,
                date: stack.base.epoch + patches.len() as i64 + 1,
                message: &patch.text.message(),
            })?;
            patches.push(AssembledPatch {
                phase: patch.phase.clone(),
                series: patch.series.clone(),
                name: patch.entry.name.clone(),
                file: patch.file.clone(),
                subject: patch.text.subject().to_owned(),
                commit,
                tree: next,
                parent,
                parent_tree: tree,
            });
            (parent, tree) = (commit, next);
        }
    }
    Ok(Assembled { base: base.clone(), patches })
}

/// What to say of a hunk without a place.
pub(crate) fn misplaced(patch: &Patch, file: &FileDiff, what: &Mismatch, direction: Direction) -> Diagnostic {
    // `edit` and `refresh` need a project that assembles: they cannot be the remedy for one that does not.
    let place = format!("{}, from line {},", patch.file, what.at);
    let (verb, fix) = match direction {
        Direction::Apply => (
            "does not apply to",
            format!(
                "correct the lines of this hunk in {place} by hand, so that they are the file's, or take back the change that \
                 broke it with git"
            ),
        ),
        Direction::TakeBack => (
            "does not come off",
            format!(
                "correct the lines of this hunk in {place} by hand, so that they are those of {}, or take back the change to \
                 either file with git; `phasectl edit` and `refresh` keep the two in step",
                home(&patch.phase, &file.path)
            ),
        ),
    };
    let message = format!("hunk {} of patch {} {verb} {}: {}", what.number, patch.entry.name, file.path, what.why);
    Diagnostic::new(&patch.file, message, fix).at(what.at)
}

#[cfg(test)]
mod errors;
#[cfg(test)]
mod tests;
