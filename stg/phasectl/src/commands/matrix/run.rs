// SPDX-License-Identifier: GPL-2.0-only

//! Runs a pair of kernels, or finds what was observed of it.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use ci::handover::{self, Mode, Seen, Step};
use ci::outcomes::{Inputs, Outcomes};
use harness::filter::Filter;
use harness::report::CaseResult;
use harness::scenario::{Kernels, ROLES, Scenario};
use harness::verdict::Class;
use plan::Outcome;
use stg_core::Source;

use super::pairs::{Cell, Kernel, Observed, Pair};
use crate::judged::{ATTEMPTS, lasts};
use crate::kernels::Which;
use crate::lab::Lab;
use crate::question::{Asked, Common};

/// What each pair runs. Its observations have names that `ci::handover` knows.
const SCENARIO: &str = "matrix/handover";

/// The log of the second kernel's console, if it printed anything.
const SECOND: &str = "console-1.log";

/// Reads it.
pub(crate) fn scenario(source: &dyn Source) -> anyhow::Result<Scenario> {
    Ok(Scenario::load(source, SCENARIO)?)
}

/// What all pairs share.
pub(crate) struct Bench<'a> {
    lab: &'a Lab,
    scenario: Scenario,
    common: Common<'a>,
    outcomes: Outcomes,
    /// Whether what is known is run again.
    again: bool,
    /// The kernels as questions name them, by name.
    asked: BTreeMap<String, Asked>,
    logs: Utf8PathBuf,
    _lock: Option<stg_env::LockGuard>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(lab: &'a Lab, kernels: &[Kernel], scenario: Scenario, again: bool) -> anyhow::Result<Self> {
        let (logs, lock) = lab.results("matrix", None)?;
        let common = Common::new(&lab.disk, lab.qemu()?)?;
        let asked = kernels.iter().map(|kernel| Ok((kernel.name.clone(), lab.asked(&kernel.which, None)?)));
        let asked = asked.collect::<anyhow::Result<_>>()?;
        Ok(Self { lab, scenario, common, outcomes: Outcomes::of(&lab.cache), again, asked, logs, _lock: lock })
    }

    /// Finds out what becomes of a hand-over, in all modes.
    pub(crate) fn observe(&self, pair: &mut Pair, kernels: &[Kernel]) -> anyhow::Result<()> {
        let which = |name: &str| {
            let kernel = kernels.iter().find(|kernel| kernel.name == name).map(|kernel| &kernel.which);
            kernel.ok_or_else(|| anyhow::anyhow!("the matrix has no kernel {name}"))
        };
        let (from, to) = (which(&pair.from)?, which(&pair.to)?);
        let inputs = pair.cells.iter().map(|cell| self.inputs(cell)).collect::<anyhow::Result<Vec<_>>>()?;
        let (one, other) = (pair.from.clone(), pair.to.clone());
        settle(pair, &inputs, &self.outcomes, self.again, &mut |modes| self.run((&one, from), (&other, to), modes))
    }

    fn inputs(&self, cell: &Cell) -> anyhow::Result<Inputs> {
        let kernels = ROLES.into_iter().zip([&cell.from, &cell.to]);
        let kernels: Vec<_> = kernels.filter_map(|(role, name)| Some((role, self.asked.get(name)?))).collect();
        let case = Filter::new([format!("{SCENARIO}/{}", cell.mode.name())]);
        Ok(self.common.inputs(Seen::KIND, &self.scenario, &case, &kernels)?)
    }

    fn run(
        &self,
        (from, outgoing): (&str, &Which),
        (to, incoming): (&str, &Which),
        modes: &[Mode],
    ) -> anyhow::Result<Vec<CaseResult>> {
        let mut files = BTreeMap::new();
        for (role, which) in ROLES.into_iter().zip([outgoing, incoming]) {
            files.insert(role.to_owned(), self.lab.files(which, None)?);
        }
        let logs = self.logs.join(format!("{from}-to-{to}").replace('/', "-"));
        let runner = self.lab.runner(files, None, logs)?;
        let mut scenario = self.scenario.clone();
        scenario.kernels = Kernels { outgoing: ROLES[0].to_owned(), incoming: ROLES[1].to_owned() };
        let filter = Filter::new(modes.iter().map(|mode| format!("{SCENARIO}/{}", mode.name())));
        Ok(runner.run(&[scenario], &filter, &mut std::io::sink())?)
    }
}

/// Fills in what was observed of a pair: what is known, and what `run` finds out about the other modes, which is kept. Where the host was at
/// fault it is run again, a few times.
fn settle(
    pair: &mut Pair,
    inputs: &[Inputs],
    outcomes: &Outcomes,
    again: bool,
    run: &mut dyn FnMut(&[Mode]) -> anyhow::Result<Vec<CaseResult>>,
) -> anyhow::Result<()> {
    let mut open: Vec<Mode> = Vec::new();
    for (cell, inputs) in pair.cells.iter_mut().zip(inputs) {
        match outcomes.get::<Seen>(inputs).filter(|_| !again) {
            Some(seen) => cell.observed = Some(judge(cell, &seen, true)),
            None => open.push(cell.mode),
        }
    }
    for _ in 0..ATTEMPTS {
        if open.is_empty() {
            break;
        }
        let results = run(&open)?;
        for (cell, inputs) in pair.cells.iter_mut().zip(inputs).filter(|(cell, _)| open.contains(&cell.mode)) {
            let result = results.iter().find(|result| result.case == cell.mode.name());
            let Some(result) = result else {
                anyhow::bail!("{SCENARIO}/{} was run and has no result", cell.mode.name());
            };
            let logs = |why: &str| format!("{why}\nlogs: {}", result.log_dir);
            if !lasts(result.verdict) {
                cell.host = Some(logs(&result.reason));
                continue;
            }
            let seen = seen(result);
            outcomes.put(inputs, &seen, result.seconds)?;
            let observed = judge(cell, &seen, false);
            cell.observed = Some(Observed { why: logs(&observed.why), ..observed });
            cell.host = None;
        }
        open = pair.cells.iter().filter(|cell| cell.observed.is_none()).map(|cell| cell.mode).collect();
    }
    Ok(())
}

fn judge(cell: &Cell, seen: &Seen, cached: bool) -> Observed {
    let (fates, why) = handover::classify(seen);
    let agrees = fates.agrees_with(&cell.predicted.fates);
    Observed { fates, why, agrees, cached }
}

/// What a result says to somebody who knows nothing of the harness.
fn seen(result: &CaseResult) -> Seen {
    let steps = result.observed.iter().map(|observed| {
        let step = match &observed.outcome {
            Outcome::Done => Step::Done,
            Outcome::Errno(errno) => Step::Errno(errno.clone()),
            Outcome::Failed => Step::Failed,
        };
        (observed.name.clone(), step)
    });
    Seen {
        passed: result.passed,
        arrived: result.kernels.len() > 1 || result.log_dir.join(SECOND).exists(),
        restore_panic: result.verdict == Class::RestorePanic,
        reason: result.reason.clone(),
        steps: steps.collect(),
    }
}

#[cfg(test)]
mod tests;
