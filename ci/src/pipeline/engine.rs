// SPDX-License-Identifier: GPL-2.0-only

//! Running steps.
//!
//! Rules: a step runs after all that it needs have passed, now or (with a ledger) before; if one of them did not, it is
//! skipped, and so is what needs it. Steps that were not selected count as passed for those that need them. When the
//! budget is used up nothing new begins, and the run as a whole has failed once more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use stg_core::names;

use super::count::Count;
use super::ledger::{Entry, Ledger};

/// The work of a step. It gets the time by which it must be done, if there is one.
pub type Work<'a> = Box<dyn FnOnce(Option<Instant>) -> Result<Count, Failure> + 'a>;

/// One step of a pipeline.
pub struct Step<'a> {
    /// Its name; a `/` separates a group from its members.
    pub id: String,
    /// What it does, for people: usually its command line.
    pub title: String,
    /// Ids of earlier steps that must have passed.
    pub needs: Vec<String>,
    /// Runs whatever was selected, because others use what it makes.
    pub always: bool,
    /// Whether its result holds as long as the project's files do not change.
    pub lasting: bool,
    /// Does it.
    pub work: Work<'a>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For people; may have several lines.
    pub message: String,
    /// What was counted until then; at least one failure.
    pub count: Count,
}

impl Failure {
    /// A failure that is one failed test.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), count: Count { passed: 0, failed: 1 } }
    }
}

/// Which steps are run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// This one, or the first of this group, and all that follow.
    From(String),
    /// This one, or this group.
    Only(String),
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It passed.
    Passed,
    /// It passed in an earlier run with the same files.
    PassedBefore,
    /// It failed.
    Failed(String),
    /// It did not run, for this reason.
    Skipped(String),
}

/// What is known of a step afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The step.
    pub id: String,
    /// What became of it.
    pub status: Status,
    /// How long it took, now or (if it passed before) then.
    pub took: Duration,
    /// What it counted.
    pub count: Count,
}

/// What is known after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// All selected steps, in order.
    pub records: Vec<Record>,
    /// How long everything took.
    pub took: Duration,
    /// The budget, if it was exceeded.
    pub exceeded: Option<Duration>,
}

impl Summary {
    /// All tests. An exceeded budget counts as one that failed.
    pub fn count(&self) -> Count {
        let budget = Count { passed: 0, failed: self.exceeded.is_some().into() };
        self.records.iter().map(|record| record.count).sum::<Count>() + budget
    }

    /// Whether nothing failed and nothing was left undone.
    pub fn good(&self) -> bool {
        let done = |record: &Record| matches!(record.status, Status::Passed | Status::PassedBefore);
        self.exceeded.is_none() && self.records.iter().all(done)
    }
}

/// A plan, or a selection from it, that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A name that no step has.
    #[error("there is no step `{wanted}`\n  fix: {fix}")]
    Unknown {
        /// The name.
        wanted: String,
        /// Which one may have been meant, and how to see all.
        fix: String,
    },
    /// Two steps with one name.
    #[error("two steps are called `{0}`")]
    Twice(String),
    /// A step that needs one that does not come before it.
    #[error("step `{step}` needs `{needs}`, which does not come before it")]
    Order {
        /// The step.
        step: String,
        /// What it needs.
        needs: String,
    },
}

/// Checks that names are unique and that needs come first.
///
/// # Errors
///
/// The first mistake.
pub fn check(steps: &[Step<'_>]) -> Result<(), PlanError> {
    for (at, step) in steps.iter().enumerate() {
        let before = &steps[..at];
        if before.iter().any(|other| other.id == step.id) {
            return Err(PlanError::Twice(step.id.clone()));
        }
        if let Some(needs) = step.needs.iter().find(|needs| before.iter().all(|other| other.id != **needs)) {
            return Err(PlanError::Order { step: step.id.clone(), needs: needs.clone() });
        }
    }
    Ok(())
}

/// Whether a step is meant by a name.
fn meant(id: &str, name: &str) -> bool {
    id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What to do about a name that no step has.
fn fix(steps: &[Step<'_>], name: &str) -> String {
    // A group is named by the beginning of its steps.
    let parts = name.split('/').count();
    let mut known = Vec::new();
    for step in steps {
        let begin = step.id.split('/').take(parts).collect::<Vec<_>>().join("/");
        if !known.contains(&begin) {
            known.push(begin);
        }
    }
    names::fix(name, &known, "run `cargo ci --list` for all names, or `cargo ci --full --list`")
}

/// Takes the selected steps out of a plan.
///
/// # Errors
///
/// If the plan makes no sense or the selection names no step.
pub fn select<'a>(steps: Vec<Step<'a>>, selection: &Selection) -> Result<Vec<Step<'a>>, PlanError> {
    check(&steps)?;
    let (name, one) = match selection {
        Selection::All => return Ok(steps),
        Selection::From(name) => (name, false),
        Selection::Only(name) => (name, true),
    };
    let Some(first) = steps.iter().position(|step| meant(&step.id, name)) else {
        return Err(PlanError::Unknown { wanted: name.clone(), fix: fix(&steps, name) });
    };
    let wanted = |at: usize, step: &Step<'_>| if one { meant(&step.id, name) } else { at >= first };
    let chosen = steps.into_iter().enumerate().filter(|(at, step)| step.always || wanted(*at, step));
    Ok(chosen.map(|(_, step)| step).collect())
}

/// What a run tells while it goes on.
pub trait Observer {
    /// A step begins.
    fn begins(&mut self, id: &str, title: &str);
    /// A step ended, or will not run.
    fn ends(&mut self, record: &Record);
}

/// Runs steps. With a ledger, what it holds is not repeated, and what passes is entered.
pub fn run(
    steps: Vec<Step<'_>>,
    budget: Option<Duration>,
    mut ledger: Option<&mut Ledger>,
    observer: &mut dyn Observer,
) -> Summary {
    let started = Instant::now();
    let deadline = budget.map(|budget| started + budget);
    let mut records: Vec<Record> = Vec::new();
    let mut stuck: BTreeMap<String, &str> = BTreeMap::new();
    for step in steps {
        let Step { id, title, needs, lasting, work, .. } = step;
        let entry = ledger.as_ref().filter(|_| lasting).and_then(|ledger| ledger.find(&id));
        let unmet = needs.iter().find_map(|needs| Some(format!("{needs} {}", stuck.get(needs)?)));
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let record = if let Some(Entry { seconds, count }) = entry {
            Record { id, status: Status::PassedBefore, took: Duration::from_secs_f64(seconds.max(0.0)), count }
        } else if let Some(reason) = unmet.or_else(|| late.then(|| "no time is left".to_owned())) {
            Record { id, status: Status::Skipped(reason), took: Duration::ZERO, count: Count::default() }
        } else {
            observer.begins(&id, &title);
            let begun = Instant::now();
            let result = work(deadline);
            let took = begun.elapsed();
            match result {
                Ok(count) => Record { id, status: Status::Passed, took, count },
                Err(Failure { message, count }) => Record { id, status: Status::Failed(message), took, count },
            }
        };
        match &record.status {
            Status::Passed if lasting => {
                let entry = Entry { seconds: record.took.as_secs_f64(), count: record.count };
                if let Some(ledger) = &mut ledger {
                    ledger.enter(&record.id, entry);
                }
            }
            Status::Failed(_) => drop(stuck.insert(record.id.clone(), "failed")),
            Status::Skipped(_) => drop(stuck.insert(record.id.clone(), "did not run")),
            Status::Passed | Status::PassedBefore => {}
        }
        observer.ends(&record);
        records.push(record);
    }
    let took = started.elapsed();
    Summary { records, took, exceeded: budget.filter(|budget| took > *budget) }
}

#[cfg(test)]
mod tests;
