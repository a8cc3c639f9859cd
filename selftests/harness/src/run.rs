// SPDX-License-Identifier: GPL-2.0-only

//! Runs scenarios: each case becomes a VM, its observation a verdict, and that a result.
//!
//! As many at once as the host has processors: an emulated machine uses one. Then, alone, those whose DMA is witnessed, because the
//! host has to look in time. Results come in this order, and are never cached.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use indicatif::{ProgressBar, ProgressDrawTarget};
use plan::{Event, Plan};

use crate::blackout;
use crate::case::{Job, Variant};
use crate::cmdline::{Channels, Machine, arguments};
use crate::error::{HarnessError, io};
use crate::exact::Twice;
use crate::filter::Filter;
use crate::guest::{Contents, initramfs, plan_json};
use crate::ktap;
use crate::measure;
use crate::memory::MemoryFile;
use crate::modules;
use crate::needs::Needs;
use crate::observe::Observation;
use crate::programs;
use crate::report::{Blackout, CaseResult, Observed, Spans, StepResult, Translated, Unchanged, Witnessed};
use crate::rundir::RunDir;
use crate::scenario::{Case, Kind, ROLES, Scenario};
use crate::symbols::Symbols;
use crate::topology::Topologies;
use crate::translation;
use crate::verdict::{Class, Verdict, judge, unmet};
use crate::vm::{Request, supervise};
use crate::witness::{self, Finding};

/// How often a VM is run until enough is [witnessed](crate::witness), and until the host was there in time to act between two kernels: a host
/// that is too busy is nobody's fault.
const ATTEMPTS: usize = 3;

/// The files of a kernel.
#[derive(Clone, Debug)]
pub struct KernelFiles {
    /// What boots.
    pub bzimage: Utf8PathBuf,
    /// For names in hang reports.
    pub system_map: Option<Utf8PathBuf>,
    /// The directory of its modules, if it has any.
    pub modules: Option<Utf8PathBuf>,
    /// What it asks of the machine.
    pub needs: Needs,
}

/// Everything that runs need.
#[derive(Clone, Debug)]
pub struct Runner {
    /// `qemu-system-x86_64`.
    pub qemu: Utf8PathBuf,
    /// The guest's init, see [`build_init`](crate::guest::build_init).
    pub init: Utf8PathBuf,
    /// The machines.
    pub topologies: Topologies,
    /// Logs go to `<out_dir>/<phase>/<scenario>/<case>/`.
    pub out_dir: Utf8PathBuf,
    /// Kernels by the names that scenarios use, see [`Scenario::kernel_names`].
    pub kernels: BTreeMap<String, KernelFiles>,
    /// The directory of the programs that stages run; none if they run none.
    pub programs: Option<Utf8PathBuf>,
}

/// What was measured, if anything.
#[derive(Debug, Default)]
struct Measured {
    blackout: Option<Blackout>,
    spans: Vec<Spans>,
    again: Vec<String>,
}

/// One VM that has ended.
pub(crate) struct Outcome {
    pub(crate) seen: Observation,
    pub(crate) verdict: Verdict,
    pub(crate) plan: Plan,
    pub(crate) log_dir: Utf8PathBuf,
}

impl Runner {
    /// Runs the wanted cases and reports each as KTAP as soon as it has ended.
    ///
    /// # Errors
    /// Before anything boots: data that is wrong, a choice that fits no case, a kernel or program that is missing. Later: whatever
    /// the host refuses, and measurements that [differ](HarnessError::Differ).
    pub fn run(
        &self,
        scenarios: &[Scenario],
        filter: &Filter,
        ktap: &mut dyn Write,
    ) -> Result<Vec<CaseResult>, HarnessError> {
        self.run_seen(scenarios, filter, ktap, &mut |_| ())
    }

    /// The same; each result is also handed over at once, before its turn has come to be reported. So whoever keeps results loses
    /// none of them when the run is killed.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_seen(
        &self,
        scenarios: &[Scenario],
        filter: &Filter,
        ktap: &mut dyn Write,
        seen: &mut dyn FnMut(&CaseResult),
    ) -> Result<Vec<CaseResult>, HarnessError> {
        let all = || scenarios.iter().flat_map(|scenario| scenario.cases.iter().map(move |case| (scenario, case)));
        let ids: Vec<String> = all().map(|(scenario, case)| scenario.case_id(case)).collect();
        filter.check(&ids)?;
        let mut cases: Vec<_> = all().filter(|(scenario, case)| filter.wants(&scenario.case_id(case))).collect();
        cases.sort_by_key(|(scenario, _)| scenario.witness.is_some());
        for (scenario, case) in &cases {
            for variant in [Variant::Stages, Variant::Baseline] {
                let job = self.job(scenario, case, variant)?;
                programs::read(&job.plan, self.programs.as_deref())?;
                modules::read(&job.plan, |role| self.in_role(scenario, role))?;
            }
        }
        let mut writer = ktap::Writer::new(ktap)?;
        writer.plan(cases.len())?;
        let mut results = Vec::new();
        let mut done = |result: CaseResult| {
            writer.case(&result)?;
            results.push(result);
            Ok(())
        };
        let (together, alone) = cases.split_at(cases.partition_point(|(scenario, _)| scenario.witness.is_none()));
        self.each(together, thread::available_parallelism().map_or(1, usize::from), seen, &mut done)?;
        self.each(alone, 1, seen, &mut done)?;
        Ok(results)
    }

    /// Runs cases, so many at once, and hands over each result in its turn. The first error ends it, after what runs has ended.
    fn each(
        &self,
        cases: &[(&Scenario, &Case)],
        at_once: usize,
        seen: &mut dyn FnMut(&CaseResult),
        mut done: impl FnMut(CaseResult) -> Result<(), HarnessError>,
    ) -> Result<(), HarnessError> {
        let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        progress.set_style(style());
        progress.enable_steady_tick(Duration::from_millis(200));
        let next = AtomicUsize::new(0);
        let work = |results: mpsc::Sender<(usize, Result<CaseResult, HarnessError>)>| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((scenario, case)) = cases.get(index) else { break };
                progress.set_message(format!("{}/{} {}", index + 1, cases.len(), scenario.case_id(case)));
                if results.send((index, self.case(scenario, case))).is_err() {
                    break;
                }
            }
        };
        let outcome = thread::scope(|scope| {
            let (sender, results) = mpsc::channel();
            for _ in 0..at_once.min(cases.len()) {
                let sender = sender.clone();
                scope.spawn(|| work(sender));
            }
            drop(sender);
            let mut early = BTreeMap::new();
            let mut turn = 0;
            for (index, result) in results {
                if let Ok(result) = &result {
                    seen(result);
                }
                early.insert(index, result);
                while let Some(result) = early.remove(&turn) {
                    turn += 1;
                    result.and_then(&mut done).inspect_err(|_| next.store(cases.len(), Ordering::Relaxed))?;
                }
            }
            Ok(())
        });
        progress.finish_and_clear();
        outcome
    }

    /// Runs a case as often as the scenario says, or until it is not good.
    fn case(&self, scenario: &Scenario, case: &Case) -> Result<CaseResult, HarnessError> {
        let mut seconds = 0.0;
        let mut repetition = 0;
        loop {
            repetition += 1;
            let (outcome, spent, measured) = self.once(scenario, case, repetition)?;
            seconds += spent.as_secs_f64();
            let result = result(scenario, case, &outcome, seconds, repetition, measured);
            let path = outcome.log_dir.join("verdict.json");
            let json = serde_json::to_string_pretty(&result).map_err(|error| io("write", &path)(error.into()))?;
            fs::write(&path, json + "\n").map_err(io("write", &path))?;
            if !result.passed || repetition >= scenario.repeat {
                return Ok(result);
            }
        }
    }

    fn once(
        &self,
        scenario: &Scenario,
        case: &Case,
        repetition: u32,
    ) -> Result<(Outcome, Duration, Measured), HarnessError> {
        let directory = self.out_dir.join(scenario.case_id(case));
        let directory = if scenario.repeat > 1 { directory.join(repetition.to_string()) } else { directory };
        let mut twice = Twice { runner: self, scenario, case, directory: &directory, spent: Duration::ZERO };
        match &scenario.kind {
            Kind::Blackout { to, budget_percent, .. } => {
                let (outcome, blackout) = blackout::measure(&mut twice, to, *budget_percent)?;
                Ok((outcome, twice.spent, Measured { blackout, ..Measured::default() }))
            }
            Kind::Measure { spans, .. } => {
                let (outcome, spans) = measure::measure(&mut twice, spans)?;
                Ok((outcome, twice.spent, Measured { spans, ..Measured::default() }))
            }
            Kind::Handover(_) | Kind::Kunit(_) => {
                let began = Instant::now();
                let mut again = Vec::new();
                loop {
                    let last = again.len() + 1 >= ATTEMPTS;
                    match self.vm(scenario, case, Variant::Stages, &directory) {
                        Err(error @ HarnessError::TooLate { .. }) if !last => again.push(error.to_string()),
                        Ok(outcome) if outcome.verdict.class == Class::Unwitnessed && !last => {
                            again.push(outcome.verdict.reason);
                        }
                        Ok(outcome) if again.is_empty() => {
                            let spent = outcome.seen.elapsed;
                            return Ok((outcome, spent, Measured::default()));
                        }
                        outcome => return Ok((outcome?, began.elapsed(), Measured { again, ..Measured::default() })),
                    }
                }
            }
        }
    }

    /// Boots one VM and judges it.
    pub(crate) fn vm(
        &self,
        scenario: &Scenario,
        case: &Case,
        variant: Variant,
        log_dir: &Utf8Path,
    ) -> Result<Outcome, HarnessError> {
        let job = self.job(scenario, case, variant)?;
        let outgoing = self.in_role(scenario, ROLES[0])?;
        let incoming = || self.in_role(scenario, ROLES[1]);
        fresh_directory(log_dir)?;
        let run_dir = RunDir::new()?;
        let mut kernels = Vec::new();
        for role in &job.plan.kernels {
            kernels.push((role.clone(), read(&self.in_role(scenario, role)?.bzimage)?));
        }
        let contents = Contents {
            plan_bytes: self.plan_bytes(scenario, case)?,
            kernels,
            modules: modules::read(&job.plan, |role| self.in_role(scenario, role))?,
            programs: programs::read(&job.plan, self.programs.as_deref())?,
        };
        let initrd = run_dir.path().join("initramfs");
        let archive = initramfs(read(&self.init)?, &job.plan, contents)?;
        fs::write(&initrd, archive).map_err(io("write", &initrd))?;
        let channels = Channels::below(run_dir.path());
        let memory = job.shares_memory.then(|| MemoryFile::new(&job.memory, run_dir.path())).transpose()?;
        let watched = job.translation.clone().map(|devices| translation::Task::new(devices, log_dir));
        let machine = Machine {
            topology: job.topology,
            memory: &job.memory,
            memory_file: memory.as_ref().map(MemoryFile::path),
            kernel: &outgoing.bzimage,
            initrd: &initrd,
            append: &job.append,
            witnessed: job.witness.is_some(),
            trace: watched.as_ref().map(|task| task.trace.as_path()),
            exact: job.exact,
        };
        let mut maps = vec![outgoing];
        if !matches!(scenario.kind, Kind::Kunit(_)) {
            maps.push(incoming()?);
        }
        let symbols =
            maps.into_iter().map(|kernel| kernel.system_map.as_deref().map_or(Ok(Symbols::default()), Symbols::load));
        let request = Request {
            qemu: &self.qemu,
            args: arguments(&machine, &channels),
            channels,
            log_dir,
            wall: scenario.wall * job.plan.slowness,
            stall: scenario.stall * job.plan.slowness,
            slowness: job.plan.slowness,
            symbols: symbols.collect::<Result<_, _>>()?,
            topology: job.topology,
            memory_file: memory.as_ref().map(|memory| memory.path().to_owned()),
            between: job.plan.stages.iter().map(|stage| stage.between.clone()).collect(),
            witness: job.witness.clone(),
            rings: job.rings.clone(),
            translation: watched,
        };
        let seen = supervise(&request)?;
        let suites: &[String] = if let Kind::Kunit(suites) = &scenario.kind { suites } else { &[] };
        let verdict = judge(&job.plan, suites, &job.expect, &seen);
        Ok(Outcome { seen, verdict, plan: job.plan, log_dir: log_dir.to_owned() })
    }

    /// The size of the largest plan of a scenario: what is measured must not depend on how much there is to unpack.
    fn plan_bytes(&self, scenario: &Scenario, case: &Case) -> Result<usize, HarnessError> {
        let mut largest = 0;
        for variant in [Variant::Stages, Variant::Baseline] {
            let job = self.job(scenario, case, variant)?;
            largest = largest.max(plan_json(&job.plan)?.len());
        }
        Ok(largest)
    }

    fn job<'a>(&'a self, scenario: &'a Scenario, case: &'a Case, variant: Variant) -> Result<Job<'a>, HarnessError> {
        let mut needs = self.in_role(scenario, ROLES[0])?.needs.clone();
        if !matches!(scenario.kind, Kind::Kunit(_)) {
            needs = needs.and(&self.in_role(scenario, ROLES[1])?.needs);
        }
        Job::new(scenario, case, variant, &self.topologies, &needs)
    }

    /// The kernel that a scenario has in a [role](ROLES).
    fn in_role(&self, scenario: &Scenario, role: &str) -> Result<&KernelFiles, HarnessError> {
        let name = if role == ROLES[0] { &scenario.kernels.outgoing } else { &scenario.kernels.incoming };
        self.kernels.get(name).ok_or_else(|| HarnessError::NoKernel {
            scenario: scenario.id.clone(),
            kernel: name.clone(),
            known: self.kernels.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

fn result(
    scenario: &Scenario,
    case: &Case,
    outcome: &Outcome,
    seconds: f64,
    repetition: u32,
    measured: Measured,
) -> CaseResult {
    let expect = scenario.expect(case);
    let mut reason = outcome.verdict.reason.clone();
    let mut passed = outcome.verdict.class == expect.verdict;
    // A pass has been held to these by the verdict already.
    let held = passed && expect.verdict != Class::Pass;
    if held && let Some((_, what)) = unmet(expect, &outcome.seen) {
        passed = false;
        reason = format!("{what} (and, as expected: {reason})");
    } else if held
        && expect.verdict != Class::TranslationBroken
        && let Some(broken) = outcome.seen.translation.as_ref().and_then(translation::violation)
    {
        passed = false;
        reason = format!("{} (and, as expected: {reason})", broken.what);
    } else if passed && let Some(wanted) = expect.reason.as_ref().filter(|wanted| !reason.contains(wanted.as_str())) {
        passed = false;
        reason = format!("the reason was to have `{wanted}` in it, and is: {reason}");
    } else if !passed && expect.verdict != Class::Pass {
        reason = format!("{} was expected; {reason}", expect.verdict);
    }
    let (steps, planned_steps) = match &scenario.kind {
        Kind::Kunit(suites) => {
            let steps = kunit_steps(suites, &outcome.seen);
            let count = steps.len();
            (steps, count)
        }
        _ => (steps(&outcome.seen), outcome.plan.stages.iter().map(|stage| stage.steps.len()).sum()),
    };
    CaseResult {
        rows: case.rows.as_ref().unwrap_or(&scenario.rows).clone(),
        scenario: scenario.id.clone(),
        case: case.name.clone(),
        title: scenario.title.clone(),
        passed,
        expected: expect.verdict,
        verdict: outcome.verdict.class,
        reason,
        seconds,
        repetition,
        log_dir: outcome.log_dir.clone(),
        kernels: kernels(&outcome.seen),
        steps,
        planned_steps,
        observed: observed(&outcome.seen),
        blackout: measured.blackout,
        spans: measured.spans,
        witnessed: witnessed(&outcome.seen),
        translation: translated(&outcome.seen),
        unchanged: unchanged(&outcome.seen),
        again: measured.again,
    }
}

fn witnessed(seen: &Observation) -> Vec<Witnessed> {
    match seen.witness.as_ref().map(witness::judge) {
        Some(Finding::Continuous(all)) => all,
        _ => Vec::new(),
    }
}

fn translated(seen: &Observation) -> Option<Translated> {
    let record = seen.translation.as_ref().filter(|record| translation::violation(record).is_none())?;
    translation::summary(record)
}

fn unchanged(seen: &Observation) -> Option<Unchanged> {
    let record = seen.unchanged.as_ref().filter(|record| record.changed.is_none() && record.comparisons > 0)?;
    Some(Unchanged { bytes: record.bytes, comparisons: record.comparisons })
}

fn kernels(seen: &Observation) -> Vec<String> {
    let boots = seen.events.iter().filter_map(|timed| match &timed.event {
        Event::Boot { kernel, .. } => Some(kernel.clone()),
        _ => None,
    });
    boots.collect()
}

fn steps(seen: &Observation) -> Vec<StepResult> {
    let mut steps = Vec::new();
    for timed in &seen.events {
        let host_ms = timed.host_ms;
        let (hop, what, ok, detail) = match &timed.event {
            Event::Step { hop, what, ok, detail, .. } => (*hop, what.clone(), *ok, detail.clone()),
            Event::Mark { hop, name, tsc } => (*hop, format!("mark {name}"), true, format!("time stamp {tsc}")),
            // The jump reports nothing if it succeeds; that it did is said by the next kernel.
            Event::Kexec { hop, .. } if seen.booted(*hop as usize + 1) => {
                (*hop, "jump into the next kernel".to_owned(), true, String::new())
            }
            _ => continue,
        };
        steps.push(StepResult { hop, what, ok, detail, host_ms });
    }
    steps
}

fn observed(seen: &Observation) -> Vec<Observed> {
    let observed = seen.events.iter().filter_map(|timed| match &timed.event {
        Event::Observed { hop, name, outcome } => {
            Some(Observed { hop: *hop, name: name.clone(), outcome: outcome.clone() })
        }
        _ => None,
    });
    observed.collect()
}

fn kunit_steps(suites: &[String], seen: &Observation) -> Vec<StepResult> {
    let results = ktap::parse(seen.hops[0].lines.iter().map(|line| line.text.as_str()));
    let mut steps = Vec::new();
    for suite in suites {
        for test in results.named(suite).flat_map(|test| &test.subtests) {
            let bad = test.first_bad();
            let skipped = if test.status == ktap::Status::Skip { "skipped" } else { "" };
            let what = format!("{suite}.{}", test.name);
            let ok = bad.is_none();
            steps.push(StepResult { hop: 0, what, ok, detail: bad.unwrap_or_else(|| skipped.into()), host_ms: 0 });
        }
    }
    steps
}

fn style() -> indicatif::ProgressStyle {
    // The template is a constant; should it not parse, plain is fine.
    indicatif::ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
        .unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner())
}

/// An empty directory: a leftover console-2.log must not look like this run's.
fn fresh_directory(path: &Utf8Path) -> Result<(), HarnessError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(io("empty", path))?;
    }
    fs::create_dir_all(path).map_err(io("create", path))
}

fn read(path: &Utf8Path) -> Result<Vec<u8>, HarnessError> {
    fs::read(path).map_err(io("read", path))
}
