// SPDX-License-Identifier: GPL-2.0-only

//! `export`: rules of signing, bytes, and what `git am` makes of them.

use std::path::Path;

use crate::world::World;

fn read(directory: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_draft_applies_to_the_same_trees() {
    let world = World::new();
    insta::assert_snapshot!(world.run(&["export", "phase1", "--draft", "-o", "../out"]), @r"
    exit 0
    --- stdout
    ../out/foundation
      v1-0000-cover-letter.patch
      v1-0001-rust-kho-Add-abstractions.patch
      v1-0002-PCI-Track-preserved-devices.patch

    to apply on Linux 7.3.4 (tree <id>):
      git am --empty=drop ../out/foundation/v1-*.patch

    to send it yourself, once it is no draft:
      git send-email --to=kvm@example.org --to=rust@example.org ../out/foundation/v1-*.patch
    ");
    let files = read(&world.path("out/foundation"));
    insta::assert_snapshot!(files[0].1, @r"
    From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
    From: Project <project@example.org>
    Date: Mon, 21 Sep 2026 14:13:21 +0000
    Subject: [DRAFT PATCH 0/2] liveupdate: foundation
    MIME-Version: 1.0
    Content-Type: text/plain; charset=UTF-8
    Content-Transfer-Encoding: 8bit

    Why the foundation.

    What was tested
    ---------------
    Tests that boot the kernel in QEMU (x86-64, emulated), listed under the
    patch at which each passes first. Those called a live update go through
    a real kexec into the next kernel. The base is Linux 7.3.

    PCI: Track preserved devices
      - live update, legacy IOMMU: a device file survives a live update
        (phase1/fd-preserve/legacy)

    Base: Linux 7.3.4 (v7.3.4)
    base-commit: 5045640c559bbf030a6003f94d9515297663e7ac

    Project (2):
      rust: kho: Add abstractions
      PCI: Track preserved devices

     drivers/pci/pci.c  | 1 +
     rust/kernel/kho.rs | 4 ++++
     rust/kernel/lib.rs | 1 +
     3 files changed, 6 insertions(+)
     create mode 100644 rust/kernel/kho.rs
    ");

    // The line that was printed, by a maintainer with habits of their own, elsewhere and later.
    world.git(".", &["clone", "--quiet", "linux", "review"]);
    let patches: Vec<String> = files.iter().map(|(name, _)| format!("../out/foundation/{name}")).collect();
    let mut args = vec!["am", "--quiet", "--empty=drop"];
    args.extend(patches.iter().map(String::as_str));
    world.git("review", &args);
    let trees = world.git("review", &["log", "--reverse", "--format=%T", "v7.3.4.."]);
    let assembled: Vec<String> = ["kho", "track"]
        .map(|name| {
            let output = world.command(&["show", name, "--json"]).output().unwrap();
            let patch: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            patch["tree"].as_str().unwrap().to_owned()
        })
        .into();
    assert_eq!(trees.lines().collect::<Vec<_>>(), assembled);
}

#[test]
fn the_bytes_are_the_same_under_other_settings() {
    let world = World::new();
    world.run(&["export", "phase1", "--draft", "-o", "../a"]);
    std::fs::write(
        world.path("home/.gitconfig"),
        "[diff]\n\tcontext = 9\n\talgorithm = patience\n\tnoprefix = true\n[format]\n\tattach = x\n\tsignOff = true\n",
    )
    .unwrap();
    let mut command = world.command(&["export", "phase1", "--draft", "-o", "../b"]);
    command.env("TZ", "Asia/Tokyo").env("LC_ALL", "de_DE.UTF-8").env("GIT_AUTHOR_NAME", "Else");
    assert!(command.status().unwrap().success());
    assert_eq!(read(&world.path("a/foundation")), read(&world.path("b/foundation")));
}

#[test]
fn only_what_the_sender_signed_is_exported() {
    let world = World::new();
    insta::assert_snapshot!(world.run(&["export", "phase1", "-o", "../out"]), @r"
    exit 1
    --- stderr
    error: git has no user.name, so nobody can be named as the sender
      fix: run `git config --global user.name ...`
    ");
    std::fs::write(world.path("home/.gitconfig"), "[user]\n\tname = Jane Doe\n\temail = jane@example.org\n").unwrap();
    insta::assert_snapshot!(world.run(&["export", "phase1", "-o", "../out"]), @r"
    exit 102
    --- stderr
    error: phases/phase1/track.patch:3: no Signed-off-by, and Jane Doe <jane@example.org> exports
      fix: if you certify the patch by the Developer Certificate of Origin, add `Signed-off-by: Jane Doe <jane@example.org>` as the last line of the body; or use --draft
    ");
    assert!(!world.path("out").exists());
    world.replace(
        "phases/phase1/track.patch",
        "Count them.\n",
        "Count them.\n\nSigned-off-by: Jane Doe <jane@example.org>\n",
    );
    insta::assert_snapshot!(world.run(&["export", "phase1", "-v", "2", "-o", "../out"]), @r"
    exit 0
    --- stdout
    ../out/foundation
      v2-0000-cover-letter.patch
      v2-0001-rust-kho-Add-abstractions.patch
      v2-0002-PCI-Track-preserved-devices.patch

    to apply on Linux 7.3.4 (tree <id>):
      git am --empty=drop ../out/foundation/v2-*.patch

    to send it yourself:
      git send-email --to=kvm@example.org --to=rust@example.org ../out/foundation/v2-*.patch
    ");
    let output = world.command(&["export", "phase1", "--json", "-o", "../out"]).output().unwrap();
    let series: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(series[0]["patches"].as_array().unwrap().len(), 2);
    assert_eq!(series[0]["lists"][1], "rust@example.org");
}

#[test]
fn a_phase_goes_out_whole() {
    let world = World::without_base();
    for name in ["phase1/kho", "kho", "phase1/nothing"] {
        let said = world.run(&["export", name, "--draft", "-o", "../out"]);
        assert_eq!(
            said,
            format!(
                "exit 2\n--- stderr\nerror: `{name}` is not a phase, and export takes a whole phase: phase1\n  fix: run `phasectl export phase1 --draft -o ../out`\n"
            )
        );
    }
    insta::assert_snapshot!(world.run(&["export", "phase9", "--draft", "-o", "../out"]), @r"
    exit 2
    --- stderr
    error: there is no phase `phase9`
      fix: name one of: phase1, phase2
    ");
}
