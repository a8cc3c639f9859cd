// SPDX-License-Identifier: GPL-2.0-only

//! What `ci::check` asks of this project: patches as it wants them, kernels built, mails of b4 answered.

mod mail;
mod refusal;

use camino::{Utf8Path, Utf8PathBuf};
use ci::check::{Finding, Kernels, LIMIT, Member, Origin, Subject};
use ci::gate::misplaced;
use ci::hash::hash;
use ci::kbuild::{Blame as _, BuildError, Culprit, GitBlame, Warnings, clippy};
use stg_core::git::Repo;
use stg_core::stack::Patch;
use stg_core::yaml::locate;
use stg_core::{Assembled, Disk, Source as _, Stack, Target};

use crate::kernels::{Made, Which};
use crate::lab::Lab;

pub(crate) use self::mail::b4;

/// The patches of an assembled stack.
pub(crate) struct Patches<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) assembled: &'a Assembled,
    pub(crate) repo: &'a Repo,
    pub(crate) disk: &'a Disk,
}

impl Patches<'_> {
    /// A patch as checks want it.
    pub(crate) fn subject(&self, id: &str) -> anyhow::Result<Subject> {
        let (phase, patch) = self.stack.patch(id)?;
        let made = self.assembled.patch(id).ok_or_else(|| anyhow::anyhow!("{id} was not assembled"))?;
        let mut subject = Subject::of_commit(self.repo, origin(patch), made.commit, made.parent_tree)?;
        let series: Vec<&Patch> = phase.patches.iter().filter(|other| other.series == patch.series).collect();
        if series.first().is_some_and(|first| first.file == patch.file) && series.len() > LIMIT {
            let file = self.disk.read(&phase.file)?.map(|file| file.bytes).unwrap_or_default();
            let text = String::from_utf8_lossy(&file);
            subject.series = series.into_iter().map(|patch| member(patch, &text)).collect();
        }
        subject.misplaced = misplaced(self.disk, phase, patch)?.as_ref().map(Finding::from);
        Ok(subject)
    }
}

/// The gates of all phases.
pub(crate) fn gates(stack: &Stack) -> Vec<String> {
    stack.phases.iter().flat_map(|phase| phase.manifest.gates.clone()).collect()
}

/// Where a patch can be corrected.
fn origin(patch: &Patch) -> Origin {
    Origin { id: patch.id(), file: patch.file.clone(), body_line: patch.text.body_line }
}

/// A patch of a series; the text is that of its phase.yaml.
fn member(patch: &Patch, text: &str) -> Member {
    let edits = patch.text.diffs.iter().map(|diff| diff.path.clone());
    let files = patch.text.adds().map(|(path, _)| path.to_owned()).chain(edits).collect();
    let (line, _) = locate(text, "name", &patch.entry.name);
    Member { name: patch.entry.name.clone(), line, tested: !patch.entry.tests.is_empty(), files }
}

/// Builds the kernels of a lab's patches.
pub(crate) struct Builder<'a> {
    lab: &'a Lab,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(lab: &'a Lab) -> Self {
        Self { lab }
    }

    /// The kernel at a patch, or before it.
    fn which(&self, id: &str, parent: bool) -> Result<Which, BuildError> {
        let target = Target::Patch(id.to_owned());
        if !parent {
            return Ok(Made::At(target).into());
        }
        let before = before(&self.lab.stack, id)?;
        Ok(before.map_or(Made::Base, |patch| Made::At(Target::Patch(patch.id()))).into())
    }
}

/// The patch before a patch: of its phase, else the last one of those that the phase requires.
fn before<'a>(stack: &'a Stack, id: &str) -> stg_core::Result<Option<&'a Patch>> {
    let chain = stack.chain(&Target::Patch(id.to_owned()))?;
    Ok(chain.into_iter().flat_map(|(phase, count)| &phase.patches[..count]).rev().find(|patch| patch.id() != id))
}

/// The libraries' own errors come out of the lab as they are.
fn known(error: anyhow::Error) -> BuildError {
    match error.downcast::<BuildError>() {
        Ok(error) => error,
        Err(error) => match error.downcast::<stg_core::Error>() {
            Ok(error) => error.into(),
            Err(error) => BuildError::Tool { program: "the build".into(), source: std::io::Error::other(error) },
        },
    }
}

impl Kernels for Builder<'_> {
    fn id(&self, subject: &Subject, check: &str) -> Result<String, BuildError> {
        if check == "gate" {
            return Ok(hash(self.lab.gate_inputs(&subject.origin.id).map_err(known)?));
        }
        let mut text = self.lab.tools.id.clone();
        for parent in [true, false] {
            let which = self.which(&subject.origin.id, parent)?;
            for fragment in which.fragments(self.lab.project.root(), &self.lab.stack)? {
                for option in fragment.options() {
                    text.push_str(&format!("\n{:?} {option}", option.scope));
                }
            }
        }
        Ok(hash(text))
    }

    fn build(&self, subject: &Subject, parent: bool) -> Result<Warnings, BuildError> {
        let which = self.which(&subject.origin.id, parent)?;
        Ok(self.lab.kernel(&which).map_err(known)?.objects())
    }

    fn clippy(&self, subject: &Subject, parent: bool, crates: &[Utf8PathBuf]) -> Result<Warnings, BuildError> {
        let which = self.which(&subject.origin.id, parent)?;
        self.lab.request(&which, None, |request| clippy(request, crates)).map_err(known)
    }

    fn inert(&self, subject: &Subject) -> Result<Vec<Finding>, BuildError> {
        let found = self.lab.gate_proof(&subject.origin.id).map_err(known)?;
        Ok(found.iter().map(Finding::from).collect())
    }

    fn owns(&self, subject: &Subject, file: &Utf8Path, line: usize) -> bool {
        let which = Made::At(Target::Patch(subject.origin.id.clone())).into();
        let Ok((commit, patches)) = self.lab.commit(&which, None) else { return false };
        let base = &self.lab.base;
        let blame = GitBlame::new(&base.repo, &base.commit, &commit, &patches, None);
        let culprit = blame.ok().and_then(|blame| blame.blame(file, u32::try_from(line).ok()?));
        matches!(culprit, Some(Culprit::Patch { id, .. }) if id == subject.origin.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Small;

    #[test]
    fn the_kernel_before_the_first_patch_of_a_phase_is_the_phase_before() {
        let small = Small::new();
        let stack = small.stack();
        let before = |id: &str| before(&stack, id).unwrap().map_or("base".to_owned(), Patch::id);
        assert_eq!(before("phase1/a"), "base");
        assert_eq!(before("phase1/b"), "phase1/a");
        assert_eq!(before("phase2/d"), "phase1/c");
    }

    /// What the answers of a check are kept under beside the trees, for the patches of phase1.
    fn ids(small: &Small, check: &str) -> [String; 3] {
        let lab = small.lab();
        let assembled = lab.assemble(&Target::All).unwrap();
        let repo = Repo::open(&lab.base.repo).unwrap();
        let patches = Patches { stack: &lab.stack, assembled: &assembled, repo: &repo, disk: &lab.disk };
        let builder = Builder::new(&lab);
        ["a", "b", "c"].map(|name| builder.id(&patches.subject(&format!("phase1/{name}")).unwrap(), check).unwrap())
    }

    #[test]
    fn the_gate_is_asked_again_when_what_a_patch_is_compared_with_moves() {
        let small = Small::new();
        let before = ids(&small, "gate");
        let build = ids(&small, "build");
        small.replace("phases/phase1/phase.yaml", "{ name: a }", "{ name: a, prepares: true }");
        let after = ids(&small, "gate");
        assert!((0..3).all(|n| before[n] != after[n]), "a is not compared any more, the others with a: {after:?}");
        assert_eq!(build, ids(&small, "build"), "which kernels are built is another matter");
        let two = "  - name: more\n    title: more\n    cover: cover.md\n    patches:\n      - { name: c, tests";
        small.replace("phases/phase1/phase.yaml", "      - { name: c, tests", two);
        let split = ids(&small, "gate");
        assert_eq!((&after[..2], after[2] != split[2]), (&split[..2], true), "c is now compared with b");
    }
}
