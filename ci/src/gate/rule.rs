// SPDX-License-Identifier: GPL-2.0-only

//! Which states of a phase must be equal with its gates off.
//!
//! The patches of a series that prepare (`prepares: true`) come first. They may change what everybody runs, and say so. The state after
//! the last of them is the reference of the series: every later patch, with the gates off, must leave each object as it is there. A series
//! without such patches starts from where the one before it ended.

use stg_core::manifest::Series;
use stg_core::stack::{Patch, Phase};
use stg_core::yaml::locate;
use stg_core::{Diagnostic, Source};

/// A patch that must change nothing, and what it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// The patch.
    pub patch: &'a Patch,
    /// The state after this patch; `None` is what the phase stands on.
    pub reference: Option<&'a Patch>,
}

/// The comparisons of a phase, in the order of its patches.
pub fn comparisons(phase: &Phase) -> Vec<Comparison<'_>> {
    let mut found = Vec::new();
    let mut patches = phase.patches.iter();
    let mut before = None;
    for series in &phase.manifest.series {
        let mut reference = before;
        let mut preparing = true;
        for patch in patches.by_ref().take(series.patches.len()) {
            preparing &= patch.entry.prepares;
            before = Some(patch);
            if preparing {
                reference = before;
            } else {
                found.push(Comparison { patch, reference });
            }
        }
    }
    found
}

/// What is wrong with the place of a patch: that it prepares, and does not come first in its series.
///
/// # Errors
///
/// If the phase's manifest cannot be read.
pub fn misplaced(source: &dyn Source, phase: &Phase, patch: &Patch) -> stg_core::Result<Option<Diagnostic>> {
    let name = &patch.entry.name;
    let Some(series) = phase.manifest.series.iter().find(|series| late(series, name)) else { return Ok(None) };
    let bytes = source.read(&phase.file)?.map(|file| file.bytes).unwrap_or_default();
    let (line, column) = locate(&String::from_utf8_lossy(&bytes), "name", name);
    let message = format!("patch {name} prepares, but comes after others of series {}", series.name);
    let fix = "move it to the front of its series, or drop `prepares:` if it changes nothing with the gates off";
    Ok(Some(Diagnostic::new(&phase.file, message, fix).at(line).column(column)))
}

/// Whether a patch of this name prepares after one of the series that does not.
fn late(series: &Series, name: &str) -> bool {
    series.patches.iter().skip_while(|patch| patch.prepares).any(|patch| patch.prepares && patch.name == name)
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use stg_core::{Disk, Stack};

    use super::*;

    fn disk() -> Disk {
        Disk::new(Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
    }

    fn said(phase: &Phase) -> Vec<String> {
        let name = |patch: &Patch| patch.entry.name.clone();
        let one = |one: Comparison<'_>| {
            format!("{} = {}", name(one.patch), one.reference.map_or_else(|| "start".to_owned(), name))
        };
        comparisons(phase).into_iter().map(one).collect()
    }

    fn phase(flags: &[&[bool]]) -> Phase {
        let mut phase = Stack::load(&disk()).unwrap().phases.remove(0);
        let mut all = phase.patches.clone().into_iter();
        let sample = phase.manifest.series[0].clone();
        phase.patches.clear();
        let mut number = 0;
        let mut series = |flags: &&[bool]| {
            let mut series = sample.clone();
            series.patches.clear();
            for &prepares in *flags {
                let mut patch = all.next().unwrap();
                patch.entry.name = number.to_string();
                patch.entry.prepares = prepares;
                number += 1;
                series.patches.push(patch.entry.clone());
                phase.patches.push(patch);
            }
            series
        };
        phase.manifest.series = flags.iter().map(&mut series).collect();
        phase
    }

    #[test]
    fn each_series_has_its_own_reference() {
        let two = phase(&[&[true, true, false, false], &[true, false]]);
        assert_eq!(said(&two), ["2 = 1", "3 = 1", "5 = 4"]);
        assert_eq!(said(&phase(&[&[false], &[false, true, false], &[true]])), ["0 = start", "1 = 0", "2 = 0", "3 = 0"]);
    }

    #[test]
    fn the_real_phases_keep_to_the_rule() {
        let disk = disk();
        for phase in &Stack::load(&disk).unwrap().phases {
            for patch in &phase.patches {
                assert_eq!(misplaced(&disk, phase, patch).unwrap(), None);
            }
            let inert = phase.patches.iter().filter(|patch| !patch.entry.prepares).count();
            assert_eq!(comparisons(phase).len(), inert);
        }
    }

    #[test]
    fn a_patch_that_prepares_too_late_is_named_with_its_line() {
        let mut phase = Stack::load(&disk()).unwrap().phases.remove(0);
        let entry = phase.manifest.series[0].patches.last_mut().unwrap();
        entry.prepares = true;
        let name = entry.name.clone();
        let said = phase.patches.iter().filter_map(|patch| misplaced(&disk(), &phase, patch).unwrap());
        let found: Vec<Diagnostic> = said.collect();
        let text = std::fs::read_to_string(disk().root().join(&phase.file)).unwrap();
        let line = text.lines().position(|line| line.trim() == format!("- name: {name}")).unwrap() + 1;
        assert_eq!((found.len(), found[0].line), (1, Some(line)), "{found:?}");
    }
}
