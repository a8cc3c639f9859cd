// SPDX-License-Identifier: GPL-2.0-only

//! Planted faults, and how their scenarios must end.
//!
//! [`stg_core::Fault`] is the fault as a file and as a commit. What its `Expect:` means only the harness knows: here it
//! becomes a verdict class, and never `pass`, since a fault that passes shows nothing.

use harness::verdict::Class;
use stg_core::stack::scenario_of;
use stg_core::{Error, Result, Source, Stack};

/// A fault and the verdict that it must lead to.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// What is planted.
    pub(crate) mistake: stg_core::Fault,
    /// How its scenario must end.
    pub(crate) expect: Class,
}

/// Reads every fault, sorted by file name.
///
/// # Errors
///
/// All mistakes in their files.
pub(crate) fn load(source: &dyn Source, stack: &Stack) -> Result<Vec<Fault>> {
    let mut all = Vec::new();
    let mut wrong = Vec::new();
    for mistake in stg_core::assemble::faults(source, stack)? {
        match mistake.expect.parse() {
            Ok(Class::Pass) => wrong.push(mistake.wrong("Expect", "a fault that passes shows nothing")),
            Ok(expect) => all.push(Fault { mistake, expect }),
            Err(message) => wrong.push(mistake.wrong("Expect", message)),
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(Error::Invalid(wrong)) }
}

impl Fault {
    /// Whether a user who types `name` means this one: with or without its row.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.mistake.name == name || self.mistake.id() == name
    }

    /// The scenario without the case.
    pub(crate) fn scenario_id(&self) -> &str {
        scenario_of(&self.mistake.scenario)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Small;

    const FAULT: &str = "Subject: forgotten
Phase: phase1
Row: 1.1
Scenario: phase1/first/x
Expect: stage2-failure

Why not.
";

    fn loaded(expect: &str) -> Result<Vec<Fault>> {
        let small = Small::new();
        small.put("selftests/faults/1.1-forgotten.patch", &FAULT.replace("stage2-failure", expect));
        load(&small.disk(), &small.stack())
    }

    #[test]
    fn names_with_and_without_the_row() {
        let fault = &loaded("stage2-failure").unwrap()[0];
        assert!(fault.is_called("forgotten") && fault.is_called("1.1-forgotten") && !fault.is_called("1.1"));
        assert_eq!((fault.scenario_id(), fault.expect), ("phase1/first", Class::Stage2Failure));
    }

    #[test]
    fn an_expectation_is_a_verdict_but_not_a_pass() {
        insta::assert_snapshot!(loaded("pass").unwrap_err(), @r"
        selftests/faults/1.1-forgotten.patch:5: a fault that passes shows nothing
          fix: correct `Expect:`
        ");
        let error = loaded("boom").unwrap_err().to_string();
        assert!(error.contains("1.1-forgotten.patch:5: no verdict class `boom`; there are pass, "), "{error}");
    }
}
