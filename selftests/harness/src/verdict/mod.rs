// SPDX-License-Identifier: GPL-2.0-only

//! Judges a run: a pure function from what was observed to a verdict.
//!
//! The most fundamental reason wins. In this order:
//! 1. QEMU itself failed, or was ended by somebody.
//! 2. A kernel panicked: where, and while doing what.
//! 3. We had to end it. A kernel that was known to run and fell silent is a *hang*; silence where no kernel was known
//!    to run is the boot failure, or the missing second kernel, that it amounts to. Time up while output still came is
//!    the host's.
//! 4. The machine reset without a panic.
//! 5. Translation was interrupted, or what a preserved device wanted was refused; else, memory changed that must not; else a device's DMA was
//!    interrupted before any step failed: a step that misses it fails only later.
//! 6. A step failed. If the failing kernel says that it took nothing over, then that is why.
//! 7. Some kernel, or the end of the last stage, was never reported: nothing passes that did not reach its last kernel.
//! 8. KUnit suites did not run or pass; then, a device was not shut out; then, the console lacks what must be there; then, memory became less from kernel to kernel.
//! 9. Everything passed, and yet a kernel complained.
//! 10. Everything passed, and yet too little was seen of the DMA that was to be witnessed.

mod class;
mod symptoms;
#[cfg(test)]
mod tests;

use std::fmt;

use plan::{Event, Plan, Step};
use serde::{Deserialize, Serialize};

pub use class::Class;

use crate::case::step;
use crate::clock::seconds;
use crate::console::JUMP;
use crate::growth;
use crate::ktap;
use crate::observe::{End, Observation};
use crate::qmp;
use crate::scenario::{Expect, innermost};
use crate::translation;
use crate::unchanged;
use crate::witness::{self, Finding};
use symptoms::Death;

/// A class, and the reason in words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it ended.
    pub class: Class,
    /// Why, for people.
    pub reason: String,
}

impl Verdict {
    fn new(class: Class, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }
}

/// Judges a run of `plan`. `suites` are the KUnit suites that must have run, empty for a hand-over.
pub fn judge(plan: &Plan, suites: &[String], expect: &Expect, seen: &Observation) -> Verdict {
    let witnessed = seen.witness.as_ref().map(witness::judge);
    aborted(seen)
        .or_else(|| panicked(seen))
        .or_else(|| ended_by_us(seen))
        .or_else(|| reset(seen))
        .or_else(|| untranslated(seen))
        .or_else(|| changed(seen))
        .or_else(|| interrupted(seen, witnessed.as_ref()))
        .or_else(|| failed_step(plan, seen))
        .or_else(|| unreached(plan, suites, seen))
        .or_else(|| kunit(suites, seen))
        .or_else(|| let_through(seen))
        .or_else(|| unmet(expect, seen).map(|(hop, what)| Verdict::new(stage(hop), what)))
        .or_else(|| growth::grown(&expect.growth, seen).map(|what| Verdict::new(stage(seen.last_hop()), what)))
        .or_else(|| complained(expect, seen))
        .or_else(|| unwitnessed(witnessed.as_ref()))
        .unwrap_or_else(|| Verdict::new(Class::Pass, ""))
}

fn aborted(seen: &Observation) -> Option<Verdict> {
    let End::Exited { code, signal } = seen.end else { return None };
    let how = match (code, signal, seen.shutdown.as_deref()) {
        (_, Some(signal), _) => format!("QEMU was killed by signal {signal}"),
        (Some(0), _, Some(reason)) if reason.starts_with("guest-") => return None,
        (Some(0), _, Some(reason)) => format!("QEMU was ended from outside ({reason})"),
        (Some(0), _, None) => "QEMU ended without a reason".into(),
        (code, _, _) => format!("QEMU ended with status {}", code.unwrap_or(-1)),
    };
    let last = seen.qemu_output.last().map(|line| format!(": {line}")).unwrap_or_default();
    Some(Verdict::new(Class::QemuAbort, how + &last))
}

fn panicked(seen: &Observation) -> Option<Verdict> {
    let (hop, death) = seen.hops.iter().enumerate().find_map(|(hop, said)| Some((hop, Death::find(said)?)))?;
    let class = match (hop, seen.booted(hop)) {
        (0, false) => Class::BootFailureA,
        (0, true) => Class::Stage1Failure,
        _ if death.concerns_live_update() => Class::RestorePanic,
        (_, false) => Class::BootFailureB,
        (_, true) => Class::Stage2Failure,
    };
    Some(Verdict::new(class, format!("{} panicked: {}", kernel(hop), death.first.text)))
}

fn ended_by_us(seen: &Observation) -> Option<Verdict> {
    let cpus = qmp::describe(&seen.cpus);
    match seen.end {
        End::Exited { .. } => None,
        End::WallLimit(limit) => {
            let last = seen.last_hop();
            let what = format!("{} s were up while {} still ran; {cpus}", limit.as_secs(), kernel(last));
            Some(Verdict::new(Class::HostTimeout, what))
        }
        End::Stalled(silence) => {
            let seconds = silence.as_secs();
            let last = last_alive(seen);
            Some(match last {
                None => {
                    Verdict::new(Class::BootFailureA, format!("the first kernel said nothing for {seconds} s; {cpus}"))
                }
                Some(last) if jumped(seen, last) => Verdict::new(
                    Class::NoSecondKernel,
                    format!("{} jumped and no kernel spoke for {seconds} s; {cpus}", kernel(last)),
                ),
                Some(last) => Verdict::new(Class::Hang, format!("{} was silent for {seconds} s; {cpus}", kernel(last))),
            })
        }
    }
}

/// The last kernel that is known to have run.
fn last_alive(seen: &Observation) -> Option<usize> {
    (0..=seen.last_hop()).rev().find(|hop| seen.started(*hop))
}

/// Whether this kernel has certainly left: it announced the jump as the last thing before the next kernel.
fn jumped(seen: &Observation, hop: usize) -> bool {
    seen.hops.get(hop).is_some_and(|hop| hop.find(JUMP).is_some())
}

fn reset(seen: &Observation) -> Option<Verdict> {
    if seen.shutdown.as_deref() != Some("guest-reset") {
        return None;
    }
    let Some(last) = last_alive(seen) else {
        return Some(Verdict::new(Class::BootFailureA, "the machine was reset before the first kernel spoke"));
    };
    let what = |when: &str| format!("the machine was reset without a panic {when}");
    Some(if jumped(seen, last) || seen.left(last) {
        Verdict::new(Class::NoSecondKernel, what(&format!("when {} jumped", kernel(last))))
    } else if seen.booted(last) {
        Verdict::new(stage(last), what(&format!("while {} ran its stage", kernel(last))))
    } else {
        Verdict::new(boot(last), what(&format!("while {} booted", kernel(last))))
    })
}

fn untranslated(seen: &Observation) -> Option<Verdict> {
    let translation::Violation { at, what } = translation::violation(seen.translation.as_ref()?)?;
    Some(Verdict::new(Class::TranslationBroken, what + &when(seen, at)))
}

fn changed(seen: &Observation) -> Option<Verdict> {
    let unchanged::Changed { at, what } = seen.unchanged.as_ref()?.changed.as_ref()?;
    let when = when(seen, *at);
    Some(Verdict::new(Class::MemoryChanged, format!("{what}, as was seen at {}{when}", seconds(*at))))
}

fn let_through(seen: &Observation) -> Option<Verdict> {
    let record = seen.translation.as_ref()?;
    let last = seen.events.iter().rfind(|timed| matches!(timed.event, Event::Boot { .. }))?;
    let what = translation::missing(record, last.host_ms * 1_000_000)?;
    Some(Verdict::new(Class::TranslationBroken, what))
}

fn interrupted(seen: &Observation, finding: Option<&Finding>) -> Option<Verdict> {
    let Some(Finding::Interrupted { at, what }) = finding else { return None };
    Some(Verdict::new(Class::DmaInterrupted, what.clone() + &when(seen, *at)))
}

/// What the guest had last said at a time, in nanoseconds.
fn when(seen: &Observation, at: u64) -> String {
    let mut before = seen.events.iter().filter(|timed| timed.host_ms * 1_000_000 <= at);
    let last =
        before.rfind(|timed| matches!(timed.event, Event::Boot { .. } | Event::Step { .. } | Event::Kexec { .. }));
    let when = last.map(|timed| match &timed.event {
        Event::Step { hop, what, .. } => format!("; {} had last reported `{what}`", kernel(*hop as usize)),
        Event::Kexec { hop, .. } => format!("; {} was about to jump, or had", kernel(*hop as usize)),
        event => format!("; {} had just started its init", kernel(event.hop() as usize)),
    });
    when.unwrap_or_default()
}

fn unwitnessed(finding: Option<&Finding>) -> Option<Verdict> {
    match finding {
        Some(Finding::Unwitnessed(what)) => Some(Verdict::new(Class::Unwitnessed, what)),
        _ => None,
    }
}

/// A step that did not do what the plan wants.
struct Failed<'a> {
    hop: usize,
    index: usize,
    /// See [`number`].
    number: usize,
    what: &'a str,
    detail: &'a str,
}

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hop, number, what, detail, .. } = self;
        write!(f, "in {}, step {number} ({what}): {detail}", kernel(*hop))
    }
}

/// A step's number in the report, which counts from 1 and through all stages.
fn number(plan: &Plan, hop: usize, index: usize) -> usize {
    plan.stages.iter().take(hop).map(|stage| stage.steps.len()).sum::<usize>() + index + 1
}

fn first_failed<'a>(plan: &Plan, seen: &'a Observation) -> Option<Failed<'a>> {
    seen.events.iter().find_map(|timed| match &timed.event {
        Event::Step { hop, index, what, ok: false, detail, .. } => {
            let (hop, index) = (*hop as usize, *index);
            Some(Failed { hop, index, number: number(plan, hop, index), what, detail })
        }
        _ => None,
    })
}

fn failed_step(plan: &Plan, seen: &Observation) -> Option<Verdict> {
    let failed = first_failed(plan, seen)?;
    let Failed { hop, index, .. } = failed;
    let class = match step(plan, hop, index).map(innermost) {
        Some(Step::KexecLoad { .. } | Step::KexecUnload) => Class::KexecLoadFailure,
        Some(Step::KexecReboot) => Class::NoSecondKernel,
        _ => stage(hop),
    };
    let ignored = seen.hops.get(hop).filter(|_| hop > 0).and_then(symptoms::took_nothing_over);
    Some(match ignored {
        Some(why) => Verdict::new(Class::HandoverIgnored, format!("{failed}; {why}")),
        None => Verdict::new(class, failed.to_string()),
    })
}

fn unreached(plan: &Plan, suites: &[String], seen: &Observation) -> Option<Verdict> {
    for hop in 0..plan.stages.len() {
        if !seen.booted(hop) {
            return Some(if seen.started(hop) || hop == 0 {
                Verdict::new(boot(hop), format!("{} did not reach init", kernel(hop)))
            } else {
                Verdict::new(Class::NoSecondKernel, format!("{} never showed", kernel(hop)))
            });
        }
    }
    let last = plan.stages.len().saturating_sub(1);
    if last == 0 && suites.is_empty() {
        return Some(Verdict::new(Class::NoSecondKernel, "the plan has no kexec, so nothing was handed over"));
    }
    let done = |event: &Event| matches!(event, Event::Done { ok: true, hop } if *hop as usize == last);
    if !seen.events.iter().any(|timed| done(&timed.event)) {
        return Some(Verdict::new(stage(last), format!("{} ended without finishing its stage", kernel(last))));
    }
    let steps = plan
        .stages
        .iter()
        .enumerate()
        .flat_map(|(hop, stage)| stage.steps.iter().enumerate().map(move |(index, step)| (hop, index, step)));
    let mut missing = steps.filter(|(hop, index, step)| !reported(seen, *hop, *index, step));
    missing.next().map(|(hop, index, step)| {
        let number = number(plan, hop, index);
        Verdict::new(stage(hop), format!("{} never reported step {number} ({step:?})", kernel(hop)))
    })
}

fn reported(seen: &Observation, at: usize, number: usize, step: &Step) -> bool {
    seen.events.iter().filter(|timed| timed.event.hop() as usize == at).any(|timed| match (&timed.event, step) {
        (Event::Step { index, ok, .. }, _) => *ok && *index == number,
        (Event::Mark { name, .. }, Step::Mark { name: wanted }) => name == wanted,
        // That the jump worked is said by the next kernel.
        (Event::Kexec { .. }, Step::KexecReboot) => true,
        _ => false,
    })
}

fn kunit(suites: &[String], seen: &Observation) -> Option<Verdict> {
    if suites.is_empty() {
        return None;
    }
    let results = ktap::parse(seen.hops[0].lines.iter().map(|line| line.text.as_str()));
    let failed = |what: String| Some(Verdict::new(Class::Stage1Failure, format!("KUnit suite {what}")));
    suites.iter().find_map(|suite| {
        let tests: Vec<_> = results.named(suite).collect();
        if tests.iter().all(|test| test.status == ktap::Status::Skip) {
            return failed(format!("`{suite}` did not run"));
        }
        tests.iter().find_map(|test| test.first_bad()).and_then(failed)
    })
}

/// The first expectation of the console that is not met, with the kernel that it concerns.
pub fn unmet(expect: &Expect, seen: &Observation) -> Option<(usize, String)> {
    let find = |text: &str, hop: Option<usize>| {
        seen.hops
            .iter()
            .enumerate()
            .filter(|(index, _)| hop.is_none_or(|hop| hop == *index))
            .find_map(|(index, said)| Some((index, said.find(text)?)))
    };
    let last = seen.last_hop();
    let missing = expect.console.iter().find(|text| find(&text.text, text.hop).is_none()).map(|text| {
        let hop = text.hop.unwrap_or(last);
        (hop, format!("{} never said `{}`", text.hop.map_or("the console".into(), kernel), text.text))
    });
    missing.or_else(|| {
        expect.forbid.iter().find_map(|text| {
            let (hop, line) = find(&text.text, text.hop)?;
            Some((hop, format!("{} said what is forbidden: {}", kernel(hop), line.text)))
        })
    })
}

fn complained(expect: &Expect, seen: &Observation) -> Option<Verdict> {
    seen.hops.iter().enumerate().find_map(|(hop, said)| {
        let line = symptoms::complaint(said, &expect.allow)?;
        Some(Verdict::new(
            Class::OopsDespitePass,
            format!("every step passed, but {} said: {}", kernel(hop), line.text),
        ))
    })
}

fn kernel(hop: usize) -> String {
    match hop {
        0 => "the first kernel".into(),
        1 => "the second kernel".into(),
        hop => format!("the kernel after kexec {hop}"),
    }
}

fn stage(hop: usize) -> Class {
    if hop == 0 { Class::Stage1Failure } else { Class::Stage2Failure }
}

fn boot(hop: usize) -> Class {
    if hop == 0 { Class::BootFailureA } else { Class::BootFailureB }
}
