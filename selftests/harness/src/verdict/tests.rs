// SPDX-License-Identifier: GPL-2.0-only

//! Each class from an observation that is as small as it can be.

use std::collections::BTreeMap;
use std::time::Duration;

use plan::Stage;

use super::*;
use crate::console::Console;
use crate::observe::TimedEvent;
use crate::scenario::Text;
use crate::serial::Splitter;
use crate::translation::{Devices, Fault, Told};
use crate::witness::{Device, Frame, Landed, Look, Mark, Record, What};

const A: &str = "[    0.0] Linux version 7.3.4 (A)\n";
const JUMPS: &str = "[    2.0] kexec_core: Starting new kernel\n";
const B: &str = "[    0.0] Linux version 7.3.4 (B)\n[    0.1] KHO: found kexec handover data.\n\
                 [    0.2] luo_core: Retrieved live update data, liveupdate number: 1\n";

fn plan() -> Plan {
    let first = vec![
        Step::CreateSession { session: "s".into() },
        Step::KexecLoad { kernel: "incoming".into(), append: String::new(), drop: Vec::new() },
        Step::KexecReboot,
    ];
    let second = vec![Step::RetrieveSession { session: "s".into() }, Step::Mark { name: "m".into() }];
    let stages = vec![Stage { steps: first, between: Vec::new() }, Stage { steps: second, between: Vec::new() }];
    Plan { name: "t".into(), devices: BTreeMap::new(), kernels: vec!["incoming".into()], slowness: 1, stages }
}

fn boot(hop: u32) -> Event {
    Event::Boot { hop, kernel: "7.3.4".into(), tsc: 0 }
}

fn step(hop: u32, index: usize, ok: bool) -> Event {
    Event::Step { hop, index, what: format!("step {index}"), ok, detail: "ENOENT".into(), tsc: 0 }
}

fn mark() -> Event {
    Event::Mark { hop: 1, name: "m".into(), tsc: 0 }
}

/// What the first kernel reports when all goes well.
fn first() -> Vec<Event> {
    vec![boot(0), step(0, 0, true), step(0, 1, true), Event::Done { hop: 0, ok: true }, Event::Kexec { hop: 0, tsc: 0 }]
}

/// The same for both.
fn both() -> Vec<Event> {
    [first(), vec![boot(1), step(1, 0, true), mark(), Event::Done { hop: 1, ok: true }]].concat()
}

fn seen(console: &str, events: Vec<Event>, shutdown: &str) -> Observation {
    let mut sorted = Console::default();
    Splitter::default().push(0, console.as_bytes()).into_iter().for_each(|line| {
        sorted.push(line);
    });
    Observation {
        end: End::Exited { code: Some(0), signal: None },
        shutdown: Some(shutdown.into()),
        qemu_output: vec![],
        events: events.into_iter().map(|event| TimedEvent { host_ms: 0, event }).collect(),
        noise: vec![],
        hops: sorted.into_hops(),
        cpus: vec![],
        witness: None,
        translation: None,
        unchanged: None,
        elapsed: Duration::from_secs(1),
    }
}

fn verdict(seen: &Observation) -> Verdict {
    judge(&plan(), &[], &Expect::default(), seen)
}

fn class(console: &str, events: Vec<Event>, shutdown: &str) -> Class {
    verdict(&seen(console, events, shutdown)).class
}

fn good() -> Observation {
    seen(&[A, JUMPS, B].concat(), both(), "guest-shutdown")
}

#[test]
fn pass() {
    assert_eq!(verdict(&good()), Verdict::new(Class::Pass, ""));
}

#[test]
fn nothing_passes_with_anything_missing() {
    for missing in 0..both().len() {
        let mut events = both();
        let lost = events.remove(missing);
        // The first kernel's own `Done` adds nothing to what its steps and the next kernel say.
        if lost == (Event::Done { hop: 0, ok: true }) {
            continue;
        }
        let verdict = verdict(&seen(&[A, JUMPS, B].concat(), events, "guest-shutdown"));
        assert_ne!(verdict.class, Class::Pass, "without {lost:?}");
        assert!(!verdict.reason.is_empty());
    }
}

#[test]
fn a_plan_without_kexec_never_passes_as_a_hand_over() {
    let plan = Plan { stages: vec![Stage::default()], ..plan() };
    let seen = seen(A, vec![boot(0), Event::Done { hop: 0, ok: true }], "guest-shutdown");
    assert_eq!(judge(&plan, &[], &Expect::default(), &seen).class, Class::NoSecondKernel);
}

#[test]
fn boot_failure_a() {
    let panic = [A, "[    1.0] Kernel panic - not syncing: No working init found.\n"].concat();
    assert_eq!(class(&panic, vec![], "guest-reset"), Class::BootFailureA);
    assert_eq!(class("", vec![], "guest-reset"), Class::BootFailureA);
    assert_eq!(class(A, vec![], "guest-shutdown"), Class::BootFailureA);
    let silent = Observation { end: End::Stalled(Duration::from_secs(9)), ..seen("SeaBIOS\n", vec![], "") };
    assert_eq!(verdict(&silent).class, Class::BootFailureA);
}

#[test]
fn steps_are_numbered_as_in_the_report() {
    // Three steps come before it, in the first stage.
    let events = [first(), vec![boot(1), step(1, 0, false)]].concat();
    let reason = verdict(&seen(&[A, JUMPS, B].concat(), events, "guest-shutdown")).reason;
    assert_eq!(reason, "in the second kernel, step 4 (step 0): ENOENT");
}

#[test]
fn stage1_failure() {
    let events = vec![boot(0), step(0, 0, false), Event::Done { hop: 0, ok: false }];
    let seen = seen(A, events, "guest-shutdown");
    assert_eq!(verdict(&seen), Verdict::new(Class::Stage1Failure, "in the first kernel, step 1 (step 0): ENOENT"));
    let oops = "[    1.0] BUG: kernel NULL pointer dereference\n[    1.1] RIP: 0010:luo_preserve_file+0x1\n\
                [    1.2] Kernel panic - not syncing: Fatal exception\n";
    assert_eq!(class(&[A, oops].concat(), vec![boot(0)], "guest-reset"), Class::Stage1Failure);
    assert_eq!(class(A, vec![boot(0)], "guest-reset"), Class::Stage1Failure);
}

#[test]
fn kexec_load_failure() {
    let events = vec![boot(0), step(0, 0, true), step(0, 1, false), Event::Done { hop: 0, ok: false }];
    assert_eq!(class(A, events, "guest-shutdown"), Class::KexecLoadFailure);
}

#[test]
fn no_second_kernel() {
    let back = [first(), vec![step(0, 2, false), Event::Done { hop: 0, ok: false }]].concat();
    assert_eq!(class(A, back, "guest-shutdown"), Class::NoSecondKernel);
    assert_eq!(class(&[A, JUMPS].concat(), first(), "guest-reset"), Class::NoSecondKernel);
    assert_eq!(class(&[A, JUMPS].concat(), first(), "guest-shutdown"), Class::NoSecondKernel);
    let seen = Observation { end: End::Stalled(Duration::from_secs(9)), ..seen(&[A, JUMPS].concat(), first(), "") };
    assert_eq!(verdict(&seen).class, Class::NoSecondKernel);
}

#[test]
fn boot_failure_b() {
    let panic = "[    0.9] Kernel panic - not syncing: VFS: Unable to mount root fs\n";
    assert_eq!(class(&[A, JUMPS, B, panic].concat(), first(), "guest-reset"), Class::BootFailureB);
    assert_eq!(class(&[A, JUMPS, B].concat(), first(), "guest-reset"), Class::BootFailureB);
}

#[test]
fn handover_ignored() {
    let events = || [first(), vec![boot(1), step(1, 0, false), Event::Done { hop: 1, ok: false }]].concat();
    let none = "[    0.0] Linux version 7.3.4 (B)\n";
    let unread = "[    0.0] Linux version 7.3.4 (B)\n[    0.1] KHO: found kexec handover data.\n";
    let refused = "[    0.0] KHO: disabling KHO revival\n";
    for second in [none, unread, refused] {
        let verdict = verdict(&seen(&[A, JUMPS, second].concat(), events(), "guest-shutdown"));
        assert_eq!(verdict.class, Class::HandoverIgnored, "{second}");
    }
    // A kernel that was told to be quiet proves nothing.
    assert_eq!(class("", events(), "guest-shutdown"), Class::Stage2Failure);
}

#[test]
fn restore_panic() {
    let message = "[    0.5] Kernel panic - not syncing: The incoming tree failed to initialize properly [-EINVAL], \
                   disabling live update\n";
    assert_eq!(class(&[A, JUMPS, B, message].concat(), first(), "guest-reset"), Class::RestorePanic);
    let trace = "[    1.0] BUG: kernel NULL pointer dereference\n[    1.1] RIP: 0010:x+0x1\n\
                 [    1.2]  luo_retrieve_file+0x10\n[    1.3] Kernel panic - not syncing: Fatal exception\n";
    let events = [first(), vec![boot(1)]].concat();
    assert_eq!(class(&[A, JUMPS, B, trace].concat(), events, "guest-reset"), Class::RestorePanic);
}

#[test]
fn stage2_failure() {
    let events = [first(), vec![boot(1), step(1, 0, false), Event::Done { hop: 1, ok: false }]].concat();
    assert_eq!(class(&[A, JUMPS, B].concat(), events, "guest-shutdown"), Class::Stage2Failure);
    let other = "[    1.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n";
    let events = || [first(), vec![boot(1)]].concat();
    assert_eq!(class(&[A, JUMPS, B, other].concat(), events(), "guest-reset"), Class::Stage2Failure);
    assert_eq!(class(&[A, JUMPS, B].concat(), events(), "guest-shutdown"), Class::Stage2Failure);
}

#[test]
fn oops_despite_pass() {
    for complaint in [
        "WARNING: CPU: 0 PID: 1 at mm/x.c:1",
        "BUG: KASAN: use-after-free in x",
        "UBSAN: array-index-out-of-bounds in x",
        "unreferenced object 0xffff (size 8):",
        "kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        "kmemleak: Kernel memory leak detector disabled",
        "BUG kmalloc-64 (Tainted: G    B): Poison overwritten",
        "INFO: trying to register non-static key.",
        "[ BUG: Invalid wait context ]",
        "WARNING: possible irq lock inversion dependency detected",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "WARNING: possible circular locking dependency detected",
        "BUG: sleeping function called from invalid context",
    ] {
        let seen = seen(&[A, JUMPS, B, &format!("[    1.0] {complaint}\n")].concat(), both(), "guest-shutdown");
        assert_eq!(verdict(&seen).class, Class::OopsDespitePass, "{complaint}");
        let expect = Expect { allow: vec![complaint.into()], ..Expect::default() };
        assert_eq!(judge(&plan(), &[], &expect, &seen).class, Class::Pass, "{complaint}");
    }
}

#[test]
fn a_report_is_allowed_for_what_it_is_about() {
    let report = "[    1.0] WARNING: possible circular locking dependency detected\n[    1.0] 7.3.4 #1 Not tainted\n\
                  [    1.0] -----\n[    1.0] task is trying to acquire lock:\n[    1.0] ff (&lock), at: known+0x1\n[    1.0] \n";
    let verdict = |said: &str, allow: &str| {
        let expect = Expect { allow: vec![allow.into()], ..Expect::default() };
        judge(&plan(), &[], &expect, &seen(&[A, JUMPS, B, said].concat(), both(), "guest-shutdown")).class
    };
    assert_eq!(verdict(report, "at: known+"), Class::Pass);
    assert_eq!(verdict(report, "at: other+"), Class::OopsDespitePass);
    // Not for what follows much later, and not the next one.
    let late = report.replace("[    1.0] -----\n", &"[    1.0] -----\n".repeat(3));
    assert_eq!(verdict(&late, "at: known+"), Class::OopsDespitePass);
    assert_eq!(verdict(&format!("{report}[    2.0] WARNING: else\n"), "at: known+"), Class::OopsDespitePass);
}

#[test]
fn hang() {
    let cpus = vec![crate::observe::Cpu { index: 0, rip: 1, halted: false, user: false, symbol: Some("f+0x1".into()) }];
    let end = End::Stalled(Duration::from_secs(9));
    let seen = Observation { end, cpus, ..seen(A, vec![boot(0)], "") };
    assert_eq!(verdict(&seen), Verdict::new(Class::Hang, "the first kernel was silent for 9 s; CPU 0 runs f+0x1"));
}

#[test]
fn qemu_abort() {
    let end = |code, signal, shutdown: Option<&str>| {
        let end = End::Exited { code, signal };
        verdict(&Observation {
            end,
            shutdown: shutdown.map(Into::into),
            qemu_output: vec!["bad option".into()],
            ..good()
        })
    };
    assert_eq!(end(Some(1), None, None), Verdict::new(Class::QemuAbort, "QEMU ended with status 1: bad option"));
    assert_eq!(end(None, Some(11), Some("guest-shutdown")).class, Class::QemuAbort);
    assert_eq!(end(Some(0), None, None).class, Class::QemuAbort);
    assert_eq!(end(Some(0), None, Some("host-signal")).class, Class::QemuAbort);
}

#[test]
fn host_timeout() {
    let seen = Observation { end: End::WallLimit(Duration::from_secs(9)), ..seen(A, vec![boot(0)], "") };
    assert_eq!(verdict(&seen).class, Class::HostTimeout);
}

#[test]
fn kunit() {
    let plan = Plan { stages: vec![Stage::default()], ..plan() };
    let judge = |console: &str, suite: &str| {
        let seen = seen(console, vec![boot(0), Event::Done { hop: 0, ok: true }], "guest-shutdown");
        judge(&plan, &[suite.to_owned()], &Expect::default(), &seen)
    };
    let head =
        [A, "[    1.0] KTAP version 1\n[    1.0] 1..1\n[    1.0]     KTAP version 1\n[    1.0]     # Subtest: kho\n"]
            .concat();
    let good = format!("{head}[    1.0]     1..1\n[    1.0]     ok 1 x\n[    1.0] ok 1 kho\n");
    let bad =
        format!("{head}[    1.0]     1..2\n[    1.0]     ok 1 x\n[    1.0]     not ok 2 y\n[    1.0] not ok 1 kho\n");
    let cut = format!("{head}[    1.0]     1..2\n[    1.0]     ok 1 x\n[    1.0] ok 1 kho\n");
    assert_eq!(judge(&good, "kho").class, Class::Pass);
    assert_eq!(judge(&good, "luo").reason, "KUnit suite `luo` did not run");
    assert_eq!(judge(&bad, "kho").reason, "KUnit suite kho: y: failed");
    assert_eq!(judge(&cut, "kho").class, Class::Stage1Failure, "a suite that lost a test is no success");
}

/// Every tick came back at once, and nothing landed but for the first frames.
fn record(landed: usize) -> Record {
    let ticks: Vec<u64> = (0..400).map(|tick| tick * 5_000_000).collect();
    let frame = |(tick, sent): (usize, &u64)| {
        let (missed, seen) = (Look { at: *sent, echoes: tick }, Look { at: sent + 2, echoes: tick });
        Frame { tick, sent: *sent, landed: (tick < landed).then_some(Landed { missed, seen, descriptor: tick }) }
    };
    let frames = ticks.iter().enumerate().map(frame).collect();
    let device = Device { name: "dut".into(), since: Some(0), frames, ..Device::default() };
    let mark = |what, at| Mark { what, after: at, at };
    let marks =
        vec![mark(What::Jumps(0), 400_000_000), mark(What::Speaks(1), 800_000_000), mark(What::Ends, 1_900_000_000)];
    Record {
        jumps: 1,
        echoes: ticks.iter().map(|tick| tick + 1).collect(),
        ticks,
        marks,
        devices: vec![device],
        ..Record::default()
    }
}

fn witnessed(record: Record, seen: Observation) -> Verdict {
    let events = seen.events.into_iter().zip((0..).step_by(100));
    let events = events.map(|(timed, host_ms)| TimedEvent { host_ms, ..timed }).collect();
    verdict(&Observation { witness: Some(record), events, ..seen })
}

#[test]
fn dma_interrupted() {
    assert_eq!(witnessed(record(400), good()).class, Class::Pass);
    let verdict = witnessed(record(100), good());
    assert_eq!(verdict.class, Class::DmaInterrupted);
    assert_eq!(
        verdict.reason,
        "dut wrote nothing any more from 0.495 s on: frame 100 and 280 after it never landed, while 281 ticks of the reference came \
         back; the first kernel was about to jump, or had"
    );
    // A step that failed for that reason came later. A panic is more.
    let failed = || [first(), vec![boot(1), step(1, 0, false), Event::Done { hop: 1, ok: false }]].concat();
    let late = seen(&[A, JUMPS, B].concat(), failed(), "guest-shutdown");
    assert_eq!(witnessed(record(100), late.clone()).class, Class::DmaInterrupted);
    assert_eq!(witnessed(record(400), late).class, Class::Stage2Failure);
    let panic = "[    0.9] Kernel panic - not syncing: VFS: Unable to mount root fs\n";
    assert_eq!(
        witnessed(record(100), seen(&[A, JUMPS, B, panic].concat(), first(), "guest-reset")).class,
        Class::BootFailureB
    );
}

/// Translation was on from the start, was off at one time for a moment, and the devices are `dut` and `dut1`.
fn translating(off_at: Option<u64>, refused: Option<(u64, u16)>, seen: Observation) -> Verdict {
    let told = [(0, Told::Enabled(true))].into_iter();
    let off = off_at.into_iter().flat_map(|at| [(at, Told::Enabled(false)), (at + 1_000_000, Told::Enabled(true))]);
    let fault = refused.map(|(at, source)| (at, Told::Fault(Fault { source, reason: 2, address: 0, write: false })));
    let record = translation::Record {
        devices: Devices { preserved: vec!["dut".into()], shut_out: vec!["dut1".into()], remapping_ends: false },
        told: told.chain(off).chain(fault).collect(),
        looks: vec![translation::Look {
            at: 1,
            status: u32::MAX,
            addresses: [("dut".to_owned(), 0x100), ("dut1".to_owned(), 0x200)].into(),
        }],
        over: Some(2_000_000_000),
    };
    let events = seen.events.into_iter().zip((0..).step_by(100));
    let events = events.map(|(timed, host_ms)| TimedEvent { host_ms, ..timed }).collect();
    verdict(&Observation { translation: Some(record), events, ..seen })
}

#[test]
fn translation_broken() {
    let refused = Some((1_000_000_000, 0x200));
    assert_eq!(translating(None, refused, good()), Verdict::new(Class::Pass, ""));
    let verdict = translating(Some(450_000_000), refused, good());
    assert_eq!(verdict.class, Class::TranslationBroken);
    assert_eq!(
        verdict.reason,
        "translation was switched off for 1 ms at 0.450 s; the first kernel was about to jump, or had"
    );
    let verdict = translating(None, Some((550_000_000, 0x100)), good());
    assert_eq!(verdict.class, Class::TranslationBroken);
    assert_eq!(
        verdict.reason,
        "dut was refused a read of 0x0 at 0.550 s (fault 2); the second kernel had just started its init"
    );
    // A step that failed may be the reason why nobody tried.
    let failed = || [first(), vec![boot(1), step(1, 0, false), Event::Done { hop: 1, ok: false }]].concat();
    let late = || seen(&[A, JUMPS, B].concat(), failed(), "guest-shutdown");
    for (refused, class) in [(None, Class::TranslationBroken), (Some((400_000_000, 0x200)), Class::TranslationBroken)] {
        let verdict = translating(None, refused, good());
        assert_eq!((verdict.class, verdict.reason.contains("dut1 was refused after the last kexec")), (class, true));
        assert_eq!(translating(None, refused, late()).class, Class::Stage2Failure);
    }
    assert_eq!(translating(Some(450_000_000), None, late()).class, Class::TranslationBroken);
}

#[test]
fn memory_changed() {
    let changed = unchanged::Changed { at: 650_000_000, what: "word 0 changed".into() };
    let judged = |changed, seen: Observation| {
        let events = seen.events.into_iter().zip((0..).step_by(100));
        let events = events.map(|(timed, host_ms)| TimedEvent { host_ms, ..timed }).collect();
        let record = unchanged::Record { bytes: 8, comparisons: 1, changed };
        verdict(&Observation { unchanged: Some(record), events, ..seen })
    };
    assert_eq!(judged(None, good()).class, Class::Pass);
    let verdict = judged(Some(changed.clone()), good());
    assert_eq!(verdict.class, Class::MemoryChanged);
    assert_eq!(verdict.reason, "word 0 changed, as was seen at 0.650 s; the second kernel had last reported `step 0`");
    let panic = "[    0.9] Kernel panic - not syncing: VFS: Unable to mount root fs\n";
    let died = seen(&[A, JUMPS, B, panic].concat(), first(), "guest-reset");
    assert_eq!(judged(Some(changed), died).class, Class::BootFailureB);
}

#[test]
fn unwitnessed() {
    let few = || {
        let mut record = record(400);
        record.limits.arrivals = 90;
        record
    };
    let verdict = witnessed(few(), good());
    assert_eq!(verdict.class, Class::Unwitnessed);
    assert!(verdict.reason.contains("only 81 frames of dut landed in the 400 ms of blackout 0"), "{}", verdict.reason);
    let oops =
        seen(&[A, JUMPS, B, "[    1.0] WARNING: CPU: 0 PID: 1 at mm/x.c:1\n"].concat(), both(), "guest-shutdown");
    assert_eq!(witnessed(few(), oops).class, Class::OopsDespitePass, "whatever else is wrong is said first");
}

#[test]
fn expectations_of_the_console() {
    let text = |text: &str, hop| Text { text: text.into(), hop };
    let with = |console, forbid| judge(&plan(), &[], &Expect { console, forbid, ..Expect::default() }, &good());
    assert_eq!(with(vec![text("KHO: found", Some(1))], vec![]).class, Class::Pass);
    assert_eq!(with(vec![text("KHO: found", None)], vec![text("KHO: found", Some(0))]).class, Class::Pass);
    assert_eq!(with(vec![text("KHO: found", Some(0))], vec![]).class, Class::Stage1Failure);
    assert_eq!(with(vec![text("nowhere", None)], vec![]).class, Class::Stage2Failure);
    assert_eq!(with(vec![], vec![text("KHO: found", None)]).class, Class::Stage2Failure);
}
