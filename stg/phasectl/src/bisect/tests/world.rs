// SPDX-License-Identifier: GPL-2.0-only

//! Everything but the VM: a project of this project's own patches without their edits of Linux, a base of two files, and a make that is a
//! shell script ([`lab`]).
//!
//! Each patch gets a file `marks/<name>` of its own, where something can be planted, and the image is all of those together.

use std::cell::{Cell, RefCell};

use camino::{Utf8Path, Utf8PathBuf};
use ci::bisect::{Bisect, CONFIRMATIONS, Conclusion};
use harness::scenario::Scenario;
use stg_core::git::{NewCommit, Oid, Repo, Update};
use stg_core::patchfile::PatchFile;
use stg_core::{Disk, Source, Stack, Target};

use super::replay::{SCENARIO, judged};
use crate::bisect::bench::{Bench, Tally};
use crate::bisect::cross::Crossed;
use crate::bisect::hunt::{Hunted, Tested};
use crate::bisect::scenario;
use crate::bisect::span::Span;
use crate::bisect::walk::{Side, Walk};
use crate::commands::bisect::search_with;
use crate::judged::{Judge, Question};
use crate::lab::{Extra, Lab};
use crate::testing::lab;

/// A test program of the tree's own, as of the end of phase 1.
const PROGRAM: &str = "tools/testing/selftests/vfio/vfio_pci_liveupdate_uapi_test.c";
/// A scenario that runs it.
pub(super) const INTREE: &str = "phase1/intree-vfio-liveupdate/noiommu";

pub(super) struct World {
    _guard: tempfile::TempDir,
    root: Utf8PathBuf,
}

impl World {
    pub(super) fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(guard.path().canonicalize().unwrap()).unwrap();
        let world = Self { _guard: guard, root };
        let disk = Disk::new(Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
        let stack = Stack::load(&disk).unwrap();
        world.put("project/Cargo.toml", "[workspace]\n");
        for directory in ["phases", "ci/variants", "selftests/scenarios"] {
            disk.list(Utf8Path::new(directory)).unwrap().iter().for_each(|entry| world.copy(&disk, &entry.path));
        }
        for file in ["ci/kernel.config", "selftests/variants.yaml", "selftests/topologies.yaml"] {
            world.copy(&disk, Utf8Path::new(file));
        }
        for phase in &stack.phases {
            let own: Vec<&Utf8Path> =
                phase.patches.iter().flat_map(|patch| patch.text.adds()).map(|(path, _)| path).collect();
            own.iter().for_each(|path| world.copy(&disk, &phase.home(path)));
            if own.contains(&Utf8Path::new(PROGRAM)) {
                world.put(&format!("project/{}", phase.home(Utf8Path::new(PROGRAM))), "right\n");
            }
            for patch in &phase.patches {
                let name = &patch.entry.name;
                let mark = Utf8PathBuf::from(format!("marks/{name}"));
                let adds: Vec<Utf8PathBuf> =
                    patch.text.adds().map(|(path, _)| path.to_owned()).chain([mark.clone()]).collect();
                let diffs = patch.text.diffs.iter().filter(|diff| own.contains(&&*diff.path)).cloned().collect();
                let text = PatchFile::new(patch.text.subject(), &adds, &patch.text.body, diffs);
                world.put(&format!("project/{}", patch.file), &String::from_utf8(text.print()).unwrap());
                world.put(&format!("project/{}", phase.home(&mark)), &format!("{name}\n"));
            }
        }
        world
    }

    pub(super) fn put(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn copy(&self, disk: &Disk, path: &Utf8Path) {
        let file = disk.read(path).unwrap().unwrap();
        self.put(&format!("project/{path}"), &String::from_utf8(file.bytes).unwrap());
    }

    /// Writes something else than its name into the mark of a patch, which stays there.
    pub(super) fn plant(&self, patch: &str, what: &str) {
        let (phase, name) = patch.split_once('/').unwrap();
        self.put(&format!("project/kernel/{phase}/marks/{name}"), &format!("{what}\n"));
    }

    /// Adds a phase of two patches on top of all others.
    pub(super) fn add_phase(&self) {
        let stack = Stack::load(&Disk::new(self.root.join("project"))).unwrap();
        let (below, phase) = (stack.phases.last().unwrap().name(), "phase99");
        let mut patches = String::new();
        for name in ["above-one", "above-two"] {
            let mark = Utf8PathBuf::from(format!("marks/{name}"));
            let text = PatchFile::new(name, &[mark], "Why.\n", Vec::new());
            self.put(&format!("project/phases/{phase}/{name}.patch"), &String::from_utf8(text.print()).unwrap());
            self.plant(&format!("{phase}/{name}"), name);
            patches.push_str(&format!("      - name: {name}\n"));
        }
        let series = format!("series:\n  - name: above\n    title: Above\n    cover: c.md\n    patches:\n{patches}");
        let head = format!("phase: {phase}\nslug: above\ntitle: Above\nrequires: [{below}]\ngates: [ABOVE]\n");
        self.put(&format!("project/phases/{phase}/phase.yaml"), &format!("{head}{series}"));
        self.put(&format!("project/phases/{phase}/c.md"), "Cover.\n");
    }

    /// Lets a patch, and all up to a later one of its phase, not build.
    pub(super) fn break_until(&self, patch: &str, repaired: &str) {
        let (_, name) = patch.split_once('/').unwrap();
        let path = self.root.join(format!("project/phases/{repaired}.patch"));
        let text = std::fs::read_to_string(&path).unwrap();
        let separator = if text.contains("\n---\ndiff ") { "" } else { "---\n" };
        let diff = format!("diff --git a/marks/{name} b/marks/{name}\n--- a/marks/{name}\n+++ b/marks/{name}\n");
        std::fs::write(path, format!("{text}{separator}{diff}@@ -1 +1 @@\n-BROKEN\n+{name}\n")).unwrap();
    }

    /// Lets a patch of a later phase change a line of [`PROGRAM`].
    pub(super) fn edit_program(&self, patch: &str, from: &str, to: &str) {
        let path = self.root.join(format!("project/phases/{patch}.patch"));
        let text = std::fs::read_to_string(&path).unwrap();
        let diff = format!("diff --git a/{PROGRAM} b/{PROGRAM}\n--- a/{PROGRAM}\n+++ b/{PROGRAM}\n");
        std::fs::write(path, format!("{text}---\n{diff}@@ -1 +1 @@\n-{from}\n+{to}\n")).unwrap();
    }

    pub(super) fn lab(&self) -> Lab {
        lab(&self.root.join("project"), &self.root.join("cache"))
    }

    /// How many kernels were compiled.
    pub(super) fn compiled(&self) -> usize {
        std::fs::read_to_string(self.root.join("cache/runs")).map_or(0, |text| text.lines().count())
    }

    /// Bisects the stack from the base on. What is planted makes the scenario fail, in the kernel that it is for.
    pub(super) fn bisect(&self, side: Option<Side>) -> Found {
        self.bisect_with(side, &|question, _, _| {
            let has = |role: &str, what: &str| {
                std::fs::read_to_string(&question.kernels[role].bzimage).unwrap().contains(what)
            };
            let bug = has("outgoing", "PRODUCER") || has("incoming", "CONSUMER");
            Ok(vec![judged(!bug)])
        })
    }

    pub(super) fn bisect_with(&self, side: Option<Side>, judge: &Judge<'_>) -> Found {
        self.bisect_scenario(SCENARIO, Some("base"), side, judge)
    }

    /// The same with another scenario, from where it is said to be good.
    pub(super) fn bisect_scenario(
        &self,
        name: &str,
        good: Option<&str>,
        side: Option<Side>,
        judge: &Judge<'_>,
    ) -> Found {
        let lab = self.lab();
        let one = scenario(&lab.disk, &lab.stack, &Target::All, name).unwrap();
        let span = Span::new(&lab.stack, Target::All, &one, good, None).unwrap();
        let walk = side.map_or(Walk::Both, |side| Walk::One { side, other: span.good });
        let mut bench = self.bench(&lab, &span, &one, walk, judge);
        Found::of(&mut bench)
    }

    /// The bench's answer at the end of the stack, as a search would ask for it.
    pub(super) fn test_end(&self, again: bool) -> anyhow::Result<Tested> {
        let lab = self.lab();
        let one = scenario(&lab.disk, &lab.stack, &Target::All, SCENARIO).unwrap();
        let span = Span::new(&lab.stack, Target::All, &one, Some("base"), None).unwrap();
        let mut bench = Bench { again, ..self.bench(&lab, &span, &one, Walk::Both, &|_, _, _| Ok(vec![judged(true)])) };
        bench.test(Walk::Both.pair(span.end()), 0)
    }

    /// Lets the machine lack space, or have it again.
    pub(super) fn fill(&self, full: bool) {
        let mark = self.root.join("cache/full");
        if full { std::fs::write(mark, "").unwrap() } else { std::fs::remove_file(mark).unwrap() }
    }

    /// How many kernels are known not to build.
    pub(super) fn unbuildable(&self) -> usize {
        std::fs::read_dir(self.root.join("cache/outcomes/unbuildable")).map_or(0, Iterator::count)
    }

    pub(super) fn bench<'a>(
        &self,
        lab: &'a Lab,
        span: &'a Span,
        scenario: &'a Scenario,
        walk: Walk,
        judge: &'a Judge<'a>,
    ) -> Bench<'a> {
        Bench {
            lab,
            span,
            scenario,
            variant: None,
            walk,
            extra: None,
            end: span.bad,
            logs: self.root.join("logs"),
            only: None,
            again: false,
            judge,
            tally: Tally::default(),
        }
    }

    /// Which kernels have a commit on top of the stack in them when `bisect-step --linux` tests it, beside the stack itself.
    pub(super) fn step(&self, side: Option<Side>) -> [bool; 2] {
        let seen = Cell::new([false; 2]);
        self.step_with(SCENARIO, side, &|question, _, _| {
            let has = |role: &str| std::fs::read_to_string(&question.kernels[role].bzimage).unwrap().contains("ON TOP");
            seen.set([has("outgoing"), has("incoming")]);
            Ok(vec![judged(true)])
        });
        seen.get()
    }

    fn step_with(&self, name: &str, side: Option<Side>, judge: &Judge<'_>) {
        let lab = self.lab();
        let one = scenario(&lab.disk, &lab.stack, &Target::All, name).unwrap();
        let span = Span::new(&lab.stack, Target::All, &one, None, None).unwrap();
        let walk = side.map_or(Walk::Both, |side| Walk::One { side, other: span.end() });
        let commit = self.commit_on_top(&lab);
        let extra = Extra { label: "on top".to_owned(), commit };
        let mut bench = Bench { extra: Some(&extra), ..self.bench(&lab, &span, &one, walk, judge) };
        for trial in 0..2 {
            bench.test(walk.pair(span.end()), trial).unwrap();
        }
    }

    fn commit_on_top(&self, lab: &Lab) -> Oid {
        let tip = lab.assemble(&Target::All).unwrap();
        let repo = Repo::open(&tip.base.repo).unwrap();
        let put = |path: &str| (path.into(), Update::Put(repo.blob(b"ON TOP\n").unwrap(), 0o100_644));
        let tree = repo.update_tree(tip.tip_tree().unwrap(), &[put("marks/on-top"), put(PROGRAM)]).unwrap();
        let parent = Some(tip.tip().unwrap());
        let who = &lab.stack.base.author;
        repo.commit(&NewCommit { tree, parent, who, date: 1_790_000_000, message: "on top\n" }).unwrap()
    }

    /// What a program says when `bisect-step --linux` tests a commit that changes it.
    pub(super) fn step_programs(&self, side: Option<Side>) -> String {
        let seen = RefCell::new(String::new());
        self.step_with(INTREE, side, &|question, _, _| {
            seen.replace(program(question));
            Ok(vec![judged(true)])
        });
        seen.into_inner()
    }

    pub(super) fn names(&self) -> Vec<String> {
        let stack = Stack::load(&Disk::new(self.root.join("project"))).unwrap();
        stack.phases.iter().flat_map(|phase| phase.patches.iter().map(stg_core::stack::Patch::id)).collect()
    }
}

/// What a program says that a scenario runs.
pub(super) fn program(question: &Question<'_>) -> String {
    let name = Utf8Path::new(PROGRAM).file_stem().unwrap();
    std::fs::read_to_string(question.programs.as_ref().unwrap().join(name)).unwrap()
}

pub(super) struct Found {
    /// The culprit, or the suspects.
    pub(super) patches: Vec<String>,
    pub(super) crossed: Option<Crossed>,
    pub(super) kernels: usize,
    pub(super) built: usize,
    pub(super) hunted: Hunted,
}

impl Found {
    /// Searches with a bench, over all of its span.
    pub(super) fn of(bench: &mut Bench<'_>) -> Self {
        let span = bench.span;
        let search = Bisect::new(span.good, span.bad, CONFIRMATIONS).unwrap();
        let (hunted, crossed) = search_with(search, bench, &mut Vec::new()).unwrap();
        let patches = match &hunted.conclusion {
            Conclusion::Culprit(patch) => vec![span.name(*patch).to_owned()],
            Conclusion::Suspects { first, last, .. } => {
                (*first..=*last).map(|point| span.name(point).to_owned()).collect()
            }
            Conclusion::Refused(_) => Vec::new(),
        };
        Self { patches, crossed, kernels: bench.tally.kernels(), built: bench.tally.built, hunted }
    }
}
