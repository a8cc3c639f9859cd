// SPDX-License-Identifier: GPL-2.0-only

//! Three shards of `check`, `prove`, `faults` and `matrix`, each a process with a cache of its own, merge into what one run finds: the same
//! outcomes, records and reports. After the merge nothing is computed again, because nothing can be.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lab::Lab;

const COMMANDS: [&[&str]; 4] = [&["check", "phase1"], &["prove", "phase1"], &["faults", "phase1"], &["matrix"]];

/// A report with its exit code.
type Report = (i32, String);

/// What is in a cache: the inputs and the answer of each question, by file. How long it took is nobody's business.
fn outcomes(lab: &Lab, cache: &str) -> BTreeMap<String, [Value; 2]> {
    let root = lab.world.path(cache).join("outcomes");
    let mut all = BTreeMap::new();
    for kind in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(kind.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let entry: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let name = path.iter().rev().take(2).map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join(" of ");
            all.insert(name, [entry["inputs"].clone(), entry["answer"].clone()]);
        }
    }
    all
}

/// Takes the records out of the project.
fn take_records(lab: &Lab) -> BTreeMap<String, String> {
    let root = lab.world.path("project/proofs/phase1");
    let records = std::fs::read_dir(&root).into_iter().flatten().map(|file| {
        let path = file.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
    });
    let records = records.collect();
    let _ = std::fs::remove_dir_all(lab.world.path("project/proofs"));
    records
}

/// All reports of a cache, for people and for programs, and the records that were written.
fn reports(lab: &Lab, cache: &str) -> (Vec<[Report; 2]>, BTreeMap<String, String>) {
    let mut all = Vec::new();
    let mut records = BTreeMap::new();
    for command in COMMANDS {
        let text = lab.run(cache, command);
        records.extend(take_records(lab));
        let json = lab.run(cache, &[command, &["--json"]].concat());
        records.extend(take_records(lab));
        all.push([text, json]);
    }
    (all, records)
}

/// A report of a run that found it out, as one would be that knew it all: without notes of what was done, and where logs are.
fn settled((code, text): &Report) -> Report {
    let kept = |line: &&str| {
        !["# kernel ", "# phase1/", "# harness/", "#   logs: ", "# logs: "].iter().any(|start| line.starts_with(start))
    };
    let text: String = text.lines().filter(kept).map(|line| format!("{line}\n")).collect();
    (*code, text.replace(": proved, ", ": known, "))
}

#[test]
fn three_shards_merge_into_what_one_run_finds_and_nothing_is_computed_again() {
    let lab = Lab::new();
    let [alone, merged, ignorant] = lab.caches(["alone", "merged", "ignorant"]);
    let shards = lab.caches(["first", "second", "third"]);

    let fresh = COMMANDS.map(|command| lab.run(alone, command));
    assert_eq!(fresh.each_ref().map(|(code, _)| *code), [102, 0, 100, 103], "{fresh:?}");
    assert_eq!(take_records(&lab).len(), 3);
    for (number, shard) in (1..).zip(shards) {
        for command in COMMANDS {
            let before = lab.worked();
            let part = format!("{number}/3");
            lab.run(shard, &[command, &["--shard", &part]].concat());
            assert!(lab.worked() > before, "{command:?} {part} has something to do");
        }
    }
    assert_eq!(take_records(&lab).len(), 0, "a record continues the one before");

    lab.stop_working();
    let before = lab.worked();
    let merge = lab.command(merged, &["merge", "../first", "../second", "../third"]).output().unwrap();
    assert!(merge.status.success(), "{merge:?}");
    assert_eq!(outcomes(&lab, merged), outcomes(&lab, alone));
    let (known, known_records) = reports(&lab, alone);
    let (reports, records) = reports(&lab, merged);
    for (one, other) in reports.iter().zip(&known) {
        assert_eq!(one, other);
    }
    assert_eq!((records.len(), records), (3, known_records));
    assert_eq!(outcomes(&lab, merged), outcomes(&lab, alone));
    assert_eq!(lab.worked(), before, "nothing was computed");
    for command in COMMANDS {
        let before = lab.worked();
        lab.command(ignorant, command).output().unwrap();
        assert!(lab.worked() > before, "{command:?} would have computed something if it had not known it");
    }
    for (one, known) in fresh.iter().zip(&known) {
        assert_eq!(settled(one), settled(&known[0]));
    }
}
