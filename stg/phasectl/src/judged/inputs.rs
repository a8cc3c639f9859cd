// SPDX-License-Identifier: GPL-2.0-only

//! All that the verdict of a case depends on.

use std::collections::BTreeMap;

use anyhow::Context as _;
use camino::Utf8Path;
use ci::hash::sha256 as hash;
use ci::outcomes::Inputs;
use harness::run::{KernelFiles, Runner};
use harness::scenario::{Case, Kind, ROLES, Scenario};
use harness::topology;
use harness::{needs, programs};
use stg_core::{Diagnostic, Source, yaml};

/// What the guest's init is built from: its source, and the versions of the crates that it uses.
const GUEST: [&str; 3] = ["selftests/guest/src", "selftests/guest/Cargo.toml", "Cargo.lock"];

/// The hash of the source of the harness, as it was built into this program, and of the guest's, which is built when it is needed.
pub(crate) fn harness_and_guest(source: &dyn Source) -> stg_core::Result<String> {
    let mut text = format!("harness {}\n", harness::SOURCE);
    for path in GUEST.map(Utf8Path::new) {
        let inside = source.list(path)?.into_iter().map(|entry| entry.path);
        for path in inside.chain([path.to_owned()]) {
            if let Some(file) = source.read(&path)? {
                text.push_str(&format!("{path} {}\n", hash(file.bytes)));
            }
        }
    }
    Ok(hash(text))
}

/// The hash of what the kernels of a variant ask for, as the file says it.
pub(crate) fn variant(source: &dyn Source, name: &str) -> stg_core::Result<String> {
    let (_, all) = yaml::read::<BTreeMap<String, serde_json::Value>>(source, Utf8Path::new(needs::FILE))?;
    Ok(hash(all.get(name).map_or_else(String::new, ToString::to_string)))
}

/// The hash of each machine's description.
pub(crate) fn topologies(source: &dyn Source) -> stg_core::Result<BTreeMap<String, String>> {
    let path = Utf8Path::new(topology::FILE);
    let (_, all) = yaml::read::<BTreeMap<String, serde_json::Value>>(source, path)?;
    // Keys are sorted in there, so neither their order nor comments count.
    Ok(all.into_iter().map(|(name, value)| (name, hash(value.to_string()))).collect())
}

/// The hash of a scenario's file, and of the budget that the phase has for it.
pub(crate) fn scenario(source: &dyn Source, scenario: &Scenario) -> stg_core::Result<String> {
    match source.read(&scenario.path)? {
        Some(file) => Ok(match scenario.kind {
            Kind::Blackout { budget_percent: Some(percent), .. } => hash(format!("{} {percent}", hash(file.bytes))),
            _ => hash(file.bytes),
        }),
        None => Err(Diagnostic::new(&scenario.path, "missing file", "put it back, it was there a moment ago").into()),
    }
}

/// What the cases of a run share.
pub(super) struct Setting<'a> {
    source: &'a dyn Source,
    qemu: String,
    init: String,
    topologies: BTreeMap<String, String>,
    /// By name: the inputs that a kernel stands for.
    kernels: BTreeMap<String, Vec<(&'static str, String)>>,
    programs: Option<String>,
}

impl<'a> Setting<'a> {
    /// `qemu` is what it says of its version.
    pub(super) fn new(source: &'a dyn Source, runner: &Runner, qemu: &str) -> anyhow::Result<Self> {
        let kernels = runner.kernels.iter().map(|(name, files)| Ok((name.clone(), kernel(files)?)));
        Ok(Self {
            source,
            qemu: qemu.to_owned(),
            init: file(&runner.init)?,
            topologies: topologies(source)?,
            kernels: kernels.collect::<anyhow::Result<_>>()?,
            programs: runner.programs.as_deref().map(directory).transpose()?,
        })
    }

    /// The inputs of a case.
    pub(super) fn inputs(&self, scenario: &Scenario, case: &Case) -> anyhow::Result<Inputs> {
        let topology = self.topologies.get(&case.topology).map_or("", String::as_str);
        let mut inputs = Inputs::new("case")
            .with("case", scenario.case_id(case))
            .with("scenario", self::scenario(self.source, scenario)?)
            .with("repeat", scenario.repeat.to_string())
            .with("topology", topology)
            .with("qemu", &self.qemu)
            .with("init", &self.init)
            .with("harness", harness::SOURCE);
        let roles = if matches!(scenario.kind, Kind::Kunit(_)) { &ROLES[..1] } else { &ROLES[..] };
        for (role, name) in roles.iter().zip([&scenario.kernels.outgoing, &scenario.kernels.incoming]) {
            for (what, value) in self.kernels.get(name).into_iter().flatten() {
                inputs = inputs.with(&format!("{role}-{what}"), value);
            }
        }
        let programs = self.programs.as_ref().filter(|_| programs::wanted(std::slice::from_ref(scenario)));
        Ok(programs.into_iter().fold(inputs, |inputs, programs| inputs.with("programs", programs)))
    }
}

fn kernel(files: &KernelFiles) -> anyhow::Result<Vec<(&'static str, String)>> {
    let modules = files.modules.as_deref().map(directory).transpose()?;
    let modules = modules.map(|modules| ("modules", modules));
    Ok([("kernel", file(&files.bzimage)?), ("needs", hash(format!("{:?}", files.needs)))]
        .into_iter()
        .chain(modules)
        .collect())
}

/// The hash of a file.
pub(crate) fn file(path: &Utf8Path) -> anyhow::Result<String> {
    Ok(hash(std::fs::read(path).with_context(|| format!("cannot read {path}"))?))
}

/// The names and contents of the files in a directory.
pub(crate) fn directory(path: &Utf8Path) -> anyhow::Result<String> {
    let what = || format!("cannot read {path}");
    let mut all = Vec::new();
    for entry in path.read_dir_utf8().with_context(what)? {
        let entry = entry.with_context(what)?;
        if entry.file_type().with_context(what)?.is_file() {
            all.push(format!("{} {}\n", entry.file_name(), file(entry.path())?));
        }
    }
    all.sort_unstable();
    Ok(hash(all.concat()))
}
