// SPDX-License-Identifier: GPL-2.0-only

//! What is said of a search: line by line while it goes on, then how it ended, for people and as JSON.

use std::io::Write;

use ci::bisect::{Bisect, Conclusion, Purpose, Refusal};
use harness::scenario::Scenario;
use harness::verdict::Class;
use serde::Serialize;
use stg_env::exit;

use super::cross::{Crossed, Crossing};
use super::hunt::{Asked, Hunted, Tested, purpose, word};
use super::label;
use super::span::{Named, Span};
use super::walk::{Side, Walk};
use crate::text::{count, listing};

/// Everything about a search that has ended.
pub(crate) struct Ended<'a> {
    pub(crate) span: &'a Span,
    pub(crate) walk: Walk,
    pub(crate) scenario: String,
    pub(crate) hunted: &'a Hunted,
    pub(crate) crossed: Option<Crossed>,
    pub(crate) kernels: usize,
    pub(crate) built: usize,
    pub(crate) runs: usize,
}

#[derive(Serialize)]
struct View<'a> {
    scenario: &'a str,
    side: Option<Side>,
    /// Where the other kernel stays.
    other: Option<&'a str>,
    good: &'a str,
    bad: &'a str,
    result: &'static str,
    culprit: Option<&'a Named>,
    suspects: Vec<&'a Named>,
    contradictory: Vec<&'a str>,
    refusal: Option<String>,
    /// Whether the culprit breaks it in one of the two kernels alone.
    alone: Option<Alone>,
    steps: Vec<StepView<'a>>,
    kernels: usize,
    built: usize,
    runs: usize,
}

#[derive(Serialize)]
struct Alone {
    outgoing: &'static str,
    incoming: &'static str,
}

#[derive(Serialize)]
struct StepView<'a> {
    at: &'a str,
    trial: usize,
    purpose: &'static str,
    answer: &'static str,
    class: Option<Class>,
    reason: &'a str,
    known: bool,
}

/// What is going to be searched.
pub(crate) fn opening(
    span: &Span,
    walk: Walk,
    scenario: &Scenario,
    search: &Bisect,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let patches = count(search.left(), "patch", "patches");
    // Both ends, and a point for each halving.
    let kernels = walk.kernels(scenario, 2 + search.rounds() as usize, [span.good, span.bad]);
    let kernels = count(kernels, "kernel", "kernels");
    let (good, bad) = (span.name(span.good), span.name(span.bad));
    writeln!(
        out,
        "bisecting {patches} with {}: said to be good at {good}, bad at {bad}; at most {kernels}, if each can be built and \
         says the same every time",
        label(scenario)
    )?;
    if let Walk::One { side, other } = walk {
        let (side, stays) = (side.name(), side.other().name());
        writeln!(out, "the {side} kernel goes from patch to patch, the {stays} one stays at {}", span.name(other))?;
    }
    Ok(())
}

/// A line for an answer.
pub(crate) fn line(span: &Span, search: &Bisect, asked: &Asked, out: &mut dyn Write) -> anyhow::Result<()> {
    let Asked { question, tested } = asked;
    let known = if tested.known { ", known" } else { "" };
    let left = count(search.left(), "patch", "patches");
    let (answer, name, why) = (word(tested.answer), span.name(question.point), purpose(question.purpose));
    writeln!(out, "{answer:<10}  {name} ({why}{known}; {left} left)")?;
    // A point that is asked again rarely fails in another way, and the class says so.
    let lines = if question.purpose == Purpose::Confirm { 1 } else { usize::MAX };
    for line in reason(tested).lines().take(lines) {
        writeln!(out, "            {line}")?;
    }
    out.flush()?;
    Ok(())
}

/// A line for a culprit in one kernel alone.
pub(crate) fn alone(patch: &str, side: Side, crossing: Crossing, out: &mut dyn Write) -> anyhow::Result<()> {
    let times = count(crossing.times, "time", "times");
    writeln!(out, "{:<10}  {patch} in the {} kernel alone ({times})", crossing.word(), side.name())?;
    out.flush()?;
    Ok(())
}

/// A line for a culprit that no kernel shows.
pub(crate) fn programs_alone(patch: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "note: {patch} leaves the kernels as they are; it breaks the tree's own test programs")?;
    Ok(())
}

/// The verdict's class and the reason.
fn reason(tested: &Tested) -> String {
    let class = tested.class.map(|class| format!("{class}: ")).unwrap_or_default();
    format!("{class}{}", tested.reason)
}

impl Ended<'_> {
    /// The exit code: 125 if nobody could be named, as no point could be relied on or tested; 1 if there was nothing to search.
    pub(crate) fn exit_code(&self) -> i32 {
        match self.hunted.conclusion {
            Conclusion::Culprit(_) => exit::OK,
            Conclusion::Suspects { .. } => exit::UNTESTABLE,
            Conclusion::Refused(_) => exit::OTHER,
        }
    }

    /// For people.
    pub(crate) fn print(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let Self { span, hunted, .. } = self;
        match &hunted.conclusion {
            Conclusion::Culprit(patch) => self.culprit(*patch, out)?,
            Conclusion::Suspects { first, last, contradictory } => {
                writeln!(
                    out,
                    "{} suspect; nobody can be named",
                    if first == last { "1 patch is" } else { "these patches are" }
                )?;
                for named in self.suspects(*first, *last) {
                    writeln!(out, "    {}: {}", named.patch, named.subject)?;
                }
                if contradictory.is_empty() {
                    writeln!(out, "  why: between the first and the last of them nothing can be tested")?;
                    writeln!(out, "  fix: make every patch build; the reasons are above")?;
                } else {
                    let names: Vec<&str> = contradictory.iter().map(|&point| span.name(point)).collect();
                    writeln!(out, "  why: the same kernels passed and failed, at {}", listing(&names))?;
                    writeln!(
                        out,
                        "  fix: if it fails now and then, let a point be bad if one run of N fails: --repeat N"
                    )?;
                }
            }
            Conclusion::Refused(refusal) => writeln!(out, "{}", self.refusal(*refusal))?,
        }
        let (kernels, runs) = (count(self.kernels, "kernel", "kernels"), count(self.runs, "run", "runs"));
        writeln!(out, "{kernels}, {} of them built now; {runs}", self.built)?;
        Ok(())
    }

    fn culprit(&self, patch: usize, out: &mut dyn Write) -> anyhow::Result<()> {
        let Self { span, hunted, .. } = self;
        let Some(named) = span.patch(patch) else { return Ok(()) };
        writeln!(out, "{} broke it: {}", named.patch, named.subject)?;
        writeln!(out, "  patch: {}", named.file)?;
        let times = |point| count(hunted.times(point), "time", "times");
        let before = span.name(patch - 1);
        writeln!(out, "  why: good at {before} ({}), bad at {} ({})", times(patch - 1), named.patch, times(patch))?;
        let found = hunted.last(patch).and_then(|tested| tested.class);
        let end = hunted.last(span.bad).and_then(|tested| tested.class);
        if let (Some(found), Some(end)) = (found, end)
            && found != end
        {
            let bad = span.name(span.bad);
            writeln!(
                out,
                "  note: it ends with {found} there, and with {end} at {bad}, which may have another cause: --verdict {end}"
            )?;
        }
        if let Some(side) = self.walk.side() {
            let does = match side {
                Side::Outgoing => "produces: what it hands over, or how it leaves the machine",
                Side::Incoming => "consumes: what it makes of the hand-over",
            };
            writeln!(out, "  side: {}, the kernel that {does}", side.name())?;
        }
        if let Some(crossed) = &self.crossed {
            writeln!(out, "  side: {}", crossed.side())?;
        }
        Ok(())
    }

    fn suspects(&self, first: usize, last: usize) -> Vec<&Named> {
        (first..=last).filter_map(|point| self.span.patch(point)).collect()
    }

    /// Why there is nothing to search, and what to do.
    fn refusal(&self, refusal: Refusal) -> String {
        let (good, bad) = (self.span.name(self.span.good), self.span.name(self.span.bad));
        let scenario = &self.scenario;
        let (message, fix) = match (refusal, self.walk.side()) {
            (Refusal::BadIsGood, None) => {
                (format!("{scenario} passes at the bad end, {bad}"), "name a point where it fails: --bad".to_owned())
            }
            (Refusal::BadIsGood, Some(side)) => (
                format!("{scenario} passes with the {} kernel of the bad end, {bad}", side.name()),
                format!("it is not that kernel that breaks it: --side {}, or no --side if it takes both", side.other().name()),
            ),
            (Refusal::GoodIsBad, _) => (
                format!("{scenario} fails at the good end, {good}"),
                "name a point where it passes: --good; if it never did, that patch itself, or one before it that nothing else \
                 tests, is wrong"
                    .to_owned(),
            ),
            (Refusal::BadUntestable, _) => {
                (format!("the bad end, {bad}, cannot be tested"), "name an earlier point where it fails: --bad".to_owned())
            }
            (Refusal::GoodUntestable, _) => {
                (format!("the good end, {good}, cannot be tested"), "name another point where it passes: --good".to_owned())
            }
        };
        format!("nothing to bisect: {message}\n  fix: {fix}")
    }

    /// For programs.
    pub(crate) fn json(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let Self { span, hunted, .. } = self;
        let (result, culprit, suspects, contradictory, refusal) = match &hunted.conclusion {
            Conclusion::Culprit(patch) => ("culprit", span.patch(*patch), Vec::new(), Vec::new(), None),
            Conclusion::Suspects { first, last, contradictory } => {
                let names = contradictory.iter().map(|&point| span.name(point)).collect();
                ("suspects", None, self.suspects(*first, *last), names, None)
            }
            Conclusion::Refused(refusal) => ("refused", None, Vec::new(), Vec::new(), Some(self.refusal(*refusal))),
        };
        let steps = hunted.asked.iter().map(|Asked { question, tested }| StepView {
            at: span.name(question.point),
            trial: question.trial,
            purpose: purpose(question.purpose),
            answer: word(tested.answer),
            class: tested.class,
            reason: &tested.reason,
            known: tested.known,
        });
        let other = if let Walk::One { other, .. } = self.walk { Some(span.name(other)) } else { None };
        let alone = self.crossed.as_ref();
        crate::output::json(
            out,
            &View {
                scenario: &self.scenario,
                side: self.walk.side(),
                other,
                good: span.name(span.good),
                bad: span.name(span.bad),
                result,
                culprit,
                suspects,
                contradictory,
                refusal,
                alone: alone.map(|Crossed { outgoing, incoming }| Alone {
                    outgoing: outgoing.word(),
                    incoming: incoming.word(),
                }),
                steps: steps.collect(),
                kernels: self.kernels,
                built: self.built,
                runs: self.runs,
            },
        )
    }
}
