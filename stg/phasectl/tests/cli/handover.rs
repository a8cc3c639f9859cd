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
    insta::assert_snapshot!(world().run(&["matrix", "--predict"]), @"");
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
    insta::assert_snapshot!(world.run(&["matrix", "--predict", "--to", "phase1"]), @"");
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
    insta::assert_snapshot!(said.lines().filter(|line| line.contains("because")).collect::<Vec<_>>().join("\n"), @"");
}

#[test]
fn what_no_fault_is_for() {
    let world = World::without_base();
    insta::assert_snapshot!(world.run(&["faults", "phase1", "--coverage"]), @"");
    let output = world.command(&["faults", "phase2", "--coverage", "--json"]).output().unwrap();
    let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(view, serde_json::json!({"rows_without_fault": [], "scenarios_without_fault": []}));
    assert!(world.run(&["faults", "phase2", "--coverage"]).contains("every row and every scenario has a fault"));
}
