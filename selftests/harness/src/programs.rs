// SPDX-License-Identifier: GPL-2.0-only

//! The programs that a plan runs in the guest, out of the directory that the caller built them into.
//!
//! Only what a plan runs is packed: all of the tree's selftests together would double the initramfs, which every kernel of
//! the run unpacks.

use std::collections::BTreeSet;

use camino::Utf8Path;
use plan::{Plan, Stage, Step};

use crate::error::{HarnessError, io};
use crate::scenario::{Kind, Scenario};

/// Whether any case of these runs a program, so that the programs must be built.
pub fn wanted(scenarios: &[Scenario]) -> bool {
    scenarios.iter().any(|scenario| !needed(scenario).is_empty())
}

/// The programs that the cases of a scenario run.
pub fn needed(scenario: &Scenario) -> BTreeSet<&str> {
    let shared: [&[Stage]; 2] = match &scenario.kind {
        Kind::Handover(stages) | Kind::Measure { stages, .. } => [stages, &[]],
        Kind::Blackout { stages, baseline, .. } => [stages, baseline],
        Kind::Kunit(_) => [&[], &[]],
    };
    let stages = scenario.cases.iter().map(|case| case.stages.as_deref().map_or(shared, |own| [own, &[]]));
    stages.flatten().flat_map(names).collect()
}

/// The files of the programs that a plan runs.
///
/// # Errors
/// For one that the directory does not have, with those that it has.
pub(crate) fn read(plan: &Plan, directory: Option<&Utf8Path>) -> Result<Vec<(String, Vec<u8>)>, HarnessError> {
    let read = |name: &str| {
        let path = directory.map(|directory| directory.join(name)).filter(|path| path.is_file());
        let Some(path) = path else { return Err(missing(plan, name, directory)) };
        Ok((name.to_owned(), std::fs::read(&path).map_err(io("read", &path))?))
    };
    names(&plan.stages).into_iter().map(read).collect()
}

/// The programs of some stages, each once.
fn names(stages: &[Stage]) -> BTreeSet<&str> {
    let steps = stages.iter().flat_map(|stage| &stage.steps).flat_map(Step::all);
    steps.filter_map(|step| if let Step::Run(run) = step { Some(run.program.as_str()) } else { None }).collect()
}

fn missing(plan: &Plan, name: &str, directory: Option<&Utf8Path>) -> HarnessError {
    let entries = directory.and_then(|directory| directory.read_dir_utf8().ok()).into_iter().flatten().flatten();
    let known: BTreeSet<String> = entries.map(|entry| entry.file_name().to_owned()).collect();
    let known = if known.is_empty() { "(none were built)".to_owned() } else { Vec::from_iter(known).join(", ") };
    HarnessError::NoProgram { case: plan.name.clone(), program: name.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Files;

    fn scenario(steps: &str) -> Scenario {
        let text = format!(
            "title: t\nrows: ['1']\ncases: [{{ name: a, topology: none }}]\nstages:\n  - steps: [{steps}, kexec-reboot]\n  - steps: []\n"
        );
        Scenario::load(&Files::of(&[("selftests/scenarios/p/s.yaml", &text)]), "p/s").unwrap()
    }

    fn plan(scenario: &Scenario) -> Plan {
        let Kind::Handover(stages) = &scenario.kind else { panic!("no hand-over") };
        let (devices, stages) = (Default::default(), stages.clone());
        Plan { name: "p/s/a".into(), devices, kernels: Vec::new(), slowness: 1, stages }
    }

    #[test]
    fn what_is_run_is_packed_once() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(directory.path()).unwrap();
        std::fs::write(directory.join("t"), "elf").unwrap();
        std::fs::write(directory.join("u"), "elf").unwrap();
        let twice = scenario("{ run: { program: t } }, { run: { program: t, args: [-s] } }");
        assert!(wanted(std::slice::from_ref(&twice)));
        assert_eq!(read(&plan(&twice), Some(directory)).unwrap(), [("t".to_owned(), b"elf".to_vec())]);
        let gone_stages = || scenario("{ run: { program: gone } }");
        let gone = plan(&gone_stages());
        let text = read(&gone, Some(directory)).unwrap_err().to_string();
        assert_eq!(text, "p/s/a runs `gone`, which the selftests of the tree do not have\n  fix: name one of: t, u");
        assert!(read(&gone, None).unwrap_err().to_string().ends_with("(none were built)"));
        let mut own = twice.clone();
        let Kind::Handover(stages) = &gone_stages().kind else { panic!("no hand-over") };
        own.cases[0].stages = Some(stages.clone());
        assert_eq!((needed(&twice), needed(&own)), (BTreeSet::from(["t"]), BTreeSet::from(["gone"])));
        let none = scenario("kexec-unload");
        assert!(!wanted(std::slice::from_ref(&none)));
        assert!(read(&plan(&none), None).unwrap().is_empty());
    }
}
