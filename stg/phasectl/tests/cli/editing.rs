// SPDX-License-Identifier: GPL-2.0-only

//! `edit` and `refresh`.

use crate::world::World;

const WORKTREE: &str = "cache/worktrees/edit-phase1-kho";

#[test]
fn there_and_back() {
    let world = World::new();
    insta::assert_snapshot!(world.run(&["edit", "kho"]), @r"
    exit 0
    --- stdout
    phase1/kho is checked out in
      <tmp>/cache/worktrees/edit-phase1-kho
    change it there, then run `phasectl refresh phase1/kho`
    ");
    insta::assert_snapshot!(world.run(&["refresh", "kho"]), @r"
    exit 0
    --- stdout
    phase1/kho: nothing had changed
    ");
    let file = world.path(WORKTREE).join("rust/kernel/kho.rs");
    std::fs::write(&file, "k 0\nk 1\nk 2\nk 3\n").unwrap();
    insta::assert_snapshot!(world.run(&["edit", "kho"]), @r"
    exit 1
    --- stderr
    error: the worktree <tmp>/cache/worktrees/edit-phase1-kho has changes that are not saved
      fix: run `phasectl refresh phase1/kho` to take them, or `git -C <tmp>/cache/worktrees/edit-phase1-kho reset --hard` and `git -C <tmp>/cache/worktrees/edit-phase1-kho clean -df` to drop them
    ");
    insta::assert_snapshot!(world.run(&["refresh", "kho"]), @r"
    exit 0
    --- stdout
    phase1/kho is now <id>
      wrote   kernel/phase1/rust/kernel/kho.rs
      wrote   phases/phase1/track.patch
    ");
    assert_eq!(world.get("kernel/phase1/rust/kernel/kho.rs"), "k 0\nk 1\nk 2\nk 3\ntracked\n");
}

#[test]
fn from_inside_the_worktree() {
    let world = World::new();
    world.run(&["edit", "kho"]);
    let directory = world.path(WORKTREE).join("rust/kernel");
    std::fs::write(directory.join("kho.rs"), "k 0\nk 1\nk 2\nk 3\n").unwrap();
    // Neither the checkout nor the cache is named: both follow from where the user stands.
    let output = world.command(&["refresh"]).env_remove("PHASECTL_CACHE").current_dir(&directory).output().unwrap();
    insta::assert_snapshot!(world.show(&output), @r"
    exit 0
    --- stdout
    phase1/kho is now <id>
      wrote   kernel/phase1/rust/kernel/kho.rs
      wrote   phases/phase1/track.patch
    ");
    let output = world.command(&["refresh"]).current_dir(world.path("home")).output().unwrap();
    insta::assert_snapshot!(world.show(&output), @r"
    exit 1
    --- stderr
    error: <tmp>/home is not inside a checkout of the project (no Cargo.toml with phases/base.yaml beside it, here or above)
      fix: change into one (phasectl takes --project DIR as well)
    ");
}

#[test]
fn a_conflict_changes_nothing() {
    let world = World::new();
    world.run(&["edit", "kho"]);
    let before = world.get("phases/phase1/kho.patch");
    let file = world.path(WORKTREE).join("rust/kernel/kho.rs");
    std::fs::write(&file, "k 1\nk 2\nk three\n").unwrap();
    insta::assert_snapshot!(world.run(&["refresh", "kho"]), @r"
    exit 102
    --- stderr
    error: phases/phase1/track.patch:22: conflict with a later patch: hunk 1 of patch track does not apply to rust/kernel/kho.rs: line 3 differs
      wanted: k 3
      found:  k three
      fix: change the edited patch so that these lines of rust/kernel/kho.rs stay, or take them out of patch track first; nothing was written
    ");
    assert_eq!(world.get("phases/phase1/kho.patch"), before);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "k 1\nk 2\nk three\n");
}

#[test]
fn done_with_a_worktree() {
    let world = World::new();
    world.run(&["edit", "kho"]);
    let file = world.path(WORKTREE).join("rust/kernel/kho.rs");
    std::fs::write(&file, "k 0\nk 1\nk 2\nk 3\n").unwrap();
    insta::assert_snapshot!(world.run(&["edit", "--done", "kho"]), @r"
    exit 1
    --- stderr
    error: the worktree <tmp>/cache/worktrees/edit-phase1-kho has changes that were not taken back
      fix: run `phasectl refresh phase1/kho` to take its changes, or `phasectl edit --done --force phase1/kho` to drop them
    ");
    assert!(file.exists());
    insta::assert_snapshot!(world.run(&["edit", "--done", "--force", "kho"]), @r"
    exit 0
    --- stdout
    removed the worktree of phase1/kho, <tmp>/cache/worktrees/edit-phase1-kho
    ");
    let left = std::fs::read_dir(world.path("cache/worktrees")).unwrap().count();
    assert_eq!(left, 0);
    insta::assert_snapshot!(world.run(&["edit", "--done", "kho"]), @r"
    exit 1
    --- stderr
    error: there is no worktree of phase1/kho
      fix: there is nothing to do; `phasectl edit phase1/kho` opens one
    ");
    assert_eq!(world.command(&["edit", "--force", "kho"]).output().unwrap().status.code(), Some(2));
    world.run(&["edit", "kho"]);
    let output = world.command(&["edit", "--done", "phase1/kho", "--json"]).output().unwrap();
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["patch"], "phase1/kho");
}

#[test]
fn help_tells_how_a_worktree_goes() {
    let world = World::without_base();
    let help = world.run(&["edit", "--help"]);
    assert!(help.contains("phasectl edit --done PATCH") && help.contains("--force"), "{help}");
    assert!(world.run(&["--help"]).contains("103  two kernels do not agree"));
}
