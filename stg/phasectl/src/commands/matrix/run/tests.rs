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
        iommufd: None,
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
    let said = pair.cells.iter().map(|cell| match &cell.observed {
        Some(pairs::Observed { fates, agrees, cached, .. }) => format!("{fates}, agrees {agrees}, cached {cached}"),
        None => format!("the host: {}", cell.host.as_ref().unwrap()),
    });
    (ran, said.collect::<Vec<_>>().join("; "))
}

#[test]
fn what_was_observed_is_not_run_again() {
    let (_guard, outcomes) = cache();
    let good = |cached| format!("device refused (ENOENT), memory works, agrees true, cached {cached}");
    let both = |cached| format!("{}; {}", good(cached), good(cached));
    // The host was too busy: that is no answer, however often.
    let (ran, said) = settled(&outcomes, false, Class::HostTimeout);
    assert_eq!(ran, Mode::ALL.repeat(ATTEMPTS));
    let host = |mode| format!("the host: because\nlogs: logs/{SCENARIO}/{mode}");
    assert_eq!(said, format!("{}; {}", host("translated"), host("noiommu")));
    assert_eq!(settled(&outcomes, false, Class::Pass), (Mode::ALL.to_vec(), both(false)));
    assert_eq!(settled(&outcomes, false, Class::Hang), (vec![], both(true)));
    assert_eq!(settled(&outcomes, true, Class::Pass), (Mode::ALL.to_vec(), both(false)));
    // An interrupted run goes on with the rest.
    let (_guard, fewer) = cache();
    fewer.put(&inputs()[0], &seen(&result(Mode::Translated, Class::Pass)), 1.0).unwrap();
    assert_eq!(settled(&fewer, false, Class::Pass), (vec![Mode::Noiommu], format!("{}; {}", good(true), good(false))));
}

#[test]
fn a_case_that_the_host_has_spoilt_is_run_again_alone() {
    let (_guard, outcomes) = cache();
    let (mut pair, mut ran) = (pair(), Vec::new());
    let mut run = |modes: &[Mode]| {
        let spoilt = |mode: Mode| ran.is_empty() && mode == Mode::Noiommu;
        let class = |mode| if spoilt(mode) { Class::QemuAbort } else { Class::Pass };
        let results = modes.iter().map(|&mode| result(mode, class(mode))).collect();
        ran.push(modes.to_vec());
        Ok(results)
    };
    settle(&mut pair, &inputs(), &outcomes, false, &mut run).unwrap();
    assert_eq!(ran, [Mode::ALL.to_vec(), vec![Mode::Noiommu]]);
    assert!(pair.cells.iter().all(|cell| cell.is_good() && cell.host.is_none()));
}

#[test]
fn a_case_without_a_result_is_an_error() {
    let (_guard, outcomes) = cache();
    let mut run = |_: &[Mode]| Ok(vec![result(Mode::Translated, Class::Pass)]);
    let error = settle(&mut pair(), &inputs(), &outcomes, false, &mut run).unwrap_err().to_string();
    assert_eq!(error, "matrix/handover/noiommu was run and has no result");
}

#[test]
fn the_second_kernel_was_seen_if_its_init_or_its_console_was() {
    let guard = tempfile::tempdir().unwrap();
    let logs = camino::Utf8Path::from_path(guard.path()).unwrap();
    let kernels = |number| vec!["7.3.4".to_owned(); number];
    let result =
        |number| CaseResult { kernels: kernels(number), log_dir: logs.into(), ..result(Mode::Noiommu, Class::Hang) };
    assert_eq!([seen(&result(1)).arrived, seen(&result(2)).arrived], [false, true]);
    std::fs::write(logs.join("console-0.log"), "").unwrap();
    assert!(!seen(&result(1)).arrived);
    std::fs::write(logs.join("console-1.log"), "").unwrap();
    assert!(seen(&result(1)).arrived);
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
