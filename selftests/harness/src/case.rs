// SPDX-License-Identifier: GPL-2.0-only

//! A case made concrete: a scenario and one of its machines become a plan for the guest and a machine to start.

use plan::{Plan, Stage, Step};

use crate::cmdline::kernel_parameters;
use crate::error::HarnessError;
use crate::scenario::{Case, Kind, ROLES, Scenario, innermost};
use crate::topology::{Topologies, Topology};

/// One VM to run.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The machine.
    pub topology: &'a Topology,
    /// Memory instead of the topology's.
    pub memory: Option<&'a str>,
    /// What the guest does.
    pub plan: Plan,
    /// The first kernel's command line.
    pub append: String,
    /// Whether instructions are counted.
    pub exact: bool,
}

/// Which stages of a scenario are meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variant {
    /// The scenario's own.
    Stages,
    /// Those that a blackout scenario compares with.
    Baseline,
}

impl<'a> Job<'a> {
    /// Puts everything together. The error names the scenario's file if its topology or a device in it does not exist.
    pub fn new(
        scenario: &'a Scenario,
        case: &'a Case,
        variant: Variant,
        topologies: &'a Topologies,
    ) -> Result<Self, HarnessError> {
        let wrong = |what: String| HarnessError::Data(format!("{}: case `{}`: {what}", scenario.path, case.name));
        let topology = topologies.get(&case.topology).map_err(|error| wrong(error.to_string()))?;
        let stages = stages(scenario, case, variant);
        let devices = topology.plan_devices();
        for (name, step) in stages.iter().flat_map(|stage| &stage.steps).filter_map(|step| Some((device(step)?, step)))
        {
            if !devices.contains_key(name) {
                let known: Vec<_> = devices.keys().map(String::as_str).collect();
                return Err(wrong(format!(
                    "topology `{}` has no device `{name}` (in {step:?}); it has {}",
                    case.topology,
                    known.join(", ")
                )));
            }
        }
        let exact = matches!(scenario.kind, Kind::Blackout { .. });
        let kunit = if matches!(scenario.kind, Kind::Kunit(_)) { "kunit.enable=1" } else { "" };
        let append = kernel_parameters(topology.iommu, exact, &[kunit, &scenario.cmdline, &case.cmdline]);
        let kernels = loaded(&stages);
        let plan = Plan { name: scenario.case_id(case), devices, kernels, stages };
        Ok(Self { topology, memory: scenario.memory.as_deref(), plan, append, exact })
    }
}

fn stages(scenario: &Scenario, case: &Case, variant: Variant) -> Vec<Stage> {
    match (&scenario.kind, variant) {
        (Kind::Handover(stages), _) => case.stages.as_ref().unwrap_or(stages).clone(),
        (Kind::Blackout { stages, .. }, Variant::Stages) => stages.clone(),
        (Kind::Blackout { baseline, .. }, Variant::Baseline) => baseline.clone(),
        // KUnit runs before init; all that init has to do is to power off.
        (Kind::Kunit(_), _) => vec![Stage::default()],
    }
}

/// The kernels that the stages load, so that no other makes the initramfs larger.
fn loaded(stages: &[Stage]) -> Vec<String> {
    let loads = |role: &str| {
        stages
            .iter()
            .flat_map(|stage| &stage.steps)
            .any(|step| matches!(innermost(step), Step::KexecLoad { kernel, .. } if kernel == role))
    };
    ROLES.into_iter().filter(|role| loads(role)).map(str::to_owned).collect()
}

/// The device that a step names, if it does.
fn device(step: &Step) -> Option<&str> {
    match innermost(step) {
        Step::Bind { device, .. }
        | Step::Unbind { device }
        | Step::OpenCdev { device, .. }
        | Step::SameDevice { device, .. } => Some(device),
        Step::Write { path, .. } => Some(path.split_once('{')?.1.split_once('}')?.0),
        _ => None,
    }
}

/// The step that a report of the guest is about.
pub(crate) fn step(plan: &Plan, hop: usize, index: usize) -> Option<&Step> {
    plan.stages.get(hop)?.steps.get(index)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use camino::Utf8Path;

    use super::*;

    fn load(text: &str) -> (Scenario, Topologies) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("s.yaml");
        fs::write(&path, text).unwrap();
        let topologies = Topologies::load(Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../topologies.yaml")));
        (Scenario::load(&path).unwrap(), topologies.unwrap())
    }

    const SCENARIO: &str = "
title: t
rows: ['1.1']
cases: [{ name: a, topology: legacy, cmdline: of-case }]
cmdline: of-scenario
memory: 3G
stages:
  - steps: [{ unbind: { device: dut } }, { kexec-load: { kernel: incoming } }, kexec-reboot]
  - steps: []
";

    #[test]
    fn everything_comes_together() {
        let (scenario, topologies) = load(SCENARIO);
        let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies).unwrap();
        assert_eq!(job.plan.kernels, ["incoming"], "what is not loaded is not packed");
        assert_eq!(job.plan.devices["dut"], ["03.0", "00.0"]);
        assert!(job.append.ends_with("phasectl.hop=0 of-scenario of-case"), "{}", job.append);
        assert_eq!((job.memory, job.exact), (Some("3G"), false));
    }

    #[test]
    fn kunit_boots_once_with_tests_enabled() {
        let (scenario, topologies) =
            load("title: t\nrows: ['1']\ncases: [{ name: a, topology: none }]\nkunit: { suites: [x] }\n");
        let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies).unwrap();
        assert!(job.append.contains("kunit.enable=1"));
        assert_eq!(job.plan.stages, [Stage::default()]);
    }

    #[test]
    fn devices_and_topologies_must_exist() {
        for (from, to, wanted) in [
            ("device: dut", "device: dux", "no device `dux`"),
            ("{ unbind: { device: dut } }", "{ write: { path: '{dux}/reset', value: '1' } }", "no device `dux`"),
            ("topology: legacy", "topology: legasy", "no topology `legasy`"),
        ] {
            let (scenario, topologies) = load(&SCENARIO.replace(from, to));
            let error = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("s.yaml: case `a`"), "{error}");
        }
    }
}
