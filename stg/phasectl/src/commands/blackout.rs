// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl blackout`.

use std::io::Write;

use harness::HarnessError;
use harness::filter::Filter;
use harness::report::{Blackout, Mark, Spans, Summary};
use harness::run::Runner;
use harness::scenario::{Case, Scenario};
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

/// Measure the blackout of a live update, and single calls, in guest instructions.
///
/// Counted from just before the reboot call to each mark that the scenario sets in the next kernel, beside a plain memfd
/// live update that differs in nothing but what is preserved. Each is run twice and must give the same numbers to the last
/// instruction. The budget is held against the mark that the scenario names. Scenarios that measure calls report those instead, and
/// have budgets of their own. Exits with 100 if two runs differ, a run fails, or the phase's budget is exceeded, with 125 if there is
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
    /// The mark that the budget is held against.
    to: Option<String>,
    /// In the order in which the next kernel reaches them; empty if the measurement is not valid.
    marks: Vec<MarkView>,
    /// What a scenario that measures calls has instead of marks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spans: Vec<Spans>,
    budget_percent: Option<f64>,
    good: bool,
    reason: String,
}

impl View {
    /// Of a case before it is measured.
    fn unmeasured(case: String, budget: Option<f64>) -> Self {
        Self {
            case,
            to: None,
            marks: Vec::new(),
            spans: Vec::new(),
            budget_percent: budget,
            good: false,
            reason: String::new(),
        }
    }
}

/// In guest instructions.
#[derive(Serialize)]
struct MarkView {
    name: String,
    instructions: u64,
    baseline: u64,
    overhead: i64,
    overhead_percent: f64,
}

impl From<&Mark> for MarkView {
    fn from(mark: &Mark) -> Self {
        Self {
            name: mark.name.clone(),
            instructions: mark.instructions,
            baseline: mark.baseline,
            overhead: mark.overhead(),
            overhead_percent: mark.overhead_percent(),
        }
    }
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
    let kernels = lab.kernels(&scenarios, &subject.target, None)?;
    let (logs, _lock) = lab.results("blackout", None)?;
    let runner = lab.runner(kernels, lab.programs(&scenarios, &subject.target)?, logs)?;
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
    Ok(all.filter(|scenario| scenario.kind.exact()).collect())
}

fn measure(runner: &Runner, scenario: &Scenario, case: &Case, budget: Option<f64>) -> anyhow::Result<View> {
    let id = scenario.case_id(case);
    let mut view = View::unmeasured(id.clone(), budget);
    let filter = Filter::new([id]);
    let results = match runner.run(std::slice::from_ref(scenario), &filter, &mut std::io::sink()) {
        Ok(results) => results,
        Err(error @ (HarnessError::Differ { .. } | HarnessError::NoSpan { .. })) => {
            return Ok(View { reason: error.to_string(), ..view });
        }
        Err(other) => return Err(other.into()),
    };
    let Some(result) = results.first() else { return Ok(View { reason: "nothing ran".to_owned(), ..view }) };
    let reason = || format!("{}: {}\nlogs: {}", result.verdict, result.reason, result.log_dir);
    if !result.spans.is_empty() {
        // The harness has held them to their budgets.
        let reason = if result.passed { String::new() } else { reason() };
        let (spans, good) = (result.spans.clone(), result.passed);
        return Ok(View { budget_percent: None, spans, good, reason, ..view });
    }
    let Some(blackout) = &result.blackout else { return Ok(View { reason: reason(), ..view }) };
    judge(&mut view, blackout);
    Ok(view)
}

/// Holds a valid measurement to the budget.
fn judge(view: &mut View, blackout: &Blackout) {
    view.to = Some(blackout.to.clone());
    view.marks = blackout.marks.iter().map(MarkView::from).collect();
    match (blackout.judged().map(Mark::overhead_percent), view.budget_percent) {
        (Some(percent), Some(budget)) if percent > budget => {
            let to = &blackout.to;
            view.reason = format!("{to}: {percent:+.3} % exceeds the budget of {budget} % ({BUDGET} in phase.yaml)");
        }
        (Some(_), _) => view.good = true,
        (None, _) => view.reason = format!("the mark `{}` was not reached in both", blackout.to),
    }
}

fn print(view: &View, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}", view.case)?;
    let signed = |mark: &MarkView| {
        format!("{}{}", if mark.overhead < 0 { '-' } else { '+' }, grouped(mark.overhead.unsigned_abs()))
    };
    let names = view.marks.iter().map(|mark| mark.name.len()).max().unwrap_or_default();
    let width = view.marks.iter().map(|mark| signed(mark).len()).max().unwrap_or_default();
    for mark in &view.marks {
        let MarkView { name, overhead_percent, .. } = mark;
        let (overhead, whole, baseline) = (signed(mark), grouped(mark.instructions), grouped(mark.baseline));
        writeln!(
            out,
            "  {name:<names$}  {overhead:>width$} instructions, {overhead_percent:+.3} % ({whole} beside {baseline}, each twice the same)"
        )?;
    }
    if !view.spans.is_empty() {
        print_spans(&view.spans, out)?;
    }
    if !view.good {
        for line in view.reason.lines() {
            writeln!(out, "  FAILED  {line}")?;
        }
    }
    out.flush()?;
    Ok(())
}

/// A table with a line for all spans of a name.
fn print_spans(all: &[Spans], out: &mut dyn Write) -> anyhow::Result<()> {
    let head = ["instructions", "spans", "first", "last", "least", "most", "budget"].map(str::to_owned);
    let lines = all.iter().filter_map(|spans| {
        let Summary { count, first, last, least, most, .. } = spans.summary()?;
        let budget = spans.budget.map_or_else(|| "-".to_owned(), grouped);
        let [first, last, least, most] = [first, last, least, most].map(grouped);
        Some([spans.name.clone(), count.to_string(), first, last, least, most, budget])
    });
    let lines: Vec<_> = std::iter::once(head).chain(lines).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or_default();
    for line in &lines {
        let [name, numbers @ ..] = line;
        write!(out, "  {name:<0$}", width(0))?;
        for (column, number) in (1..).zip(numbers) {
            write!(out, "  {number:>0$}", width(column))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use harness::report::Span;

    use super::*;

    fn view(budget: Option<f64>) -> View {
        let mark = |name: &str, instructions, baseline| Mark { name: name.into(), instructions, baseline };
        let marks = vec![mark("retrieved", 1_010_000_123, 1_000_000_123), mark("usable", 1_020_000_057, 1_020_000_000)];
        let mut view = View::unmeasured("phase1/blackout/legacy".into(), budget);
        judge(&mut view, &Blackout { to: "retrieved".into(), marks });
        view
    }

    fn text(view: &View) -> String {
        let mut out = Vec::new();
        print(view, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn figures() {
        insta::assert_snapshot!(text(&view(Some(1.5))), @r"
        phase1/blackout/legacy
          retrieved  +10,000,000 instructions, +1.000 % (1,010,000,123 beside 1,000,000,123, each twice the same)
          usable             +57 instructions, +0.000 % (1,020,000,057 beside 1,020,000,000, each twice the same)
        ");
    }

    #[test]
    fn the_budget_judges_the_scenario_s_mark() {
        insta::assert_snapshot!(text(&view(Some(0.5))), @r"
        phase1/blackout/legacy
          retrieved  +10,000,000 instructions, +1.000 % (1,010,000,123 beside 1,000,000,123, each twice the same)
          usable             +57 instructions, +0.000 % (1,020,000,057 beside 1,020,000,000, each twice the same)
          FAILED  retrieved: +1.000 % exceeds the budget of 0.5 % (blackout_percent in phase.yaml)
        ");
    }

    #[test]
    fn spans_are_a_table() {
        let span = |instructions| Span { name: "n".into(), instructions };
        let spans = |name: &str, budget, all: &[u64]| Spans {
            name: name.into(),
            budget,
            spans: all.iter().copied().map(span).collect(),
        };
        let all = vec![spans("preserve {device}", Some(100_000), &[1_234_567, 9, 10]), spans("close", None, &[5])];
        let view = View { case: "phase1/pci-cost/many-8".into(), marks: Vec::new(), spans: all, ..view(None) };
        insta::assert_snapshot!(text(&view), @r"
        phase1/pci-cost/many-8
          instructions       spans      first  last  least       most   budget
          preserve {device}      3  1,234,567    10      9  1,234,567  100,000
          close                  1          5     5      5          5        -
        ");
    }

    #[test]
    fn json_has_the_same_figures() {
        let json = serde_json::to_value(view(None)).unwrap();
        assert_eq!((&json["to"], &json["good"]), (&"retrieved".into(), &true.into()));
        assert_eq!((&json["marks"][1]["name"], &json["marks"][1]["overhead"]), (&"usable".into(), &57.into()));
    }
}
