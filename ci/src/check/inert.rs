// SPDX-License-Identifier: GPL-2.0-only

//! Whether the patch changes nothing for those who switch the gates of its phase off, see [`crate::gate`].

use super::{Bench, Subject, Verdict};
use crate::kbuild::BuildError;

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let findings = bench.kernels.map_or(Ok(Vec::new()), |kernels| kernels.inert(subject))?;
    Ok(findings.into())
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::Known;
    use super::super::testing::Small;
    use super::super::{Finding, named};
    use super::*;

    #[test]
    fn what_the_proof_finds_is_what_the_check_finds() {
        let small = Small::new();
        let subject = small.subject(&[("a.c", "1\n")], &[("a.c", "2\n")]);
        let finding = Finding::new("phases/p/a.patch".into(), 7, "`f` in a.o differs", "move it");
        let kernels = Known { inert: vec![finding.clone()], ..Known::default() };
        assert_eq!(check(&subject, &small.bench(Some(&kernels))).unwrap().findings, [finding]);
        assert_eq!(check(&subject, &small.bench(None)).unwrap(), Verdict::default());
        assert!(named("gate").is_some());
    }
}
