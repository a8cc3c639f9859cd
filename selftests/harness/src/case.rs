// SPDX-License-Identifier: GPL-2.0-only

//! A case made concrete: a scenario and one of its machines become a plan for the guest and a machine to start.

use std::collections::BTreeMap;

use plan::{
    CheckConfig, ConfigRead, ConfigWrite, HostAction, IgbReceive, IrqQuiet, Plan, ResourceRead, ResourceWrite, Stage,
    Step,
};

use crate::cmdline::kernel_parameters;
use crate::error::HarnessError;
use crate::needs::Needs;
use crate::scenario::{Case, Expect, Kind, ROLES, Scenario, innermost};
use crate::topology::{BridgeModel, Iommu, Model, PlaceKind, Topologies, Topology};
use crate::translation::{Devices, watched};
use crate::unchanged::compared;
use crate::witness::{Limits, Task};

/// How long the last stage waits for the host to see what it wants to.
const LINGER_MS: u64 = 500;

/// One VM to run.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The machine.
    pub topology: &'a Topology,
    /// Its memory, in QEMU's notation.
    pub memory: String,
    /// What the guest does.
    pub plan: Plan,
    /// The first kernel's command line.
    pub append: String,
    /// Whether instructions are counted.
    pub exact: bool,
    /// Whether the host reaches into the guest's memory.
    pub shares_memory: bool,
    /// Whose DMA is to be witnessed.
    pub witness: Option<Task>,
    /// Devices by the names of the fds that their rings are reported with, as far as the first stage sets them up.
    pub rings: BTreeMap<String, String>,
    /// What is to become of which devices, if the IOMMU is watched.
    pub translation: Option<Devices>,
    /// How it must end, with the complaints that the kernels have by themselves.
    pub expect: Expect,
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
        needs: &Needs,
    ) -> Result<Self, HarnessError> {
        let topology = scenario.topology(case, topologies)?;
        let mut stages = stages(scenario, case, variant);
        let devices = topology.plan_devices();
        let key = if case.stages.is_some() { "cases" } else { "stages" };
        for name in stages.iter().flat_map(devices_of) {
            // Virtual functions come and go with the guest's wishes; the physical one must be there.
            let physical = plan::virtual_function(name).map_or(name, |(physical, _)| physical);
            if !devices.contains_key(name) && !devices.contains_key(physical) {
                let message = format!("case `{}`: topology `{}` has no device `{name}`", case.name, case.topology);
                let known: Vec<_> = devices.keys().map(String::as_str).collect();
                let fix = format!("name one that it has: {}", known.join(", "));
                return Err(scenario.mistake((key, name), message, fix).into());
            }
        }
        let wrong = actions(&stages).find_map(|action| unfit(topology, action));
        let wrong = wrong.or_else(|| stages.iter().find_map(|stage| without_frames(topology, stage)));
        if let Some((value, what, fix)) = wrong {
            let message = format!("case `{}` (topology `{}`): {what}", case.name, case.topology);
            return Err(scenario.mistake((key, value), message, fix).into());
        }
        if let Some((value, what, fix)) = actions(&stages).find_map(|action| unrecordable(&stages, action)) {
            let message = format!("case `{}`: {what}", case.name);
            return Err(scenario.mistake((key, value), message, fix).into());
        }
        let exact = scenario.kind.exact();
        if exact && (topology.frames().next().is_some() || actions(&stages).next().is_some()) {
            let message = format!("case `{}`: frames and host actions disturb what is measured", case.name);
            return Err(scenario.mistake(("cases", &case.topology), message, "measure without them").into());
        }
        let kunit = if matches!(scenario.kind, Kind::Kunit(_)) { "kunit.enable=1" } else { "" };
        let extra = [kunit, &needs.cmdline, &scenario.cmdline, &case.cmdline];
        let append = kernel_parameters(topology.iommu, exact, &extra);
        let kernels = loaded(&stages);
        let translation = scenario.translation(case);
        if let Some((value, what, fix)) = translation.and_then(|devices| unwatchable(topology, devices)) {
            let message = format!("case `{}` (topology `{}`): {what}", case.name, case.topology);
            return Err(scenario.mistake(("translation", value), message, fix).into());
        }
        let known = |(ring, device): (&IgbReceive, Option<&str>)| Some((ring.fd.clone(), device?.to_owned()));
        let rings = stages.first().into_iter().flat_map(rings).filter_map(known).collect();
        let tried = translation.map_or(&[][..], |devices| &devices.shut_out);
        let witness =
            scenario.witness.map(|limits| task(limits, needs.slowness, &stages, tried)).transpose().map_err(|fd| {
                let message = format!("case `{}`: which device is `{fd}`, that is to be witnessed?", case.name);
                scenario.mistake((key, fd), message, "open it with `open-cdev` in the same stage")
            })?;
        let looks_inside = |action| matches!(action, &HostAction::Tamper(_) | HostAction::CheckCleared { .. });
        let inside = actions(&stages).any(looks_inside);
        if needs.kmemleak {
            stages.iter_mut().for_each(look_for_leaks);
        }
        let compares = compared(&mut stages);
        if translation.is_some() {
            watched(&mut stages);
        }
        if let Some(last) = stages.last_mut().filter(|_| compares || translation.is_some()) {
            last.steps.push(Step::Sleep { ms: LINGER_MS });
        }
        let plan = Plan { name: scenario.case_id(case), devices, kernels, slowness: needs.slowness, stages };
        let memory = needs.memory(scenario.memory.as_ref().unwrap_or(&topology.memory)).to_owned();
        let mut expect = scenario.expect(case).clone();
        expect.allow.extend(needs.allow.iter().cloned());
        let (shares_memory, translation) = (inside || compares || witness.is_some(), translation.cloned());
        Ok(Self { topology, memory, plan, append, exact, shares_memory, witness, rings, translation, expect })
    }
}

/// Has a stage look for leaks when it has done everything else but the jump.
fn look_for_leaks(stage: &mut Stage) {
    let end = stage.steps.len() - usize::from(stage.steps.last() == Some(&Step::KexecReboot));
    if stage.steps[..end].last() != Some(&Step::Kmemleak) {
        stage.steps.insert(end, Step::Kmemleak);
    }
}

/// The devices that are started, but for those of which nobody expects that they go on; an error is an fd of which it is not known what it is.
fn task<'a>(limits: Limits, slowness: u32, stages: &'a [Stage], shut_out: &[String]) -> Result<Task, &'a str> {
    let devices = stages.iter().flat_map(rings).map(|(ring, device)| match device {
        Some(device) => Ok((ring.fd.clone(), device.to_owned())),
        None => Err(ring.fd.as_str()),
    });
    let devices = devices.filter(|found| found.as_ref().map_or(true, |(_, device)| !shut_out.contains(device)));
    let devices = devices.collect::<Result<_, _>>()?;
    Ok(Task { limits, devices, jumps: stages.len().saturating_sub(1), slowness })
}

/// What a stage starts, with the devices as far as they are known.
fn rings(stage: &Stage) -> impl Iterator<Item = (&IgbReceive, Option<&str>)> {
    stage.steps.iter().filter_map(|step| match innermost(step) {
        Step::IgbReceive(ring) => Some((ring, opened(&stage.steps, &ring.fd))),
        _ => None,
    })
}

/// The device behind an fd, if it was opened in the same stage.
fn opened<'a>(steps: &'a [Step], wanted: &str) -> Option<&'a str> {
    steps.iter().find_map(|step| match step {
        Step::OpenCdev { device, fd } if fd == wanted => Some(device.as_str()),
        _ => None,
    })
}

fn stages(scenario: &Scenario, case: &Case, variant: Variant) -> Vec<Stage> {
    match (&scenario.kind, variant) {
        (Kind::Handover(stages) | Kind::Measure { stages, .. }, _) => case.stages.as_ref().unwrap_or(stages).clone(),
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
            .flat_map(Step::all)
            .any(|step| matches!(step, Step::KexecLoad { kernel, .. } if kernel == role))
    };
    ROLES.into_iter().filter(|role| loads(role)).map(str::to_owned).collect()
}

/// Everything that the host does.
fn actions(stages: &[Stage]) -> impl Iterator<Item = &HostAction> {
    stages.iter().flat_map(|stage| {
        let asked = stage.steps.iter().filter_map(|step| match innermost(step) {
            Step::Host { action } => Some(action),
            _ => None,
        });
        asked.chain(&stage.between)
    })
}

/// The devices that a stage names.
fn devices_of(stage: &Stage) -> impl Iterator<Item = &str> {
    let steps = || stage.steps.iter().flat_map(Step::all);
    let programs = steps().filter_map(|step| match step {
        Step::Run(program) => Some(program.devices()),
        _ => None,
    });
    let asked = steps().filter_map(|step| if let Step::Host { action } = step { Some(action) } else { None });
    let named = steps().filter_map(device).chain(programs.flatten());
    named.chain(asked.chain(&stage.between).flat_map(acted_on))
}

/// The device that a step itself names, if it does.
fn device(step: &Step) -> Option<&str> {
    match step {
        Step::Bind { device, .. }
        | Step::Unbind { device }
        | Step::WaitFor { device }
        | Step::WaitGone { device }
        | Step::Address { device, .. }
        | Step::Driver { device, .. }
        | Step::SysfsConfig(ConfigRead { device, .. })
        | Step::SysfsConfigWrite(ConfigWrite { device, .. })
        | Step::OpenCdev { device, .. }
        | Step::ReadResource(ResourceRead { device, .. })
        | Step::WriteResource(ResourceWrite { device, .. })
        | Step::SaveConfig { device, .. }
        | Step::CheckConfig(CheckConfig { device, .. })
        | Step::OpenGroup { device, .. }
        | Step::GroupDevice { device, .. }
        | Step::IrqQuiet(IrqQuiet { device, .. })
        | Step::SameDevice { device, .. } => Some(device),
        Step::Read { path, .. } | Step::Write { path, .. } => Some(path.split_once('{')?.1.split_once('}')?.0),
        _ => None,
    }
}

fn acted_on(action: &HostAction) -> Vec<&str> {
    match action {
        HostAction::Plug { device }
        | HostAction::Unplug { device }
        | HostAction::CheckCleared { device }
        | HostAction::BusMaster { device, .. }
        | HostAction::Reset { device } => vec![device],
        HostAction::Record { tables, rings } => tables.iter().chain(rings).map(String::as_str).collect(),
        HostAction::CheckTranslation | HostAction::Compare | HostAction::Tamper(_) => Vec::new(),
    }
}

/// A value in the scenario's file, what is wrong there, and the remedy.
type Wrong<'a> = (&'a str, String, &'static str);

/// A device whose translation cannot be watched.
fn unwatchable<'a>(topology: &Topology, devices: &'a Devices) -> Option<Wrong<'a>> {
    if topology.iommu == Iommu::None {
        return Some(("", "`translation` on a machine without IOMMU".into(), "choose another topology"));
    }
    devices.names().find_map(|device| {
        let what = match topology.named(device) {
            None => format!("there is no device `{device}`"),
            Some(place) if place.bridge().is_some() => format!("`{device}` is a bridge, which does no DMA of its own"),
            Some(_) => return None,
        };
        Some((device, what, "name an endpoint"))
    })
}

/// An action that cannot be done to what it names.
fn unfit<'a>(topology: &Topology, action: &'a HostAction) -> Option<Wrong<'a>> {
    acted_on(action).into_iter().find_map(|device| unfit_for(topology, action, device))
}

fn unfit_for<'a>(topology: &Topology, action: &HostAction, device: &'a str) -> Option<Wrong<'a>> {
    let place = topology.named(device)?;
    let of_iommu = match action {
        HostAction::Record { tables, .. } => !tables.is_empty(),
        HostAction::CheckCleared { .. } => true,
        _ => false,
    };
    if of_iommu && topology.iommu == Iommu::None {
        return Some((device, format!("`{device}` has no tables: there is no IOMMU"), "choose another topology"));
    }
    if !matches!(action, HostAction::Plug { .. } | HostAction::Unplug { .. }) {
        let what = || format!("`{device}` is a bridge, which does no DMA of its own");
        return place.bridge().is_some().then(|| (device, what(), "name an endpoint"));
    }
    if !topology.hotplug {
        let what = format!("`{device}` cannot be plugged or unplugged, as the machine has no hot-plug");
        return Some((device, what, "choose a topology with `hotplug: true` or with something that is not plugged"));
    }
    if matches!(place.bridge(), Some(BridgeModel::RootPort | BridgeModel::Downstream)) {
        return Some((device, format!("`{device}` is a port, and QEMU plugs none"), "name what sits behind it"));
    }
    if place.bridge().is_some() && topology.iommu != Iommu::None && matches!(action, HostAction::Unplug { .. }) {
        let what = format!("`{device}` is a bridge, and QEMU's IOMMU crashes some time after its bus is gone");
        return Some((device, what, "unplug bridges on a machine without IOMMU"));
    }
    None
}

/// A ring that cannot be recorded.
fn unrecordable<'a>(stages: &[Stage], action: &'a HostAction) -> Option<Wrong<'a>> {
    let HostAction::Record { rings: wanted, .. } = action else { return None };
    wanted.iter().find_map(|wanted| {
        let (ring, _) = match stages.first().into_iter().flat_map(rings).find(|(_, device)| *device == Some(wanted)) {
            None => {
                let what = format!("`{wanted}` has no ring that could be recorded");
                return Some((wanted.as_str(), what, "set it up in the first stage: `open-cdev` and `igb-receive`"));
            }
            Some(found) => found,
        };
        let what = || format!("the guest writes to the ring of `{wanted}`, which is to be recorded");
        ring.refill.then(|| (wanted.as_str(), what(), "say `refill: false` in its `igb-receive`"))
    })
}

/// Reception on a card that nobody sends to. Only a device that was opened in the same stage is known.
fn without_frames<'a>(topology: &Topology, stage: &'a Stage) -> Option<Wrong<'a>> {
    stage.steps.iter().find_map(|step| {
        let fd = match innermost(step) {
            Step::IgbReceive(IgbReceive { fd, .. }) | Step::IgbResume { fd, .. } => fd,
            _ => return None,
        };
        match topology.named(opened(&stage.steps, fd)?)?.kind {
            PlaceKind::Device { model: Model::Igb, frames: Some(_) } => None,
            _ => Some((fd.as_str(), format!("`{fd}` is no igb with frames"), "give it `frames` in the topology")),
        }
    })
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
        let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default()).unwrap();
        assert_eq!(job.plan.kernels, ["incoming"], "what is not loaded is not packed");
        assert_eq!(job.plan.devices["dut"], ["03.0", "00.0"]);
        assert!(job.append.ends_with("phasectl.hop=0 of-scenario of-case"), "{}", job.append);
        assert_eq!((job.memory.as_str(), job.exact), ("3G", false));
    }

    #[test]
    fn a_machine_has_what_its_kernels_need() {
        let (scenario, topologies) = load(SCENARIO);
        let needs = |text: &str| serde_json::from_str::<Needs>(text).unwrap();
        let job = |scenario: &Scenario, needs: &Needs| {
            let job = Job::new(scenario, &scenario.cases[0], Variant::Stages, &topologies, needs).unwrap();
            (job.memory, job.append, job.plan)
        };
        let (memory, append, plan) = job(&scenario, &needs(r#"{"memory":"4G","cmdline":"of-kernel","slowness":6}"#));
        assert_eq!((memory.as_str(), plan.slowness), ("4G", 6));
        assert!(append.ends_with("phasectl.hop=0 of-kernel of-scenario of-case"), "{append}");
        let count = |plan: &Plan| plan.stages.iter().map(|stage| stage.steps.len()).collect::<Vec<_>>();
        assert_eq!(count(&plan), [3, 0]);

        let leaks = needs(r#"{"memory":"2G","kmemleak":true}"#);
        let (memory, _, plan) = job(&scenario, &leaks);
        assert_eq!((memory.as_str(), count(&plan)), ("3G", vec![4, 1]));
        assert_eq!(plan.stages[0].steps[2..], [Step::Kmemleak, Step::KexecReboot]);
        let (scenario, _) = load(&SCENARIO.replace("steps: []", "steps: [kmemleak]"));
        assert_eq!(count(&job(&scenario, &leaks).2), [4, 1], "once is enough");
    }

    #[test]
    fn kunit_boots_once_with_tests_enabled() {
        let (scenario, topologies) =
            load("title: t\nrows: ['1']\ncases: [{ name: a, topology: none }]\nkunit: { suites: [x] }\n");
        let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default()).unwrap();
        assert!(job.append.contains("kunit.enable=1"));
        assert_eq!(job.plan.stages, [Stage::default()]);
    }

    fn error(from: &str, to: &str) -> String {
        let (scenario, topologies) = load(&SCENARIO.replace(from, to));
        Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn devices_and_topologies_must_exist() {
        insta::assert_snapshot!(error("device: dut", "device: dux"), @r"
        selftests/scenarios/p/s.yaml:8:33: case `a`: topology `legacy` has no device `dux`
          fix: name one that it has: dut, dut-port
        ");
        let write = "{ write: { path: '{dux}/reset', value: '1' } }";
        insta::assert_snapshot!(error("{ unbind: { device: dut } }", write), @r"
        selftests/scenarios/p/s.yaml:8:32: case `a`: topology `legacy` has no device `dux`
          fix: name one that it has: dut, dut-port
        ");
        insta::assert_snapshot!(error("topology: legacy", "topology: legasy"), @r"
        selftests/scenarios/p/s.yaml:4:30: case `a`: there is no topology `legasy`
          fix: name one of selftests/topologies.yaml: first-stage, frames-first-stage, frames-legacy, frames-none, frames-scalable, frames2-first-stage, frames2-legacy, frames2-scalable, frames8-first-stage, frames8-legacy, frames8-none, frames8-scalable, functions-frames-legacy, functions-legacy, functions-virtio-legacy, hotplug-legacy, hotplug-none, igb2-legacy, igb2-none, igb8-first-stage, igb8-legacy, igb8-none, igb8-scalable, legacy, many-1, many-32, many-8, mixed-legacy, nested-legacy, nested-scalable, none, one-cpu-legacy, scalable, shared-legacy, virtio-net-ats-legacy, virtio-net-first-stage, virtio-net-legacy, virtio-net-none, virtio-net-scalable
        ");
    }

    #[test]
    fn the_host_must_be_able_to_do_it() {
        let step = |step: &str| error("{ unbind: { device: dut } }", step);
        insta::assert_snapshot!(step("{ host: { do: { unplug: { device: dux } } } }"), @r"
        selftests/scenarios/p/s.yaml:8:47: case `a`: topology `legacy` has no device `dux`
          fix: name one that it has: dut, dut-port
        ");
        insta::assert_snapshot!(step("{ host: { do: { unplug: { device: dut } } } }"), @r"
        selftests/scenarios/p/s.yaml:8:47: case `a` (topology `legacy`): `dut` cannot be plugged or unplugged, as the machine has no hot-plug
          fix: choose a topology with `hotplug: true` or with something that is not plugged
        ");
        let elsewhere = |topology: &str, step: &str| {
            let text = SCENARIO.replace("topology: legacy", &format!("topology: {topology}"));
            let (scenario, topologies) = load(&text.replace("{ unbind: { device: dut } }", step));
            Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default())
                .map(|job| job.shares_memory)
                .map_err(|e| e.to_string())
        };
        assert_eq!(elsewhere("hotplug-legacy", "{ host: { do: { plug: { device: late } } } }"), Ok(false));
        insta::assert_snapshot!(elsewhere("hotplug-legacy", "{ host: { do: { unplug: { device: hp } } } }").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:47: case `a` (topology `hotplug-legacy`): `hp` is a port, and QEMU plugs none
          fix: name what sits behind it
        ");
        insta::assert_snapshot!(elsewhere("hotplug-legacy", "{ host: { do: { unplug: { device: conv } } } }").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:47: case `a` (topology `hotplug-legacy`): `conv` is a bridge, and QEMU's IOMMU crashes some time after its bus is gone
          fix: unplug bridges on a machine without IOMMU
        ");
        assert_eq!(elsewhere("hotplug-none", "{ host: { do: { unplug: { device: conv } } } }"), Ok(false));
        assert_eq!(
            elsewhere("none", "{ host: { do: { reset: { device: dut } } } }"),
            Ok(false),
            "that needs no hot-plug"
        );
        insta::assert_snapshot!(elsewhere("none", "{ host: { do: { bus-master: { device: dut-port, on: false } } } }").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:51: case `a` (topology `none`): `dut-port` is a bridge, which does no DMA of its own
          fix: name an endpoint
        ");
        let receive = "{ open-cdev: { device: dut, fd: f } }, { memfd: { fd: m, bytes: 1, seed: 1 } }, { igb-receive: { fd: f, memory: m } }";
        assert_eq!(elsewhere("frames-none", receive), Ok(false));
        insta::assert_snapshot!(elsewhere("none", receive).unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:45: case `a` (topology `none`): `f` is no igb with frames
          fix: give it `frames` in the topology
        ");
    }

    #[test]
    fn what_is_witnessed() {
        let open = "{ open-cdev: { device: dut, fd: f } }, { memfd: { fd: m, bytes: 1, seed: 1 } }";
        let receive = "{ background: { name: t, step: { igb-receive: { fd: f, memory: m } } } }";
        let text = |steps: &str| {
            let text = SCENARIO.replace("topology: legacy", "topology: frames-none");
            text.replace("{ unbind: { device: dut } }", steps) + "witness: { gap: 7 }\n"
        };
        let (scenario, topologies) = load(&text(&format!("{open}, {receive}")));
        let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default()).unwrap();
        let devices = [("f".to_owned(), "dut".to_owned())].into();
        assert_eq!(
            job.witness,
            Some(Task { limits: Limits { gap: 7, ..Limits::default() }, devices, jumps: 1, slowness: 1 })
        );
        assert!(job.shares_memory);
        let (scenario, topologies) =
            load(&text(&format!("{}, {receive}", open.replace("open-cdev: { device: dut", "open: { path: /dev/x"))));
        insta::assert_snapshot!(Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default()).unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:41: case `a`: which device is `f`, that is to be witnessed?
          fix: open it with `open-cdev` in the same stage
        ");
    }

    #[test]
    fn what_is_recorded_can_be() {
        let open = "{ open-cdev: { device: dut, fd: f } }, { memfd: { fd: m, bytes: 1, seed: 1 } }";
        let receive = |refill: bool| format!("{open}, {{ igb-receive: {{ fd: f, memory: m, refill: {refill} }} }}");
        let job = |topology: &str, steps: &str, tables: &str, rings: &str| {
            let text = SCENARIO.replace("topology: legacy", &format!("topology: {topology}"));
            let between = format!("kexec-reboot]\n    between: [{{ record: {{ rings: [{rings}] }} }}]");
            let text = text.replacen("kexec-reboot]", &between, 1);
            let steps = format!("{steps}, {{ host: {{ do: {{ record: {{ tables: [{tables}] }} }} }} }}");
            let (scenario, topologies) = load(&text.replace("{ unbind: { device: dut } }", &steps));
            let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default());
            job.map(|job| (job.shares_memory, job.plan.stages[1].steps.len(), job.rings))
                .map_err(|error| error.to_string())
        };
        let rings: BTreeMap<_, _> = [("f".to_owned(), "dut".to_owned())].into();
        assert_eq!(
            job("frames-legacy", &receive(false), "dut", "dut"),
            Ok((true, 2, rings)),
            "it is compared, and waited for"
        );
        insta::assert_snapshot!(job("frames-none", &receive(false), "dut", "dut").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:36: case `a` (topology `frames-none`): `dut` has no tables: there is no IOMMU
          fix: choose another topology
        ");
        insta::assert_snapshot!(job("frames-legacy", &receive(true), "dut", "dut").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:36: case `a`: the guest writes to the ring of `dut`, which is to be recorded
          fix: say `refill: false` in its `igb-receive`
        ");
        insta::assert_snapshot!(job("frames-legacy", open, "", "dut").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:36: case `a`: `dut` has no ring that could be recorded
          fix: set it up in the first stage: `open-cdev` and `igb-receive`
        ");
        insta::assert_snapshot!(job("frames-legacy", open, "dut-port", "").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:128: case `a` (topology `frames-legacy`): `dut-port` is a bridge, which does no DMA of its own
          fix: name an endpoint
        ");
        insta::assert_snapshot!(job("frames-legacy", open, "dut, dux", "").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:8:133: case `a`: topology `frames-legacy` has no device `dux`
          fix: name one that it has: dut, dut-port
        ");
    }

    #[test]
    fn translation_is_watched() {
        let job = |text: &str, more: &str| {
            let (scenario, topologies) = load(&format!("{text}{more}"));
            let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default());
            job.map(|job| (job.plan.stages.iter().map(|stage| stage.steps.len()).collect::<Vec<_>>(), job.translation))
                .map_err(|error| error.to_string())
        };
        let (steps, devices) = job(SCENARIO, "translation: { preserved: [dut] }\n").unwrap();
        assert_eq!((steps, devices.unwrap().preserved), (vec![4, 3], vec!["dut".to_owned()]), "the host looks");
        insta::assert_snapshot!(job(SCENARIO, "translation: { shut-out: [dux] }\n").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:10:27: case `a` (topology `legacy`): there is no device `dux`
          fix: name an endpoint
        ");
        insta::assert_snapshot!(job(SCENARIO, "translation: { preserved: [dut-port] }\n").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:10:28: case `a` (topology `legacy`): `dut-port` is a bridge, which does no DMA of its own
          fix: name an endpoint
        ");
        let none = SCENARIO.replace("topology: legacy", "topology: none");
        insta::assert_snapshot!(job(&none, "translation: {}\n").unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:10:13: case `a` (topology `none`): `translation` on a machine without IOMMU
          fix: choose another topology
        ");
    }

    #[test]
    fn what_is_done_between_two_kernels() {
        let between =
            |action: &str| SCENARIO.replacen("kexec-reboot]", &format!("kexec-reboot]\n    between: [{action}]"), 1);
        let job = |text: &str| {
            let (scenario, topologies) = load(text);
            let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default());
            job.map(|job| job.shares_memory).map_err(|error| error.to_string())
        };
        assert_eq!(job(&between("{ tamper: { edits: [{ at: header, offset: 0, width: 4, set: 3 }] } }")), Ok(true));
        let late = between("{ plug: { device: late } }");
        assert_eq!(job(&late.replace("topology: legacy", "topology: hotplug-legacy")), Ok(false));
        assert!(job(&late).unwrap_err().contains("has no device `late`"));
    }

    #[test]
    fn nothing_from_outside_disturbs_a_measurement() {
        let text = SCENARIO
            .replace("steps: []", "steps: [{ mark: { name: m } }]")
            .replace("topology: legacy", "topology: frames-legacy");
        let baseline = text.split_once("stages:").unwrap().1;
        let (scenario, topologies) = load(&format!("{text}blackout:\n  to: m\n  baseline: {baseline}"));
        let job = Job::new(&scenario, &scenario.cases[0], Variant::Stages, &topologies, &Needs::default());
        insta::assert_snapshot!(job.unwrap_err(), @r"
        selftests/scenarios/p/s.yaml:4:30: case `a`: frames and host actions disturb what is measured
          fix: measure without them
        ");
    }
}
