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
    assert_eq!(scenario.expect, Expect::default());
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
    selftests/scenarios/phase1/s.yaml:7:1: unknown field `wal`, expected one of `title`, `rows`, `cases`, `kernels`, `cmdline`, `memory`, `stages`, `kunit`, `blackout`, `expect`, `wall`, `stall`, `repeat`
      fix: remove the field, or write `wall` if that was meant
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}stages:\n  - steps:\n      - preserve: {{ session: s, fd: f, tokn: 1 }}\n")), @r"
    selftests/scenarios/phase1/s.yaml:6:40: stages[0].steps[0].preserve: unknown field `tokn`, expected one of `session`, `fd`, `token`
      fix: remove the field, or write `token` if that was meant
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}{}", STAGES.replace("kexec-load", "kexec-laod"))), @r"
    selftests/scenarios/phase1/s.yaml:5:15: stages[0].steps[0]: unknown variant `kexec-laod`, expected one of `bind`, `unbind`, `open-cdev`, `open`, `write-fd`, `read-fd`, `open-iommufd`, `bind-iommufd`, `attach-ioas`, `read-bar`, `read-config`, `same-device`, `memfd`, `check-memfd`, `create-session`, `retrieve-session`, `preserve`, `retrieve`, `finish`, `close`, `fails`, `write`, `mark`, `kexec-load`, `kexec-unload`, `kexec-reboot`
      fix: write `kexec-load` if that was meant, else one of the others
    ");
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}expect: {{ verdict: panic }}\n")), @r"
    selftests/scenarios/phase1/s.yaml:7:20: expect.verdict: unknown variant `panic`, expected one of `pass`, `build-failure`, `boot-failure-a`, `stage1-failure`, `kexec-load-failure`, `no-second-kernel`, `boot-failure-b`, `handover-ignored`, `restore-panic`, `stage2-failure`, `oops-despite-pass`, `hang`, `qemu-abort`, `host-timeout`
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
    selftests/scenarios/phase1/s.yaml: `kunit` goes with neither `stages` nor `blackout`
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

/// The mistake in these steps of the second stage, after a memfd `m`.
fn second_stage(steps: &str) -> Option<String> {
    let second = format!("- steps: [{{ memfd: {{ fd: m, bytes: 1, seed: 1 }} }}, {steps}]");
    load(&format!("{HEAD}{}", STAGES.replace("- steps: []", &second))).err()
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
    // Each provokes the class that it is named after; two show what works.
    for scenario in &scenarios {
        let name = scenario.id.trim_start_matches("harness/");
        let expected = if ["memfd", "blackout"].contains(&name) { "pass" } else { name };
        assert_eq!(scenario.expect.verdict.name(), expected);
    }
    assert!(scenarios.len() >= 13, "{}", scenarios.len());
    assert!(Scenario::load_phase(&checkout(), "no-such-phase").unwrap().is_empty());
}
