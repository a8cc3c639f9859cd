// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl bisect`.

use std::io::Write;

use camino::Utf8PathBuf;
use ci::bisect::{Bisect, CONFIRMATIONS, Conclusion, Question};
use harness::verdict::Class;
use stg_core::Stack;

use crate::app::App;
use crate::bisect::bench::{Bench, Tally};
use crate::bisect::cross::{Crossed, cross};
use crate::bisect::hunt::{Hunted, Tested, Tester, hunt};
use crate::bisect::report::{self, Ended};
use crate::bisect::span::Span;
use crate::bisect::walk::{self, Pair, Side, Walk};
use crate::bisect::{is_failure, label, scenario, target};
use crate::failure::Failure;
use crate::lab::{Lab, TEST};
use crate::names;

/// Find the patch that broke a scenario.
///
/// It passes at some patch and fails at a later one; in between, half of the patches are cleared by every kernel. What does not build is
/// skipped. Before anybody is named, the scenario is run several times more right before and at that patch; if it does not say the same
/// every time, there are only suspects, and they are listed. As often it is run with the patch in one of the two kernels alone, which says
/// in which of them it matters. Kernels and answers are kept, so an interrupted search goes on where it was.
///
/// If the scenario runs test programs of the Linux tree's own, they are those of the patch that is tested, which may be what it breaks;
/// where it does not have them yet, they are those of the bad end.
///
/// Exits with 125 if only suspects remain, and with 1 if there is nothing to search: the scenario fails at the good end, or passes at the
/// bad one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = names::classes_help())]
pub(crate) struct Args {
    /// What is bisected: PHASE or PHASE/PATCH with all that comes before, or `all` for the whole stack.
    target: String,

    /// The scenario or case that fails: NAME or NAME/CASE, with or without the phase before it.
    #[arg(long, value_name = "NAME")]
    scenario: String,

    /// A patch where it passes, or `base` (default: the patch that names it as its test, else the base).
    #[arg(long, value_name = "PATCH")]
    good: Option<String>,

    /// A later patch where it fails (default: the last one of TARGET, or before the one that obsoletes the scenario).
    #[arg(long, value_name = "PATCH")]
    bad: Option<String>,

    /// Let this kernel alone go from patch to patch while the other stays at the good end. So it is the outgoing kernel, which hands over, or
    /// the incoming one, which takes over, that is to blame.
    #[arg(long, value_name = "KERNEL")]
    side: Option<Side>,

    /// With --side: where the other kernel stays, a patch or `base`.
    #[arg(long, value_name = "PATCH", requires = "side")]
    other: Option<String>,

    /// Count only this verdict as the failure; a patch where the scenario fails otherwise is skipped. `pass` is one only where a case must end
    /// otherwise.
    #[arg(long, value_name = "CLASS", value_parser = names::class)]
    verdict: Option<Class>,

    /// Test the last two points so many times more before a patch is named, and the patch in one kernel alone as often.
    #[arg(long, value_name = "N", default_value_t = CONFIRMATIONS as u32, value_parser = clap::value_parser!(u32).range(1..))]
    confirm: u32,

    /// Run every case N times at each patch; each time must be good. For what fails now and then.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,

    /// Run it on kernels that are configured as this variant (selftests/variants.yaml).
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,

    /// Do not rely on what was found out before.
    #[arg(long)]
    again: bool,

    /// Report as JSON; what happens meanwhile goes to standard error.
    #[arg(long)]
    json: bool,

    /// Keep the logs in DIR (default: results/bisect in the cache).
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let target = target(&args.target, &stack)?;
    let mut scenario = scenario(&disk, &stack, &target, &args.scenario)?;
    scenario.repeat = args.repeat.unwrap_or(scenario.repeat);
    walk::check(&scenario, args.side)?;
    is_failure(&scenario, args.verdict)?;
    names::variant(&disk, args.variant.as_deref())?;
    let span = Span::new(&stack, target, &scenario, args.good.as_deref(), args.bad.as_deref())?;
    let search =
        Bisect::new(span.good, span.bad, args.confirm as usize).ok_or_else(|| nothing(&span, &label(&scenario)))?;
    let other = args.other.as_deref().map_or(Ok(span.good), |name| span.point(&stack, name))?;
    let walk = args.side.map_or(Walk::Both, |side| Walk::One { side, other });

    let lab = Lab::open(app, stack, TEST)?;
    let (logs, _lock) = lab.results("bisect", args.out.as_ref())?;
    let mut bench = Bench {
        lab: &lab,
        span: &span,
        scenario: &scenario,
        variant: args.variant.as_deref(),
        walk,
        extra: None,
        end: span.bad,
        logs,
        only: args.verdict,
        again: args.again,
        judge: &|question, known, out| lab.judge(question, known, out),
        tally: Tally::default(),
    };
    if args.json {
        let (hunted, crossed) = search_with(search, &mut bench, &mut std::io::stderr())?;
        let ended = ended(&bench, &hunted, crossed);
        ended.json(out)?;
        return Ok(ended.exit_code());
    }
    let (hunted, crossed) = search_with(search, &mut bench, out)?;
    let ended = ended(&bench, &hunted, crossed);
    ended.print(out)?;
    Ok(ended.exit_code())
}

fn nothing(span: &Span, scenario: &str) -> Failure {
    let (good, bad) = (span.name(span.good), span.name(span.bad));
    let message = format!("nothing to bisect: the bad end, {bad}, does not come after the good one, {good}");
    let fix = format!("name a patch where {scenario} passes with --good, and a later one where it fails with --bad");
    Failure::usage(message, fix)
}

/// Searches, says what is found out, and asks of a culprit in which kernel it matters.
pub(crate) fn search_with(
    search: Bisect,
    bench: &mut Bench<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<(Hunted, Option<Crossed>)> {
    let (span, scenario, walk) = (bench.span, bench.scenario, bench.walk);
    report::opening(span, walk, scenario, &search, out)?;
    let trials = search.trials();
    let mut walker = Walker { bench };
    let hunted = hunt(search, &mut walker, &mut |search, asked| report::line(span, search, asked, out))?;
    let crossed = match hunted.conclusion {
        Conclusion::Culprit(patch) if walker.same_kernels(patch - 1, patch)? => {
            report::programs_alone(span.name(patch), out)?;
            None
        }
        Conclusion::Culprit(patch) if walk == Walk::Both && walk::sides(scenario).len() == 2 => {
            let mut alone = |side, pair| {
                let crossing = cross(trials, &mut |trial| bench.test(pair, trial))?;
                report::alone(span.name(patch), side, crossing, out)?;
                anyhow::Ok(crossing)
            };
            Some(Crossed {
                outgoing: alone(Side::Outgoing, Pair { outgoing: patch, incoming: patch - 1 })?,
                incoming: alone(Side::Incoming, Pair { outgoing: patch - 1, incoming: patch })?,
            })
        }
        _ => None,
    };
    Ok((hunted, crossed))
}

/// Tests the points of a search on a bench.
struct Walker<'a, 'b> {
    bench: &'a mut Bench<'b>,
}

impl Walker<'_, '_> {
    /// Whether all kernels that walk are the same at two points.
    fn same_kernels(&mut self, one: usize, other: usize) -> anyhow::Result<bool> {
        for side in self.bench.walk.walking(self.bench.scenario) {
            if !self.bench.same(side, one, other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Tester for Walker<'_, '_> {
    fn test(&mut self, question: Question) -> anyhow::Result<Tested> {
        self.bench.test(self.bench.walk.pair(question.point), question.trial)
    }

    fn twins(&mut self, one: usize, other: usize) -> anyhow::Result<bool> {
        Ok(self.same_kernels(one, other)? && self.bench.same_programs(one, other)?)
    }
}

/// The report of a search.
pub(crate) fn ended<'a>(bench: &Bench<'a>, hunted: &'a Hunted, crossed: Option<Crossed>) -> Ended<'a> {
    Ended {
        span: bench.span,
        walk: bench.walk,
        scenario: label(bench.scenario),
        hunted,
        crossed,
        kernels: bench.tally.kernels(),
        built: bench.tally.built,
        runs: bench.tally.runs,
    }
}
