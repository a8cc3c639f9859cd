// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl blackout`.

use std::io::Write;

use harness::HarnessError;
use harness::filter::Filter;
use harness::report::{CaseResult, Mark, Spans, Summary};
use harness::run::Runner;
use harness::scenario::{Case, Kind, Scenario};
use harness::verdict::Class;
use serde::Serialize;
use stg_core::{Phase, Source, Stack};
use stg_env::exit;

use crate::app::App;
use crate::failure::Failure;
use crate::lab::{Lab, TEST};
use crate::output;
use crate::scenarios::{HARNESS, Subject, load};
use crate::text::{grouped, listing};

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

    /// With what was measured. The harness has held it to its budgets.
    fn with(self, result: &CaseResult) -> Self {
        let blackout = result.blackout.as_ref();
        let reached = blackout.is_none_or(|blackout| blackout.judged().is_some());
        let measured = blackout.is_some() || !result.spans.is_empty();
        let reason = match blackout {
            Some(_) if result.verdict == Class::OverBudget => {
                format!(
                    "{}: {} (`blackout_percent` in phase.yaml)\nlogs: {}",
                    result.verdict, result.reason, result.log_dir
                )
            }
            _ if !result.passed => format!("{}: {}\nlogs: {}", result.verdict, result.reason, result.log_dir),
            Some(blackout) if !reached => format!("the mark `{}` was not reached in both", blackout.to),
            _ if !measured => format!("nothing was measured\nlogs: {}", result.log_dir),
            _ => String::new(),
        };
        Self {
            to: blackout.map(|blackout| blackout.to.clone()),
            marks: blackout.map(|blackout| blackout.marks.iter().map(MarkView::from).collect()).unwrap_or_default(),
            spans: result.spans.clone(),
            good: reason.is_empty(),
            reason,
            ..self
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
    let lab = Lab::open(app, stack, TEST)?;
    let kernels = lab.kernels(&scenarios, &subject.target, None)?;
    let (logs, _lock) = lab.results("blackout", None)?;
    let runner = lab.runner(kernels, lab.programs(&scenarios, &subject.target)?, logs)?;
    let mut views = Vec::new();
    for scenario in &scenarios {
        for case in &scenario.cases {
            let view = measure(&runner, scenario, case)?;
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

fn measure(runner: &Runner, scenario: &Scenario, case: &Case) -> anyhow::Result<View> {
    let id = scenario.case_id(case);
    let budget = match scenario.kind {
        Kind::Blackout { budget_percent, .. } => budget_percent,
        _ => None,
    };
    let view = View::unmeasured(id.clone(), budget);
    let filter = Filter::new([id]);
    let results = match runner.run(std::slice::from_ref(scenario), &filter, &mut std::io::sink()) {
        Ok(results) => results,
        Err(error @ (HarnessError::Differ { .. } | HarnessError::NoSpan { .. })) => {
            return Ok(View { reason: error.to_string(), ..view });
        }
        Err(other) => return Err(other.into()),
    };
    let Some(result) = results.first() else { return Ok(View { reason: "nothing ran".to_owned(), ..view }) };
    Ok(view.with(result))
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
    use harness::report::{Blackout, Span};

    use super::*;
    use crate::testing;

    fn result(verdict: Class) -> CaseResult {
        let mark = |name: &str, instructions, baseline| Mark { name: name.into(), instructions, baseline };
        let marks = vec![mark("retrieved", 1_010_000_123, 1_000_000_123), mark("usable", 1_020_000_057, 1_020_000_000)];
        let blackout = Some(Blackout { to: "retrieved".into(), marks });
        CaseResult { blackout, ..testing::result("phase1/blackout/legacy", verdict) }
    }

    fn view(result: &CaseResult) -> View {
        View::unmeasured("phase1/blackout/legacy".into(), Some(1.5)).with(result)
    }

    fn text(view: &View) -> String {
        let mut out = Vec::new();
        print(view, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn figures() {
        insta::assert_snapshot!(text(&view(&result(Class::Pass))), @r"
        phase1/blackout/legacy
          retrieved  +10,000,000 instructions, +1.000 % (1,010,000,123 beside 1,000,000,123, each twice the same)
          usable             +57 instructions, +0.000 % (1,020,000,057 beside 1,020,000,000, each twice the same)
        ");
    }

    #[test]
    fn what_is_over_its_budget_keeps_its_figures() {
        let over = CaseResult { reason: "`retrieved` is reached late".into(), ..result(Class::OverBudget) };
        insta::assert_snapshot!(text(&view(&over)), @r"
        phase1/blackout/legacy
          retrieved  +10,000,000 instructions, +1.000 % (1,010,000,123 beside 1,000,000,123, each twice the same)
          usable             +57 instructions, +0.000 % (1,020,000,057 beside 1,020,000,000, each twice the same)
          FAILED  over-budget: `retrieved` is reached late (`blackout_percent` in phase.yaml)
          FAILED  logs: logs/phase1/blackout/legacy
        ");
    }

    #[test]
    fn without_a_figure_there_is_nothing_good() {
        let nothing = CaseResult { blackout: None, ..result(Class::Pass) };
        insta::assert_snapshot!(text(&view(&nothing)), @r"
        phase1/blackout/legacy
          FAILED  nothing was measured
          FAILED  logs: logs/phase1/blackout/legacy
        ");
        let other = Blackout { to: "usable".into(), marks: Vec::new() };
        insta::assert_snapshot!(text(&view(&CaseResult { blackout: Some(other), ..nothing })), @r"
        phase1/blackout/legacy
          FAILED  the mark `usable` was not reached in both
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
        let view =
            View { case: "phase1/pci-cost/many-8".into(), marks: Vec::new(), spans: all, ..view(&result(Class::Pass)) };
        insta::assert_snapshot!(text(&view), @r"
        phase1/pci-cost/many-8
          instructions       spans      first  last  least       most   budget
          preserve {device}      3  1,234,567    10      9  1,234,567  100,000
          close                  1          5     5      5          5        -
        ");
    }

    #[test]
    fn json_has_the_same_figures() {
        let json = serde_json::to_value(view(&result(Class::Pass))).unwrap();
        assert_eq!((&json["to"], &json["good"]), (&"retrieved".into(), &true.into()));
        assert_eq!((&json["marks"][1]["name"], &json["marks"][1]["overhead"]), (&"usable".into(), &57.into()));
    }
}
