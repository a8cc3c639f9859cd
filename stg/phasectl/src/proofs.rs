// SPDX-License-Identifier: GPL-2.0-only

//! What a proof of each patch is about, and the files that hold them.
//!
//! [`ci::proof`] says what a record is and when it is good. Here the repository is asked what each patch is ([`planned`]): its tree, its
//! configuration, which cases pass there and how they end. Nothing is built for that.

use std::collections::BTreeMap;

use anyhow::Context as _;
use camino::Utf8Path;
use ci::hash::sha256;
use ci::kbuild::Fragment;
use ci::kbuild::config::merge;
use ci::proof::{DIRECTORY, FRESH, Hashes, Proved, Subject, Tools, check, file};
use harness::scenario::{Kind, Scenario};
use harness::verdict::Class;
use stg_core::git::Repo;
use stg_core::{Assembled, Base, Disk, Phase, Source as _, Stack, Target, assemble};
use stg_env::Cache;
use stg_env::toolchain::{Qemu, Toolchain};

use crate::judged::inputs;
use crate::kernels::{Made, Which};
use crate::{scenarios, text};

/// A patch, and what shows that it does what it must.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// What its record says.
    pub(crate) subject: Subject,
    /// Its kernel.
    pub(crate) target: Target,
    /// With the cases that pass at it, and no others.
    pub(crate) scenarios: Vec<Scenario>,
}

/// Every patch of some targets, in order and each once. A patch is proved on top of what its phase requires and nothing else, whatever other
/// phases there are: with 2 and 3 on top of 1, nothing in phase 3 depends on phase 2.
///
/// # Errors
///
/// If a patch does not apply, or a scenario, the machines or a configuration is wrong.
pub(crate) fn planned(base: &Base, disk: &Disk, stack: &Stack, targets: &[Target]) -> anyhow::Result<Vec<Planned>> {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for target in targets {
        for (phase, count) in stack.chain(target)? {
            let end = ends.entry(phase.name()).or_default();
            *end = count.max(*end);
        }
    }
    let mut all = Vec::new();
    for phase in &stack.phases {
        let end = ends.get(phase.name()).copied().unwrap_or(0);
        if let Some(last) = phase.patches[..end].last() {
            let assembled = assemble(base, disk, stack, &Target::Patch(last.id()))?;
            all.extend(of_phase(disk, stack, phase, &assembled)?);
        }
    }
    Ok(all)
}

/// The patches of a phase out of what was assembled.
fn of_phase(disk: &Disk, stack: &Stack, phase: &Phase, assembled: &Assembled) -> anyhow::Result<Vec<Planned>> {
    let repo = Repo::open(&assembled.base.repo)?;
    let topologies = inputs::topologies(disk)?;
    let any_kernel = Scenario::load(disk, scenarios::ANY_KERNEL)?;
    let known = scenarios::of_phase(disk, stack, phase)?;
    let mut all = Vec::new();
    for patch in assembled.patches.iter().filter(|patch| patch.phase == phase.name()) {
        let id = patch.id();
        let scenarios = scenarios::at_patch(stack, &id, &known, &any_kernel)?;
        let target = Target::Patch(id.clone());
        let mut subject = Subject {
            patch: id,
            base: assembled.base.tree.clone(),
            tree: patch.tree.to_string(),
            diff: repo.patch_id(patch.parent_tree, patch.tree)?.to_string(),
            configs: configs(disk, stack, &target, &scenarios, assembled)?,
            scenarios: Hashes::new(),
            topologies: Hashes::new(),
            verdicts: BTreeMap::new(),
            boots: 0,
            kexecs: 0,
        };
        for scenario in &scenarios {
            subject.scenarios.insert(scenario.id.clone(), inputs::scenario(disk, scenario)?);
            for case in &scenario.cases {
                let topology = topologies.get(&case.topology).cloned().unwrap_or_default();
                subject.topologies.insert(case.topology.clone(), topology);
                let class = scenario.expect(case).verdict;
                subject.verdicts.insert(scenario.case_id(case), class.to_string());
                let times = scenario.repeat as usize;
                subject.boots += times;
                // Where something else must happen, how far it gets is not counted.
                if let (Kind::Handover(stages), Class::Pass) = (&scenario.kind, class) {
                    subject.kexecs += (case.stages.as_ref().unwrap_or(stages).len() - 1) * times;
                }
            }
        }
        all.push(Planned { subject, target, scenarios });
    }
    Ok(all)
}

/// The kernels of some scenarios, and always the one that is proved.
pub(crate) fn kernel_names(scenarios: &[Scenario]) -> impl Iterator<Item = &str> {
    scenarios.iter().flat_map(Scenario::kernel_names).chain([CURRENT])
}

const CURRENT: &str = "current";

/// What a record calls the modules of a kernel.
pub(crate) fn modules(kernel: &str) -> String {
    format!("{kernel} modules")
}

fn configs(
    disk: &Disk,
    stack: &Stack,
    target: &Target,
    scenarios: &[Scenario],
    assembled: &Assembled,
) -> anyhow::Result<Hashes> {
    let mut configs = Hashes::new();
    for name in kernel_names(scenarios) {
        if configs.contains_key(name) {
            continue;
        }
        let which = Which::named(name, target, stack, None)?;
        let mut text = config(&which.fragments(disk.root(), stack)?);
        if let Made::At(other) = &which.made
            && other != target
        {
            // A kernel of another tree than the patch's.
            let tree = assemble(&assembled.base, disk, stack, other)?.tip_tree()?;
            text.push_str(&format!("tree {tree}\n"));
        }
        if let Some(variant) = &which.variant {
            text.push_str(&format!("needs {}\n", inputs::variant(disk, variant)?));
        }
        configs.insert(name.to_owned(), sha256(text));
    }
    Ok(configs)
}

/// What is wanted of a kernel, a line for each option.
fn config(fragments: &[Fragment]) -> String {
    merge(fragments).iter().map(|wanted| format!("{:?} {wanted}\n", wanted.scope)).collect()
}

/// The tools of this machine.
///
/// # Errors
///
/// If it lacks any.
pub(crate) fn tools(disk: &Disk, cache: &Cache) -> anyhow::Result<Tools> {
    Ok(Tools {
        toolchain: Toolchain::detect(cache)?.id().to_owned(),
        qemu: Qemu::detect(cache)?.id,
        harness: inputs::harness_and_guest(disk)?,
    })
}

/// The files of all records that there are, by patch.
///
/// # Errors
///
/// If one cannot be read.
pub(crate) fn read(disk: &Disk, planned: &[Planned]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut texts = BTreeMap::new();
    for Planned { subject, .. } in planned {
        if let Some(file) = disk.read(&subject.file())? {
            texts.insert(subject.patch.clone(), file.bytes);
        }
    }
    Ok(texts)
}

/// What a cover letter says of the proof of each patch; nothing if there are no records at all.
///
/// # Errors
///
/// As [`planned`].
pub(crate) fn lines(
    base: &Base,
    disk: &Disk,
    stack: &Stack,
    target: &Target,
) -> anyhow::Result<BTreeMap<String, String>> {
    if disk.list(DIRECTORY.into())?.is_empty() {
        return Ok(BTreeMap::new());
    }
    let planned = planned(base, disk, stack, std::slice::from_ref(target))?;
    let subjects: Vec<Subject> = planned.iter().map(|plan| plan.subject.clone()).collect();
    let report = check(&subjects, &read(disk, &planned)?, None);
    let line = |found: &Result<Proved, _>| match found {
        Ok(Proved { record, hash }) => {
            format!("proof {}: {}", &hash[..12], text::ran(record.subject.boots, record.subject.kexecs))
        }
        Err(_) => "no proof".to_owned(),
    };
    Ok(subjects.into_iter().zip(&report.patches).map(|(subject, found)| (subject.patch, line(found))).collect())
}

/// Writes a record, so that a reader sees the old one or the new one.
///
/// # Errors
///
/// If it cannot be written.
pub(crate) fn write(root: &Utf8Path, patch: &str, text: &str) -> anyhow::Result<()> {
    let path = root.join(file(patch));
    let what = || format!("cannot write {path}");
    std::fs::create_dir_all(path.parent().unwrap_or(root)).with_context(what)?;
    let fresh = path.with_extension(format!("json.{FRESH}"));
    std::fs::write(&fresh, text).with_context(what)?;
    std::fs::rename(&fresh, &path).with_context(what)
}

/// Removes a record.
///
/// # Errors
///
/// If that does not work.
pub(crate) fn remove(root: &Utf8Path, patch: &str) -> anyhow::Result<()> {
    let path = root.join(file(patch));
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {path}"))
}
