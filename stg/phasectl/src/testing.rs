// SPDX-License-Identifier: GPL-2.0-only
//! A project and a base for unit tests: two phases, a few scenarios, one file of Linux.

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{NewCommit, Repo, Update};
use stg_core::manifest::Identity;
use stg_core::{Base, Disk, Origin, Stack};

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

    pub(crate) fn scenarios(&self) -> Utf8PathBuf {
        self.root().join("selftests/scenarios")
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

    /// A base with `drivers/pci/pci.c` of eight numbered lines.
    pub(crate) fn base(&self) -> Base {
        let path = self.root().join("base.git");
        let repo = Repo::open_or_create(&path).unwrap();
        let text: String = (1..=8).map(|n| format!("line {n}\n")).collect();
        let blob = repo.blob(text.as_bytes()).unwrap();
        let updates = [("drivers/pci/pci.c".into(), Update::Put(blob, 0o100_644))];
        let tree = repo.update_tree(repo.empty_tree().unwrap(), &updates).unwrap();
        let who = Identity { name: "Base".to_owned(), email: "base@example.org".to_owned() };
        let new = NewCommit { tree, parent: None, who: &who, date: 1_790_000_000, message: "Linux 7.3.4\n" };
        let commit = repo.commit(&new).unwrap().to_string();
        let origin = Origin::Clone { path: "linux".into(), tag: "v7.3.4".to_owned() };
        Base { repo: path, commit, tree: tree.to_string(), release: "7.3.4".to_owned(), origin }
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
        self
    }
}

const STAGES: &str = "stages:
  - steps: [{ create-session: { session: s } }, kexec-reboot]
  - steps: [{ retrieve-session: { session: s } }, { mark: { name: usable } }]
";

const FILES: [(&str, &str); 12] = [
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
scenarios: [phase1/second, phase1/first, phase1/blackout]
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
    ("ci/kernel.config", "CONFIG_PCI=y\n"),
    ("phases/phase1/kernel.config", "CONFIG_ONE_KUNIT_TEST=y\n"),
    ("selftests/topologies.yaml", "none: { iommu: none, devices: [] }\n"),
];
