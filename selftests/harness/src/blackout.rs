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
use crate::scenario::{Case, Kind, Scenario};
use crate::verdict::Class;

/// Measures one case. If a run is not good, its outcome comes back instead of a measurement.
pub(crate) fn measure(
    runner: &Runner,
    scenario: &Scenario,
    case: &Case,
    directory: &Utf8Path,
) -> Result<(Outcome, Duration, Option<Blackout>), HarnessError> {
    let Kind::Blackout { to, .. } = &scenario.kind else {
        return Err(HarnessError::Data(format!("{}: it has no `blackout`", scenario.path)));
    };
    let mut spent = Duration::ZERO;
    let mut numbers = Vec::new();
    let mut last = None;
    for (variant, name) in [(Variant::Baseline, "baseline"), (Variant::Stages, "stages")] {
        let mut pair = Vec::new();
        for run in ["1", "2"] {
            let outcome = runner.vm(scenario, case, variant, &directory.join(format!("{name}-{run}")))?;
            spent += outcome.seen.elapsed;
            if outcome.verdict.class != Class::Pass {
                return Ok((outcome, spent, None));
            }
            pair.push(instructions(&outcome.seen, to).ok_or_else(|| {
                HarnessError::Data(format!(
                    "{}: mark `{to}` lies before the jump in {}",
                    scenario.path, outcome.log_dir
                ))
            })?);
            last = Some(outcome);
        }
        numbers.push(same(&pair, &format!("{} ({name})", scenario.case_id(case)), directory)?);
    }
    match (last, numbers.as_slice()) {
        (Some(outcome), [baseline, instructions]) => {
            Ok((outcome, spent, Some(Blackout { instructions: *instructions, baseline: *baseline })))
        }
        _ => Err(HarnessError::Data(format!("{}: nothing was measured", scenario.path))),
    }
}

fn same(pair: &[u64], what: &str, directory: &Utf8Path) -> Result<u64, HarnessError> {
    match pair {
        [first, second] if first == second => Ok(*first),
        _ => Err(HarnessError::Data(format!(
            "{what}: two runs took {} instructions; something from outside disturbed them (compare their events.jsonl in {directory})",
            pair.iter().map(u64::to_string).collect::<Vec<_>>().join(" and ")
        ))),
    }
}

/// From the first kernel's jump to the mark in the second one.
fn instructions(seen: &Observation, mark: &str) -> Option<u64> {
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
        let error = same(&[5, 6], "phase1/blackout/legacy (stages)", Utf8Path::new("out")).unwrap_err().to_string();
        assert!(error.contains("5 and 6"), "{error}");
        assert_eq!(same(&[5, 5], "", Utf8Path::new("out")).unwrap(), 5);
    }
}
