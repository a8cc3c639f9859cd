// SPDX-License-Identifier: GPL-2.0-only

//! Measures a blackout in guest instructions.
//!
//! With `-icount shift=0,sleep=off`, a fixed clock and seed and one CPU, one tick of the time stamp counter is one
//! guest instruction, it is not reset by a kexec, and two runs give the same numbers to the last digit. The blackout is
//! what lies between the [`Kexec`](plan::Event::Kexec) event of the first kernel and a mark in the second one. Every mark
//! that the second kernel has in both variants is reported; the scenario names the one that budgets judge.
//!
//! Where the marks are put matters. What sleeps until a timer tick swallows whatever came before it within the same
//! tick, and with `sleep=off` idle time counts as instructions: after such a sleep the difference of two variants is
//! zero, or a whole tick.
//!
//! It is measured for the scenario's stages and for a baseline that differs in nothing but what is preserved, each of
//! them twice: same kernels, command line, machine, and an initramfs of the same size (the shorter plan is filled up).
//! Runs that differ have been disturbed from outside, and no number of theirs means anything: that is an error, and
//! names both.

use std::time::Duration;

use camino::Utf8Path;
use plan::Event;

use crate::case::Variant;
use crate::error::HarnessError;
use crate::observe::Observation;
use crate::report::{Blackout, Mark};
use crate::run::{Outcome, Runner};
use crate::scenario::{Case, Scenario};
use crate::verdict::Class;

/// A mark and the instructions up to it.
type Span = (String, u64);

/// Measures one case, up to the mark `to` and all others. If a run is not good, its outcome comes back instead of a
/// measurement.
pub(crate) fn measure(
    runner: &Runner,
    scenario: &Scenario,
    case: &Case,
    to: &str,
    directory: &Utf8Path,
) -> Result<(Outcome, Duration, Option<Blackout>), HarnessError> {
    let mut spent = Duration::ZERO;
    let mut run = |variant, name: &str| {
        let outcome = runner.vm(scenario, case, variant, &directory.join(name))?;
        spent += outcome.seen.elapsed;
        let spans = if outcome.verdict.class == Class::Pass { Some(spans(&outcome)?) } else { None };
        Ok::<_, HarnessError>((outcome, spans))
    };
    let mut pair = |variant, name: &str| {
        let (outcome, first) = run(variant, &format!("{name}-1"))?;
        let Some(first) = first else { return Ok((outcome, None)) };
        let (outcome, second) = run(variant, &format!("{name}-2"))?;
        let Some(second) = second else { return Ok((outcome, None)) };
        same(&first, &second, || format!("{} ({name})", scenario.case_id(case)), directory)?;
        Ok::<_, HarnessError>((outcome, Some(first)))
    };
    let (outcome, baseline) = pair(Variant::Baseline, "baseline")?;
    let Some(baseline) = baseline else { return Ok((outcome, spent, None)) };
    let (outcome, stages) = pair(Variant::Stages, "stages")?;
    let blackout = stages.map(|stages| Blackout { to: to.to_owned(), marks: common(stages, &baseline) });
    Ok((outcome, spent, blackout))
}

/// Both runs passed, so they have the same marks.
fn same(first: &[Span], second: &[Span], case: impl FnOnce() -> String, logs: &Utf8Path) -> Result<(), HarnessError> {
    match first.iter().zip(second).find(|(first, second)| first != second) {
        None => Ok(()),
        Some(((mark, first), (_, second))) => Err(HarnessError::Differ {
            case: format!("{} to the mark `{mark}`", case()),
            first: *first,
            second: *second,
            logs: logs.to_owned(),
        }),
    }
}

/// The marks that both variants have.
fn common(stages: Vec<Span>, baseline: &[Span]) -> Vec<Mark> {
    let beside = |name: &str| baseline.iter().find(|(other, _)| other == name).map(|(_, baseline)| *baseline);
    let both = |(name, instructions): Span| Some(Mark { baseline: beside(&name)?, name, instructions });
    stages.into_iter().filter_map(both).collect()
}

fn spans(outcome: &Outcome) -> Result<Vec<Span>, HarnessError> {
    between(&outcome.seen).map_err(|mark| HarnessError::NoSpan { mark, logs: outcome.log_dir.clone() })
}

/// From the first kernel's jump to each mark in the second one; else the mark that does not come after the jump.
fn between(seen: &Observation) -> Result<Vec<Span>, String> {
    let from = seen.events.iter().find_map(|timed| match &timed.event {
        Event::Kexec { hop: 0, tsc } => Some(*tsc),
        _ => None,
    });
    let marks = seen.events.iter().filter_map(|timed| match &timed.event {
        Event::Mark { hop: 1, name, tsc } => Some((name, tsc)),
        _ => None,
    });
    let span = |(name, tsc): (&String, &u64)| match from.and_then(|from| tsc.checked_sub(from)) {
        Some(span) => Ok((name.clone(), span)),
        None => Err(name.clone()),
    };
    marks.map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(spans: &[(&str, u64)]) -> Vec<Span> {
        spans.iter().map(|(name, span)| ((*name).to_owned(), *span)).collect()
    }

    #[test]
    fn runs_that_differ_in_any_mark_are_an_error_with_both_numbers() {
        let same = |first: &[_], second: &[_]| {
            same(&marks(first), &marks(second), || "phase1/blackout/legacy (stages)".to_owned(), "out".into())
        };
        let error = same(&[("a", 5), ("b", 7)], &[("a", 6), ("b", 7)]).unwrap_err().to_string();
        assert!(error.contains("legacy (stages) to the mark `a` took 5 and 6 instructions"), "{error}");
        same(&[("a", 5), ("b", 7)], &[("a", 5), ("b", 7)]).unwrap();
    }

    #[test]
    fn marks_of_both_variants_are_reported_in_order() {
        let both = common(marks(&[("b", 5), ("only", 6), ("a", 7)]), &marks(&[("a", 3), ("b", 4), ("other", 5)]));
        let mark = |name: &str, instructions, baseline| Mark { name: name.into(), instructions, baseline };
        assert_eq!(both, [mark("b", 5, 4), mark("a", 7, 3)]);
    }
}
