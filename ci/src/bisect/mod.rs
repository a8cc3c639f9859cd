// SPDX-License-Identifier: GPL-2.0-only

//! Which patch broke it: a search among patches that does not rely on a single answer.
//!
//! A [`Bisect`] is a state machine that asks ([`Bisect::next_step`]) and is told ([`Bisect::record`]). What it asks next follows from the
//! answers alone, so whoever has kept those can go on after an interruption. It knows neither kernels nor scenarios: a *point* is a
//! number, how many patches are there; 0 is the base, and the patch `n` is what lies between the points `n - 1` and `n`.
//!
//! 1. The ends are tested: one must be good and the other bad. If they are not, however often one asks, nothing is searched
//!    ([`Refusal`]).
//! 2. The interval between a good and a bad point is halved. A point that cannot be tested is skipped for its neighbours.
//! 3. When nothing is left between the two points, both are tested again, `confirmations` times each. If they agree with themselves
//!    that is the [`Culprit`](Conclusion::Culprit), or, with untestable points between them, the
//!    [`Suspects`](Conclusion::Suspects).
//! 4. A point that contradicts itself says nothing any more. The search goes on without it, asks each of the two points twice as often at its
//!    end, and does not name anybody: it lists suspects. After [`PATIENCE`] such points it only looks for the smallest interval
//!    between two points that it can rely on.
//!
//! Guarantee, for a patch that breaks it once and for all: if at no point the first `1 + confirmations` answers are all wrong, then the
//! culprit is the guilty patch, and it is among the suspects. A scenario that gives a wrong answer with probability `p` gets past
//! that at a point with `p^(1 + confirmations)`, and two points matter: with [`CONFIRMATIONS`] and one wrong answer in five, 1 in 300.

mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// How often each of the two points is tested again, if nobody says otherwise.
pub const CONFIRMATIONS: usize = 3;

/// How many points may contradict themselves before nothing new is tried any more.
pub const PATIENCE: usize = 3;

/// What a test at a point says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It works.
    Good,
    /// It does not.
    Bad,
    /// Nobody knows: it does not build, or the scenario could not be run.
    Untestable,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Where.
    pub point: usize,
    /// How many answers there are from that point already. With the point, it names the question for ever.
    pub trial: usize,
    /// What for.
    pub purpose: Purpose,
}

/// Why something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Whether an end is what it was said to be.
    End,
    /// To halve the interval.
    Search,
    /// Whether a point says the same again.
    Confirm,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This has to be tested.
    Test(Question),
    /// All has been said.
    Done(Conclusion),
}

/// How a search ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// This patch broke it.
    Culprit(usize),
    /// One of these did, as far as can be said.
    Suspects {
        /// The first of them.
        first: usize,
        /// The last of them.
        last: usize,
        /// The points that contradicted themselves. Empty if the points between the suspects cannot be tested.
        contradictory: Vec<usize>,
    },
    /// There is nothing to search.
    Refused(Refusal),
}

/// Why there is nothing to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It does not work at the good end.
    GoodIsBad,
    /// It works at the bad end.
    BadIsGood,
    /// The good end cannot be tested.
    GoodUntestable,
    /// The bad end cannot be tested.
    BadUntestable,
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Bisect {
    good: usize,
    bad: usize,
    confirmations: usize,
    answers: BTreeMap<usize, Vec<Answer>>,
}

impl Bisect {
    /// Between a point that is said to be good and a later one that is said to be bad; `None` if it is not later. Each of the last two points
    /// is tested again `confirmations` times.
    pub fn new(good: usize, bad: usize, confirmations: usize) -> Option<Self> {
        (good < bad).then(|| Self { good, bad, confirmations, answers: BTreeMap::new() })
    }

    /// What to do next. The same until an answer is recorded.
    pub fn next_step(&self) -> Step {
        search::next_step(self)
    }

    /// Takes an answer.
    pub fn record(&mut self, point: usize, answer: Answer) {
        self.answers.entry(point).or_default().push(answer);
    }

    /// How often something has to say the same before it is believed: once, and the confirmations.
    pub fn trials(&self) -> usize {
        1 + self.confirmations
    }

    /// How many patches are not cleared yet.
    pub fn left(&self) -> usize {
        let (good, bad) = search::interval(self);
        bad - good
    }

    /// How many more points have to be tested if each can be, at most.
    pub fn rounds(&self) -> u32 {
        self.left().next_power_of_two().ilog2()
    }

    /// The points that were asked about.
    pub fn points(&self) -> impl Iterator<Item = usize> + '_ {
        self.answers.keys().copied()
    }
}
