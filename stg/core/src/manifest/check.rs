// SPDX-License-Identifier: GPL-2.0-only

//! What the types alone cannot say about manifests: names, references, and that files and lists agree.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::{BASE_FILE, BaseManifest, Loaded};
use crate::error::{Diagnostic, Result, check};
use crate::source::{Entry, Source};
use crate::stack::scenario_of;
use crate::yaml::locate;

fn plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

pub(super) fn base(manifest: &BaseManifest) -> Result<()> {
    let mut found = Vec::new();
    let mut complain = |message: &str, fix: &str| found.push(Diagnostic::new(BASE_FILE, message, fix));
    if manifest.suites.is_empty() {
        complain("`suites` is empty", "name at least one suite, such as trixie-backports");
    }
    if manifest.epoch <= 0 {
        complain("`epoch` is not a date", "give the seconds since 1970 of the base commit");
    }
    let mail = |c: char| c == '<' || c == '>' || c == '\n';
    if manifest.author.name.is_empty() || manifest.author.name.contains(mail) || manifest.author.email.contains(mail) {
        complain("`author` is not a name and an address", "write them without brackets");
    }
    check(found)
}

pub(super) fn phases(all: &[Loaded], listed: &[Entry]) -> Result<()> {
    let scenarios = all.iter().flat_map(|one| &one.manifest.scenarios).map(String::as_str).collect();
    let files = listed.iter().map(|entry| entry.path.clone()).collect();
    let mut checker = Checker { found: Vec::new(), files, scenarios };
    for entry in listed.iter().filter(|entry| entry.symlink) {
        let message = "symlink: phases/ holds regular files";
        checker.found.push(Diagnostic::new(&entry.path, message, "put the file itself here"));
    }
    let names: BTreeSet<&str> = all.iter().map(|one| one.manifest.phase.as_str()).collect();
    let mut patches = BTreeMap::new();
    for one in all {
        checker.phase(one, &names);
        checker.patches(one, &mut patches);
        checker.unlisted(one);
    }
    check(checker.found)
}

/// Directories of a phase without its manifest: what is in them would belong to nothing, without a word.
pub(super) fn orphans(source: &dyn Source, phases: &[Entry]) -> Result<()> {
    let (mut entries, mut found) = (phases.to_vec(), Vec::new());
    for top in ["kernel", "selftests"] {
        entries.extend(source.list(Utf8Path::new(top))?);
    }
    let mut seen = BTreeSet::new();
    for entry in &entries {
        let parts: Vec<&str> = entry.path.components().map(|part| part.as_str()).collect();
        let [top, name, _, ..] = parts[..] else { continue };
        let manifest = Utf8Path::new("phases").join(name).join("phase.yaml");
        // Beside the phases, kernel/ and selftests/ have directories of the project's own.
        let phase = top == "phases" || name.strip_prefix("phase").is_some_and(numbered);
        if phase && seen.insert((top, name)) && !phases.iter().any(|entry| entry.path == manifest) {
            let message = format!("a directory of {name}, which is not a phase: there is no {manifest}");
            let fix = format!("write {manifest}, or remove the directory");
            found.push(Diagnostic::new(Utf8Path::new(top).join(name), message, fix));
        }
    }
    check(found)
}

/// `2`, `2b`, `-2`, `_two`: what may follow `phase` in a phase's name.
fn numbered(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '_')
}

struct Checker<'a> {
    found: Vec<Diagnostic>,
    files: BTreeSet<Utf8PathBuf>,
    /// Of all phases.
    scenarios: BTreeSet<&'a str>,
}

impl Checker<'_> {
    fn complain(&mut self, one: &Loaded, place: (&str, &str), message: String, fix: impl Into<String>) {
        let (line, column) = locate(&one.text, place.0, place.1);
        self.found.push(Diagnostic::new(&one.file, message, fix).at(line).column(column));
    }

    fn phase(&mut self, one: &Loaded, names: &BTreeSet<&str>) {
        let manifest = &one.manifest;
        let directory = one.file.parent().and_then(Utf8Path::file_name).unwrap_or_default();
        if manifest.phase != directory {
            let message = format!("phase `{}` lies in phases/{directory}", manifest.phase);
            self.complain(one, ("phase", &manifest.phase), message, format!("write `phase: {directory}`"));
        }
        for (key, name) in [("phase", &manifest.phase), ("slug", &manifest.slug)] {
            self.name(one, key, name);
        }
        for required in &manifest.requires {
            if !names.contains(required.as_str()) {
                let message = format!("requires `{required}`, which is not a phase");
                let known: Vec<&str> = names.iter().copied().collect();
                let fix = crate::names::fix(required, &known, "name a directory of phases/");
                self.complain(one, ("requires", required), message, fix);
            }
        }
        for gate in &manifest.gates {
            let symbol = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            if gate.starts_with("CONFIG_") || gate.is_empty() || !gate.bytes().all(symbol) {
                let fix = format!("write `{}`", gate.trim_start_matches("CONFIG_").to_uppercase());
                self.complain(one, ("gates", gate), format!("gate `{gate}` is not a Kconfig symbol"), fix);
            }
        }
        for list in &manifest.lists {
            // They are printed as part of a command line.
            let part = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
            if !list.split_once('@').is_some_and(|(name, host)| !name.is_empty() && part(name) && part(host)) {
                let fix = "write it as in `linux-kernel@vger.kernel.org`";
                self.complain(one, ("lists", list), format!("`{list}` is not the address of a mailing list"), fix);
            }
        }
        if let Some(percent) = manifest.budgets.blackout_percent {
            // Nothing is greater than NaN, so it would never be exceeded.
            if !percent.is_finite() || percent < 0.0 {
                let fix = "write how many per cent longer it may be, as in `blackout_percent: 2`";
                let message = format!("a blackout cannot be held to {percent} per cent");
                self.complain(one, ("budgets", "blackout_percent"), message, fix);
            }
        }
        for scenario in &manifest.scenarios {
            let mine = scenario.strip_prefix(&format!("{}/", manifest.phase));
            if !mine.is_some_and(plain) {
                let fix = format!("write `{}/<name>`", manifest.phase);
                self.complain(one, ("scenarios", scenario), format!("`{scenario}` is not a scenario's name"), fix);
            }
        }
    }

    fn name(&mut self, one: &Loaded, key: &str, name: &str) {
        if !plain(name) {
            let message = format!("`{name}` is not a name");
            self.complain(one, (key, name), message, "use lower-case letters, digits and `-`");
        }
    }

    fn patches(&mut self, one: &Loaded, seen: &mut BTreeMap<String, Utf8PathBuf>) {
        let directory = one.file.parent().unwrap_or(Utf8Path::new("")).to_owned();
        let mut series_names = BTreeSet::new();
        for series in &one.manifest.series {
            self.name(one, "name", &series.name);
            if !series_names.insert(&series.name) {
                let message = format!("a second series `{}`", series.name);
                self.complain(one, ("name", &series.name), message, "give it another name");
            }
            let inside = !series.cover.contains('/') && series.cover != "phase.yaml";
            if !inside || !self.files.contains(&directory.join(&series.cover)) {
                let message = format!("missing file: the cover text {directory}/{}", series.cover);
                self.complain(one, ("cover", &series.cover), message, "create the file beside phase.yaml");
            }
            if series.patches.is_empty() {
                let message = format!("series `{}` has no patches", series.name);
                self.complain(one, ("name", &series.name), message, "add one, or remove the series");
            }
            for patch in &series.patches {
                self.name(one, "name", &patch.name);
                let file = directory.join(format!("{}.patch", patch.name));
                if let Some(other) = seen.insert(patch.name.clone(), one.file.clone()) {
                    let message = format!("a second patch `{}` (the other is in {other})", patch.name);
                    self.complain(one, ("name", &patch.name), message, "give it another name: names are unique");
                }
                if !self.files.contains(&file) {
                    let message = format!("missing file: {file}");
                    let fix = "create it, or take the patch out of the list";
                    self.complain(one, ("name", &patch.name), message, fix);
                }
                // The scenarios of the phases below run with it too, as far as they apply.
                for test in patch.obsoletes.iter().filter(|test| !self.scenarios.contains(scenario_of(test))) {
                    let message = format!("patch `{}` obsoletes the test `{test}`, which no phase lists", patch.name);
                    let (line, column) = locate(&one.text, "obsoletes", test);
                    let found = Diagnostic::new(&one.file, message, "correct the name, or take it out");
                    self.found.push(found.at(line).column(column));
                }
                for test in &patch.tests {
                    // Only the phase's own show what it does.
                    if !one.manifest.scenarios.iter().any(|scenario| scenario == scenario_of(test)) {
                        let message = format!(
                            "patch `{}` names the test `{test}`, which `scenarios:` of {} does not list",
                            patch.name, one.manifest.phase
                        );
                        let fix = "add it to `scenarios:`, or correct the name";
                        self.complain(one, ("tests", test), message, fix);
                    }
                }
            }
        }
    }

    /// A .patch or a symbolic link that no list mentions would be lost without a word.
    fn unlisted(&mut self, one: &Loaded) {
        let directory = one.file.parent().unwrap_or(Utf8Path::new(""));
        let listed: BTreeSet<Utf8PathBuf> = (one.manifest.series.iter())
            .flat_map(|series| &series.patches)
            .map(|patch| directory.join(format!("{}.patch", patch.name)))
            .collect();
        let stray = |file: &&Utf8PathBuf| {
            file.parent() == Some(directory) && file.extension() == Some("patch") && !listed.contains(*file)
        };
        for file in self.files.iter().filter(stray) {
            let message = format!("no series of {} lists this patch", one.file);
            let fix = "list it under `patches:` at its place in the order, or delete it";
            self.found.push(Diagnostic::new(file, message, fix));
        }
    }
}
