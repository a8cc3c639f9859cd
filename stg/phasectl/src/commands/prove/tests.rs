// SPDX-License-Identifier: GPL-2.0-only

use harness::verdict::Class;
use stg_core::Target;
use stg_env::Cache;

use super::*;
use crate::judged::Judged;
use crate::scenarios;
use crate::testing::Small;

/// A line of patches, a cache, and a place for records.
struct Bench {
    temp: tempfile::TempDir,
    planned: Vec<Planned>,
    /// The patches that were built and run.
    ran: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let plan = |patch: &str| Planned {
            subject: subject(patch),
            target: Target::Patch(format!("phase1/{patch}")),
            scenarios: Vec::new(),
        };
        let planned = ["one", "two", "three", "four"].map(plan).into();
        Self { temp: tempfile::tempdir().unwrap(), planned, ran: Vec::new() }
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.temp.path()).unwrap()
    }

    fn outcomes(&self, cache: &str) -> Outcomes {
        Outcomes::of(&Cache::at(&self.root().join(cache)).unwrap())
    }

    fn texts(&self) -> BTreeMap<String, Vec<u8>> {
        let read = |plan: &Planned| {
            let text = std::fs::read(self.root().join(plan.subject.file())).ok()?;
            Some((plan.subject.patch.clone(), text))
        };
        self.planned.iter().filter_map(read).collect()
    }

    /// Proves a shard with a cache, `bad` failing; gives what was printed.
    fn prove(&mut self, shard: &str, cache: &str, bad: &[&str]) -> String {
        self.work(shard, cache, false, bad, false)
    }

    /// Runs everything again, `bad` failing, which is the host's fault or not.
    fn again(&mut self, bad: &[&str], host: bool) -> String {
        self.work("1/1", "cache", true, bad, host)
    }

    fn work(&mut self, shard: &str, cache: &str, again: bool, bad: &[&str], host: bool) -> String {
        let work = Work {
            tools: Tools { toolchain: "t".into(), qemu: "q".into(), harness: "h".into() },
            outcomes: self.outcomes(cache),
            texts: self.texts(),
            root: Utf8Path::from_path(self.temp.path()).unwrap(),
            shard: shard.parse().unwrap(),
            again,
        };
        let (mut ran, mut out) = (Vec::new(), Vec::new());
        let prover: &mut Prover<'_> = &mut |plan, _| {
            let patch = &plan.subject.patch;
            ran.push(patch.trim_start_matches("phase1/").to_owned());
            let failed = bad.iter().any(|bad| patch.ends_with(bad));
            let images = Hashes::from([("current".to_owned(), format!("image of {patch}"))]);
            let cases = vec!["phase1/s/x".to_owned()];
            Ok(if failed { Err(Failed { cases, host }) } else { Ok(images) })
        };
        work.go(&self.planned, prover, &mut out).unwrap();
        self.ran = ran;
        String::from_utf8(out).unwrap()
    }

    /// Whether all records are good.
    fn verified(&self) -> bool {
        let subjects: Vec<_> = self.planned.iter().map(|plan| plan.subject.clone()).collect();
        ci::proof::check(&subjects, &self.texts(), None).findings().count() == 0
    }
}

pub(in crate::commands) fn subject(patch: &str) -> Subject {
    let hashes = |name: &str| Hashes::from([(name.to_owned(), "0".to_owned())]);
    Subject {
        patch: format!("phase1/{patch}"),
        base: "base".into(),
        tree: format!("tree-{patch}-00000"),
        diff: patch.to_owned(),
        configs: hashes("current"),
        scenarios: hashes("phase1/s"),
        topologies: hashes("legacy"),
        verdicts: Hashes::from([("phase1/s/x".to_owned(), "pass".to_owned())]),
        boots: 1,
        kexecs: 2,
    }
}

#[test]
fn everything_once() {
    let mut bench = Bench::new();
    insta::assert_snapshot!(bench.prove("1/1", "cache", &[]), @r"
    KTAP version 1
    1..4
    # phase1/one
    ok 1 - phase1/one: proved, 1 boot, 2 kexecs
    # phase1/two
    ok 2 - phase1/two: proved, 1 boot, 2 kexecs
    # phase1/three
    ok 3 - phase1/three: proved, 1 boot, 2 kexecs
    # phase1/four
    ok 4 - phase1/four: proved, 1 boot, 2 kexecs
    ");
    assert!(bench.verified());
    let before = bench.texts();
    insta::assert_snapshot!(bench.prove("1/1", "cache", &[]), @r"
    KTAP version 1
    1..4
    ok 1 - phase1/one: on record, 1 boot, 2 kexecs
    ok 2 - phase1/two: on record, 1 boot, 2 kexecs
    ok 3 - phase1/three: on record, 1 boot, 2 kexecs
    ok 4 - phase1/four: on record, 1 boot, 2 kexecs
    ");
    assert!(bench.ran.is_empty() && bench.texts() == before);
    // Records are good without any cache.
    bench.prove("1/1", "empty", &[]);
    assert!(bench.ran.is_empty() && bench.texts() == before);
}

#[test]
fn a_failure_keeps_back_the_records_behind_it_but_not_their_results() {
    let mut bench = Bench::new();
    insta::assert_snapshot!(bench.prove("1/1", "cache", &["two"]), @r"
    KTAP version 1
    1..4
    # phase1/one
    ok 1 - phase1/one: proved, 1 boot, 2 kexecs
    # phase1/two
    not ok 2 - phase1/two: failed: phase1/s/x
    # phase1/three
    ok 3 - phase1/three: proved, 1 boot, 2 kexecs; no record, as a patch before it has none
    # phase1/four
    ok 4 - phase1/four: proved, 1 boot, 2 kexecs; no record, as a patch before it has none
    ");
    assert_eq!(bench.texts().len(), 1);
    insta::assert_snapshot!(bench.prove("1/1", "cache", &[]), @r"
    KTAP version 1
    1..4
    ok 1 - phase1/one: on record, 1 boot, 2 kexecs
    # phase1/two
    ok 2 - phase1/two: proved, 1 boot, 2 kexecs
    ok 3 - phase1/three: known, 1 boot, 2 kexecs
    ok 4 - phase1/four: known, 1 boot, 2 kexecs
    ");
    assert_eq!(bench.ran, ["two"]);
    assert!(bench.verified());
}

#[test]
fn what_is_stale_or_changed_is_proved_again_and_the_rest_chained_anew() {
    let mut bench = Bench::new();
    bench.prove("1/1", "cache", &[]);
    bench.planned[1].subject.scenarios.insert("phase1/s".into(), "1".into());
    bench.prove("1/1", "empty", &[]);
    assert_eq!(bench.ran, ["two"]);
    assert!(bench.verified());
    let path = bench.root().join("proofs/phase1/three.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("image of", "image  of")).unwrap();
    assert!(!bench.verified());
    bench.prove("1/1", "empty too", &[]);
    assert_eq!(bench.ran, ["three"]);
    assert!(bench.verified());
    // A patch that is new in the middle.
    let plan = Planned { subject: subject("new"), ..bench.planned[0].clone() };
    bench.planned.insert(1, plan);
    bench.prove("1/1", "empty", &[]);
    assert_eq!(bench.ran, ["new"]);
    assert!(bench.verified());
}

#[test]
fn again_runs_what_is_known_and_a_record_that_does_not_hold_goes() {
    let mut bench = Bench::new();
    bench.prove("1/1", "cache", &[]);
    let before = bench.texts();
    bench.again(&[], false);
    assert_eq!(bench.ran, ["one", "two", "three", "four"]);
    assert_eq!(bench.texts(), before);
    insta::assert_snapshot!(bench.again(&["two"], false), @r"
    KTAP version 1
    1..4
    # phase1/one
    ok 1 - phase1/one: proved, 1 boot, 2 kexecs
    # phase1/two
    not ok 2 - phase1/two: failed: phase1/s/x; its record is removed
    # phase1/three
    ok 3 - phase1/three: proved, 1 boot, 2 kexecs; its record stays as it is, as a patch before it has none
    # phase1/four
    ok 4 - phase1/four: proved, 1 boot, 2 kexecs; its record stays as it is, as a patch before it has none
    ");
    assert!(!bench.verified() && bench.texts().len() == 3);
    // That it was proved once does not bring the record back.
    let said = bench.prove("1/1", "cache", &["two"]);
    assert!(bench.ran == ["two"] && said.contains("not ok 2 - phase1/two: failed: phase1/s/x\n"), "{said}");
    bench.prove("1/1", "cache", &[]);
    assert!(bench.ran == ["two"] && bench.verified() && bench.texts() == before);
}

#[test]
fn a_busy_host_takes_no_record_away() {
    let mut bench = Bench::new();
    bench.prove("1/1", "cache", &[]);
    let before = bench.texts();
    let said = bench.again(&["two"], true);
    let line = "not ok 2 - phase1/two: failed: phase1/s/x; its record stays, as the host was at fault\n";
    assert!(said.contains(line) && said.matches("\nok").count() == 3, "{said}");
    assert_eq!(bench.texts(), before);
    bench.prove("1/1", "cache", &[]);
    assert!(bench.ran.is_empty() && bench.verified());
}

#[test]
fn whose_fault_it_is_that_cases_fail() {
    use Class::{Hang, HostTimeout, Pass};
    let small = Small::new().with_scenarios();
    let lab = small.lab();
    let planned = proofs::planned(&lab.base, &lab.disk, &lab.stack, &[Target::Patch("phase1/c".into())]).unwrap();
    let prove = |known: Known, ends: [Class; 2]| {
        let judge: &Judge<'_> = &|question, asked, _| {
            assert_eq!(asked, known);
            let cases = scenarios::cases(question.scenarios).into_iter().zip(ends);
            let judged =
                |(case, class)| Judged { case, passed: class == Pass, class, reason: String::new(), cached: false };
            Ok(cases.map(judged).collect())
        };
        prove(&lab, &planned[2], small.root(), known, judge, &mut Vec::new()).unwrap().map(drop)
    };
    let failed =
        |cases: &[&str], host| Err(Failed { cases: cases.iter().map(|&case| case.to_owned()).collect(), host });
    let (one, two) = ("phase1/second/y", "phase1/first/x");
    assert_eq!(prove(Known::IfPassed, [Pass, Pass]), Ok(()));
    assert_eq!(prove(Known::Ignored, [HostTimeout, Pass]), failed(&[one], true));
    assert_eq!(prove(Known::Ignored, [HostTimeout, HostTimeout]), failed(&[one, two], true));
    assert_eq!(prove(Known::Ignored, [HostTimeout, Hang]), failed(&[one, two], false));
}

#[test]
fn shards_merge_into_what_one_run_gives() {
    let mut one = Bench::new();
    one.prove("1/1", "cache", &[]);
    let mut bench = Bench::new();
    insta::assert_snapshot!(bench.prove("2/3", "cache2", &[]), @r"
    KTAP version 1
    1..4
    ok 1 - phase1/one # SKIP for another shard
    # phase1/two
    ok 2 - phase1/two: proved, 1 boot, 2 kexecs
    ok 3 - phase1/three # SKIP for another shard
    ok 4 - phase1/four # SKIP for another shard
    ");
    assert_eq!(bench.ran, ["two"]);
    insta::assert_snapshot!(bench.prove("1/5", "cache5", &[]), @r"
    KTAP version 1
    1..4
    # nothing to do: none of 4 patches belongs to part 1 of 5
    ok 1 - phase1/one # SKIP for another shard
    ok 2 - phase1/two # SKIP for another shard
    ok 3 - phase1/three # SKIP for another shard
    ok 4 - phase1/four # SKIP for another shard
    ");
    assert_eq!(bench.ran, [""; 0]);
    for (shard, ran) in [("1/3", &["one"][..]), ("3/3", &["three", "four"])] {
        bench.prove(shard, &format!("cache{}", &shard[..1]), &[]);
        assert_eq!(bench.ran, ran);
    }
    assert!(bench.texts().is_empty(), "a shard writes no record");
    for cache in ["cache1", "cache2", "cache3"] {
        bench.outcomes("cache").merge(&bench.root().join(cache)).unwrap();
    }
    bench.prove("1/1", "cache", &["one", "two", "three", "four"]);
    assert!(bench.ran.is_empty());
    assert_eq!(bench.texts(), one.texts());
}

#[test]
fn phases_are_proved_by_themselves_whatever_is_beside_them() {
    // 1 -> 2, 1 -> 3, 2 and 3 -> 4.
    let small = Small::new().with_scenarios();
    for (name, requires, file) in [("phase3", "phase1", "e"), ("phase4", "phase2, phase3", "f")] {
        small.put(
            &format!("phases/{name}/phase.yaml"),
            &format!(
                "phase: {name}\nslug: {name}\ntitle: T\nrequires: [{requires}]\nseries:\n  \
                 - {{ name: all, title: all, cover: cover.md, patches: [{{ name: {file} }}] }}\n"
            ),
        );
        small.put(&format!("phases/{name}/cover.md"), "T.\n");
        small.put(&format!("phases/{name}/{file}.patch"), &format!("Subject: {file}\nAdds: {file}.c\n\nIt.\n"));
        small.put(&format!("kernel/{name}/{file}.c"), "x\n");
    }
    let lab = small.lab();
    let planned = |targets: &[Target]| proofs::planned(&lab.base, &lab.disk, &lab.stack, targets).unwrap();
    let phase = |number: usize| Target::Phase(format!("phase{number}"));
    let ids = |all: &[Planned]| all.iter().map(|plan| plan.subject.patch.clone()).collect::<Vec<_>>().join(" ");
    let mut bench = Bench::new();
    // In the order in which people come to it.
    for (number, ran) in [(3, "a b c phase3/e"), (2, "phase2/d"), (4, "phase4/f")] {
        bench.planned = planned(&[phase(number)]);
        bench.prove("1/1", "cache", &[]);
        assert_eq!(bench.ran.join(" "), ran);
        assert!(bench.verified(), "{number}");
    }
    bench.planned = planned(&[Target::All]);
    assert_eq!(ids(&bench.planned), "phase1/a phase1/b phase1/c phase2/d phase3/e phase4/f");
    assert!(bench.verified(), "what holds of each phase holds of all of them");
    let of = |patch: &str, target: Target| lab.assemble(&target).unwrap().patch(patch).unwrap().tree.to_string();
    assert_eq!(bench.planned[4].subject.tree, of("phase3/e", phase(3)));
    assert_ne!(bench.planned[4].subject.tree, of("phase3/e", Target::All), "there it is on top of phase 2");
    let first = |patch: &str| String::from_utf8(bench.texts()[patch].clone()).unwrap().contains("\"parent\": null");
    assert_eq!(
        ["phase1/a", "phase1/b", "phase2/d", "phase3/e", "phase4/f"].map(first),
        [true, false, true, true, true]
    );
    // As far as somebody asks, and each patch once.
    assert_eq!(
        ids(&planned(&[Target::Patch("phase1/b".into()), phase(3), phase(3)])),
        "phase1/a phase1/b phase1/c phase3/e"
    );
    assert_eq!(ids(&planned(&[Target::Patch("phase1/b".into())])), "phase1/a phase1/b");
}
