// SPDX-License-Identifier: GPL-2.0-only

//! What no fault is for.

use harness::scenario::Scenario;
use serde::Serialize;
use stg_core::Stack;
use stg_core::stack::scenario_of;

use crate::fault::Fault;
use crate::rows;

/// The holes in what the faults of a phase show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Coverage {
    /// Requirement rows that a patch of the phase serves, or a scenario of it shows, and no fault breaks.
    pub(crate) rows_without_fault: Vec<String>,
    /// Scenarios of the phase that no fault names: nobody has seen them fail.
    pub(crate) scenarios_without_fault: Vec<String>,
}

impl Coverage {
    /// That of a phase. `scenarios` and `faults` are those of all phases.
    pub(crate) fn of(stack: &Stack, phase: &str, scenarios: &[Scenario], faults: &[Fault]) -> Self {
        let is_named = |id: &str| faults.iter().any(|fault| scenario_of(&fault.mistake.scenario) == id);
        let mine = scenarios.iter().map(|scenario| &scenario.id).filter(|id| id.split('/').next() == Some(phase));
        Self {
            rows_without_fault: rows::without_fault(stack, phase, scenarios, faults),
            scenarios_without_fault: mine.filter(|id| !is_named(id)).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Small;
    use crate::{fault, scenarios};

    #[test]
    fn rows_and_scenarios_without_a_fault_are_found() {
        let small = Small::new().with_scenarios();
        let coverage = |small: &Small| {
            let (disk, stack) = (small.disk(), small.stack());
            let scenarios = scenarios::of_phases(&disk, &stack).unwrap();
            let faults = fault::load(&disk, &stack, &scenarios).unwrap();
            let Coverage { rows_without_fault, scenarios_without_fault } =
                Coverage::of(&stack, "phase1", &scenarios, &faults);
            format!("rows {rows_without_fault:?} scenarios {scenarios_without_fault:?}")
        };
        let all = r#"scenarios ["phase1/second", "phase1/first", "phase1/blackout", "phase1/cost"]"#;
        assert_eq!(coverage(&small), format!(r#"rows ["1.1"] {all}"#), "no patch names the row, but a scenario does");
        let fault = "Subject: f\nPhase: phase1\nRow: 1.1\nScenario: phase1/second/y\nExpect: hang\n\nWhy.\n";
        small.put("selftests/faults/1.1-f.patch", fault);
        assert_eq!(coverage(&small), r#"rows [] scenarios ["phase1/first", "phase1/blackout", "phase1/cost"]"#);
    }
}
