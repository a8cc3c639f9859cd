// SPDX-License-Identifier: GPL-2.0-only

//! Plants a fault, or finds what became of it when it was planted.
//!
//! The answer is kept under what it depends on: the trees and configurations of the kernels, the scenario, the machine, the sources of
//! harness and guest. So a run that was interrupted goes on where it was, and of a fault whose kernel would be the same as before
//! nothing is built.

use std::collections::BTreeMap;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use ci::check::{self, Check, Finding, Origin, Programs, Subject};
use ci::kbuild::BuildError;
use ci::outcomes::{Inputs, Outcomes};
use harness::filter::Filter;
use harness::programs;
use harness::scenario::{Scenario, variant_of};
use harness::verdict::Class;
use serde::{Deserialize, Serialize};
use stg_core::git::Repo;
use stg_core::{Assembled, Error, Target};

use super::report::Outcome;
use crate::check::gates;
use crate::fault::{Fault, Witness};
use crate::judged::{Judged, Known, Question, lasts};
use crate::kernels::{Which, target_label};
use crate::lab::{Extra, Lab};
use crate::question::{self, Common};

/// What became of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// Its kernel does not build.
    DoesNotBuild { reason: String },
    /// These cases ran.
    Ran(Vec<Ran>),
    /// This is what a check found.
    Checked(Vec<Finding>),
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) case: String,
    /// Whether it ended as it does without a fault. Answers from before this was kept do not say so.
    #[serde(default)]
    pub(crate) passed: bool,
    pub(crate) class: Class,
    pub(crate) reason: String,
}

impl Answer {
    /// Whether it would be the same the next time.
    fn lasts(&self) -> bool {
        match self {
            Self::DoesNotBuild { .. } | Self::Checked(_) => true,
            Self::Ran(cases) => cases.iter().all(|case| lasts(case.class)),
        }
    }
}

/// What all faults of a run share.
pub(crate) struct Bench<'a> {
    lab: &'a Lab,
    target: Target,
    assembled: Assembled,
    common: Common<'a>,
    outcomes: Outcomes,
    /// Whether what is known is asked again.
    again: bool,
    logs: Utf8PathBuf,
    _lock: Option<stg_env::LockGuard>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(lab: &'a Lab, phase: &str, again: bool) -> anyhow::Result<Self> {
        let target = Target::Phase(phase.to_owned());
        let assembled = lab.assemble(&target)?;
        let (logs, lock) = lab.results("faults", None)?;
        let common = Common::new(&lab.disk, lab.qemu()?)?;
        Ok(Self { lab, target, assembled, common, outcomes: Outcomes::of(&lab.cache), again, logs, _lock: lock })
    }

    /// Builds the phase with the fault on top and runs what must notice it. Only what is wrong with the machine is an error.
    pub(crate) fn plant(&self, fault: &Fault) -> anyhow::Result<Outcome> {
        let commit = match fault.mistake.plant(&self.assembled, &self.lab.stack) {
            Ok(commit) => commit,
            Err(error @ Error::Invalid(_)) => return Ok(Outcome::not_planted(fault, &error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let label = format!("{} with fault {}", target_label(&self.target), fault.mistake.name);
        let extra = Extra { commit, label };
        let scenario = match &fault.witness {
            Witness::Scenario(scenario, _) => scenario,
            Witness::Check(check, _) => {
                let (answer, cached) = self.check(fault, check, &extra)?;
                return Ok(Outcome::of(fault, &answer, cached, None));
            }
        };
        let inputs = self.inputs(fault, scenario, &extra)?;
        let ask = || self.ask(fault, scenario, &extra);
        let (answer, cached) = question::answer(&self.outcomes, &inputs, self.again, Answer::lasts, ask)?;
        let logs = self.logs.join(fault.mistake.id());
        Ok(Outcome::of(fault, &answer, cached, (!cached).then_some(logs.as_path())))
    }

    /// All that the answer depends on.
    fn inputs(&self, fault: &Fault, scenario: &Scenario, extra: &Extra) -> anyhow::Result<Inputs> {
        let names = scenario.kernel_names();
        let asked = names.iter().map(|name| {
            let which = Which::named(name, &self.target, &self.lab.stack, None)?;
            self.lab.asked(&which, has_fault(name).then_some(extra))
        });
        let asked = asked.collect::<anyhow::Result<Vec<_>>>()?;
        let kernels: Vec<_> = names.into_iter().zip(&asked).collect();
        let cases = Filter::new([fault.mistake.scenario.clone()]);
        let inputs = self.common.inputs("fault", scenario, &cases, &kernels)?;
        // The programs are those of the phase, without the fault.
        Ok(match programs::wanted(std::slice::from_ref(scenario)) {
            true => inputs.with("programs", self.assembled.tip_tree()?.to_string()),
            false => inputs,
        })
    }

    /// Has a check look at the fault as a patch on top of the phase, and whether its answer was known: it keeps its own.
    fn check(&self, fault: &Fault, check: &'static Check, extra: &Extra) -> anyhow::Result<(Answer, bool)> {
        let (lab, gates) = (self.lab, gates(&self.lab.stack));
        let (repo, programs) = (Repo::open(&lab.base.repo)?, Programs::new(&lab.cache)?);
        let origin = Origin { id: fault.mistake.id(), file: fault.mistake.file.clone(), body_line: 1 };
        let subject = Subject::of_commit(&repo, origin, extra.commit, self.assembled.tip_tree()?)?;
        let base_tree = Repo::oid(&lab.base.tree)?;
        let bench = check::Bench { repo: &repo, base_tree, programs: &programs, gates: &gates, kernels: None };
        let answers = check::run(&subject, &[check], &bench, &self.outcomes)?;
        let cached = answers.iter().all(|answer| answer.cached);
        Ok((Answer::Checked(answers.into_iter().flat_map(|answer| answer.findings).collect()), cached))
    }

    fn ask(&self, fault: &Fault, scenario: &Scenario, extra: &Extra) -> anyhow::Result<Answer> {
        let mut kernels = BTreeMap::new();
        for name in scenario.kernel_names() {
            let which = Which::named(name, &self.target, &self.lab.stack, None)?;
            let faulty = has_fault(name);
            match self.lab.files(&which, faulty.then_some(extra)) {
                Ok(files) => drop(kernels.insert(name.to_owned(), files)),
                Err(error) => match error.downcast_ref().and_then(BuildError::of_tree) {
                    Some(reason) if faulty => return Ok(Answer::DoesNotBuild { reason }),
                    _ => return Err(error.context(format!("{name} of {} is not built", scenario.id))),
                },
            }
        }
        let scenarios = std::slice::from_ref(scenario);
        let question = Question {
            scenarios,
            filter: &Filter::new([fault.mistake.scenario.clone()]),
            kernels: &kernels,
            programs: self.lab.programs(scenarios, &self.target)?,
            logs: self.logs.join(fault.mistake.id()),
        };
        let known = if self.again { Known::Ignored } else { Known::Used };
        let judged = self.lab.judge(&question, known, &mut std::io::sink());
        let judged = judged.with_context(|| format!("fault {}", fault.mistake.id()))?;
        Ok(Answer::Ran(
            judged
                .into_iter()
                .map(|Judged { case, passed, class, reason, .. }| Ran { case, passed, class, reason })
                .collect(),
        ))
    }
}

/// Whether a scenario calls a kernel so that is made of the source with the fault: of any variant, and with the gates off too.
fn has_fault(name: &str) -> bool {
    ["current", "gate-off"].contains(&variant_of(name).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_the_host_has_spoilt_is_not_kept() {
        let ran = |class| Ran { case: "p/s/c".into(), passed: false, class, reason: String::new() };
        assert!(Answer::Ran(vec![ran(Class::Pass), ran(Class::Hang)]).lasts());
        assert!(!Answer::Ran(vec![ran(Class::Pass), ran(Class::HostTimeout)]).lasts());
        assert!(Answer::DoesNotBuild { reason: String::new() }.lasts());
    }

    #[test]
    fn the_kernel_with_the_fault_is_the_current_one_of_any_variant() {
        assert!(has_fault("current") && has_fault("current+modules") && has_fault("gate-off"));
        assert!(!has_fault("base") && !has_fault("base+modules"));
    }

    #[test]
    fn an_answer_from_before_says_less() {
        let old = r#"{"ran":[{"case":"p/s/c","class":"pass","reason":""}]}"#;
        let ran = Ran { case: "p/s/c".into(), passed: false, class: Class::Pass, reason: String::new() };
        assert_eq!(serde_json::from_str::<Answer>(old).unwrap(), Answer::Ran(vec![ran]));
    }
}
