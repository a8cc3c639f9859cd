// SPDX-License-Identifier: GPL-2.0-only

//! Bisecting a line of patches with a scenario: what `bisect` and `bisect-step` have in common.
//!
//! [`ci::bisect`] searches among numbers. Here they become patches ([`span`]), of which one kernel of the scenario is made, or both
//! ([`walk`]); these are built and run ([`bench`]); [`hunt`] puts the answers into the search, [`cross`] says in which
//! kernel a culprit matters, and [`report`] how it went.

pub(crate) mod bench;
pub(crate) mod cross;
pub(crate) mod hunt;
pub(crate) mod report;
pub(crate) mod span;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

use harness::scenario::Scenario;
use harness::verdict::Class;
use stg_core::{Error, Source, Stack, Target};

use crate::failure::Failure;
use crate::names;
use crate::scenarios::{self, HARNESS};
use crate::text::listing;

/// The name that stands for every phase.
pub(crate) const ALL: &str = "all";

/// What `phase1`, `phase1/kho-rust` or `all` means.
pub(crate) fn target(text: &str, stack: &Stack) -> stg_core::Result<Target> {
    if text == ALL { Ok(Target::All) } else { stack.target_beside(text, &[ALL]) }
}

/// The scenario that a user calls so, with the cases that they mean: NAME or NAME/CASE, with its phase before it or not.
///
/// # Errors
///
/// If no phase up to the target has one, or several have.
pub(crate) fn scenario(source: &dyn Source, stack: &Stack, target: &Target, name: &str) -> anyhow::Result<Scenario> {
    let phases: Vec<&str> = stack.chain(target)?.into_iter().map(|(phase, _)| phase.name()).chain([HARNESS]).collect();
    let mut all = Vec::new();
    for phase in &phases {
        all.extend(scenarios::load(source, stack, phase)?);
    }
    let called: Vec<String> =
        [name.to_owned()].into_iter().chain(phases.iter().map(|phase| format!("{phase}/{name}"))).collect();
    let fits = |case: &String| called.iter().any(|name| is_below(name, case));
    let mut found: Vec<Scenario> = Vec::new();
    for mut scenario in all.iter().cloned() {
        let cases = std::mem::take(&mut scenario.cases);
        scenario.cases = cases.into_iter().filter(|case| fits(&scenario.case_id(case))).collect();
        found.extend((!scenario.cases.is_empty()).then_some(scenario));
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => {
            let fix = names::scenario_fix(name, &all);
            Err(Error::unknown(format!("there is no scenario `{name}`"), fix).into())
        }
        (Some(one), false) => {
            let message = format!("`{name}` is more than one scenario: {}, {}", listing_ids(&found), one.id);
            Err(Failure::usage(message, "name one of them").into())
        }
    }
}

/// Checks that a verdict is one to look for: a case that must pass has not failed if it does.
///
/// # Errors
///
/// If it is `pass`, and no case is to end otherwise.
pub(crate) fn is_failure(scenario: &Scenario, verdict: Option<Class>) -> Result<(), Failure> {
    if verdict != Some(Class::Pass) || scenario.cases.iter().any(|case| scenario.expect(case).verdict != Class::Pass) {
        return Ok(());
    }
    let message = format!("--verdict pass: a bisect looks for a failure, and {} must end with `pass`", label(scenario));
    let fix = "name the class with which it fails, or leave out --verdict: then every failure counts";
    Err(Failure::usage(message, fix))
}

/// What reports call a scenario: its only case, or all of it.
pub(crate) fn label(scenario: &Scenario) -> String {
    match scenario.cases.as_slice() {
        [case] => scenario.case_id(case),
        _ => scenario.id.clone(),
    }
}

fn listing_ids(scenarios: &[Scenario]) -> String {
    listing(&scenarios.iter().map(|scenario| scenario.id.as_str()).collect::<Vec<_>>())
}

/// Whether a name is this case, or the scenario that it belongs to.
fn is_below(name: &str, case: &str) -> bool {
    name.contains('/') && case.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
