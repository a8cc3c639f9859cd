// SPDX-License-Identifier: GPL-2.0-only

//! `matrix --predict` and `faults --coverage`: what is said without building anything.

use crate::world::World;

const KCONFIG: &str = "config KEXEC_HANDOVER\n\tbool\nconfig LIVEUPDATE\n\tbool\nconfig LIVEUPDATE_MEMFD\n\tbool\n";
const ABI: &str = "include/linux/kho/abi";

/// A project whose phase1 hands over the files of vfio-pci, on a base that hands over memfds.
fn world() -> World {
    let world = World::without_base();
    let headers = [
        ("kexec_handover.h", "#define KHO_FDT_COMPATIBLE \"kho-v4\"\n"),
        ("luo.h", "#define LUO_ABI_COMPATIBLE \"luo-v5\"\n"),
        ("memfd.h", "#define MEMFD_LUO_FH_COMPATIBLE \"memfd-v2\"\n"),
    ];
    for (name, text) in headers {
        world.put_linux(&format!("{ABI}/{name}"), text);
    }
    world.put_linux("kernel/liveupdate/Kconfig", KCONFIG);
    world.put_linux("drivers/vfio/pci/Kconfig", "config VFIO_PCI\n\tbool\n");
    world.adopt();
    world.put(
        "ci/kernel.config",
        "CONFIG_KEXEC_HANDOVER=y\nCONFIG_LIVEUPDATE=y\nCONFIG_LIVEUPDATE_MEMFD=y\nCONFIG_VFIO_PCI=y\n",
    );
    world.put(
        &format!("kernel/phase1/{ABI}/vfio_pci.h"),
        "#define VFIO_PCI_LUO_FH_COMPATIBLE\t\"vfio-pci-stopped-v1\"\n",
    );
    world.replace("phases/phase1/kho.patch", "Adds: rust", &format!("Adds: {ABI}/vfio_pci.h\nAdds: rust"));
    let hunks = "diff --git a/drivers/vfio/pci/Kconfig b/drivers/vfio/pci/Kconfig
--- a/drivers/vfio/pci/Kconfig
+++ b/drivers/vfio/pci/Kconfig
@@ -1,2 +1,5 @@
 config VFIO_PCI
 \tbool
+
+config VFIO_PCI_LIVEUPDATE
+\tbool
";
    let text = world.get("phases/phase1/track.patch") + hunks;
    world.put("phases/phase1/track.patch", &text);
    world
}

#[test]
fn a_prediction_is_made_from_the_trees() {
    insta::assert_snapshot!(world().run(&["matrix", "--predict"]), @r"
    exit 0
    --- stdout
    the device, translated, from the kernel of the row to that of the column:
                            1          2          3
      1 base                refused    refused    refused
      2 phase1/foundation   lost       works      works
      3 phase2/domain       lost       works      works
    the device, noiommu, from the kernel of the row to that of the column:
                            1          2          3
      1 base                refused    refused    refused
      2 phase1/foundation   lost       works      works
      3 phase2/domain       lost       works      works
    base to base: device refused (ENOENT), memory works, because the outgoing kernel has no handler for the device; all handlers and lists are known
    base to phase1/foundation: device refused (ENOENT), memory works, because the outgoing kernel has no handler for the device; all handlers and lists are known
    base to phase2/domain: device refused (ENOENT), memory works, because the outgoing kernel has no handler for the device; all handlers and lists are known
    phase1/foundation to base: device lost, memory lost, because the incoming kernel has no handler `vfio-pci-stopped-v1`
    phase1/foundation to phase1/foundation: device works, memory works, because all handlers and lists are known
    phase1/foundation to phase2/domain: device works, memory works, because all handlers and lists are known
    phase2/domain to base: device lost, memory lost, because the incoming kernel has no handler `vfio-pci-stopped-v1`
    phase2/domain to phase1/foundation: device works, memory works, because all handlers and lists are known
    phase2/domain to phase2/domain: device works, memory works, because all handlers and lists are known
    ");
}

#[test]
fn a_string_that_the_rules_do_not_know_is_named() {
    let world = world();
    world.replace(
        &format!("kernel/phase1/{ABI}/vfio_pci.h"),
        "#define",
        "#define VFIO_CLOCK_COMPATIBLE\t\"clock-v1\"\n#define",
    );
    let said = world.run(&["matrix", "--predict"]);
    let line = format!("error: {ABI}/vfio_pci.h:1: VFIO_CLOCK_COMPATIBLE is not known to the prediction of the matrix");
    assert!(said.starts_with("exit 102\n") && said.contains(&line), "{said}");
}

#[test]
fn the_rules_are_in_the_help() {
    let help = World::without_base().run(&["matrix", "--help"]);
    assert!(help.contains("Rules of the prediction") && help.contains("mark of a live translation"), "{help}");
    assert!(help.contains("is contained"), "{help}");
}

#[test]
fn parts_of_the_matrix() {
    let world = world();
    let cells = |args: &[&str]| {
        let output = world.command(&[&["matrix", "--predict", "--json"], args].concat()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let cells = view["cells"].as_array().unwrap().iter();
        cells.map(|cell| format!("{} {} {}", cell["from"], cell["to"], cell["mode"])).collect::<Vec<_>>()
    };
    let all = cells(&[]);
    assert_eq!(all.len(), 18);
    let parts = ["1/3", "2/3", "3/3"].map(|shard| cells(&["--shard", shard]));
    assert_eq!(parts.concat(), all, "three parts are the whole");
    assert!(parts.iter().all(|part| part.len() == 6));
    assert_eq!(
        cells(&["--from", "base", "--to", "phase2/domain"]),
        [r#""base" "phase2/domain" "translated""#, r#""base" "phase2/domain" "noiommu""#]
    );
    insta::assert_snapshot!(world.run(&["matrix", "--predict", "--to", "phase1"]), @r"
    exit 2
    --- stderr
    error: there is no kernel `phase1` in the matrix
      fix: name one of: base, phase1/foundation, phase2/domain
    ");
}

#[test]
fn a_part_without_work_says_so() {
    let world = world();
    let few = ["matrix", "--predict", "--from", "base", "--to", "base", "--shard", "1/2"];
    assert_eq!(world.run(&few), "exit 0\n--- stdout\nnothing to do: none of 1 pair belongs to part 1 of 2\n");
    let said = world.run(&["check", "phase1", "--only", "body", "--shard", "1/3"]);
    assert_eq!(said, "exit 0\n--- stdout\nnothing to do: none of 2 patches belongs to part 1 of 3\n");
    world.put(
        "selftests/faults/1.1-f.patch",
        "Subject: f\nPhase: phase1\nRow: 1.1\nScenario: check/body\nExpect: finding\nFinding: a: b\n\nWhy.\n---\n",
    );
    let said = world.run(&["faults", "phase1", "--shard", "1/9"]);
    assert!(said.starts_with("exit 0\n--- stdout\nKTAP version 1\n1..0\n# nothing to do: none of "), "{said}");
}

#[test]
fn a_contradiction_is_a_mismatch() {
    let world = world();
    // The same string, and a list of devices behind it from phase2 on only.
    world.put(
        &format!("kernel/phase2/{ABI}/pci.h"),
        "#define PCI_LUO_FLB_COMPATIBLE \"pci\"\n#define PCI_LUO_FLB_VERSION 2\n",
    );
    world.put("kernel/phase2/drivers/pci/Kconfig", "config PCI_LIVEUPDATE\n\tbool\n");
    world.replace(
        "phases/phase2/domain.patch",
        "Adds: ",
        &format!("Adds: {ABI}/pci.h\nAdds: drivers/pci/Kconfig\nAdds: "),
    );
    world.replace("phases/phase2/phase.yaml", "requires: [phase1]", "requires: [phase1]\ngates: [PCI_LIVEUPDATE]");
    let said = world.run(&["matrix", "--predict", "--from", "phase1/foundation", "--to", "phase2/domain"]);
    assert!(said.starts_with("exit 103\n"), "{said}");
    let line = "phase1/foundation to phase2/domain: device broken, memory broken, because files `vfio-pci-stopped-v1` depend on \
                the PCI core's list in one of the kernels only";
    assert!(said.lines().any(|said| said == line), "{said}");
}

#[test]
fn what_no_fault_is_for() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["faults", "phase1", "--coverage"]), @r"
    exit 0
    --- stdout
    row 1.1 has no fault: nothing shows that its tests can fail
    row 1.10 has no fault: nothing shows that its tests can fail
    ");
    let output = world.command(&["faults", "phase2", "--coverage", "--json"]).output().unwrap();
    let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(view, serde_json::json!({"rows_without_fault": [], "scenarios_without_fault": []}));
    let said = world.run(&["faults", "phase1", "--coverage", "--shard", "1/2"]);
    assert!(
        said.starts_with("exit 2\n") && said.contains("'--coverage' cannot be used with '--shard <I/N>'"),
        "{said}"
    );
    assert!(world.run(&["faults", "phase2", "--coverage"]).contains("every row and every scenario has a fault"));
}
