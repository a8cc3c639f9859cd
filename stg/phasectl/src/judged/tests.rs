// SPDX-License-Identifier: GPL-2.0-only

use harness::needs::Needs;
use stg_env::Cache;

use super::*;
use crate::testing::{Small, result};

/// A project with a kernel and a cache.
struct Bench {
    small: Small,
    outcomes: Outcomes,
}

impl Bench {
    fn new() -> Self {
        let small = Small::new().with_scenarios();
        for (path, text) in [("init", "init"), ("bzImage", "kernel"), ("selftests/harness/src/run.rs", "fn run() {}")] {
            small.put(path, text);
        }
        let cache = Cache::at(&small.root().join("cache")).unwrap();
        Self { outcomes: Outcomes::of(&cache), small }
    }

    /// The cases of phase1 with all that they depend on.
    fn cases(&self) -> Vec<(String, Inputs)> {
        self.cases_of(Needs::default())
    }

    /// The same, of a kernel that asks for more than the usual one.
    fn cases_of(&self, needs: Needs) -> Vec<(String, Inputs)> {
        let disk = self.small.disk();
        let root = self.small.root();
        let kernel = KernelFiles {
            bzimage: root.join("bzImage"),
            system_map: None,
            modules: root.join("modules").exists().then(|| root.join("modules")),
            needs,
        };
        let runner = harness::run::Runner {
            qemu: "qemu".into(),
            init: root.join("init"),
            topologies: harness::topology::Topologies::load(&disk).unwrap(),
            out_dir: root.join("out"),
            kernels: BTreeMap::from([("current".to_owned(), kernel)]),
            programs: None,
        };
        let setting = Setting::new(&disk, &runner, "QEMU 10").unwrap();
        let scenarios = Scenario::load_phase(&disk, "phase1").unwrap();
        let all = scenarios.iter().flat_map(|scenario| scenario.cases.iter().map(move |case| (scenario, case)));
        let inputs =
            |(scenario, case): (&Scenario, _)| (scenario.case_id(case), setting.inputs(scenario, case).unwrap());
        all.map(inputs).filter(|(id, _)| id.contains("first") || id.contains("second")).collect()
    }

    /// Judges; says which cases ran, and what was printed.
    fn judge(&self, known: Known, class: Class) -> (Vec<Judged>, Vec<String>, String) {
        let (mut ran, mut out) = (Vec::new(), Vec::new());
        let cases = self.cases();
        let run: &mut Run<'_> = &mut |filter, seen| {
            // Two at once end in any order.
            for (case, _) in cases.iter().rev().filter(|(case, _)| filter.wants(case)) {
                ran.push(case.clone());
                seen(&result(case, class));
            }
            Ok(())
        };
        let judged = judge(cases.clone(), &self.outcomes, known, run, &mut out).unwrap();
        (judged, ran, String::from_utf8(out).unwrap())
    }
}

#[test]
fn what_is_known_is_not_run_again() {
    let bench = Bench::new();
    let (judged, ran, out) = bench.judge(Known::Used, Class::Pass);
    assert_eq!(ran.len(), 3);
    let cases: Vec<&str> = judged.iter().map(|one| one.case.as_str()).collect();
    assert_eq!(cases, ["phase1/first/x", "phase1/second/x", "phase1/second/y"], "in the order of the scenarios");
    assert!(judged.iter().all(|one| one.passed && !one.cached));
    insta::assert_snapshot!(out, @"
    # phase1/second/y: pass, 2 s
    # phase1/second/x: pass, 2 s
    # phase1/first/x: pass, 2 s
    ");
    let (again, ran, out) = bench.judge(Known::Used, Class::Hang);
    assert!(ran.is_empty() && again.iter().all(|one| one.passed && one.cached), "{ran:?}");
    insta::assert_snapshot!(out, @"
    # phase1/first/x: pass, known
    # phase1/second/x: pass, known
    # phase1/second/y: pass, known
    ");
    assert_eq!(bench.judge(Known::Ignored, Class::Pass).1.len(), 3);
}

#[test]
fn failures_are_known_too_but_not_relied_on_by_everyone() {
    let bench = Bench::new();
    let (_, _, out) = bench.judge(Known::Used, Class::Hang);
    assert!(out.ends_with("# phase1/first/x: hang, 2 s\n#   because\n#   logs: logs/phase1/first/x\n"), "{out}");
    let (judged, ran, _) = bench.judge(Known::Used, Class::Pass);
    assert!(ran.is_empty() && judged.iter().all(|one| one.class == Class::Hang && one.reason == "because"));
    assert_eq!(bench.judge(Known::IfPassed, Class::Pass).1.len(), 3);
    assert_eq!(bench.judge(Known::IfPassed, Class::Pass).1.len(), 0);
}

#[test]
fn what_may_be_the_host_s_fault_is_not_kept() {
    let bench = Bench::new();
    for class in [Class::HostTimeout, Class::Unwitnessed, Class::QemuAbort] {
        assert_eq!(bench.judge(Known::Used, class).1.len(), 3, "{class}");
    }
}

#[test]
fn an_interrupted_run_has_kept_what_it_saw() {
    let bench = Bench::new();
    let cases = bench.cases();
    let first = cases[0].0.clone();
    let run: &mut Run<'_> = &mut |_, seen| {
        seen(&result(&first, Class::Pass));
        anyhow::bail!("interrupted")
    };
    assert!(judge(cases.clone(), &bench.outcomes, Known::Used, run, &mut Vec::new()).is_err());
    assert_eq!(bench.judge(Known::Used, Class::Pass).1, ["phase1/second/y", "phase1/second/x"]);
    // A runner that forgets a case is not believed.
    let cases = vec![("phase1/second/z".to_owned(), Inputs::new("case"))];
    assert!(judge(cases, &bench.outcomes, Known::Used, &mut |_, _| Ok(()), &mut Vec::new()).is_err());
}

#[test]
fn everything_counts_that_the_verdict_depends_on() {
    let bench = Bench::new();
    let before = bench.cases();
    let root = bench.small.root();
    // Under which names the inputs of the cases differ once a file has changed.
    let differing = |path: &str, text: &str| {
        let old = std::fs::read_to_string(root.join(path)).ok();
        bench.small.put(path, text);
        let after = bench.cases();
        let names: Vec<String> =
            before.iter().zip(&after).map(|((_, one), (_, two))| one.differing(two).join("+")).collect();
        match old {
            Some(old) => bench.small.put(path, &old),
            None => std::fs::remove_dir_all(root.join(path).parent().unwrap()).unwrap(),
        }
        names.join(", ")
    };
    let same = |what: &str| [what; 3].join(", ");
    assert_eq!(differing("bzImage", "other"), same("incoming-kernel+outgoing-kernel"));
    assert_eq!(differing("modules/vfio.ko", "module"), same("incoming-modules+outgoing-modules"));
    assert_eq!(differing("init", "other"), same("init"));
    let file = "selftests/scenarios/phase1/first.yaml";
    let first = std::fs::read_to_string(root.join(file)).unwrap();
    assert_eq!(differing(file, &first.replace("title: t", "title: u")), "scenario, , ");
    let file = "selftests/topologies.yaml";
    assert_eq!(differing(file, "none: { iommu: legacy, devices: [] }\n"), same("topology"));
    assert_eq!(differing(file, "# Comment\nnone: { devices: [], iommu: none }\n"), same(""));
    assert_eq!(differing("selftests/faults/other.patch", ""), same(""));
    // What is allowed on the console as much as what is asked of the machine.
    for needs in ["{\"allow\":[\"at: f\"]}", "{\"slowness\":2}", "{\"kmemleak\":true}"] {
        let other = bench.cases_of(serde_json::from_str(needs).unwrap());
        assert_eq!(before[0].1.differing(&other[0].1), ["incoming-needs", "outgoing-needs"], "{needs}");
    }
}
