// SPDX-License-Identifier: GPL-2.0-only

//! `test --known`: what passed with the same bytes does not run again, and everything else does.

use crate::lab::Lab;
use crate::qemu;

const TEST: &[&str] = &["test", "phase1", "--known"];

/// The verdicts, and how many of the cases were known.
fn verdicts(report: &str) -> (Vec<String>, usize) {
    let lines = report.lines().filter(|line| line.starts_with("ok ") || line.starts_with("not ok "));
    let lines: Vec<&str> = lines.collect();
    let known = lines.iter().filter(|line| line.ends_with(" (known)")).count();
    (lines.into_iter().map(|line| line.trim_end_matches(" (known)").to_owned()).collect(), known)
}

/// How often QEMU was started.
fn boots(lab: &Lab) -> usize {
    let worked = std::fs::read_to_string(lab.world.path("worked")).unwrap();
    worked.lines().filter(|program| program.ends_with("qemu-system-x86_64")).count()
}

#[test]
fn what_passed_is_not_run_again() {
    let lab = Lab::new();
    let [cache] = lab.caches(["cache"]);
    let (code, first) = lab.run(cache, TEST);
    let (wanted, known) = verdicts(&first);
    assert_eq!((code, known), (0, 0), "{first}");
    assert!(wanted.len() > 1 && first.contains(&format!("\n1..{}\n", wanted.len())), "{first}");

    let before = boots(&lab);
    assert_eq!(before, wanted.len());
    let (code, again) = lab.run(cache, TEST);
    assert_eq!((code, verdicts(&again)), (0, (wanted.clone(), wanted.len())), "{again}");
    assert_eq!(boots(&lab), before, "nothing ran");

    // Without the option everything does.
    assert_eq!(lab.run(cache, &TEST[..2]).0, 0);
    assert_eq!(boots(&lab), 2 * before);
}

#[test]
fn what_failed_or_changed_is_run_again() {
    let lab = Lab::new();
    let [cache] = lab.caches(["cache"]);
    let good = verdicts(&lab.run(cache, TEST).1).0.len();

    let path = "kernel/phase1/include/linux/kho/abi/vfio_pci.h";
    let text = lab.world.get(path);
    lab.world.put(path, &format!("{text}/* {} */\n", qemu::FAULT));
    for _ in 0..2 {
        let before = boots(&lab);
        let (code, report) = lab.run(cache, TEST);
        assert_eq!(code, 100, "{report}");
        assert!(report.contains("\nnot ok "), "{report}");
        assert!(boots(&lab) > before, "what failed is tried again");
    }
    lab.world.put(path, &text);
    assert_eq!(verdicts(&lab.run(cache, TEST).1).1, good, "the first kernel's cases are still known");
}

#[test]
fn what_is_known_has_no_logs() {
    let lab = Lab::new();
    for options in [&["--json", "x"] as &[&str], &["--junit", "x"], &["--repeat", "2"]] {
        let output = lab.command("cache", &[TEST, options].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
