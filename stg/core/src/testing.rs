// SPDX-License-Identifier: GPL-2.0-only

//! A project and a base, small enough to be read in a test.

use camino::{Utf8Path, Utf8PathBuf};

use crate::assemble::{Assembled, assemble};
use crate::base::{Base, Origin, repo_path};
use crate::error::Result;
use crate::git::{NewCommit, Repo, Update};
use crate::manifest::Identity;
use crate::source::Disk;
use crate::stack::{Stack, Target};

/// A temporary directory with a UTF-8 name.
pub(crate) struct Temp {
    _inner: tempfile::TempDir,
    path: Utf8PathBuf,
}

impl Temp {
    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }
}

pub(crate) fn tempdir() -> Temp {
    let inner = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(inner.path().canonicalize().unwrap()).unwrap();
    Temp { _inner: inner, path }
}

pub(crate) fn numbered(from: usize, to: usize) -> String {
    (from..=to).map(|n| format!("line {n}\n")).collect()
}

pub(crate) const MAKEFILE: &str = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\nNAME = Test\n";

/// The files of the fake base.
pub(crate) fn base_files() -> Vec<(&'static str, String)> {
    vec![
        ("Makefile", MAKEFILE.to_owned()),
        (".gitignore", "*.o\n".to_owned()),
        ("rust/kernel/lib.rs", "pub mod a;\npub mod b;\npub mod c;\n".to_owned()),
        ("drivers/pci/pci.c", numbered(1, 40)),
        ("drivers/pci/Kconfig", "config PCI\n\tbool\n".to_owned()),
        ("drivers/pci/old.c", numbered(1, 12)),
        ("scripts/run.sh", "#!/bin/sh\n".to_owned()),
        ("Documentation/index.rst", "Index\n=====\nno end".to_owned()),
    ]
}

/// A project with two phases, its cache, and a base in it.
pub(crate) struct World {
    temp: Temp,
    pub(crate) base: Base,
}

impl World {
    pub(crate) fn new() -> Self {
        let temp = tempdir();
        let cache = temp.path().join("cache");
        let repo = Repo::open_or_create(&repo_path(&cache)).unwrap();
        let updates: Vec<_> = base_files()
            .into_iter()
            .map(|(path, text)| (path.into(), Update::Put(repo.blob(text.as_bytes()).unwrap(), 0o100_644)))
            .collect();
        let tree = repo.update_tree(repo.empty_tree().unwrap(), &updates).unwrap();
        let who = Identity { name: "Base".to_owned(), email: "base@example.org".to_owned() };
        let new = NewCommit { tree, parent: None, who: &who, date: 1_790_000_000, message: "Linux 7.3.4\n" };
        let commit = repo.commit(&new).unwrap();
        let base = Base {
            repo: repo_path(&cache),
            commit: commit.to_string(),
            tree: tree.to_string(),
            release: "7.3.4".to_owned(),
            origin: Origin::Package {
                name: "linux-source-7.3".to_owned(),
                version: "7.3.4-1".to_owned(),
                sha256: "00".to_owned(),
                files: 8,
            },
        };
        let world = Self { temp, base };
        for (path, text) in PROJECT {
            world.put(path, text);
        }
        world
    }

    pub(crate) fn root(&self) -> Utf8PathBuf {
        self.temp.path().join("project")
    }

    pub(crate) fn cache(&self) -> Utf8PathBuf {
        self.temp.path().join("cache")
    }

    pub(crate) fn dir(&self, name: &str) -> Utf8PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn disk(&self) -> Disk {
        Disk::new(self.root())
    }

    pub(crate) fn repo(&self) -> Repo {
        Repo::open(&self.base.repo).unwrap()
    }

    /// Writes a file of the project.
    pub(crate) fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Replaces a text in a file of the project; it must be there.
    pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.get(path);
        assert!(text.contains(from), "{path} has no {from:?}");
        self.put(path, text.replace(from, to));
    }

    pub(crate) fn load(&self) -> Result<Stack> {
        Stack::load(&self.disk())
    }

    pub(crate) fn assemble(&self, target: &Target) -> Result<Assembled> {
        assemble(&self.base, &self.disk(), &self.load()?, target)
    }

    /// The error that loading or assembling everything ends with.
    pub(crate) fn error(&self) -> String {
        self.assemble(&Target::All).expect_err("this must not assemble").to_string()
    }

    /// A file after a patch; `None` when it is not there.
    pub(crate) fn at(&self, assembled: &Assembled, patch: &str, path: &str) -> Option<String> {
        let tree = assembled.patch(patch).unwrap().tree;
        let file = self.repo().read(tree, Utf8Path::new(path)).unwrap()?;
        Some(String::from_utf8(file.bytes).unwrap())
    }

    /// Every file of the project with its content, to show that nothing changed.
    pub(crate) fn snapshot(&self) -> Vec<(Utf8PathBuf, Vec<u8>)> {
        use crate::source::Source;
        let disk = self.disk();
        let all = disk.list(Utf8Path::new("")).unwrap();
        all.into_iter().map(|entry| (entry.path.clone(), disk.read(&entry.path).unwrap().unwrap().bytes)).collect()
    }
}

/// phase1: `kho` adds two files and edits lib.rs; `track` edits kho.rs and pci.c, adds a selftest; `docs` edits kho.rs
/// again. phase2 requires it and edits a file of phase1.
pub(crate) const PROJECT: [(&str, &str); 14] = [
    (
        "phases/base.yaml",
        "release: \"7.3\"\npackage: linux-source-7.3\nsuites: [experimental]\nauthor: { name: Project, email: project@example.org }\nepoch: 1790000000\n",
    ),
    (
        "phases/phase1/phase.yaml",
        "phase: phase1
slug: base-fd
title: Base fd preservation
requires: []
gates: [VFIO_PCI_LIVEUPDATE]
lists: [list@example.org]
series:
  - name: foundation
    title: \"liveupdate: foundation\"
    cover: cover-foundation.md
    patches:
      - name: kho
        prepares: true
        rows: [\"1.1\"]
      - name: track
        rows: [\"1.4\", \"1.10\"]
        tests: [phase1/fd-preserve/legacy]
  - name: rest
    title: \"liveupdate: rest\"
    cover: cover-rest.md
    patches:
      - name: docs
scenarios: [phase1/fd-preserve]
budgets: { blackout_percent: 1 }
",
    ),
    ("phases/phase1/cover-foundation.md", "Why the foundation.\n\nSecond paragraph.\n"),
    ("phases/phase1/cover-rest.md", "The rest.\n"),
    (
        "phases/phase1/kho.patch",
        "Subject: rust: kho: add abstractions
Adds: rust/kernel/kho.rs
Adds: rust/helpers/kho.c

KHO hands memory to the next kernel.

Signed-off-by: Jane Doe <jane@example.org>
---
diff --git a/rust/kernel/lib.rs b/rust/kernel/lib.rs
--- a/rust/kernel/lib.rs
+++ b/rust/kernel/lib.rs
@@ -1,3 +1,4 @@
 pub mod a;
 pub mod b;
 pub mod c;
+pub mod kho;
",
    ),
    (
        "phases/phase1/track.patch",
        "Subject: PCI: track preserved devices
Adds: tools/testing/selftests/vfio/live.c

Count them.

Signed-off-by: Jane Doe <jane@example.org>
---
diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c
--- a/drivers/pci/pci.c
+++ b/drivers/pci/pci.c
@@ -19,6 +19,7 @@
 line 19
 line 20
 line 21
+tracked
 line 22
 line 23
 line 24
diff --git a/rust/kernel/kho.rs b/rust/kernel/kho.rs
--- a/rust/kernel/kho.rs
+++ b/rust/kernel/kho.rs
@@ -3,5 +3,6 @@
 k 3
 k 4
 k 5
+tracked
 k 6
 k 7
",
    ),
    (
        "phases/phase1/docs.patch",
        "Subject: rust: kho: say more

The end of the file explains itself now.

Signed-off-by: Jane Doe <jane@example.org>
---
diff --git a/rust/kernel/kho.rs b/rust/kernel/kho.rs
--- a/rust/kernel/kho.rs
+++ b/rust/kernel/kho.rs
@@ -9,3 +9,4 @@
 k 8
 k 9
 k 10
+explained
",
    ),
    ("kernel/phase1/rust/kernel/kho.rs", "k 1\nk 2\nk 3\nk 4\nk 5\ntracked\nk 6\nk 7\nk 8\nk 9\nk 10\nexplained\n"),
    ("kernel/phase1/rust/helpers/kho.c", "int kho;\n"),
    ("selftests/phase1/tools/testing/selftests/vfio/live.c", "int main(void) {}\n"),
    (
        "phases/phase2/phase.yaml",
        "phase: phase2
slug: iommu
title: IOMMU
requires: [phase1]
series:
  - name: domain
    title: \"iommu: domains\"
    cover: cover.md
    patches:
      - name: domain
",
    ),
    ("phases/phase2/cover.md", "Domains.\n"),
    (
        "phases/phase2/domain.patch",
        "Subject: iommu: preserve domains
Adds: drivers/iommu/live.rs

Domains too.
---
diff --git a/rust/kernel/kho.rs b/rust/kernel/kho.rs
--- a/rust/kernel/kho.rs
+++ b/rust/kernel/kho.rs
@@ -1,3 +1,4 @@
+domains
 k 1
 k 2
 k 3
",
    ),
    ("kernel/phase2/drivers/iommu/live.rs", "domain\n"),
];
