// SPDX-License-Identifier: GPL-2.0-only

//! Whether a patch that prepares comes before all others of its series.
//!
//! The gate proof takes the state after the last one for its reference, and so believes that the later patches change nothing.
//! It compares one that comes too late like any other, but then says, after minutes, what it changes and not where it belongs.

use super::{Bench, Subject, Verdict};
use crate::kbuild::BuildError;

pub(super) fn check(subject: &Subject, _: &Bench<'_>) -> Result<Verdict, BuildError> {
    Ok(subject.misplaced.iter().cloned().collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Small;
    use super::super::{Cost, Finding, named};

    #[test]
    fn what_is_wrong_with_its_place_is_said_without_compiling() {
        let small = Small::new();
        let mut subject = small.subject(&[("a.c", "1\n")], &[("a.c", "2\n")]);
        assert!(small.run("prepares", &subject).is_empty());
        let finding = Finding::new("phase.yaml".into(), 7, "patch x prepares, but", "move it");
        subject.misplaced = Some(finding.clone());
        assert_eq!(small.run("prepares", &subject), [finding]);
        assert_eq!(named("prepares").unwrap().cost, Cost::Quick);
    }
}
