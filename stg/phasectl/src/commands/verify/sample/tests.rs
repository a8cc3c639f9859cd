// SPDX-License-Identifier: GPL-2.0-only

use std::collections::BTreeMap;

use ci::proof::{Made, check};
use harness::verdict::Class;
use stg_core::Target;

use super::*;
use crate::judged::Judged;
use crate::testing::Small;

fn planned() -> Vec<Planned> {
    let small = Small::new().with_scenarios();
    let (disk, stack) = (small.disk(), small.stack());
    let all = scenarios::of_phases(&disk, &stack).unwrap();
    let plan = |name: &str, scenarios: Vec<Scenario>| Planned {
        subject: prove::tests::subject(name),
        target: Target::Patch(format!("phase1/{name}")),
        scenarios,
    };
    let mut modules = all[1].clone();
    modules.kernels.incoming = "current+modules".to_owned();
    vec![plan("a", all[..2].to_vec()), plan("b", vec![modules.clone()]), plan("c", vec![all[0].clone(), modules])]
}

fn chosen(planned: &[Planned], patches: usize, cases: &str, seed: u64) -> Vec<String> {
    let line = |sample: &Sample<'_>| {
        let cases = scenarios::cases(&sample.scenarios).join(" ");
        format!("{}: {cases}", sample.plan.subject.patch)
    };
    choose(planned, patches, cases.parse().unwrap(), seed).iter().map(line).collect()
}

#[test]
fn so_many_patches_and_cases_the_same_for_a_seed() {
    let planned = planned();
    insta::assert_snapshot!(chosen(&planned, 9, "9", 0).join("\n"), @r"
    phase1/a: phase1/second/x phase1/second/y phase1/first/x
    phase1/b: phase1/first/x
    phase1/c: phase1/second/x phase1/second/y
    ");
    insta::assert_snapshot!(chosen(&planned, 9, "all", 0).join("\n"), @r"
    phase1/a: phase1/second/x phase1/second/y phase1/first/x
    phase1/b: phase1/first/x
    phase1/c: phase1/second/x phase1/second/y phase1/first/x
    ");
    assert_eq!(chosen(&planned, 2, "1", 5), chosen(&planned, 2, "1", 5));
    let of_seed: std::collections::BTreeSet<_> = (0..50).map(|seed| chosen(&planned, 1, "1", seed)).collect();
    assert_eq!(of_seed.len(), 6, "each case can be the one, but none of a variant beside others: {of_seed:?}");
    assert!(of_seed.iter().all(|one| one.len() == 1));
}

#[test]
fn how_many_cases() {
    assert_eq!(("all".parse(), "3".parse()), (Ok(Cases::All), Ok(Cases::Some(3))));
    for wrong in ["0", "-1", "", "some"] {
        assert!(wrong.parse::<Cases>().is_err(), "{wrong}");
    }
    assert_eq!(format!("{} {}", Cases::All, Cases::Some(4)), "all 4");
}

/// A phase that was proved on this machine.
struct Bench {
    _small: Small,
    lab: Lab,
    planned: Vec<Planned>,
    records: Vec<Record>,
}

fn tools(toolchain: &str) -> Tools {
    Tools { toolchain: toolchain.into(), qemu: "q".into(), harness: "h".into() }
}

impl Bench {
    fn new() -> Self {
        let small = Small::new().with_scenarios();
        let lab = small.lab();
        let phase1 = Target::Phase("phase1".into());
        let planned = proofs::planned(&lab.base, &lab.disk, &lab.stack, &[phase1]).unwrap();
        let mut bench = Self { _small: small, lab, planned, records: Vec::new() };
        bench.records = bench.planned.iter().map(|plan| bench.prove(plan)).collect();
        bench
    }

    /// The record of a patch, of the kernel that the store has or gets.
    fn prove(&self, plan: &Planned) -> Record {
        let files = &|which: &_| self.lab.files(which, None);
        let (_, images) = prove::build(&self.lab, plan, &plan.scenarios, files, &mut Vec::new()).unwrap();
        Record { subject: plan.subject.clone(), parent: None, made: Made { tools: tools("t"), images } }
    }

    /// Samples all patches with a toolchain, `bad` failing; gives what was printed.
    fn sample(&self, toolchain: &str, bad: &str) -> String {
        let (mut texts, mut parent) = (BTreeMap::new(), None);
        for record in &self.records {
            let (text, hash) = Record { parent, ..record.clone() }.write();
            texts.insert(record.subject.patch.clone(), text.into_bytes());
            parent = Some(hash);
        }
        let subjects: Vec<_> = self.planned.iter().map(|plan| plan.subject.clone()).collect();
        let report = check(&subjects, &texts, Some(&tools(toolchain)));
        assert_eq!(report.findings().count(), 0);
        let judge: &Judge<'_> = &|question, known, _| {
            assert_eq!(known, Known::Ignored);
            let judged = |case: String| {
                let passed = case != bad;
                let class = if passed { Class::Pass } else { Class::Hang };
                Judged { case, passed, class, reason: String::new(), cached: false }
            };
            Ok(scenarios::cases(question.scenarios).into_iter().map(judged).collect())
        };
        let samples = choose(&self.planned, 9, Cases::Some(1), 1);
        let mut out = Vec::new();
        let all = run(&self.lab, &tools(toolchain), &samples, &report, judge, &mut out).unwrap();
        assert_eq!(all.len(), 3);
        let text = String::from_utf8(out).unwrap();
        // How long it took to build is nobody's business here.
        text.lines().filter(|line| !line.starts_with("# kernel")).map(|line| format!("{line}\n")).collect()
    }

    /// Puts another image than its own into the store.
    fn forge(&self, plan: &Planned) {
        let which = crate::kernels::Made::At(plan.target.clone()).into();
        std::fs::write(self.lab.files(&which, None).unwrap().bzimage, "forged").unwrap();
    }
}

#[test]
fn every_kernel_is_built_again_on_the_prover_s_machine_too() {
    let bench = Bench::new();
    let runs = || std::fs::read_to_string(bench.lab.cache.root().join("runs")).unwrap().lines().count();
    assert_eq!(runs(), 3);
    insta::assert_snapshot!(bench.sample("t", ""), @r"
    KTAP version 1
    1..3
    # phase1/a
    ok 1 - phase1/a: built again, 1 of 1 case run again
    # phase1/b
    ok 2 - phase1/b: built again, 1 of 1 case run again
    # phase1/c
    ok 3 - phase1/c: built again, 1 of 2 cases run again
    ");
    assert_eq!(runs(), 6);
}

#[test]
fn a_record_of_another_image_than_its_patch_gives_is_found() {
    let mut bench = Bench::new();
    // The record and the store agree with each other, and not with the patch.
    bench.forge(&bench.planned[1]);
    bench.records[1] = bench.prove(&bench.planned[1]);
    let said = bench.sample("t", "");
    let wrong =
        "not ok 2 - phase1/b: from the same tree, configuration and toolchain another image than on record: current\n";
    assert!(said.contains(wrong) && said.contains("\nok 1 ") && said.contains("\nok 3 "), "{said}");
    // Another toolchain may give another one.
    let said = bench.sample("u", "");
    let note = "# note: the image of kernel current is another one than on record; the toolchain is another one too\n";
    assert!(said.contains(&format!("{note}ok 2 - ")) && said.matches("the image of").count() == 1, "{said}");
    // What `verify` notes of all records is noted here as well.
    let note = "# note: 3 records: proved with toolchain `t`, here it is `u`\nKTAP version 1\n";
    assert!(said.starts_with(note) && said.matches("note").count() == 2, "{said}");
}

#[test]
fn what_is_noted_is_in_the_json_of_a_sample_too() {
    let report = Report { notes: vec!["1 record: proved with QEMU `9`".to_owned()], ..Report::default() };
    let mut view = super::super::view(&[], &report, &[]);
    view.seed = Some(7);
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!((&json["notes"][0], &json["seed"]), (&"1 record: proved with QEMU `9`".into(), &7.into()));
}

#[test]
fn what_fails_is_named_beside_the_image() {
    let mut bench = Bench::new();
    bench.records[1].made.images.insert(proofs::modules("current"), "0".into());
    let said = bench.sample("t", "phase1/second/y");
    let wrong = "another image than on record: current; 1 of 1 case run again, failed: phase1/second/y\n";
    assert!(said.contains(wrong), "{said}");
}
