// SPDX-License-Identifier: GPL-2.0-only

//! The whole way from a scenario to its result, against a scripted QEMU: one test per verdict class, and what must hold
//! of the supervisor itself.

#![expect(clippy::unwrap_used, reason = "in a test, that is how to fail")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use harness::HarnessError;
use harness::filter::Filter;
use harness::needs::Needs;
use harness::report::{CaseResult, Observed};
use harness::run::{KernelFiles, Runner};
use harness::scenario::Scenario;
use harness::topology::Topologies;
use harness::verdict::Class;
use plan::{Event, HostAction, Outcome};
use serde_json::{Value, json};
use stg_core::Disk;

const A: &str = "[    0.000000] Linux version 7.3.4 (A)\n";
const JUMPS: &str = "[    2.000000] kexec_core: Starting new kernel\n";
const B: &str = "early console in extract_kernel\n[    0.000000] Linux version 7.3.4 (B)\n[    0.100000] KHO: found kexec \
                 handover data.\n[    0.200000] luo_core: Retrieved live update data, liveupdate number: 1\n";
const SCENARIO: &str = "\
title: a session survives
rows: ['9.9']
cases: [{ name: legacy, topology: legacy }]
stages:
  - steps: [{ create-session: { session: s } }, { kexec-load: { kernel: incoming } }, kexec-reboot]
  - steps: [{ retrieve-session: { session: s } }]
";

struct Lab {
    directory: tempfile::TempDir,
}

impl Lab {
    fn new(script: &[Value]) -> Self {
        let lab = Self { directory: tempfile::tempdir().unwrap() };
        symlink(env!("CARGO_BIN_EXE_fake-qemu"), lab.path("qemu")).unwrap();
        fs::write(lab.path("qemu.script"), serde_json::to_string(script).unwrap()).unwrap();
        for name in ["init", "bzImage"] {
            fs::write(lab.path(name), name).unwrap();
        }
        fs::write(lab.path("System.map"), "ffffffff81000000 T spin\n").unwrap();
        lab
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.directory.path().join(name)).unwrap()
    }

    /// Runs the scenario with `extra` YAML and gives the result and the KTAP.
    fn run(&self, extra: &str) -> (CaseResult, String) {
        self.try_run(&format!("{SCENARIO}{extra}")).unwrap()
    }

    /// Runs a scenario that the host cannot make happen, on a machine with hot-plug.
    fn host_fails(&self, between: &str) -> String {
        self.hotplug(between).unwrap_err()
    }

    fn hotplug(&self, between: &str) -> Result<(CaseResult, String), String> {
        let scenario = SCENARIO.replace("topology: legacy", "topology: hotplug-legacy");
        let jump = "kexec-reboot]\n";
        self.try_run(&scenario.replace(jump, &format!("{jump}    between: [{between}]\n")))
            .map_err(|error| error.to_string())
    }

    fn try_run(&self, scenario: &str) -> Result<(CaseResult, String), HarnessError> {
        let directory = self.path("selftests/scenarios/harness");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("session.yaml"), scenario).unwrap();
        let checkout = Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let kernel = KernelFiles {
            bzimage: self.path("bzImage"),
            system_map: Some(self.path("System.map")),
            modules: None,
            needs: Needs::default(),
        };
        let runner = Runner {
            qemu: self.path("qemu"),
            init: self.path("init"),
            topologies: Topologies::load(&Disk::new(checkout)).unwrap(),
            out_dir: self.path("out"),
            kernels: BTreeMap::from([("current".to_owned(), kernel)]),
            programs: None,
        };
        let mut ktap = Vec::new();
        let scenario = Scenario::load(&Disk::new(self.path("")), "harness/session").unwrap();
        let mut results = runner.run(&[scenario], &Filter::all(), &mut ktap)?;
        Ok((results.remove(0), String::from_utf8(ktap).unwrap()))
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path("out/harness/session/legacy").join(name)).unwrap()
    }
}

fn verdict(script: &[Value]) -> CaseResult {
    Lab::new(script).run("stall: 1\nwall: 3\n").0
}

fn console(text: &str) -> Value {
    json!({"console": text})
}

fn say(event: &Event) -> Value {
    json!({"result": event.to_line()})
}

fn boot(hop: u32) -> Value {
    say(&Event::Boot { hop, kernel: format!("7.3.4 #{hop}"), tsc: 1 })
}

fn step(hop: u32, index: usize, ok: bool) -> Value {
    say(&Event::Step { hop, index, what: format!("do {index}"), ok, detail: "EBUSY".into(), tsc: 2 })
}

fn done(hop: u32, ok: bool) -> Value {
    say(&Event::Done { hop, ok })
}

fn end(reason: &str) -> Vec<Value> {
    vec![json!({"shutdown": reason}), json!({"exit": 0})]
}

/// Up to the jump.
fn first() -> Vec<Value> {
    let jump = say(&Event::Kexec { hop: 0, tsc: 3 });
    vec![console(A), boot(0), step(0, 0, true), step(0, 1, true), done(0, true), jump, console(JUMPS)]
}

fn both(said_by_b: &str) -> Vec<Value> {
    [first(), vec![console(B), console(said_by_b), boot(1), step(1, 0, true), done(1, true)]].concat()
}

fn then(start: Vec<Value>, rest: Vec<Value>) -> Vec<Value> {
    [start, rest].concat()
}

#[test]
fn pass() {
    let lab = Lab::new(&then(both("last words without newline"), end("guest-shutdown")));
    let (result, ktap) = lab.run("");
    assert_eq!((result.passed, result.verdict, result.reason.as_str()), (true, Class::Pass, ""));
    assert_eq!(result.kernels, ["7.3.4 #0", "7.3.4 #1"]);
    insta::assert_snapshot!(ktap, @"
    KTAP version 1
    1..1
        KTAP version 1
        # Subtest: 9.9 session/legacy: a session survives
        1..4
        ok 1 - hop 0: do 0
        ok 2 - hop 0: do 1
        ok 3 - hop 0: jump into the next kernel
        ok 4 - hop 1: do 0
    ok 1 - 9.9 session/legacy: a session survives
    ");
    assert!(lab.log("console-0.log").contains("(A)") && !lab.log("console-0.log").contains("(B)"));
    assert!(
        lab.log("console-1.log").contains("extract_kernel") && lab.log("console-1.log").ends_with("without newline\n")
    );
    assert_eq!(lab.log("events.jsonl").lines().count(), 8);
    assert!(lab.log("qemu.log").contains("guest-shutdown"));
    let written: CaseResult = serde_json::from_str(&lab.log("verdict.json")).unwrap();
    assert_eq!(written, result);
}

#[test]
fn what_was_observed_is_in_the_result() {
    let observed = |outcome| say(&Event::Observed { hop: 1, name: "seen".into(), outcome });
    let late = vec![observed(Outcome::Errno("EIO".into())), step(1, 0, true), done(1, true)];
    let script = [first(), vec![console(B), boot(1)], late, end("guest-shutdown")].concat();
    let result = verdict(&script);
    assert!(result.passed, "{}", result.reason);
    let want = Observed { hop: 1, name: "seen".into(), outcome: Outcome::Errno("EIO".into()) };
    assert_eq!(result.observed, [want]);
}

#[test]
fn boot_failure_a() {
    let script =
        then(vec![console(A), console("[    1.0] Kernel panic - not syncing: No working init\n")], end("guest-reset"));
    assert_eq!(verdict(&script).verdict, Class::BootFailureA);
}

#[test]
fn stage1_failure() {
    let lab = Lab::new(&then(vec![console(A), boot(0), step(0, 0, false), done(0, false)], end("guest-shutdown")));
    let (result, ktap) = lab.run("");
    assert_eq!((result.passed, result.verdict), (false, Class::Stage1Failure));
    assert!(
        ktap.contains("not ok 1 - 9.9 session/legacy: a session survives\n# verdict: stage1-failure: in the first"),
        "{ktap}"
    );
}

#[test]
fn kexec_load_failure() {
    let script = vec![console(A), boot(0), step(0, 0, true), step(0, 1, false), done(0, false)];
    assert_eq!(verdict(&then(script, end("guest-shutdown"))).verdict, Class::KexecLoadFailure);
}

#[test]
fn no_second_kernel() {
    assert_eq!(verdict(&then(first(), end("guest-reset"))).verdict, Class::NoSecondKernel);
    assert_eq!(verdict(&then(first(), vec![json!("hang")])).verdict, Class::NoSecondKernel);
}

#[test]
fn boot_failure_b() {
    let panic = console("[    0.9] Kernel panic - not syncing: VFS: Unable to mount root fs\n");
    let script = then(first(), vec![console(B), panic]);
    assert_eq!(verdict(&then(script, end("guest-reset"))).verdict, Class::BootFailureB);
}

#[test]
fn handover_ignored() {
    let second = vec![console("[    0.0] Linux version 7.3.4 (B)\n"), boot(1), step(1, 0, false), done(1, false)];
    assert_eq!(verdict(&then(then(first(), second), end("guest-shutdown"))).verdict, Class::HandoverIgnored);
}

#[test]
fn restore_panic() {
    let panic = console(
        "[    0.3] Kernel panic - not syncing: The incoming tree failed to initialize, disabling live update\n",
    );
    let script = then(first(), vec![console(B), panic]);
    assert_eq!(verdict(&then(script, end("guest-reset"))).verdict, Class::RestorePanic);
}

#[test]
fn a_panic_that_does_not_reset_is_still_a_panic() {
    let panic = console(
        "[    0.3] Kernel panic - not syncing: luo_x\n[    0.4] ---[ end Kernel panic - not syncing: luo_x ]---\n",
    );
    let script = then(first(), vec![console(B), panic, json!("hang")]);
    assert_eq!(verdict(&script).verdict, Class::RestorePanic);
}

#[test]
fn stage2_failure() {
    let second = vec![console(B), boot(1), step(1, 0, false), done(1, false)];
    assert_eq!(verdict(&then(then(first(), second), end("guest-shutdown"))).verdict, Class::Stage2Failure);
}

#[test]
fn oops_despite_pass() {
    let script = both("[    1.0] WARNING: CPU: 0 PID: 1 at drivers/pci/x.c:1 x+0x1\n");
    assert_eq!(verdict(&then(script, end("guest-shutdown"))).verdict, Class::OopsDespitePass);
}

const WITNESSED: &str = "\
title: a device goes on
rows: ['9.9']
cases: [{ name: legacy, topology: frames-none }]
witness: {}
stages:
  - steps:
      - open-cdev: { device: dut, fd: dut }
      - memfd: { fd: ring, bytes: 4096, seed: 1 }
      - igb-receive: { fd: dut, memory: ring }
      - kexec-reboot
  - steps: []
";

#[test]
fn unwitnessed() {
    // All goes well, but nobody ever says where the ring is.
    let steps = (0..3).map(|index| step(0, index, true)).collect();
    let first =
        [vec![console(A), boot(0)], steps, vec![done(0, true), say(&Event::Kexec { hop: 0, tsc: 3 }), console(JUMPS)]];
    let script = then([first.concat(), vec![console(B), boot(1), done(1, true)]].concat(), end("guest-shutdown"));
    let lab = Lab::new(&script);
    let (result, _) = lab.try_run(WITNESSED).unwrap();
    assert_eq!(result.verdict, Class::Unwitnessed);
    assert_eq!(result.reason, "no ring of dut was ever set up");
    assert_eq!(result.again, vec![result.reason.clone(); 2], "it was run three times");
}

#[test]
fn hang() {
    let result = verdict(&[console(A), boot(0), json!("hang")]);
    assert_eq!(result.verdict, Class::Hang);
    assert_eq!(result.reason, "the first kernel was silent for 1 s; CPU 0 runs spin+0x10");
}

#[test]
fn qemu_abort() {
    let result = verdict(&[json!({"stderr": "qemu: -device igbb: not a valid device model name"}), json!({"exit": 1})]);
    assert_eq!(result.verdict, Class::QemuAbort);
    assert_eq!(result.reason, "QEMU ended with status 1: qemu: -device igbb: not a valid device model name");
    let result = verdict(&[console(A), boot(0), json!("abort")]);
    assert_eq!((result.verdict, result.reason.as_str()), (Class::QemuAbort, "QEMU was killed by signal 6"));
    assert_eq!(
        verdict(&[console(A), json!({"shutdown": "host-signal"}), json!({"exit": 0})]).verdict,
        Class::QemuAbort
    );
}

#[test]
fn host_timeout() {
    let result = verdict(&[console(A), boot(0), json!("chatter")]);
    assert_eq!(result.verdict, Class::HostTimeout);
    assert!(result.seconds < 10.0, "{}", result.seconds);
}

#[test]
fn an_expected_failure_is_good_and_its_absence_is_not() {
    let script = then(vec![console(A), boot(0), step(0, 0, false), done(0, false)], end("guest-shutdown"));
    let (result, ktap) =
        Lab::new(&script).run("expect: { verdict: stage1-failure, console: [{ hop: 0, text: Linux }] }\n");
    assert!(result.passed, "{}", result.reason);
    assert!(!ktap.contains("not ok"), "{ktap}");
    let (result, _) = Lab::new(&script).run("expect: { verdict: hang }\n");
    assert!(!result.passed);
    let (result, _) = Lab::new(&script).run("expect: { verdict: stage1-failure, console: [{ text: nowhere }] }\n");
    assert!(!result.passed, "the class alone is not enough");
}

#[test]
fn every_repetition_runs_until_one_is_bad() {
    let lab = Lab::new(&then(both(""), end("guest-shutdown")));
    let (result, _) = lab.run("repeat: 3\n");
    assert_eq!((result.passed, result.repetition), (true, 3));
    let lab = Lab::new(&end("guest-shutdown"));
    let (result, _) = lab.run("repeat: 3\n");
    assert_eq!((result.passed, result.repetition), (false, 1));
}

#[test]
fn nothing_is_lost_while_nobody_reads() {
    const LINES: usize = 30_000;
    let lab = Lab::new(&then(vec![json!({"flood": LINES})], end("guest-reset")));
    let (result, _) = lab.run("stall: 30\n");
    assert_eq!(result.verdict, Class::BootFailureA);
    let log = lab.log("console-0.log");
    let said: Vec<_> = log.lines().map(|line| line.trim_start().split_once(' ').unwrap().1).collect();
    assert!(said.iter().map(|line| line.len() + 1).sum::<usize>() > 300_000);
    assert_eq!(said.len(), LINES);
    for (number, line) in said.iter().enumerate() {
        assert_eq!(*line, format!("line {number}"));
    }
}

const PLUG: &str = "{ plug: { device: late } }";

#[test]
fn the_host_acts_between_two_kernels() {
    let second = vec![console(B), boot(1), step(1, 0, true), done(1, true)];
    let lab = Lab::new(&then(then(then(first(), vec![json!({"await": "cont"})]), second), end("guest-shutdown")));
    let (result, _) = lab.hotplug(PLUG).unwrap();
    assert!(result.passed, "{}", result.reason);
    let log = lab.log("qemu.log");
    let did: Vec<_> = log.lines().filter_map(|line| line.strip_prefix("host ")?.trim_start().split_once(' ')).collect();
    let did: Vec<_> = did.iter().map(|(_, what)| what.split(" for ").next().unwrap()).collect();
    let added = r#"device_add {"bus":"hp","driver":"igb","id":"late","romfile":""}"#;
    assert_eq!(did, ["stop {}", added, "the VM stood still", "cont {}"]);
    assert!(!result.reason.contains("host"), "our own lines are not QEMU's: {}", result.reason);
}

#[test]
fn actions_that_come_too_late_are_an_error_and_no_verdict() {
    let unheard = first().into_iter().filter(|op| *op != console(JUMPS)).collect::<Vec<_>>();
    let both = [unheard.clone(), vec![console(B), boot(1), json!("hang")]].concat();
    let error = Lab::new(&both).host_fails(PLUG);
    assert!(error.contains("(`between`, kernel 0): the next kernel ran, and the old one was never heard"), "{error}");
    let error = Lab::new(&then(unheard.clone(), end("guest-reset"))).host_fails(PLUG);
    assert!(error.contains("the VM ended without the line"), "{error}");
    let both = [unheard, vec![console(&format!("{JUMPS}{B}")), json!("hang")]].concat();
    let error = Lab::new(&both).host_fails(PLUG);
    assert!(error.contains("the next kernel spoke before the VM stood still"), "{error}");
    let early = vec![console(A), boot(0), step(0, 0, false), done(0, false)];
    let (result, _) = Lab::new(&then(early, end("guest-shutdown"))).hotplug(PLUG).unwrap();
    assert_eq!(result.verdict, Class::Stage1Failure, "a kernel that never jumps is judged as ever");
}

#[test]
fn tampering_needs_a_hand_over() {
    let edit = "{ tamper: { edits: [{ at: header, offset: 0, width: 4, set: 3 }] } }";
    let error = Lab::new(&then(first(), vec![json!("hang")])).host_fails(edit);
    assert!(error.contains("(tamper, kernel 0)") && error.contains("memory"), "{error}");
}

/// A run in which the host looks at the IOMMU: `late` comes before the last look, `last` after it.
fn watched(late: Vec<Value>, last: Vec<Value>) -> Lab {
    let look = |hop, index| {
        let asks = say(&Event::Host { hop, action: HostAction::CheckTranslation });
        // A look waits for nobody, so whatever comes next must.
        vec![asks, step(hop, index, true), json!({"await": "query-pci"}), json!({"sleep-ms": 100})]
    };
    let on = vec![console(A), json!({"translates": true}), json!({"trace": "vtd_dmar_enable enable 1"})];
    let first = [on, vec![boot(0), step(0, 0, true)], look(0, 1), vec![step(0, 2, true), done(0, true)]].concat();
    let jump = vec![say(&Event::Kexec { hop: 0, tsc: 3 }), console(JUMPS), console(B), boot(1)];
    let second = [look(1, 0), vec![step(1, 1, true)], late, look(1, 2), vec![step(1, 3, true), done(1, true)]].concat();
    Lab::new(&[first, jump, second, last, end("guest-shutdown")].concat())
}

const WATCHED: &str = "translation: { preserved: [dut] }\n";

#[test]
fn recording_needs_memory() {
    let record = HostAction::Record { tables: vec!["dut".into()], rings: Vec::new() };
    let asks = vec![console(A), boot(0), say(&Event::Host { hop: 0, action: record }), json!("hang")];
    let error = Lab::new(&asks).try_run(SCENARIO).unwrap_err().to_string();
    assert!(error.contains("(record, kernel 0)") && error.contains("memory"), "{error}");
}

#[test]
fn translation_is_watched() {
    let fault = |sid: u32| json!({"trace": format!("vtd_dmar_fault sid {sid:#x} fault 2 addr 0x1000 write 1")});
    let off = || vec![json!({"translates": false}), json!({"trace": "vtd_dmar_enable enable 0"}), fault(0x100)];
    let (result, ktap) = watched(vec![fault(0x200)], off()).run(WATCHED);
    assert!(result.passed, "{}", result.reason);
    assert!(ktap.contains(" s without a break, 3 looks agree; refused requests: 1 of 02:00.0\n"), "{ktap}");

    let lab = watched(vec![fault(0x100)], off());
    let (result, _) = lab.run(WATCHED);
    assert_eq!((result.verdict, result.translation), (Class::TranslationBroken, None));
    assert!(result.reason.starts_with("dut was refused a write to 0x1000 at "), "{}", result.reason);
    assert!(result.reason.contains("(fault 2); the second kernel had last reported `do "), "{}", result.reason);
    assert!(lab.log("iommu.log").contains("vtd_dmar_fault"));

    let (result, _) = watched(vec![json!({"translates": false})], Vec::new()).run(WATCHED);
    assert_eq!(result.verdict, Class::TranslationBroken);
    assert!(result.reason.contains("status register is 0x00000000"), "{}", result.reason);
    let (result, _) = watched(off(), Vec::new()).run(WATCHED);
    assert!(result.reason.contains("switched off for good"), "{}", result.reason);
}

#[test]
fn a_panic_must_not_come_too_late_either() {
    let panic = console("[    0.3] Kernel panic - not syncing: luo_x\n");
    let on = vec![json!({"trace": "vtd_dmar_enable enable 1"})];
    let expect = format!("{WATCHED}expect: {{ verdict: restore-panic }}\n");
    let run = |before: Vec<Value>| {
        let second = [vec![console(B)], before, vec![panic.clone()]].concat();
        Lab::new(&[on.clone(), first(), second, end("guest-reset")].concat()).run(&expect).0
    };
    let good = run(Vec::new());
    assert!(good.passed, "{}", good.reason);
    let bad = run(vec![json!({"trace": "vtd_dmar_enable enable 0"})]);
    assert_eq!((bad.passed, bad.verdict), (false, Class::RestorePanic));
    assert!(bad.reason.starts_with("translation was switched off for good at "), "{}", bad.reason);
    assert!(bad.reason.contains("(and, as expected: the second kernel panicked"), "{}", bad.reason);
}

#[test]
fn a_look_that_comes_too_late_is_taken_again() {
    // Both are said before the host can do anything.
    let asks = |then: &[Event]| {
        let asks = Event::Host { hop: 1, action: HostAction::CheckTranslation };
        let lines: Vec<_> = [asks].iter().chain(then).map(Event::to_line).collect();
        json!({"result": lines.join("\n")})
    };
    let done = |ok| Event::Done { hop: 1, ok };
    let second = vec![console(B), boot(1), asks(&[done(true)]), json!({"await": "query-pci"})];
    let error = Lab::new(&[first(), second, end("guest-shutdown")].concat());
    let error = error.try_run(&format!("{SCENARIO}{WATCHED}")).unwrap_err().to_string();
    assert!(error.contains("(check-translation, kernel 1): the last stage was over, so it came too late"), "{error}");
    // If it ended otherwise than it was to, that is what is told.
    let (what, detail) = ("do 1".into(), "EBUSY".into());
    let failed = Event::Step { hop: 1, index: 1, what, ok: false, detail, tsc: 2 };
    let second = vec![console(B), boot(1), asks(&[failed, done(false)]), json!({"await": "query-pci"})];
    let on = vec![json!({"trace": "vtd_dmar_enable enable 1"})];
    let (result, _) = Lab::new(&[on, first(), second, end("guest-shutdown")].concat()).run(WATCHED);
    assert_eq!(result.verdict, Class::Stage2Failure, "{}", result.reason);
}

#[test]
fn a_place_must_be_free_before_it_is_used_again() {
    let ask = |action: HostAction| say(&Event::Host { hop: 0, action });
    let [device, late] = ["dut", "late"].map(str::to_owned);
    let asks = vec![console(A), boot(0), ask(HostAction::Unplug { device }), ask(HostAction::Plug { device: late })];
    let gone = vec![
        json!({"await": "device_del"}),
        json!({"await": "cont"}),
        json!({"deleted": "dut"}),
        json!({"await": "device_add"}),
    ];
    let rest = vec![json!({"await": "cont"}), step(0, 0, false), done(0, false)];
    let lab = Lab::new(&then([asks, gone, rest].concat(), end("guest-shutdown")));
    lab.hotplug(PLUG).unwrap();
    let log = lab.log("qemu.log");
    let at = |what: &str| log.find(what).unwrap_or_else(|| panic!("{what}: {log}"));
    assert!(at("device_del") < at("DEVICE_DELETED") && at("DEVICE_DELETED") < at("device_add"), "{log}");
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Gone, or a zombie that its new parent has yet to collect.
fn is_dead(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

#[test]
fn nothing_stays_behind_after_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let lab = Lab::new(&[json!({"pid-file": pid_file}), json!("hang")]);
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_fake-qemu"))
        .arg("--supervise")
        .arg(lab.path("qemu"))
        .arg(directory.path())
        .spawn()
        .unwrap();
    wait_until("QEMU starts", || fs::read_to_string(&pid_file).is_ok_and(|pid| !pid.is_empty()));
    let qemu = fs::read_to_string(&pid_file).unwrap();
    assert!(!is_dead(&qemu));
    let run_dirs = || {
        let entries = fs::read_dir(directory.path()).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("phasectl-vm-")).count()
    };
    assert_eq!(run_dirs(), 1);
    // That is SIGKILL: nothing of the supervisor's own runs any more.
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    wait_until("QEMU dies with its supervisor", || is_dead(&qemu));
    let next = harness::rundir::RunDir::new_in(directory.path()).unwrap();
    assert_eq!(run_dirs(), 1, "the next run removes what the killed one left");
    drop(next);
}
