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
        iommufd: None,
        pci: (version != 0).then(|| Flb { compatible: "pci".into(), version, mark: Some(1 << 31) }),
        iommu: None,
    }
}

/// One that hands over, and takes over, live translations as well.
fn translating(vfio_pci: &str, version: u64) -> Facts {
    Facts { iommufd: text("iommufd"), iommu: text("iommu"), ..kernel(vfio_pci, version) }
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
        ("phase2", translating("running", 2)),
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
    translated base to phase2: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    translated foundation to base: device lost, memory lost (the incoming kernel has no handler `stopped`)
    translated foundation to foundation: device works, memory works (all handlers and lists are known)
    translated foundation to pci: device lost, memory lost (the incoming kernel has no handler `stopped`)
    translated foundation to vfio: device lost, memory lost (the incoming kernel has no handler `stopped`)
    translated foundation to phase2: device lost, memory lost (the incoming kernel has no handler `stopped`)
    translated pci to base: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    translated pci to foundation: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    translated pci to pci: device works, memory works (all handlers and lists are known)
    translated pci to vfio: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    translated pci to phase2: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    translated vfio to base: device lost, memory lost (the incoming kernel has no handler `running`)
    translated vfio to foundation: device lost, memory lost (the incoming kernel has no handler `running`)
    translated vfio to pci: device lost, memory lost (the incoming kernel has no handler `running`)
    translated vfio to vfio: device works, memory works (all handlers and lists are known)
    translated vfio to phase2: device works, memory works (all handlers and lists are known)
    translated phase2 to base: device unsafe, memory lost (the incoming kernel has no handler `running`)
    translated phase2 to foundation: device unsafe, memory lost (the incoming kernel has no handler `running`)
    translated phase2 to pci: device panic, memory panic (the incoming kernel knows the mark of a live translation, and cannot take one over)
    translated phase2 to vfio: device panic, memory panic (the incoming kernel knows the mark of a live translation, and cannot take one over)
    translated phase2 to phase2: device contained, memory works (the incoming kernel takes the translation over, and cannot give it back to a user)
    noiommu base to base: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu base to foundation: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu base to pci: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu base to vfio: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu base to phase2: device refused (ENOENT), memory works (the outgoing kernel has no handler for the device; all handlers and lists are known)
    noiommu foundation to base: device lost, memory lost (the incoming kernel has no handler `stopped`)
    noiommu foundation to foundation: device works, memory works (all handlers and lists are known)
    noiommu foundation to pci: device lost, memory lost (the incoming kernel has no handler `stopped`)
    noiommu foundation to vfio: device lost, memory lost (the incoming kernel has no handler `stopped`)
    noiommu foundation to phase2: device lost, memory lost (the incoming kernel has no handler `stopped`)
    noiommu pci to base: device unsafe, memory lost (the incoming kernel has no handler `reset-on-open`)
    noiommu pci to foundation: device unsafe, memory lost (the incoming kernel has no handler `reset-on-open`)
    noiommu pci to pci: device works, memory works (all handlers and lists are known)
    noiommu pci to vfio: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    noiommu pci to phase2: device lost, memory lost (the incoming kernel has no handler `reset-on-open`)
    noiommu vfio to base: device unsafe, memory lost (the incoming kernel has no handler `running`)
    noiommu vfio to foundation: device unsafe, memory lost (the incoming kernel has no handler `running`)
    noiommu vfio to pci: device lost, memory lost (the incoming kernel has no handler `running`)
    noiommu vfio to vfio: device works, memory works (all handlers and lists are known)
    noiommu vfio to phase2: device works, memory works (all handlers and lists are known)
    noiommu phase2 to base: device unsafe, memory lost (the incoming kernel has no handler `running`)
    noiommu phase2 to foundation: device unsafe, memory lost (the incoming kernel has no handler `running`)
    noiommu phase2 to pci: device lost, memory lost (the incoming kernel has no handler `running`)
    noiommu phase2 to vfio: device works, memory works (all handlers and lists are known)
    noiommu phase2 to phase2: device works, memory works (all handlers and lists are known)
    ");
}

#[test]
fn a_live_translation_that_nothing_is_known_of_ends_in_a_panic_where_one_could_be_taken_over() {
    let old = translating("running", 2);
    let to = |mut new: Facts| {
        new.kho = text("kho-v5");
        fates(&old, &new, Mode::Translated)
    };
    assert_eq!(to(old.clone()), "device panic, memory panic");
    assert_eq!(to(kernel("running", 2)), "device unsafe, memory lost");
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
    let live = translating("running", 2);
    let mut unmarked = kernel("running", 2);
    unmarked.pci.as_mut().unwrap().mark = None;
    let to = |incoming: &Facts, mode| fates(&live, incoming, mode);
    assert_eq!(to(&live, Mode::Translated), "device contained, memory works");
    // An unknown version is refused as well.
    assert_eq!(to(&unmarked, Mode::Translated), "device panic, memory panic");
    assert_eq!(to(&kernel("stopped", 0), Mode::Translated), "device unsafe, memory lost");
    let other = Facts { iommu: text("iommu-v2"), ..live.clone() };
    assert_eq!(to(&other, Mode::Translated), "device panic, memory panic");
    // Without an IOMMU there is no translation.
    assert_eq!(to(&unmarked, Mode::Noiommu), "device works, memory works");
    // Nor is there one if the iommufd cannot be preserved.
    let none = Facts { iommufd: None, ..live.clone() };
    assert_eq!(fates(&none, &unmarked, Mode::Translated), "device works, memory works");
    assert_eq!(fates(&none, &live, Mode::Translated), "device works, memory works");
}

#[test]
fn an_iommufd_counts_as_a_file_if_it_was_preserved() {
    let live = translating("running", 2);
    for handler in [None, text("iommufd-v2")] {
        let without = Facts { iommufd: handler, ..live.clone() };
        // The list was read, so that the device is known.
        assert_eq!(fates(&live, &without, Mode::Translated), "device lost, memory lost");
        assert!(predict(&live, &without, Mode::Translated).why.ends_with("no handler `iommufd`"));
        assert_eq!(fates(&live, &without, Mode::Noiommu), "device works, memory works");
    }
    // Where no device is preserved, nothing is live.
    let bare = translating("", 2);
    assert_eq!(fates(&bare, &kernel("running", 2), Mode::Translated), "device refused (ENOENT), memory works");
}

/// All kernels with one of a few handlers and lists. Whoever hands over iommufds has both lists.
fn kernels() -> Vec<Facts> {
    let mut all = Vec::new();
    for (vfio_pci, version) in ["", "running", "other"].into_iter().flat_map(|name| [0, 2, 3].map(|n| (name, n))) {
        for (iommufd, iommu) in
            [("", ""), ("", "iommu"), ("iommufd", "iommu"), ("iommufd", "iommu-v2"), ("other", "iommu")]
        {
            if version != 0 || iommu.is_empty() {
                all.push(Facts { iommufd: text(iommufd), iommu: text(iommu), ..kernel(vfio_pci, version) });
            }
        }
    }
    all
}

#[test]
fn a_device_is_contained_if_its_translation_is_live_and_all_of_it_is_known() {
    let all = kernels();
    let mut contained = 0;
    for (outgoing, incoming) in all.iter().flat_map(|from| all.iter().map(move |to| (from, to))) {
        let live = outgoing.vfio_pci.is_some() && outgoing.iommufd.is_some();
        let [translated, noiommu] = Mode::ALL.map(|mode| predict(outgoing, incoming, mode).fates);
        let is = translated.device == Fate::Contained;
        assert_eq!(is, live && outgoing == incoming, "{outgoing:?} to {incoming:?}: {translated}");
        assert!(!is || translated.memory == Fate::Works);
        contained += usize::from(is);
        // A live translation never ends well: the device is contained, or stops the kernel, or is lost to it.
        assert!(!live || translated.device != Fate::Works, "{outgoing:?} to {incoming:?}: {translated}");
        assert_ne!(noiommu.device, Fate::Contained);
        // Where nothing is live, what is known of iommufds decides nothing.
        let without = |facts: &Facts| Facts { iommufd: None, iommu: None, ..facts.clone() };
        let (before, after) = (without(outgoing), without(incoming));
        assert_eq!(noiommu, predict(&before, &after, Mode::Noiommu).fates);
        assert!(live || translated == predict(&before, &after, Mode::Translated).fates);
    }
    // Both handlers with both versions of the list, and three ways to hand over an iommufd.
    assert_eq!(contained, 2 * 2 * 3);
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
fn the_scenario_observes_what_is_judged() {
    let scenario = include_str!("../../../selftests/scenarios/matrix/handover.yaml");
    let names = scenario.split("name: ").skip(1).filter_map(|rest| rest.split([',', '\n']).next());
    let observed: Vec<&str> = names.filter(|name| !["translated", "noiommu"].contains(name)).collect();
    let judged: std::collections::BTreeSet<String> = contained().steps.into_keys().collect();
    assert_eq!(observed.iter().map(|name| (*name).to_owned()).collect::<std::collections::BTreeSet<_>>(), judged);
    let at = |name| observed.iter().position(|one| *one == name);
    // The memfd and the device come first, and what was preserved is finished last.
    assert!(at("preserve-device") < at("preserve-translation") && at("translation") < at("finish"));
}

/// A run in which a live translation was taken over.
fn contained() -> Seen {
    seen(&[
        ("preserve-translation", Step::Done),
        ("device-bound", errno("EPERM")),
        ("device-right", errno("EINVAL")),
        ("device-alive", errno("EINVAL")),
        ("translation", errno("EOPNOTSUPP")),
        ("finish", errno("EBUSY")),
    ])
}

#[test]
fn a_live_translation_that_is_taken_over_contains_the_device() {
    let (fates, why) = classify(&contained());
    insta::assert_snapshot!(format!("{fates} ({why})"), @"device contained, memory works (the device goes on, and nobody can use it; the memory is intact)");
    assert!(
        fates.agrees_with(&predict(&translating("running", 2), &translating("running", 2), Mode::Translated).fates)
    );
    // That a device keeps accessing memory is no good end where nothing was promised.
    assert!(!fates.agrees_with(&Fates { device: Fate::Unsafe, memory: Fate::Lost }));
}

#[test]
fn whatever_else_becomes_of_a_live_translation_is_broken() {
    let mut ends: Vec<Option<Step>> = vec![None, Some(Step::Done), Some(Step::Failed)];
    ends.extend(["EPERM", "EOPNOTSUPP", "EBUSY", "EINVAL", "ENOENT"].map(|name| Some(errno(name))));
    let judged = ["session", "running", "known", "device", "device-bound", "translation", "finish"];
    for (step, end) in judged.into_iter().flat_map(|step| ends.iter().map(move |end| (step, end))) {
        let mut seen = contained();
        match end {
            Some(end) => seen.steps.insert(step.into(), end.clone()),
            None => seen.steps.remove(step),
        };
        let (fates, why) = classify(&seen);
        match fates.device {
            Fate::Contained => assert_eq!(seen, contained()),
            // What another file is to blame for.
            Fate::Lost => assert!(step == "session" && matches!(end, Some(Step::Errno(_))), "{step}, {end:?}: {fates}"),
            fate => assert!(fate == Fate::Broken && why.starts_with(step), "{step}, {end:?}: {fate} ({why})"),
        }
    }
    // Nobody but the owner can read its registers, and there is none.
    let mut used = contained();
    used.steps.insert("device-alive".into(), Step::Done);
    assert_eq!(classify(&used).0.device, Fate::Broken);
    // A session that is not given out leaves the device as without an IOMMU.
    let live = ("preserve-translation", Step::Done);
    assert!(refused(std::slice::from_ref(&live)).starts_with("device lost, memory lost"));
    assert!(refused(&[live, ("known", Step::Failed)]).starts_with("device unsafe, memory lost"));
}

#[test]
fn a_translation_that_was_refused_changes_nothing() {
    for refusal in ["ENOENT", "ENODEV", "EOPNOTSUPP"] {
        let live = [("preserve-translation", errno(refusal)), ("translation", errno("ENOENT"))];
        assert_eq!(classified(&live), classified(&[]));
        assert_eq!(refused(&live), refused(&[]));
        for step in ["preserve-device", "session", "device", "device-bound", "device-alive", "memory", "finish"] {
            for end in [errno("EPERM"), Step::Failed] {
                let change = (step, end);
                assert_eq!(classified(&[&live[..], std::slice::from_ref(&change)].concat()), classified(&[change]));
            }
        }
    }
    let failed = classified(&[("preserve-translation", Step::Failed)]);
    assert!(failed.starts_with("device broken, memory works (preserve-translation failed"), "{failed}");
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
    let iommu = reason.replace("PCI: the hand-over \"pci\"", "iommu: the hand-over \"iommu-running\"");
    assert_eq!(fate(&Seen { reason: iommu, ..panic.clone() }), "device panic, memory panic");
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
    insta::assert_snapshot!(table, @r#"
    base to base, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to base, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/foundation, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/foundation, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/pci, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/pci, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/vfio, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase1/vfio, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase2/a-convey, translated: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    base to phase2/a-convey, noiommu: device refused (ENOENT), memory works (preserve-device: ENOENT; the memory is intact)
    phase1/foundation to base, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to base, noiommu: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase1/foundation, translated: device works, memory works (the device works; the memory is intact)
    phase1/foundation to phase1/foundation, noiommu: device works, memory works (the device works; the memory is intact)
    phase1/foundation to phase1/pci, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase1/pci, noiommu: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase1/vfio, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase1/vfio, noiommu: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase2/a-convey, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/foundation to phase2/a-convey, noiommu: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to base, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to base, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase1/pci to phase1/foundation, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to phase1/foundation, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase1/pci to phase1/pci, translated: device works, memory works (the device works; the memory is intact)
    phase1/pci to phase1/pci, noiommu: device works, memory works (the device works; the memory is intact)
    phase1/pci to phase1/vfio, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to phase1/vfio, noiommu: device lost, memory lost (session: EIO; the device is a master of the bus, and known; session: EIO)
    phase1/pci to phase2/a-convey, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/pci to phase2/a-convey, noiommu: device lost, memory lost (session: EIO; the device is a master of the bus, and known; session: EIO)
    phase1/vfio to base, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/vfio to base, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase1/vfio to phase1/foundation, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/vfio to phase1/foundation, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase1/vfio to phase1/pci, translated: device lost, memory lost (session: EIO; the device has stopped; session: EIO)
    phase1/vfio to phase1/pci, noiommu: device lost, memory lost (session: EIO; the device is a master of the bus, and known; session: EIO)
    phase1/vfio to phase1/vfio, translated: device works, memory works (the device works; the memory is intact)
    phase1/vfio to phase1/vfio, noiommu: device works, memory works (the device works; the memory is intact)
    phase1/vfio to phase2/a-convey, translated: device works, memory works (the device works; the memory is intact)
    phase1/vfio to phase2/a-convey, noiommu: device works, memory works (the device works; the memory is intact)
    phase2/a-convey to base, translated: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase2/a-convey to base, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase2/a-convey to phase1/foundation, translated: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase2/a-convey to phase1/foundation, noiommu: device unsafe, memory lost (session: EIO; the device is a master of the bus, and not known; session: EIO)
    phase2/a-convey to phase1/pci, translated: device panic, memory panic (the second kernel panicked: Kernel panic - not syncing: PCI: the hand-over "pci" of the previous kernel cannot be trusted: it comes with live translation, which this kernel cannot take over)
    phase2/a-convey to phase1/pci, noiommu: device lost, memory lost (session: EIO; the device is a master of the bus, and known; session: EIO)
    phase2/a-convey to phase1/vfio, translated: device panic, memory panic (the second kernel panicked: Kernel panic - not syncing: PCI: the hand-over "pci" of the previous kernel cannot be trusted: it comes with live translation, which this kernel cannot take over)
    phase2/a-convey to phase1/vfio, noiommu: device works, memory works (the device works; the memory is intact)
    phase2/a-convey to phase2/a-convey, translated: device contained, memory works (the device goes on, and nobody can use it; the memory is intact)
    phase2/a-convey to phase2/a-convey, noiommu: device works, memory works (the device works; the memory is intact)
    "#);
}
