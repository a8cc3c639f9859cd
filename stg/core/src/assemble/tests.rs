// SPDX-License-Identifier: GPL-2.0-only

//! What assembling gives when the project is right.

use super::*;
use crate::testing::{World, numbered};

#[test]
fn every_state_of_a_file_is_derived() {
    let world = World::new();
    let all = world.assemble(&Target::All).unwrap();
    let kho = |patch: &str| world.at(&all, patch, "rust/kernel/kho.rs").unwrap();
    let start: String = (1..=10).map(|n| format!("k {n}\n")).collect();
    assert_eq!(kho("phase1/kho"), start);
    assert_eq!(kho("phase1/track"), start.replace("k 6\n", "tracked\nk 6\n"));
    assert_eq!(kho("phase1/docs"), world.get("kernel/phase1/rust/kernel/kho.rs"));
    assert_eq!(kho("phase2/domain"), format!("domains\n{}", kho("phase1/docs")));
    assert_eq!(
        world.at(&all, "phase1/kho", "rust/kernel/lib.rs").unwrap(),
        "pub mod a;\npub mod b;\npub mod c;\npub mod kho;\n"
    );
    // An offset of three lines: the .patch says 19, and 19 it is.
    let tracked = numbered(1, 40).replace("line 22\n", "tracked\nline 22\n");
    assert_eq!(world.at(&all, "phase1/track", "drivers/pci/pci.c").unwrap(), tracked);
    assert_eq!(world.at(&all, "phase1/kho", "tools/testing/selftests/vfio/live.c"), None);
    assert!(world.at(&all, "phase1/track", "tools/testing/selftests/vfio/live.c").is_some());
}

#[test]
fn ids_are_the_same_everywhere() {
    let ids = |world: &World| -> Vec<String> {
        let all = world.assemble(&Target::All).unwrap();
        all.patches.iter().map(|patch| format!("{} {}", patch.id(), patch.commit)).collect()
    };
    // Another directory is another machine as far as this goes; the ids themselves are pinned below.
    let (one, two) = (World::new(), World::new());
    assert_eq!(ids(&one), ids(&two));
    assert_eq!(ids(&one), ids(&one));
    insta::assert_snapshot!(ids(&one).join("\n"), @r"
    phase1/kho 0ac00d9148c0b21eedde6cf37fd78fb0aa2433e2
    phase1/track 883f215eb6ccb0b6a0fac170f1b9ca7badbeecfb
    phase1/docs 61e19b031a4151db4571b8b8663550d8fa7bb19b
    phase2/domain 0c7ca3a0b8d0cbea37c70a67cd48b3845ab09c15
    ");
}

#[test]
fn a_patch_target_is_a_prefix_and_refs_keep_it() {
    let world = World::new();
    let all = world.assemble(&Target::All).unwrap();
    let some = world.assemble(&Target::Patch("phase1/track".to_owned())).unwrap();
    assert_eq!(some.patches, all.patches[..2]);
    assert_eq!(world.repo().get_ref("refs/phasectl/phase1/track"), Some(some.tip().unwrap()));
    assert_eq!(some.patches[0].parent.to_string(), world.base.commit);
}

#[test]
fn modes_deletions_and_renamings() {
    let world = World::new();
    std::fs::set_permissions(
        world.root().join("kernel/phase1/rust/helpers/kho.c"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let old: String = numbered(1, 12).lines().map(|line| format!("-{line}\n")).collect();
    let text = world.get("phases/phase1/docs.patch");
    let more = "diff --git a/scripts/run.sh b/scripts/run.sh\nold mode 100644\nnew mode 100755\n\
                diff --git a/drivers/pci/Kconfig b/drivers/pci/Kconfig.live\nrename from drivers/pci/Kconfig\nrename to drivers/pci/Kconfig.live\n";
    let gone = format!(
        "diff --git a/drivers/pci/old.c b/drivers/pci/old.c\ndeleted file mode 100644\n--- a/drivers/pci/old.c\n+++ /dev/null\n@@ -1,12 +0,0 @@\n{old}"
    );
    world.put("phases/phase1/docs.patch", format!("{text}{more}{gone}"));
    let all = world.assemble(&Target::Phase("phase1".to_owned())).unwrap();
    let (repo, tree) = (world.repo(), all.tip_tree().unwrap());
    let mode = |path: &str| repo.read(tree, path.into()).unwrap().map(|file| file.mode);
    assert_eq!(mode("scripts/run.sh"), Some(0o100_755));
    assert_eq!(mode("rust/helpers/kho.c"), Some(0o100_755));
    assert_eq!(mode("drivers/pci/old.c"), None);
    assert_eq!(mode("drivers/pci/Kconfig"), None);
    assert_eq!(mode("drivers/pci/Kconfig.live"), Some(0o100_644));
}

#[test]
fn an_own_file_may_be_renamed_on_the_way() {
    let world = World::new();
    let root = world.root().join("kernel/phase1/rust");
    std::fs::create_dir(root.join("kernel/kho")).unwrap();
    std::fs::rename(root.join("kernel/kho.rs"), root.join("kernel/kho/mod.rs")).unwrap();
    world.replace(
        "phases/phase1/docs.patch",
        "diff --git a/rust/kernel/kho.rs b/rust/kernel/kho.rs\n--- a/rust/kernel/kho.rs\n+++ b/rust/kernel/kho.rs\n",
        "diff --git a/rust/kernel/kho.rs b/rust/kernel/kho/mod.rs\nrename from rust/kernel/kho.rs\nrename to rust/kernel/kho/mod.rs\n--- a/rust/kernel/kho.rs\n+++ b/rust/kernel/kho/mod.rs\n",
    );
    let all = world.assemble(&Target::Phase("phase1".to_owned())).unwrap();
    assert!(world.at(&all, "phase1/track", "rust/kernel/kho.rs").unwrap().contains("tracked"));
    assert_eq!(world.at(&all, "phase1/docs", "rust/kernel/kho.rs"), None);
    assert!(world.at(&all, "phase1/docs", "rust/kernel/kho/mod.rs").unwrap().contains("explained"));
}

#[test]
fn a_worktree_moves_by_what_differs_and_survives_a_deleted_cache() {
    let world = World::new();
    let all = world.assemble(&Target::All).unwrap();
    let path = world.dir("tree");
    world.repo().checkout(&path, all.patches[0].commit).unwrap();
    let time = |file: &str| path.join(file).metadata().unwrap().modified().unwrap();
    let (makefile, lib) = (time("Makefile"), time("rust/kernel/lib.rs"));
    std::fs::write(path.join("drivers/pci/pci.c"), "half-written").unwrap();
    world.repo().checkout(&path, all.patches[1].commit).unwrap();
    let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap();
    assert!(read("drivers/pci/pci.c").contains("tracked\n") && read("rust/kernel/kho.rs").contains("tracked\n"));
    assert_eq!((time("Makefile"), time("rust/kernel/lib.rs")), (makefile, lib));
    // Its administration went with the repository's: it is made anew.
    std::fs::remove_dir_all(world.base.repo.join("worktrees")).unwrap();
    world.repo().checkout(&path, all.patches[0].commit).unwrap();
    assert!(!read("rust/kernel/kho.rs").contains("tracked\n"));
}

#[test]
fn a_line_is_blamed_on_its_patch() {
    let world = World::new();
    let all = world.assemble(&Target::All).unwrap();
    let base = Repo::oid(&world.base.commit).unwrap();
    let blame = |path: &str, line| world.repo().blame(base, all.tip().unwrap(), path.into(), line).unwrap();
    assert_eq!(blame("drivers/pci/pci.c", 22), Some(all.patches[1].commit));
    assert_eq!(blame("drivers/pci/pci.c", 21), None);
    assert_eq!(blame("rust/kernel/kho.rs", 2), Some(all.patches[0].commit));
    assert_eq!(blame("rust/kernel/kho.rs", 999), None);
}
