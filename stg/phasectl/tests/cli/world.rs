// SPDX-License-Identifier: GPL-2.0-only

//! A project of two phases and a Linux clone of a few files, in a temporary directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) struct World {
    temp: tempfile::TempDir,
}

impl World {
    /// The project without a base.
    pub(crate) fn without_base() -> Self {
        let world = Self { temp: tempfile::tempdir().unwrap() };
        for (path, text) in PROJECT {
            world.put(path, text);
        }
        std::fs::create_dir_all(world.path("home")).unwrap();
        world
    }

    /// The project with the clone adopted as its base.
    pub(crate) fn new() -> Self {
        let world = Self::without_base();
        world.adopt();
        world
    }

    /// Makes the clone and adopts it.
    pub(crate) fn adopt(&self) {
        self.clone_linux();
        let output = self.command(&["base", "use", self.path("linux").to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Writes a file of the Linux clone, before it is made.
    pub(crate) fn put_linux(&self, path: &str, text: &str) {
        write(&self.path("linux").join(path), text);
    }

    /// Makes the Linux clone.
    pub(crate) fn clone_linux(&self) {
        for (path, text) in LINUX {
            write(&self.path("linux").join(path), text);
        }
        self.git("linux", &["init", "--quiet", "--initial-branch=main", "."]);
        self.git("linux", &["add", "."]);
        self.git("linux", &["commit", "--quiet", "-m", "Linux 7.3.4"]);
        self.git("linux", &["tag", "v7.3.4"]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Writes a file of the project.
    pub(crate) fn put(&self, path: &str, text: &str) {
        write(&self.path("project").join(path), text);
    }

    pub(crate) fn get(&self, path: &str) -> String {
        std::fs::read_to_string(self.path("project").join(path)).unwrap()
    }

    /// Replaces a text in a file of the project; it must be there.
    pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.get(path);
        assert!(text.contains(from), "{path} has no {from:?}");
        self.put(path, &text.replace(from, to));
    }

    /// `phasectl` in the project, with nothing of the caller's environment but the search path.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phasectl"));
        self.isolate(&mut command).current_dir(self.path("project")).args(args);
        command
    }

    /// Runs git with a fixed identity and time, and gives its output.
    pub(crate) fn git(&self, directory: &str, args: &[&str]) -> String {
        let mut command = Command::new("git");
        self.isolate(&mut command).args(args).current_dir(self.path(directory));
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Nobody").env(format!("GIT_{role}_EMAIL"), "nobody@example.org");
            command.env(format!("GIT_{role}_DATE"), "1790000000 +0000");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn isolate<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.path("home")).env("PHASECTL_CACHE", self.path("cache")).env("LC_ALL", "C")
    }

    /// Runs phasectl and shows all that a user sees.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.show(&self.command(args).output().unwrap())
    }

    pub(crate) fn show(&self, output: &Output) -> String {
        let mut text = format!("exit {}\n", output.status.code().unwrap());
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let said = String::from_utf8_lossy(bytes);
            if !said.is_empty() {
                text.push_str(&format!("--- {name}\n{said}"));
            }
        }
        redact(&text.replace(self.temp.path().to_str().unwrap(), "<tmp>"))
    }
}

/// Replaces every object id.
fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            run.push(c);
            continue;
        }
        out.push_str(if run.len() == 40 { "<id>" } else { &run });
        run.clear();
        out.push(c);
    }
    out.pop();
    out
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

const LINUX: [(&str, &str); 3] = [
    ("Makefile", "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\nNAME = Test\n"),
    ("rust/kernel/lib.rs", "pub mod a;\npub mod b;\npub mod c;\n"),
    ("drivers/pci/pci.c", "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n"),
];

const PROJECT: [(&str, &str); 14] = [
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
slug: base-fd
title: Base fd preservation
gates: [VFIO_PCI_LIVEUPDATE]
series:
  - name: foundation
    title: \"liveupdate: foundation\"
    cover: cover-foundation.md
    patches:
      - name: kho
        prepares: true
        rows: [\"1.1\"]
      - name: track
        rows: [\"1.2\", \"1.10\"]
        tests: [phase1/fd-preserve/legacy]
scenarios: [phase1/fd-preserve]
lists: [kvm@example.org, rust@example.org]
",
    ),
    ("phases/phase1/cover-foundation.md", "Why the foundation.\n"),
    (
        "phases/phase1/kho.patch",
        "Subject: rust: kho: Add abstractions
Adds: rust/kernel/kho.rs

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
        "Subject: PCI: Track preserved devices

Count them.
---
diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c
--- a/drivers/pci/pci.c
+++ b/drivers/pci/pci.c
@@ -2,6 +2,7 @@
 two
 three
 four
+tracked
 five
 six
 seven
diff --git a/rust/kernel/kho.rs b/rust/kernel/kho.rs
--- a/rust/kernel/kho.rs
+++ b/rust/kernel/kho.rs
@@ -1,3 +1,4 @@
 k 1
 k 2
 k 3
+tracked
",
    ),
    ("kernel/phase1/rust/kernel/kho.rs", "k 1\nk 2\nk 3\ntracked\n"),
    (
        "selftests/scenarios/phase1/fd-preserve.yaml",
        "title: a device file survives a live update
rows: [\"1.2\"]
cases:
  - { name: legacy, topology: legacy }
  - { name: scalable, topology: scalable, rows: [\"1.10\"] }
stages:
  - steps:
      - create-session: { session: s }
      - kexec-load: { kernel: incoming }
      - kexec-reboot
  - steps:
      - retrieve-session: { session: s }
",
    ),
    (
        "selftests/topologies.yaml",
        "legacy: { iommu: legacy, devices: [{ id: dut, model: igb }] }
scalable: { iommu: scalable, devices: [{ id: dut, model: igb }] }
",
    ),
    (
        "selftests/faults/1.2-uncounted.patch",
        "Subject: Preserved devices are not counted
Phase: phase1
Row: 1.2
Scenario: phase1/fd-preserve/legacy
Expect: stage2-failure

Somebody forgot.
---
diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c
--- a/drivers/pci/pci.c
+++ b/drivers/pci/pci.c
@@ -4,3 +4,2 @@
 four
-tracked
 five
",
    ),
    (
        "phases/phase2/phase.yaml",
        "phase: phase2
slug: iommu
title: IOMMU domains
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
    ("phases/phase2/domain.patch", "Subject: iommu: Preserve domains\nAdds: drivers/iommu/live.rs\n\nDomains too.\n"),
    ("kernel/phase2/drivers/iommu/live.rs", "domain\n"),
];
