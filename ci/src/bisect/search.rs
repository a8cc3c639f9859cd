// SPDX-License-Identifier: GPL-2.0-only

//! What a search does next, from the answers that there are.

use super::{Answer, Bisect, Conclusion, PATIENCE, Purpose, Question, Refusal, Step};

/// What all answers of a point say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opinion {
    /// Nothing was asked.
    Unknown,
    /// Every time the same.
    Always(Answer),
    /// Not every time the same.
    Contradictory,
}

fn opinion(search: &Bisect, point: usize) -> Opinion {
    match search.answers.get(&point).map(Vec::as_slice) {
        None | Some([]) => Opinion::Unknown,
        Some([first, rest @ ..]) if rest.iter().all(|answer| answer == first) => Opinion::Always(*first),
        Some(_) => Opinion::Contradictory,
    }
}

pub(super) fn next_step(search: &Bisect) -> Step {
    end(search, search.bad, Answer::Bad)
        .or_else(|| end(search, search.good, Answer::Good))
        .or_else(|| unreliable_end(search))
        .or_else(|| halve(search))
        .or_else(|| confirm(search))
        .unwrap_or_else(|| conclude(search))
}

/// Asks about an end until it has said what it must, or often enough that it does not.
fn end(search: &Bisect, point: usize, wanted: Answer) -> Option<Step> {
    match opinion(search, point) {
        Opinion::Always(answer) if answer == wanted => None,
        Opinion::Contradictory => None,
        Opinion::Always(Answer::Untestable) => Some(refuse(match wanted {
            Answer::Bad => Refusal::BadUntestable,
            _ => Refusal::GoodUntestable,
        })),
        Opinion::Always(_) if trials(search, point) > search.confirmations => Some(refuse(match wanted {
            Answer::Bad => Refusal::BadIsGood,
            _ => Refusal::GoodIsBad,
        })),
        Opinion::Unknown | Opinion::Always(_) => Some(test(search, point, Purpose::End)),
    }
}

/// Nobody can be cleared if an end itself says this and that.
fn unreliable_end(search: &Bisect) -> Option<Step> {
    let mut ends = [search.good, search.bad].into_iter();
    let unreliable = ends.any(|end| opinion(search, end) == Opinion::Contradictory);
    unreliable.then(|| suspects(search, search.good, search.bad))
}

/// The point nearest to the middle of the interval that may say something.
fn halve(search: &Bisect) -> Option<Step> {
    if contradictory(search).len() > PATIENCE {
        return None;
    }
    let (good, bad) = interval(search);
    let middle = good + (bad - good) / 2;
    let open = (good + 1..bad).filter(|&point| opinion(search, point) == Opinion::Unknown);
    open.min_by_key(|point| point.abs_diff(middle)).map(|point| test(search, point, Purpose::Search))
}

/// Asks the two points at the end of the interval again.
fn confirm(search: &Bisect) -> Option<Step> {
    let (good, bad) = interval(search);
    let doubt = if contradictory(search).is_empty() { 1 } else { 2 };
    let short = |&point: &usize| trials(search, point) < 1 + search.confirmations * doubt;
    [bad, good].into_iter().find(short).map(|point| test(search, point, Purpose::Confirm))
}

fn conclude(search: &Bisect) -> Step {
    let (good, bad) = interval(search);
    if bad - good == 1 && contradictory(search).is_empty() {
        return Step::Done(Conclusion::Culprit(bad));
    }
    suspects(search, good, bad)
}

fn suspects(search: &Bisect, good: usize, bad: usize) -> Step {
    Step::Done(Conclusion::Suspects { first: good + 1, last: bad, contradictory: contradictory(search) })
}

/// The last point that is always good and the first that is always bad. Never empty: what is asked lies between the two, so that every
/// point that was found good lies below every one that was found bad, and a point only ever loses its opinion.
pub(super) fn interval(search: &Bisect) -> (usize, usize) {
    let always = |wanted| search.points().filter(move |&point| opinion(search, point) == Opinion::Always(wanted));
    let good = always(Answer::Good).filter(|&point| point < search.bad).max().unwrap_or(search.good);
    let bad = always(Answer::Bad).filter(|&point| point > search.good).min().unwrap_or(search.bad);
    (good, bad)
}

fn contradictory(search: &Bisect) -> Vec<usize> {
    search.points().filter(|&point| opinion(search, point) == Opinion::Contradictory).collect()
}

fn trials(search: &Bisect, point: usize) -> usize {
    search.answers.get(&point).map_or(0, Vec::len)
}

fn test(search: &Bisect, point: usize, purpose: Purpose) -> Step {
    Step::Test(Question { point, trial: trials(search, point), purpose })
}

fn refuse(refusal: Refusal) -> Step {
    Step::Done(Conclusion::Refused(refusal))
}
