// SPDX-License-Identifier: GPL-2.0-only

//! Planted faults, and what must notice them.
//!
//! [`stg_core::Fault`] is the fault as a file and as a commit. What its `Expect:` means only the harness knows: here it
//! becomes a verdict class, and never the one that the scenario itself wants, since such a fault shows nothing. Where no kernel has to run to
//! tell, `Scenario: check/NAME` is one of the checks of `phasectl check`, `Expect: finding`, and `Finding: FILE: MESSAGE` says which one.

use std::fmt;

use ci::check::{self, Check, Cost};
use harness::filter::Filter;
use harness::scenario::Scenario;
use harness::verdict::Class;
use stg_core::stack::scenario_of;
use stg_core::{Diagnostic, Error, Result, Source, Stack};

use crate::names;
use crate::scenarios::cases;

/// What a fault must lead to if a check is to notice it.
pub(crate) const FINDING: &str = "finding";

/// What a check finds, as a fault says it.
const EXAMPLE: &str = "drivers/vfio/pci/Kconfig: may be on by default";

/// Before the name of a check, where a fault names its scenario.
const CHECK: &str = "check/";

/// A fault and what must notice it.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// What is planted.
    pub(crate) mistake: stg_core::Fault,
    /// What must notice it.
    pub(crate) witness: Witness,
}

/// What notices a fault.
#[derive(Debug, Clone)]
pub(crate) enum Witness {
    /// This scenario must end like this.
    Scenario(Box<Scenario>, Class),
    /// This check must find this.
    Check(&'static Check, Wanted),
}

/// What a check must find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// In this file.
    file: String,
    /// With this in its message.
    message: String,
}

impl Wanted {
    /// `drivers/vfio/pci/Kconfig: may be on by default`.
    fn parse(text: &str) -> Option<Self> {
        let (file, message) = text.split_once(": ")?;
        Some(Self { file: file.to_owned(), message: message.trim().to_owned() })
    }

    /// Whether a finding is what is wanted.
    pub(crate) fn is(&self, finding: &check::Finding) -> bool {
        finding.file == self.file && finding.message.contains(&self.message)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}

/// Reads every fault, sorted by file name. `scenarios` are those of all phases.
///
/// # Errors
///
/// All mistakes in their files: also that a scenario, or the case of it, does not exist.
pub(crate) fn load(source: &dyn Source, stack: &Stack, scenarios: &[Scenario]) -> Result<Vec<Fault>> {
    let mut all = Vec::new();
    let mut wrong = Vec::new();
    for mistake in stg_core::assemble::faults(source, stack)? {
        if let Some(name) = mistake.scenario.strip_prefix(CHECK) {
            match checked(&mistake, name) {
                Ok(witness) => all.push(Fault { mistake, witness }),
                Err(found) => wrong.push(found),
            }
            continue;
        }
        if mistake.finding.is_some() {
            let message = "a scenario ends with a verdict and finds nothing: only `check/NAME` does";
            wrong.push(mistake.wrong("Finding", message));
        }
        let scenario = scenario(&mistake, scenarios);
        let without = |class| scenario.as_ref().is_ok_and(|scenario| ends(scenario, &mistake.scenario, class));
        let expect = match names::class(&mistake.expect) {
            Ok(class) if without(class) => {
                let message = format!("the scenario ends with `{class}` without the fault, so this shows nothing");
                Err(mistake.wrong("Expect", message))
            }
            other => other.map_err(|error| unknown(&mistake, "Expect", error)),
        };
        match (expect, scenario) {
            (Ok(expect), Ok(scenario)) => {
                let scenario = Box::new(scenario.clone());
                all.push(Fault { mistake, witness: Witness::Scenario(scenario, expect) });
            }
            (expect, scenario) => wrong.extend(scenario.err().into_iter().chain(expect.err())),
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(Error::Invalid(wrong)) }
}

/// The check that a fault names, and what it must find.
fn checked(mistake: &stg_core::Fault, name: &str) -> std::result::Result<Witness, Diagnostic> {
    let check = names::check(name).map_err(|error| unknown(mistake, "Scenario", error))?;
    if check.cost == Cost::Build {
        let message = format!("the check `{name}` compiles, which is not done for a fault: name a quick one");
        return Err(mistake.wrong("Scenario", message));
    }
    if mistake.expect != FINDING {
        let message = format!("a check does not end with `{}`: write `{FINDING}`", mistake.expect);
        return Err(mistake.wrong("Expect", message));
    }
    // Else anything that the check finds would do, also what the fault is not about.
    let Some(text) = &mistake.finding else { return Err(mistake.lacks("Finding", EXAMPLE)) };
    let wanted = Wanted::parse(text).ok_or_else(|| {
        let message = format!("`{text}` does not say in which file what is found: write `{EXAMPLE}`");
        mistake.wrong("Finding", message)
    })?;
    Ok(Witness::Check(check, wanted))
}

/// A name in a header that stands for nothing: a mistake in the file.
fn unknown(mistake: &stg_core::Fault, header: &str, error: Error) -> Diagnostic {
    match error {
        Error::Unknown { message, fix } => mistake.unknown(header, message, &fix),
        other => mistake.wrong(header, other.to_string()),
    }
}

/// The scenario that a fault names, as a whole or one case of it.
fn scenario<'a>(mistake: &stg_core::Fault, scenarios: &'a [Scenario]) -> std::result::Result<&'a Scenario, Diagnostic> {
    let (wanted, id) = (&mistake.scenario, scenario_of(&mistake.scenario));
    let cases = cases(scenarios);
    match scenarios.iter().find(|scenario| scenario.id == id) {
        Some(scenario) if Filter::new([wanted.clone()]).check(&cases).is_ok() => Ok(scenario),
        _ => {
            let error =
                Error::unknown(format!("there is no scenario `{wanted}`"), names::scenario_fix(wanted, scenarios));
            Err(unknown(mistake, "Scenario", error))
        }
    }
}

/// Whether a case that a fault names ends like this by itself.
fn ends(scenario: &Scenario, named: &str, class: Class) -> bool {
    let filter = Filter::new([named.to_owned()]);
    let mut cases = scenario.cases.iter().filter(|case| filter.wants(&scenario.case_id(case)));
    cases.any(|case| scenario.expect(case).verdict == class)
}

impl Fault {
    /// Whether a user who types `name` means this one: with or without its row.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.mistake.name == name || self.mistake.id() == name
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
        planted(&FAULT.replace("stage2-failure", expect))
    }

    fn planted(text: &str) -> Result<Vec<Fault>> {
        let small = Small::new().with_scenarios();
        small.put("selftests/faults/1.1-forgotten.patch", text);
        let (disk, stack) = (small.disk(), small.stack());
        let scenarios = crate::scenarios::of_phases(&disk, &stack).unwrap();
        load(&disk, &stack, &scenarios)
    }

    #[test]
    fn a_check_is_a_witness_too() {
        let with = |scenario: &str, expect: &str| {
            planted(&FAULT.replace("phase1/first/x", scenario).replace("stage2-failure", expect)).map(|all| {
                let [Fault { witness: Witness::Check(check, wanted), .. }] = &all[..] else { panic!("{all:?}") };
                (check.name, wanted.clone())
            })
        };
        let (name, wanted) = with("check/kconfig", "finding\nFinding: a/Kconfig: on by default").unwrap();
        assert_eq!((name, wanted.to_string().as_str()), ("kconfig", "a/Kconfig: on by default"));
        let finding = |file: &str, message: &str| check::Finding::new(file.into(), 3, message, "f");
        assert!(wanted.is(&finding("a/Kconfig", "A may be on by default, perhaps")));
        assert!(!wanted.is(&finding("b/Kconfig", "A may be on by default")) && !wanted.is(&finding("a/Kconfig", "A")));
        for (scenario, expect, why) in [
            ("check/kconf", "finding", "there is no check `kconf`"),
            ("check/kconfig", "stage2-failure", "a check does not end with `stage2-failure`"),
            ("check/build", "finding", "the check `build` compiles"),
            ("check/kconfig", "finding", "1.1-forgotten.patch:1: a fault without `Finding:`"),
            ("check/kconfig", "finding\nFinding: a/Kconfig", "6: `a/Kconfig` does not say in which file what is found"),
            ("phase1/first/x", "stage2-failure\nFinding: a: b", "patch:6: a scenario ends with a verdict"),
        ] {
            let error = with(scenario, expect).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn names_with_and_without_the_row() {
        let fault = &loaded("stage2-failure").unwrap()[0];
        assert!(fault.is_called("forgotten") && fault.is_called("1.1-forgotten") && !fault.is_called("1.1"));
        let Witness::Scenario(scenario, expect) = &fault.witness else { panic!("{fault:?}") };
        assert_eq!((scenario.id.as_str(), *expect), ("phase1/first", Class::Stage2Failure));
    }

    #[test]
    fn a_scenario_exists() {
        assert!(planted(&FAULT.replace("first/x", "first")).is_ok());
        for wrong in ["first/y", "fir", "third", "first/x/x"] {
            let error = planted(&FAULT.replace("first/x", wrong)).unwrap_err().to_string();
            let start = format!("selftests/faults/1.1-forgotten.patch:4: there is no scenario `phase1/{wrong}`\n");
            assert!(error.starts_with(&start) && error.contains("fix: correct `Scenario:`; "), "{error}");
        }
        assert!(planted(&FAULT.replace("phase1/first/x", "phase1")).is_err());
    }

    #[test]
    fn an_expectation_is_a_verdict_but_not_that_of_the_scenario() {
        insta::assert_snapshot!(loaded("pass").unwrap_err(), @r"
        selftests/faults/1.1-forgotten.patch:5: the scenario ends with `pass` without the fault, so this shows nothing
          fix: correct `Expect:`
        ");
        let error = loaded("boom").unwrap_err().to_string();
        assert!(error.contains("1.1-forgotten.patch:5: there is no verdict class `boom`\n"), "{error}");
    }
}
