// SPDX-License-Identifier: GPL-2.0-only

//! `verify`, and the line of a proof in the cover letter.

use std::collections::BTreeMap;

use ci::proof::{Hashes, Made, Record, Subject, Tools};

use crate::world::World;

const MEMFD: &str = "title: a memfd survives
rows: [\"X.5\"]
cases: [{ name: legacy, topology: legacy }]
stages:
  - steps: [{ create-session: { session: s } }, { kexec-load: { kernel: incoming } }, kexec-reboot]
  - steps: [{ retrieve-session: { session: s } }]
";

fn world() -> World {
    let world = World::new();
    world.put("selftests/scenarios/harness/memfd.yaml", MEMFD);
    world.put("ci/kernel.config", "CONFIG_PCI=y\n");
    world
}

/// A record of `phase1/kho` that is whole, and about something else.
fn other() -> String {
    let subject = Subject {
        patch: "phase1/kho".into(),
        base: "0".repeat(40),
        tree: "1".repeat(40),
        diff: "2".repeat(40),
        configs: Hashes::new(),
        scenarios: Hashes::new(),
        topologies: Hashes::new(),
        verdicts: BTreeMap::new(),
        boots: 1,
        kexecs: 1,
    };
    let tools = Tools { toolchain: "rustc".into(), qemu: "QEMU".into(), harness: "h".into() };
    Record { subject, parent: None, made: Made { tools, images: Hashes::new() } }.write().0
}

#[test]
fn what_is_not_proved_is_named() {
    let world = world();
    // Of a phase that nobody has proved that is said once.
    insta::assert_snapshot!(world.run(&["verify"]), @r"
    exit 102
    --- stdout
    KTAP version 1
    1..2
    not ok 1 - phase1
    # proofs/phase1: there are no proofs of phase1
    #   fix: if they were deleted, take them back with `git checkout -- proofs/phase1`; else run `phasectl prove phase1`
    not ok 2 - phase2/domain
    # proofs/phase2/domain.json: there is no proof of phase2/domain
    #   fix: if it was deleted, take it back with `git checkout -- proofs/phase2/domain.json`; else run `phasectl prove phase2/domain`
    ");
    assert!(world.run(&["verify", "phase1/kho"]).contains("\n# proofs/phase1/kho.json: there is no proof of"));
    let both = world.run(&["verify", "phase1", "phase2", "phase1/kho"]);
    assert_eq!(both, world.run(&["verify"]), "several are verified together, and each patch once");
    world.put("proofs/phase1/kho.json", &other());
    let said = world.run(&["verify", "phase1"]);
    assert!(said.contains("\n1..2\n") && said.contains("there is no proof of phase1/track\n"), "{said}");
    world.put("proofs/phase1/kho.json", &other());
    world.put("proofs/phase1/track.json", &other().replace("QEMU", "QEMV"));
    world.put("proofs/phase1/gone.json", "{}\n");
    world.put("proofs/phase1/kho.json.new", "{");
    let said = world.run(&["verify", "phase1/track"]);
    assert!(said.starts_with("exit 102\n"), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(".json")).collect();
    assert!(
        lines[0].starts_with("# proofs/phase1/kho.json:4: stale: the patch is another one now: tree 111111111111 was"),
        "{said}"
    );
    assert!(lines[1].starts_with("# proofs/phase1/track.json:14: byte "), "{said}");
    assert!(said.contains("was changed: it was `U`"), "{said}");
    assert!(said.contains("# proofs/phase1/gone.json: a proof of a patch that does not exist"), "{said}");
    assert!(said.contains("# proofs/phase1/kho.json.new: a record that was not written to its end"), "{said}");
    let json = world.command(&["verify", "phase1", "--json"]).output().unwrap();
    assert_eq!(json.status.code(), Some(102));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let patches = json["patches"].as_array().unwrap();
    assert_eq!((&patches[0]["kind"], &patches[1]["kind"]), (&"stale".into(), &"changed".into()));
    // Neither names a test with a kexec before `track` does: the memfd shows that the kernel works.
    assert_eq!((&patches[0]["boots"], &patches[0]["kexecs"]), (&1.into(), &1.into()));
}

#[test]
fn a_byte_that_is_no_text_is_a_change_like_any_other() {
    let world = world();
    let mut bytes = other().into_bytes();
    let hash = bytes.len() - "\"\n}\n".len() - 64;
    bytes[hash + 10] = 0xff;
    world.put("proofs/phase1/track.json", &other());
    std::fs::write(world.path("project/proofs/phase1/kho.json"), bytes).unwrap();
    let said = world.run(&["verify", "phase1"]);
    assert!(said.starts_with("exit 102\n") && said.contains("kho.json:17: byte "), "{said}");
    assert!(said.contains("in the record's own hash"), "{said}");
}

#[test]
fn a_cover_letter_says_which_patches_have_no_proof() {
    let world = world();
    world.run(&["export", "phase1", "--draft", "-o", "../before"]);
    world.put("proofs/phase1/kho.json", &other());
    world.run(&["export", "phase1", "--draft", "-o", "../after"]);
    let cover =
        |out: &str| std::fs::read_to_string(world.path(out).join("foundation/v1-0000-cover-letter.patch")).unwrap();
    assert!(!cover("before").contains("proof"));
    let after = cover("after");
    assert!(after.contains("rust: kho: Add abstractions\n  no proof\n"), "{after}");
    assert!(after.contains("PCI: Track preserved devices\n  no proof\n  - live update"), "{after}");
}

#[test]
fn a_sample_is_taken_of_good_records_only() {
    let said = world().run(&["verify", "phase1", "--sample", "2"]);
    assert!(said.starts_with("exit 102\n") && said.contains("there are no proofs of phase1"), "{said}");
    let wrong = world().command(&["verify", "--seed", "1"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
