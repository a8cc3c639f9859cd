// SPDX-License-Identifier: GPL-2.0-only

//! Scenarios: experiments as data.
//!
//! `<phase>/<name>.yaml` below [`DIRECTORY`]. A scenario is one of four kinds:
//! - a **hand-over** (the usual one): at least two `stages`; every stage but the last ends with `kexec-reboot`. One
//!   that does not reach its last kernel cannot pass.
//! - **kunit**: `kunit: { suites: [...] }` boots once with KUnit enabled and reads its KTAP off the console. Each named
//!   suite must have run and passed. No stages.
//! - **blackout**: `blackout: { to: <mark>, baseline: [<stages>] }` measures the instructions from the jump to each mark
//!   in the next kernel, once for `stages` and once for `baseline`, each twice, and `to` is the one that the phase's budget judges. The mark
//!   `init` is always there: the first thing that the next kernel's init does. A `log-span` there counts as a mark; see
//!   [`blackout`](crate::blackout).
//! - **measure**: `measure: { spans: [{ name: "preserve {device}", budget: 100000 }] }` is a hand-over that runs twice and reports the instructions
//!   of each `timed` step. A span above its budget is a failure; see [`measure`](crate::measure).
//!
//! ```yaml
//! title: a vfio-pci device fd survives a live update
//! rows: ["1.2", "1.3"]            # requirement ids
//! cases:                          # the same stages, on several machines
//!   - { name: legacy, topology: legacy }
//!   - { name: virtio, topology: virtio-net-legacy, rows: ["1.3"] }   # optional: rows, cmdline, stages and expect of its own
//! kernels: { outgoing: current, incoming: current }   # optional; names that the caller resolves, see below
//! cmdline: "pci=nomsi"            # optional; added to the first kernel's, and inherited
//! memory: 2G                      # optional; instead of the topology's
//! stages:
//!   - steps:
//!       - bind: { device: dut, driver: vfio-pci }
//!       - host: { do: { record: { tables: [dut] } } }  # what neither kernel may change from here on
//!       - kexec-load: { kernel: incoming }     # `outgoing` or `incoming`
//!       - kexec-reboot
//!     between:                    # optional; what the host does when this kernel jumps; the VM stands still if it does more than look
//!       - plug: { device: late }
//!       - reset: { device: dut }
//!       - record: { rings: [dut1] }                    # what must not change from here on, see `crate::unchanged`
//!       - check-cleared: { device: dut1 }              # what this kernel must have cleared
//!       - tamper: { edits: [{ at: header, offset: 0, width: 4, set: 3 }] }
//!   - steps:
//!       - retrieve-session: { session: s }
//!       - host: { do: { unplug: { device: late } } }   # what the host does while the guest goes on
//! witness: { arrivals: 50, late-ms: 250, gap: 20 }   # optional, as is each of the three: see `crate::witness`. The devices that `igb-receive` starts in the
//!                                 # first stage must write to memory from then on until the last stage is over. With `jumps: 1`, in whatever stage
//!                                 # one starts it, over one jump
//! translation: { preserved: [dut], shut-out: [dut1] }   # optional; a case may have one of its own. The IOMMU must translate all the time, and
//!                                 # refuse nothing to the former devices and something to the latter: see `crate::translation`
//! expect:                         # optional; a case may have one of its own
//!   verdict: pass                 # any class; the case is good if it ends like that
//!   reason: "lost frame"          # part of the verdict's reason, if it must not be `pass`
//!   console: [{ hop: 1, text: "KHO: found" }]  # must appear; without `hop`, in any kernel's output
//!   forbid: [{ text: "reset" }]   # must not appear
//!   allow: ["WARNING: harmless"]  # complaints that are expected
//!   growth: { mem-total: 0, mem-available: 256, slab: 128 }   # KiB that memory may become less by in a long chain, see `growth`
//! wall: 300                       # optional; seconds until we give up
//! stall: 60                       # optional; seconds of silence that count as a hang
//! repeat: 1                       # optional; every repetition must be good
//! slow: true                      # optional; left out by `phasectl test --quick`, and so by a `cargo ci` that is not `--full`
//! ```
//!
//! A kernel is `current` (what is being tested), `gate-off` (the same with the gates of its phase off), `base` (no patch), or a phase
//! or patch by its name. `current+modules` is the same kernel configured as a variant, here as `modules`: [`Variants`] has their
//! names. Others are of the variant that the command line names (`phasectl test --variant debug`), or configured as usual; with `growth`
//! they are always the latter.
//!
//! [`Variants`]: crate::needs::Variants

mod check;
mod names;
#[cfg(test)]
mod tests;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use plan::{Stage, Step};
use serde::Deserialize;
use stg_core::error::gather;
use stg_core::yaml::{self, locate};
use stg_core::{Diagnostic, Source};

use crate::error::HarnessError;
use crate::growth;
use crate::topology::{self, Topologies, Topology};
use crate::translation::Devices;
use crate::verdict::Class;
use crate::witness::Limits;

/// Where the scenarios are, relative to the project root.
pub const DIRECTORY: &str = "selftests/scenarios";

/// Names that `kexec-load` may use.
pub use plan::ROLES;

/// A scenario that was read and checked.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `<phase>/<name>`.
    pub id: String,
    /// Its file, relative to the project root.
    pub path: Utf8PathBuf,
    text: String,
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
    /// What must hold, but for cases that say so themselves; see [`Scenario::expect`].
    expect: Expect,
    /// What DMA is held to, if it is to be witnessed.
    pub witness: Option<Limits>,
    /// Whether the IOMMU is watched, but for cases that say so themselves; see [`Scenario::translation`].
    translation: Option<Devices>,
    /// When to give up.
    pub wall: Duration,
    /// How much silence is a hang.
    pub stall: Duration,
    /// How often each case runs.
    pub repeat: u32,
    /// Whether a quick run leaves it out.
    pub slow: bool,
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
        /// The mark in the second kernel at which the blackout ends, the one that the budget judges.
        to: String,
        /// How much later than in the baseline it may be reached, in per cent; as late as it likes, if not given. It is the phase's and
        /// not the file's, so [`Scenario::limit_blackout`] sets it.
        budget_percent: Option<f64>,
    },
    /// Measures the steps that are `timed`.
    Measure {
        /// What happens.
        stages: Vec<Stage>,
        /// What is timed there.
        spans: Vec<Limit>,
    },
}

impl Kind {
    /// Whether instructions are counted.
    pub fn exact(&self) -> bool {
        matches!(self, Self::Blackout { .. } | Self::Measure { .. })
    }
}

/// Spans that are judged alike.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Their name; `{device}` in it stands for any word.
    pub name: String,
    /// How many guest instructions each may take; as many as it likes, if not given.
    #[serde(default)]
    pub budget: Option<u64>,
}

impl Limit {
    /// Whether the span of this name is meant.
    pub fn covers(&self, span: &str) -> bool {
        let Some((before, after)) = self.name.split_once("{device}") else { return self.name == span };
        let word = span.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        word.is_some_and(|word| !word.is_empty() && !word.contains(' '))
    }
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
    /// What must hold, instead of the scenario's.
    #[serde(default)]
    pub expect: Option<Expect>,
    /// How the IOMMU is watched, instead of the scenario's.
    #[serde(default)]
    pub translation: Option<Devices>,
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
    /// Part of the reason why it ended so.
    #[serde(default)]
    pub reason: Option<String>,
    /// Must appear on the console.
    #[serde(default)]
    pub console: Vec<Text>,
    /// Must not appear on the console.
    #[serde(default)]
    pub forbid: Vec<Text>,
    /// Complaints that are expected: parts of the line, or of the five after it.
    #[serde(default)]
    pub allow: Vec<String>,
    /// By how much memory may become less from kernel to kernel, see [`growth`](crate::growth).
    #[serde(default)]
    pub growth: growth::Limits,
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
    measure: Option<Measure>,
    #[serde(default)]
    witness: Option<Limits>,
    #[serde(default)]
    translation: Option<Devices>,
    #[serde(default)]
    expect: Expect,
    #[serde(default = "default_wall")]
    wall: u64,
    #[serde(default = "default_stall")]
    stall: u64,
    #[serde(default = "default_repeat")]
    repeat: u32,
    #[serde(default)]
    slow: bool,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Measure {
    spans: Vec<Limit>,
}

impl Scenario {
    /// Reads the scenario `<phase>/<name>`.
    ///
    /// # Errors
    /// What is wrong with its file.
    pub fn load(source: &dyn Source, id: &str) -> Result<Self, HarnessError> {
        Ok(read(source, id)?)
    }

    /// Reads every scenario of a phase, sorted by name. A phase without a directory has none.
    ///
    /// # Errors
    /// What is wrong with their files, for all of them.
    pub fn load_phase(source: &dyn Source, phase: &str) -> Result<Vec<Self>, HarnessError> {
        let directory = Utf8Path::new(DIRECTORY).join(phase);
        let mut all = Vec::new();
        let mut found = Vec::new();
        for entry in source.list(&directory)? {
            if entry.path.extension() == Some("yaml") && entry.path.parent() == Some(&directory) {
                let id = format!("{phase}/{}", entry.path.file_stem().unwrap_or_default());
                all.extend(gather(read(source, &id), &mut found)?);
            }
        }
        stg_core::error::check(found)?;
        Ok(all)
    }

    /// Has a blackout scenario fail if the mark is reached so many per cent later than in the baseline. Others stay as they are.
    pub fn limit_blackout(&mut self, percent: Option<f64>) {
        if let Kind::Blackout { budget_percent, .. } = &mut self.kind {
            *budget_percent = percent;
        }
    }

    /// The machine of a case.
    ///
    /// # Errors
    /// A diagnostic with the machines that exist.
    pub fn topology<'a>(&self, case: &Case, topologies: &'a Topologies) -> Result<&'a Topology, HarnessError> {
        topologies.get(&case.topology).ok_or_else(|| {
            let message = format!("case `{}`: there is no topology `{}`", case.name, case.topology);
            let known: Vec<_> = topologies.names().collect();
            let fix = format!("name one of {}: {}", topology::FILE, known.join(", "));
            self.mistake(("cases", &case.topology), message, fix).into()
        })
    }

    /// A mistake in its file, at the first mention of `value` after `key:`.
    pub(crate) fn mistake(
        &self,
        (key, value): (&str, &str),
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Diagnostic {
        let (line, column) = locate(&self.text, key, value);
        Diagnostic::new(&self.path, message, fix).at(line).column(column)
    }

    /// Whether it runs on kernels of any variant: unless it names one itself, or judges how much memory the usual kernel uses.
    pub fn any_variant(&self) -> bool {
        let own = self.kernel_names().into_iter().any(|name| variant_of(name).1.is_some());
        !own && self.cases.iter().all(|case| self.expect(case).growth.is_empty())
    }

    /// The names of the kernels that it needs.
    pub fn kernel_names(&self) -> Vec<&str> {
        let mut names = vec![self.kernels.outgoing.as_str()];
        if !matches!(self.kind, Kind::Kunit(_)) && self.kernels.incoming != self.kernels.outgoing {
            names.push(&self.kernels.incoming);
        }
        names
    }

    /// What must hold in a case.
    pub fn expect<'a>(&'a self, case: &'a Case) -> &'a Expect {
        case.expect.as_ref().unwrap_or(&self.expect)
    }

    /// What is to become of which devices in a case, if its IOMMU is watched.
    pub fn translation<'a>(&'a self, case: &'a Case) -> Option<&'a Devices> {
        case.translation.as_ref().or(self.translation.as_ref())
    }

    /// `<phase>/<name>/<case>`.
    pub fn case_id(&self, case: &Case) -> String {
        format!("{}/{}", self.id, case.name)
    }
}

/// The name of a kernel without its variant, and the variant if it names one: `current+modules`.
pub fn variant_of(kernel: &str) -> (&str, Option<&str>) {
    kernel.split_once('+').map_or((kernel, None), |(name, variant)| (name, Some(variant)))
}

fn read(source: &dyn Source, id: &str) -> stg_core::Result<Scenario> {
    let path = Utf8Path::new(DIRECTORY).join(format!("{id}.yaml"));
    let (text, file): (String, File) = yaml::read(source, &path)?;
    let wrong = |message: &str, fix: &str| Err(Diagnostic::new(&path, message, fix).into());
    let complain = |(message, fix): check::Wrong| Diagnostic::new(&path, message, fix);
    check::common(&file).map_err(complain)?;
    let kind = match (file.stages, file.kunit, file.blackout, file.measure) {
        (Some(stages), None, None, None) => Kind::Handover(stages),
        (None, Some(kunit), None, None) => Kind::Kunit(kunit.suites),
        (Some(stages), None, Some(Blackout { to, baseline }), None) => {
            Kind::Blackout { stages, baseline, to, budget_percent: None }
        }
        (Some(stages), None, None, Some(Measure { spans })) => Kind::Measure { stages, spans },
        (None, None, _, _) => return wrong("it has neither `stages` nor `kunit`", "say what is to happen"),
        (_, Some(_), _, _) => {
            return wrong(
                "`kunit` goes with neither `stages` nor `blackout` nor `measure`",
                "make two scenarios of it",
            );
        }
        (_, _, Some(_), Some(_)) => return wrong("`blackout` does not go with `measure`", "make two scenarios of it"),
    };
    check::kind(&kind, &file.cases).map_err(complain)?;
    check::growth(&kind, &file.cases, &file.expect).map_err(complain)?;
    if let Some(limits) = file.witness {
        check::witness(limits, &kind, &file.cases).map_err(complain)?;
    }
    check::translation(&kind, &file.cases, file.translation.as_ref()).map_err(complain)?;
    check_names(&kind, &file.cases).map_err(|(key, (name, message, fix))| {
        let (line, column) = locate(&text, key, &name);
        Diagnostic::new(&path, message, fix).at(line).column(column)
    })?;
    Ok(Scenario {
        id: id.to_owned(),
        path,
        text,
        title: file.title,
        rows: file.rows,
        cases: file.cases,
        kernels: file.kernels,
        cmdline: file.cmdline,
        memory: file.memory,
        kind,
        expect: file.expect,
        witness: file.witness,
        translation: file.translation,
        wall: Duration::from_secs(file.wall),
        stall: Duration::from_secs(file.stall),
        repeat: file.repeat,
        slow: file.slow,
    })
}

/// Checks the names in all the stages that there are; a mistake comes with the key below which it is.
fn check_names(kind: &Kind, cases: &[Case]) -> Result<(), (&'static str, names::Wrong)> {
    let (stages, baseline) = match kind {
        Kind::Handover(stages) | Kind::Measure { stages, .. } => (stages.as_slice(), [].as_slice()),
        Kind::Blackout { stages, baseline, .. } => (stages.as_slice(), baseline.as_slice()),
        Kind::Kunit(_) => return Ok(()),
    };
    let check = |stages: &[Stage], of: &str| names::check(stages, of).and_then(|()| check::actions(stages, of));
    check(stages, "stages").map_err(|wrong| ("stages", wrong))?;
    check(baseline, "blackout.baseline").map_err(|wrong| ("baseline", wrong))?;
    for case in cases {
        if let Some(stages) = &case.stages {
            check(stages, &format!("stages of case `{}`", case.name)).map_err(|wrong| ("cases", wrong))?;
        }
    }
    Ok(())
}

/// The step inside any number of `fails`, `background`, `timed` and the like: of others that hold one step.
pub(crate) fn innermost(step: &Step) -> &Step {
    match step.inner()[..] {
        [inner] => innermost(inner),
        _ => step,
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
