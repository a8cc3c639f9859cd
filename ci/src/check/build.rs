// SPDX-License-Identifier: GPL-2.0-only

//! Whether the kernel builds, and warns of nothing that its parent does not warn of.
//!
//! What a kernel warns of is more than what its own build said, since that only compiled what had changed in the build directory:
//! see [`Warnings`], which has the warnings of every object. If both kernels' are complete, the difference is exact. If one
//! of them was built before that was recorded, or does not build, those count whose line is the patch's, and a note says so.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Bench, Finding, Subject};
use crate::kbuild::{BuildError, CompileError, Culprit, LostOption, Warning, Warnings};

/// What a check answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Why the check says less than it could, if so.
    pub note: Option<String>,
}

impl From<Vec<Finding>> for Verdict {
    fn from(findings: Vec<Finding>) -> Self {
        Self { findings, note: None }
    }
}

/// Builds the kernels of patches.
pub trait Kernels {
    /// What beside the trees the results of a check depend on: configuration and toolchain; for the gate, what the patch
    /// is compared with.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be read.
    fn id(&self, subject: &Subject, check: &str) -> Result<String, BuildError>;

    /// Builds the kernel at a patch, or the one before it. Its warnings.
    ///
    /// # Errors
    ///
    /// If it does not build.
    fn build(&self, subject: &Subject, parent: bool) -> Result<Warnings, BuildError>;

    /// Has clippy look at some crates, given by their root files, as of a patch or the one before it. What it says.
    ///
    /// # Errors
    ///
    /// If they do not build.
    fn clippy(&self, subject: &Subject, parent: bool, crates: &[Utf8PathBuf]) -> Result<Warnings, BuildError>;

    /// What the patch changes although the gates of its phase are off.
    ///
    /// # Errors
    ///
    /// If it, or what it is compared with, does not build.
    fn inert(&self, subject: &Subject) -> Result<Vec<Finding>, BuildError>;

    /// Whether a line is the patch's own.
    fn owns(&self, subject: &Subject, file: &Utf8Path, line: usize) -> bool;
}

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let Some(kernels) = bench.kernels else { return Ok(Verdict::default()) };
    let parent = kernels.build(subject, true);
    match kernels.build(subject, false) {
        Ok(own) => compare(subject, kernels, parent, &own, "change the code so that the compiler has nothing to say"),
        Err(error) => failed(error, subject),
    }
}

/// What is new in the warnings of a patch.
pub(super) fn compare(
    subject: &Subject,
    kernels: &dyn Kernels,
    parent: Result<Warnings, BuildError>,
    own: &Warnings,
    fix: &str,
) -> Result<Verdict, BuildError> {
    let parent = match parent {
        Ok(parent) => parent,
        // That the patch before does not build is a finding about that one.
        Err(BuildError::Compile { .. } | BuildError::Config(_)) => Warnings::default(),
        Err(error) => return Err(error),
    };
    let mut fresh: Vec<Warning> = own.fresh(&parent);
    let exact = own.whole && parent.whole;
    if !exact {
        fresh.retain(|one| one.file.as_deref().is_some_and(|file| kernels.owns(subject, file, one.line.unwrap_or(0))));
    }
    let finding = |one: Warning| {
        let (file, line) = place(one.file, one.line, subject);
        Finding::new(&file, line, one.message, fix)
    };
    let note = (!exact).then(|| {
        "not all warnings of both kernels are known, so only those in lines of the patch were looked at; without `build` and `kernels` \
         in the cache they are built anew, and compared exactly"
            .to_owned()
    });
    Ok(Verdict { findings: fresh.into_iter().map(finding).collect(), note })
}

/// A tree that does not build is a finding, or several; anything else is an error.
pub(super) fn failed(error: BuildError, subject: &Subject) -> Result<Verdict, BuildError> {
    let finding = |error: CompileError| {
        let fix = match &error.culprit {
            Some(Culprit::Patch { id, .. }) if *id != subject.origin.id => {
                format!("the line is of {id}: look there first")
            }
            _ => "make it build at this patch, not only at the end".to_owned(),
        };
        let (file, line) = place(error.file, error.line.map(|line| line as usize), subject);
        Finding::new(&file, line, format!("does not build: {}", error.message), fix)
    };
    match error {
        BuildError::Compile { errors, .. } => Ok(errors.into_iter().map(finding).collect::<Vec<_>>().into()),
        BuildError::Config(lost) => {
            let finding = |one: LostOption| {
                let message = format!("{} did not survive olddefconfig ({})", one.wanted, one.found);
                let (file, line) = one.origin.rsplit_once(':').unwrap_or((&one.origin, ""));
                Finding::new(file.into(), line.parse().unwrap_or(0), message, one.hint)
            };
            Ok(lost.into_iter().map(finding).collect::<Vec<_>>().into())
        }
        other => Err(other),
    }
}

/// The linker and modpost know a file at most: then it is what the patch first adds to it.
fn place(file: Option<Utf8PathBuf>, line: Option<usize>, subject: &Subject) -> (Utf8PathBuf, usize) {
    let file = file.unwrap_or_else(|| subject.origin.file.clone());
    let added = || subject.touched.iter().find(|one| one.path == file)?.added.first().copied();
    let line = line.or_else(added).unwrap_or(1);
    (file, line)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::testing::Small;

    /// Kernels whose warnings are known beforehand.
    #[derive(Default)]
    pub(in crate::check) struct Known {
        pub(in crate::check) parent: Option<Warnings>,
        pub(in crate::check) own: Option<Warnings>,
        pub(in crate::check) inert: Vec<Finding>,
        pub(in crate::check) asked: std::cell::RefCell<Vec<String>>,
        pub(in crate::check) id: String,
    }

    pub(in crate::check) fn warnings(whole: bool, said: &[&str]) -> Warnings {
        let said = said.iter().map(|line| (*line).to_owned()).collect();
        Warnings { whole, objects: BTreeMap::from([("CC a.o".to_owned(), said)]) }
    }

    impl Kernels for Known {
        fn id(&self, _: &Subject, check: &str) -> Result<String, BuildError> {
            Ok(format!("{check} {}", self.id))
        }

        fn build(&self, _: &Subject, parent: bool) -> Result<Warnings, BuildError> {
            let error = CompileError {
                file: Some("a.c".into()),
                line: Some(3),
                column: None,
                message: "no `;`".into(),
                culprit: None,
            };
            let known = if parent { &self.parent } else { &self.own };
            known.clone().ok_or(BuildError::Compile { errors: vec![error], log: "log".into() })
        }

        fn clippy(&self, subject: &Subject, parent: bool, crates: &[Utf8PathBuf]) -> Result<Warnings, BuildError> {
            self.asked.borrow_mut().extend(crates.iter().map(ToString::to_string));
            self.build(subject, parent)
        }

        fn inert(&self, _: &Subject) -> Result<Vec<Finding>, BuildError> {
            Ok(self.inert.clone())
        }

        fn owns(&self, _: &Subject, _: &Utf8Path, line: usize) -> bool {
            line == 7
        }
    }

    fn found(known: &Known) -> (Vec<String>, bool) {
        let small = Small::new();
        let subject = small.subject(&[("a.c", "1\n")], &[("a.c", "2\n")]);
        let verdict = check(&subject, &small.bench(Some(known))).unwrap();
        (
            verdict.findings.iter().map(|one| format!("{}: {}", one.place(), one.message)).collect(),
            verdict.note.is_none(),
        )
    }

    #[test]
    fn only_what_the_parent_does_not_say() {
        let known = Known {
            parent: Some(warnings(true, &["a.c:3:1: warning: unused x", "warning: b.c:5 no description"])),
            own: Some(warnings(
                true,
                &["a.c:9:1: warning: unused x", "a.c:9:1: warning: unused y", "warning: b.c:6 no description"],
            )),
            ..Known::default()
        };
        assert_eq!(found(&known), (vec!["a.c:9: unused y".to_owned()], true));
    }

    #[test]
    fn if_not_all_is_known_the_lines_decide_and_it_is_said() {
        let own = warnings(true, &["a.c:7:1: warning: mine", "a.c:8:1: warning: old"]);
        let one = vec!["a.c:7: mine".to_owned()];
        let with = |parent: Option<Warnings>| found(&Known { parent, own: Some(own.clone()), ..Known::default() });
        assert_eq!(with(Some(warnings(false, &[]))), (one.clone(), false));
        assert_eq!(with(None), (one, false), "a parent that does not build knows nothing");
    }

    #[test]
    fn what_does_not_build_is_a_finding() {
        let known = Known { parent: Some(warnings(true, &[])), ..Known::default() };
        assert_eq!(found(&known), (vec!["a.c:3: does not build: no `;`".to_owned()], true));
    }

    #[test]
    fn every_error_has_a_line() {
        let small = Small::new();
        let subject = small.subject(&[("a.c", "1\n")], &[("a.c", "1\n2\n")]);
        let place = |error: BuildError| failed(error, &subject).unwrap().findings[0].place();
        let compile = |file: Option<&str>| {
            let error = CompileError { file: file.map(Into::into), ..CompileError::unplaced("undefined symbol: x") };
            place(BuildError::Compile { errors: vec![error], log: "log".into() })
        };
        assert_eq!([Some("a.c"), Some("b.c"), None].map(compile), ["a.c:2", "b.c:1", "x.patch:1"]);
        let lost = |origin: &str| {
            let (origin, wanted, found) = (origin.to_owned(), "CONFIG_A=y".to_owned(), "it is not set".to_owned());
            place(BuildError::Config(vec![LostOption { origin, wanted, found, hint: "h".to_owned() }]))
        };
        assert_eq!(lost("phases/p/kernel.config:7"), "phases/p/kernel.config:7");
        assert_eq!(lost("phases/p/phase.yaml: gates"), "phases/p/phase.yaml:1");
    }
}
