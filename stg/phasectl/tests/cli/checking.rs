// SPDX-License-Identifier: GPL-2.0-only

//! `check`, with the checks that need no more than git.

use std::io::Write as _;
use std::process::Stdio;

use crate::world::World;

/// Those that need no program of this machine.
const PLAIN: [&str; 10] =
    ["--only", "applies", "--only", "body", "--only", "series", "--only", "safety", "--only", "dead-code"];

fn check(world: &World, args: &[&str]) -> String {
    world.run(&[&["check"], args, &PLAIN, &["--only", "abi"]].concat())
}

const HEADER: &str = "kernel/phase1/include/linux/kho/abi/x.h";

/// A world whose first patch adds an ABI header, and whose second changes it without a step.
fn world() -> World {
    let world = World::new();
    world.put(HEADER, "#define X_VERSION 1\nstruct x {\n\tu64 a;\n};\n");
    world.replace(
        "phases/phase1/kho.patch",
        "Adds: rust/kernel/kho.rs\n",
        "Adds: rust/kernel/kho.rs\nAdds: include/linux/kho/abi/x.h\n",
    );
    let hunk = "diff --git a/include/linux/kho/abi/x.h b/include/linux/kho/abi/x.h
--- a/include/linux/kho/abi/x.h
+++ b/include/linux/kho/abi/x.h
@@ -1,4 +1,4 @@
 #define X_VERSION 1
 struct x {
-\tu32 a;
+\tu64 a;
 };
";
    let patch = world.get("phases/phase1/track.patch") + hunk;
    world.put("phases/phase1/track.patch", &patch.replace("Count them.\n", "Count them.\n\nv2:\n - counted\n"));
    world
}

#[test]
fn each_patch_and_its_findings() {
    let world = world();
    insta::assert_snapshot!(check(&world, &["phase1"]), @r"
    exit 102
    --- stdout
    phase1/kho: nothing found
    phase1/track: 2 findings
    phases/phase1/track.patch:5: body: `v2:` begins a changelog, which is not for the history
      fix: say what changed between postings in the cover letter
    include/linux/kho/abi/x.h:2: abi: `struct x` changes without a step of any version
      fix: step X_VERSION, or leave the layout as it is

    2 patches, 6 checks: 2 findings in phase1/track
    ");
    insta::assert_snapshot!(check(&world, &["kho"]), @r"
    exit 0
    --- stdout
    phase1/kho: nothing found
    ");
}

#[test]
fn a_patch_that_prepares_too_late() {
    let world = World::new();
    let check = || world.run(&["check", "phase1", "--quick", "--only", "prepares"]);
    assert!(check().contains("2 patches, 1 check: nothing found"));
    world.replace("phases/phase1/phase.yaml", "        prepares: true\n", "");
    world.replace("phases/phase1/phase.yaml", "- name: track\n", "- name: track\n        prepares: true\n");
    insta::assert_snapshot!(check(), @r"
    exit 102
    --- stdout
    phase1/kho: nothing found
    phase1/track: 1 finding
    phases/phase1/phase.yaml:12: prepares: patch track prepares, but comes after others of series foundation
      fix: move it to the front of its series, or drop `prepares:` if it changes nothing with the gates off

    2 patches, 1 check: 1 finding in phase1/track
    ");
}

#[test]
fn what_was_found_can_be_forgotten() {
    let world = world();
    check(&world, &["phase1"]);
    // As a wrong answer would stand there: one that nobody would give.
    let entries = || std::fs::read_dir(world.path("cache/outcomes/check")).unwrap().map(|entry| entry.unwrap().path());
    for entry in entries() {
        let mut answer: serde_json::Value = serde_json::from_slice(&std::fs::read(&entry).unwrap()).unwrap();
        answer["answer"] = serde_json::json!([]);
        std::fs::write(&entry, answer.to_string()).unwrap();
    }
    assert!(check(&world, &["phase1"]).contains("phase1/track: nothing found"));
    assert!(check(&world, &["track", "--again"]).contains("phase1/track: 2 findings"));
    assert!(check(&world, &["phase1"]).contains("phase1/track: 2 findings"));
}

#[test]
fn as_json() {
    let world = world();
    let output = world.command(&[&["check", "phase1", "--json"], &PLAIN[..]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(102));
    let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&view["findings"], &view["patches"][1]["patch"]), (&1.into(), &"phase1/track".into()));
    let finding = &view["patches"][1]["checks"][1]["findings"][0];
    assert_eq!((&finding["file"], &finding["line"]), (&"phases/phase1/track.patch".into(), &5.into()));
    assert!(finding["fix"].is_string() && finding["message"].is_string());
}

#[test]
fn what_does_not_apply_is_a_finding() {
    let world = world();
    world.replace("phases/phase1/track.patch", " two\n", " tow\n");
    let said = check(&world, &["phase1"]);
    assert!(said.starts_with("exit 102\n--- stdout\nphases/phase1/track.patch: 1 finding\n"), "{said}");
    assert!(said.contains(": applies: ") && said.contains("fix: "), "{said}");
}

#[test]
fn the_base_itself() {
    let world = World::new();
    insta::assert_snapshot!(world.run(&["check", "base"]), @r"
    exit 0
    --- stdout
    Linux 7.3.4: nothing found
    ");
    let said = world.run(&["check", "base", "--only", "body"]);
    assert!(said.starts_with("exit 2") && said.contains("only `abi`"), "{said}");
}

fn b4(world: &World, mail: &str, args: &[&str]) -> String {
    let mut command = world.command(&[&["check", "--b4"], args, &PLAIN, &["--only", "abi"]].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(mail.as_bytes()).unwrap();
    world.show(&child.wait_with_output().unwrap())
}

#[test]
fn b4_hears_nothing_of_a_good_mail_and_an_error_a_line_of_a_bad_one() {
    let world = world();
    world.run(&["export", "phase1", "--draft", "-o", "out"]);
    let mail = |name: &str| world.get(&format!("out/foundation/v1-{name}.patch"));
    let good = mail("0001-rust-kho-Add-abstractions");
    assert_eq!(b4(&world, &good, &[]), "exit 0\n");
    // Its line of the message counts in the mail.
    let bad = mail("0002-PCI-Track-preserved-devices");
    insta::assert_snapshot!(b4(&world, &bad, &[]), @r"
    exit 102
    --- stdout
    mail:8: ERROR: body: `v2:` begins a changelog, which is not for the history (fix: say what changed between postings in the cover letter)
    include/linux/kho/abi/x.h:2: ERROR: abi: `struct x` changes without a step of any version (fix: step X_VERSION, or leave the layout as it is)
    ");
    let review = b4(&world, &bad, &["--json"]);
    assert!(review.contains("\"tool\": \"phasectl-body\"") && review.contains("\"status\": \"fail\""), "{review}");
    // A mail of somebody else's, on top of everything.
    let other = "From: A <a@example.org>\nSubject: [PATCH 3/3] x: More\n\nWhy.\n---\ndiff --git a/Makefile b/Makefile\n--- a/Makefile\n+++ b/Makefile\n@@ -1 +1,2 @@\n VERSION = 7\n+X = 1\n";
    assert_eq!(
        b4(
            &world,
            &other
                .replace("-1 +1,2", "-1,5 +1,6")
                .replace("+X = 1\n", "+X = 1\n PATCHLEVEL = 3\n SUBLEVEL = 4\n EXTRAVERSION =\n NAME = Test\n"),
            &[]
        ),
        "exit 0\n"
    );
}

#[test]
fn b4_hears_which_hunk_of_which_file_does_not_apply() {
    let world = world();
    world.run(&["export", "phase1", "--draft", "-o", "out"]);
    let good = world.get("out/foundation/v1-0001-rust-kho-Add-abstractions.patch");
    let astray = good.replace(" pub mod c;", " pub mod x;");
    insta::assert_snapshot!(b4(&world, &astray, &[]), @r"
    exit 102
    --- stdout
    mail:40: ERROR: applies: hunk 1 of rust/kernel/lib.rs (`@@ -1,3 +1,4 @@`) has no place: the mail does not apply to the tree before phase1/kho, nor to any other tree of this project (fix: rebase it, or `phasectl base use` your clone)
    ");
    assert!(astray.lines().nth(39).unwrap().starts_with("@@ -1,3"));
    let review = b4(&world, &astray, &["--json"]);
    assert!(review.contains("hunk 1 of rust/kernel/lib.rs"), "{review}");
    // Of no patch here: the file that the mail adds is there in all trees but the base, so that one is the nearest.
    let other = astray.replace("rust: kho: Add", "rust: kho: Improve");
    let said = b4(&world, &other, &[]);
    assert!(said.contains("hunk 1 of rust/kernel/lib.rs") && said.contains("not apply to Linux 7.3.4, nor"), "{said}");
    let said = b4(&world, &other.replace("rust/kernel/lib.rs", "rust/kernel/bib.rs"), &[]);
    assert!(said.contains("ERROR: applies: rust/kernel/bib.rs: does not exist in index: the mail"), "{said}");
}
