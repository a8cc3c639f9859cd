// SPDX-License-Identifier: GPL-2.0-only

//! Edit, refresh, assemble: what was in the worktree is in the project.

use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::git::command::Git;
use crate::testing::World;

impl World {
    fn edit(&self, patch: &str) -> Opened {
        open(&self.cache(), &self.base, &self.disk(), patch).unwrap()
    }

    fn refresh(&self, patch: &str) -> Result<Refreshed> {
        refresh(&self.cache(), &self.base, &self.disk(), &Which::Patch(patch.to_owned()))
    }
}

fn write(opened: &Opened, path: &str, text: &str) {
    let path = opened.path.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn read(opened: &Opened, path: &str) -> String {
    std::fs::read_to_string(opened.path.join(path)).unwrap()
}

fn git(opened: &Opened, args: &[&str]) -> String {
    let me = ["-c", "user.name=Me", "-c", "user.email=me@example.org"];
    Git::worktree(&opened.path).args(me).args(args).line().unwrap()
}

#[test]
fn nothing_changed_means_nothing_written() {
    let world = World::new();
    for patch in ["kho", "track", "docs", "domain"] {
        world.edit(patch);
        let first = world.refresh(patch).unwrap();
        // The hand-written fixtures have no hunk headings; after one refresh the files are in our form.
        assert!(first.written.len() <= 1 && first.removed.is_empty(), "{first:?}");
        let before = world.snapshot();
        assert_eq!(world.refresh(patch).unwrap().written, Vec::<Utf8PathBuf>::new());
        assert_eq!(world.snapshot(), before);
    }
}

#[test]
fn every_kind_of_change_comes_back() {
    let world = World::new();
    let opened = world.edit("phase1/track");
    let kho = read(&opened, "rust/kernel/kho.rs");
    assert!(!kho.contains("explained"), "a later patch is in the worktree");
    write(&opened, "rust/kernel/kho.rs", &kho.replace("k 1\n", "k 0\nk 1\n"));
    write(&opened, "drivers/pci/pci.c", &read(&opened, "drivers/pci/pci.c").replace("line 30\n", "line thirty\n"));
    write(&opened, "drivers/pci/live/new.rs", "new\n");
    write(&opened, "tools/testing/selftests/vfio/more.sh", "#!/bin/sh\n");
    write(&opened, "drivers/pci/build.o", "ignored\n");
    std::fs::remove_file(opened.path.join("drivers/pci/old.c")).unwrap();
    std::fs::remove_file(opened.path.join("tools/testing/selftests/vfio/live.c")).unwrap();
    git(&opened, &["add", "drivers/pci/live/new.rs"]);
    let done = world.refresh("track").unwrap();

    assert_eq!(world.get("kernel/phase1/drivers/pci/live/new.rs"), "new\n");
    assert_eq!(world.get("selftests/phase1/tools/testing/selftests/vfio/more.sh"), "#!/bin/sh\n");
    assert!(!world.root().join("selftests/phase1/tools/testing/selftests/vfio/live.c").exists());
    assert_eq!(done.removed, ["selftests/phase1/tools/testing/selftests/vfio/live.c"]);
    let end = world.get("kernel/phase1/rust/kernel/kho.rs");
    assert!(end.starts_with("k 0\nk 1\n") && end.ends_with("k 10\nexplained\n"), "{end}");
    insta::assert_snapshot!(world.get("phases/phase1/track.patch"), @r"
    Subject: PCI: track preserved devices
    Adds: drivers/pci/live/new.rs
    Adds: tools/testing/selftests/vfio/more.sh

    Count them.

    Signed-off-by: Jane Doe <jane@example.org>
    ---
    diff --git a/drivers/pci/old.c b/drivers/pci/old.c
    deleted file mode 100644
    --- a/drivers/pci/old.c
    +++ /dev/null
    @@ -1,12 +0,0 @@
    -line 1
    -line 2
    -line 3
    -line 4
    -line 5
    -line 6
    -line 7
    -line 8
    -line 9
    -line 10
    -line 11
    -line 12
    diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c
    --- a/drivers/pci/pci.c
    +++ b/drivers/pci/pci.c
    @@ -19,6 +19,7 @@ line 18
     line 19
     line 20
     line 21
    +tracked
     line 22
     line 23
     line 24
    @@ -27,7 +28,7 @@ line 26
     line 27
     line 28
     line 29
    -line 30
    +line thirty
     line 31
     line 32
     line 33
    diff --git a/rust/kernel/kho.rs b/rust/kernel/kho.rs
    --- a/rust/kernel/kho.rs
    +++ b/rust/kernel/kho.rs
    @@ -1,8 +1,10 @@
    +k 0
     k 1
     k 2
     k 3
     k 4
     k 5
    +tracked
     k 6
     k 7
     k 8
    ");
    // The line numbers of the patch after it follow.
    assert!(world.get("phases/phase1/docs.patch").contains("@@ -10,3 +10,4 @@"));
    // The worktree is clean, at the new commit, and still has what is ignored.
    assert_eq!(git(&opened, &["status", "--porcelain"]), "");
    assert_eq!(git(&opened, &["rev-parse", "HEAD"]), done.commit.to_string());
    assert!(opened.path.join("drivers/pci/build.o").exists());
    world.assemble(&Target::All).unwrap();
}

#[test]
fn amended_and_extra_commits_are_taken_alike() {
    let world = World::new();
    let opened = world.edit("kho");
    write(&opened, "rust/helpers/kho.c", "int kho = 1;\n");
    git(&opened, &["commit", "-q", "-a", "--amend", "-m", "rust: kho: new subject", "-m", "New reason."]);
    write(&opened, "rust/helpers/more.c", "int more;\n");
    git(&opened, &["add", "-A"]);
    git(&opened, &["commit", "-q", "-m", "fixup"]);
    world.refresh("kho").unwrap();
    let patch = world.get("phases/phase1/kho.patch");
    assert!(patch.starts_with("Subject: rust: kho: new subject\nAdds: rust/kernel/kho.rs\nAdds: rust/helpers/kho.c\nAdds: rust/helpers/more.c\n\nNew reason.\n---\n"), "{patch}");
    assert_eq!(world.get("kernel/phase1/rust/helpers/kho.c"), "int kho = 1;\n");
    world.assemble(&Target::All).unwrap();
    let again = world.edit("kho");
    assert!(again.existed);
}

#[test]
fn the_users_index_is_left_alone_when_refresh_fails() {
    let world = World::new();
    let opened = world.edit("kho");
    write(&opened, "rust/helpers/a.bin", "a\0b");
    write(&opened, "rust/helpers/b.c", "b\n");
    git(&opened, &["add", "rust/helpers/b.c"]);
    let before = (world.snapshot(), git(&opened, &["status", "--porcelain"]));
    insta::assert_snapshot!(world.refresh("kho").unwrap_err(), @r"
    phases/phase1/kho.patch: binary file: rust/helpers/a.bin
      fix: keep binary files out of the series; add what is generated to .gitignore
    ");
    assert_eq!((world.snapshot(), git(&opened, &["status", "--porcelain"])), before);
}

#[test]
fn a_conflict_names_patch_file_and_hunk_and_loses_nothing() {
    let world = World::new();
    let opened = world.edit("kho");
    write(&opened, "rust/kernel/kho.rs", &read(&opened, "rust/kernel/kho.rs").replace("k 5\n", "k five\n"));
    let before = world.snapshot();
    insta::assert_snapshot!(world.refresh("kho").unwrap_err(), @r"
    phases/phase1/track.patch:25: conflict with a later patch: hunk 1 of patch track does not apply to rust/kernel/kho.rs: line 5 differs
      wanted: k 5
      found:  k five
      fix: change the edited patch so that these lines of rust/kernel/kho.rs stay, or take them out of patch track first; nothing was written
    ");
    assert_eq!(world.snapshot(), before);
    assert!(read(&opened, "rust/kernel/kho.rs").contains("k five\n"));
    // A phase that builds on this one is asked too.
    write(
        &opened,
        "rust/kernel/kho.rs",
        &read(&opened, "rust/kernel/kho.rs").replace("k five\n", "k 5\n").replace("k 1\n", ""),
    );
    insta::assert_snapshot!(world.refresh("kho").unwrap_err(), @r"
    phases/phase2/domain.patch:11: conflict with a later patch: hunk 1 of patch domain does not apply to rust/kernel/kho.rs: line 1 differs
      wanted: k 1
      found:  k 2
      fix: change the edited patch so that these lines of rust/kernel/kho.rs stay, or take them out of patch domain first; nothing was written
    ");
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_change_beside_a_later_hunk_is_merged() {
    let world = World::new();
    let opened = world.edit("kho");
    let text = read(&opened, "rust/kernel/kho.rs").replace("k 3\n", "k three\n");
    write(&opened, "rust/kernel/kho.rs", &text);
    let done = world.refresh("kho").unwrap();
    // `track` has the line in its context, and so has `domain` of phase2.
    assert!(
        done.written.contains(&"phases/phase1/track.patch".into())
            && done.written.contains(&"phases/phase2/domain.patch".into())
    );
    assert!(world.get("phases/phase1/track.patch").contains(" k three\n k 4\n k 5\n+tracked\n"));
    let all = world.assemble(&Target::All).unwrap();
    let end = world.at(&all, "phase2/domain", "rust/kernel/kho.rs").unwrap();
    assert_eq!(end, "domains\nk 1\nk 2\nk three\nk 4\nk 5\ntracked\nk 6\nk 7\nk 8\nk 9\nk 10\nexplained\n");
}

#[test]
fn a_later_patch_that_adds_the_same_file() {
    let world = World::new();
    let opened = world.edit("kho");
    write(&opened, "tools/testing/selftests/vfio/live.c", "mine\n");
    insta::assert_snapshot!(world.refresh("kho").unwrap_err(), @r"
    phases/phase1/track.patch:2: conflict: tools/testing/selftests/vfio/live.c is added by patch track too
      fix: leave the file out of the edited patch, or remove it from this one first
    ");
}

#[test]
fn unsaved_changes_are_not_overwritten() {
    let world = World::new();
    let opened = world.edit("kho");
    write(&opened, "rust/helpers/b.c", "b\n");
    let error = open(&world.cache(), &world.base, &world.disk(), "kho").unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(world.cache().as_str(), "CACHE"), @r"
    the worktree CACHE/worktrees/edit-phase1-kho has changes that are not saved
      fix: run `phasectl refresh phase1/kho` to take them, or `git -C CACHE/worktrees/edit-phase1-kho reset --hard` and `git -C CACHE/worktrees/edit-phase1-kho clean -df` to drop them
    ");
    assert_eq!(read(&opened, "rust/helpers/b.c"), "b\n");
}

#[test]
fn a_project_that_moved_on_is_not_taken_back() {
    let world = World::new();
    let opened = world.edit("track");
    world.replace("phases/phase1/track.patch", "Count them.", "Count all of them.");
    let hide = |error: Error| error.to_string().replace(world.cache().as_str(), "CACHE");
    insta::assert_snapshot!(hide(world.refresh("track").unwrap_err()), @r"
    phase1/track changed in the project after CACHE/worktrees/edit-phase1-track was opened
      fix: in CACHE/worktrees/edit-phase1-track, save your changes (`git stash`), `git checkout --detach fc45987b0b29313df63a8a587ff4ecdd7e9e54e7`, take them back (`git stash pop`), and refresh again
    ");
    world.replace("phases/phase1/kho.patch", "KHO hands", "KHO always hands");
    let error = hide(world.refresh("track").unwrap_err());
    assert!(error.contains("does not stand on the patches before phase1/track"), "{error}");
    // The way out that the message names.
    let now = world.assemble(&Target::Patch("phase1/track".to_owned())).unwrap().tip().unwrap().to_string();
    write(&opened, "rust/helpers/b.c", "b\n");
    git(&opened, &["stash", "-q", "-u"]);
    git(&opened, &["checkout", "-q", "--detach", &now]);
    git(&opened, &["stash", "pop", "-q"]);
    world.refresh("track").unwrap();
    assert!(world.get("phases/phase1/track.patch").contains("Count all of them."));
    assert_eq!(world.get("kernel/phase1/rust/helpers/b.c"), "b\n");
}

#[test]
fn a_worktree_is_found_from_inside() {
    let world = World::new();
    let opened = world.edit("kho");
    let inside = Which::Worktree(opened.path.join("rust/kernel"));
    assert_eq!(refresh(&world.cache(), &world.base, &world.disk(), &inside).unwrap().patch, "phase1/kho");
    let outside = Which::Worktree(world.root());
    assert!(refresh(&world.cache(), &world.base, &world.disk(), &outside).is_err());
    assert!(world.refresh("docs").unwrap_err().to_string().contains("there is no worktree"));
}

#[test]
fn a_hunk_in_repetitive_code_moves_with_its_place() {
    let world = World::new();
    // Ten blocks that look alike; `docs` changes the fifth.
    let block = "{\n  a\n  b\n  c\n}\n";
    let fifth = format!("{}{}{}", block.repeat(4), block.replace("  b\n", "  B\n"), block.repeat(5));
    world.put("kernel/phase1/rust/kernel/kho.rs", &fifth);
    let hunk = "@@ -20,7 +20,7 @@\n }\n {\n   a\n-  b\n+  B\n   c\n }\n {\n";
    let diff = "---\ndiff --git a/rust/kernel/kho.rs b/rust/kernel/kho.rs\n--- a/rust/kernel/kho.rs\n+++ b/rust/kernel/kho.rs\n";
    world.put("phases/phase1/docs.patch", format!("Subject: s\n\nBody.\n{diff}{hunk}"));
    world.put("phases/phase1/track.patch", "Subject: t\nAdds: tools/testing/selftests/vfio/live.c\n\nBody.\n");
    world.replace("phases/phase2/domain.patch", " k 1\n k 2\n k 3\n", " {\n   a\n   b\n");
    let opened = world.edit("kho");
    // A block of the same size before all others: with its old line numbers the hunk would fit, one block too early.
    write(&opened, "rust/kernel/kho.rs", &format!("//\n//\n//\n//\n//\n{}", block.repeat(10)));
    world.refresh("kho").unwrap();
    assert_eq!(world.get("kernel/phase1/rust/kernel/kho.rs"), format!("//\n//\n//\n//\n//\n{fifth}"));
}

/// A change of the worktree: which file, and what.
fn changes() -> impl Strategy<Value = Vec<(usize, u8, usize)>> {
    proptest::collection::vec((0_usize..5, 0_u8..4, 0_usize..40), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Random edits at patch k: either a conflict that changes nothing, or the tree at k is the worktree's and the later
    /// patches are still there.
    #[test]
    fn refresh_and_assemble_are_inverses(patch in 0_usize..3, changes in changes()) {
        const FILES: [&str; 5] = ["drivers/pci/pci.c", "rust/kernel/kho.rs", "drivers/pci/old.c", "drivers/new/n.c", "rust/helpers/kho.c"];
        let world = World::new();
        let name = ["kho", "track", "docs"][patch];
        let opened = world.edit(name);
        for (file, what, at) in changes {
            let path = opened.path.join(FILES[file]);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let at = at.min(lines.len());
            match what {
                0 => lines.insert(at, format!("inserted {at}")),
                1 if at < lines.len() => { lines.remove(at); }
                2 if at < lines.len() => lines[at].push_str(" changed"),
                _ => lines.push("appended".to_owned()),
            }
            write(&opened, FILES[file], &(lines.join("\n") + "\n"));
        }
        let tree = world.repo().worktree_tree(&opened.path).unwrap();
        let before = world.snapshot();
        match world.refresh(name) {
            Ok(_) => {
                let all = world.assemble(&Target::All).unwrap();
                prop_assert_eq!(all.patches[patch].tree, tree);
                prop_assert_eq!(all.patches.len(), 4);
                let last = world.at(&all, "phase2/domain", "rust/kernel/kho.rs").unwrap();
                prop_assert!(patch == 0 || last.contains("domains\n"));
            }
            Err(error) => {
                prop_assert!(!error.diagnostics().is_empty(), "{}", error);
                prop_assert_eq!(world.snapshot(), before);
                prop_assert_eq!(world.repo().worktree_tree(&opened.path).unwrap(), tree);
            }
        }
    }
}

#[test]
fn an_interrupted_checkout_is_made_anew() {
    let world = World::new();
    let opened = world.edit("kho");
    std::fs::remove_file(record_path(&opened.path)).unwrap();
    std::fs::remove_file(opened.path.join("Makefile")).unwrap();
    let again = world.edit("kho");
    assert!(!again.existed && opened.path.join("Makefile").exists());
    // And nothing of this is seen by git as the user runs it.
    let status = Command::new("git").args(["status", "--porcelain"]).current_dir(&again.path).output().unwrap();
    assert!(status.stdout.is_empty());
}

#[test]
fn a_worktree_goes_when_nothing_is_lost_with_it() {
    let world = World::new();
    let cache = world.cache();
    let opened = world.edit("kho");
    write(&opened, "rust/helpers/b.c", "b\n");
    write(&opened, "rust/helpers/b.o", "ignored\n");
    let error = close(&cache, "phase1/kho", false).unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(cache.as_str(), "CACHE"), @r"
    the worktree CACHE/worktrees/edit-phase1-kho has changes that were not taken back
      fix: run `phasectl refresh phase1/kho` to take its changes, or `phasectl edit --done --force phase1/kho` to drop them
    ");
    assert!(opened.path.exists());
    world.refresh("kho").unwrap();
    assert_eq!(close(&cache, "phase1/kho", false).unwrap().path, opened.path);
    assert!(!opened.path.exists() && !record_path(&opened.path).exists());
    assert_eq!(world.get("kernel/phase1/rust/helpers/b.c"), "b\n");
    insta::assert_snapshot!(close(&cache, "phase1/kho", true).unwrap_err(), @r"
    there is no worktree of phase1/kho
      fix: there is nothing to do; `phasectl edit phase1/kho` opens one
    ");
    assert!(!world.edit("kho").existed);
}

/// git trusts size and date, the date to the second, of files that are older than its index.
#[test]
fn a_change_of_the_same_size_in_the_same_second_is_seen() {
    let world = World::new();
    let opened = world.edit("kho");
    write(&opened, "drivers/pci/pci.c", &read(&opened, "drivers/pci/pci.c").replace("line 30\n", "LINE 30\n"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(close(&world.cache(), "phase1/kho", false).is_err());
    world.refresh("kho").unwrap();
    assert!(world.get("phases/phase1/kho.patch").contains("+LINE 30\n"));
}

#[test]
fn a_worktree_with_commits_or_without_a_record_goes_by_force_only() {
    let world = World::new();
    let cache = world.cache();
    let opened = world.edit("kho");
    git(&opened, &["commit", "-q", "--amend", "-m", "another message"]);
    assert!(close(&cache, "phase1/kho", false).is_err());
    git(&opened, &["reset", "-q", "--hard", &opened.commit.to_string()]);
    std::fs::remove_file(record_path(&opened.path)).unwrap();
    let error = close(&cache, "phase1/kho", false).unwrap_err().to_string();
    assert!(error.contains("cannot be told"), "{error}");
    close(&cache, "phase1/kho", true).unwrap();
    assert!(!opened.path.exists());
}

#[test]
fn edit_refresh_and_close_wait_for_each_other() {
    let world = World::new();
    let (cache, base, disk) = (world.cache(), world.base.clone(), world.disk());
    let which = Which::Patch("kho".to_owned());
    let steps: [&(dyn Fn() -> bool + Sync); 3] =
        [&|| open(&cache, &base, &disk, "kho").is_ok(), &|| refresh(&cache, &base, &disk, &which).is_ok(), &|| {
            close(&cache, "phase1/kho", false).is_ok()
        }];
    for step in steps {
        let held = lock(&cache).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || sender.send(step()).unwrap());
            assert!(receiver.recv_timeout(std::time::Duration::from_millis(100)).is_err(), "it did not wait");
            drop(held);
            assert!(receiver.recv().unwrap());
        });
    }
}
