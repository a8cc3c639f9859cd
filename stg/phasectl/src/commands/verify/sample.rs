// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl verify --sample`: a few patches are built and run again, whatever is known.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use ci::proof::sample::Random;
use ci::proof::{Proved, Report};
use harness::filter::Filter;
use harness::scenario::{Scenario, variant_of};
use serde::Serialize;

use crate::commands::prove;
use crate::judged::{Known, Question};
use crate::lab::Lab;
use crate::proofs::Planned;
use crate::scenarios::only;
use crate::text::{count, listing};

/// What is done again.
#[derive(Debug, Clone)]
pub(super) struct Sample<'a> {
    plan: &'a Planned,
    scenarios: Vec<Scenario>,
}

/// How it went.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    patch: String,
    pub(super) good: bool,
    cases: usize,
    failed: Vec<String>,
    /// Kernels of which the image is another one than on record, although the tools are the same.
    other_images: Vec<String>,
}

/// A seed for who gave none.
pub(super) fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() ^ u64::from(now.subsec_nanos())
}

/// So many patches, and of each so many cases. A kernel of a variant takes a whole build more, so cases that need none have precedence.
pub(super) fn choose(planned: &[Planned], patches: usize, cases: usize, seed: u64) -> Vec<Sample<'_>> {
    let mut random = Random::new(seed);
    let numbers: Vec<usize> = (0..planned.len()).collect();
    let plans = random.choose(&numbers, patches).into_iter().filter_map(|number| planned.get(number));
    let mut all = Vec::new();
    for plan in plans {
        let ids = |usual: bool| -> Vec<String> {
            let is_usual =
                |scenario: &&Scenario| scenario.kernel_names().iter().all(|name| variant_of(name).1.is_none());
            let fits = plan.scenarios.iter().filter(|scenario| is_usual(scenario) == usual);
            fits.flat_map(|one| one.cases.iter().map(move |case| one.case_id(case))).collect()
        };
        let mut chosen = random.choose(&ids(true), cases);
        if chosen.is_empty() {
            chosen = random.choose(&ids(false), cases);
        }
        if chosen.is_empty() {
            continue;
        }
        let filter = Filter::new(chosen);
        all.push(Sample { plan, scenarios: plan.scenarios.iter().filter_map(|one| only(one, &filter)).collect() });
    }
    all
}

/// Builds and runs what was chosen.
pub(super) fn run(
    lab: &Lab,
    samples: &[Sample<'_>],
    report: &Report,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Outcome>> {
    let (logs, _lock) = lab.results("verify", None)?;
    writeln!(out, "KTAP version 1\n1..{}", samples.len())?;
    let mut all = Vec::new();
    for (number, Sample { plan, scenarios }) in (1..).zip(samples) {
        let patch = plan.subject.patch.clone();
        writeln!(out, "# {patch}")?;
        out.flush()?;
        let (kernels, images) = prove::build(lab, plan, scenarios, out)?;
        let question = Question {
            scenarios,
            filter: &Filter::all(),
            kernels: &kernels,
            programs: lab.programs(scenarios, &plan.target)?,
            logs: logs.join(&patch),
        };
        let judged = lab.judge(&question, Known::Ignored, out)?;
        let cases = judged.len();
        let failed: Vec<String> = judged.into_iter().filter(|one| !one.passed).map(|one| one.case).collect();
        let tools = crate::proofs::tools(&lab.disk, &lab.cache)?;
        let record = report.patches.iter().flatten().find(|proved| proved.record.subject.patch == patch);
        let other_images = record.map_or_else(Vec::new, |Proved { record, .. }| {
            // Only of the same tree and the same toolchain the same bytes can be expected.
            let same = record.made.tools.toolchain == tools.toolchain && record.subject.tree == plan.subject.tree;
            let differs =
                |(name, image): &(&String, &String)| record.made.images.get(*name).is_some_and(|one| one != *image);
            images.iter().filter(|_| same).filter(differs).map(|(name, _)| name.clone()).collect()
        });
        let outcome = Outcome { patch, good: failed.is_empty(), cases, failed, other_images };
        print(number, &outcome, out)?;
        all.push(outcome);
    }
    Ok(all)
}

fn print(number: usize, outcome: &Outcome, out: &mut dyn Write) -> anyhow::Result<()> {
    let Outcome { patch, good, cases, failed, other_images } = outcome;
    for name in other_images {
        writeln!(
            out,
            "# note: the image of kernel {name} is another one than on record, with the same tree and toolchain"
        )?;
    }
    let cases = count(*cases, "case", "cases");
    match good {
        true => writeln!(out, "ok {number} - {patch}: built and {cases} run again")?,
        false => writeln!(out, "not ok {number} - {patch}: of {cases} run again failed: {}", listing(failed))?,
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use stg_core::Target;

    use super::*;
    use crate::testing::Small;

    fn planned() -> Vec<Planned> {
        let small = Small::new().with_scenarios();
        let (disk, stack) = (small.disk(), small.stack());
        let all = crate::scenarios::of_phases(&disk, &stack).unwrap();
        let plan = |name: &str, scenarios: Vec<Scenario>| Planned {
            subject: prove::tests::subject(name),
            target: Target::Patch(format!("phase1/{name}")),
            scenarios,
        };
        let mut modules = all[1].clone();
        modules.kernels.incoming = "current+modules".to_owned();
        vec![plan("a", all[..2].to_vec()), plan("b", vec![modules.clone()]), plan("c", vec![all[0].clone(), modules])]
    }

    fn chosen(planned: &[Planned], patches: usize, cases: usize, seed: u64) -> Vec<String> {
        let line = |sample: &Sample<'_>| {
            let cases = crate::scenarios::cases(&sample.scenarios).join(" ");
            format!("{}: {cases}", sample.plan.subject.patch)
        };
        choose(planned, patches, cases, seed).iter().map(line).collect()
    }

    #[test]
    fn so_many_patches_and_cases_the_same_for_a_seed() {
        let planned = planned();
        let all = chosen(&planned, 9, 9, 0);
        insta::assert_snapshot!(all.join("\n"), @r"
        phase1/a: phase1/second/x phase1/second/y phase1/first/x
        phase1/b: phase1/first/x
        phase1/c: phase1/second/x phase1/second/y
        ");
        assert_eq!(chosen(&planned, 2, 1, 5), chosen(&planned, 2, 1, 5));
        let of_seed: std::collections::BTreeSet<_> = (0..50).map(|seed| chosen(&planned, 1, 1, seed)).collect();
        assert_eq!(of_seed.len(), 6, "each case can be the one, but none of a variant beside others: {of_seed:?}");
        assert!(of_seed.iter().all(|one| one.len() == 1));
    }

    #[test]
    fn lines() {
        let outcome = |failed: &[&str], other: &[&str]| Outcome {
            patch: "phase1/a".into(),
            good: failed.is_empty(),
            cases: 2,
            failed: failed.iter().map(|&one| one.to_owned()).collect(),
            other_images: other.iter().map(|&one| one.to_owned()).collect(),
        };
        let mut out = Vec::new();
        print(1, &outcome(&[], &[]), &mut out).unwrap();
        print(2, &outcome(&["phase1/first/x"], &["current"]), &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        ok 1 - phase1/a: built and 2 cases run again
        # note: the image of kernel current is another one than on record, with the same tree and toolchain
        not ok 2 - phase1/a: of 2 cases run again failed: phase1/first/x
        ");
    }
}
