// SPDX-License-Identifier: GPL-2.0-only

//! A project for unit tests: two phases and a few scenarios.

use camino::{Utf8Path, Utf8PathBuf};
use ci::kbuild::Tools;
use harness::report::CaseResult;
use harness::verdict::Class;
use stg_core::git::{NewCommit, Repo, Update};
use stg_core::{Base, Disk, Origin, Stack};
use stg_env::{Cache, Project};

use crate::lab::Lab;

pub(crate) struct Small {
    temp: tempfile::TempDir,
}

impl Small {
    pub(crate) fn new() -> Self {
        let small = Self { temp: tempfile::tempdir().unwrap() };
        for (path, text) in FILES {
            small.put(path, text);
        }
        small
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.temp.path()).unwrap()
    }

    pub(crate) fn disk(&self) -> Disk {
        Disk::new(self.root())
    }

    pub(crate) fn stack(&self) -> Stack {
        Stack::load(&self.disk()).unwrap()
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Replaces a text in a file; it must be there.
    pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.root().join(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}");
        self.put(path, &text.replace(from, to));
    }

    /// The project on a base of one file, with a make that does nothing.
    pub(crate) fn lab(&self) -> Lab {
        let cache = Cache::at(&self.root().join("cache")).unwrap();
        let repo = Repo::open_or_create(&cache.base_repo()).unwrap();
        let makefile = repo.blob(b"VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n").unwrap();
        let files = [(Utf8PathBuf::from("Makefile"), Update::Put(makefile, 0o100_644))];
        let tree = repo.update_tree(repo.empty_tree().unwrap(), &files).unwrap();
        let who = self.stack().base.author;
        let new = NewCommit { tree, parent: None, who: &who, date: 1_790_000_000, message: "Linux 7.3.4\n" };
        let base = Base {
            repo: cache.base_repo(),
            commit: repo.commit(&new).unwrap().to_string(),
            tree: tree.to_string(),
            release: "7.3.4".to_owned(),
            origin: Origin::Package { name: "l".into(), version: "7.3.4".into(), sha256: "00".into(), files: 1 },
        };
        let tools = Tools { make: "true".into(), args: vec![], env: vec![], cache_args: vec![], id: "tools".into() };
        Lab::fake(cache, Project::discover_from(self.root()).unwrap(), base, tools)
    }

    /// Writes the scenarios that phase1 lists.
    pub(crate) fn with_scenarios(self) -> Self {
        let head = |cases: &str| format!("title: t\nrows: [\"1.1\"]\ncases: [{cases}]\n{STAGES}");
        let one = head("{ name: x, topology: none }");
        self.put("selftests/scenarios/phase1/first.yaml", &one);
        let two = head("{ name: x, topology: none }, { name: y, topology: none }");
        self.put("selftests/scenarios/phase1/second.yaml", &two);
        let baseline = STAGES.replace("stages:", "  baseline:").replace("\n  -", "\n    -");
        self.put("selftests/scenarios/phase1/blackout.yaml", &format!("{one}blackout:\n  to: usable\n{baseline}"));
        let timed = "{ timed: { name: c, step: { create-session: { session: s } } } }";
        let cost = one.replace("{ create-session: { session: s } }", timed) + "measure: { spans: [{ name: c }] }\n";
        self.put("selftests/scenarios/phase1/cost.yaml", &cost);
        self
    }
}

/// A case `phase1/second/x` that was to pass, and ended like that.
pub(crate) fn result(case: &str, verdict: Class) -> CaseResult {
    let (scenario, name) = case.rsplit_once('/').unwrap();
    CaseResult {
        rows: vec!["1.1".to_owned()],
        scenario: scenario.to_owned(),
        case: name.to_owned(),
        title: "t".to_owned(),
        passed: verdict == Class::Pass,
        expected: Class::Pass,
        verdict,
        reason: if verdict == Class::Pass { String::new() } else { "because".to_owned() },
        seconds: 2.4,
        repetition: 1,
        log_dir: format!("logs/{case}").into(),
        kernels: Vec::new(),
        steps: Vec::new(),
        planned_steps: 0,
        observed: Vec::new(),
        blackout: None,
        spans: Vec::new(),
        witnessed: Vec::new(),
        again: Vec::new(),
    }
}

const STAGES: &str = "stages:
  - steps: [{ create-session: { session: s } }, kexec-reboot]
  - steps: [{ retrieve-session: { session: s } }, { mark: { name: usable } }]
";

const FILES: [(&str, &str); 19] = [
    ("Cargo.toml", "[workspace]\n"),
    (
        "phases/base.yaml",
        "release: \"7.3\"
package: linux-source-7.3
suites: [experimental]
author: { name: Project, email: project@example.org }
epoch: 1790000000
",
    ),
    (
        "phases/phase1/phase.yaml",
        "phase: phase1
slug: one
title: One
gates: [ONE]
series:
  - name: all
    title: all
    cover: cover.md
    patches:
      - { name: a }
      - { name: b, tests: [phase1/second/y] }
      - { name: c, tests: [phase1/first] }
scenarios: [phase1/second, phase1/first, phase1/blackout, phase1/cost]
",
    ),
    ("phases/phase1/cover.md", "One.\n"),
    ("phases/phase1/a.patch", "Subject: a\nAdds: a.c\n\nA.\n"),
    ("phases/phase1/b.patch", "Subject: b\nAdds: b.c\n\nB.\n"),
    ("phases/phase1/c.patch", "Subject: c\nAdds: c.c\n\nC.\n"),
    (
        "phases/phase2/phase.yaml",
        "phase: phase2
slug: two
title: Two
requires: [phase1]
gates: [TWO]
series:
  - { name: all, title: all, cover: cover.md, patches: [{ name: d }] }
",
    ),
    ("phases/phase2/cover.md", "Two.\n"),
    ("phases/phase2/d.patch", "Subject: d\nAdds: d.c\n\nD.\n"),
    ("kernel/phase1/a.c", "a\n"),
    ("kernel/phase1/b.c", "b\n"),
    ("kernel/phase1/c.c", "c\n"),
    ("kernel/phase2/d.c", "d\n"),
    ("ci/kernel.config", "CONFIG_PCI=y\n"),
    ("ci/variants/modules.config", "CONFIG_PCI=m\n"),
    ("selftests/variants.yaml", "modules: {}\n"),
    ("phases/phase1/kernel.config", "CONFIG_ONE_KUNIT_TEST=y\n"),
    ("selftests/topologies.yaml", "none: { iommu: none, devices: [] }\n"),
];
