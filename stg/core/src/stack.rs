// SPDX-License-Identifier: GPL-2.0-only

//! All phases, read and checked, in the order in which they stack.
//!
//! A [`Stack`] is the project without its kernel files: manifests and .patch files. Everything that can be wrong with
//! those by themselves is found while it is loaded, so whoever holds one may rely on unique names, an order without
//! cycles, and plain paths.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Diagnostic, Error, Result, check, gather};
use crate::graph::{self, Graph};
use crate::manifest::{BaseManifest, Loaded, PatchEntry, PhaseManifest, load_phases};
use crate::names;
use crate::patchfile::{Kind, PatchFile};
use crate::source::Source;
use crate::yaml::locate;

/// How to see all phases and patches.
const LIST: &str = "run `phasectl list` for all names";

/// The project's phases.
#[derive(Debug, Clone)]
pub struct Stack {
    /// `phases/base.yaml`.
    pub base: BaseManifest,
    /// In topological order.
    pub phases: Vec<Phase>,
}

/// A phase with its patches.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its `phase.yaml`.
    pub manifest: PhaseManifest,
    /// Where that is, relative to the project root.
    pub file: Utf8PathBuf,
    /// Of all series, in order.
    pub patches: Vec<Patch>,
}

/// A patch of a phase.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Name of its phase.
    pub phase: String,
    /// Name of its series.
    pub series: String,
    /// Its entry in the manifest.
    pub entry: PatchEntry,
    /// Its .patch, relative to the project root.
    pub file: Utf8PathBuf,
    /// What that says.
    pub text: PatchFile,
}

impl Phase {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.manifest.phase
    }

    /// Where a file that this phase adds is kept: `kernel/<phase>/...`, in-tree selftests under `selftests/<phase>/...`.
    pub fn home(&self, path: &Utf8Path) -> Utf8PathBuf {
        home(self.name(), path)
    }
}

impl Patch {
    /// `phase1/kho-rust`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.phase, self.entry.name)
    }
}

/// See [`Phase::home`].
pub(crate) fn home(phase: &str, path: &Utf8Path) -> Utf8PathBuf {
    let top = if path.starts_with("tools/testing/selftests") { "selftests" } else { "kernel" };
    Utf8Path::new(top).join(phase).join(path)
}

/// The scenario `phase1/fd-preserve` of a test, which may name one case of it: `phase1/fd-preserve/legacy`.
pub fn scenario_of(test: &str) -> &str {
    test.match_indices('/').nth(1).map_or(test, |(end, _)| &test[..end])
}

/// How far up a stack goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every phase.
    All,
    /// A phase and all that it requires.
    Phase(String),
    /// A patch (`phase1/kho-rust`), what its phase requires, and the patches before it.
    Patch(String),
    /// The beginning of another target, which is a straight line of patches: up to and with this one (`phase1/kho-rust`), or nothing but the
    /// base. It holds phases that the patch's own does not require, if they come before it in the line.
    Upto {
        /// The line.
        of: Box<Target>,
        /// Its last patch that counts.
        last: Option<String>,
    },
}

impl Stack {
    /// Reads and checks everything under `phases/`.
    ///
    /// # Errors
    /// All mistakes that could be found, as [`Error::Invalid`].
    pub fn load(source: &dyn Source) -> Result<Self> {
        let base = BaseManifest::load(source)?;
        let loaded = load_phases(source)?;
        let order = order(&loaded)?;
        let mut by_name: BTreeMap<String, Loaded> =
            loaded.into_iter().map(|one| (one.manifest.phase.clone(), one)).collect();
        let mut phases = Vec::new();
        let mut found = Vec::new();
        for one in order.into_iter().filter_map(|name| by_name.remove(&name)) {
            phases.push(Phase { patches: patches(source, &one, &mut found)?, manifest: one.manifest, file: one.file });
        }
        check(found)?;
        Ok(Self { base, phases })
    }

    /// A phase by name.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn phase(&self, name: &str) -> Result<&Phase> {
        self.phases.iter().find(|phase| phase.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.phases.iter().map(Phase::name).collect();
            Error::unknown(format!("there is no phase `{name}`"), names::fix(name, &known, LIST))
        })
    }

    /// A patch by `phase/name`, or by its name alone, which is unique.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn patch(&self, id: &str) -> Result<(&Phase, &Patch)> {
        let (phase, name) = id.split_once('/').map_or((None, id), |(phase, name)| (Some(phase), name));
        let fits = |patch: &&Patch| patch.entry.name == name && phase.is_none_or(|phase| patch.phase == phase);
        let found = self.phases.iter().find_map(|one| Some((one, one.patches.iter().find(fits)?)));
        found.ok_or_else(|| {
            let fix = names::fix(id, &self.patch_names(id), LIST);
            Error::unknown(format!("there is no patch `{id}`"), fix)
        })
    }

    /// The names of all patches in the form of another one: with their phases if it has one.
    fn patch_names(&self, like: &str) -> Vec<String> {
        let name = |patch: &Patch| if like.contains('/') { patch.id() } else { patch.entry.name.clone() };
        self.phases.iter().flat_map(|phase| &phase.patches).map(name).collect()
    }

    /// What `phase1` or `phase1/kho-rust` (or a patch's name alone) means.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it is neither.
    pub fn target(&self, text: &str) -> Result<Target> {
        self.target_beside(text, &[])
    }

    /// The same where some words have a meaning of their own; they are offered too if the name is none.
    ///
    /// # Errors
    /// As [`Stack::target`].
    pub fn target_beside(&self, text: &str, words: &[&str]) -> Result<Target> {
        if self.phases.iter().any(|phase| phase.name() == text) {
            return Ok(Target::Phase(text.to_owned()));
        }
        let Ok((_, patch)) = self.patch(text) else {
            let phases = self.phases.iter().map(Phase::name).chain(words.iter().copied()).map(str::to_owned);
            let known: Vec<String> = phases.chain(self.patch_names(text)).collect();
            let fix = names::fix(text, &known, LIST);
            return Err(Error::unknown(format!("there is no phase or patch `{text}`"), fix));
        };
        Ok(Target::Patch(patch.id()))
    }

    /// The phases of a target in order, and of the last one how many patches belong to it.
    pub fn chain(&self, target: &Target) -> Result<Vec<(&Phase, usize)>> {
        let (name, end) = match target {
            Target::All => return Ok(self.phases.iter().map(|phase| (phase, phase.patches.len())).collect()),
            Target::Phase(name) => (self.phase(name)?.name(), None),
            Target::Upto { of, last } => return self.beginning(of, last.as_deref()),
            Target::Patch(id) => {
                let (phase, patch) = self.patch(id)?;
                (phase.name(), phase.patches.iter().position(|other| other.entry.name == patch.entry.name))
            }
        };
        let graph = self.graph();
        let inside = graph::closure(&graph, name);
        let chosen = self.phases.iter().filter(|phase| inside.contains(phase.name()));
        Ok(chosen
            .map(|phase| match end {
                Some(end) if phase.name() == name => (phase, end + 1),
                _ => (phase, phase.patches.len()),
            })
            .collect())
    }

    fn beginning(&self, of: &Target, last: Option<&str>) -> Result<Vec<(&Phase, usize)>> {
        let Some(last) = last else { return Ok(Vec::new()) };
        let mut chain = self.chain(of)?;
        let place = |(at, (phase, count)): (usize, &(&Phase, usize))| {
            let number = phase.patches[..*count].iter().position(|patch| patch.id() == last)? + 1;
            Some((at, number))
        };
        let Some((at, number)) = chain.iter().enumerate().find_map(place) else {
            let fix = "name one that `phasectl list` shows there";
            return Err(Error::refused(format!("the patch `{last}` is no part of what ends there"), fix));
        };
        chain.truncate(at + 1);
        chain[at].1 = number;
        Ok(chain)
    }

    /// The phases that require a phase, directly or not, in order.
    pub fn dependants(&self, name: &str) -> Vec<&Phase> {
        let graph = self.graph();
        let needs = |phase: &&Phase| phase.name() != name && graph::closure(&graph, phase.name()).contains(name);
        self.phases.iter().filter(needs).collect()
    }

    /// Who requires whom.
    pub fn graph(&self) -> Graph<'_> {
        self.phases.iter().map(|phase| (phase.name(), requires(&phase.manifest))).collect()
    }
}

fn requires(manifest: &PhaseManifest) -> BTreeSet<&str> {
    manifest.requires.iter().map(String::as_str).collect()
}

fn order(loaded: &[Loaded]) -> Result<Vec<String>> {
    let graph: Graph<'_> = loaded.iter().map(|one| (one.manifest.phase.as_str(), requires(&one.manifest))).collect();
    match graph::order(&graph) {
        Ok(order) => Ok(order.into_iter().map(str::to_owned).collect()),
        Err(cycle) => {
            let one = loaded.iter().find(|one| one.manifest.phase == cycle[0]);
            let (file, (line, column)) = one.map_or((Utf8Path::new("phases"), (0, None)), |one| {
                (one.file.as_path(), locate(&one.text, "requires", cycle[1]))
            });
            let message = format!("cycle in `requires`: {}", cycle.join(" -> "));
            let fix = "remove one of these requirements: a phase can only build on phases before it";
            Err(Diagnostic::new(file, message, fix).at(line).column(column).into())
        }
    }
}

fn patches(source: &dyn Source, one: &Loaded, found: &mut Vec<Diagnostic>) -> Result<Vec<Patch>> {
    let mut all: Vec<Patch> = Vec::new();
    let directory = one.file.parent().unwrap_or(Utf8Path::new("phases"));
    for series in &one.manifest.series {
        for entry in &series.patches {
            let file = directory.join(format!("{}.patch", entry.name));
            let bytes = source.read(&file)?.map(|file| file.bytes).unwrap_or_default();
            let Some(text) = gather(PatchFile::parse(&file, &bytes, Kind::Phase), found)? else { continue };
            for (path, line) in text.adds() {
                let adds = |other: &&Patch| other.text.adds().any(|(added, _)| added == path);
                if let Some(first) = all.iter().find(adds) {
                    let message = format!("file added twice: {path} is added by {} already", first.file);
                    let fix = "remove this `Adds:`, and change the file by hunks";
                    found.push(Diagnostic::new(&file, message, fix).at(line));
                }
            }
            all.push(Patch {
                phase: one.manifest.phase.clone(),
                series: series.name.clone(),
                entry: entry.clone(),
                file,
                text,
            });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
