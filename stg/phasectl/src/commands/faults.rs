// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl faults`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use ci::kbuild::BuildError;
use harness::filter::Filter;
use harness::ktap::{Status, Test, Writer};
use harness::run::{KernelFiles, Runner};
use harness::scenario::variant_of;
use harness::verdict::Class;
use serde::Serialize;
use stg_core::{Error, Stack, Target};
use stg_env::exit;

use crate::app::App;
use crate::failure::Failure;
use crate::fault::{self, Fault};
use crate::kernels::Which;
use crate::lab::{Extra, Lab, TEST};
use crate::text::listing;
use crate::{output, rows, scenarios};

/// Plant each fault of a phase, and check that its scenario notices.
///
/// A fault is a small mistake (selftests/faults) on top of the end of the phase. Its kernel is built, its scenario must
/// end in the way that the fault's `Expect:` says. Exits with 100 if a fault slips through, does not apply, or does not
/// build, with 125 if the phase has none. Requirement rows without a fault are reported.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The phase.
    phase: String,

    /// Plant only this fault, by its name with or without the row. May be repeated.
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<String>,

    /// Report as JSON instead of KTAP.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct View {
    faults: Vec<Outcome>,
    rows_without_fault: Vec<String>,
}

/// How it went with one fault.
#[derive(Serialize)]
struct Outcome {
    fault: String,
    row: String,
    scenario: String,
    expected: Class,
    /// `None` when it did not come to a run.
    verdict: Option<Class>,
    noticed: bool,
    reason: String,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let phase = stack.phase(&args.phase)?.name().to_owned();
    let all = fault::load(&disk, &stack, &scenarios::of_phases(&disk, &stack)?)?;
    let chosen = choose(&all, &phase, &args.faults)?;
    let bare = rows::without_fault(&stack, &phase, &all);

    let lab = Lab::open(app, stack, TEST)?;
    let bench = Bench::new(&lab, &phase, &chosen)?;
    let mut report = Reporter::new(args.json, chosen.len(), out)?;
    let mut outcomes = Vec::new();
    for fault in chosen {
        let outcome = bench.plant(fault)?;
        report.outcome(&outcome)?;
        outcomes.push(outcome);
    }
    report.bare(&bare)?;
    let noticed = outcomes.iter().all(|outcome| outcome.noticed);
    if args.json {
        output::json(out, &View { faults: outcomes, rows_without_fault: bare })?;
    }
    Ok(if noticed { exit::OK } else { exit::TEST_FAILED })
}

fn choose<'a>(all: &'a [Fault], phase: &str, names: &[String]) -> Result<Vec<&'a Fault>, Failure> {
    let mine: Vec<&Fault> = all.iter().filter(|fault| fault.mistake.phase == phase).collect();
    let known: Vec<&str> = mine.iter().map(|fault| fault.mistake.name.as_str()).collect();
    if let Some(name) = names.iter().find(|name| !mine.iter().any(|fault| fault.is_called(name))) {
        let message = format!("there is no fault `{name}` of {phase}");
        return Err(Failure::usage(message, format!("name one of: {}", listing(&known))));
    }
    if mine.is_empty() {
        let message = format!("{phase} has no planted fault");
        let phases: BTreeSet<&str> = all.iter().map(|fault| fault.mistake.phase.as_str()).collect();
        let phases = Vec::from_iter(phases);
        return Err(Failure::untestable(message, format!("name a phase that has any: {}", listing(&phases))));
    }
    Ok(mine.into_iter().filter(|fault| names.is_empty() || names.iter().any(|name| fault.is_called(name))).collect())
}

/// What all faults of a run share.
struct Bench<'a> {
    lab: &'a Lab,
    target: Target,
    assembled: stg_core::Assembled,
    runner: Runner,
    /// The kernels that scenarios name beside those that have the fault.
    others: BTreeMap<String, KernelFiles>,
    _lock: Option<stg_env::LockGuard>,
}

impl<'a> Bench<'a> {
    fn new(lab: &'a Lab, phase: &str, faults: &[&Fault]) -> anyhow::Result<Self> {
        let target = Target::Phase(phase.to_owned());
        let assembled = lab.assemble(&target)?;
        let mut others = BTreeMap::new();
        let named = faults.iter().flat_map(|fault| fault.scenario.kernel_names());
        for name in named.filter(|name| !is_current(name)) {
            if !others.contains_key(name) {
                others.insert(name.to_owned(), lab.files(&Which::named(name, &target, &lab.stack, None)?, None)?);
            }
        }
        let (logs, lock) = lab.results("faults", None)?;
        let scenarios: Vec<_> = faults.iter().map(|fault| fault.scenario.clone()).collect();
        let runner = lab.runner(BTreeMap::new(), lab.programs(&scenarios, &target)?, logs)?;
        Ok(Self { lab, target, assembled, runner, others, _lock: lock })
    }

    /// Builds the phase with the fault on top and runs what must notice it. Only what is wrong with the machine is an error.
    fn plant(&self, fault: &Fault) -> anyhow::Result<Outcome> {
        let mistake = &fault.mistake;
        let outcome = |verdict, noticed, reason: String| Outcome {
            fault: mistake.name.clone(),
            row: mistake.row.clone(),
            scenario: mistake.scenario.clone(),
            expected: fault.expect,
            verdict,
            noticed,
            reason,
        };
        let commit = match mistake.plant(&self.assembled, &self.lab.stack) {
            Ok(commit) => commit,
            Err(error @ Error::Invalid(_)) => return Ok(outcome(None, false, format!("does not apply\n{error}"))),
            Err(error) => return Err(error.into()),
        };
        let extra = Extra {
            commit,
            label: format!("{} with fault {}", crate::kernels::target_label(&self.target), mistake.name),
        };
        let mut runner = self.runner.clone();
        runner.kernels = self.others.clone();
        for name in fault.scenario.kernel_names().into_iter().filter(|name| is_current(name)) {
            let which = Which::named(name, &self.target, &self.lab.stack, None)?;
            match self.lab.files(&which, Some(&extra)) {
                Ok(files) => drop(runner.kernels.insert(name.to_owned(), files)),
                Err(error) => match error.downcast_ref() {
                    Some(BuildError::Compile { .. } | BuildError::Config(_)) => {
                        let noticed = fault.expect == Class::BuildFailure;
                        let reason = format!("does not build\n{error}");
                        return Ok(outcome(Some(Class::BuildFailure), noticed, reason));
                    }
                    _ => return Err(error),
                },
            }
        }
        runner.out_dir.push(mistake.id());
        let filter = Filter::new([mistake.scenario.clone()]);
        let results = runner.run(std::slice::from_ref(&fault.scenario), &filter, &mut std::io::sink())?;
        // Every case that runs must notice, and in the same way.
        let other = results.iter().find(|case| case.verdict != fault.expect);
        let shown = other.or(results.first());
        let verdict = shown.map(|case| case.verdict);
        let reason = shown.map_or_else(String::new, |case| {
            let why = if case.reason.is_empty() { "every step did what it must" } else { &case.reason };
            format!("{}: {why}\nlogs: {}", case.id(), case.log_dir)
        });
        Ok(outcome(verdict, other.is_none() && verdict.is_some(), reason))
    }
}

/// Whether a scenario calls the kernel so that has the fault: of any variant.
fn is_current(name: &str) -> bool {
    variant_of(name).0 == "current"
}

/// Prints KTAP as the outcomes come; silent if there will be JSON.
struct Reporter<'a> {
    ktap: Option<Writer<&'a mut dyn Write>>,
}

impl<'a> Reporter<'a> {
    fn new(silent: bool, faults: usize, out: &'a mut dyn Write) -> anyhow::Result<Self> {
        if silent {
            return Ok(Self { ktap: None });
        }
        let mut writer = Writer::new(out)?;
        writer.plan(faults)?;
        Ok(Self { ktap: Some(writer) })
    }

    fn outcome(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let Some(writer) = &mut self.ktap else { return Ok(()) };
        let status = if outcome.noticed { Status::Pass } else { Status::Fail };
        writer.test(&Test { name: line(outcome), status, diagnostics: Vec::new(), subtests: Vec::new() }, None)?;
        if !outcome.noticed {
            writer.diagnostic(&outcome.reason)?;
        }
        Ok(())
    }

    fn bare(&mut self, rows: &[String]) -> anyhow::Result<()> {
        let Some(writer) = &mut self.ktap else { return Ok(()) };
        for row in rows {
            writer.diagnostic(&format!("row {row} has no fault: nothing shows that its tests can fail"))?;
        }
        Ok(())
    }
}

/// `1.2 fault unbound-accepted: stage1-failure as expected`.
fn line(outcome: &Outcome) -> String {
    let Outcome { fault, row, expected, .. } = outcome;
    let what = match outcome.verdict {
        _ if outcome.noticed => format!("{expected} as expected"),
        Some(Class::Pass) => format!("slipped through, {expected} was expected"),
        Some(other) => format!("{other}, {expected} was expected"),
        None => format!("was not planted, {expected} was expected"),
    };
    format!("{row} fault {fault}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verdict: Option<Class>, noticed: bool) -> Outcome {
        Outcome {
            fault: "unbound".into(),
            row: "1.2".into(),
            scenario: "phase1/preserve".into(),
            expected: Class::Stage1Failure,
            verdict,
            noticed,
            reason: "phase1/preserve/legacy: all is well\nlogs: x".into(),
        }
    }

    #[test]
    fn lines() {
        let mut out = Vec::new();
        let mut report = Reporter::new(false, 4, &mut out).unwrap();
        report.outcome(&outcome(Some(Class::Stage1Failure), true)).unwrap();
        report.outcome(&outcome(Some(Class::Pass), false)).unwrap();
        report.outcome(&outcome(Some(Class::Hang), false)).unwrap();
        report.outcome(&outcome(None, false)).unwrap();
        report.bare(&["1.3".into()]).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        KTAP version 1
        1..4
        ok 1 - 1.2 fault unbound: stage1-failure as expected
        not ok 2 - 1.2 fault unbound: slipped through, stage1-failure was expected
        # phase1/preserve/legacy: all is well
        # logs: x
        not ok 3 - 1.2 fault unbound: hang, stage1-failure was expected
        # phase1/preserve/legacy: all is well
        # logs: x
        not ok 4 - 1.2 fault unbound: was not planted, stage1-failure was expected
        # phase1/preserve/legacy: all is well
        # logs: x
        # row 1.3 has no fault: nothing shows that its tests can fail
        ");
    }
}
