// SPDX-License-Identifier: GPL-2.0-only

//! A repository with two commits, and programs that are scripts.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{NewCommit, Oid, Repo, Update};
use stg_core::manifest::Identity;

use super::{Bench, Finding, Kernels, Origin, Programs, Subject, Verdict, named};
use crate::kbuild::BuildError;

pub(super) struct Small {
    guard: tempfile::TempDir,
    pub(super) repo: Repo,
    programs: Programs,
    gates: Vec<String>,
}

impl Small {
    pub(super) fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(guard.path()).unwrap();
        let (bin, scripts) = (root.join("bin"), root.join("scripts"));
        for dir in [&bin, &scripts] {
            std::fs::create_dir_all(dir).unwrap();
        }
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
        let programs = Programs { rustfmt: bin.join("rustfmt"), path, id: "tools 1".into(), scripts };
        let repo = Repo::open_or_create(&root.join("r.git")).unwrap();
        Self { guard, repo, programs, gates: vec!["ONE".into()] }
    }

    pub(super) fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.guard.path()).unwrap()
    }

    /// Puts a script into the search path. A child writes it: a file that this process holds open for writing while another
    /// test's thread forks could not be executed.
    pub(super) fn program(&self, name: &str, text: &str) {
        let path = self.root().join("bin").join(name);
        let script = "rm -f \"$1\" && printf %s \"$2\" > \"$1\" && chmod +x \"$1\"";
        let status = Command::new("/bin/sh").args(["-c", script, "sh", path.as_str(), text]).status().unwrap();
        assert!(status.success());
    }

    pub(super) fn tree(&self, files: &[(&str, &str)]) -> Oid {
        let put = |(path, text): &(&str, &str)| {
            (Utf8PathBuf::from(*path), Update::Put(self.repo.blob(text.as_bytes()).unwrap(), 0o100_644))
        };
        self.repo.update_tree(self.repo.empty_tree().unwrap(), &files.iter().map(put).collect::<Vec<_>>()).unwrap()
    }

    /// The patch that leads from some files to others.
    pub(super) fn subject(&self, old: &[(&str, &str)], new: &[(&str, &str)]) -> Subject {
        let who = Identity { name: "P".into(), email: "p@example.org".into() };
        let commit =
            |tree, parent, message| self.repo.commit(&NewCommit { tree, parent, who: &who, date: 1, message }).unwrap();
        let (from, to) = (self.tree(old), self.tree(new));
        let parent = commit(from, None, "base\n");
        let commit = commit(to, Some(parent), "x: Change\n\nWhy.\n");
        let origin = Origin { id: "phase1/x".into(), file: "x.patch".into(), body_line: 3 };
        Subject::of_commit(&self.repo, origin, commit, from).unwrap()
    }

    pub(super) fn bench<'a>(&'a self, kernels: Option<&'a dyn Kernels>) -> Bench<'a> {
        let base_tree = self.repo.empty_tree().unwrap();
        Bench { repo: &self.repo, base_tree, programs: &self.programs, gates: &self.gates, kernels }
    }

    pub(super) fn try_run(&self, check: &str, subject: &Subject) -> Result<Vec<Finding>, BuildError> {
        let verdict: Verdict = (named(check).unwrap().run)(subject, &self.bench(None))?;
        Ok(verdict.findings)
    }

    pub(super) fn run(&self, check: &str, subject: &Subject) -> Vec<Finding> {
        self.try_run(check, subject).unwrap()
    }
}
