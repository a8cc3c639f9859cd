// SPDX-License-Identifier: GPL-2.0-only

//! The rule of `Documentation/process/submitting-patches.rst`: the last Signed-off-by is that of the submitter.

use crate::error::{Diagnostic, Result, check};
use crate::manifest::Identity;
use crate::stack::Phase;

/// Every patch of the phase that `who` has not signed off last.
pub(super) fn check_phase(phase: &Phase, who: &Identity) -> Result<()> {
    let wanted = who.to_string();
    let wrong = phase.patches.iter().filter_map(|patch| {
        let (last, line) = patch.text.last_sign_off();
        let message = match last {
            Some(last) if last == wanted => return None,
            Some(last) => format!("the last Signed-off-by is of {last}, but {wanted} exports"),
            None => format!("no Signed-off-by, and {wanted} exports"),
        };
        let fix = format!(
            "if you certify the patch by the Developer Certificate of Origin, add `Signed-off-by: {wanted}` as the last line of the body; or use --draft"
        );
        Some(Diagnostic::new(&patch.file, message, fix).at(line))
    });
    check(wrong.collect())
}
