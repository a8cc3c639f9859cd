// SPDX-License-Identifier: GPL-2.0-only

//! A project for unit tests: two phases and a few scenarios; and a lab whose make is a shell script.

use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use ci::kbuild::Tools;
use harness::report::CaseResult;
use harness::verdict::Class;
use stg_core::git::{NewCommit, Repo, Update};
use stg_core::{Base, Disk, Origin, Stack};
use stg_env::{Cache, Project};

use crate::lab::Lab;

/// Fails at a mark BROKEN, and if there is a file `full` in the cache; else the image is all marks, and the files at the top. Counts its kernels.
/// A test program is its source, and fails likewise.
const MAKE: &str = r#"#!/bin/sh
for arg in "$@"; do
    case $arg in
    O=*) out=${arg#O=} ;;
    KCONFIG_CONFIG=*) config=${arg#KCONFIG_CONFIG=} ;;
    tinyconfig|olddefconfig|bzImage|all) goal=$arg ;;
    esac
done
src=$2
cd "$out" || exit 9
case $goal in
tinyconfig) : >"$config" ;;
bzImage)
    echo run >>"$out/../../runs"
    if [ -e "$out/../../full" ]; then echo "error: a.o: No space left on device"; exit 2; fi
    broken=$(grep -l BROKEN "$src"/marks/* 2>/dev/null)
    if [ "$broken" ]; then
        for file in $broken; do echo "$file:1:1: error: broken"; done
        exit 2
    fi
    mkdir -p arch/x86/boot
    cat "$src/Makefile" "$src"/*.c "$src"/marks/* >arch/x86/boot/bzImage 2>/dev/null
    : >System.map ;;
all)
    mkdir -p kselftest/iommu kselftest/liveupdate kselftest/vfio
    for file in "$src"/vfio/*_test.c; do
        [ -e "$file" ] || continue
        if grep -q BROKEN "$file"; then echo "$file:1:1: error: broken"; exit 2; fi
        cp "$file" "kselftest/vfio/$(basename "$file" .c)"
    done ;;
esac
exit 0
"#;

/// A lab with a base of two files. `cache` gets the make, and a file `runs` with a line for each kernel that was compiled.
pub(crate) fn lab(project: &Utf8Path, cache: &Utf8Path) -> Lab {
    let cache = Cache::at(cache).unwrap();
    let make = cache.root().join("make");
    std::fs::write(&make, MAKE).unwrap();
    std::fs::set_permissions(&make, std::fs::Permissions::from_mode(0o755)).unwrap();
    let repo = Repo::open_or_create(&cache.base_repo()).unwrap();
    let put =
        |path: &str, text: &str| (Utf8PathBuf::from(path), Update::Put(repo.blob(text.as_bytes()).unwrap(), 0o100_644));
    let files =
        [put("Makefile", "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n"), put(".gitignore", "*.o\n")];
    let tree = repo.update_tree(repo.empty_tree().unwrap(), &files).unwrap();
    let project = Project::discover_from(project).unwrap();
    let who = Stack::load(&Disk::new(project.root())).unwrap().base.author;
    let new = NewCommit { tree, parent: None, who: &who, date: 1_790_000_000, message: "Linux 7.3.4\n" };
    let base = Base {
        repo: cache.base_repo(),
        commit: repo.commit(&new).unwrap().to_string(),
        tree: tree.to_string(),
        release: "7.3.4".to_owned(),
        origin: Origin::Package { name: "l".into(), version: "7.3.4".into(), sha256: "00".into(), files: 2 },
    };
    let tools = Tools { make, args: Vec::new(), env: Vec::new(), cache_args: Vec::new(), id: "tools".into() };
    Lab::fake(cache, project, base, tools)
}

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

    /// A lab on it, whose cache is `cache` in it.
    pub(crate) fn lab(&self) -> Lab {
        lab(self.root(), &self.root().join("cache"))
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
        self.put("selftests/scenarios/harness/memfd.yaml", &one);
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
        translation: None,
        unchanged: None,
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
