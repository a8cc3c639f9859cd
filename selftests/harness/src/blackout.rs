// SPDX-License-Identifier: GPL-2.0-only

//! Measures a blackout in guest instructions.
//!
//! The blackout is
//! what lies between the [`Kexec`](plan::Event::Kexec) event of the first kernel and a mark in the second one. Every mark
//! that the second kernel has in both variants is reported; the scenario names the one that budgets judge. The first is always
//! [`INIT`], before init has even read its plan, so that nothing in it depends on what the steps are.
//!
//! Where the marks are put matters. What sleeps until a timer tick swallows whatever came before it within the same
//! tick, and with `sleep=off` idle time counts as instructions: after such a sleep the difference of two variants is
//! zero, or a whole tick.
//!
//! It is measured for the scenario's stages and for a baseline that differs in nothing but what is preserved, each of
//! them [twice](crate::exact): same kernels, command line, machine, and an initramfs of the same size (the shorter plan is
//! filled up).
//!
//! What the second kernel does long before init can be reported too, whatever sleeps after it: a `log-span` is measured between two lines of
//! the kernel's log, and stands among the marks under its name. It is the time of that span and not the time since the jump, and as
//! fine as the log's clock: 1000 instructions.

use plan::Event;

use crate::case::Variant;
use crate::error::HarnessError;
use crate::exact::{Figure, Twice};
use crate::observe::Observation;
use crate::report::{Blackout, Mark};
use crate::run::Outcome;
use crate::verdict::{Class, Verdict};

/// The mark at the very start of init.
pub const INIT: &str = "init";

/// Measures a case, up to the mark `to` and all others. If a run is not good, its outcome comes back instead of a measurement; if the mark is
/// reached later than the budget has it, in per cent, that is the outcome's verdict.
pub(crate) fn measure(
    twice: &mut Twice<'_>,
    to: &str,
    budget: Option<f64>,
) -> Result<(Outcome, Option<Blackout>), HarnessError> {
    let mut pair = |variant, name| twice.run(variant, name, "to the mark", spans);
    let (outcome, baseline) = pair(Variant::Baseline, "baseline")?;
    let Some(baseline) = baseline else { return Ok((outcome, None)) };
    let (mut outcome, stages) = pair(Variant::Stages, "stages")?;
    let blackout = stages.map(|stages| Blackout { to: to.to_owned(), marks: common(stages, &baseline) });
    if let Some(reason) = blackout.as_ref().zip(budget).and_then(|(blackout, budget)| excess(blackout, budget)) {
        outcome.verdict = Verdict { class: Class::OverBudget, reason };
    }
    Ok((outcome, blackout))
}

/// By how much the mark is reached too late, if it is.
fn excess(blackout: &Blackout, budget: f64) -> Option<String> {
    let (to, percent) = (&blackout.to, blackout.judged()?.overhead_percent());
    (percent > budget)
        .then(|| format!("`{to}` is reached {percent:.3} % later, more than the phase's budget of {budget} %"))
}

/// The marks that both variants have.
fn common(stages: Vec<Figure>, baseline: &[Figure]) -> Vec<Mark> {
    let beside = |name: &str| baseline.iter().find(|(other, _)| other == name).map(|(_, baseline)| *baseline);
    let both = |(name, instructions): Figure| Some(Mark { baseline: beside(&name)?, name, instructions });
    stages.into_iter().filter_map(both).collect()
}

fn spans(outcome: &Outcome) -> Result<Vec<Figure>, HarnessError> {
    between(&outcome.seen).map_err(|mark| HarnessError::NoSpan { mark, logs: outcome.log_dir.clone() })
}

/// From the first kernel's jump to each mark in the second one, and the second one's spans; else what does not come after its start.
fn between(seen: &Observation) -> Result<Vec<Figure>, String> {
    let from = seen.events.iter().find_map(|timed| match &timed.event {
        Event::Kexec { hop: 0, tsc } => Some(*tsc),
        _ => None,
    });
    let marks = seen.events.iter().filter_map(|timed| match &timed.event {
        Event::Boot { hop: 1, tsc, .. } => Some((INIT, from, tsc)),
        Event::Mark { hop: 1, name, tsc } => Some((name.as_str(), from, tsc)),
        Event::Span { hop: 1, name, start, end } => Some((name.as_str(), Some(*start), end)),
        _ => None,
    });
    let span = |(name, from, to): (&str, Option<u64>, &u64)| match from.and_then(|from| to.checked_sub(from)) {
        Some(span) => Ok((name.to_owned(), span)),
        None => Err(name.to_owned()),
    };
    marks.map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::observation;

    fn marks(spans: &[(&str, u64)]) -> Vec<Figure> {
        spans.iter().map(|(name, span)| ((*name).to_owned(), *span)).collect()
    }

    #[test]
    fn marks_of_both_variants_are_reported_in_order() {
        let both = common(marks(&[("b", 5), ("only", 6), ("a", 7)]), &marks(&[("a", 3), ("b", 4), ("other", 5)]));
        let mark = |name: &str, instructions, baseline| Mark { name: name.into(), instructions, baseline };
        assert_eq!(both, [mark("b", 5, 4), mark("a", 7, 3)]);
    }

    #[test]
    fn the_mark_that_is_named_is_held_to_the_budget() {
        let mark = |name: &str, instructions, baseline| Mark { name: name.into(), instructions, baseline };
        let blackout = Blackout { to: "b".into(), marks: vec![mark("a", 200, 100), mark("b", 102, 100)] };
        assert_eq!(excess(&blackout, 2.5), None);
        assert_eq!(
            excess(&blackout, 1.5).as_deref(),
            Some("`b` is reached 2.000 % later, more than the phase's budget of 1.5 %")
        );
        assert_eq!(excess(&Blackout { to: "c".into(), ..blackout }, 0.0), None);
    }

    #[test]
    fn the_start_of_init_is_a_mark_and_a_span_is_measured_from_its_own_start() {
        let boot = |hop, tsc| Event::Boot { hop, kernel: String::new(), tsc };
        let jump = Event::Kexec { hop: 0, tsc: 100 };
        let mark = |tsc| Event::Mark { hop: 1, name: "m".into(), tsc };
        let scan = Event::Span { hop: 1, name: "scan".into(), start: 3000, end: 7000 };
        let seen = observation([boot(0, 10), jump.clone(), boot(1, 150), scan, mark(170)]);
        assert_eq!(between(&seen), Ok(marks(&[(INIT, 50), ("scan", 4000), ("m", 70)])));
        assert_eq!(between(&observation([jump, mark(99)])), Err("m".to_owned()));
    }
}
