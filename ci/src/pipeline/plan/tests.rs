// SPDX-License-Identifier: GPL-2.0-only

//! The plan of a made-up checkout, and of this one.

use super::*;
use crate::pipeline::engine;

fn site(root: &Utf8Path) -> Site {
    Site {
        root: root.to_owned(),
        cache: root.join("cache"),
        cargo: "cargo".into(),
        phasectl: root.join("target/debug/phasectl"),
    }
}

fn outline() -> Outline {
    let phase = |name: &str, faults: &[&str]| PhaseOutline {
        name: name.into(),
        patches: vec![
            PatchOutline { id: format!("{name}/one"), tested: false },
            PatchOutline { id: format!("{name}/two"), tested: true },
        ],
        scenarios: vec![format!("{name}/fd"), format!("{name}/modules")],
        any_variant: vec![format!("{name}/fd")],
        blackouts: faults.iter().map(|_| format!("{name}/blackout")).collect(),
        faults: faults.iter().map(|&fault| fault.to_owned()).collect(),
        inherits: faults.is_empty(),
    };
    Outline { phases: vec![phase("phase1", &["1.1-leak"]), phase("phase2", &[])], unproved: vec!["phase2".into()] }
}

fn listed(full: bool) -> String {
    let site = site("/checkout".into());
    let steps = steps(&site, Ok(outline()), full);
    engine::check(&steps).unwrap();
    let line = |step: &Step<'_>| {
        let marks = [(step.always, " always"), (!step.lasting, " fleeting")];
        let marks: String = marks.into_iter().filter(|(on, _)| *on).map(|(_, mark)| mark).collect();
        format!("{} [{}]{marks}: {}", step.id, step.needs.join(" "), step.title)
    };
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_default_run() {
    insta::assert_snapshot!(listed(false), @"
    tools [] always fleeting: cargo build --locked --package phasectl
    setup [tools] fleeting: phasectl setup
    fmt []: cargo fmt --all --check
    clippy []: cargo clippy --workspace --all-targets --locked -- -D warnings
    tests []: cargo test --workspace --locked
    manifests [tools]: every phase, patch and requirement graph can be read
    base [setup manifests] fleeting: phasectl base show, else base fetch
    apply/phase1 [base]: phasectl export phase1, twice; git am of the mails
    check/phase1 [base]: phasectl check phase1 --quick
    apply/phase2 [base]: phasectl export phase2, twice; git am of the mails
    check/phase2 [base]: phasectl check phase2 --quick
    matrix [base]: phasectl matrix --predict
    verify/phase1 [base]: phasectl verify phase1
    verify/phase2 [manifests] fleeting: phase2 is not proved yet: it is in UNPROVED of ci/src/pipeline/plan.rs
    kernel [base] fleeting: phasectl build phase2
    scenarios/phase2 [kernel]: phasectl test phase2 --quick --known: each scenario once (slow ones and blackouts: --full)
    scenarios/phase1 [kernel]: phasectl test phase1 --quick --known: each scenario once (slow ones and blackouts: --full)
    scenarios/harness [kernel]: phasectl test harness --quick --known: each scenario once (slow ones and blackouts: --full)
    verify/sample [kernel verify/phase1] fleeting: phasectl verify phase1 --sample 1
    ");
}

#[test]
fn the_full_run_adds_to_it() {
    let (short, full) = (listed(false), listed(true));
    let short = short.replace("--sample 1", "--sample 2 --cases all").replace(" --known", "");
    let rest = full.strip_prefix(&short).unwrap();
    insta::assert_snapshot!(rest.trim_start(), @"
    patch/phase1/one [base]: phasectl build phase1/one
    patch/phase1/two [base]: phasectl build phase1/two
    patch/phase1/two/test [patch/phase1/two]: phasectl test phase1/two
    patch/phase2/one [base]: phasectl build phase2/one
    patch/phase2/two [base]: phasectl build phase2/two
    patch/phase2/two/test [patch/phase2/two]: phasectl test phase2/two
    check/phase1/built [base]: phasectl check phase1
    gate-off/phase1 [base]: phasectl build phase1 --gate-off
    faults/1.1-leak [kernel]: phasectl faults phase1 --fault 1.1-leak
    repeat/phase1/fd [kernel]: phasectl test phase1 --scenario phase1/fd --repeat 3
    repeat/phase1/modules [kernel]: phasectl test phase1 --scenario phase1/modules --repeat 3
    blackout/phase1 [kernel]: phasectl blackout phase1
    debug/phase1 [base]: phasectl build phase1 --variant debug
    debug/phase1/fd [debug/phase1]: phasectl test phase1 --variant debug --scenario phase1/fd
    check/phase2/built [base]: phasectl check phase2
    gate-off/phase2 [base]: phasectl build phase2 --gate-off
    inherited/phase2 [kernel]: phasectl test phase2 --inherited
    repeat/phase2/fd [kernel]: phasectl test phase2 --scenario phase2/fd --repeat 3
    repeat/phase2/modules [kernel]: phasectl test phase2 --scenario phase2/modules --repeat 3
    debug/phase2 [base]: phasectl build phase2 --variant debug
    debug/phase2/fd [debug/phase2]: phasectl test phase2 --variant debug --scenario phase2/fd
    matrix/run [base]: phasectl matrix
    blackout/harness [kernel]: phasectl blackout harness
    ");
}

#[test]
fn a_phase_is_unproved_only_as_long_as_it_never_had_a_record() {
    let guard = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(guard.path()).unwrap();
    let (site, record) = (site(root), root.join("proofs/phase2/one.json"));
    let verify = || {
        let steps = steps(&site, Ok(outline()), false);
        let step = steps.into_iter().find(|step| step.id == "verify/phase2").unwrap();
        (step.work)(None).map_err(|failure| failure.message)
    };
    // It is no test that passed either.
    assert_eq!(verify(), Ok(Count::default()));
    std::fs::create_dir_all(record.parent().unwrap()).unwrap();
    std::fs::write(&record, "{}").unwrap();
    let wrong = "proofs/phase2/one.json: there are records of phase2, which is listed as not proved yet
  fix: take phase2 out of UNPROVED in ci/src/pipeline/plan.rs";
    assert_eq!(verify().unwrap_err(), wrong);
    // To delete them does not help.
    for args in [&["init", "--quiet"][..], &["add", "proofs"]] {
        let git = std::process::Command::new("git").arg("-C").arg(root).args(args).status();
        assert!(git.unwrap().success());
    }
    std::fs::remove_dir_all(root.join("proofs")).unwrap();
    assert_eq!(verify().unwrap_err(), wrong);
}

#[test]
fn only_a_phase_can_be_unproved() {
    let phases = outline().phases;
    assert_eq!(unproved(&["phase2"], &phases).unwrap(), ["phase2"]);
    let wrong = unproved(&["phase2", "phase9"], &phases).unwrap_err().to_string();
    assert!(wrong.contains("UNPROVED lists phase9, and there is no such phase"), "{wrong}");
}

#[test]
fn without_records_a_phase_fails() {
    // Whether there are any makes no difference to the plan: that is for `phasectl verify` to say.
    let all_proved = Outline { unproved: Vec::new(), ..outline() };
    let site = site("/no/such/checkout".into());
    let steps = steps(&site, Ok(all_proved), false);
    let ids: Vec<&str> = steps.iter().map(|step| step.id.as_str()).filter(|id| id.starts_with("verify")).collect();
    assert_eq!(ids, ["verify/phase1", "verify/phase2", "verify/sample"]);
    let none = Outline { unproved: vec!["phase1".into(), "phase2".into()], ..outline() };
    assert!(super::steps(&site, Ok(none), false).iter().all(|step| step.id != "verify/sample"));
}

#[test]
fn a_broken_manifest_fails_as_a_step() {
    let guard = tempfile::tempdir().unwrap();
    let site = site(Utf8Path::from_path(guard.path()).unwrap());
    let steps = steps(&site, Err(anyhow::anyhow!("phases/x/phase.yaml:3: bad")), true);
    assert!(steps.iter().all(|step| step.id != "kernel"));
    let manifests = steps.into_iter().find(|step| step.id == "manifests").unwrap();
    assert_eq!((manifests.work)(None).unwrap_err().message, "phases/x/phase.yaml:3: bad");
}

#[test]
fn the_commit_comes_from_this_runs_own_answer() {
    let shown = r#"{ "patch": "phase1/two", "series": "s", "commit": "c0ffee", "tree": "7ree" }"#;
    assert_eq!(tip(shown).unwrap(), "c0ffee");
    let none = tip(r#"{ "patch": "phase1/two", "commit": null }"#).unwrap_err();
    assert_eq!(none.to_string(), "`phasectl show phase1/two` names no commit: there is no base");
    assert!(tip("error").is_err());
}

#[test]
fn blackouts_are_known_by_their_file() {
    let guard = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(guard.path()).unwrap();
    let read = |text: &str| {
        std::fs::write(root.join("x.yaml"), text).unwrap();
        yaml::read::<Head>(&Disk::new(root), "x.yaml".into()).unwrap().1.exact()
    };
    assert!(read("title: x\nblackout:\n  to: usable\n"));
    assert!(read("title: x\nmeasure:\n  spans: []\n"));
    assert!(!read("title: blackout\nstages: []\n"));
}

#[test]
fn what_runs_on_any_variant_is_known_by_its_file() {
    let guard = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(guard.path()).unwrap();
    let read = |text: &str| {
        std::fs::write(root.join("x.yaml"), text).unwrap();
        yaml::read::<Head>(&Disk::new(root), "x.yaml".into()).unwrap().1.any_variant()
    };
    assert!(!read("title: x\nkernels: { incoming: current+modules }\n"));
    assert!(!read("title: x\nexpect:\n  growth: { slab: 1 }\n") && !read("title: x\nmeasure: {}\n"));
    assert!(!read("title: x\ncases:\n  - { name: a }\n  - { name: b, expect: { growth: { slab: 1 } } }\n"));
    assert!(read("title: x+y\nkernels: { incoming: gate-off }\nexpect: { verdict: hang, allow: [x] }\n"));
    assert!(read("title: x\n"));
}

#[test]
fn what_a_patch_of_the_phase_makes_obsolete_is_not_in_force() {
    let guard = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(guard.path()).unwrap();
    let left = |obsolete: &[&str]| {
        std::fs::write(root.join("x.yaml"), "title: x\ncases:\n  - { name: a }\n  - { name: b }\n").unwrap();
        let (_, head) = yaml::read::<Head>(&Disk::new(root), "x.yaml".into()).unwrap();
        in_force("phase1/x", &head, obsolete)
    };
    assert_eq!(left(&[]), ["phase1/x"]);
    assert_eq!(left(&["phase1/y", "phase1/xy/a"]), ["phase1/x"]);
    assert_eq!(left(&["phase1/x/a"]), ["phase1/x/b"]);
    assert!(left(&["phase1/x"]).is_empty() && left(&["phase1/x/a", "phase1/x/b"]).is_empty());
}

#[test]
fn this_checkout_has_a_plan() {
    let root = Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let outline = Outline::read(root).unwrap();
    assert!(!outline.phases.is_empty() && outline.phases.iter().all(|phase| !phase.patches.is_empty()), "{outline:?}");
    let phase1 = outline.phases.iter().find(|phase| phase.name == "phase1").unwrap();
    assert_eq!(
        phase1.blackouts,
        ["phase1/blackout", "phase1/pci-cost", "phase1/pci-scan-cost", "phase1/vfio-cost", "phase1/blackout-devices"]
    );
    assert!(phase1.blackouts.iter().all(|id| !phase1.scenarios.contains(id)), "{phase1:?}");
    // What opens a device behind the hand-over's back is refused by a later patch of the same phase; what only phase 2 makes obsolete is in force.
    let runs = |id: &str| phase1.scenarios.iter().chain(&phase1.any_variant).any(|name| name == id);
    assert!(!runs("phase1/retrieve-busy") && runs("phase1/preserve"));
    assert!(phase1.patches.iter().any(|patch| patch.tested) && !phase1.patches.iter().all(|patch| patch.tested));
    let files = root.join("selftests/faults").read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    let mut files: Vec<String> = files.map(|file| file.file_stem().unwrap().to_owned()).collect();
    let mut faults: Vec<String> = outline.phases.into_iter().flat_map(|phase| phase.faults).collect();
    files.sort();
    faults.sort();
    assert_eq!(faults, files);
}
