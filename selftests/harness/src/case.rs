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
    /// Puts everything together.
    ///
    /// # Errors
    /// A diagnostic of the scenario's file, if its topology or a device in it does not exist.
    pub fn new(
        scenario: &'a Scenario,
        case: &'a Case,
        variant: Variant,
        topologies: &'a Topologies,
    ) -> Result<Self, HarnessError> {
        let topology = scenario.topology(case, topologies)?;
        let stages = stages(scenario, case, variant);
        let devices = topology.plan_devices();
        for name in stages.iter().flat_map(|stage| &stage.steps).filter_map(device) {
            if !devices.contains_key(name) {
                let message = format!("case `{}`: topology `{}` has no device `{name}`", case.name, case.topology);
                let known: Vec<_> = devices.keys().map(String::as_str).collect();
                let fix = format!("name one that it has: {}", known.join(", "));
                return Err(scenario.mistake(("stages", name), message, fix).into());
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
    use super::*;
    use crate::testing::{Files, checkout};

    fn load(text: &str) -> (Scenario, Topologies) {
        let files = Files::of(&[("selftests/scenarios/p/s.yaml", text)]);
        (Scenario::load(&files, "p/s").unwrap(), Topologies::load(&checkout()).unwrap())
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

    fn error(from: &str, to: &str) -> String {
        let (scenario, topologies) = load(&SCENARIO.replace(from, to));
        Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies).unwrap_err().to_string()
    }

    #[test]
    fn devices_and_topologies_must_exist() {
        insta::assert_snapshot!(error("device: dut", "device: dux"), @r"
        selftests/scenarios/p/s.yaml:8:33: case `a`: topology `legacy` has no device `dux`
          fix: name one that it has: dut
        ");
        let write = "{ write: { path: '{dux}/reset', value: '1' } }";
        insta::assert_snapshot!(error("{ unbind: { device: dut } }", write), @r"
        selftests/scenarios/p/s.yaml:8:32: case `a`: topology `legacy` has no device `dux`
          fix: name one that it has: dut
        ");
        insta::assert_snapshot!(error("topology: legacy", "topology: legasy"), @r"
        selftests/scenarios/p/s.yaml:4:30: case `a`: there is no topology `legasy`
          fix: name one of selftests/topologies.yaml: first-stage, igb8-first-stage, igb8-legacy, igb8-none, igb8-scalable, legacy, none, scalable, virtio-net-first-stage, virtio-net-legacy, virtio-net-none, virtio-net-scalable
        ");
    }
}
