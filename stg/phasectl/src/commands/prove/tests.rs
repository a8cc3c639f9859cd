// SPDX-License-Identifier: GPL-2.0-only

use stg_core::Target;
use stg_env::Cache;

use super::*;

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
        let work = Work {
            tools: Tools { toolchain: "t".into(), qemu: "q".into(), harness: "h".into() },
            outcomes: self.outcomes(cache),
            texts: self.texts(),
            root: Utf8Path::from_path(self.temp.path()).unwrap(),
            shard: shard.parse().unwrap(),
        };
        let (mut ran, mut out) = (Vec::new(), Vec::new());
        let prover: &mut Prover<'_> = &mut |plan, _| {
            let patch = &plan.subject.patch;
            ran.push(patch.trim_start_matches("phase1/").to_owned());
            let failed = bad.iter().any(|bad| patch.ends_with(bad));
            let images = Hashes::from([("current".to_owned(), format!("image of {patch}"))]);
            Ok(if failed { Err(vec!["phase1/s/x".to_owned()]) } else { Ok(images) })
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

pub(in crate::commands) fn subject(patch: &str) -> ci::proof::Subject {
    let hashes = |name: &str| Hashes::from([(name.to_owned(), "0".to_owned())]);
    ci::proof::Subject {
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
