// SPDX-License-Identifier: GPL-2.0-only

//! Requirement rows, and what shows each of them.
//!
//! A row is served by patches (their `rows:` in phase.yaml), shown by scenarios (`rows:` of the scenario or the case), and
//! its tests are tested by faults (`Row:`). All three name it independently, so putting them side by side finds the gaps.

use std::collections::BTreeMap;

use harness::scenario::Scenario;
use serde::Serialize;
use stg_core::Stack;

use crate::fault::Fault;

/// What there is about a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RowView {
    /// `1.2`.
    pub(crate) row: String,
    /// Patches that serve it, `phase1/kho-rust`.
    pub(crate) patches: Vec<String>,
    /// Cases that show it, `phase1/fd-preserve/legacy`.
    pub(crate) scenarios: Vec<String>,
    /// Faults that its tests must notice.
    pub(crate) faults: Vec<String>,
}

/// Every row that anything names, in order.
pub(crate) fn collect(stack: &Stack, scenarios: &[Scenario], faults: &[Fault]) -> Vec<RowView> {
    let mut rows: BTreeMap<(Part, Part), RowView> = BTreeMap::new();
    let mut at = |row: &str, put: &dyn Fn(&mut RowView)| {
        let (phase, number) = row.split_once('.').unwrap_or((row, ""));
        let view = rows.entry((Part::of(phase), Part::of(number))).or_default();
        row.clone_into(&mut view.row);
        put(view);
    };
    for patch in stack.phases.iter().flat_map(|phase| &phase.patches) {
        for row in &patch.entry.rows {
            at(&row.0, &|view| view.patches.push(patch.id()));
        }
    }
    for scenario in scenarios {
        for case in &scenario.cases {
            for row in case.rows.as_ref().unwrap_or(&scenario.rows) {
                at(row, &|view| view.scenarios.push(scenario.case_id(case)));
            }
        }
    }
    for fault in faults {
        at(&fault.mistake.row, &|view| view.faults.push(fault.mistake.name.clone()));
    }
    rows.into_values().collect()
}

/// The rows that patches of a phase serve, or scenarios of it show, and no fault covers.
pub(crate) fn without_fault(stack: &Stack, phase: &str, scenarios: &[Scenario], faults: &[Fault]) -> Vec<String> {
    let is_of = |id: &String| id.split('/').next() == Some(phase);
    let served = |view: &RowView| view.patches.iter().chain(&view.scenarios).any(is_of);
    let rows = collect(stack, scenarios, faults).into_iter();
    rows.filter(|view| view.faults.is_empty() && served(view)).map(|view| view.row).collect()
}

/// Half of a row's id: numbers in their order, then words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u32),
    Word(String),
}

impl Part {
    fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Word(text.to_owned()), Self::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_people() {
        let mut parts: Vec<_> = ["X.5", "10.1", "2.10", "2.9"].iter().map(|row| row.split_once('.').unwrap()).collect();
        parts.sort_by_key(|(phase, number)| (Part::of(phase), Part::of(number)));
        assert_eq!(parts, [("2", "9"), ("2", "10"), ("10", "1"), ("X", "5")]);
    }
}
