// SPDX-License-Identifier: GPL-2.0-only

//! Measures single steps in guest instructions.
//!
//! Init reads the time stamp counter just before and just after a `timed` step, so a span is the step's system calls and what
//! init itself does around them: some hundred instructions to look names up. What the kernel does meanwhile for other reasons is in
//! it too: a timer tick that falls into a span is counted, in both [runs](crate::exact) alike. That is why budgets want some room, and
//! why the least of several spans says more about the code than the most.

use camino::Utf8Path;
use plan::Event;

use crate::case::Variant;
use crate::error::HarnessError;
use crate::exact::{Figure, Twice};
use crate::observe::Observation;
use crate::report::{Span, Spans};
use crate::run::Outcome;
use crate::scenario::Limit;
use crate::verdict::{Class, Verdict};

/// Measures a case. If a run is not good, its outcome comes back without spans; if a span is above its budget, that is the outcome's verdict.
pub(crate) fn measure(twice: &mut Twice<'_>, limits: &[Limit]) -> Result<(Outcome, Vec<Spans>), HarnessError> {
    let read = |outcome: &Outcome| spans(&outcome.seen, &outcome.log_dir);
    let (mut outcome, figures) = twice.run(Variant::Stages, "stages", "in", read)?;
    let spans = figures.map(|figures| sort(&figures, limits)).unwrap_or_default();
    if let Some(reason) = excess(&spans) {
        outcome.verdict = Verdict { class: Class::OverBudget, reason };
    }
    Ok((outcome, spans))
}

/// Every span, in the order in which they were reported.
fn spans(seen: &Observation, logs: &Utf8Path) -> Result<Vec<Figure>, HarnessError> {
    let spans = seen.events.iter().filter_map(|timed| match &timed.event {
        Event::Span { name, start, end, .. } => Some((name, end.checked_sub(*start))),
        _ => None,
    });
    let known = |(name, span): (&String, Option<u64>)| match span {
        Some(span) => Ok((name.clone(), span)),
        None => Err(HarnessError::NoSpan { mark: name.clone(), logs: logs.to_owned() }),
    };
    spans.map(known).collect()
}

/// The spans that each limit covers.
fn sort(figures: &[Figure], limits: &[Limit]) -> Vec<Spans> {
    let covered = |limit: &Limit| {
        let spans = figures.iter().filter(|(name, _)| limit.covers(name));
        spans.map(|(name, instructions)| Span { name: name.clone(), instructions: *instructions }).collect()
    };
    limits.iter().map(|limit| Spans { name: limit.name.clone(), budget: limit.budget, spans: covered(limit) }).collect()
}

/// What is above its budget: how many of each kind, and the worst.
fn excess(all: &[Spans]) -> Option<String> {
    let kinds = all.iter().filter_map(|spans| {
        let budget = spans.budget?;
        let over = spans.spans.iter().filter(|span| span.instructions > budget);
        let worst = over.clone().max_by_key(|span| span.instructions)?;
        let (name, count) = (&worst.name, over.count());
        Some(format!(
            "`{name}` took {} instructions, more than {budget} ({count} of {} did)",
            worst.instructions,
            spans.spans.len()
        ))
    });
    let kinds: Vec<_> = kinds.collect();
    (!kinds.is_empty()).then(|| kinds.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::observation;

    fn limit(name: &str, budget: Option<u64>) -> Limit {
        Limit { name: name.into(), budget }
    }

    fn sorted(budget: Option<u64>) -> Vec<Spans> {
        let figures = [("preserve dut", 9), ("close", 7), ("preserve dut1", 8), ("preserve again dut", 100)];
        let figures = figures.map(|(name, span)| (name.to_owned(), span));
        sort(
            &figures,
            &[limit("preserve {device}", budget), limit("close", Some(7)), limit("preserve again {device}", None)],
        )
    }

    #[test]
    fn a_span_is_the_step_alone() {
        let span = |hop, name: &str, start, end| Event::Span { hop, name: name.into(), start, end };
        let boot = Event::Boot { hop: 1, kernel: String::new(), tsc: 60 };
        let seen = observation([span(0, "a", 10, 15), boot, span(1, "b", 70, 77)]);
        assert_eq!(spans(&seen, "out".into()).unwrap(), [("a".to_owned(), 5), ("b".to_owned(), 7)]);
        let error = spans(&observation([span(0, "a", 15, 10)]), "out".into()).unwrap_err().to_string();
        assert!(error.contains("`a` does not come after"), "{error}");
    }

    #[test]
    fn each_limit_gets_its_spans() {
        let names = |spans: &Spans| spans.spans.iter().map(|span| span.name.clone()).collect::<Vec<_>>().join(",");
        let all: Vec<_> = sorted(None).iter().map(names).collect();
        assert_eq!(all, ["preserve dut,preserve dut1", "close", "preserve again dut"]);
    }

    #[test]
    fn the_worst_span_above_its_budget_is_named() {
        assert_eq!(excess(&sorted(Some(9))), None, "what just fits is good");
        let text = excess(&sorted(Some(7))).unwrap();
        assert_eq!(text, "`preserve dut` took 9 instructions, more than 7 (2 of 2 did)");
    }
}
