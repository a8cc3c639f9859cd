// SPDX-License-Identifier: GPL-2.0-only

//! Executing a stage: step by step, with a report after each.
//!
//! The order of events is part of the contract with the host:
//!
//! 1. a `Step` (or `Mark`) event per step, for a `host` step after a `Host` event, after a new ring's `Ring`, for a good `timed` or `log-span` step after a `Span` event,
//!    for a `growth` step after a `Memory` event, for an `observe` step after an `Observed` event, and `Done`,
//!    after which the guest powers off; or, where the stage ends with `kexec-reboot`,
//! 2. the same up to the step before it, then `Done` with `ok`, then `Kexec`, then the jump. Should the call come
//!    back, a failed `Step` and a second `Done` without `ok` follow.
//!
//! The time stamp of `Kexec` is read after everything before it has left the port. Between it and the call lie the
//! formatting, writing and draining of this one event (about 9,400 instructions in a blackout of 600 million, measured
//! with `-icount`), because an event that is still in the port's buffer is lost with the kernel. Inside `fails`, the jump
//! is expected to come back and is not announced.
//!
//! What earlier events left in the port is drained before a `timed` step starts, for otherwise the interrupts that send it would be counted.

use plan::{Event, Outcome, Plan, Step};

use crate::describe::describe;
use crate::errno;
use crate::failure::Failure;
use crate::kmsg;
use crate::meminfo;
use crate::steps::Runner;
use crate::sys;
use crate::wait;

/// Where events go.
pub(crate) trait Report {
    /// Says it.
    fn emit(&mut self, event: Event);
    /// Waits until everything said has left the machine.
    fn drain(&mut self);
}

/// Executes the stage for this hop and reports, `Done` included; what comes next is the caller's business.
pub(crate) fn execute(plan: &Plan, hop: u32, report: &mut impl Report) {
    let stage = usize::try_from(hop).ok().and_then(|hop| plan.stages.get(hop));
    let Some(stage) = stage else {
        let stages = plan.stages.len();
        return refuse(hop, &format!("this is hop {hop}, but the plan has {stages} stages"), report);
    };
    if let Some(index) = misplaced_jump(&stage.steps) {
        return refuse(hop, &format!("step {index}: kexec-reboot must be the last step of its stage"), report);
    }
    wait::be_patient(plan.slowness);
    let runner = Runner::new(plan, hop);
    for (index, step) in stage.steps.iter().enumerate() {
        let outcome = match step {
            Step::KexecReboot => {
                report.emit(Event::Done { hop, ok: true });
                report.drain();
                report.emit(Event::Kexec { hop, tsc: sys::tsc() });
                report.drain();
                runner.run(step)
            }
            Step::Host { action } => {
                report.emit(Event::Host { hop, action: action.clone() });
                Ok("the host was told".to_owned())
            }
            Step::LogSpan { name, from, to } => kmsg::span(from, to).map(|(start, end)| {
                report.emit(Event::Span { hop, name: name.clone(), start, end });
                String::new()
            }),
            Step::Growth { name } => meminfo::read().map(|kib| {
                let detail = meminfo::describe(&kib);
                report.emit(Event::Memory { hop, name: name.clone(), kib });
                detail
            }),
            Step::Observe { name, step } => Ok(observe(hop, name, runner.run(step), report)),
            Step::Timed { name, step } => {
                report.drain();
                let start = sys::tsc();
                let outcome = runner.run(step);
                let end = sys::tsc();
                if outcome.is_ok() {
                    report.emit(Event::Span { hop, name: name.clone(), start, end });
                }
                outcome
            }
            _ => runner.run(step),
        };
        let tsc = sys::tsc();
        for (fd, header) in runner.rings.announced() {
            report.emit(Event::Ring { hop, fd, header });
        }
        if let (Step::Mark { name }, Ok(_)) = (step, &outcome) {
            report.emit(Event::Mark { hop, name: name.clone(), tsc });
            continue;
        }
        let ok = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|failure| failure.to_string());
        report.emit(Event::Step { hop, index, what: describe(step), ok, detail, tsc });
        if !ok {
            return report.emit(Event::Done { hop, ok });
        }
    }
    report.emit(Event::Done { hop, ok: true });
}

/// Reports how a step ended that may end in any way.
fn observe(hop: u32, name: &str, ended: Result<String, Failure>, report: &mut impl Report) -> String {
    let (outcome, detail) = match ended {
        Ok(detail) => (Outcome::Done, detail),
        Err(failure) => {
            let errno = failure.errno().map(|errno| Outcome::Errno(errno::name(errno)));
            (errno.unwrap_or(Outcome::Failed), failure.to_string())
        }
    };
    report.emit(Event::Observed { hop, name: name.to_owned(), outcome });
    detail
}

/// Index of a jump with steps behind it, which could never run.
fn misplaced_jump(steps: &[Step]) -> Option<usize> {
    steps.iter().position(|step| *step == Step::KexecReboot).filter(|index| index + 1 < steps.len())
}

/// Reports that no stage can be executed at all.
pub(crate) fn refuse(hop: u32, why: &str, report: &mut impl Report) {
    let what = "find out what to do".to_owned();
    report.emit(Event::Step { hop, index: 0, what, ok: false, detail: why.to_owned(), tsc: sys::tsc() });
    report.emit(Event::Done { hop, ok: false });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Log(Vec<String>);

    impl Report for Log {
        fn emit(&mut self, event: Event) {
            self.0.push(match event {
                Event::Step { index, ok, detail, .. } => format!("step {index} {ok} {detail}"),
                Event::Mark { name, .. } => format!("mark {name}"),
                Event::Kexec { .. } => "kexec".into(),
                Event::Done { ok, .. } => format!("done {ok}"),
                Event::Boot { .. } => "boot".into(),
                Event::Ring { fd, header, .. } => format!("ring {fd} {header:#x}"),
                Event::Host { action, .. } => format!("host {action:?}"),
                Event::Span { name, start, end, .. } => format!("span {name} {}", start < end),
                Event::Memory { name, kib, .. } => format!("memory {name} {}", kib.len()),
                Event::Observed { name, outcome, .. } => format!("observed {name} {outcome:?}"),
            });
        }

        fn drain(&mut self) {
            self.0.push("drain".into());
        }
    }

    fn run(stages: &str, hop: u32) -> Vec<String> {
        let text = format!(r#"{{"name":"t","devices":{{}},"kernels":[],"stages":{stages}}}"#);
        let mut log = Log::default();
        execute(&serde_json::from_str(&text).unwrap(), hop, &mut log);
        log.0
    }

    #[test]
    fn steps_are_reported_in_order_and_the_stage_ends_with_done() {
        let steps = r#"{"memfd":{"fd":"m","bytes":8,"seed":1}},{"mark":{"name":"x"}},{"close":{"name":"m"}}"#;
        assert_eq!(
            run(&format!(r#"[{{"steps":[{steps}]}}]"#), 0),
            ["step 0 true ", "mark x", "step 2 true ", "done true"]
        );
    }

    #[test]
    fn the_host_is_told_what_to_do() {
        let host = r#"{"host":{"do":{"unplug":{"device":"dut"}}}}"#;
        assert_eq!(
            run(&format!(r#"[{{"steps":[{host}]}}]"#), 0),
            [r#"host Unplug { device: "dut" }"#, "step 0 true the host was told", "done true"]
        );
        let inner = format!(r#"{{"fails":{{"errno":"EIO","step":{host}}}}}"#);
        let log = run(&format!(r#"[{{"steps":[{inner}]}}]"#), 0);
        assert!(log[0].contains("no inner step"), "{log:?}");
    }

    #[test]
    fn memory_is_told_before_its_step() {
        let log = run(r#"[{"steps":[{"growth":{"name":"start"}}]}]"#, 0);
        assert_eq!(log[0], "memory start 3");
        assert!(log[1].starts_with("step 0 true MemTotal "), "{log:?}");
    }

    #[test]
    fn a_timed_step_is_reported_with_its_span_if_it_is_good() {
        let timed = |step: &str| format!(r#"{{"timed":{{"name":"x","step":{step}}}}}"#);
        let steps = [r#"{"memfd":{"fd":"m","bytes":8,"seed":1}}"#, r#"{"close":{"name":"m"}}"#].map(timed).join(",");
        assert_eq!(
            run(&format!(r#"[{{"steps":[{steps}]}}]"#), 0),
            ["drain", "span x true", "step 0 true ", "drain", "span x true", "step 1 true ", "done true"]
        );
        let log = run(&format!(r#"[{{"steps":[{}]}}]"#, timed(r#"{"close":{"name":"m"}}"#)), 0);
        assert!(log[1].starts_with("step 0 false no fd"), "{log:?}");
        let log = run(&format!(r#"[{{"steps":[{}]}}]"#, timed(&timed(r#""kexec-unload""#))), 0);
        assert!(log[1].contains("no inner steps"), "{log:?}");
    }

    #[test]
    fn what_is_observed_ends_in_any_way_and_the_stage_goes_on() {
        let observe = |step: &str| format!(r#"{{"observe":{{"name":"x","step":{step}}}}}"#);
        let read = r#"{"read-bar":{"fd":"m","bar":0,"offset":8,"width":4,"check":"alive"}}"#;
        let steps = [read, r#"{"memfd":{"fd":"m","bytes":8,"seed":1}}"#, read].map(observe).join(",");
        let log = run(&format!(r#"[{{"steps":[{steps}]}}]"#), 0);
        let observed: Vec<_> = log.iter().filter(|line| line.starts_with("observed")).collect();
        assert_eq!(observed, ["observed x Failed", "observed x Done", r#"observed x Errno("ENOTTY")"#]);
        assert!(log[1].starts_with("step 0 true no fd") && log[6] == "done true", "{log:?}");
        let log = run(&format!(r#"[{{"steps":[{}]}}]"#, observe(&observe(r#""kexec-unload""#))), 0);
        assert!(log[1].contains("no inner step"), "{log:?}");
    }

    #[test]
    fn the_first_failure_ends_the_stage() {
        let steps = r#"{"close":{"name":"m"}},{"mark":{"name":"x"}}"#;
        let log = run(&format!(r#"[{{}},{{"steps":[{steps}]}}]"#), 1);
        assert!(log[0].starts_with("step 0 false no fd"), "{log:?}");
        assert_eq!(log[1..], ["done false"]);
    }

    #[test]
    fn an_empty_stage_is_done_and_a_missing_one_is_not() {
        assert_eq!(run("[{}]", 0), ["done true"]);
        assert_eq!(run("[{}]", 1), ["step 0 false this is hop 1, but the plan has 1 stages", "done false"]);
    }

    #[test]
    fn a_jump_in_the_middle_is_found() {
        let mark = || Step::Mark { name: "x".into() };
        assert_eq!(misplaced_jump(&[Step::KexecReboot, mark()]), Some(0));
        assert_eq!(misplaced_jump(&[mark(), Step::KexecReboot]), None);
        let expected = Step::Fails { errno: "EINVAL".into(), step: Box::new(Step::KexecReboot) };
        assert_eq!(misplaced_jump(&[expected, mark()]), None, "this one is expected to come back");
    }
}
