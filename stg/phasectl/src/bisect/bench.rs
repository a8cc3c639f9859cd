// SPDX-License-Identifier: GPL-2.0-only

//! Builds the two kernels of a scenario at two points and runs it.
//!
//! The first answer of a point may be one that was kept, of any command; those after it, which are to show whether it says the same
//! again, never are. That a kernel does not build is kept too, until one is built.
//!
//! The tree's own test programs, if the scenario runs any, are those of the patch that is tested, which may be the one that breaks them.
//! Where it does not have them yet, they are those of the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use camino::Utf8PathBuf;
use ci::bisect::Answer;
use ci::kbuild::{BuildError, unbuildable};
use harness::HarnessError;
use harness::filter::Filter;
use harness::programs;
use harness::run::KernelFiles;
use harness::scenario::{Kernels, Kind, Scenario};
use harness::verdict::Class;

use super::hunt::Tested;
use super::span::Span;
use super::walk::{Pair, Side, Walk};
use crate::judged::{ATTEMPTS, Judge, Judged, Known, Question, inputs, lasts};
use crate::kernels::Which;
use crate::lab::{Extra, Lab};

/// What a test needs.
pub(crate) struct Bench<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) span: &'a Span,
    pub(crate) scenario: &'a Scenario,
    /// Of kernels that the scenario does not name a variant for.
    pub(crate) variant: Option<&'a str>,
    /// Which kernels go from point to point.
    pub(crate) walk: Walk,
    /// A commit that stands for the last point, in the kernels that walk.
    pub(crate) extra: Option<&'a Extra>,
    /// The point whose test programs are used where the tree does not have them yet.
    pub(crate) end: usize,
    pub(crate) logs: Utf8PathBuf,
    /// The only way to fail that counts.
    pub(crate) only: Option<Class>,
    /// Whether nothing that was found out before is relied on.
    pub(crate) again: bool,
    pub(crate) judge: &'a Judge<'a>,
    /// What was used and made.
    pub(crate) tally: Tally,
}

/// What a search used and made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// So that a question that is asked again does not assemble the stack again.
    made: BTreeMap<Asked, Made>,
    /// The tree's own test programs by point, and whether it is the commit that stands for it.
    programs: BTreeMap<(usize, bool), Programs>,
    /// The keys of the kernels that were asked for.
    kernels: BTreeSet<String>,
    /// How many of them had to be built, or could not be.
    pub(crate) built: usize,
    /// How often the scenario was run.
    pub(crate) runs: usize,
}

impl Tally {
    /// How many kernels were asked for.
    pub(crate) fn kernels(&self) -> usize {
        self.kernels.len()
    }
}

/// A kernel as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    /// As the scenario calls it.
    name: String,
    point: usize,
    /// Whether it is the commit that stands for the last point.
    extra: bool,
}

/// A kernel, or why there is none.
#[derive(Debug, Clone)]
enum Made {
    Kernel(KernelFiles),
    Unbuildable(Tested),
}

/// The tree's own test programs.
#[derive(Debug, Clone, PartialEq)]
enum Programs {
    /// The scenario runs none.
    Unneeded,
    /// They are here.
    Directory(Utf8PathBuf),
    Unbuildable(Tested),
}

impl Bench<'_> {
    /// Tests a pair of kernels for the `trial`th time.
    ///
    /// # Errors
    ///
    /// What says nothing about the patches.
    pub(crate) fn test(&mut self, pair: Pair, trial: usize) -> anyhow::Result<Tested> {
        let mut kernels = BTreeMap::new();
        for (side, point) in [(Side::Outgoing, pair.outgoing), (Side::Incoming, pair.incoming)] {
            if side == Side::Incoming && matches!(self.scenario.kind, Kind::Kunit(_)) {
                continue;
            }
            match self.kernel(side, point)? {
                Made::Kernel(files) => drop(kernels.insert(side.name().to_owned(), files)),
                Made::Unbuildable(tested) => return Ok(tested),
            }
        }
        let programs = match self.programs(pair)? {
            Programs::Unneeded => None,
            Programs::Directory(directory) => Some(directory),
            Programs::Unbuildable(tested) => return Ok(tested),
        };
        let mut scenario = self.scenario.clone();
        scenario.kernels = Kernels { outgoing: Side::Outgoing.name().into(), incoming: Side::Incoming.name().into() };
        let question = Question {
            scenarios: std::slice::from_ref(&scenario),
            filter: &Filter::all(),
            kernels: &kernels,
            programs,
            logs: self.logs.join(self.directory(pair)).join(trial.to_string()),
        };
        let mut known = if trial == 0 && !self.again { Known::Used } else { Known::Ignored };
        let mut tested = self.run(&question, known)?;
        for _ in 1..ATTEMPTS {
            let host = tested.class.is_some_and(|class| !lasts(class)) && tested.answer == Answer::Untestable;
            if !host {
                break;
            }
            known = Known::Ignored;
            tested = self.run(&question, known)?;
        }
        Ok(tested)
    }

    /// Whether a kernel at two points, where it was made, is the same. One with modules never is.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    pub(crate) fn same(&mut self, side: Side, one: usize, other: usize) -> anyhow::Result<bool> {
        let (Made::Kernel(one), Made::Kernel(other)) = (self.kernel(side, one)?, self.kernel(side, other)?) else {
            return Ok(false);
        };
        let image = |files: &KernelFiles| {
            std::fs::read(&files.bzimage).with_context(|| format!("cannot read {}", files.bzimage))
        };
        Ok(one.modules.is_none() && other.modules.is_none() && image(&one)? == image(&other)?)
    }

    /// Whether the test programs at two points are the same, byte for byte.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn same_programs(&mut self, one: usize, other: usize) -> anyhow::Result<bool> {
        let (one, other) = (self.programs(self.walk.pair(one))?, self.programs(self.walk.pair(other))?);
        match (&one, &other) {
            (Programs::Directory(one), Programs::Directory(other)) if one != other => {
                Ok(inputs::directory(one)? == inputs::directory(other)?)
            }
            _ => Ok(one == other),
        }
    }

    /// The test programs for a pair of kernels: those of the patch that is tested if it has all that the scenario runs, else those of the end.
    fn programs(&mut self, pair: Pair) -> anyhow::Result<Programs> {
        let needed = programs::needed(self.scenario);
        if needed.is_empty() {
            return Ok(Programs::Unneeded);
        }
        let point = match self.walk.side() {
            Some(Side::Outgoing) => pair.outgoing,
            Some(Side::Incoming) => pair.incoming,
            None => pair.outgoing.max(pair.incoming),
        };
        let stands = self.extra.is_some() && point == self.span.end();
        match self.programs_at(point, stands)? {
            Programs::Directory(own) if needed.iter().any(|name| !own.join(name).is_file()) => {
                self.programs_at(self.end, false)
            }
            own => Ok(own),
        }
    }

    /// The test programs at a point, or of the commit that stands for it.
    fn programs_at(&mut self, point: usize, stands: bool) -> anyhow::Result<Programs> {
        if let Some(programs) = self.tally.programs.get(&(point, stands)) {
            return Ok(programs.clone());
        }
        let (target, extra) = (self.span.at(point), self.extra.filter(|_| stands));
        let programs = match self.lab.selftests(&target, extra) {
            Ok(directory) => Programs::Directory(directory),
            Err(error) => {
                let what = extra.map_or_else(|| self.span.name(point).to_owned(), |extra| extra.commit.to_string());
                let Some(reason) = fault_of_the_tree(&error, &format!("the selftests of {what} do")) else {
                    return Err(error);
                };
                Programs::Unbuildable(untestable(reason, false))
            }
        };
        self.tally.programs.insert((point, stands), programs.clone());
        Ok(programs)
    }

    fn run(&mut self, question: &Question<'_>, known: Known) -> anyhow::Result<Tested> {
        match (self.judge)(question, known, &mut std::io::sink()) {
            Ok(all) => {
                let tested = tested(&all, self.only, &question.logs);
                self.tally.runs += usize::from(!tested.known);
                Ok(tested)
            }
            // A kernel without the module, a tree without the program, a host that is too busy.
            Err(error) => match error.downcast_ref::<HarnessError>() {
                Some(HarnessError::NoModule { .. } | HarnessError::NoProgram { .. } | HarnessError::TooLate { .. }) => {
                    Ok(untestable(error.to_string(), false))
                }
                _ => Err(error),
            },
        }
    }

    /// A kernel of the scenario with the patches up to a point.
    fn kernel(&mut self, side: Side, point: usize) -> anyhow::Result<Made> {
        let names = &self.scenario.kernels;
        let name = if side == Side::Outgoing { &names.outgoing } else { &names.incoming };
        let extra = self.extra_of(side, point).is_some();
        let asked = Asked { name: name.clone(), point, extra };
        if let Some(made) = self.tally.made.get(&asked) {
            return Ok(made.clone());
        }
        let made = self.make(side, &asked)?;
        self.tally.made.insert(asked, made.clone());
        Ok(made)
    }

    /// The commit that a kernel is made of instead of the patches up to a point.
    fn extra_of(&self, side: Side, point: usize) -> Option<&Extra> {
        let walks = self.walk.walking(self.scenario).contains(&side);
        self.extra.filter(|_| walks && point == self.span.end())
    }

    fn make(&mut self, side: Side, Asked { name, point, .. }: &Asked) -> anyhow::Result<Made> {
        let which = Which::named(name, &self.span.at(*point), &self.lab.stack, self.variant)?;
        let extra = self.extra_of(side, *point).cloned();
        let extra = extra.as_ref();
        let key = self.lab.kernel_key(&which, extra)?;
        let new = self.tally.kernels.insert(key.clone());
        if let Some(reason) = unbuildable::known(&self.lab.cache, &key)?.filter(|_| !(self.again && new)) {
            return Ok(Made::Unbuildable(untestable(reason, true)));
        }
        let there = self.lab.cache.kernels()?.join(&key).join("meta.json").exists();
        self.tally.built += usize::from(!there);
        match self.lab.files(&which, extra) {
            Ok(files) => Ok(Made::Kernel(files)),
            Err(error) => {
                let what = extra.map_or_else(|| which.label(), |extra| extra.commit.to_string());
                let Some(reason) = fault_of_the_tree(&error, &format!("{what} does")) else { return Err(error) };
                unbuildable::remember(&self.lab.cache, &key, &reason)?;
                Ok(Made::Unbuildable(untestable(reason, false)))
            }
        }
    }

    /// Where the logs of a pair are.
    fn directory(&self, pair: Pair) -> String {
        let name = |point| self.span.name(point).replace('/', "-");
        if pair.outgoing == pair.incoming {
            name(pair.outgoing)
        } else {
            format!("{}-to-{}", name(pair.outgoing), name(pair.incoming))
        }
    }
}

/// Why there is no kernel or program, if that is because of the tree: `what` does not build.
fn fault_of_the_tree(error: &anyhow::Error, what: &str) -> Option<String> {
    let reason = error.downcast_ref().and_then(BuildError::of_tree)?;
    Some(format!("{what} not build\n{reason}"))
}

fn untestable(reason: String, known: bool) -> Tested {
    Tested { answer: Answer::Untestable, class: None, reason, known }
}

/// What the cases of a scenario say together.
fn tested(all: &[Judged], only: Option<Class>, logs: &camino::Utf8Path) -> Tested {
    let known = all.iter().all(|case| case.cached);
    let failed = || all.iter().filter(|case| !case.passed);
    let counts = |case: &&Judged| only.map_or(lasts(case.class), |only| case.class == only);
    let (answer, shown) = match (failed().find(counts), failed().next()) {
        (Some(case), _) => (Answer::Bad, Some(case)),
        (None, Some(case)) => (Answer::Untestable, Some(case)),
        (None, None) => (Answer::Good, None),
    };
    let logs = if known { String::new() } else { format!("\nlogs: {logs}") };
    Tested {
        answer,
        class: shown.map(|case| case.class),
        reason: shown.map_or_else(String::new, |case| format!("{}: {}{logs}", case.case, case.reason)),
        known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, class: Class) -> Judged {
        Judged { case: name.to_owned(), passed: class == Class::Pass, class, reason: "why".to_owned(), cached: false }
    }

    fn answer(classes: &[Class], only: Option<Class>) -> (Answer, Option<Class>) {
        let all: Vec<Judged> = classes.iter().map(|&class| case("c", class)).collect();
        let tested = tested(&all, only, "logs".into());
        (tested.answer, tested.class)
    }

    #[test]
    fn cases_together() {
        use Class::{Hang, HostTimeout, Pass, Stage2Failure};
        assert_eq!(answer(&[Pass, Pass], None), (Answer::Good, None));
        assert_eq!(answer(&[Pass, Hang], None), (Answer::Bad, Some(Hang)));
        assert_eq!(answer(&[HostTimeout, Pass], None), (Answer::Untestable, Some(HostTimeout)));
        assert_eq!(answer(&[HostTimeout, Hang], None), (Answer::Bad, Some(Hang)));
        assert_eq!(answer(&[Hang], Some(Stage2Failure)), (Answer::Untestable, Some(Hang)));
        assert_eq!(answer(&[Hang, Stage2Failure], Some(Stage2Failure)), (Answer::Bad, Some(Stage2Failure)));
        assert_eq!(answer(&[HostTimeout], Some(HostTimeout)), (Answer::Bad, Some(HostTimeout)));
    }

    #[test]
    fn what_was_known_has_no_logs() {
        let told = |cached| tested(&[Judged { cached, ..case("c", Class::Hang) }], None, "logs".into());
        assert_eq!((told(true).reason.as_str(), told(true).known), ("c: why", true));
        assert_eq!((told(false).reason.as_str(), told(false).known), ("c: why\nlogs: logs", false));
    }
}
