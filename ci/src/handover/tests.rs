// SPDX-License-Identifier: GPL-2.0-only

use super::*;

fn text(string: &str) -> Option<String> {
    (!string.is_empty()).then(|| string.to_owned())
}

/// A kernel with this handler for vfio-pci files and the PCI core's list in this version; none if empty or 0.
fn kernel(vfio_pci: &str, version: u64) -> Facts {
    Facts {
        kho: text("kho-v4"),
        luo: text("luo-v5"),
        memfd: text("memfd-v2"),
        vfio_pci: text(vfio_pci),
        pci: (version != 0).then(|| Flb { compatible: "pci".into(), version, mark: Some(1 << 31) }),
        iommu: None,
    }
}

fn fates(outgoing: &Facts, incoming: &Facts, mode: Mode) -> String {
    predict(outgoing, incoming, mode).fates.to_string()
}

#[test]
fn the_phases_as_they_are_and_one_that_translates_on() {
    let kernels = [
        ("base", kernel("", 0)),
        ("foundation", kernel("stopped", 0)),
        ("pci", kernel("reset-on-open", 2)),
        ("vfio", kernel("running", 2)),
        ("iommu", Facts { iommu: text("iommu"), ..kernel("translated", 2) }),
    ];
    let mut table = String::new();
    for mode in Mode::ALL {
        for (from, outgoing) in &kernels {
            for (to, incoming) in &kernels {
                let Prediction { fates, why } = predict(outgoing, incoming, mode);
                table.push_str(&format!("{} {from} to {to}: {fates} ({why})\n", mode.name()));
            }
        }
    }
    insta::assert_snapshot!(table, @r"
    translated base to base: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    translated base to foundation: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    translated base to pci: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    translated base to vfio: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    translated base to iommu: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    translated foundation to base: device lost, memory lost (the incoming kernel has no handler `stopped`)
    translated foundation to foundation: device works, memory works (all handlers and lists are known)
    translated foundation to pci: device lost, memory lost (the incoming kernel has no handler `stopped`)
    translated foundation to vfio: device lost, memory lost (the incoming kernel has no handler `stopped`)
    translated foundation to iommu: device lost, memory lost (the incoming kernel has no handler `stopped`)
    translated pci to base: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    translated pci to foundation: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    translated pci to pci: device works, memory works (all handlers and lists are known)
    translated pci to vfio: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    translated pci to iommu: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    translated vfio to base: device lost, memory lost (the incoming kernel has no handler `running`)
    translated vfio to foundation: device lost, memory lost (the incoming kernel has no handler `running`)
    translated vfio to pci: device lost, memory lost (the incoming kernel has no handler `running`)
    translated vfio to vfio: device works, memory works (all handlers and lists are known)
    translated vfio to iommu: device lost, memory lost (the incoming kernel has no handler `running`)
    translated iommu to base: device unsafe, memory lost (the incoming kernel has no handler `translated`)
    translated iommu to foundation: device unsafe, memory lost (the incoming kernel has no handler `translated`)
    translated iommu to pci: device panic, memory panic (the incoming kernel knows the mark of a live translation, and cannot take one over)
    translated iommu to vfio: device panic, memory panic (the incoming kernel knows the mark of a live translation, and cannot take one over)
    translated iommu to iommu: device works, memory works (all handlers and lists are known)
    noiommu base to base: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu base to foundation: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu base to pci: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu base to vfio: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu base to iommu: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu foundation to base: device lost, memory lost (the incoming kernel has no handler `stopped`)
    noiommu foundation to foundation: device works, memory works (all handlers and lists are known)
    noiommu foundation to pci: device lost, memory lost (the incoming kernel has no handler `stopped`)
    noiommu foundation to vfio: device lost, memory lost (the incoming kernel has no handler `stopped`)
    noiommu foundation to iommu: device lost, memory lost (the incoming kernel has no handler `stopped`)
    noiommu pci to base: device unsafe, memory lost (the incoming kernel has no handler `reset-on-open`)
    noiommu pci to foundation: device unsafe, memory lost (the incoming kernel has no handler `reset-on-open`)
    noiommu pci to pci: device works, memory works (all handlers and lists are known)
    noiommu pci to vfio: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    noiommu pci to iommu: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    noiommu vfio to base: device unsafe, memory lost (the incoming kernel has no handler `running`)
    noiommu vfio to foundation: device unsafe, memory lost (the incoming kernel has no handler `running`)
    noiommu vfio to pci: device lost, memory lost (the incoming kernel has no handler `running`)
    noiommu vfio to vfio: device works, memory works (all handlers and lists are known)
    noiommu vfio to iommu: device lost, memory lost (the incoming kernel has no handler `running`)
    noiommu iommu to base: device unsafe, memory lost (the incoming kernel has no handler `translated`)
    noiommu iommu to foundation: device unsafe, memory lost (the incoming kernel has no handler `translated`)
    noiommu iommu to pci: device lost, memory lost (the incoming kernel has no handler `translated`)
    noiommu iommu to vfio: device lost, memory lost (the incoming kernel has no handler `translated`)
    noiommu iommu to iommu: device works, memory works (all handlers and lists are known)
    ");
}

#[test]
fn each_rule_decides() {
    let old = kernel("running", 2);
    let to = |change: &dyn Fn(&mut Facts)| {
        let mut new = old.clone();
        change(&mut new);
        fates(&old, &new, Mode::Noiommu)
    };
    assert_eq!(to(&|_| ()), "device works, memory works");
    assert_eq!(to(&|new| new.kho = text("kho-v5")), "device unsafe, memory lost");
    assert_eq!(to(&|new| new.luo = text("luo-v6")), "device panic, memory panic");
    assert_eq!(to(&|new| new.memfd = None), "device lost, memory lost");
    assert_eq!(to(&|new| *new = kernel("running", 3)), "device panic, memory panic");
    assert_eq!(to(&|new| *new = kernel("running", 0)), "device broken, memory broken");
    assert_eq!(to(&|new| *new = kernel("other", 0)), "device unsafe, memory lost");
    let renamed = |new: &mut Facts| {
        *new = kernel("other", 2);
        new.pci.as_mut().unwrap().compatible = "pci-v2".into();
    };
    assert_eq!(to(&renamed), "device unsafe, memory lost");
    // Without a device, its list does not matter.
    let none = kernel("", 2);
    assert_eq!(fates(&none, &kernel("x", 3), Mode::Noiommu), "device refused (ENOENT), memory works");
    let newer = Facts { luo: text("luo-v6"), ..old.clone() };
    assert_eq!(fates(&none, &newer, Mode::Noiommu), "device refused (ENOENT), memory panic");
}

#[test]
fn a_live_translation_is_taken_over_or_stops_the_kernel() {
    let live = Facts { iommu: text("iommu"), ..kernel("translated", 2) };
    let mut unmarked = kernel("running", 2);
    unmarked.pci.as_mut().unwrap().mark = None;
    let to = |incoming: &Facts, mode| fates(&live, incoming, mode);
    assert_eq!(to(&live, Mode::Translated), "device works, memory works");
    // An unknown version is refused as well.
    assert_eq!(to(&unmarked, Mode::Translated), "device panic, memory panic");
    assert_eq!(to(&kernel("stopped", 0), Mode::Translated), "device unsafe, memory lost");
    // Without an IOMMU there is no translation.
    assert_eq!(to(&unmarked, Mode::Noiommu), "device lost, memory lost");
}

/// A run in which everything was well but for this.
fn seen(change: &[(&str, Step)]) -> Seen {
    let names = ["preserve-device", "running", "known", "session", "memory", "memory-intact", "device", "device-bound"];
    let names = names.into_iter().chain(["device-right", "device-alive", "finish"]);
    let mut steps: std::collections::BTreeMap<_, _> = names.map(|name| (name.to_owned(), Step::Done)).collect();
    steps.extend(change.iter().map(|(name, step)| ((*name).to_owned(), step.clone())));
    Seen { passed: true, arrived: true, restore_panic: false, reason: String::new(), steps }
}

fn errno(errno: &str) -> Step {
    Step::Errno(errno.to_owned())
}

fn classified(change: &[(&str, Step)]) -> String {
    let (fates, why) = classify(&seen(change));
    format!("{fates} ({why})")
}

/// Both kernels ran, but the session is not given out.
fn refused(also: &[(&'static str, Step)]) -> String {
    let later = ["memory", "memory-intact", "device", "device-bound", "device-right", "device-alive", "finish"];
    let later = later.map(|name| (name, Step::Failed));
    classified(&[&[("session", errno("EIO"))], &later[..], also].concat())
}

#[test]
fn what_a_run_showed() {
    assert_eq!(classified(&[]), "device works, memory works (the device works; the memory is intact)");
    insta::assert_snapshot!(refused(&[("running", Step::Failed), ("known", Step::Failed)]), @"device lost, memory lost (session: EIO; the device has stopped; session: EIO)");
    insta::assert_snapshot!(refused(&[]), @"device lost, memory lost (session: EIO; the device is a master of the bus, and known; session: EIO)");
    insta::assert_snapshot!(refused(&[("known", Step::Failed)]), @"device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)");
    let preserve = ("preserve-device", errno("ENOENT"));
    let later = ["device-bound", "device-right", "device-alive"].map(|name| (name, Step::Failed));
    let later = [&[preserve, ("device", errno("ENOENT"))], &later[..]].concat();
    insta::assert_snapshot!(classified(&later), @"device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)");
    // The memfd alone must be finished, too.
    assert!(classified(&[&later[..], &[("finish", errno("EBUSY"))]].concat()).starts_with("device broken"));
}

#[test]
fn what_is_neither_good_nor_refused_is_broken() {
    for (step, how) in [
        ("memory-intact", Step::Failed),
        ("memory", Step::Failed),
        ("device-bound", errno("EINVAL")),
        ("device-alive", Step::Failed),
        ("device", Step::Failed),
        ("finish", errno("EBUSY")),
        ("preserve-device", Step::Failed),
    ] {
        let said = classified(&[(step, how)]);
        assert!(said.contains("broken") && said.contains(step), "{said}");
    }
    // A step of which nothing was reported did not end well.
    let mut silent = seen(&[]);
    silent.steps.remove("device-alive");
    assert_eq!(classify(&silent).0.device, Fate::Broken);
}

#[test]
fn a_panic_counts_if_it_is_the_documented_one_and_comes_in_time() {
    let reason = "the second kernel panicked: Kernel panic - not syncing: PCI: the hand-over \"pci\" of the previous kernel cannot \
                  be trusted: version 3 is unknown, this kernel understands 2";
    let preserve = [("preserve-device".to_owned(), Step::Done)];
    let panic =
        Seen { passed: false, arrived: true, restore_panic: true, reason: reason.into(), steps: preserve.into() };
    let fate = |seen: &Seen| classify(seen).0.to_string();
    assert_eq!(fate(&panic), "device panic, memory panic");
    let other = Seen { reason: reason.replace("cannot be trusted", "is odd"), ..panic.clone() };
    assert_eq!(fate(&other), "device broken, memory broken");
    let late = Seen { steps: seen(&[]).steps, ..panic.clone() };
    assert_eq!(fate(&late), "device broken, memory broken");
    assert_eq!(fate(&Seen { restore_panic: false, ..panic }), "device broken, memory broken");
}

#[test]
fn nothing_is_known_of_a_hand_over_to_a_kernel_that_never_ran() {
    let preserve = [("preserve-device".to_owned(), Step::Done)];
    let stopped = Seen {
        passed: false,
        arrived: false,
        restore_panic: false,
        reason: "in the first kernel, step 3".into(),
        steps: preserve.into(),
    };
    let fates = |seen: &Seen| classify(seen).0;
    assert_eq!(fates(&stopped).to_string(), "device unseen, memory unseen");
    let predicted = Fates { device: Fate::Unsafe, memory: Fate::Lost };
    assert!(!fates(&stopped).agrees_with(&predicted), "an unsafe hand-over is one that took place");
    let arrived = Seen { arrived: true, ..stopped.clone() };
    assert_eq!(fates(&arrived).to_string(), "device broken, memory broken");
    assert!(fates(&arrived).agrees_with(&predicted));
    // An answer that was kept before is taken for what it shows.
    let text = serde_json::to_string(&stopped).unwrap().replace("\"arrived\":false,", "");
    let mut old: Seen = serde_json::from_str(&text).unwrap();
    assert_eq!(old, stopped);
    old.steps.insert("running".into(), Step::Done);
    assert_eq!(fates(&old).to_string(), "device broken, memory broken");
}

#[test]
fn agreement() {
    let fates = |device: Fate, memory: Fate| Fates { device, memory };
    let good = || Fates::both(Fate::Works);
    assert!(good().agrees_with(&good()));
    assert!(!good().agrees_with(&fates(Fate::Works, Fate::Lost)));
    assert!(
        !fates(Fate::Refused("EINVAL".into()), Fate::Works)
            .agrees_with(&fates(Fate::Refused("ENOENT".into()), Fate::Works))
    );
    let harmful = || fates(Fate::Unsafe, Fate::Lost);
    assert!(harmful().agrees_with(&harmful()) && Fates::both(Fate::Broken).agrees_with(&harmful()));
    assert!(!good().agrees_with(&harmful()) && !Fates::both(Fate::Lost).agrees_with(&harmful()));
    assert!(!Fates::both(Fate::Unseen).agrees_with(&harmful()));
    assert!(!Fates::both(Fate::Broken).agrees_with(&Fates::both(Fate::Broken)), "a mistake remains one");
}

/// Kernels and runs of the matrix as they were, see `transcripts.json`.
#[derive(serde::Deserialize)]
struct Transcripts {
    kernels: std::collections::BTreeMap<String, Facts>,
    runs: Vec<Run>,
}

#[derive(serde::Deserialize)]
struct Run {
    from: String,
    to: String,
    mode: Mode,
    seen: Seen,
}

#[test]
fn what_our_own_runs_showed_is_what_is_predicted() {
    let all: Transcripts = serde_json::from_str(include_str!("transcripts.json")).unwrap();
    let mut table = String::new();
    for Run { from, to, mode, seen } in &all.runs {
        let predicted = predict(&all.kernels[from], &all.kernels[to], *mode);
        let (fates, why) = classify(seen);
        assert!(fates.agrees_with(&predicted.fates), "{from} to {to}, {}: {fates}, not {predicted:?}", mode.name());
        table.push_str(&format!("{from} to {to}, {}: {fates} ({why})\n", mode.name()));
    }
    insta::assert_snapshot!(table, @"
    base to base, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to base, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/foundation, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/foundation, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/pci, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/pci, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/vfio, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/vfio, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    phase1/foundation to base, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to base, noiommu: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase1/foundation, translated: device works, memory works (the device works; the memory is intact)
    phase1/foundation to phase1/foundation, noiommu: device works, memory works (the device works; the memory is intact)
    phase1/foundation to phase1/pci, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase1/pci, noiommu: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase1/vfio, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase1/vfio, noiommu: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to base, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to base, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase1/pci to phase1/foundation, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to phase1/foundation, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase1/pci to phase1/pci, translated: device works, memory works (the device works; the memory is intact)
    phase1/pci to phase1/pci, noiommu: device works, memory works (the device works; the memory is intact)
    phase1/pci to phase1/vfio, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to phase1/vfio, noiommu: device lost, memory lost (session: EIO; the device is a master of the bus, and known; session: EIO)
    phase1/vfio to base, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/vfio to base, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase1/vfio to phase1/foundation, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/vfio to phase1/foundation, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase1/vfio to phase1/pci, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/vfio to phase1/pci, noiommu: device lost, memory lost (session: EIO; the device is a master of the bus, and known; session: EIO)
    phase1/vfio to phase1/vfio, translated: device works, memory works (the device works; the memory is intact)
    phase1/vfio to phase1/vfio, noiommu: device works, memory works (the device works; the memory is intact)
    ");
}
