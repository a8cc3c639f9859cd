// SPDX-License-Identifier: GPL-2.0-only

//! Every mistake that assembling finds, with its message.

use crate::testing::World;

const KHO: &str = "kernel/phase1/rust/kernel/kho.rs";

fn remove(world: &World, path: &str) {
    std::fs::remove_file(world.root().join(path)).unwrap();
}

#[test]
fn missing_file() {
    let world = World::new();
    remove(&world, "kernel/phase1/rust/helpers/kho.c");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/kho.patch:3: missing file: kernel/phase1/rust/helpers/kho.c
      fix: create the file (as of the end of the phase), or remove this line
    ");
}

#[test]
fn file_added_twice() {
    let world = World::new();
    world.replace("phases/phase1/docs.patch", "say more\n", "say more\nAdds: rust/helpers/kho.c\n");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/docs.patch:2: file added twice: rust/helpers/kho.c is added by phases/phase1/kho.patch already
      fix: remove this `Adds:`, and change the file by hunks
    ");
    let world = World::new();
    world.replace("phases/phase2/domain.patch", "Adds: drivers/iommu/live.rs", "Adds: rust/helpers/kho.c");
    world.put("kernel/phase2/rust/helpers/kho.c", "int other;\n");
    remove(&world, "kernel/phase2/drivers/iommu/live.rs");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase2/domain.patch:2: file added twice: rust/helpers/kho.c is added by phases/phase1/kho.patch already
      fix: change the file by hunks in the .patch instead of adding it
    ");
}

#[test]
fn file_never_added() {
    let world = World::new();
    world.put("kernel/phase1/drivers/pci/stray.rs", "");
    world.put("selftests/phase1/tools/testing/selftests/x.c", "");
    insta::assert_snapshot!(world.error(), @r"
    kernel/phase1/drivers/pci/stray.rs: file never added: no patch of phase1 adds it
      fix: add `Adds: drivers/pci/stray.rs` to the patch that it belongs to, or delete it
    selftests/phase1/tools/testing/selftests/x.c: file never added: no patch of phase1 adds it
      fix: add `Adds: tools/testing/selftests/x.c` to the patch that it belongs to, or delete it
    ");
}

#[test]
fn file_that_linux_has_already() {
    let world = World::new();
    world.replace("phases/phase1/docs.patch", "say more\n", "say more\nAdds: drivers/pci/pci.c\n");
    world.put("kernel/phase1/drivers/pci/pci.c", "mine\n");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/docs.patch:2: drivers/pci/pci.c exists in the base already
      fix: change the file by hunks in the .patch instead of adding it
    ");
}

#[test]
fn hunk_that_does_not_apply() {
    let world = World::new();
    world.replace("phases/phase1/track.patch", " line 20\n", " line twenty\n");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/track.patch:13: hunk 1 of patch track does not apply to drivers/pci/pci.c: line 20 differs
      wanted: line twenty
      found:  line 20
      fix: correct the lines of this hunk in phases/phase1/track.patch, from line 13, by hand, so that they are the file's, or take back the change that broke it with git
    ");
}

#[test]
fn hunk_that_does_not_come_off() {
    let world = World::new();
    world.replace(KHO, "k 5\ntracked\n", "k 5\nedited by hand\n");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/track.patch:26: hunk 1 of patch track does not come off rust/kernel/kho.rs: line 6 differs
      wanted: tracked
      found:  edited by hand
      fix: correct the lines of this hunk in phases/phase1/track.patch, from line 26, by hand, so that they are those of kernel/phase1/rust/kernel/kho.rs, or take back the change to either file with git; `phasectl edit` and `refresh` keep the two in step
    ");
}

#[test]
fn diff_of_a_file_that_is_not_there() {
    let world = World::new();
    world.replace("phases/phase1/track.patch", "drivers/pci/pci.c", "drivers/pci/nothing.c");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/track.patch:8: the diff changes drivers/pci/nothing.c, which does not exist at this patch
      fix: correct the path, or move the patch after the one that adds the file
    ");
    let world = World::new();
    world.replace("phases/phase1/phase.yaml", "- name: kho\n", "- name: swap\n");
    world.replace("phases/phase1/phase.yaml", "- name: docs\n", "- name: kho\n");
    world.replace("phases/phase1/phase.yaml", "- name: swap\n", "- name: docs\n");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/docs.patch:7: the diff changes rust/kernel/kho.rs, which does not exist at this patch (phases/phase1/kho.patch adds it, which is not before)
      fix: correct the path, or move the patch after the one that adds the file
    ");
}

#[test]
fn symlink_and_binary_file_under_kernel() {
    let world = World::new();
    let link = world.root().join("kernel/phase1/rust/kernel/out.rs");
    std::os::unix::fs::symlink("../../../../../etc/passwd", link).unwrap();
    world.put("kernel/phase1/firmware.bin", b"\x7fELF\0");
    world.put("kernel/phase1/tools/testing/selftests/a.c", "a\n");
    insta::assert_snapshot!(world.error(), @r"
    kernel/phase1/firmware.bin: binary file: it has a NUL byte
      fix: keep binary files out of the series
    kernel/phase1/rust/kernel/out.rs: symlink: only regular files can be added
      fix: put the file itself here
    kernel/phase1/tools/testing/selftests/a.c: file at the wrong place
      fix: move it to selftests/phase1/tools/testing/selftests/a.c
    ");
}

#[test]
fn a_patch_without_effect() {
    let world = World::new();
    world.put("phases/phase1/docs.patch", "Subject: s\n\nBody.\n");
    world.replace(KHO, "explained\n", "");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/docs.patch:1: the patch changes nothing
      fix: add its files with `Adds:` or its hunks after `---`, or take it out of phase.yaml
    ");
}

#[test]
fn a_deletion_of_a_part() {
    let world = World::new();
    world.put(
        "phases/phase1/docs.patch",
        "Subject: s\n\nBody.\n---\ndiff --git a/drivers/pci/Kconfig b/drivers/pci/Kconfig\ndeleted file mode 100644\n--- a/drivers/pci/Kconfig\n+++ /dev/null\n@@ -1 +0,0 @@\n-config PCI\n",
    );
    world.replace(KHO, "explained\n", "");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/docs.patch:5: the diff deletes drivers/pci/Kconfig, but takes only part of its lines
      fix: take out every line of the file in its hunk, or take the .patch back with git
    ");
}

#[test]
fn modes_that_are_not_so() {
    let world = World::new();
    let text = world.get("phases/phase1/track.patch");
    world.put(
        "phases/phase1/track.patch",
        format!("{text}diff --git a/scripts/run.sh b/scripts/run.sh\nold mode 100755\nnew mode 100644\n"),
    );
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/track.patch:29: the diff changes the mode of scripts/run.sh from 100755, but it is 100644
      fix: correct the line `old mode`
    ");
}
