// SPDX-License-Identifier: GPL-2.0-only

//! Files that are good, files that are not, and the harness's own.

use super::*;
use crate::testing::{Files, checkout};

const STAGES: &str = "stages:\n  - steps: [{ kexec-load: { kernel: incoming } }, kexec-reboot]\n  - steps: []\n";
const HEAD: &str = "title: t\nrows: [1.10]\ncases: [{ name: a, topology: legacy }]\n";

fn load(text: &str) -> Result<Scenario, String> {
    let files = Files::of(&[("selftests/scenarios/phase1/s.yaml", text)]);
    Scenario::load(&files, "phase1/s").map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    load(text).unwrap_err()
}

#[test]
fn a_hand_over() {
    let scenario = load(&format!("{HEAD}{STAGES}kernels: {{ incoming: gate-off }}\n")).unwrap();
    assert_eq!(scenario.id, "phase1/s");
    assert_eq!(scenario.case_id(&scenario.cases[0]), "phase1/s/a");
    assert_eq!(scenario.kernel_names(), ["current", "gate-off"]);
    assert_eq!(*scenario.expect(&scenario.cases[0]), Expect::default());
    assert_eq!(scenario.rows, ["1.10"], "an id is text even if it looks like a number");
    assert!(matches!(scenario.kind, Kind::Handover(stages) if stages.len() == 2));
}

#[test]
fn a_kunit_scenario_needs_one_kernel() {
    let scenario = load(&format!("{HEAD}kunit: {{ suites: [kho] }}\nkernels: {{ incoming: gate-off }}\n")).unwrap();
    assert_eq!(scenario.kernel_names(), ["current"]);
    assert_eq!(scenario.kind, Kind::Kunit(vec!["kho".into()]));
}

#[test]
fn mistakes_are_located() {
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}wal: 3\n")), @r"
    selftests/scenarios/phase1/s.yaml:7:1: unknown field `wal`, expected one of `title`, `rows`, `cases`, `kernels`, `cmdline`, `memory`, `stages`, `kunit`, `blackout`, `measure`, `witness`, `translation`, `expect`, `wall`, `stall`, `repeat`, `slow`
      fix: remove the field, or write `wall` if that was meant
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}stages:\n  - steps:\n      - preserve: {{ session: s, fd: f, tokn: 1 }}\n")), @r"
    selftests/scenarios/phase1/s.yaml:6:40: stages[0].steps[0].preserve: unknown field `tokn`, expected one of `session`, `fd`, `token`
      fix: remove the field, or write `token` if that was meant
    ");
    // Without the list of all steps, which would change with every new one.
    let unknown = error(&format!("{HEAD}{}", STAGES.replace("kexec-load", "kexec-laod")));
    let (start, (_, end)) =
        unknown.split_once(", expected one of `bind`").map(|(a, b)| (a, b.split_once('\n').unwrap())).unwrap();
    insta::assert_snapshot!(format!("{start}\n{end}"), @r"
    selftests/scenarios/phase1/s.yaml:5:15: stages[0].steps[0]: unknown variant `kexec-laod`
      fix: write `kexec-load` if that was meant, else one of the others
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}expect: {{ verdict: panic }}\n")), @r"
    selftests/scenarios/phase1/s.yaml:7:20: expect.verdict: unknown variant `panic`, expected one of `pass`, `build-failure`, `boot-failure-a`, `stage1-failure`, `kexec-load-failure`, `no-second-kernel`, `boot-failure-b`, `handover-ignored`, `restore-panic`, `stage2-failure`, `oops-despite-pass`, `over-budget`, `translation-broken`, `memory-changed`, `dma-interrupted`, `unwitnessed`, `hang`, `qemu-abort`, `host-timeout`
      fix: write one of those names
    ");
}

#[test]
fn what_cannot_show_anything_is_refused() {
    insta::assert_snapshot!(error(HEAD), @r"
    selftests/scenarios/phase1/s.yaml: it has neither `stages` nor `kunit`
      fix: say what is to happen
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}stages: [{{ steps: [] }}]\n")), @r"
    selftests/scenarios/phase1/s.yaml: `stages` has 1 stage(s): a hand-over needs a kernel after the first
      fix: add the stage that runs after the kexec
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}stages: [{{ steps: [] }}, {{ steps: [] }}]\n")), @r"
    selftests/scenarios/phase1/s.yaml: `stages`: stage 0 does not end with its only `kexec-reboot`
      fix: make `kexec-reboot` its last step, and no other
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}{}", STAGES.replace("steps: []", "steps: [kexec-reboot]"))), @r"
    selftests/scenarios/phase1/s.yaml: `stages`: no stage follows the `kexec-reboot` in stage 1
      fix: add the stage, or take the step out
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}{}", STAGES.replace("incoming", "new"))), @r"
    selftests/scenarios/phase1/s.yaml: `stages`: kexec-load of `new`, which no kernel is called here
      fix: name one of: outgoing, incoming
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}kunit: {{ suites: [] }}\n")), @r"
    selftests/scenarios/phase1/s.yaml: `kunit.suites` is empty, so nothing would be checked
      fix: name the suites that must pass
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}kunit: {{ suites: [a] }}\n")), @r"
    selftests/scenarios/phase1/s.yaml: `kunit` goes with neither `stages` nor `blackout` nor `measure`
      fix: make two scenarios of it
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}blackout: {{ to: m, baseline: [] }}\n")), @r"
    selftests/scenarios/phase1/s.yaml: `stages` does not have two stages, the second with the mark `m`
      fix: put `mark: { name: m }` where the blackout ends
    ");
    insta::assert_snapshot!(error(&format!("{}{STAGES}", HEAD.replace("cases: [", "cases: [{ name: a, topology: x }, "))), @r"
    selftests/scenarios/phase1/s.yaml: two cases are called `a`
      fix: rename one of them
    ");
    insta::assert_snapshot!(error(&format!("{}{STAGES}", HEAD.replace("[1.10]", "[]"))), @r"
    selftests/scenarios/phase1/s.yaml: case `a` shows no row: `rows` is empty
      fix: name the rows that it shows
    ");
}

#[test]
fn a_witness_has_something_to_see_from_the_start() {
    let head = format!(
        "{HEAD}{}",
        STAGES.replace(
            "steps: [{ kexec-load",
            "steps: [{ open: { path: /dev/x, fd: d } }, { memfd: { fd: m, bytes: 1, seed: 1 } }, { kexec-load"
        )
    );
    let receive = "{ igb-receive: { fd: d, memory: m } }";
    insta::assert_snapshot!(error(&format!("{head}witness: {{}}\n")), @r"
    selftests/scenarios/phase1/s.yaml: case `a`: there is a `witness`, and nothing to be witnessed in the first stage
      fix: start a device there with `igb-receive`
    ");
    let good = head.replace("{ kexec-load", &format!("{receive}, {{ kexec-load"));
    let scenario = load(&format!("{good}witness: {{ arrivals: 10, late-ms: 100 }}\n")).unwrap();
    assert_eq!(scenario.witness, Some(Limits { arrivals: 10, late_ms: 100, gap: 20, jumps: None }));
    assert_eq!(load(&good).unwrap().witness, None);
    let again = "steps: [{ open: { path: /dev/x, fd: d } }, { memfd: { fd: m, bytes: 1, seed: 1 } }, { igb-receive: { fd: d, memory: m } }]";
    insta::assert_snapshot!(error(&format!("{}witness: {{}}\n", good.replace("steps: []", again))), @r"
    selftests/scenarios/phase1/s.yaml: case `a`: there is a `witness`, and an `igb-receive` after the first stage
      fix: go on with `igb-resume`, as a ring that is set up anew is an interruption; or say with `jumps` how far each device must go on
    ");
    for jumps in [0, 2] {
        let error = error(&format!("{good}witness: {{ jumps: {jumps} }}\n"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @r"
            selftests/scenarios/phase1/s.yaml: case `a`: `witness.jumps` is not from 1 to 1, which is how often the kernel changes
              fix: say over how many jumps each device must go on; or leave it away, which means all of them
            ");
        }
    }
    assert_eq!(load(&format!("{good}witness: {{ jumps: 1 }}\n")).unwrap().witness.unwrap().jumps, Some(1));
    insta::assert_snapshot!(error(&format!("{HEAD}kunit: {{ suites: [a] }}\nwitness: {{}}\n")), @r"
    selftests/scenarios/phase1/s.yaml: `witness` disturbs what is measured, and KUnit has no devices
      fix: make a hand-over scenario of it
    ");
    insta::assert_snapshot!(error(&format!("{good}witness: {{ late: 3 }}\n")), @r"
    selftests/scenarios/phase1/s.yaml:7:12: witness: unknown field `late`, expected one of `arrivals`, `late-ms`, `gap`, `jumps`
      fix: remove the field, or write `late-ms` if that was meant
    ");
}

#[test]
fn a_case_may_end_otherwise() {
    let cases =
        "cases: [{ name: a, topology: x }, { name: b, topology: x, expect: { verdict: hang, reason: silent } }]\n";
    let scenario =
        load(&format!("title: t\nrows: ['1']\n{cases}{STAGES}expect: {{ forbid: [{{ text: x }}] }}\n")).unwrap();
    let [a, b] = [0, 1].map(|case| scenario.expect(&scenario.cases[case]));
    assert_eq!((a.verdict, a.forbid.len(), a.reason.as_deref()), (Class::Pass, 1, None));
    assert_eq!((b.verdict, b.forbid.len(), b.reason.as_deref()), (Class::Hang, 0, Some("silent")));
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}expect: {{ reason: silent }}\n")), @r"
    selftests/scenarios/phase1/s.yaml: `expect` has a `reason`, and `pass` has none
      fix: take it out, or name the `verdict`
    ");
}

#[test]
fn stages_may_be_written_once() {
    let stages = "stages: [&a { steps: [{ kexec-load: { kernel: incoming } }, kexec-reboot] }, *a, { steps: [] }]\n";
    let Kind::Handover(stages) = load(&format!("{HEAD}{stages}")).unwrap().kind else { panic!("no hand-over") };
    assert_eq!((stages.len(), &stages[0]), (3, &stages[1]));
}

/// The mistake in these steps of the second stage, after a memfd `m`.
fn second_stage(steps: &str) -> Option<String> {
    let second = format!("- steps: [{{ memfd: {{ fd: m, bytes: 1, seed: 1 }} }}, {steps}]");
    load(&format!("{HEAD}{}", STAGES.replace("- steps: []", &second))).err()
}

#[test]
fn only_the_stage_observes() {
    let observe = |step: &str| format!("{{ observe: {{ name: seen, step: {step} }} }}");
    assert_eq!(second_stage(&observe("{ check-memfd: { fd: m, bytes: 1, seed: 1 } }")), None);
    for step in ["{ mark: { name: x } }", "kexec-reboot", "{ background: { name: x, step: { close: { name: m } } } }"] {
        let said = second_stage(&observe(step)).unwrap();
        assert!(said.contains("fix: make it a step of its own"), "{said}");
    }
    let inner = observe("{ close: { name: m } }");
    for outer in ["fails: { errno: EIO, step: ", "background: { name: x, step: ", "attempt: { errno: EIO, step: "] {
        let said = second_stage(&format!("{{ {outer}{inner} }} }}")).unwrap();
        assert!(said.contains("inside another"), "{said}");
    }
    insta::assert_snapshot!(second_stage(&format!("{{ fails: {{ errno: EIO, step: {inner} }} }}")).unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:102: `stages`: `seen` is observed inside another step, in stage 1
      fix: put `observe` outermost
    ");
}

#[test]
fn names_are_given_before_they_are_used() {
    insta::assert_snapshot!(second_stage("{ finish: { session: other } }").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:75: `stages`: no fd or session is called `other` at that step of stage 1
      fix: name one that an earlier step of the stage gave: m
    ");
    let twice = "{ open: { path: /dev/null, fd: m } }";
    insta::assert_snapshot!(second_stage(twice).unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:28: `stages`: the name `m` is given twice in stage 1
      fix: give each fd and session a name of its own
    ");
    let check = "{ check-memfd: { fd: m, bytes: 1, seed: 1 } }";
    let close = "{ close: { name: m } }";
    assert_eq!(second_stage(check), None);
    assert!(second_stage(&format!("{close}, {check}")).is_some(), "closed is closed");
    assert_eq!(second_stage(&format!("{close}, {twice}")), None, "and free again");
    let fails = |step: &str| format!("{{ fails: {{ errno: EIO, step: {step} }} }}");
    assert_eq!(second_stage(&format!("{}, {check}", fails(close))), None, "what fails closes nothing");
    let session = "{ retrieve-session: { session: s } }";
    assert!(
        second_stage(&format!("{}, {{ finish: {{ session: s }} }}", fails(session))).is_some(),
        "and gives nothing"
    );
    assert!(second_stage(&fails("{ finish: { session: s } }")).is_some());
    let across = STAGES.replacen("steps: [", "steps: [{ memfd: { fd: m, bytes: 1, seed: 1 } }, ", 1);
    let across = across.replace("steps: []", &format!("steps: [{check}]"));
    assert!(load(&format!("{HEAD}{across}")).is_err(), "an fd does not cross the kexec");
}

#[test]
fn threads_are_joined_before_their_names_count() {
    let start = "{ background: { name: t, step: { open: { path: /dev/null, fd: n } } } }";
    let (join, close) = ("{ join: { name: t } }", "{ close: { name: n } }");
    assert_eq!(second_stage(&format!("{start}, {{ running: {{ name: t }} }}, {join}, {close}")), None);
    assert!(second_stage(&format!("{start}, {close}")).is_some(), "it may not have come so far");
    assert!(second_stage(&format!("{start}, {join}, {join}")).is_some(), "it is gone");
    assert!(second_stage(&format!("{start}, {}", start.replace("fd: n", "fd: o"))).is_some(), "two of a name");
    assert!(second_stage(&format!("{start}, {}", start.replace("name: t", "name: u"))).is_some(), "two give a name");
    insta::assert_snapshot!(second_stage("{ join: { name: other } }").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:70: `stages`: no background step is called `other` at that step of stage 1
      fix: name one that was started and not yet joined
    ");
    insta::assert_snapshot!(second_stage("{ background: { name: t, step: { mark: { name: m } } } }").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:76: `stages`: background `t` of a step that cannot run there, in stage 1
      fix: make it a step of its own
    ");
    insta::assert_snapshot!(second_stage("{ fails: { errno: EIO, step: { sleep: { ms: 1 } } } }").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:72: `stages`: a step in `fails` that cannot fail, in stage 1
      fix: take it out of `fails`
    ");
    insta::assert_snapshot!(second_stage("{ host: { do: { tamper: { edits: [] } } } }").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:70: `stages`: `tamper` in a `host` step, in stage 1
      fix: put it into `between`: only then the hand-over is complete, and unread
    ");
}

#[test]
fn what_is_contained_belongs_to_no_stage() {
    let attempt = |step: &str| format!("{{ attempt: {{ errno: EIO, step: {step} }} }}");
    assert_eq!(second_stage(&attempt("{ memfd: { fd: n, bytes: 1, seed: 1 } }")), None);
    insta::assert_snapshot!(second_stage(&attempt("{ mark: { name: x } }")).unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:74: `stages`: a step inside another one that speaks to the host, in stage 1
      fix: make it a step of its own
    ");
    insta::assert_snapshot!(second_stage(&attempt("{ together: { steps: [{ background: { name: x, step: kexec-unload } }] } }")).unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:74: `stages`: a step inside another one that belongs to the stage, in stage 1
      fix: make it a step of its own
    ");
    let process =
        |step: &str| second_stage(&format!("{{ process: {{ name: p }} }}, {{ in: {{ process: p, step: {step} }} }}"));
    insta::assert_snapshot!(process("kexec-reboot").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:73: `stages`: `kexec-reboot` that may succeed inside another step, in stage 1
      fix: put it into `fails`: a jump is the stage's last step
    ");
    assert_eq!(process("{ fails: { errno: EBUSY, step: kexec-reboot } }"), None);
    let each = |last: &str| second_stage(&format!("{{ fail-each: {{ errno: ENOMEM, step: kexec-reboot{last} }} }}"));
    assert!(each("").unwrap().contains("may succeed"));
    assert_eq!(each(", last: EBUSY"), None);
}

const SPANS: &str = "measure: { spans: [{ name: 'open {device}', budget: 9 }] }\n";

/// A measure scenario that opens two devices, with this around each.
fn measuring(timed: &str, spans: &str) -> Result<Scenario, String> {
    let each = format!("steps: [{{ for-each: {{ devices: [dut, dut1], steps: [{timed}] }} }}, {{ kexec-load");
    load(&format!("{HEAD}{}{spans}", STAGES.replacen("steps: [{ kexec-load", &each, 1)))
}

#[test]
fn a_measurement_names_each_span_once() {
    let open = "{ open-cdev: { device: '{device}', fd: '{device}' } }";
    let timed = |name: &str| format!("{{ timed: {{ name: '{name}', step: {open} }} }}");
    let error = |timed: &str, spans: &str| measuring(timed, spans).unwrap_err();
    let scenario = measuring(&timed("open {device}"), SPANS).unwrap();
    assert!(
        scenario.kind.exact() && matches!(scenario.kind, Kind::Measure { spans, .. } if spans[0].budget == Some(9))
    );
    insta::assert_snapshot!(error(&timed("open"), SPANS), @r"
    selftests/scenarios/phase1/s.yaml: span `open` of `stages` is meant by 0 entries of `measure.spans`
      fix: name each span once there, {device} stands for any word; only measure scenarios have it
    ");
    insta::assert_snapshot!(error(&timed("open"), "measure: { spans: [{ name: open }] }\n"), @r"
    selftests/scenarios/phase1/s.yaml: `stages` has two spans called `open`
      fix: give each `timed` step a name of its own; in `for-each`, one with {device}
    ");
    insta::assert_snapshot!(error(&timed("close {device}"), SPANS), @r"
    selftests/scenarios/phase1/s.yaml: span `close dut` of `stages` is meant by 0 entries of `measure.spans`
      fix: name each span once there, {device} stands for any word; only measure scenarios have it
    ");
    insta::assert_snapshot!(error(open, SPANS), @r"
    selftests/scenarios/phase1/s.yaml: `stages` has no span `open {device}`, which `measure.spans` names
      fix: put it around a step: `timed`
    ");
    insta::assert_snapshot!(error(&timed("open {device}"), ""), @r"
    selftests/scenarios/phase1/s.yaml: span `open dut` of `stages` is meant by 0 entries of `measure.spans`
      fix: name each span once there, {device} stands for any word; only measure scenarios have it
    ");
    insta::assert_snapshot!(error(open, "measure: { spans: [] }\n"), @r"
    selftests/scenarios/phase1/s.yaml: `measure.spans` is empty, so nothing would be measured
      fix: name the spans of the `timed` steps
    ");
    insta::assert_snapshot!(error(&timed("open {device}"), &format!("{SPANS}blackout: {{ to: m, baseline: [] }}\n")), @r"
    selftests/scenarios/phase1/s.yaml: `blackout` does not go with `measure`
      fix: make two scenarios of it
    ");
}

#[test]
fn a_limit_covers_names_with_one_word_in_place_of_the_device() {
    let limit = |name: &str| Limit { name: name.into(), budget: None };
    for (span, want) in
        [("open dut", true), ("open dut1", true), ("open ", false), ("open dut again", false), ("reopen x", false)]
    {
        assert_eq!(limit("open {device}").covers(span), want, "{span}");
    }
    assert!(limit("open").covers("open") && !limit("open").covers("open dut"));
}

#[test]
fn what_is_timed_is_a_step_of_the_stage() {
    let timed = |step: &str| format!("{{ timed: {{ name: 'open {{device}}', step: {step} }} }}");
    let error = |timed: &str| measuring(timed, SPANS).unwrap_err();
    insta::assert_snapshot!(error(&timed("{ mark: { name: m } }")), @r"
    selftests/scenarios/phase1/s.yaml: `stages`: span `open dut` of a step that cannot be timed, in stage 0
      fix: make it a step of its own
    ");
    // Inside `fails` it is no span of the stage, so nothing needs to name it.
    insta::assert_snapshot!(second_stage(&format!("{{ fails: {{ errno: EIO, step: {} }} }}", timed("kexec-unload"))).unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:101: `stages`: span `open {device}` inside another step, in stage 1
      fix: put `timed` outermost
    ");
    insta::assert_snapshot!(second_stage(&timed("kexec-unload")).unwrap(), @r"
    selftests/scenarios/phase1/s.yaml: span `open {device}` of `stages` is meant by 0 entries of `measure.spans`
      fix: name each span once there, {device} stands for any word; only measure scenarios have it
    ");
}

#[test]
fn names_are_followed_into_timed_steps() {
    let memfd = "{ memfd: { fd: '{device}', bytes: 1, seed: 1 } }";
    let close = "{ close: { name: '{device}' } }";
    let two = |first: &str, second: &str| {
        let timed = format!(
            "{{ timed: {{ name: 'a {{device}}', step: {first} }} }}, {{ timed: {{ name: 'b {{device}}', step: {second} }} }}"
        );
        measuring(&timed, "measure: { spans: [{ name: 'a {device}' }, { name: 'b {device}' }] }\n").err()
    };
    assert_eq!(two(memfd, close), None);
    assert!(two(close, memfd).unwrap().contains("no fd or session is called `dut`"));
    assert!(two(memfd, memfd).unwrap().contains("the name `dut` is given twice"));
}

#[test]
fn steps_for_each_device_are_single_steps() {
    let each = "{ for-each: { devices: [dut, dut1], steps: [{ open-cdev: { device: '{device}', fd: '{device}' } }] } }";
    assert_eq!(second_stage(&format!("{each}, {{ close: {{ name: dut1 }} }}")), None);
    assert!(second_stage(&format!("{each}, {{ close: {{ name: dut2 }} }}")).is_some());
}

#[test]
fn memory_is_recorded_before_it_is_compared() {
    let head = format!("{HEAD}{STAGES}");
    let between = |action: &str| head.replace("kexec-reboot]", &format!("kexec-reboot]\n    between: [{action}]"));
    let tables = "{ host: { do: { record: { tables: [dut] } } } }";
    let compares = "steps: [{ host: { do: compare } }]";
    load(&between("{ record: { rings: [dut] } }").replace("steps: []", compares)).unwrap();
    load(&head.replace("steps: []", compares).replace("steps: [{ kexec", &format!("steps: [{tables}, {{ kexec")))
        .unwrap();
    insta::assert_snapshot!(error(&head.replace("steps: []", compares)), @r"
    selftests/scenarios/phase1/s.yaml:6:27: `stages`: `compare` in stage 1, and nothing was recorded in an earlier one
      fix: `record` it there
    ");
    insta::assert_snapshot!(error(&between("{ record: { tables: [dut, dut1] } }")), @r"
    selftests/scenarios/phase1/s.yaml:6:17: `stages`: `record` of the `tables` of dut, dut1 between stages 0 and 1
      fix: put it into a `host` step, when they are preserved: by now the kernel may have changed them
    ");
    insta::assert_snapshot!(second_stage("{ host: { do: { check-cleared: { device: dut } } } }").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:70: `stages`: `check-cleared` in a `host` step, in stage 1
      fix: put it into `between`: before, the kernel has cleared nothing
    ");
    insta::assert_snapshot!(error(&between("compare")), @r"
    selftests/scenarios/phase1/s.yaml:6:15: `stages`: `compare` between stages 0 and 1
      fix: put it into a `host` step of the next stage
    ");
    insta::assert_snapshot!(second_stage("{ host: { do: { record: { rings: [dut] } } } }").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml:6:70: `stages`: `record` of `rings` in a `host` step, in stage 1
      fix: put it into `between`: before, the device writes there
    ");
}

#[test]
fn translation_is_watched_where_it_can_be() {
    let head = format!("{HEAD}{STAGES}");
    let devices = |preserved: &[&str], shut_out: &[&str]| {
        let [preserved, shut_out] =
            [preserved, shut_out].map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Some(Devices { preserved, shut_out, remapping_ends: false })
    };
    let good = load(&format!("{head}translation: {{ preserved: [dut] }}\n")).unwrap();
    assert_eq!(good.translation(&good.cases[0]).cloned(), devices(&["dut"], &[]));
    let own = head.replace("topology: legacy", "topology: legacy, translation: { shut-out: [dut] }");
    let good = load(&format!("{own}translation: {{ preserved: [dut] }}\n")).unwrap();
    assert_eq!(good.translation(&good.cases[0]).cloned(), devices(&[], &["dut"]));
    insta::assert_snapshot!(error(&format!("{head}translation: {{ preserved: [a, b], shut-out: [b] }}\n")), @r"
    selftests/scenarios/phase1/s.yaml: case `a`: `b` is both `preserved` and `shut-out`
      fix: leave out what it is not
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}kunit: {{ suites: [a] }}\ntranslation: {{}}\n")), @r"
    selftests/scenarios/phase1/s.yaml: `translation` wants kernels that follow each other
      fix: make a hand-over scenario of it
    ");
    insta::assert_snapshot!(second_stage("{ host: { do: check-translation } }").unwrap(), @r"
    selftests/scenarios/phase1/s.yaml: case `a`: a `check-translation`, and nothing to judge it by
      fix: say what is to become of the devices: `translation`
    ");
}

#[test]
fn what_is_done_between_kernels_must_make_sense() {
    let between = |stage: &str, action: &str| {
        let head = format!("{HEAD}{STAGES}");
        error(&head.replace(stage, &format!("{stage}\n    between: [{action}]")))
    };
    let edit = |edit: &str| between("kexec-reboot]", &format!("{{ tamper: {{ edits: [{{ {edit} }}] }} }}"));
    insta::assert_snapshot!(edit("at: header, offset: 0, width: 3, set: 3"), @r"
    selftests/scenarios/phase1/s.yaml:6:34: bad YAML: stages[0].between[0].tamper.edits: width 3: must be 1, 2, 4 or 8
      fix: correct the YAML at this place
    ");
    insta::assert_snapshot!(edit("at: heeder, offset: 0, width: 4, set: 3"), @r"
    selftests/scenarios/phase1/s.yaml:6:41: stages[0].between[0].tamper.edits[0].at: unknown variant `heeder`, expected one of `flb`, `header`, `block`, `entry`, `vfio-file`, `iommu-flb`, `iommu-header`, `iommu-unit`, `iommu-domain`, `iommu-table`, `iommu-device`, `root-entry`, `context-entry`, `pasid-directory-entry`, `pasid-entry`, `page-table`, `page-table-entry`
      fix: write one of those names
    ");
    insta::assert_snapshot!(edit("at: { entry: 1 }, offset: 6, width: 4, set: 3"), @r"
    selftests/scenarios/phase1/s.yaml:6:17: `stages`: tamper between stages 0 and 1: 4 bytes at 0x6 of entry 1 do not fit into its 8
      fix: stay inside
    ");
    insta::assert_snapshot!(edit("at: flb, offset: 0, width: 1, xor: 0x100"), @r"
    selftests/scenarios/phase1/s.yaml:6:17: `stages`: tamper between stages 0 and 1: 0x100 does not fit into 1 bytes of flb
      fix: make it smaller
    ");
    insta::assert_snapshot!(edit("at: flb, offset: 48, width: 4, set: { address-of: header }"), @r"
    selftests/scenarios/phase1/s.yaml:6:17: `stages`: tamper between stages 0 and 1: an address in 4 bytes of flb
      fix: make `width` 8
    ");
    insta::assert_snapshot!(between("- steps: []", "{ plug: { device: dut } }"), @r"
    selftests/scenarios/phase1/s.yaml:7:5: `stages`: `between` in stage 1, which no kernel follows
      fix: put it into the stage whose kernel jumps
    ");
}

#[test]
fn bus_mastering_is_given_back_while_the_vm_runs() {
    let between = |on: bool| {
        let action = format!("between: [{{ bus-master: {{ device: dut, on: {on} }} }}]");
        load(&format!("{HEAD}{}", STAGES.replace("kexec-reboot]", &format!("kexec-reboot]\n    {action}"))))
    };
    between(false).unwrap();
    insta::assert_snapshot!(between(true).unwrap_err(), @r"
    selftests/scenarios/phase1/s.yaml:6:5: `stages`: `bus-master` on between stages 0 and 1: a device that waits for it has lost its ring when the VM stands still
      fix: allow it in a `host` step of the next stage
    ");
}

#[test]
fn mistakes_of_all_files_are_reported_together() {
    let good = format!("{HEAD}{STAGES}");
    let files = Files::of(&[
        ("selftests/scenarios/phase1/a.yaml", &good),
        ("selftests/scenarios/phase1/b.yaml", &format!("{good}wal: 3\n")),
        ("selftests/scenarios/phase1/c.yaml", HEAD),
        ("selftests/scenarios/phase1/below/d.yaml", "it is not one"),
        ("selftests/scenarios/phase1/README", ""),
    ]);
    let error = Scenario::load_phase(&files, "phase1").unwrap_err().to_string();
    let files: Vec<_> = error.lines().filter_map(|line| line.split_once(": ")).map(|(place, _)| place).collect();
    assert_eq!(files, ["selftests/scenarios/phase1/b.yaml:7:1", "  fix", "selftests/scenarios/phase1/c.yaml", "  fix"]);
}

#[test]
fn the_harness_s_own_scenarios_are_good() {
    let scenarios = Scenario::load_phase(&checkout(), "harness").unwrap();
    // Each provokes the class that it is named after, but for those that show what works, and one.
    for scenario in &scenarios {
        let name = scenario.id.trim_start_matches("harness/");
        let expected = match name {
            "memfd" | "blackout" | "modules" => "pass",
            "growth" => "stage2-failure",
            class => class,
        };
        assert_eq!(scenario.expect(&scenario.cases[0]).verdict.name(), expected);
    }
    assert!(scenarios.len() >= 13, "{}", scenarios.len());
    assert!(Scenario::load_phase(&checkout(), "no-such-phase").unwrap().is_empty());
}
