// SPDX-License-Identifier: GPL-2.0-only

//! Mistakes in manifests, as people make them.

use crate::testing::World;

/// The error after one replacement in phase1's manifest.
fn error(from: &str, to: &str) -> String {
    let world = World::new();
    world.replace("phases/phase1/phase.yaml", from, to);
    world.load().expect_err("this must not load").to_string()
}

#[test]
fn what_is_right_loads() {
    let stack = World::new().load().unwrap();
    let phase = stack.phase("phase1").unwrap();
    let rows: Vec<_> = phase.patches[1].entry.rows.iter().map(ToString::to_string).collect();
    assert_eq!(rows, ["1.4", "1.10"]);
    assert!(phase.patches[0].entry.prepares && !phase.patches[1].entry.prepares);
    assert_eq!(phase.manifest.budgets.blackout_percent, Some(1.0));
}

#[test]
fn unknown_field() {
    insta::assert_snapshot!(error("requires: []", "require: []"), @r"
    phases/phase1/phase.yaml:4:1: unknown field `require`, expected one of `phase`, `slug`, `title`, `requires`, `gates`, `lists`, `series`, `scenarios`, `budgets`
      fix: remove the field, or write `requires` if that was meant
    ");
    insta::assert_snapshot!(error("        prepares: true", "        colour: blue"), @r"
    phases/phase1/phase.yaml:13:9: series[0].patches[0]: unknown field `colour`, expected one of `name`, `prepares`, `rows`, `tests`, `obsoletes`
      fix: remove the field, or correct its name
    ");
}

#[test]
fn bad_yaml() {
    insta::assert_snapshot!(error("requires: []", "requires: ["), @r"
    phases/phase1/phase.yaml:5:1: requires[0]: invalid type: map, expected a string
      fix: correct the YAML at this place
    ");
    insta::assert_snapshot!(error("title: Base fd preservation", "title: a: b"), @r"
    phases/phase1/phase.yaml:3:9: bad YAML: mapping values are not allowed in this context
      fix: correct the YAML at this place
    ");
    insta::assert_snapshot!(error("gates: [VFIO_PCI_LIVEUPDATE]", "gates: VFIO_PCI_LIVEUPDATE"), @r#"
    phases/phase1/phase.yaml:5:8: gates: invalid type: string "VFIO_PCI_LIVEUPDATE", expected a sequence
      fix: correct the YAML at this place
    "#);
    insta::assert_snapshot!(error("slug: base-fd\n", ""), @r"
    phases/phase1/phase.yaml:1:1: missing field `slug`
      fix: add the field
    ");
}

#[test]
fn budgets() {
    let budgets = "budgets: { blackout_percent: 1 }";
    insta::assert_snapshot!(error(budgets, "budgets: { blackout_per_cent: 1 }"), @r"
    phases/phase1/phase.yaml:24:12: budgets: unknown field `blackout_per_cent`, expected `blackout_percent`
      fix: remove the field, or write `blackout_percent` if that was meant
    ");
    insta::assert_snapshot!(error(budgets, "budgets: { blackout_percent: -1 }"), @r"
    phases/phase1/phase.yaml:24:12: a blackout cannot be held to -1 per cent
      fix: write how many per cent longer it may be, as in `blackout_percent: 2`
    ");
    insta::assert_snapshot!(error(budgets, "budgets: { blackout_percent: .nan }"), @r"
    phases/phase1/phase.yaml:24:12: a blackout cannot be held to NaN per cent
      fix: write how many per cent longer it may be, as in `blackout_percent: 2`
    ");
}

#[test]
fn unquoted_rows_are_other_rows() {
    insta::assert_snapshot!(error("\"1.10\"", "1.10"), @r#"
    phases/phase1/phase.yaml:16:23: series[0].patches[1].rows[1]: this row is not quoted: YAML reads it as the number 1.1
      fix: put the row into quotes, as in rows: ["1.1", "1.10"]
    "#);
    insta::assert_snapshot!(error("\"1.10\"", "\"one\""), @r#"
    phases/phase1/phase.yaml:16:23: series[0].patches[1].rows[1]: `one` is not a row such as "1.10"
      fix: correct the YAML at this place
    "#);
}

#[test]
fn names_and_references() {
    insta::assert_snapshot!(error("phase: phase1", "phase: phase9"), @r"
    phases/phase1/phase.yaml:1:8: phase `phase9` lies in phases/phase1
      fix: write `phase: phase1`
    phases/phase1/phase.yaml:23:13: `phase1/fd-preserve` is not a scenario's name
      fix: write `phase9/<name>`
    phases/phase2/phase.yaml:4:12: requires `phase1`, which is not a phase
      fix: name one of: phase2, phase9
    ");
    insta::assert_snapshot!(error("slug: base-fd", "slug: Base_fd"), @r"
    phases/phase1/phase.yaml:2:7: `Base_fd` is not a name
      fix: use lower-case letters, digits and `-`
    ");
    insta::assert_snapshot!(error("requires: []", "requires: [phase7]"), @r"
    phases/phase1/phase.yaml:4:12: requires `phase7`, which is not a phase
      fix: name one of: phase1, phase2
    ");
    insta::assert_snapshot!(error("[VFIO_PCI_LIVEUPDATE]", "[CONFIG_VFIO_PCI]"), @r"
    phases/phase1/phase.yaml:5:9: gate `CONFIG_VFIO_PCI` is not a Kconfig symbol
      fix: write `VFIO_PCI`
    ");
    insta::assert_snapshot!(error("tests: [phase1/fd-preserve/legacy]", "tests: [phase1/nothing]"), @r"
    phases/phase1/phase.yaml:17:17: patch `track` names the test `phase1/nothing`, which `scenarios:` of phase1 does not list
      fix: add it to `scenarios:`, or correct the name
    ");
    insta::assert_snapshot!(error("scenarios: [phase1/fd-preserve]", "scenarios: [phase1/fd-preserve, other]"), @r"
    phases/phase1/phase.yaml:23:33: `other` is not a scenario's name
      fix: write `phase1/<name>`
    ");
}

#[test]
fn patches_and_their_files() {
    insta::assert_snapshot!(error("- name: docs", "- name: doc"), @r"
    phases/phase1/phase.yaml:22:15: missing file: phases/phase1/doc.patch
      fix: create it, or take the patch out of the list
    phases/phase1/docs.patch: no series of phases/phase1/phase.yaml lists this patch
      fix: list it under `patches:` at its place in the order, or delete it
    ");
    insta::assert_snapshot!(error("- name: docs", "- name: kho"), @r"
    phases/phase1/phase.yaml:12:15: a second patch `kho` (the other is in phases/phase1/phase.yaml)
      fix: give it another name: names are unique
    phases/phase1/docs.patch: no series of phases/phase1/phase.yaml lists this patch
      fix: list it under `patches:` at its place in the order, or delete it
    ");
    insta::assert_snapshot!(error("cover: cover-rest.md", "cover: cover.md"), @r"
    phases/phase1/phase.yaml:20:12: missing file: the cover text phases/phase1/cover.md
      fix: create the file beside phase.yaml
    ");
    let world = World::new();
    world.replace("phases/phase2/phase.yaml", "- name: domain\n", "- name: docs\n");
    insta::assert_snapshot!(world.load().unwrap_err(), @r"
    phases/phase2/phase.yaml:6:11: a second patch `docs` (the other is in phases/phase1/phase.yaml)
      fix: give it another name: names are unique
    phases/phase2/phase.yaml:6:11: missing file: phases/phase2/docs.patch
      fix: create it, or take the patch out of the list
    phases/phase2/domain.patch: no series of phases/phase2/phase.yaml lists this patch
      fix: list it under `patches:` at its place in the order, or delete it
    ");
}

#[test]
fn a_directory_of_no_phase() {
    let world = World::new();
    world.put("kernel/phase3/rust/kernel/a.rs", "a\n");
    world.put("selftests/phase3/tools/testing/selftests/a.c", "a\n");
    world.put("selftests/phase3/tools/testing/selftests/b.c", "b\n");
    world.put("phases/phase4/phase.yml", "phase: phase4\n");
    world.put("kernel/host-tests/src/lib.rs", "\n");
    world.put("selftests/phases.rs", "\n");
    insta::assert_snapshot!(world.load().unwrap_err(), @r"
    phases/phase4: a directory of phase4, which is not a phase: there is no phases/phase4/phase.yaml
      fix: write phases/phase4/phase.yaml, or remove the directory
    kernel/phase3: a directory of phase3, which is not a phase: there is no phases/phase3/phase.yaml
      fix: write phases/phase3/phase.yaml, or remove the directory
    selftests/phase3: a directory of phase3, which is not a phase: there is no phases/phase3/phase.yaml
      fix: write phases/phase3/phase.yaml, or remove the directory
    ");
}

#[test]
fn tests_are_scenarios_of_the_same_phase() {
    let world = World::new();
    let text = world.get("phases/phase2/phase.yaml");
    world.put("phases/phase2/phase.yaml", format!("{text}        tests: [phase1/fd-preserve]\n"));
    insta::assert_snapshot!(world.load().unwrap_err(), @r"
    phases/phase2/phase.yaml:11:17: patch `domain` names the test `phase1/fd-preserve`, which `scenarios:` of phase2 does not list
      fix: add it to `scenarios:`, or correct the name
    ");
}

#[test]
fn what_a_patch_obsoletes_may_be_another_phase_s() {
    let world = World::new();
    let text = world.get("phases/phase2/phase.yaml");
    world.put("phases/phase2/phase.yaml", format!("{text}        obsoletes: [phase1/fd-preserve/legacy]\n"));
    world.load().unwrap();
    world.put("phases/phase2/phase.yaml", format!("{text}        obsoletes: [phase1/nothing]\n"));
    insta::assert_snapshot!(world.load().unwrap_err(), @r"
    phases/phase2/phase.yaml:11:21: patch `domain` obsoletes the test `phase1/nothing`, which no phase lists
      fix: correct the name, or take it out
    ");
}

#[test]
fn mailing_lists() {
    insta::assert_snapshot!(error("[list@example.org]", "[list@example.org; rm, list]"), @r"
    phases/phase1/phase.yaml:6:9: `list@example.org; rm` is not the address of a mailing list
      fix: write it as in `linux-kernel@vger.kernel.org`
    phases/phase1/phase.yaml:6:9: `list` is not the address of a mailing list
      fix: write it as in `linux-kernel@vger.kernel.org`
    ");
}

#[test]
fn base_manifest() {
    let world = World::new();
    world.replace("phases/base.yaml", "epoch", "epok");
    insta::assert_snapshot!(world.load().unwrap_err(), @r"
    phases/base.yaml:5:1: unknown field `epok`, expected one of `release`, `package`, `suites`, `author`, `epoch`
      fix: remove the field, or write `epoch` if that was meant
    ");
    std::fs::remove_file(world.root().join("phases/base.yaml")).unwrap();
    insta::assert_snapshot!(world.load().unwrap_err(), @r"
    phases/base.yaml: missing file
      fix: put it back, it belongs to the project
    ");
}
