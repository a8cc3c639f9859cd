// SPDX-License-Identifier: GPL-2.0-only

//! Any patch among any number of them, with any points that cannot be tested, and with answers that are wrong.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

/// What a search asked in the end, and its conclusion.
struct Ended {
    conclusion: Conclusion,
    questions: Vec<Question>,
}

impl Ended {
    fn points(&self) -> usize {
        self.questions.iter().map(|question| question.point).collect::<BTreeSet<_>>().len()
    }
}

/// Runs a search to its end.
fn run(mut search: Bisect, mut answer: impl FnMut(Question) -> Answer) -> Ended {
    let mut questions = Vec::new();
    loop {
        match search.next_step() {
            Step::Done(conclusion) => return Ended { conclusion, questions },
            Step::Test(question) => {
                assert!(questions.len() < 10_000, "the search does not end");
                assert_eq!(
                    question.trial,
                    questions.iter().filter(|one: &&Question| one.point == question.point).count()
                );
                questions.push(question);
                search.record(question.point, answer(question));
            }
        }
    }
}

fn whole(patches: usize) -> Bisect {
    Bisect::new(0, patches, CONFIRMATIONS).unwrap()
}

/// What is the case at a point.
fn truth(guilty: usize, point: usize) -> Answer {
    if point < guilty { Answer::Good } else { Answer::Bad }
}

fn other(answer: Answer) -> Answer {
    match answer {
        Answer::Good => Answer::Bad,
        Answer::Bad => Answer::Good,
        Answer::Untestable => Answer::Untestable,
    }
}

/// So many patches, and one of them.
fn guilty() -> impl Strategy<Value = (usize, usize)> {
    (1_usize..80).prop_flat_map(|patches| (Just(patches), 1..=patches))
}

/// The same with inner points that cannot be tested.
fn holes() -> impl Strategy<Value = (usize, usize, BTreeSet<usize>)> {
    guilty().prop_flat_map(|(patches, guilty)| {
        let holes = btree_set(1..patches.max(2), 0..patches.max(2));
        (
            Just(patches),
            Just(guilty),
            holes.prop_map(move |holes| holes.into_iter().filter(|&point| point < patches).collect()),
        )
    })
}

proptest! {
    #[test]
    fn every_patch_is_found_in_logarithmic_time((patches, guilty) in guilty()) {
        let ended = run(whole(patches), |question| truth(guilty, question.point));
        prop_assert_eq!(&ended.conclusion, &Conclusion::Culprit(guilty));
        prop_assert!(ended.points() <= 2 + patches.next_power_of_two().ilog2() as usize);
        let again = ended.questions.iter().filter(|question| question.purpose == Purpose::Confirm);
        prop_assert_eq!(again.map(|question| question.point).collect::<BTreeSet<_>>(), BTreeSet::from([guilty - 1, guilty]));
    }

    #[test]
    fn what_cannot_be_tested_makes_suspects_of_its_neighbours_only((patches, guilty, holes) in holes()) {
        let ended = run(whole(patches), |question| {
            if holes.contains(&question.point) { Answer::Untestable } else { truth(guilty, question.point) }
        });
        let good = (0..guilty).rev().find(|point| !holes.contains(point)).unwrap();
        let bad = (guilty..=patches).find(|point| !holes.contains(point)).unwrap();
        let expected = if bad - good == 1 {
            Conclusion::Culprit(guilty)
        } else {
            Conclusion::Suspects { first: good + 1, last: bad, contradictory: Vec::new() }
        };
        prop_assert_eq!(&ended.conclusion, &expected);
        // A hole costs a try, and a split that is not even, which costs another step at most.
        prop_assert!(ended.points() <= 2 + patches.next_power_of_two().ilog2() as usize + 2 * holes.len());
    }

    /// At each point any answers are wrong, but not all of the first `1 + CONFIRMATIONS`.
    #[test]
    fn no_innocent_patch_is_named_whatever_lies(
        (patches, guilty, holes) in holes(),
        lies in vec((0_usize..=CONFIRMATIONS, any::<[bool; 1 + CONFIRMATIONS]>()), 80),
    ) {
        let ended = run(whole(patches), |question| {
            let honest = truth(guilty, question.point);
            let (always_right, wrong) = lies[question.point];
            if holes.contains(&question.point) {
                return Answer::Untestable;
            }
            let lie = question.trial != always_right && wrong.get(question.trial).copied().unwrap_or(false);
            if lie { other(honest) } else { honest }
        });
        match ended.conclusion {
            Conclusion::Culprit(named) => prop_assert_eq!(named, guilty),
            Conclusion::Suspects { first, last, .. } => prop_assert!((first..=last).contains(&guilty), "{first}..={last}"),
            Conclusion::Refused(refusal) => prop_assert!(false, "{refusal:?}"),
        }
    }

    /// An interruption loses nothing: the answers alone lead to the same next question.
    #[test]
    fn answers_are_all_that_counts((patches, guilty) in guilty(), stop in 0_usize..20) {
        let ended = run(whole(patches), |question| truth(guilty, question.point));
        let mut resumed = whole(patches);
        let stop = stop.min(ended.questions.len());
        for question in &ended.questions[..stop] {
            resumed.record(question.point, truth(guilty, question.point));
        }
        let expected = ended.questions.get(stop).map_or(Step::Done(ended.conclusion), |question| Step::Test(*question));
        prop_assert_eq!(resumed.next_step(), expected);
    }
}

/// Numbers that look like chance and are the same every time (xorshift).
struct Chance(u64);

impl Chance {
    /// True once in `of` times.
    fn once_in(&mut self, of: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.is_multiple_of(of)
    }
}

#[test]
fn one_wrong_answer_in_five_names_hardly_ever_an_innocent_patch() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let (mut named, mut innocent, mut missed) = (0, 0, 0);
    let runs = 20_000;
    for run_number in 0..runs {
        let (patches, guilty) = (37, 1 + run_number % 37);
        let ended = run(whole(patches), |question| {
            let honest = truth(guilty, question.point);
            if chance.once_in(5) { other(honest) } else { honest }
        });
        match ended.conclusion {
            Conclusion::Culprit(patch) if patch == guilty => named += 1,
            Conclusion::Culprit(_) => innocent += 1,
            Conclusion::Suspects { first, last, .. } if (first..=last).contains(&guilty) => {}
            Conclusion::Suspects { .. } | Conclusion::Refused(_) => missed += 1,
        }
    }
    // Two points matter, and each needs all four of its answers to be wrong: (1/5)^4 = 1/625.
    assert!(innocent * 625 < 2 * runs, "{innocent} innocent patches of {runs}, {missed} missed, {named} named");
    assert!(missed * 100 < runs, "{innocent} innocent patches of {runs}, {missed} missed, {named} named");
    assert!(named * 50 > runs, "{innocent} innocent patches of {runs}, {missed} missed, {named} named");
}

#[test]
fn ends_that_are_not_what_they_should_be_are_refused() {
    let refused = |answer: fn(usize) -> Answer| {
        let ended = run(whole(8), |question| answer(question.point));
        assert!(ended.questions.iter().all(|question| question.purpose == Purpose::End));
        (ended.conclusion, ended.questions.len())
    };
    let always = 1 + CONFIRMATIONS;
    assert_eq!(refused(|_| Answer::Good), (Conclusion::Refused(Refusal::BadIsGood), always));
    assert_eq!(refused(|_| Answer::Bad), (Conclusion::Refused(Refusal::GoodIsBad), 1 + always));
    assert_eq!(refused(|_| Answer::Untestable), (Conclusion::Refused(Refusal::BadUntestable), 1));
    let end = |point| if point == 0 { Answer::Untestable } else { Answer::Bad };
    assert_eq!(refused(end), (Conclusion::Refused(Refusal::GoodUntestable), 2));
    assert!(Bisect::new(3, 3, 1).is_none() && Bisect::new(4, 3, 1).is_none());
}

#[test]
fn an_end_that_says_this_and_that_leaves_everybody_suspect() {
    let ended = run(whole(8), |question| match (question.point, question.trial) {
        (8, 0) => Answer::Good,
        (point, _) => truth(3, point),
    });
    let expected = Conclusion::Suspects { first: 1, last: 8, contradictory: vec![8] };
    assert_eq!(ended.conclusion, expected);
}

#[test]
fn after_a_contradiction_the_search_goes_on_but_names_nobody() {
    // The first answer at 8 is wrong and sends the search to the wrong half.
    let ended = run(whole(16), |question| match (question.point, question.trial) {
        (8, 0) => Answer::Good,
        (point, _) => truth(5, point),
    });
    assert_eq!(ended.conclusion, Conclusion::Suspects { first: 5, last: 5, contradictory: vec![8] });
    let asked = |point| ended.questions.iter().filter(|question| question.point == point).count();
    assert_eq!((asked(4), asked(5)), (1 + 2 * CONFIRMATIONS, 1 + 2 * CONFIRMATIONS), "asked twice as often");
}

#[test]
fn patience_ends() {
    // Whatever is asked twice contradicts itself, except the ends.
    let ended = run(whole(64), |question| match question.point {
        0 | 64 => truth(40, question.point),
        point if question.trial == 0 => truth(40, point),
        point => other(truth(40, point)),
    });
    let Conclusion::Suspects { first: 1, last: 64, contradictory } = &ended.conclusion else {
        panic!("{:?}", ended.conclusion);
    };
    assert!(contradictory.len() > PATIENCE);
    assert!(ended.points() <= 3 + PATIENCE + 2 * 6, "{}", ended.points());
}

#[test]
fn progress() {
    let mut search = whole(37);
    assert_eq!((search.left(), search.rounds()), (37, 6));
    search.record(37, Answer::Bad);
    search.record(0, Answer::Good);
    search.record(18, Answer::Good);
    assert_eq!((search.left(), search.rounds()), (19, 5));
}
