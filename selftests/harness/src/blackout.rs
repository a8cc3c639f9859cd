// SPDX-License-Identifier: GPL-2.0-only

//! Measures a blackout in guest instructions.
//!
//! With `-icount shift=0,sleep=off`, a fixed clock and seed and one CPU, one tick of the time stamp counter is one
//! guest instruction, it is not reset by a kexec, and two runs give the same numbers to the last digit. The blackout is
//! what lies between the [`Kexec`](plan::Event::Kexec) event of the first kernel and the named mark in the second one.
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
use crate::report::Blackout;
use crate::run::{Outcome, Runner};
use crate::scenario::{Case, Scenario};
use crate::verdict::Class;

/// Measures one case up to the mark `to`. If a run is not good, its outcome comes back instead of a measurement.
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
        let number = if outcome.verdict.class == Class::Pass { Some(instructions(&outcome, to)?) } else { None };
        Ok::<_, HarnessError>((outcome, number))
    };
    let mut pair = |variant, name: &str| {
        let (outcome, first) = run(variant, &format!("{name}-1"))?;
        let Some(first) = first else { return Ok((outcome, None)) };
        let (outcome, second) = run(variant, &format!("{name}-2"))?;
        let Some(second) = second else { return Ok((outcome, None)) };
        let number = same(first, second, || format!("{} ({name})", scenario.case_id(case)), directory)?;
        Ok::<_, HarnessError>((outcome, Some(number)))
    };
    let (outcome, baseline) = pair(Variant::Baseline, "baseline")?;
    let Some(baseline) = baseline else { return Ok((outcome, spent, None)) };
    let (outcome, instructions) = pair(Variant::Stages, "stages")?;
    let blackout = instructions.map(|instructions| Blackout { instructions, baseline });
    Ok((outcome, spent, blackout))
}

fn same(first: u64, second: u64, case: impl FnOnce() -> String, logs: &Utf8Path) -> Result<u64, HarnessError> {
    if first == second {
        return Ok(first);
    }
    Err(HarnessError::Differ { case: case(), first, second, logs: logs.to_owned() })
}

fn instructions(outcome: &Outcome, mark: &str) -> Result<u64, HarnessError> {
    between(&outcome.seen, mark)
        .ok_or_else(|| HarnessError::NoSpan { mark: mark.to_owned(), logs: outcome.log_dir.clone() })
}

/// From the first kernel's jump to the mark in the second one.
fn between(seen: &Observation, mark: &str) -> Option<u64> {
    let from = seen.events.iter().find_map(|timed| match &timed.event {
        Event::Kexec { hop: 0, tsc } => Some(*tsc),
        _ => None,
    })?;
    let to = seen.events.iter().find_map(|timed| match &timed.event {
        Event::Mark { hop: 1, name, tsc } if name == mark => Some(*tsc),
        _ => None,
    })?;
    to.checked_sub(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_runs_are_an_error_with_both_numbers() {
        let same = |first, second| same(first, second, || "phase1/blackout/legacy (stages)".to_owned(), "out".into());
        let error = same(5, 6).unwrap_err().to_string();
        assert!(error.contains("legacy (stages) took 5 and 6 instructions"), "{error}");
        assert_eq!(same(5, 5).unwrap(), 5);
    }
}
