// SPDX-License-Identifier: GPL-2.0-only

//! Scenarios: experiments as data.
//!
//! `selftests/scenarios/<phase>/<name>.yaml`. A scenario is one of three kinds:
//! - a **hand-over** (the usual one): at least two `stages`; every stage but the last ends with `kexec-reboot`. One
//!   that does not reach its last kernel cannot pass.
//! - **kunit**: `kunit: { suites: [...] }` boots once with KUnit enabled and reads its KTAP off the console. Each named
//!   suite must have run and passed. No stages.
//! - **blackout**: `blackout: { to: <mark>, baseline: [<stages>] }` measures the instructions from the jump to a mark
//!   in the next kernel, once for `stages` and once for `baseline`, each twice; see [`blackout`](crate::blackout).
//!
//! ```yaml
//! title: a vfio-pci device fd survives a live update
//! rows: ["1.2", "1.3"]            # requirement ids
//! cases:                          # the same stages, on several machines
//!   - { name: legacy, topology: legacy }
//!   - { name: virtio, topology: virtio-net-legacy, rows: ["1.3"] }   # optional: rows, cmdline, stages of its own
//! kernels: { outgoing: current, incoming: current }   # optional; names that the caller resolves
//! cmdline: "pci=nomsi"            # optional; added to the first kernel's, and inherited
//! memory: 2G                      # optional; instead of the topology's
//! stages:
//!   - steps:
//!       - bind: { device: dut, driver: vfio-pci }
//!       - kexec-load: { kernel: incoming }     # `outgoing` or `incoming`
//!       - kexec-reboot
//!   - steps:
//!       - retrieve-session: { session: s }
//! expect:                         # optional
//!   verdict: pass                 # any class; the case is good if it ends like that
//!   console: [{ hop: 1, text: "KHO: found" }]  # must appear; without `hop`, in any kernel's output
//!   forbid: [{ text: "reset" }]   # must not appear
//!   allow: ["WARNING: harmless"]  # complaints that are expected
//! wall: 300                       # optional; seconds until we give up
//! stall: 60                       # optional; seconds of silence that count as a hang
//! repeat: 1                       # optional; every repetition must be good
//! ```

mod check;
#[cfg(test)]
mod tests;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use plan::{Stage, Step};
use serde::Deserialize;

use crate::error::{HarnessError, io};
use crate::verdict::Class;
use crate::yaml;

/// Names that `kexec-load` may use.
pub const ROLES: [&str; 2] = ["outgoing", "incoming"];

/// A scenario that was read and checked.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `<phase>/<name>`.
    pub id: String,
    /// Where it was read.
    pub path: Utf8PathBuf,
    /// What it shows, in a few words.
    pub title: String,
    /// Requirement ids it shows.
    pub rows: Vec<String>,
    /// The machines it runs on.
    pub cases: Vec<Case>,
    /// Which kernels it runs.
    pub kernels: Kernels,
    /// Added to the first kernel's command line.
    pub cmdline: String,
    /// Memory instead of the topology's.
    pub memory: Option<String>,
    /// What happens.
    pub kind: Kind,
    /// What must hold.
    pub expect: Expect,
    /// When to give up.
    pub wall: Duration,
    /// How much silence is a hang.
    pub stall: Duration,
    /// How often each case runs.
    pub repeat: u32,
}

/// What a scenario does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Stages with kexecs between them.
    Handover(Vec<Stage>),
    /// Boots once; these KUnit suites must run and pass.
    Kunit(Vec<String>),
    /// Measures.
    Blackout {
        /// What is measured.
        stages: Vec<Stage>,
        /// What it is compared with.
        baseline: Vec<Stage>,
        /// The mark in the second kernel at which the blackout ends.
        to: String,
    },
}

/// One machine of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Name in topologies.yaml.
    pub topology: String,
    /// Requirement ids instead of the scenario's.
    #[serde(default)]
    pub rows: Option<Vec<String>>,
    /// Added to the first kernel's command line after the scenario's.
    #[serde(default)]
    pub cmdline: String,
    /// Stages instead of the scenario's.
    #[serde(default, with = "serde_yaml::with::singleton_map_recursive")]
    pub stages: Option<Vec<Stage>>,
}

/// Names of the kernels, which the caller resolves to files.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    /// The one that boots first.
    #[serde(default = "current")]
    pub outgoing: String,
    /// The one that takes over.
    #[serde(default = "current")]
    pub incoming: String,
}

/// What must hold.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// How it must end.
    #[serde(default)]
    pub verdict: Class,
    /// Must appear on the console.
    #[serde(default)]
    pub console: Vec<Text>,
    /// Must not appear on the console.
    #[serde(default)]
    pub forbid: Vec<Text>,
    /// Parts of lines that are no complaint although they look like one.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// A piece of console output.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Part of a line.
    pub text: String,
    /// Of which kernel (0 is the first); of any, if not given.
    #[serde(default)]
    pub hop: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    rows: Vec<String>,
    cases: Vec<Case>,
    #[serde(default)]
    kernels: Kernels,
    #[serde(default)]
    cmdline: String,
    #[serde(default)]
    memory: Option<String>,
    #[serde(default, with = "serde_yaml::with::singleton_map_recursive")]
    stages: Option<Vec<Stage>>,
    #[serde(default)]
    kunit: Option<Kunit>,
    #[serde(default)]
    blackout: Option<Blackout>,
    #[serde(default)]
    expect: Expect,
    #[serde(default = "default_wall")]
    wall: u64,
    #[serde(default = "default_stall")]
    stall: u64,
    #[serde(default = "default_repeat")]
    repeat: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kunit {
    suites: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Blackout {
    to: String,
    #[serde(with = "serde_yaml::with::singleton_map_recursive")]
    baseline: Vec<Stage>,
}

impl Scenario {
    /// Reads `<...>/<phase>/<name>.yaml`.
    pub fn load(path: &Utf8Path) -> Result<Self, HarnessError> {
        let file: File = yaml::load(path)?;
        let wrong = |what: String| HarnessError::Data(format!("{path}: {what}"));
        let phase = path.parent().and_then(Utf8Path::file_name);
        let (Some(phase), Some(name)) = (phase, path.file_stem()) else {
            return Err(wrong("a scenario lies in a directory named after its phase".into()));
        };
        let id = format!("{phase}/{name}");
        check::common(&file).map_err(wrong)?;
        let kind = match (file.stages, file.kunit, file.blackout) {
            (Some(stages), None, None) => Kind::Handover(stages),
            (None, Some(kunit), None) => Kind::Kunit(kunit.suites),
            (Some(stages), None, Some(Blackout { to, baseline })) => Kind::Blackout { stages, baseline, to },
            (None, None, _) => return Err(wrong("`stages` (or `kunit`) is missing".into())),
            (_, Some(_), _) => return Err(wrong("`kunit` goes with neither `stages` nor `blackout`".into())),
        };
        check::kind(&kind, &file.cases).map_err(wrong)?;
        Ok(Self {
            id,
            path: path.to_owned(),
            title: file.title,
            rows: file.rows,
            cases: file.cases,
            kernels: file.kernels,
            cmdline: file.cmdline,
            memory: file.memory,
            kind,
            expect: file.expect,
            wall: Duration::from_secs(file.wall),
            stall: Duration::from_secs(file.stall),
            repeat: file.repeat,
        })
    }

    /// Reads the scenario `<phase>/<name>` below `selftests/scenarios`.
    pub fn find(scenarios: &Utf8Path, id: &str) -> Result<Self, HarnessError> {
        let path = scenarios.join(format!("{id}.yaml"));
        if path.exists() {
            return Self::load(&path);
        }
        let phase = id.split('/').next().unwrap_or(id);
        let known: Vec<_> = Self::load_phase(scenarios, phase)?.into_iter().map(|scenario| scenario.id).collect();
        Err(HarnessError::Data(format!("no scenario `{id}` ({path}); {phase} has: {}", known.join(", "))))
    }

    /// Reads every scenario of a phase, sorted by name. A phase without a directory has none.
    pub fn load_phase(scenarios: &Utf8Path, phase: &str) -> Result<Vec<Self>, HarnessError> {
        let directory = scenarios.join(phase);
        if !directory.exists() {
            return Ok(Vec::new());
        }
        let mut paths = Vec::new();
        for entry in directory.read_dir_utf8().map_err(io("list", &directory))? {
            let path = entry.map_err(io("list", &directory))?.into_path();
            if path.extension() == Some("yaml") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// The names of the kernels that it needs.
    pub fn kernel_names(&self) -> Vec<&str> {
        let mut names = vec![self.kernels.outgoing.as_str()];
        if !matches!(self.kind, Kind::Kunit(_)) && self.kernels.incoming != self.kernels.outgoing {
            names.push(&self.kernels.incoming);
        }
        names
    }

    /// `<phase>/<name>/<case>`.
    pub fn case_id(&self, case: &Case) -> String {
        format!("{}/{}", self.id, case.name)
    }
}

/// The step inside any number of `fails`.
pub(crate) fn innermost(step: &Step) -> &Step {
    match step {
        Step::Fails { step, .. } => innermost(step),
        step => step,
    }
}

impl Default for Kernels {
    fn default() -> Self {
        Self { outgoing: current(), incoming: current() }
    }
}

fn current() -> String {
    "current".into()
}

fn default_wall() -> u64 {
    300
}

fn default_stall() -> u64 {
    60
}

fn default_repeat() -> u32 {
    1
}
