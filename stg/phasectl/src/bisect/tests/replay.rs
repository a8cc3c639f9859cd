// SPDX-License-Identifier: GPL-2.0-only

//! A tester that replays what two runs of phase1/pci-bus-master once said: one that passed, and one with the planted fault
//! 1.8-all-stopped, which failed in the second kernel. They are judged anew each time, against the scenario as it was then. The
//! consoles are cut to the lines about devices and live updates.

use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use ci::bisect::{Answer, Question};
use harness::case::{Job, Variant};
use harness::needs::Needs;
use harness::observe::{End, Hop, Line, Observation, TimedEvent};
use harness::scenario::Scenario;
use harness::topology::Topologies;
use harness::verdict::{Class, Verdict, judge};
use serde::Deserialize;
use stg_core::Disk;

use crate::bisect::hunt::{Tested, Tester};
use crate::judged::Judged;

/// The scenario that is replayed, as the command line calls it.
pub(super) const SCENARIO: &str = "phase1/pci-bus-master/noiommu";

/// How a replayed run is judged.
pub(super) fn judged(passes: bool) -> Judged {
    let Verdict { class, reason } = verdict(passes).clone();
    Judged { case: SCENARIO.to_owned(), passed: class == Class::Pass, class, reason, cached: false }
}

/// The same as an answer.
pub(super) fn tested(passes: bool) -> Tested {
    let Judged { passed, class, reason, .. } = judged(passes);
    let answer = if passed { Answer::Good } else { Answer::Bad };
    Tested { answer, class: (!passed).then_some(class), reason, known: false }
}

/// Answers by number, without kernels.
pub(super) struct Scripted<F>(pub(super) F);

impl<F: FnMut(Question) -> Tested> Tester for Scripted<F> {
    fn test(&mut self, question: Question) -> anyhow::Result<Tested> {
        Ok(self.0(question))
    }

    fn twins(&mut self, _: usize, _: usize) -> anyhow::Result<bool> {
        Ok(false)
    }
}

/// Chance that is the same every time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(88_172_645_463_325_252 ^ (seed << 17))
    }

    /// Once in so many times.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.is_multiple_of(times)
    }
}

fn verdict(passes: bool) -> &'static Verdict {
    static PASS: OnceLock<Verdict> = OnceLock::new();
    static FAIL: OnceLock<Verdict> = OnceLock::new();
    if passes { PASS.get_or_init(|| replay("pass")) } else { FAIL.get_or_init(|| replay("fail")) }
}

fn transcripts() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bisect/tests/transcripts")
}

fn replay(run: &str) -> Verdict {
    let disk = Disk::new(transcripts());
    let scenario = Scenario::load(&disk, "phase1/pci-bus-master").unwrap();
    let topologies = Topologies::load(&disk).unwrap();
    let case = &scenario.cases[0];
    let job = Job::new(&scenario, case, Variant::Stages, &topologies, &Needs::default()).unwrap();
    judge(&job.plan, &[], scenario.expect(case), &seen(&transcripts().join(run)))
}

fn seen(run: &Utf8Path) -> Observation {
    #[derive(Deserialize)]
    struct Entry {
        host_ms: u64,
        event: plan::Event,
    }
    let text = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    let event = |line: &str| {
        let Entry { host_ms, event } = serde_json::from_str(line).unwrap();
        TimedEvent { host_ms, event }
    };
    let hop = |name: &str| {
        let lines: Vec<Line> = text(name).lines().map(line).collect();
        Hop { banner: lines.iter().any(|line| line.text.starts_with("Linux version ")), lines }
    };
    Observation {
        end: End::Exited { code: Some(0), signal: None },
        shutdown: Some("guest-shutdown".to_owned()),
        qemu_output: Vec::new(),
        events: text("events.jsonl").lines().map(event).collect(),
        noise: Vec::new(),
        hops: vec![hop("console-0.log"), hop("console-1.log")],
        cpus: Vec::new(),
        witness: None,
        translation: None,
        unchanged: None,
        elapsed: std::time::Duration::from_secs(6),
    }
}

/// `    803 [    0.556827] pci 0000:01:00.0: ...`
fn line(text: &str) -> Line {
    let (host_ms, rest) = text.trim_start().split_once(' ').unwrap();
    let timed = rest.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    let (guest_seconds, text) = timed.map_or((None, rest), |(seconds, text)| (seconds.trim().parse().ok(), text));
    Line { host_ms: host_ms.parse().unwrap(), guest_seconds, text: text.to_owned() }
}

#[test]
fn one_run_passed_and_the_other_failed_in_the_second_kernel() {
    assert_eq!(judged(true), Judged { passed: true, class: Class::Pass, reason: String::new(), ..judged(true) });
    let failed = judged(false);
    assert_eq!(failed.class, Class::Stage2Failure);
    assert!(failed.reason.contains("0000:01:00.0 at 0x4: read 0x103, want 0x4"), "{}", failed.reason);
}
