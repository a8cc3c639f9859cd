// SPDX-License-Identifier: GPL-2.0-only

//! Cases that are run once.
//!
//! `prove`, `faults`, `matrix` and `bisect` ask the same of many kernels: does this one pass that case? The answer depends on files only
//! (`inputs`), so it is kept under their hashes as soon as it is known, and the same question is never run again: not by another
//! command, not for a patch whose kernel is the same as its parent's, and not after an interruption.
//!
//! That a run failed may be the host's fault. Such an answer is not kept, and [`Known`] says what else is not relied on.

pub(crate) mod inputs;

use std::collections::BTreeMap;
use std::io::Write;

use camino::Utf8PathBuf;
use ci::outcomes::{Inputs, Outcomes};
use harness::HarnessError;
use harness::filter::Filter;
use harness::report::CaseResult;
use harness::run::KernelFiles;
use harness::scenario::Scenario;
use harness::verdict::Class;
use serde::{Deserialize, Serialize};
use stg_env::EnvError;

use self::inputs::Setting;
use crate::lab::Lab;

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    /// `phase1/fd-preserve/legacy`.
    pub(crate) case: String,
    /// Whether it ended as it must.
    pub(crate) passed: bool,
    /// How it ended.
    pub(crate) class: Class,
    /// Why, for people.
    pub(crate) reason: String,
    /// Whether it was known, and not run.
    pub(crate) cached: bool,
}

/// What is relied on of what was found out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Everything.
    Used,
    /// What passed.
    IfPassed,
    /// Nothing: every case runs.
    Ignored,
}

/// What is to be judged.
pub(crate) struct Question<'a> {
    pub(crate) scenarios: &'a [Scenario],
    /// Chooses among their cases.
    pub(crate) filter: &'a Filter,
    /// By the names that the scenarios use.
    pub(crate) kernels: &'a BTreeMap<String, KernelFiles>,
    /// The directory of the tree's own selftests, if any scenario runs one.
    pub(crate) programs: Option<Utf8PathBuf>,
    /// Where logs go.
    pub(crate) logs: Utf8PathBuf,
}

/// What is kept of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    passed: bool,
    class: Class,
    reason: String,
}

impl Answer {
    fn of(result: &CaseResult) -> Self {
        Self { passed: result.passed, class: result.verdict, reason: result.reason.clone() }
    }

    /// Whether it would be the same the next time.
    fn lasts(&self) -> bool {
        self.passed || lasts(self.class)
    }

    fn judged(self, case: String, cached: bool) -> Judged {
        let Self { passed, class, reason } = self;
        Judged { case, passed, class, reason, cached }
    }
}

/// How often a case is run until it ends in a way that [lasts].
pub(crate) const ATTEMPTS: usize = 3;

/// Whether a run ended so because of the kernels. The other classes tell of a host that was too busy, or of somebody who ended QEMU; to
/// ask again may give another answer.
pub(crate) fn lasts(class: Class) -> bool {
    !matches!(class, Class::HostTimeout | Class::Unwitnessed | Class::QemuAbort)
}

/// What runs cases, or knows how they end: [`Lab::judge`].
pub(crate) type Judge<'a> = dyn Fn(&Question<'_>, Known, &mut dyn Write) -> anyhow::Result<Vec<Judged>> + 'a;

/// Runs the cases of a filter, and hands over each result as soon as there is one.
type Run<'a> = dyn FnMut(&Filter, &mut dyn FnMut(&CaseResult)) -> anyhow::Result<()> + 'a;

impl Lab {
    /// Judges the wanted cases, of which those run that nothing is `known` about. The answers come in the order of the scenarios. Each is
    /// printed as a KTAP diagnostic as soon as it is there.
    ///
    /// # Errors
    ///
    /// As [`Runner::run`](harness::run::Runner::run). What was judged until then is kept.
    pub(crate) fn judge(
        &self,
        question: &Question<'_>,
        known: Known,
        out: &mut dyn Write,
    ) -> anyhow::Result<Vec<Judged>> {
        let Question { scenarios, filter, kernels, programs, logs } = question;
        let runner = self.runner((*kernels).clone(), programs.clone(), logs.clone())?;
        let setting = Setting::new(&self.disk, &runner, &self.qemu()?)?;
        let all = scenarios.iter().flat_map(|scenario| scenario.cases.iter().map(move |case| (scenario, case)));
        let mut cases = Vec::new();
        for (scenario, case) in all {
            let id = scenario.case_id(case);
            if filter.wants(&id) {
                cases.push((id, setting.inputs(scenario, case)?));
            }
        }
        let run: &mut Run<'_> = &mut |filter, seen| {
            runner.run_seen(scenarios, filter, &mut std::io::sink(), seen)?;
            Ok(())
        };
        judge(cases, &Outcomes::of(&self.cache), known, run, out)
    }
}

/// Answers what is known, runs the rest, and keeps it.
fn judge(
    cases: Vec<(String, Inputs)>,
    outcomes: &Outcomes,
    known: Known,
    run: &mut Run<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Judged>> {
    let mut found: BTreeMap<String, Judged> = BTreeMap::new();
    let mut open: BTreeMap<&str, &Inputs> = BTreeMap::new();
    for (case, inputs) in &cases {
        let answer = if known == Known::Ignored { None } else { outcomes.get::<Answer>(inputs) };
        match answer.filter(|answer| known == Known::Used || answer.passed) {
            Some(answer) => {
                let judged = answer.judged(case.clone(), true);
                tell(&judged, None, out)?;
                found.insert(case.clone(), judged);
            }
            None => drop(open.insert(case, inputs)),
        }
    }
    if !open.is_empty() {
        let mut trouble: Result<(), anyhow::Error> = Ok(());
        let filter = Filter::new(open.keys().copied());
        run(&filter, &mut |result| {
            let kept = keep(result, open.get(result.id().as_str()).copied(), outcomes);
            let judged = Answer::of(result).judged(result.id(), false);
            let told = tell(&judged, Some(result), out);
            if trouble.is_ok() {
                trouble = kept.map_err(Into::into).and(told);
            }
            found.insert(judged.case.clone(), judged);
        })?;
        trouble?;
    }
    let answers = cases.into_iter().map(|(case, _)| match found.remove(&case) {
        Some(judged) => Ok(judged),
        None => Err(HarnessError::NoCase { known: "those that ran".to_owned(), wanted: case }.into()),
    });
    answers.collect()
}

fn keep(result: &CaseResult, inputs: Option<&Inputs>, outcomes: &Outcomes) -> Result<(), EnvError> {
    let answer = Answer::of(result);
    match inputs.filter(|_| answer.lasts()) {
        Some(inputs) => outcomes.put(inputs, &answer, result.seconds),
        None => Ok(()),
    }
}

/// A line for a case, and why if it is not good.
fn tell(judged: &Judged, ran: Option<&CaseResult>, out: &mut dyn Write) -> anyhow::Result<()> {
    let Judged { case, passed, class, reason, .. } = judged;
    let how = ran.map_or_else(|| "known".to_owned(), |result| format!("{:.0} s", result.seconds));
    writeln!(out, "# {case}: {class}, {how}")?;
    if !passed {
        let logs = ran.map(|result| format!("logs: {}", result.log_dir));
        for line in reason.lines().chain(logs.as_deref()) {
            writeln!(out, "#   {line}")?;
        }
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
