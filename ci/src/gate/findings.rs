// SPDX-License-Identifier: GPL-2.0-only

//! A difference as the author of a patch needs it: at which line of the .patch, and what to do.

use camino::Utf8Path;
use stg_core::Diagnostic;
use stg_core::stack::{Patch, Phase};

use super::Difference;

/// Differences as mistakes of a patch of a phase, whose state should be that of `reference`.
pub fn findings(phase: &Phase, patch: &Patch, reference: &str, differences: &[Difference]) -> Vec<Diagnostic> {
    let gates = match phase.manifest.gates.as_slice() {
        [] => "a gate of the phase".to_owned(),
        gates => gates.iter().map(|gate| format!("CONFIG_{gate}")).collect::<Vec<_>>().join(" or "),
    };
    let finding = |difference: &Difference| {
        let message = format!("with the gates of {} off this is not {reference}: {difference}", phase.name());
        let fix = format!(
            "let the change depend on {gates}, or make it a patch that prepares (`prepares: true`, first in its series)"
        );
        Diagnostic::new(&patch.file, message, fix).at(line(patch, &difference.object))
    };
    differences.iter().map(finding).collect()
}

/// Where a patch edits or adds the source of an object; else its first edit.
fn line(patch: &Patch, object: &Utf8Path) -> usize {
    let source = |path: &Utf8Path| path.with_extension("") == object.with_extension("");
    let edited = || patch.text.diffs.iter().find(|diff| source(&diff.path)).map(|diff| diff.line);
    let added = || patch.text.adds().find(|(path, _)| source(path)).map(|(_, line)| line);
    // A header that others include, a Makefile, a crate's module.
    edited().or_else(added).or_else(|| patch.text.diffs.first().map(|diff| diff.line)).unwrap_or(1)
}
