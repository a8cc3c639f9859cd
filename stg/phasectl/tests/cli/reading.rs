// SPDX-License-Identifier: GPL-2.0-only

//! Commands that only tell: `list`, `graph`, `show`, `base show`, `doctor`.

use std::io::Read as _;
use std::process::Stdio;

use crate::world::World;

#[test]
fn list() {
    insta::assert_snapshot!(World::without_base().run(&["list"]), @r"
    exit 0
    --- stdout
    phase1 base-fd: Base fd preservation (2 patches, 1 series, 1 scenario)
      gates VFIO_PCI_LIVEUPDATE
      foundation: liveupdate: foundation (2 patches)
         1 kho    rust: kho: Add abstractions
         2 track  PCI: Track preserved devices
    phase2 iommu: IOMMU domains (1 patch, 1 series, 0 scenarios)
      requires phase1
      domain: iommu: domains (1 patch)
         1 domain  iommu: Preserve domains
    ");
}

#[test]
fn list_rows() {
    insta::assert_snapshot!(World::without_base().run(&["list", "--rows"]), @r"
    exit 0
    --- stdout
    1.1   patch  phase1/kho
          test   NO TEST shows it
          fault  NO FAULT: nothing shows that its tests can fail
    1.2   patch  phase1/track
          test   phase1/fd-preserve/legacy
          fault  uncounted
    1.10  patch  phase1/track
          test   phase1/fd-preserve/scalable
          fault  NO FAULT: nothing shows that its tests can fail

    3 rows, 2 without a fault: 1.1, 1.10
    ");
}

#[test]
fn rows_of_the_harness_are_no_requirements() {
    let world = World::without_base();
    let scenario = world.get("selftests/scenarios/phase1/fd-preserve.yaml").replace("\"1.2\"", "\"X.5\"");
    world.put("selftests/scenarios/harness/memfd.yaml", &scenario);
    let said = world.run(&["list", "--rows"]);
    assert!(!said.contains("X.5") && said.contains("3 rows, 2 without a fault"), "{said}");
}

#[test]
fn list_as_json() {
    let world = World::without_base();
    let output = world.command(&["list", "--json"]).output().unwrap();
    let phases: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(phases[0]["series"][0]["patches"][1]["tests"][0], "phase1/fd-preserve/legacy");
    assert_eq!(phases[1]["requires"][0], "phase1");
    let output = world.command(&["list", "--rows", "--json"]).output().unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[1]["row"], "1.2");
    assert_eq!(rows[1]["faults"][0], "uncounted");
}

#[test]
fn graph() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["graph"]), @r"
    exit 0
    --- stdout
    phase1 Base fd preservation (2 patches)
    └── phase2 IOMMU domains (1 patch)
    ");
    insta::assert_snapshot!(world.run(&["graph", "--dot"]), @r#"
    exit 0
    --- stdout
    digraph phases {
      "phase1" [label="phase1\nBase fd preservation"];
      "phase2" [label="phase2\nIOMMU domains"];
      "phase1" -> "phase2";
    }
    "#);
}

#[test]
fn graph_as_json() {
    let world = World::without_base();
    let output = world.command(&["graph", "--json"]).output().unwrap();
    let phases: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!([
        { "phase": "phase1", "title": "Base fd preservation", "requires": [], "required_by": ["phase2"], "patches": 2 },
        { "phase": "phase2", "title": "IOMMU domains", "requires": ["phase1"], "required_by": [], "patches": 1 },
    ]);
    assert_eq!(phases, expected);
    assert_eq!(world.command(&["graph", "--json", "--dot"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn show_without_and_with_a_base() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["show", "track"]), @r"
    exit 0
    --- stdout
    patch   phase1/track (2 of 2 in series foundation)
    file    phases/phase1/track.patch
    commit  none, as there is no base (`phasectl base fetch`)
    rows    1.2, 1.10
    tests   phase1/fd-preserve/legacy
    edits   drivers/pci/pci.c (+1 -0)
    edits   rust/kernel/kho.rs (+1 -0)

        PCI: Track preserved devices

        Count them.
    ");
    let world = World::new();
    insta::assert_snapshot!(world.run(&["show", "phase1/kho"]), @r"
    exit 0
    --- stdout
    patch   phase1/kho (1 of 2 in series foundation)
    file    phases/phase1/kho.patch
    commit  <id>
    rows    1.1 (prepares for later patches)
    tests   none
    adds    rust/kernel/kho.rs
            kept in kernel/phase1/rust/kernel/kho.rs
    edits   rust/kernel/lib.rs (+1 -0)

        rust: kho: Add abstractions

        KHO hands memory to the next kernel.

        Signed-off-by: Jane Doe <jane@example.org>
    ");
    let output = world.command(&["show", "kho", "--json"]).output().unwrap();
    let patch: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(patch["number"], 1);
    let commit = patch["commit"].as_str().unwrap();
    assert_eq!(world.git("cache/base.git", &["show", "-s", "--format=%s", commit]), "rust: kho: Add abstractions\n");
}

#[test]
fn a_clone_is_adopted_and_left_alone() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["base", "show"]), @r"
    exit 110
    --- stderr
    error: no base tree in <tmp>/cache
      fix: run `phasectl base fetch`, or `phasectl base use PATH` with a Linux clone
    ");
    world.clone_linux();
    let before = world.git("linux", &["for-each-ref"]);
    let clone = world.path("linux");
    insta::assert_snapshot!(world.run(&["base", "use", clone.to_str().unwrap()]), @r"
    exit 0
    --- stdout
    release 7.3.4
    clone   <tmp>/linux
    tag     v7.3.4
    commit  <id>
    tree    <id>
    in      <tmp>/cache/base.git
    ");
    assert_eq!(world.git("linux", &["for-each-ref"]), before);
    assert_eq!(world.git("linux", &["status", "--porcelain"]), "");
    let output = world.command(&["base", "show", "--json"]).output().unwrap();
    let base: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(base["origin"]["clone"]["tag"], "v7.3.4");
}

#[test]
fn a_reader_may_leave() {
    let world = World::without_base();
    let mut child = world.command(&["list", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn doctor_tells_what_is_missing() {
    let world = World::without_base();
    let empty = world.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let output = world.command(&["doctor", "--json"]).env("PATH", &empty).output().unwrap();
    assert_eq!(output.status.code(), Some(110));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let qemu = rows.iter().find(|row| row["id"] == "qemu").unwrap();
    assert_eq!(qemu["ok"], false);
    assert!(!qemu["fix"].as_str().unwrap().is_empty());
    let output = world.command(&["doctor"]).env("PATH", &empty).output().unwrap();
    assert_eq!(output.status.code(), Some(110));
    assert!(String::from_utf8(output.stdout).unwrap().contains("MISSING  qemu"));
}
