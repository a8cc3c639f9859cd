// SPDX-License-Identifier: GPL-2.0-only

//! Checks of a patch, each made once.

use std::time::Instant;

use super::{Bench, Check, Cost, Finding, Subject};
use crate::hash::hash;
use crate::kbuild::BuildError;
use crate::outcomes::{Inputs, Outcomes};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The check's name.
    pub check: &'static str,
    /// What it found.
    pub findings: Vec<Finding>,
    /// Why it says less than it could, if it does. Such an answer is not kept.
    pub note: Option<String>,
    /// Whether it was known.
    pub cached: bool,
}

/// Makes some checks of a patch, each unless its answer is known.
///
/// # Errors
///
/// If one cannot be made. What was found before is kept.
pub fn run(
    subject: &Subject,
    checks: &[&'static Check],
    bench: &Bench<'_>,
    outcomes: &Outcomes,
) -> Result<Vec<Answer>, BuildError> {
    let mut answers = Vec::new();
    for &check in checks {
        let inputs = inputs(subject, check, bench)?;
        if let Some(findings) = outcomes.get(&inputs) {
            answers.push(Answer { check: check.name, findings, note: None, cached: true });
            continue;
        }
        let started = Instant::now();
        let verdict = (check.run)(subject, bench)?;
        if verdict.note.is_none() {
            outcomes.put(&inputs, &verdict.findings, started.elapsed().as_secs_f64())?;
        }
        answers.push(Answer { check: check.name, findings: verdict.findings, note: verdict.note, cached: false });
    }
    Ok(answers)
}

/// Forgets what was found in a patch, so that the checks are made again.
///
/// # Errors
///
/// If an answer cannot be removed.
pub fn forget(
    subject: &Subject,
    checks: &[&'static Check],
    bench: &Bench<'_>,
    outcomes: &Outcomes,
) -> Result<(), BuildError> {
    checks.iter().try_for_each(|check| Ok(outcomes.forget(&inputs(subject, check, bench)?)?))
}

/// All that the answer depends on. The mail has the message and the changes.
fn inputs(subject: &Subject, check: &Check, bench: &Bench<'_>) -> Result<Inputs, BuildError> {
    let origin = &subject.origin;
    let inputs = Inputs::new("check")
        .with("check", check.name)
        .with("version", check.version.to_string())
        .with("base", bench.base_tree.to_string())
        .with("parent", subject.parent_tree.to_string())
        .with("tree", subject.tree.to_string())
        .with("mail", hash(&subject.mail))
        .with("place", format!("{}:{}", origin.file, origin.body_line))
        .with("series", hash(format!("{:?} {:?}", subject.series, subject.misplaced)))
        .with("gates", bench.gates.join(" "));
    match (check.cost, bench.kernels) {
        // The toolchain is a part of it, and the programs of the others have no say.
        (Cost::Build, Some(kernels)) => Ok(inputs.with("kernels", kernels.id(subject, check.name)?)),
        _ => Ok(inputs.with("tools", &bench.programs.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::build::tests::Known;
    use crate::check::named;
    use crate::check::testing::Small;

    #[test]
    fn an_answer_is_kept_until_something_changes() {
        let small = Small::new();
        let cache = stg_env::Cache::at(&small.root().join("cache")).unwrap();
        let outcomes = Outcomes::of(&cache);
        let mut subject = small.subject(&[("a.rs", "1\n")], &[("a.rs", "unsafe { x() };\n")]);
        let checks = [named("safety").unwrap(), named("body").unwrap()];
        let run = |subject: &Subject| run(subject, &checks, &small.bench(None), &outcomes).unwrap();
        let first = run(&subject);
        assert_eq!((first[0].findings.len(), first[0].cached, first[1].findings.len()), (1, false, 0));
        let second = run(&subject);
        assert!(second[0].cached && second[1].cached && second[0].findings == first[0].findings);
        forget(&subject, &checks[..1], &small.bench(None), &outcomes).unwrap();
        assert_eq!([0, 1].map(|at| run(&subject)[at].cached), [false, true]);
        subject.mail.push(b'x');
        assert!(!run(&subject)[0].cached);
    }

    #[test]
    fn what_is_compiled_is_known_by_what_its_kernels_are_made_from() {
        let small = Small::new();
        let outcomes = Outcomes::of(&stg_env::Cache::at(&small.root().join("cache")).unwrap());
        let subject = small.subject(&[("a.c", "1\n")], &[("a.c", "2\n")]);
        let cached = |id: &str| {
            let kernels = Known { id: id.to_owned(), ..Known::default() };
            run(&subject, &[named("gate").unwrap()], &small.bench(Some(&kernels)), &outcomes).unwrap()[0].cached
        };
        assert_eq!([cached("as a"), cached("as a"), cached("as b")], [false, true, false]);
    }
}
