// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl blackout`.

use std::io::Write;

use harness::HarnessError;
use harness::filter::Filter;
use harness::run::Runner;
use harness::scenario::{Case, Kind, Scenario};
use serde::Serialize;
use stg_core::{Phase, Source, Stack};
use stg_env::exit;

use crate::app::App;
use crate::failure::Failure;
use crate::lab::{Lab, TEST};
use crate::output;
use crate::scenarios::{HARNESS, Subject, load};
use crate::text::{grouped, listing};

/// The budget of phase.yaml that limits what is measured here.
const BUDGET: &str = "blackout_percent";

/// Measure the blackout of a live update in guest instructions.
///
/// Counted from just before the reboot call to the preserved file being usable in the next kernel, beside a plain memfd
/// live update that differs in nothing but what is preserved. Each is run twice and must give the same number to the last
/// instruction. Exits with 100 if two runs differ, a run fails, or the phase's budget is exceeded, with 125 if there is
/// nothing to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The phase (or PHASE/PATCH, or `harness`).
    phase: String,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct View {
    case: String,
    /// Guest instructions, if the measurement is valid.
    instructions: Option<u64>,
    baseline: Option<u64>,
    overhead: Option<i64>,
    overhead_percent: Option<f64>,
    budget_percent: Option<f64>,
    good: bool,
    reason: String,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let subject = Subject::parse(&args.phase, &stack)?;
    let scenarios = measurable(&disk, &stack, &subject.phase)?;
    if scenarios.is_empty() {
        let mut others = Vec::new();
        for name in stack.phases.iter().map(Phase::name).chain([HARNESS]) {
            others.extend(measurable(&disk, &stack, name)?.into_iter().map(|scenario| scenario.id));
        }
        let message = format!("{} has no blackout scenario", subject.phase);
        return Err(Failure::untestable(message, format!("add one; there are: {}", listing(&others))).into());
    }
    let budgets = stack.phases.iter().find(|phase| phase.name() == subject.phase).map(|phase| &phase.manifest.budgets);
    let budget = budgets.and_then(|budgets| budgets.get(BUDGET)).copied();

    let lab = Lab::open(app, stack, TEST)?;
    let kernels = lab.kernels(&scenarios, &subject.target)?;
    let (logs, _lock) = lab.results("blackout", None)?;
    let runner = lab.runner(kernels, logs)?;
    let mut views = Vec::new();
    for scenario in &scenarios {
        for case in &scenario.cases {
            let view = measure(&runner, scenario, case, budget)?;
            if !args.json {
                print(&view, out)?;
            }
            views.push(view);
        }
    }
    if args.json {
        output::json(out, &views)?;
    }
    Ok(if views.iter().all(|view| view.good) { exit::OK } else { exit::TEST_FAILED })
}

fn measurable(source: &dyn Source, stack: &Stack, phase: &str) -> anyhow::Result<Vec<Scenario>> {
    let all = load(source, stack, phase)?.into_iter();
    Ok(all.filter(|scenario| matches!(scenario.kind, Kind::Blackout { .. })).collect())
}

fn measure(runner: &Runner, scenario: &Scenario, case: &Case, budget: Option<f64>) -> anyhow::Result<View> {
    let id = scenario.case_id(case);
    let mut view = View {
        case: id.clone(),
        instructions: None,
        baseline: None,
        overhead: None,
        overhead_percent: None,
        budget_percent: budget,
        good: false,
        reason: String::new(),
    };
    let filter = Filter::new([id]);
    let results = match runner.run(std::slice::from_ref(scenario), &filter, &mut std::io::sink()) {
        Ok(results) => results,
        Err(error @ (HarnessError::Differ { .. } | HarnessError::NoSpan { .. })) => {
            return Ok(View { reason: error.to_string(), ..view });
        }
        Err(other) => return Err(other.into()),
    };
    let Some(result) = results.first() else { return Ok(View { reason: "nothing ran".to_owned(), ..view }) };
    let Some(blackout) = result.blackout else {
        let reason = format!("{}: {}\nlogs: {}", result.verdict, result.reason, result.log_dir);
        return Ok(View { reason, ..view });
    };
    view.instructions = Some(blackout.instructions);
    view.baseline = Some(blackout.baseline);
    view.overhead = Some(blackout.instructions.cast_signed() - blackout.baseline.cast_signed());
    view.overhead_percent = Some(blackout.overhead_percent());
    judge(&mut view);
    Ok(view)
}

/// Holds a valid measurement to the budget.
fn judge(view: &mut View) {
    match (view.overhead_percent, view.budget_percent) {
        (Some(percent), Some(budget)) if percent > budget => {
            view.reason = format!("{percent:+.3} % exceeds the budget of {budget} % ({BUDGET} in phase.yaml)");
        }
        (Some(_), _) => view.good = true,
        (None, _) => {}
    }
}

fn print(view: &View, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}", view.case)?;
    if let (Some(instructions), Some(baseline), Some(overhead), Some(percent)) =
        (view.instructions, view.baseline, view.overhead, view.overhead_percent)
    {
        let (instructions, baseline) = (grouped(instructions), grouped(baseline));
        let sign = if overhead < 0 { '-' } else { '+' };
        let overhead = format!("{sign}{}", grouped(overhead.unsigned_abs()));
        let width = instructions.len().max(baseline.len()).max(overhead.len());
        writeln!(out, "  preserved  {instructions:>width$} instructions, twice the same")?;
        writeln!(out, "  baseline   {baseline:>width$} instructions, twice the same")?;
        writeln!(out, "  overhead   {overhead:>width$} instructions, {percent:+.3} %")?;
    }
    if !view.good {
        for line in view.reason.lines() {
            writeln!(out, "  FAILED     {line}")?;
        }
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(instructions: u64, baseline: u64, budget: Option<f64>) -> String {
        let percent = (instructions as f64 / baseline as f64 - 1.0) * 100.0;
        let mut view = View {
            case: "phase1/blackout/legacy".into(),
            instructions: Some(instructions),
            baseline: Some(baseline),
            overhead: Some(instructions.cast_signed() - baseline.cast_signed()),
            overhead_percent: Some(percent),
            budget_percent: budget,
            good: false,
            reason: String::new(),
        };
        judge(&mut view);
        let mut out = Vec::new();
        print(&view, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn figures() {
        insta::assert_snapshot!(view(1_010_000_123, 1_000_000_123, Some(1.5)), @r"
        phase1/blackout/legacy
          preserved  1,010,000,123 instructions, twice the same
          baseline   1,000,000,123 instructions, twice the same
          overhead     +10,000,000 instructions, +1.000 %
        ");
    }

    #[test]
    fn a_budget_is_a_limit() {
        insta::assert_snapshot!(view(1030, 1000, Some(1.5)), @r"
        phase1/blackout/legacy
          preserved  1,030 instructions, twice the same
          baseline   1,000 instructions, twice the same
          overhead     +30 instructions, +3.000 %
          FAILED     +3.000 % exceeds the budget of 1.5 % (blackout_percent in phase.yaml)
        ");
    }
}
