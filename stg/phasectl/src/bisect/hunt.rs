// SPDX-License-Identifier: GPL-2.0-only

//! A search with everything that was asked.

use ci::bisect::{Answer, Bisect, Conclusion, Purpose, Question, Step};
use harness::verdict::Class;

/// What a test at a point, or of two kernels, says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tested {
    pub(crate) answer: Answer,
    /// How the scenario ended; `None` when it did not come to a run, and when it passed in all cases.
    pub(crate) class: Option<Class>,
    /// Why, for people. Empty if it passed.
    pub(crate) reason: String,
    /// Whether it was known, and nothing was run.
    pub(crate) known: bool,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) tested: Tested,
}

/// How it ended.
#[derive(Debug, Clone)]
pub(crate) struct Hunted {
    pub(crate) conclusion: Conclusion,
    /// In order.
    pub(crate) asked: Vec<Asked>,
}

impl Hunted {
    /// The last answer of a point.
    pub(crate) fn last(&self, point: usize) -> Option<&Tested> {
        self.asked.iter().rev().find(|asked| asked.question.point == point).map(|asked| &asked.tested)
    }

    /// How often a point was asked.
    pub(crate) fn times(&self, point: usize) -> usize {
        self.asked.iter().filter(|asked| asked.question.point == point).count()
    }
}

/// What answers the questions of a search.
pub(crate) trait Tester {
    /// Tests at a point.
    ///
    /// # Errors
    ///
    /// What says nothing about the patches.
    fn test(&mut self, question: Question) -> anyhow::Result<Tested>;

    /// Whether the kernels of two points that were tested are the same, byte for byte.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    fn twins(&mut self, one: usize, other: usize) -> anyhow::Result<bool>;
}

/// Searches to the end. `tell` hears of each answer as soon as it is there.
///
/// A patch that leaves the kernel as it is, as one of documentation does, can break nothing, whatever the answers say: those before and at it
/// contradict each other.
///
/// # Errors
///
/// The first of a test, which is about the machine and says nothing about a patch.
pub(crate) fn hunt(
    mut search: Bisect,
    tester: &mut dyn Tester,
    tell: &mut dyn FnMut(&Bisect, &Asked) -> anyhow::Result<()>,
) -> anyhow::Result<Hunted> {
    let mut asked = Vec::new();
    loop {
        match search.next_step() {
            Step::Done(Conclusion::Culprit(patch)) if tester.twins(patch - 1, patch)? => {
                search.record(patch - 1, Answer::Bad);
                search.record(patch, Answer::Good);
            }
            Step::Done(conclusion) => return Ok(Hunted { conclusion, asked }),
            Step::Test(question) => {
                let tested = tester.test(question)?;
                search.record(question.point, tested.answer);
                let one = Asked { question, tested };
                tell(&search, &one)?;
                asked.push(one);
            }
        }
    }
}

/// How an answer is called.
pub(crate) fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Good => "good",
        Answer::Bad => "bad",
        Answer::Untestable => "untestable",
    }
}

/// What a question was for.
pub(crate) fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::End => "end",
        Purpose::Search => "search",
        Purpose::Confirm => "again",
    }
}
