// SPDX-License-Identifier: GPL-2.0-only

//! `merge`: three caches that worked on a shard each become what one would have found alone.

use camino::Utf8Path;
use ci::outcomes::{Inputs, Outcomes};
use ci::shard::Shard;
use stg_env::Cache;

use crate::world::World;

fn outcomes(world: &World, name: &str) -> Outcomes {
    Outcomes::of(&Cache::at(Utf8Path::from_path(&world.path(name)).unwrap()).unwrap())
}

fn question(number: usize) -> Inputs {
    Inputs::new("check").with("patch", number.to_string())
}

#[test]
fn shards_merge_into_what_one_run_finds() {
    let world = World::without_base();
    let alone = outcomes(&world, "alone");
    for number in 0..10 {
        alone.put(&question(number), &number, 1.0).unwrap();
    }
    for shard in 1..=3 {
        let own = outcomes(&world, &format!("shard{shard}"));
        for number in format!("{shard}/3").parse::<Shard>().unwrap().range(10) {
            // Another machine takes another time, which is no other answer.
            own.put(&question(number), &number, 2.0).unwrap();
        }
    }
    insta::assert_snapshot!(world.run(&["merge", "../shard1", "../shard2", "../shard3", "../shard1"]), @r"
    exit 0
    --- stdout
    ../shard1: 3 new, 0 known
    ../shard2: 3 new, 0 known
    ../shard3: 4 new, 0 known
    ../shard1: 0 new, 3 known
    ");
    let merged = outcomes(&world, "cache");
    for number in 0..10 {
        assert_eq!(merged.get::<usize>(&question(number)), alone.get(&question(number)));
    }
}

#[test]
fn disagreement_and_damage_are_told() {
    let world = World::without_base();
    outcomes(&world, "cache").put(&question(1), &"good", 1.0).unwrap();
    let other = outcomes(&world, "other");
    other.put(&question(1), &"bad", 1.0).unwrap();
    std::fs::write(world.path("other/outcomes/check/half.json"), "{\"inputs\":").unwrap();
    std::fs::write(world.path("other/outcomes/notes.txt"), "by hand").unwrap();
    let case = |reason: &str| serde_json::json!({ "passed": false, "class": "hang", "reason": reason });
    outcomes(&world, "cache").put(&question(2), &case("[1.0] x"), 1.0).unwrap();
    other.put(&question(2), &case("[2.0] x"), 1.0).unwrap();
    let key = question(1).key();
    insta::assert_snapshot!(world.run(&["merge", "../other"]).replace(&key, "<key>"), @r#"
    exit 1
    --- stdout
    ../other: 0 new, 1 known
    ../other/outcomes/check/<key>.json: error: another answer to the same question is known, and was kept
      question: check
        patch: 1
      kept (<tmp>/cache/outcomes/check/<key>.json): "good"
      other (../other/outcomes/check/<key>.json): "bad"
      fix: delete it in both caches and ask again; if they differ again, one of the two machines is not as it says
    ../other/outcomes/check/half.json: warning: this is no answer, or not one to the question that its name stands for; it was left out
      fix: copy the cache again, or ask again
    ../other/outcomes/notes.txt: warning: this is no answer, or not one to the question that its name stands for; it was left out
      fix: copy the cache again, or ask again
    "#);
    let output = world.command(&["merge", "--json", "../other"]).output().unwrap();
    let views: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let conflict = &views[0]["conflicts"][0];
    assert_eq!(conflict["inputs"], serde_json::json!({ "kind": "check", "patch": "1" }));
    let file = format!("../other/outcomes/check/{key}.json");
    assert_eq!(conflict["other"], serde_json::json!({ "file": file, "answer": "bad" }));
    assert_eq!(conflict["kept"]["answer"], "good");
    assert_eq!(views[0]["broken"][0], "../other/outcomes/check/half.json");
    assert_eq!(outcomes(&world, "cache").get::<String>(&question(1)).as_deref(), Some("good"));
}

#[test]
fn what_is_no_cache() {
    let world = World::without_base();
    assert_eq!(world.command(&["merge"]).output().unwrap().status.code(), Some(2));
    outcomes(&world, "good").put(&question(1), &"good", 1.0).unwrap();
    insta::assert_snapshot!(world.run(&["merge", "../good", "../nowhere"]), @r"
    exit 2
    --- stderr
    error: ../nowhere is no cache of another run: it has no directory `outcomes`
      fix: name the directory that the other run had as its cache (--cache), or a copy of it
    ");
    assert_eq!(outcomes(&world, "cache").get::<String>(&question(1)), None, "nothing was taken over");
}
