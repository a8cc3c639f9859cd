// SPDX-License-Identifier: GPL-2.0-only

//! The warnings of every object in a build directory, whenever it was compiled.
//!
//! An incremental build only says what the compilers said of what it compiled. But what it did not compile did not change since it
//! was compiled last, and neither did the warnings about it. So a file beside the objects has the warnings of each, as of
//! its last compilation, and a kernel is stored with a copy. Two kernels then compare exactly, whatever was built in between and
//! in which order.
//!
//! - The file is brought up to date after each build, failed ones too, and before the next one once more with the log that
//!   lies there, in case a run was killed in between.
//! - If objects were there before the file was, it is not [whole](Warnings::whole): it does not know all of them.
//! - An object whose source is gone is left out of the copy. One that is no longer listed in a Makefile while its source is
//!   there is not.
//!
//! make groups what it prints by target, except for Rust: its recipes share the job server, and their messages come when they
//! come. Those go to the crate that has the file.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::diagnose::{self, Dirs};
use super::error::BuildError;

const FILE: &str = ".phasectl-warnings.json";

/// The warnings of a kernel by object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warnings {
    /// Whether every object is known.
    pub whole: bool,
    /// What the compiler said of each object, by `CC path`; nothing, of most.
    pub objects: BTreeMap<String, Vec<String>>,
}

/// A warning taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Relative to the tree.
    pub file: Option<Utf8PathBuf>,
    /// 1-based.
    pub line: Option<usize>,
    /// 1-based.
    pub column: Option<usize>,
    /// What it says.
    pub message: String,
}

impl Warning {
    /// `a.c:1:2: warning: message` as compilers have it, or `warning: a.c:0 message` as kernel-doc has it, which counts lines from 0.
    fn parse(text: &str) -> Self {
        let (place, first, message) = match text.split_once("warning: ") {
            Some(("", rest)) => match rest.split_once(' ') {
                Some((place, message)) if place.contains(':') && place.contains('.') => (place, 0, message),
                _ => ("", 1, rest),
            },
            Some((place, message)) => (place.trim_end_matches([':', ' ']), 1, message),
            None => ("", 1, text),
        };
        let mut parts = place.split(':');
        let file = parts.next().filter(|file| !file.is_empty()).map(Utf8PathBuf::from);
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        let line = number().map(|line: usize| line + 1 - first);
        Self { file, line, column: number(), message: message.to_owned() }
    }
}

impl Warnings {
    /// Each warning once: a header's is said for every file that includes it.
    fn all(&self) -> BTreeSet<Warning> {
        self.objects.values().flatten().map(|text| Warning::parse(text)).collect()
    }

    /// What others do not have. Lines move, so file and message decide, and how often they come.
    pub fn fresh(&self, before: &Self) -> Vec<Warning> {
        let mut left: BTreeMap<(Option<Utf8PathBuf>, String), usize> = BTreeMap::new();
        for one in before.all() {
            *left.entry((one.file, one.message)).or_default() += 1;
        }
        let known = |one: &Warning, left: &mut BTreeMap<_, usize>| match left
            .get_mut(&(one.file.clone(), one.message.clone()))
        {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        };
        self.all().into_iter().filter(|one| !known(one, &mut left)).collect()
    }

    /// Takes in what a build said. What it compiled is as it says; the rest stays.
    fn absorb(&mut self, log: &str, dirs: Dirs<'_>) {
        let lines: Vec<&str> = log.lines().collect();
        let mut compiled: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in &lines {
            if let Some(object) = target(line) {
                compiled.insert(object, Vec::new());
            }
        }
        let mut current = String::new();
        for at in 0..lines.len() {
            if let Some(object) = target(lines[at]) {
                current = object;
            } else if let Some(text) = diagnose::warning(&lines[at..], dirs) {
                let file = Warning::parse(&text).file;
                let of_crate = file.as_deref().and_then(|file| crate_of(&compiled, file));
                let said = compiled.entry(of_crate.unwrap_or_else(|| current.clone())).or_default();
                if !said.contains(&text) {
                    said.push(text);
                }
            }
        }
        self.objects.extend(compiled);
    }

    /// Without objects whose source is gone.
    fn of_tree(&self, dirs: Dirs<'_>) -> Self {
        let exists = |text: &String| {
            let file = Warning::parse(text).file;
            file.is_none_or(|file| dirs.source.join(&file).exists() || dirs.out.join(&file).exists())
        };
        let there = self.objects.iter().filter(|(_, said)| said.iter().all(exists));
        let objects = there.map(|(object, said)| (object.clone(), said.clone())).collect();
        Self { whole: self.whole, objects }
    }
}

/// `CC drivers/x.o` of `  CC [M]  drivers/x.o`. Whether it becomes part of a module makes no other object.
fn target(line: &str) -> Option<String> {
    let object = super::make::object(line)?;
    let verb = line.split_whitespace().next()?;
    Some(format!("{verb} {object}"))
}

/// The crate, among what was compiled, that a Rust file belongs to.
fn crate_of(compiled: &BTreeMap<String, Vec<String>>, file: &Utf8Path) -> Option<String> {
    if file.extension() != Some("rs") {
        return None;
    }
    let belongs = |name: &&String| {
        let (verb, object) = name.split_once(' ').unwrap_or(("", name));
        let stem = Utf8Path::new(object).with_extension("");
        (verb.starts_with("RUSTC") || verb.starts_with("CLIPPY")) && file.with_extension("").starts_with(stem)
    };
    compiled.keys().filter(belongs).max_by_key(|name| name.len()).cloned()
}

/// The ledger of a build directory.
pub(super) struct Ledger<'a> {
    dirs: Dirs<'a>,
    known: Warnings,
}

impl<'a> Ledger<'a> {
    /// That of a directory, with what its last log says if nobody came to write that down.
    pub(super) fn open(dirs: Dirs<'a>, log: &Utf8Path) -> Self {
        let text = std::fs::read(dirs.out.join(FILE)).ok();
        let known = text.and_then(|text| serde_json::from_slice(&text).ok());
        // Without a `.config` nothing was ever compiled here.
        let whole = !dirs.out.join(".config").exists();
        let mut ledger = Self { dirs, known: known.unwrap_or(Warnings { whole, objects: BTreeMap::new() }) };
        if let Ok(log) = std::fs::read(log) {
            ledger.known.absorb(&String::from_utf8_lossy(&log), dirs);
        }
        ledger
    }

    /// Takes in the log of a build that ended, and writes everything down.
    pub(super) fn close(mut self, log: &str) -> Result<Warnings, BuildError> {
        self.known.absorb(log, self.dirs);
        let (path, next) = (self.dirs.out.join(FILE), self.dirs.out.join(format!("{FILE}.next")));
        let io = |error| BuildError::io("write", &path)(error);
        let text = serde_json::to_vec(&self.known).map_err(|error| io(error.into()))?;
        std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &path)).map_err(io)?;
        Ok(self.known.of_tree(self.dirs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absorb(known: &mut Warnings, log: &str) {
        known.absorb(log, Dirs { source: "/s".into(), out: "/o".into() });
    }

    fn said(known: &Warnings, object: &str) -> String {
        known.objects[object].join("\n")
    }

    /// Of builds of ours: kernel-doc's warnings stand behind their object.
    const C: &str = "  CC      lib/percpu-refcount.o
  CC      drivers/pci/iomap.o
  CC      lib/rhashtable.o
Warning: /s/lib/rhashtable.c:1167 function parameter 'key' not described in '__rhashtable_init'
Warning: /s/lib/rhashtable.c:1242 function parameter 'key' not described in '__rhltable_init'
  CC [M]  drivers/vfio/device_cdev.o
";

    /// A warning of rustc, as it came in between the objects of another directory.
    const RUST: &str = "  RUSTC [M] drivers/vfio/pci/vfio_pci_liveupdate.o
  CC [M]  drivers/vfio/pci/vfio_pci_core.o
warning: method `id` is never used
  --> /s/drivers/vfio/pci/vfio_pci_liveupdate/device.rs:58:19
   |
  LD [M]  drivers/vfio/pci/vfio-pci-core.o
warning: 1 warning emitted
";

    #[test]
    fn each_object_has_its_own() {
        let mut known = Warnings::default();
        absorb(&mut known, C);
        absorb(&mut known, RUST);
        assert_eq!(said(&known, "CC lib/percpu-refcount.o") + &said(&known, "CC drivers/vfio/device_cdev.o"), "");
        assert_eq!(known.objects["CC lib/rhashtable.o"].len(), 2);
        let lines = known.objects["CC lib/rhashtable.o"].iter().map(|text| Warning::parse(text).line);
        assert_eq!(lines.collect::<Vec<_>>(), [Some(1168), Some(1243)], "kernel-doc counts from 0");
        let rust = "drivers/vfio/pci/vfio_pci_liveupdate/device.rs:58:19: warning: method `id` is never used";
        assert_eq!(said(&known, "RUSTC drivers/vfio/pci/vfio_pci_liveupdate.o"), rust);
        assert_eq!(said(&known, "CC drivers/vfio/pci/vfio_pci_core.o"), "");
    }

    #[test]
    fn the_last_compilation_counts() {
        let mut known = Warnings::default();
        absorb(&mut known, C);
        absorb(&mut known, RUST);
        absorb(&mut known, "  CC      lib/rhashtable.o\n");
        assert_eq!(said(&known, "CC lib/rhashtable.o"), "", "it was compiled again, and nothing was said");
        assert_ne!(said(&known, "RUSTC drivers/vfio/pci/vfio_pci_liveupdate.o"), "", "it was not");
    }

    #[test]
    fn a_warning_that_an_incremental_build_does_not_repeat_is_still_found() {
        // x.c warns since patch 2. Patch 3 was built first; then the directory went back to 2, where x.o need not be compiled.
        let (mut walk, mut kernels) = (Warnings { whole: true, ..Warnings::default() }, Vec::new());
        for log in [
            "  CC      x.o\n  CC      y.o\n",
            "  CC      x.o\n/s/x.c:5:1: warning: unused\n  CC      y.o\n",
            "  CC      y.o\n",
        ] {
            absorb(&mut walk, log);
            kernels.push(walk.clone());
        }
        let [first, third, second] = &kernels[..] else { panic!() };
        let one = Warning { file: Some("x.c".into()), line: Some(5), column: Some(1), message: "unused".into() };
        assert_eq!(second.fresh(first), [one]);
        assert_eq!(third.fresh(second), []);
        assert_eq!(first.fresh(second), [], "fewer are no finding");
    }

    #[test]
    fn lines_move_and_headers_are_included_twice() {
        let make = |lines: &[&str]| {
            let mut known = Warnings::default();
            let log: String = lines.iter().enumerate().map(|(n, line)| format!("  CC      {n}.o\n{line}\n")).collect();
            absorb(&mut known, &log);
            known
        };
        let before = make(&["/s/a.h:3:1: warning: odd"]);
        assert_eq!(make(&["/s/a.h:9:1: warning: odd", "/s/a.h:9:1: warning: odd"]).fresh(&before), []);
        let twice = make(&["/s/a.h:9:1: warning: odd", "/s/a.h:20:1: warning: odd"]).fresh(&before);
        assert_eq!(twice.len(), 1, "the same in another place is another one");
        assert_eq!(make(&["/s/b.h:3:1: warning: odd"]).fresh(&before).len(), 1);
    }

    #[test]
    fn a_directory_knows_all_only_if_it_began_empty_and_what_is_gone_is_left_out() {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(guard.path()).unwrap();
        let (source, out) = (root.join("s"), root.join("o"));
        for dir in [&source, &out] {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::write(source.join("a.c"), "").unwrap();
        let dirs = Dirs { source: &source, out: &out };
        let log = out.join("build.log");
        let line = |file: &str| format!("  CC      {file}.o\n{source}/{file}.c:1:1: warning: odd\n");
        let first = Ledger::open(dirs, &log).close(&line("a")).unwrap();
        assert!(first.whole && first.objects.len() == 1);
        std::fs::write(out.join(".config"), "").unwrap();

        // A run that was killed left its log.
        std::fs::write(&log, line("gone")).unwrap();
        let second = Ledger::open(dirs, &log).close("").unwrap();
        assert_eq!(second, first, "its source is not there");
        std::fs::write(source.join("gone.c"), "").unwrap();
        assert_eq!(Ledger::open(dirs, &log).close("").unwrap().objects.len(), 2, "but it is known");

        std::fs::remove_file(out.join(FILE)).unwrap();
        assert!(!Ledger::open(dirs, &log).close("").unwrap().whole, "there are objects that nobody wrote down");
    }
}
