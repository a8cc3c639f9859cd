// SPDX-License-Identifier: GPL-2.0-only

//! This project's steps.
//!
//! The default run shows that a checkout is sound: formatting, lints, tests, every patch applies, passes the checks that compile nothing, is
//! exported as it should and has a proof on record (but for phases that nobody has proved yet), the kernel at the end of the stack builds, every
//! scenario but the slow ones and the blackouts has passed once with it as it is, and a patch taken at random is built again and gives the image
//! on record and passes some of the cases on record.
//! The full run adds what takes hours: every patch built, checked and tested, gates off, every hand-over between the ends of series, every
//! planted fault noticed, every scenario several times, on a debug kernel and on the kernels of later phases, the blackouts measured; two
//! patches are taken at random, and every case of them runs.
//!
//! Phases and patches are read from the checkout, so the plan grows with it. Everything goes through the `phasectl` built
//! from this checkout, as a person would call it; only the export is also checked behind its back ([`super::mails`]).

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde::de::IgnoredAny;
use stg_core::assemble::faults;
use stg_core::stack::scenario_of;
use stg_core::{Disk, Fault, Source as _, Stack, yaml};
use stg_env::Cache;

use super::count::{Count, Counter};
use super::engine::{Failure, Step, Work};
use super::mails::{self, Mail};
use super::process::Call;
use super::report::say;
use crate::proof::DIRECTORY;

/// How often the full run repeats each scenario.
const REPETITIONS: u32 = 3;

/// What is built and run again, chosen at random. One patch takes up to five minutes, of the 45 that the default run may take.
const SAMPLE: [&str; 2] = ["--sample", "1"];

/// The same in the full run.
const FULL_SAMPLE: [&str; 4] = ["--sample", "2", "--cases", "all"];

/// The phases of which no patch is proved yet: for each other one, a patch without a good record is a failure. Whoever commits the first records
/// of a phase takes it out, and never puts it back: a phase that is listed here and has records is a failure too.
const UNPROVED: &[&str] = &[];

/// The variant of the kernel that looks at itself.
const DEBUG: &str = "debug";

/// This file, for messages.
const PLAN: &str = "ci/src/pipeline/plan.rs";

/// What a plan is made for.
#[derive(Debug, Clone)]
pub struct Site {
    /// The root of the checkout.
    pub root: Utf8PathBuf,
    /// The cache, which `phasectl` is told to use.
    pub cache: Utf8PathBuf,
    /// cargo.
    pub cargo: String,
    /// Where cargo puts `phasectl`.
    pub phasectl: Utf8PathBuf,
}

/// The names of a checkout that steps are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The phases in order.
    pub phases: Vec<PhaseOutline>,
    /// Those of them that are not proved yet: [`UNPROVED`].
    pub unproved: Vec<String>,
}

/// A phase's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhaseOutline {
    /// The phase.
    pub name: String,
    /// Its patches, in order.
    pub patches: Vec<PatchOutline>,
    /// `phase1/fd-preserve`; those that measure are apart. What a patch of the phase makes obsolete fails at its end, and is left out: of a scenario
    /// that loses a case so, the other cases are here, `phase1/fd-preserve/legacy`.
    pub scenarios: Vec<String>,
    /// Those of the scenarios that run on kernels of any variant.
    pub any_variant: Vec<String>,
    /// Scenarios that count instructions, which `phasectl test` leaves out and `phasectl blackout` runs.
    pub blackouts: Vec<String>,
    /// Planted faults, with their rows: `1.3-wrong-function`.
    pub faults: Vec<String>,
    /// Whether it is built upon others, whose scenarios pass on its kernel too.
    pub inherits: bool,
}

/// A patch's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchOutline {
    /// `phase1/kho-rust`.
    pub id: String,
    /// Whether it names a test (other than a blackout) that first passes at it.
    pub tested: bool,
}

/// What of a scenario the plan depends on.
#[derive(Deserialize)]
struct Head {
    blackout: Option<IgnoredAny>,
    measure: Option<IgnoredAny>,
    #[serde(default)]
    kernels: BTreeMap<String, String>,
    #[serde(flatten)]
    judged: Judged,
    #[serde(default)]
    cases: Vec<Judged>,
}

/// By what a scenario, or a case of it, is judged.
#[derive(Deserialize)]
struct Judged {
    name: Option<String>,
    #[serde(default)]
    expect: BTreeMap<String, IgnoredAny>,
}

impl Judged {
    fn growth(&self) -> bool {
        self.expect.contains_key("growth")
    }
}

impl Head {
    /// Whether the scenario counts instructions.
    fn exact(&self) -> bool {
        self.blackout.is_some() || self.measure.is_some()
    }

    /// Whether kernels of any variant do: the scenario names none, as `current+modules` does, and judges no memory.
    fn any_variant(&self) -> bool {
        let growth = self.judged.growth() || self.cases.iter().any(Judged::growth);
        !self.exact() && !growth && !self.kernels.values().any(|name| name.contains('+'))
    }
}

/// What is left of a scenario at the end of a phase whose patches make these tests obsolete: its name, the names of its other cases, or nothing.
fn in_force(id: &str, head: &Head, obsolete: &[&str]) -> Vec<String> {
    if obsolete.contains(&id) {
        return Vec::new();
    }
    if obsolete.iter().all(|&test| scenario_of(test) != id) {
        return vec![id.to_owned()];
    }
    let cases = head.cases.iter().filter_map(|case| case.name.as_ref()).map(|case| format!("{id}/{case}"));
    cases.filter(|case| !obsolete.contains(&case.as_str())).collect()
}

impl Outline {
    /// Reads the names from a checkout.
    ///
    /// # Errors
    ///
    /// If a manifest, a .patch or a fault is wrong, or a scenario is missing or not readable.
    pub fn read(root: &Utf8Path) -> anyhow::Result<Self> {
        let disk = Disk::new(root);
        let stack = Stack::load(&disk)?;
        let faults = faults(&disk, &stack)?;
        let mut all_blackouts = Vec::new();
        let mut phases = Vec::new();
        for phase in &stack.phases {
            let (mut blackouts, mut scenarios, mut any_variant) = (Vec::new(), Vec::new(), Vec::new());
            let obsolete: Vec<&str> =
                phase.patches.iter().flat_map(|patch| &patch.entry.obsoletes).map(String::as_str).collect();
            for id in &phase.manifest.scenarios {
                let path = Utf8PathBuf::from(format!("selftests/scenarios/{id}.yaml"));
                let (_, head) = yaml::read::<Head>(&disk, &path)?;
                if head.exact() {
                    blackouts.push(id.clone());
                    continue;
                }
                let names = in_force(id, &head, &obsolete);
                if head.any_variant() {
                    any_variant.extend(names.clone());
                }
                scenarios.extend(names);
            }
            all_blackouts.extend(blackouts.clone());
            let measures = |test: &String| all_blackouts.iter().any(|id| id == scenario_of(test));
            let patch = |patch: &stg_core::stack::Patch| PatchOutline {
                id: patch.id(),
                tested: !patch.entry.tests.iter().all(measures),
            };
            phases.push(PhaseOutline {
                name: phase.name().to_owned(),
                patches: phase.patches.iter().map(patch).collect(),
                scenarios,
                any_variant,
                blackouts,
                faults: faults.iter().filter(|fault| fault.phase == phase.name()).map(Fault::id).collect(),
                inherits: !phase.manifest.requires.is_empty(),
            });
        }
        let unproved = unproved(UNPROVED, &phases)?;
        Ok(Self { phases, unproved })
    }
}

/// The phases that are listed as not proved yet. A name that is no phase's would go on saying so of whoever gets it next.
fn unproved(names: &[&str], phases: &[PhaseOutline]) -> anyhow::Result<Vec<String>> {
    let stray = names.iter().find(|&&name| phases.iter().all(|phase| phase.name != name));
    match stray {
        Some(name) => anyhow::bail!(
            "{PLAN}: UNPROVED lists {name}, and there is no such phase\n  fix: take it out, or correct its name"
        ),
        None => Ok(names.iter().map(|&name| name.to_owned()).collect()),
    }
}

/// The steps of a checkout. A checkout whose manifests cannot be read has a plan too, in which that fails.
pub fn steps<'a>(site: &'a Site, outline: anyhow::Result<Outline>, full: bool) -> Vec<Step<'a>> {
    let (outline, broken) = match outline {
        Ok(outline) => (outline, None),
        Err(error) => (Outline::default(), Some(format!("{error:#}"))),
    };
    let plan = Plan { site };
    let mut steps = vec![
        plan.call("tools", &[], plan.cargo(&["build", "--locked", "--package", "phasectl"])),
        plan.call("setup", &["tools"], plan.phasectl(&["setup"])),
        plan.call("fmt", &[], plan.cargo(&["fmt", "--all", "--check"])),
        plan.call(
            "clippy",
            &[],
            plan.cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
        ),
        plan.call("tests", &[], plan.cargo(&["test", "--workspace", "--locked"]).counted(Counter::CargoTest)),
        plan.step("manifests", "every phase, patch and requirement graph can be read", &["tools"], {
            let (list, graph) = (plan.phasectl(&["list"]), plan.phasectl(&["graph"]));
            Box::new(move |deadline| {
                broken.map_or(Ok(()), |message| Err(Failure::new(message)))?;
                list.run(&site.root, deadline)?;
                graph.run(&site.root, deadline)
            })
        }),
        plan.step("base", "phasectl base show, else base fetch", &["setup", "manifests"], {
            let (show, fetch) = (plan.phasectl(&["base", "show"]), plan.phasectl(&["base", "fetch"]));
            // A maintainer's adopted clone is a base like any other and must not be replaced.
            Box::new(move |deadline| show.run(&site.root, deadline).or_else(|_| fetch.run(&site.root, deadline)))
        }),
    ];
    for step in &mut steps {
        step.always = step.id == "tools";
        // What is on the machine may change while the files do not.
        step.lasting = !["tools", "setup", "base"].contains(&step.id.as_str());
    }
    for phase in &outline.phases {
        let name = &phase.name;
        let title = format!("phasectl export {name}, twice; git am of the mails");
        steps.push(plan.step(&format!("apply/{name}"), &title, &["base"], plan.apply(phase)));
        steps.push(plan.call(&format!("check/{name}"), &["base"], plan.phasectl(&["check", name, "--quick"])));
    }
    if !outline.phases.is_empty() {
        steps.push(plan.call("matrix", &["base"], plan.phasectl(&["matrix", "--predict"])));
    }
    let mut proved = Vec::new();
    for phase in outline.phases.iter().map(|phase| phase.name.as_str()) {
        if outline.unproved.iter().any(|unproved| unproved == phase) {
            steps.push(plan.unproved(phase));
        } else {
            steps.push(plan.call(&verify(phase), &["base"], plan.phasectl(&["verify", phase]).counted(Counter::Ktap)));
            proved.push(phase);
        }
    }
    if let Some(last) = outline.phases.last() {
        let build = plan.call("kernel", &["base"], plan.phasectl(&["build", &last.name]));
        // The kernel may have gone from the cache since.
        steps.push(Step { lasting: false, ..build });
        // Backwards: each kernel is built from what the one before left in the build directory, and those of one phase differ least.
        for phase in outline.phases.iter().rev() {
            steps.push(plan.scenarios(&phase.name, full));
        }
        steps.push(plan.scenarios("harness", full));
        if !proved.is_empty() {
            let sample = if full { FULL_SAMPLE.as_slice() } else { SAMPLE.as_slice() };
            let again = [&["verify"], proved.as_slice(), sample].concat();
            let needs: Vec<String> = ["kernel".to_owned()].into_iter().chain(proved.iter().map(verify)).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let again = plan.call("verify/sample", &needs, plan.phasectl(&again).counted(Counter::Ktap));
            // It takes others every time.
            steps.push(Step { lasting: false, ..again });
        }
    }
    if full {
        plan.full(&outline, &mut steps);
    }
    steps
}

/// The step that checks the records of a phase.
fn verify(phase: impl std::fmt::Display) -> String {
    format!("verify/{phase}")
}

struct Plan<'a> {
    site: &'a Site,
}

impl<'a> Plan<'a> {
    fn cargo(&self, args: &[&str]) -> Call {
        Call::new([self.site.cargo.as_str()].iter().chain(args))
    }

    fn phasectl(&self, args: &[&str]) -> Call {
        let call = Call::new([self.site.phasectl.as_str()].iter().chain(args));
        call.with("PHASECTL_CACHE", self.site.cache.as_str())
    }

    fn step(&self, id: &str, title: &str, needs: &[&str], work: Work<'a>) -> Step<'a> {
        let needs = needs.iter().map(|&needs| needs.to_owned()).collect();
        Step { id: id.to_owned(), title: title.to_owned(), needs, always: false, lasting: true, work }
    }

    fn call(&self, id: &str, needs: &[&str], call: Call) -> Step<'a> {
        let program = call.argv.first().map(|program| Utf8Path::new(program).file_name().unwrap_or(program));
        let title: Vec<&str> = program.into_iter().chain(call.argv.iter().skip(1).map(String::as_str)).collect();
        let site = self.site;
        self.step(id, &title.join(" "), needs, Box::new(move |deadline| call.run(&site.root, deadline)))
    }

    /// The short run leaves out what passed with the same bytes, which [`Self::full`] repeats.
    fn scenarios(&self, phase: &str, full: bool) -> Step<'a> {
        let args: &[&str] = if full { &["test", phase, "--quick"] } else { &["test", phase, "--quick", "--known"] };
        let step = self.call(&format!("scenarios/{phase}"), &["kernel"], self.phasectl(args).counted(Counter::Ktap));
        Step { title: format!("{}: each scenario once (slow ones and blackouts: --full)", step.title), ..step }
    }

    /// A phase that is not proved yet has no records, and that is said.
    fn unproved(&self, phase: &str) -> Step<'a> {
        let (site, phase) = (self.site, phase.to_owned());
        let title = format!("{phase} is not proved yet: it is in UNPROVED of {PLAN}");
        let (id, said) = (verify(&phase), format!("{title}\n"));
        let work = move |deadline| match records(&site.root, &phase, deadline)?.first() {
            None => {
                say(&said);
                Ok(Count::default())
            }
            Some(record) => Err(Failure::new(format!(
                "{record}: there are records of {phase}, which is listed as not proved yet\n  fix: take {phase} out of UNPROVED in {PLAN}"
            ))),
        };
        // What git knows may change while the files do not.
        Step { lasting: false, ..self.step(&id, &title, &["manifests"], Box::new(work)) }
    }

    fn full(&self, outline: &Outline, steps: &mut Vec<Step<'a>>) {
        // In the order of the stack, so that each build compiles what one patch changes.
        for patch in outline.phases.iter().flat_map(|phase| &phase.patches) {
            let (id, step) = (&patch.id, format!("patch/{}", patch.id));
            steps.push(self.call(&step, &["base"], self.phasectl(&["build", id])));
            if patch.tested {
                let call = self.phasectl(&["test", id]).counted(Counter::Ktap);
                steps.push(self.call(&format!("{step}/test"), &[&step], call));
            }
        }
        for phase in &outline.phases {
            let name = &phase.name;
            steps.push(self.call(&format!("check/{name}/built"), &["base"], self.phasectl(&["check", name])));
            let gate_off = self.phasectl(&["build", name, "--gate-off"]);
            steps.push(self.call(&format!("gate-off/{name}"), &["base"], gate_off));
            if phase.inherits {
                let call = self.phasectl(&["test", name, "--inherited"]).counted(Counter::Ktap);
                steps.push(self.call(&format!("inherited/{name}"), &["kernel"], call));
            }
            for fault in &phase.faults {
                let call = self.phasectl(&["faults", name, "--fault", fault]).counted(Counter::Ktap);
                steps.push(self.call(&format!("faults/{fault}"), &["kernel"], call));
            }
            for scenario in &phase.scenarios {
                let repeat = REPETITIONS.to_string();
                let call = self.phasectl(&["test", name, "--scenario", scenario, "--repeat", &repeat]);
                steps.push(self.call(&format!("repeat/{scenario}"), &["kernel"], call.counted(Counter::Ktap)));
            }
            if !phase.blackouts.is_empty() {
                steps.push(self.blackout(name));
            }
            if !phase.any_variant.is_empty() {
                self.debug(phase, steps);
            }
        }
        if !outline.phases.is_empty() {
            steps.push(self.call("matrix/run", &["base"], self.phasectl(&["matrix"]).counted(Counter::Ktap)));
            steps.push(self.blackout("harness"));
        }
    }

    /// A step for each scenario: a run that was interrupted loses the one that it was at.
    fn debug(&self, phase: &PhaseOutline, steps: &mut Vec<Step<'a>>) {
        let (name, kernel) = (&phase.name, format!("{DEBUG}/{}", phase.name));
        steps.push(self.call(&kernel, &["base"], self.phasectl(&["build", name, "--variant", DEBUG])));
        for scenario in &phase.any_variant {
            let call = self.phasectl(&["test", name, "--variant", DEBUG, "--scenario", scenario]);
            steps.push(self.call(&format!("{DEBUG}/{scenario}"), &[&kernel], call.counted(Counter::Ktap)));
        }
    }

    fn blackout(&self, phase: &str) -> Step<'a> {
        self.call(&format!("blackout/{phase}"), &["kernel"], self.phasectl(&["blackout", phase]))
    }

    /// Exports a phase twice, the second time under hostile settings; the bytes must be the same, and `git am` must take
    /// them.
    fn apply(&self, phase: &PhaseOutline) -> Work<'a> {
        let phase_name = phase.name.clone();
        let last = phase.patches.last().map_or(phase.name.as_str(), |patch| patch.id.as_str());
        let show = self.phasectl(&["show", last, "--json"]);
        let export = |out: &Utf8Path| self.phasectl(&["export", &phase.name, "--draft", "-o", out.as_str()]);
        let scratch = tempfile::Builder::new().prefix("phasectl-ci-").tempdir().map_err(|error| error.to_string());
        let site = self.site;
        let prepared = scratch.and_then(|scratch| {
            let path =
                Utf8PathBuf::from_path_buf(scratch.path().to_owned()).map_err(|_| "TMPDIR is not UTF-8".to_owned())?;
            let (one, two) = (path.join("one"), path.join("two"));
            let calls = [export(&one), hostile(export(&two))];
            Ok((scratch, path, one, two, calls))
        });
        Box::new(move |deadline: Option<Instant>| {
            let (_scratch, path, one, two, calls) =
                prepared.map_err(|error| Failure::new(format!("no temporary directory: {error}")))?;
            for call in calls {
                call.run(&site.root, deadline)?;
            }
            let shown = show.read(&site.root, deadline)?;
            let checked = mails::same(&one, &two)
                .and_then(|()| tip(&shown))
                .and_then(|tip| taken(site, &phase_name, &tip, &one, &path));
            checked.map_err(|error| Failure::new(format!("{error:#}")))?;
            // The bytes are one test, the trees another.
            Ok(Count::ONE + Count::ONE)
        })
    }
}

/// The records of a phase: those that are there, and those that git knows, so that to delete them makes no phase unproved.
fn records(root: &Utf8Path, phase: &str, deadline: Option<Instant>) -> Result<Vec<String>, Failure> {
    let directory = Utf8Path::new(DIRECTORY).join(phase);
    let there = Disk::new(root).list(&directory).map_err(|error| Failure::new(error.to_string()))?;
    let there = there.into_iter().map(|entry| entry.path.into_string());
    // A copy of the files without their history has no other ones.
    let known = Call::new(["git", "ls-files", "--", directory.as_str()]).read(root, deadline).unwrap_or_default();
    Ok(there.chain(known.lines().map(str::to_owned)).collect())
}

/// The user's own habits, as far as they could change what git prints. (Not the identity: that is part of the result.)
fn hostile(call: Call) -> Call {
    let settings = [
        ("diff.noprefix", "true"),
        ("diff.algorithm", "patience"),
        ("diff.context", "7"),
        ("core.abbrev", "5"),
        ("format.signature", "sent with habits"),
        ("format.numbered", "false"),
        ("format.subjectPrefix", "HABIT"),
    ];
    let call = call.with("TZ", "Asia/Kathmandu").with("LC_ALL", "C.UTF-8").with("LANG", "C.UTF-8");
    let call = call.with("GIT_CONFIG_COUNT", &settings.len().to_string());
    settings.iter().enumerate().fold(call, |call, (number, (key, value))| {
        call.with(&format!("GIT_CONFIG_KEY_{number}"), key).with(&format!("GIT_CONFIG_VALUE_{number}"), value)
    })
}

/// The commit in what `phasectl show PATCH --json` prints.
fn tip(shown: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Shown {
        patch: String,
        commit: Option<String>,
    }
    let Shown { patch, commit } = serde_json::from_str(shown).context("reading what `phasectl show --json` says")?;
    commit.with_context(|| format!("`phasectl show {patch}` names no commit: there is no base"))
}

/// Whether `git am` takes an exported phase, on top of what it stands on, and makes the trees of the commits that end in
/// `tip`. What it stands on was checked in a step of its own.
fn taken(site: &Site, phase: &str, tip: &str, exported: &Utf8Path, scratch: &Utf8Path) -> anyhow::Result<()> {
    let stack = Stack::load(&Disk::new(&site.root))?;
    let phase = stack.phase(phase)?;
    let bare = Cache::at(&site.cache)?.base_repo();
    let (start, commits) = mails::line(&bare, tip, phase.patches.len())?;
    let mut files = Vec::new();
    for series in &phase.manifest.series {
        let own = mails::patches(&exported.join(&series.name))?;
        anyhow::ensure!(
            own.len() == series.patches.len(),
            "the series {} has {} patches, exported were {}",
            series.name,
            series.patches.len(),
            own.len()
        );
        files.extend(own);
    }
    let mails: Vec<Mail> = files.into_iter().zip(commits).map(|(file, commit)| Mail { file, commit }).collect();
    mails::am(&bare, &start, &mails, scratch)
}

#[cfg(test)]
mod tests;
