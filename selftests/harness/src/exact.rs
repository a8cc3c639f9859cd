// SPDX-License-Identifier: GPL-2.0-only

//! Runs that count instructions.
//!
//! With `-icount shift=0,sleep=off`, a fixed clock and seed and one CPU, one tick of the time stamp counter is one guest
//! instruction, it is not reset by a kexec, and two runs give the same numbers to the last digit. So every number comes from
//! two runs. Runs that differ have been disturbed from outside, and no number of theirs means anything: that is an error, and
//! names both.

use std::time::Duration;

use camino::Utf8Path;

use crate::case::Variant;
use crate::error::HarnessError;
use crate::run::{Outcome, Runner};
use crate::scenario::{Case, Scenario};
use crate::verdict::Class;

/// A name and a number of instructions.
pub(crate) type Figure = (String, u64);

/// Runs a case twice.
#[derive(Debug)]
pub(crate) struct Twice<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) scenario: &'a Scenario,
    pub(crate) case: &'a Case,
    /// The logs of both runs go below it.
    pub(crate) directory: &'a Utf8Path,
    /// What all runs took so far.
    pub(crate) spent: Duration,
}

impl Twice<'_> {
    /// The last outcome and, if both runs were good, their figures; `what` says in an error what a figure is. `name` tells the logs
    /// apart.
    pub(crate) fn run(
        &mut self,
        variant: Variant,
        name: &str,
        what: &str,
        figures: impl Fn(&Outcome) -> Result<Vec<Figure>, HarnessError>,
    ) -> Result<(Outcome, Option<Vec<Figure>>), HarnessError> {
        let mut once = |number| {
            let log_dir = self.directory.join(format!("{name}-{number}"));
            let outcome = self.runner.vm(self.scenario, self.case, variant, &log_dir)?;
            self.spent += outcome.seen.elapsed;
            let figures = if outcome.verdict.class == Class::Pass { Some(figures(&outcome)?) } else { None };
            Ok::<_, HarnessError>((outcome, figures))
        };
        let (outcome, first) = once(1)?;
        let Some(first) = first else { return Ok((outcome, None)) };
        let (outcome, second) = once(2)?;
        let Some(second) = second else { return Ok((outcome, None)) };
        same(&first, &second, || format!("{} ({name}) {what}", self.scenario.case_id(self.case)), self.directory)?;
        Ok((outcome, Some(first)))
    }
}

/// Both runs passed, so they have the same names.
fn same(
    first: &[Figure],
    second: &[Figure],
    case: impl FnOnce() -> String,
    logs: &Utf8Path,
) -> Result<(), HarnessError> {
    match first.iter().zip(second).find(|(first, second)| first != second) {
        None => Ok(()),
        Some(((name, first), (_, second))) => Err(HarnessError::Differ {
            case: format!("{} `{name}`", case()),
            first: *first,
            second: *second,
            logs: logs.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_differ_in_any_figure_are_an_error_with_both_numbers() {
        let figures = |all: &[(&str, u64)]| all.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
        let same = |first: &[_], second: &[_]| {
            same(
                &figures(first),
                &figures(second),
                || "phase1/blackout/legacy (stages) to the mark".to_owned(),
                "out".into(),
            )
        };
        let error = same(&[("a", 5), ("b", 7)], &[("a", 6), ("b", 7)]).unwrap_err().to_string();
        assert!(error.contains("legacy (stages) to the mark `a` took 5 and 6 instructions"), "{error}");
        same(&[("a", 5), ("b", 7)], &[("a", 5), ("b", 7)]).unwrap();
    }
}
