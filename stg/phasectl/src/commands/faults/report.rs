// SPDX-License-Identifier: GPL-2.0-only

//! Reports what became of faults, and what no fault is for.

use std::collections::BTreeMap;
use std::io::Write;

use camino::Utf8Path;
use harness::ktap::{Status, Test, Writer};
use harness::verdict::Class;
use serde::Serialize;

use super::bench::{Answer, Ran};
use super::coverage::Coverage;
use crate::fault::{FINDING, Fault, Witness};
use crate::output;
use crate::text::{count, listing};

/// How it went with one fault.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) fault: String,
    pub(crate) row: String,
    pub(crate) scenario: String,
    /// A verdict class, or `finding`.
    pub(crate) expected: String,
    /// `None` when it did not come to a run. Of a check: `finding`, or `pass` if it found nothing.
    pub(crate) verdict: Option<String>,
    pub(crate) noticed: bool,
    /// Whether the scenario ended as it does without the fault, or the check found nothing.
    pub(crate) passed: bool,
    pub(crate) reason: String,
    /// Whether it was known, and not planted.
    pub(crate) cached: bool,
}

impl Outcome {
    /// The fault does not apply.
    pub(crate) fn not_planted(fault: &Fault, why: &str) -> Self {
        Self::new(fault, None, false, format!("does not apply\n{why}"))
    }

    /// From what was found out, just now or before; `logs` is where the logs of its run are, if there are any.
    pub(crate) fn of(fault: &Fault, answer: &Answer, cached: bool, logs: Option<&Utf8Path>) -> Self {
        let outcome = match answer {
            Answer::DoesNotBuild { reason } => {
                let verdict = Class::BuildFailure.to_string();
                let noticed = expected(fault) == verdict;
                Self::new(fault, Some(verdict), noticed, format!("does not build\n{reason}"))
            }
            Answer::Ran(cases) => {
                // Every case that runs must notice, and in the same way. One that noticed nothing at all is worse than another.
                let other = || cases.iter().filter(|case| case.class.to_string() != expected(fault));
                let shown = other().find(|case| case.passed).or_else(|| other().next()).or(cases.first());
                let reason = shown.map_or_else(String::new, |case| Self::reason(case, logs));
                let verdict = shown.map(|case| case.class.to_string());
                let noticed = other().next().is_none() && shown.is_some();
                let passed = shown.is_some_and(|case| case.passed);
                Self { passed, ..Self::new(fault, verdict, noticed, reason) }
            }
            Answer::Checked(found) => {
                let verdict = if found.is_empty() { Class::Pass.to_string() } else { FINDING.to_owned() };
                let noticed = match &fault.witness {
                    Witness::Check(_, wanted) => found.iter().any(|finding| wanted.is(finding)),
                    Witness::Scenario(..) => false,
                };
                let reason = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                Self { passed: found.is_empty(), ..Self::new(fault, Some(verdict), noticed, reason) }
            }
        };
        Self { cached, ..outcome }
    }

    fn reason(Ran { case, reason, .. }: &Ran, logs: Option<&Utf8Path>) -> String {
        let why = if reason.is_empty() { "every step did what it must" } else { reason };
        let logs = logs.map(|logs| format!("\nlogs: {}", logs.join(case))).unwrap_or_default();
        format!("{case}: {why}{logs}")
    }

    fn new(fault: &Fault, verdict: Option<String>, noticed: bool, reason: String) -> Self {
        let mistake = &fault.mistake;
        Self {
            fault: mistake.name.clone(),
            row: mistake.row.clone(),
            scenario: mistake.scenario.clone(),
            expected: expected(fault),
            verdict,
            noticed,
            passed: false,
            reason,
            cached: false,
        }
    }
}

/// What a fault must lead to.
fn expected(fault: &Fault) -> String {
    match &fault.witness {
        Witness::Scenario(_, class) => class.to_string(),
        Witness::Check(..) => FINDING.to_owned(),
    }
}

#[derive(Serialize)]
struct View {
    faults: Vec<Outcome>,
    /// By scenario: the faults that it did not notice.
    slipped: BTreeMap<String, Vec<String>>,
    #[serde(flatten)]
    coverage: Option<Coverage>,
}

/// Prints KTAP as the outcomes come, or JSON at the end.
pub(crate) struct Reporter<'a> {
    out: Output<'a>,
    outcomes: Vec<Outcome>,
}

enum Output<'a> {
    Ktap(Writer<&'a mut dyn Write>),
    Json(&'a mut dyn Write),
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(json: bool, faults: usize, out: &'a mut dyn Write) -> anyhow::Result<Self> {
        let out = if json {
            Output::Json(out)
        } else {
            let mut writer = Writer::new(out)?;
            writer.plan(faults)?;
            Output::Ktap(writer)
        };
        Ok(Self { out, outcomes: Vec::new() })
    }

    /// Says something about the run, to people.
    pub(crate) fn note(&mut self, text: &str) -> anyhow::Result<()> {
        match &mut self.out {
            Output::Ktap(writer) => Ok(writer.diagnostic(text)?),
            Output::Json(_) => Ok(()),
        }
    }

    pub(crate) fn outcome(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        if let Output::Ktap(writer) = &mut self.out {
            let status = if outcome.noticed { Status::Pass } else { Status::Fail };
            writer.test(&Test { name: line(&outcome), status, diagnostics: Vec::new(), subtests: Vec::new() }, None)?;
            if !outcome.noticed {
                writer.diagnostic(&outcome.reason)?;
            }
        }
        self.outcomes.push(outcome);
        Ok(())
    }

    pub(crate) fn end(self, coverage: Option<Coverage>) -> anyhow::Result<()> {
        let slipped = slipped(&self.outcomes);
        match self.out {
            Output::Json(out) => output::json(out, &View { faults: self.outcomes, slipped, coverage }),
            Output::Ktap(mut writer) => {
                for (scenario, faults) in slipped {
                    let many = count(faults.len(), "fault", "faults");
                    writer.diagnostic(&format!("{many} slipped through {scenario}: {}", listing(&faults)))?;
                }
                Ok(coverage.iter().flat_map(lines).try_for_each(|line| writer.diagnostic(&line))?)
            }
        }
    }
}

/// Reports only what no fault is for.
pub(crate) fn coverage(coverage: &Coverage, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        return output::json(out, coverage);
    }
    let mut none = true;
    for line in lines(coverage) {
        none = false;
        writeln!(out, "{line}")?;
    }
    if none {
        writeln!(out, "every row and every scenario has a fault")?;
    }
    Ok(())
}

fn lines(coverage: &Coverage) -> impl Iterator<Item = String> {
    let rows = coverage.rows_without_fault.iter();
    let rows = rows.map(|row| format!("row {row} has no fault: nothing shows that its tests can fail"));
    let scenarios = coverage.scenarios_without_fault.iter();
    rows.chain(scenarios.map(|scenario| format!("scenario {scenario} has no fault: nobody has seen it fail")))
}

/// By scenario, or the case of it that a fault names: the faults that ran there and were not noticed.
fn slipped(outcomes: &[Outcome]) -> BTreeMap<String, Vec<String>> {
    let mut slipped: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.noticed && outcome.passed) {
        slipped.entry(outcome.scenario.clone()).or_default().push(outcome.fault.clone());
    }
    slipped
}

/// `1.2 fault unbound-accepted: stage1-failure as expected`.
fn line(outcome: &Outcome) -> String {
    let Outcome { fault, row, expected, .. } = outcome;
    let what = match &outcome.verdict {
        _ if outcome.noticed => format!("{expected} as expected"),
        Some(_) if outcome.passed => format!("slipped through, {expected} was expected"),
        Some(other) if other == expected => format!("another {other} than the expected one"),
        Some(other) => format!("{other}, {expected} was expected"),
        None => format!("was not planted, {expected} was expected"),
    };
    format!("{row} fault {fault}: {what}")
}

#[cfg(test)]
mod tests {
    use ci::check::Finding;

    use super::*;
    use crate::testing::Small;
    use crate::{fault, scenarios};

    fn fault() -> Fault {
        let small = Small::new().with_scenarios();
        let text = "Subject: f\nPhase: phase1\nRow: 1.2\nScenario: phase1/second\nExpect: stage1-failure\n\nWhy.\n";
        small.put("selftests/faults/1.2-unbound.patch", text);
        let (disk, stack) = (small.disk(), small.stack());
        fault::load(&disk, &stack, &scenarios::of_phases(&disk, &stack).unwrap()).unwrap().remove(0)
    }

    /// Two cases that end so.
    fn ran(one: Class, other: Class) -> Answer {
        let ran = |case: &str, class| {
            let (case, passed) = (format!("phase1/second/{case}"), class == Class::Pass);
            Ran { case, passed, class, reason: "a step".into() }
        };
        Answer::Ran(vec![ran("x", one), ran("y", other)])
    }

    #[test]
    fn lines_and_what_is_missing() {
        let fault = fault();
        let (good, logs) = (Class::Stage1Failure, Some(Utf8Path::new("logs")));
        let mut out = Vec::new();
        let mut report = Reporter::new(false, 5, &mut out).unwrap();
        report.outcome(Outcome::of(&fault, &ran(good, good), false, logs)).unwrap();
        report.outcome(Outcome::of(&fault, &ran(good, Class::Pass), true, None)).unwrap();
        report.outcome(Outcome::of(&fault, &ran(Class::Hang, good), false, logs)).unwrap();
        report
            .outcome(Outcome::of(&fault, &Answer::DoesNotBuild { reason: "a.c:1: error".into() }, true, None))
            .unwrap();
        report.outcome(Outcome::not_planted(&fault, "hunk 1")).unwrap();
        let coverage =
            Coverage { rows_without_fault: vec!["1.3".into()], scenarios_without_fault: vec!["phase1/first".into()] };
        report.end(Some(coverage)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        KTAP version 1
        1..5
        ok 1 - 1.2 fault unbound: stage1-failure as expected
        not ok 2 - 1.2 fault unbound: slipped through, stage1-failure was expected
        # phase1/second/y: a step
        not ok 3 - 1.2 fault unbound: hang, stage1-failure was expected
        # phase1/second/x: a step
        # logs: logs/phase1/second/x
        not ok 4 - 1.2 fault unbound: build-failure, stage1-failure was expected
        # does not build
        # a.c:1: error
        not ok 5 - 1.2 fault unbound: was not planted, stage1-failure was expected
        # does not apply
        # hunk 1
        # 1 fault slipped through phase1/second: unbound
        # row 1.3 has no fault: nothing shows that its tests can fail
        # scenario phase1/first has no fault: nobody has seen it fail
        ");
    }

    #[test]
    fn as_a_document() {
        let mut out = Vec::new();
        let mut report = Reporter::new(true, 1, &mut out).unwrap();
        report.outcome(Outcome::of(&fault(), &ran(Class::Pass, Class::Pass), true, None)).unwrap();
        let coverage = Coverage { rows_without_fault: vec![], scenarios_without_fault: vec!["phase1/first".into()] };
        report.end(Some(coverage)).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        {
          "faults": [
            {
              "fault": "unbound",
              "row": "1.2",
              "scenario": "phase1/second",
              "expected": "stage1-failure",
              "verdict": "pass",
              "noticed": false,
              "passed": true,
              "reason": "phase1/second/x: a step",
              "cached": true
            }
          ],
          "slipped": {
            "phase1/second": [
              "unbound"
            ]
          },
          "rows_without_fault": [],
          "scenarios_without_fault": [
            "phase1/first"
          ]
        }
        "#);
    }

    #[test]
    fn a_fault_that_breaks_the_build_is_noticed_if_that_is_expected() {
        let mut fault = fault();
        let Witness::Scenario(_, expect) = &mut fault.witness else { panic!("{fault:?}") };
        *expect = Class::BuildFailure;
        let outcome = Outcome::of(&fault, &Answer::DoesNotBuild { reason: String::new() }, true, None);
        assert!(outcome.noticed && outcome.cached);
        assert!(!Outcome::of(&fault, &Answer::Ran(Vec::new()), true, None).noticed, "nothing ran");
    }

    fn told(outcomes: Vec<Outcome>) -> String {
        let mut out = Vec::new();
        let mut report = Reporter::new(false, outcomes.len(), &mut out).unwrap();
        outcomes.into_iter().for_each(|outcome| report.outcome(outcome).unwrap());
        report.end(None).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_fault_slips_through_a_scenario_that_ends_as_it_always_does() {
        let ran = |case: &str, passed, class| Ran {
            case: format!("phase1/second/{case}"),
            passed,
            class,
            reason: "panic: x".into(),
        };
        // This scenario wants a panic, and the first of its cases fails in a third way.
        let slipped = Answer::Ran(vec![ran("x", false, Class::Hang), ran("y", true, Class::RestorePanic)]);
        insta::assert_snapshot!(told(vec![Outcome::of(&fault(), &slipped, false, None)]), @r"
        KTAP version 1
        1..1
        not ok 1 - 1.2 fault unbound: slipped through, stage1-failure was expected
        # phase1/second/y: panic: x
        # 1 fault slipped through phase1/second: unbound
        ");
        // The same end, but without the line that it is to have.
        let other = Answer::Ran(vec![ran("y", false, Class::RestorePanic)]);
        insta::assert_snapshot!(told(vec![Outcome::of(&fault(), &other, false, None)]), @r"
        KTAP version 1
        1..1
        not ok 1 - 1.2 fault unbound: restore-panic, stage1-failure was expected
        # phase1/second/y: panic: x
        ");
    }

    #[test]
    fn a_check_must_find_what_the_fault_is_about() {
        let small = Small::new();
        let text = "Subject: f\nPhase: phase1\nRow: 1.2\nScenario: check/kconfig\nExpect: finding\nFinding: K: on by default\n\nWhy.\n";
        small.put("selftests/faults/1.2-on.patch", text);
        let fault = fault::load(&small.disk(), &small.stack(), &[]).unwrap().remove(0);
        let found = |messages: &[&str]| {
            let all = messages.iter().map(|message| Finding::new("K".into(), 7, *message, "remove it"));
            Outcome::of(&fault, &Answer::Checked(all.collect()), false, None)
        };
        let all = vec![found(&["help is missing", "A may be on by default"]), found(&["help is missing"]), found(&[])];
        assert_eq!(all.iter().map(|one| one.noticed).collect::<Vec<_>>(), [true, false, false]);
        assert!(all.iter().all(|one| !one.cached) && Outcome::of(&fault, &Answer::Checked(vec![]), true, None).cached);
        insta::assert_snapshot!(told(all), @r"
        KTAP version 1
        1..3
        ok 1 - 1.2 fault on: finding as expected
        not ok 2 - 1.2 fault on: another finding than the expected one
        # K:7: help is missing
        #   fix: remove it
        not ok 3 - 1.2 fault on: slipped through, finding was expected
        # 1 fault slipped through check/kconfig: on
        ");
    }
}
