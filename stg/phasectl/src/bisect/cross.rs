// SPDX-License-Identifier: GPL-2.0-only

//! In which kernel a culprit matters: the scenario with the patch in one of the two alone.
//!
//! That names a side, so it is believed no sooner than the culprit is: as many runs, none of them an answer that was kept, and all of
//! them say the same.

use ci::bisect::Answer;

use super::hunt::{Tested, word};

/// The kernels before and at a culprit, one of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crossed {
    /// With the patch in the outgoing kernel only.
    pub(crate) outgoing: Crossing,
    /// With the patch in the incoming kernel only.
    pub(crate) incoming: Crossing,
}

/// What came of one pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crossing {
    /// What it said every time; `None` if that was not always the same.
    pub(crate) answer: Option<Answer>,
    /// How often it was asked.
    pub(crate) times: usize,
}

impl Crossing {
    /// How that is called.
    pub(crate) fn word(self) -> &'static str {
        self.answer.map_or("contradictory", word)
    }
}

impl Crossed {
    /// What that says about the side.
    pub(crate) fn side(&self) -> &'static str {
        use Answer::{Bad, Good};
        match (self.outgoing.answer, self.incoming.answer) {
            (Some(Bad), Some(Good)) => {
                "outgoing: with the patch in that kernel alone it fails, in the incoming one alone it passes"
            }
            (Some(Good), Some(Bad)) => {
                "incoming: with the patch in that kernel alone it fails, in the outgoing one alone it passes"
            }
            (Some(Bad), Some(Bad)) => "either: it fails with the patch in one kernel alone, whichever that is",
            (Some(Good), Some(Good)) => "both: with the patch in one kernel alone it passes, whichever that is",
            (None, _) | (_, None) => {
                "not known: with the patch in one kernel alone it does not say the same every time"
            }
            _ => "not known: with the patch in one kernel alone it could not be tested",
        }
    }
}

/// Asks so many times, or until there is nothing more to be said. The first question has number 1, as that is never answered by what is
/// known.
///
/// # Errors
///
/// Those of `test`.
pub(crate) fn cross(trials: usize, test: &mut dyn FnMut(usize) -> anyhow::Result<Tested>) -> anyhow::Result<Crossing> {
    let mut answer = None;
    for times in 1..=trials {
        let tested = test(times)?.answer;
        if answer.is_some_and(|answer| answer != tested) {
            return Ok(Crossing { answer: None, times });
        }
        answer = Some(tested);
        if tested == Answer::Untestable {
            return Ok(Crossing { answer, times });
        }
    }
    Ok(Crossing { answer, times: trials })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossing(answers: &[Answer]) -> Crossing {
        let mut test = |trial: usize| {
            let answer = answers[trial - 1];
            Ok(Tested { answer, class: None, reason: String::new(), known: false })
        };
        cross(answers.len(), &mut test).unwrap()
    }

    #[test]
    fn one_answer_is_none() {
        use Answer::{Bad, Good, Untestable};
        assert_eq!(crossing(&[Bad; 4]), Crossing { answer: Some(Bad), times: 4 });
        assert_eq!(crossing(&[Bad, Bad, Good, Good]), Crossing { answer: None, times: 3 });
        assert_eq!(crossing(&[Untestable, Good]), Crossing { answer: Some(Untestable), times: 1 });
        let side = |outgoing: &[Answer], incoming: &[Answer]| {
            let crossed = Crossed { outgoing: crossing(outgoing), incoming: crossing(incoming) };
            crossed.side().split(':').next().unwrap()
        };
        assert_eq!(side(&[Bad, Bad], &[Good, Good]), "outgoing");
        assert_eq!(side(&[Bad, Good], &[Good, Good]), "not known", "the first answer alone would have named one");
        assert_eq!(side(&[Untestable], &[Good]), "not known");
        assert_eq!((crossing(&[Bad, Good]).word(), crossing(&[Good]).word()), ("contradictory", "good"));
    }
}
