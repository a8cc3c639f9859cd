// SPDX-License-Identifier: GPL-2.0-only

use harness::report::Observed;
use stg_env::Cache;

use super::super::pairs::{self, pairs};
use super::*;
use crate::kernels::Made;
use crate::testing;

fn facts(vfio_pci: &str) -> handover::Facts {
    let text = |text: &str| Some(text.to_owned());
    let vfio_pci = (!vfio_pci.is_empty()).then(|| vfio_pci.to_owned());
    handover::Facts {
        kho: text("kho-v4"),
        luo: text("luo-v5"),
        memfd: text("memfd-v2"),
        vfio_pci,
        pci: None,
        iommu: None,
    }
}

/// From a kernel without a handler to one with it.
fn pair() -> Pair {
    let kernel = |name: &str, vfio_pci| Kernel { name: name.into(), which: Made::Base.into(), facts: facts(vfio_pci) };
    pairs(&[kernel("base", ""), kernel("phase1/all", "v1")], |from, to| from == "base" && to == "phase1/all").remove(0)
}

fn inputs() -> [Inputs; 2] {
    Mode::ALL.map(|mode| Inputs::new("matrix").with("mode", mode.name()))
}

/// A case in which the device was refused, but all else was well.
fn result(mode: Mode, verdict: Class) -> CaseResult {
    let done = |name: &str| Observed { hop: 1, name: name.to_owned(), outcome: Outcome::Done };
    let refused = Outcome::Errno("ENOENT".to_owned());
    let refused = Observed { hop: 0, name: "preserve-device".to_owned(), outcome: refused };
    let later = ["running", "known", "session", "memory", "memory-intact", "finish"];
    let observed = [refused].into_iter().chain(later.map(done)).collect();
    CaseResult { observed, ..testing::result(&format!("{SCENARIO}/{}", mode.name()), verdict) }
}

fn cache() -> (tempfile::TempDir, Outcomes) {
    let guard = tempfile::tempdir().unwrap();
    let cache = Cache::at(camino::Utf8Path::from_path(guard.path()).unwrap()).unwrap();
    (guard, Outcomes::of(&cache))
}

/// What ran, and what was observed.
fn settled(outcomes: &Outcomes, again: bool, verdict: Class) -> (Vec<Mode>, String) {
    let (mut pair, mut ran) = (pair(), Vec::new());
    let mut run = |modes: &[Mode]| {
        ran.extend_from_slice(modes);
        Ok(modes.iter().map(|mode| result(*mode, verdict)).collect())
    };
    settle(&mut pair, &inputs(), outcomes, again, &mut run).unwrap();
    let said = pair.cells.iter().map(|cell| {
        let pairs::Observed { fates, agrees, cached, .. } = cell.observed.as_ref().unwrap();
        format!("{fates}, agrees {agrees}, cached {cached}")
    });
    (ran, said.collect::<Vec<_>>().join("; "))
}

#[test]
fn what_was_observed_is_not_run_again() {
    let (_guard, outcomes) = cache();
    let good = |cached| format!("device refused (ENOENT), memory works, agrees true, cached {cached}");
    let both = |cached| format!("{}; {}", good(cached), good(cached));
    let bad = "device broken, memory broken, agrees false, cached false";
    // The host was too busy: that is no answer.
    assert_eq!(settled(&outcomes, false, Class::HostTimeout), (Mode::ALL.to_vec(), format!("{bad}; {bad}")));
    assert_eq!(settled(&outcomes, false, Class::Pass), (Mode::ALL.to_vec(), both(false)));
    assert_eq!(settled(&outcomes, false, Class::Hang), (vec![], both(true)));
    assert_eq!(settled(&outcomes, true, Class::Pass), (Mode::ALL.to_vec(), both(false)));
    // An interrupted run goes on with the rest.
    let (_guard, fewer) = cache();
    fewer.put(&inputs()[0], &seen(&result(Mode::Translated, Class::Pass)), 1.0).unwrap();
    assert_eq!(settled(&fewer, false, Class::Pass), (vec![Mode::Noiommu], format!("{}; {}", good(true), good(false))));
}

#[test]
fn a_failure_says_where_its_logs_are_if_there_are_any() {
    let (_guard, outcomes) = cache();
    let mut pair = pair();
    let mut run = |modes: &[Mode]| Ok(modes.iter().map(|mode| result(*mode, Class::Pass)).collect());
    for cached in [false, true] {
        settle(&mut pair, &inputs(), &outcomes, false, &mut run).unwrap();
        let why = &pair.cells[0].observed.as_ref().unwrap().why;
        assert_eq!(why.contains("logs: logs/"), !cached, "{why}");
    }
}
