// SPDX-License-Identifier: GPL-2.0-only

//! Files that are good, files that are not, and the harness's own.

use std::fs;

use super::*;

const STAGES: &str = "stages:\n  - steps: [{ kexec-load: { kernel: incoming } }, kexec-reboot]\n  - steps: []\n";
const HEAD: &str = "title: t\nrows: [1.10]\ncases: [{ name: a, topology: legacy }]\n";

fn load(text: &str) -> Result<Scenario, String> {
    let directory = tempfile::tempdir().unwrap();
    let directory = Utf8Path::from_path(directory.path()).unwrap();
    fs::create_dir(directory.join("phase1")).unwrap();
    let path = directory.join("phase1/s.yaml");
    fs::write(&path, text).unwrap();
    Scenario::load(&path).map_err(|error| error.to_string().replace(&format!("{directory}/"), ""))
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
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}wal: 3\n")), @"phase1/s.yaml:7:1: unknown field `wal`, expected one of `title`, `rows`, `cases`, `kernels`, `cmdline`, `memory`, `stages`, `kunit`, `blackout`, `expect`, `wall`, `stall`, `repeat`");
    insta::assert_snapshot!(error(&format!("{HEAD}stages:\n  - steps:\n      - preserve: {{ session: s, fd: f, tokn: 1 }}\n")), @"phase1/s.yaml:6:40: stages[0].steps[0].preserve: unknown field `tokn`, expected one of `session`, `fd`, `token`");
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}expect: {{ verdict: panic }}\n")), @"phase1/s.yaml:7:20: expect.verdict: unknown variant `panic`, expected one of `pass`, `build-failure`, `boot-failure-a`, `stage1-failure`, `kexec-load-failure`, `no-second-kernel`, `boot-failure-b`, `handover-ignored`, `restore-panic`, `stage2-failure`, `oops-despite-pass`, `hang`, `qemu-abort`, `host-timeout`");
}

#[test]
fn what_cannot_show_anything_is_refused() {
    insta::assert_snapshot!(error(HEAD), @"phase1/s.yaml: `stages` (or `kunit`) is missing");
    insta::assert_snapshot!(error(&format!("{HEAD}stages: [{{ steps: [] }}]\n")), @"phase1/s.yaml: `stages` has 1 stage(s): a hand-over needs a kernel after the first");
    insta::assert_snapshot!(error(&format!("{HEAD}stages: [{{ steps: [] }}, {{ steps: [] }}]\n")), @"phase1/s.yaml: `stages`: stage 0 must end with its only `kexec-reboot`");
    insta::assert_snapshot!(error(&format!("{HEAD}{}", STAGES.replace("steps: []", "steps: [kexec-reboot]"))), @"phase1/s.yaml: `stages`: no stage follows the `kexec-reboot` in stage 1");
    insta::assert_snapshot!(error(&format!("{HEAD}{}", STAGES.replace("incoming", "new"))), @"phase1/s.yaml: `stages`: kexec-load of `new`: it must be one of outgoing, incoming");
    insta::assert_snapshot!(error(&format!("{HEAD}kunit: {{ suites: [] }}\n")), @"phase1/s.yaml: `kunit.suites` is empty, so nothing would be checked");
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}kunit: {{ suites: [a] }}\n")), @"phase1/s.yaml: `kunit` goes with neither `stages` nor `blackout`");
    insta::assert_snapshot!(error(&format!("{HEAD}{STAGES}blackout: {{ to: m, baseline: [] }}\n")), @"phase1/s.yaml: `stages` must have two stages, the second with `mark: {name: m}`");
    insta::assert_snapshot!(error(&format!("{}{STAGES}", HEAD.replace("cases: [", "cases: [{ name: a, topology: x }, "))), @"phase1/s.yaml: two cases are called `a`");
    insta::assert_snapshot!(error(&format!("{}{STAGES}", HEAD.replace("[1.10]", "[]"))), @"phase1/s.yaml: case `a` shows no row: `rows` is empty");
}

#[test]
fn the_harness_s_own_scenarios_are_good() {
    let directory = Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"));
    let scenarios = Scenario::load_phase(directory, "harness").unwrap();
    // Each provokes the class that it is named after; two show what works.
    for scenario in &scenarios {
        let name = scenario.id.trim_start_matches("harness/");
        let expected = if ["memfd", "blackout"].contains(&name) { "pass" } else { name };
        assert_eq!(scenario.expect.verdict.name(), expected);
    }
    assert!(scenarios.len() >= 13, "{}", scenarios.len());
    let error = Scenario::find(directory, "harness/nothing").unwrap_err().to_string();
    assert!(error.contains("harness/boot-failure-a, harness/boot-failure-b"), "{error}");
    assert!(Scenario::load_phase(directory, "no-such-phase").unwrap().is_empty());
}
