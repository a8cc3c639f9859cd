// SPDX-License-Identifier: GPL-2.0-only

//! Bisecting: what is refused before anything is built, and which side git is told of.

use crate::lab::Lab;
use crate::qemu::FAULT;
use crate::world::World;

#[test]
fn there_must_be_something_between_the_ends() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["bisect", "phase1", "--scenario", "fd-preserve/legacy"]), @r"
    exit 2
    --- stderr
    error: nothing to bisect: the bad end, phase1/track, does not come after the good one, phase1/track
      fix: name a patch where phase1/fd-preserve/legacy passes with --good, and a later one where it fails with --bad
    ");
    insta::assert_snapshot!(world.run(&["bisect", "all", "--scenario", "fd-preserve", "--good", "domain", "--bad", "kho"]), @r"
    exit 2
    --- stderr
    error: nothing to bisect: the bad end, phase1/kho, does not come after the good one, phase2/domain
      fix: name a patch where phase1/fd-preserve passes with --good, and a later one where it fails with --bad
    ");
    insta::assert_snapshot!(world.run(&["bisect", "phase1", "--scenario", "fd-preserve", "--good", "domain"]), @r"
    exit 2
    --- stderr
    error: domain is not among the patches that are bisected
      fix: name `base`, or one from phase1/kho to phase1/track
    ");
}

#[test]
fn a_scenario_and_a_kernel_of_it_that_can_walk() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["bisect", "all", "--scenario", "fd-preserve/nobody"]), @r"
    exit 2
    --- stderr
    error: there is no scenario `fd-preserve/nobody`
      fix: name one of: fd-preserve/legacy, fd-preserve/scalable
    ");
    world.replace("selftests/scenarios/phase1/fd-preserve.yaml", "stages:", "kernels: { outgoing: base }\nstages:");
    let side = |side| {
        world.run(&["bisect", "all", "--scenario", "fd-preserve", "--side", side, "--good", "base", "--bad", "base"])
    };
    insta::assert_snapshot!(side("outgoing"), @r"
    exit 2
    --- stderr
    error: the outgoing kernel of phase1/fd-preserve is not one that could go from patch to patch
      fix: take a scenario whose `kernels:` has `current` there; selftests/scenarios/phase1/fd-preserve.yaml says what it runs
    ");
    // The other one can.
    assert!(side("incoming").contains("nothing to bisect"), "{}", side("incoming"));
}

#[test]
fn a_pass_is_no_failure_to_look_for() {
    let world = World::without_base();
    let pass = |command: &str| world.run(&[command, "phase1", "--scenario", "fd-preserve/legacy", "--verdict", "pass"]);
    insta::assert_snapshot!(pass("bisect"), @r"
    exit 2
    --- stderr
    error: --verdict pass: a bisect looks for a failure, and phase1/fd-preserve/legacy must end with `pass`
      fix: name the class with which it fails, or leave out --verdict: then every failure counts
    ");
    assert!(pass("bisect-step").starts_with("exit 128\n"), "{}", pass("bisect-step"));
    // Where it must end otherwise, it is.
    world.replace(
        "selftests/scenarios/phase1/fd-preserve.yaml",
        "stages:",
        "expect: { verdict: restore-panic }\nstages:",
    );
    assert!(pass("bisect").contains("nothing to bisect"), "{}", pass("bisect"));
}

#[test]
fn a_linux_tree_is_looked_at_before_anything_is_set_up() {
    let world = World::without_base();
    let step = |tree: &str| world.run(&["bisect-step", "phase1", "--scenario", "fd-preserve", "--linux", tree]);
    insta::assert_snapshot!(step("../nowhere"), @r"
    exit 128
    --- stderr
    error: ../nowhere: there is no such directory
      fix: give the path of a Linux clone
    ");
    assert!(
        step("../home").contains("error: ../home: git knows no commit that is checked out there: "),
        "{}",
        step("../home")
    );
    world.clone_linux();
    world.git("linux", &["rm", "--quiet", "Makefile"]);
    world.git("linux", &["commit", "--quiet", "-m", "no Linux"]);
    let said = step("../linux");
    assert!(
        said.starts_with("exit 128\n") && said.contains(", which is checked out there, has no Linux Makefile\n  fix:"),
        "{said}"
    );
    assert!(!world.path("cache/base.json").exists());
}

#[test]
fn git_bisect_run_is_never_told_what_is_not_so() {
    let world = World::without_base();
    let code = |args: &[&str]| {
        let output = world.command(&[&["bisect-step"], args].concat()).output().unwrap();
        assert!(!output.stderr.is_empty(), "it says why");
        output.status.code().unwrap()
    };
    assert_eq!(code(&["phase1"]), 128, "no --scenario: else 2, which is bad");
    assert_eq!(code(&["phase1", "--scenario", "fd-preserve", "--side", "outgoing"]), 128);
    assert_eq!(code(&["phase9", "--scenario", "fd-preserve"]), 125, "another revision may have it");
    assert_eq!(code(&["phase1", "--scenario", "not-yet"]), 125);
    assert_eq!(code(&["phase1", "--scenario", "fd-preserve", "--verdict", "bad"]), 128);
    assert_eq!(
        code(&["phase1", "--scenario", "not-there", "--linux", "../linux"]),
        128,
        "git does not walk this project"
    );
    assert_eq!(code(&["--project", "..", "phase1", "--scenario", "fd-preserve"]), 128);
    world.replace("phases/phase2/phase.yaml", "requires:", "require:");
    assert_eq!(code(&["phase1", "--scenario", "fd-preserve"]), 125, "this revision is broken");
    let help = world.run(&["bisect-step", "--help"]);
    assert!(help.starts_with("exit 0\n") && help.contains("[default: 4]"), "as often as bisect asks: {help}");
}

#[test]
fn a_commit_of_linux_is_blamed_in_the_kernel_that_does_it() {
    let lab = Lab::new();
    let [cache] = lab.caches(["cache"]);
    lab.world.put_linux("drivers/pci/pci.c", &format!("one\n{FAULT}\n"));
    lab.world.git("linux", &["commit", "--quiet", "--all", "-m", "a commit on top"]);
    // What the incoming kernel does wrong does not matter in the outgoing one, though the other one is at the same point.
    let code = |args: &[&str]| {
        let step = ["bisect-step", "phase1", "--scenario", "fd-preserve/legacy", "--linux", "../linux"];
        let output = lab.command(cache, &[&step, args].concat()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let other = |side| code(&["--side", side, "--other", "hand-over"]);
    assert_eq!(other("outgoing"), (0, "good\n".repeat(4)));
    let (bad, said) = other("incoming");
    assert_eq!((bad, said.lines().filter(|line| *line == "bad").count()), (1, 4), "{said}");
    assert_eq!(code(&[]).0, 1, "both are the commit");
}
