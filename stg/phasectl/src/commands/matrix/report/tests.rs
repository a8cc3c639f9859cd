// SPDX-License-Identifier: GPL-2.0-only

use ci::handover::{Fates, Flb};

use super::super::pairs::{Observed, pairs};
use super::*;
use crate::kernels::Made;

fn kernel(name: &str, vfio_pci: Option<&str>, tracks: bool) -> Kernel {
    let text = |text: &str| Some(text.to_owned());
    let facts = Facts {
        kho: text("kho-v4"),
        luo: text("luo-v5"),
        memfd: text("memfd-v2"),
        vfio_pci: vfio_pci.and_then(text),
        iommufd: None,
        pci: tracks.then(|| Flb { compatible: "pci".into(), version: 2, mark: None }),
        iommu: None,
    };
    Kernel { name: name.into(), which: Made::Base.into(), facts }
}

fn kernels() -> [Kernel; 2] {
    [kernel("base", None, false), kernel("phase1/pci", Some("vfio-pci-reset-on-open-v1"), true)]
}

fn observed(cell: &mut Cell, fates: Fates) {
    let agrees = fates.agrees_with(&cell.predicted.fates);
    cell.observed = Some(Observed { fates, why: "session: EIO\nlogs: out".into(), agrees, cached: false });
}

#[test]
fn what_is_predicted_is_shown_with_its_reasons() {
    let kernels = kernels();
    let mut out = Vec::new();
    predicted(&kernels, &pairs(&kernels, |_, _| true), &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    the device, translated, from the kernel of the row to that of the column:
                     1          2
      1 base         refused    refused
      2 phase1/pci   lost       works
    the device, noiommu, from the kernel of the row to that of the column:
                     1          2
      1 base         refused    refused
      2 phase1/pci   unsafe     works
    base to base: device refused (ENOENT), memory works, because the outgoing kernel has no handler for the device; all handlers and lists are known
    base to phase1/pci: device refused (ENOENT), memory works, because the outgoing kernel has no handler for the device; all handlers and lists are known
    phase1/pci to base, translated: device lost, memory lost, because the incoming kernel has no handler `vfio-pci-reset-on-open-v1`
    phase1/pci to base, noiommu: device unsafe, memory lost, because the incoming kernel has no handler `vfio-pci-reset-on-open-v1`
    phase1/pci to phase1/pci: device works, memory works, because all handlers and lists are known
    ");
}

#[test]
fn the_longest_fate_has_room() {
    let mut kernels = kernels();
    kernels[1].facts.iommufd = Some("iommufd-v1".into());
    let contained = pairs(&kernels, |from, to| from == to);
    let mut out = Vec::new();
    predicted(&kernels, &contained, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    the device, translated, from the kernel of the row to that of the column:
                     1          2
      1 base         refused    -
      2 phase1/pci   -          contained
    the device, noiommu, from the kernel of the row to that of the column:
                     1          2
      1 base         refused    -
      2 phase1/pci   -          works
    base to base: device refused (ENOENT), memory works, because the outgoing kernel has no handler for the device; all handlers and lists are known
    phase1/pci to phase1/pci, translated: device contained, memory works, because the incoming kernel takes the translation over, and cannot give it back to a user
    phase1/pci to phase1/pci, noiommu: device works, memory works, because all handlers and lists are known
    ");
}

#[test]
fn what_is_observed_stands_beside_it() {
    let kernels = kernels();
    let mut pairs = pairs(&kernels, |from, _| from == "phase1/pci");
    for cell in pairs.iter_mut().flat_map(|pair| &mut pair.cells) {
        let fates = cell.predicted.fates.clone();
        observed(cell, fates);
    }
    // Of the kernel to itself: it was to work.
    observed(&mut pairs[1].cells[1], Fates { device: Fate::Lost, memory: Fate::Works });
    pairs[1].cells[0].observed = None;
    pairs[1].cells[0].host = Some("240 s were up\nlogs: out".into());
    let mut out = Vec::new();
    let mut reporter = Reporter::new(false, &pairs, &mut out).unwrap();
    for pair in &pairs {
        reporter.pair(pair).unwrap();
    }
    reporter.end(&kernels, &pairs).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    KTAP version 1
    1..4
    ok 1 - X.3 phase1/pci to base, translated: device lost, memory lost
    ok 2 - X.3 phase1/pci to base, noiommu: device unsafe, memory lost
    not ok 3 - X.3 phase1/pci to phase1/pci, translated: device works, memory works was predicted, and nothing was observed
    # the host was at fault: 240 s were up
    # logs: out
    not ok 4 - X.3 phase1/pci to phase1/pci, noiommu: device works, memory works was predicted, device lost, memory works was observed
    # predicted because all handlers and lists are known
    # observed: session: EIO
    # logs: out
    # the device, translated, from the kernel of the row to that of the column:
    #                  1          2
    #   1 base         -          -
    #   2 phase1/pci   lost       -
    # the device, noiommu, from the kernel of the row to that of the column:
    #                  1          2
    #   1 base         -          -
    #   2 phase1/pci   unsafe     lost
    ");
    let good: Vec<bool> = pairs.iter().flat_map(|pair| &pair.cells).map(Cell::is_good).collect();
    assert_eq!(good, [true, true, false, false]);
}

#[test]
fn as_a_document() {
    let kernels = kernels();
    let mut pairs = pairs(&kernels, |from, to| from == "phase1/pci" && to == "base");
    observed(&mut pairs[0].cells[0], Fates { device: Fate::Refused("EBUSY".into()), memory: Fate::Lost });
    let view = serde_json::to_value(view(&kernels, &pairs)).unwrap();
    assert_eq!(view["kernels"][1]["pci"]["version"], 2);
    assert_eq!(view["kernels"][0]["vfio_pci"], serde_json::Value::Null);
    let cell = &view["cells"][0];
    insta::assert_snapshot!(cell.to_string(), @r#"{"from":"phase1/pci","mode":"translated","observed":{"agrees":false,"cached":false,"device":{"refused":"EBUSY"},"memory":"lost","why":"session: EIO\nlogs: out"},"predicted":{"device":"lost","memory":"lost","why":"the incoming kernel has no handler `vfio-pci-reset-on-open-v1`"},"to":"base"}"#);
}
