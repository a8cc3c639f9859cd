// SPDX-License-Identifier: GPL-2.0-only

//! What a user reads after a mistake, and the exit code that a script gets.

use crate::world::World;

#[test]
fn a_broken_manifest() {
    let world = World::without_base();
    world.replace("phases/phase2/phase.yaml", "requires:", "require:");
    insta::assert_snapshot!(world.run(&["list"]), @r"
    exit 102
    --- stderr
    error: phases/phase2/phase.yaml:4:1: unknown field `require`, expected one of `phase`, `slug`, `title`, `requires`, `gates`, `lists`, `series`, `scenarios`, `budgets`
      fix: remove the field, or write `requires` if that was meant
    ");
}

#[test]
fn several_mistakes_at_once() {
    let world = World::without_base();
    world.replace("phases/phase1/phase.yaml", "cover-foundation.md", "cover.md");
    world.replace("phases/phase1/phase.yaml", "- name: track", "- name: trace");
    insta::assert_snapshot!(world.run(&["graph"]), @r"
    exit 102
    --- stderr
    error: phases/phase1/phase.yaml:8:12: missing file: the cover text phases/phase1/cover.md
      fix: create the file beside phase.yaml
    error: phases/phase1/phase.yaml:13:15: missing file: phases/phase1/trace.patch
      fix: create it, or take the patch out of the list
    error: phases/phase1/track.patch: no series of phases/phase1/phase.yaml lists this patch
      fix: list it under `patches:` at its place in the order, or delete it
    ");
}

#[test]
fn a_broken_hunk() {
    let world = World::new();
    world.replace("phases/phase1/track.patch", " four\n", " fuor\n");
    insta::assert_snapshot!(world.run(&["show", "track"]), @r"
    exit 102
    --- stderr
    error: phases/phase1/track.patch:11: hunk 1 of patch track does not apply to drivers/pci/pci.c: line 4 differs
      wanted: fuor
      found:  four
      fix: correct the lines of this hunk in phases/phase1/track.patch, from line 11, by hand, so that they are the file's, or take back the change that broke it with git
    ");
    // What the message says is what works, and what it does not name is what does not.
    assert_eq!(world.command(&["edit", "track"]).output().unwrap().status.code(), Some(102));
    world.replace("phases/phase1/track.patch", " fuor\n", " four\n");
    assert_eq!(world.command(&["edit", "track"]).output().unwrap().status.code(), Some(0));
}

#[test]
fn a_line_put_into_the_middle_of_a_hunk() {
    let world = World::new();
    world.replace("kernel/phase1/rust/kernel/kho.rs", "k 1\n", "k 1\nmine\n");
    insta::assert_snapshot!(world.run(&["show", "track"]), @r"
    exit 102
    --- stderr
    error: phases/phase1/track.patch:21: hunk 1 of patch track does not come off rust/kernel/kho.rs: line 2 differs
      wanted: k 2
      found:  mine
      fix: correct the lines of this hunk in phases/phase1/track.patch, from line 21, by hand, so that they are those of kernel/phase1/rust/kernel/kho.rs, or take back the change to either file with git; `phasectl edit` and `refresh` keep the two in step
    ");
}

#[test]
fn what_belongs_to_no_phase() {
    let world = World::without_base();
    world.put("kernel/phase3/rust/kernel/a.rs", "a\n");
    world.put("selftests/phase3/tools/testing/selftests/a.c", "a\n");
    insta::assert_snapshot!(world.run(&["list"]), @r"
    exit 102
    --- stderr
    error: kernel/phase3: a directory of phase3, which is not a phase: there is no phases/phase3/phase.yaml
      fix: write phases/phase3/phase.yaml, or remove the directory
    error: selftests/phase3: a directory of phase3, which is not a phase: there is no phases/phase3/phase.yaml
      fix: write phases/phase3/phase.yaml, or remove the directory
    ");
}

#[test]
fn a_base_that_is_not_there() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["base", "use", "../nowhere"]), @r"
    exit 2
    --- stderr
    error: ../nowhere: No such file or directory (os error 2)
      fix: give the path of a Linux clone
    ");
    assert_eq!(world.command(&["base", "use", "../home"]).output().unwrap().status.code(), Some(110));
}

#[test]
fn a_patch_that_does_not_exist() {
    insta::assert_snapshot!(World::without_base().run(&["show", "phase1/khoo"]), @r"
    exit 2
    --- stderr
    error: there is no patch `phase1/khoo`
      fix: did you mean `phase1/kho`? There are: phase1/kho, phase1/track, phase2/domain
    ");
}

#[test]
fn outside_of_a_checkout() {
    let world = World::without_base();
    let output = world.command(&["list"]).current_dir(world.path("home")).output().unwrap();
    insta::assert_snapshot!(world.show(&output), @r"
    exit 1
    --- stderr
    error: <tmp>/home is not inside a checkout of the project (no Cargo.toml with phases/base.yaml beside it, here or above)
      fix: change into one (phasectl takes --project DIR as well)
    ");
    for elsewhere in ["../home", "../nowhere"] {
        let said = world.run(&["--project", elsewhere, "graph"]).replace(elsewhere, "DIR");
        insta::allow_duplicates!(insta::assert_snapshot!(said, @r"
        exit 2
        --- stderr
        error: --project DIR: there is no checkout of the project
          fix: name a directory that has Cargo.toml and phases/base.yaml, or one inside it
        "));
    }
    let project = world.path("project");
    let args = ["--project", project.to_str().unwrap(), "graph"];
    let output = world.command(&args).current_dir(world.path("home")).output().unwrap();
    assert!(output.status.success());
}

#[test]
fn a_wrong_command_line() {
    let world = World::without_base();
    assert_eq!(world.command(&["frobnicate"]).output().unwrap().status.code(), Some(2));
    assert_eq!(world.command(&["test"]).output().unwrap().status.code(), Some(2));
    assert_eq!(world.command(&["test", "phase1", "--repeat", "0"]).output().unwrap().status.code(), Some(2));
    assert_eq!(world.command(&["--help"]).output().unwrap().status.code(), Some(0));
}

/// Whatever takes a name says so in the same way.
#[test]
fn a_name_that_stands_for_nothing_is_a_wrong_command_line() {
    let world = World::new();
    world.put("selftests/variants.yaml", "debug: {}\n");
    let wrong: [&[&str]; 25] = [
        &["show", "khoo"],
        &["build", "phase9"],
        &["build", "phase1", "--variant", "debugg"],
        &["check", "phase9", "--quick"],
        &["check", "phase1", "--only", "rustfnt"],
        &["check", "phase1", "--only", "build", "--quick"],
        &["test", "phase9"],
        &["test", "phase1", "--scenario", "fd-preserved"],
        &["test", "phase1", "--variant", "debugg"],
        &["faults", "phase9"],
        &["faults", "phase1", "--fault", "uncountered"],
        &["matrix", "--from", "phase9/all"],
        &["matrix", "--predict", "--to", "bass"],
        &["bisect", "phase9", "--scenario", "fd-preserve"],
        &["bisect", "phase1", "--scenario", "fd-preserved"],
        &["bisect", "phase1", "--scenario", "fd-preserve", "--good", "khoo"],
        &["bisect", "phase1", "--scenario", "fd-preserve", "--verdict", "panik"],
        &["bisect", "phase1", "--scenario", "fd-preserve", "--variant", "debugg"],
        &["prove", "phase9"],
        &["verify", "phase9"],
        &["blackout", "phase9"],
        &["edit", "khoo"],
        &["edit", "--done", "phase1/khoo"],
        &["refresh", "khoo"],
        &["export", "phase9", "-o", "../out"],
    ];
    for args in wrong {
        let output = world.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    }
}

#[test]
fn a_kernel_that_does_not_exist_is_a_mistake_of_the_scenario() {
    let world = World::without_base();
    let file = "selftests/scenarios/phase1/fd-preserve.yaml";
    world.replace(file, "stages:", "kernels: { outgoing: phase9 }\nstages:");
    insta::assert_snapshot!(world.run(&["test", "phase1"]), @r"
    exit 102
    --- stderr
    error: selftests/scenarios/phase1/fd-preserve.yaml:6:22: there is no kernel `phase9`
      fix: name `current`, `gate-off`, `base`, a phase or a patch, and a variant behind a `+` if need be
    ");
}

#[test]
fn tests_that_cannot_run() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["test", "phase1", "--scenario", "fd-preserve/virtual"]), @r"
    exit 2
    --- stderr
    error: phase1 has no scenario `fd-preserve/virtual`
      fix: name one of: fd-preserve/legacy, fd-preserve/scalable
    ");
    insta::assert_snapshot!(world.run(&["test", "phase1/kho"]), @r"
    exit 125
    --- stderr
    error: no test passes yet at phase1/kho: neither it nor a patch before it names one
      fix: test phase1/track, which is the first to name one, or a later patch
    ");
    insta::assert_snapshot!(world.run(&["test", "phase2"]), @r"
    exit 125
    --- stderr
    error: phase2 has no scenario to run
      fix: test a phase that has any: phase1
    ");
    let file = "selftests/scenarios/phase1/fd-preserve.yaml";
    world.put(file, &format!("{}slow: true\n", world.get(file)));
    insta::assert_snapshot!(world.run(&["test", "phase1", "--quick", "--scenario", "fd-preserve"]), @r"
    exit 125
    --- stderr
    error: all scenarios that were asked for say they are slow
      fix: run it without --quick
    ");
    insta::assert_snapshot!(world.run(&["blackout", "phase1"]), @r"
    exit 125
    --- stderr
    error: phase1 has no blackout scenario
      fix: add one; there are: (there is none)
    ");
}

#[test]
fn scenarios_and_manifests_must_agree() {
    let world = World::without_base();
    let scenario = world.get("selftests/scenarios/phase1/fd-preserve.yaml");
    world.put("selftests/scenarios/phase1/forgotten.yaml", &scenario);
    world.replace(
        "phases/phase1/phase.yaml",
        "scenarios: [phase1/fd-preserve]",
        "scenarios: [phase1/fd-preserve, phase1/gone]",
    );
    insta::assert_snapshot!(world.run(&["test", "phase1"]), @r"
    exit 102
    --- stderr
    error: selftests/scenarios/phase1/forgotten.yaml: phase1/forgotten is not in `scenarios:` of phases/phase1/phase.yaml, so it would never run
      fix: list it there, or delete the file
    error: phases/phase1/phase.yaml: missing file: selftests/scenarios/phase1/gone.yaml
      fix: write it, or take phase1/gone out of `scenarios:`
    ");
    for command in [&["list"][..], &["list", "--rows"], &["faults", "phase1"]] {
        assert_eq!(world.command(command).output().unwrap().status.code(), Some(102), "{command:?}");
    }
    world.put("selftests/scenarios/phase1/forgotten.yaml", "title: x\nrow: []\n");
    world.put("selftests/scenarios/phase1/gone.yaml", &scenario.replace("- kexec-reboot", "- kexec-rebot"));
    insta::assert_snapshot!(world.run(&["test", "phase1"]), @r"
    exit 102
    --- stderr
    error: selftests/scenarios/phase1/forgotten.yaml:2:1: unknown field `row`, expected one of `title`, `rows`, `cases`, `kernels`, `cmdline`, `memory`, `stages`, `kunit`, `blackout`, `measure`, `witness`, `translation`, `expect`, `wall`, `stall`, `repeat`, `slow`
      fix: remove the field, or write `rows` if that was meant
    error: selftests/scenarios/phase1/gone.yaml:10:9: stages[0].steps[2]: unknown variant `kexec-rebot`, expected one of `bind`, `unbind`, `wait-for`, `wait-gone`, `address`, `driver`, `sysfs-config`, `sysfs-config-write`, `host`, `load-module`, `unload-module`, `growth`, `kmemleak`, `open-cdev`, `open`, `write-fd`, `read-fd`, `open-iommufd`, `bind-iommufd`, `attach-ioas`, `mock-device`, `map`, `map-anonymous`, `unmap`, `detach-ioas`, `punch-hole`, `seal`, `igb-receive`, `igb-resume`, `igb-received`, `check-canary`, `read-bar`, `read-config`, `same-device`, `memfd`, `check-memfd`, `create-session`, `retrieve-session`, `preserve`, `retrieve`, `finish`, `close`, `fails`, `timed`, `log-span`, `background`, `when-stopped`, `running`, `join`, `sleep`, `kmsg`, `for-each`, `read`, `vmstat`, `write`, `mark`, `kexec-load`, `kexec-unload`, `kexec-reboot`, `run`, `write-bar`, `write-config`, `read-resource`, `write-resource`, `save-config`, `check-config`, `bind-iommufd-unwritable`, `set-vf-token`, `bind-vf`, `open-group`, `set-container`, `group-device`, `reset`, `hot-reset`, `eventfd`, `set-irqs`, `unmask-intx`, `signalled`, `not-signalled`, `irq-quiet`, `exercise`, `dma-buf`, `map-dma-buf`, `unmap-dma-buf`, `load-no-kernel`, `kexec-contend`, `process`, `in`, `kill`, `together`, `attempt`, `observe`, `fail-nth`, `fail-each`
      fix: write `kexec-reboot` if that was meant, else one of the others
    ");
    let world = World::without_base();
    world.replace("phases/phase1/phase.yaml", "fd-preserve/legacy", "fd-preserve/virtual");
    insta::assert_snapshot!(world.run(&["test", "phase1"]), @r"
    exit 102
    --- stderr
    error: phases/phase1/phase.yaml: patch `track` names the test `phase1/fd-preserve/virtual`, which does not exist
      fix: name one of: phase1/fd-preserve/legacy, phase1/fd-preserve/scalable
    ");
}

#[test]
fn broken_faults() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["faults", "phase2"]), @r"
    exit 125
    --- stderr
    error: phase2 has no planted fault
      fix: name a phase that has any: phase1
    ");
    insta::assert_snapshot!(world.run(&["faults", "phase1", "--fault", "1.2-counted"]), @r"
    exit 2
    --- stderr
    error: there is no fault `1.2-counted` of phase1
      fix: did you mean `1.2-uncounted`?
    ");
    let file = "selftests/faults/1.2-uncounted.patch";
    world.replace(file, "fd-preserve/legacy", "fd-preserve/none");
    insta::assert_snapshot!(world.run(&["faults", "phase1"]), @r"
    exit 102
    --- stderr
    error: selftests/faults/1.2-uncounted.patch:4: there is no scenario `phase1/fd-preserve/none`
      fix: correct `Scenario:`; name one of: phase1/fd-preserve/legacy, phase1/fd-preserve/scalable
    ");
    assert_eq!(world.run(&["list", "--rows"]), world.run(&["faults", "phase1"]));
    world.replace(file, "Expect: stage2-failure\n", "Expect: pass\n");
    world.replace(file, "Row: 1.2", "Row: 1.3");
    insta::assert_snapshot!(world.run(&["faults", "phase1"]), @r"
    exit 102
    --- stderr
    error: selftests/faults/1.2-uncounted.patch:3: the fault's file name does not begin with its row, `1.3-`
      fix: rename the file, or correct `Row:`
    ");
    world.replace(file, "Expect: pass\n", "");
    world.replace(file, "Phase: phase1\n", "");
    insta::assert_snapshot!(world.run(&["list", "--rows"]), @r"
    exit 102
    --- stderr
    error: selftests/faults/1.2-uncounted.patch:1: a fault without `Phase:`
      fix: add a header such as `Phase: phase1`
    error: selftests/faults/1.2-uncounted.patch:1: a fault without `Expect:`
      fix: add a header such as `Expect: stage2-failure`
    error: selftests/faults/1.2-uncounted.patch:2: the fault's file name does not begin with its row, `1.3-`
      fix: rename the file, or correct `Row:`
    ");
}
