// SPDX-License-Identifier: GPL-2.0-only

//! What a cover letter says about tests.
//!
//! It is derived from the project's files alone, since an export must have the same bytes on every machine: which tests each patch names, on
//! which machines they run, which faults are planted to see them fail, and, where the project has records of it (`proofs/`), that they passed.

use std::collections::BTreeMap;

use harness::HarnessError;
use harness::scenario::{Kind, Scenario};
use harness::topology::{Iommu, Topologies};
use stg_core::stack::scenario_of;
use stg_core::{Phase, Source, Stack};

use crate::scenarios;
use crate::text::wrap;

/// Mails are read at this width.
const WIDTH: usize = 72;

/// The lines, none if no patch of the phase names a test and none is proved. `proofs` has what is said of the proof of a patch, by its id.
///
/// # Errors
///
/// If a scenario cannot be read.
pub(crate) fn tested(
    source: &dyn Source,
    stack: &Stack,
    phase: &Phase,
    proofs: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<String>> {
    let all = scenarios::of_phase(source, stack, phase)?;
    if all.is_empty() && proofs.is_empty() {
        return Ok(Vec::new());
    }
    let machines = Topologies::load(source)?;
    let mut lines = Vec::new();
    for patch in &phase.patches {
        let mut shown: Vec<String> = proofs.get(&patch.id()).map(|proof| format!("  {proof}")).into_iter().collect();
        for test in &patch.entry.tests {
            let Some(scenario) = all.iter().find(|scenario| scenario.id == scenario_of(test)) else { continue };
            shown.extend(wrap(&sentence(test, scenario, &machines)?, WIDTH, "  - ", "    "));
        }
        if !shown.is_empty() {
            lines.extend(wrap(patch.text.subject(), WIDTH, "", "  "));
            lines.extend(shown);
        }
    }
    if lines.is_empty() {
        return Ok(lines);
    }
    let mut intro = format!(
        "Tests that boot the kernel in QEMU (x86-64, emulated), listed under the patch at which each passes first. Those \
         called a live update go through a real kexec into the next kernel. The base is Linux {}.",
        stack.base.release
    );
    if !proofs.is_empty() {
        intro.push_str(
            " A proof is a record in the project's repository that the kernel at this patch was built, booted and live-updated, and \
             did what it must; it is named by the beginning of its SHA-256.",
        );
    }
    let mut text = wrap(&intro, WIDTH, "", "");
    text.push(String::new());
    text.extend(lines);
    Ok(text)
}

/// `live update, IOMMU legacy, scalable: the file of an igb is preserved ... (phase1/fd-preserve)`.
fn sentence(test: &str, scenario: &Scenario, machines: &Topologies) -> Result<String, HarnessError> {
    let Scenario { id, title, .. } = scenario;
    let how = match scenario.kind {
        Kind::Kunit(_) => return Ok(format!("KUnit: {title} ({test})")),
        Kind::Handover(_) => "live update",
        Kind::Blackout { .. } | Kind::Measure { .. } => "live update, in guest instructions",
    };
    let case = test.strip_prefix(id).and_then(|rest| rest.strip_prefix('/'));
    let mut modes: Vec<&str> = Vec::new();
    for one in scenario.cases.iter().filter(|one| case.is_none_or(|case| one.name == case)) {
        let mode = mode(scenario.topology(one, machines)?.iommu);
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    Ok(format!("{how}, {}: {title} ({test})", modes.join(", ")))
}

fn mode(iommu: Iommu) -> &'static str {
    match iommu {
        Iommu::None => "no IOMMU",
        Iommu::Legacy => "legacy IOMMU",
        Iommu::Scalable => "scalable IOMMU",
        Iommu::FirstStage => "first-stage IOMMU",
    }
}
