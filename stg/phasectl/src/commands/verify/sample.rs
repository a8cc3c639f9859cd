// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl verify --sample`: a few patches are built and run again, whatever is known.
//!
//! Nothing is taken from the store of kernels, so it makes no difference whether this is the machine that wrote the records: each kernel is
//! compiled, as far as make finds it necessary in its build directory, and its image must be the one on record.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use ci::proof::sample::Random;
use ci::proof::{Hashes, Record, Report, Tools};
use harness::filter::Filter;
use harness::scenario::{Scenario, variant_of};
use serde::Serialize;

use crate::commands::prove;
use crate::judged::{Judge, Known, Question};
use crate::lab::Lab;
use crate::proofs::{self, Planned};
use crate::scenarios::{self, only};
use crate::text::{count, listing};

/// How many cases of a patch run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cases {
    /// Every one.
    All,
    /// So many, at least one.
    Some(usize),
}

impl fmt::Display for Cases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Some(number) => number.fmt(f),
        }
    }
}

impl FromStr for Cases {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "all" => Ok(Self::All),
            Ok(number) if number > 0 => Ok(Self::Some(number)),
            _ => Err("name how many, 1 at least, or `all`".to_owned()),
        }
    }
}

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
    /// How many cases ran.
    cases: usize,
    /// How many the record is about.
    of: usize,
    failed: Vec<String>,
    /// Kernels of which the image is another one than on record, although all is the same that it is made from.
    other_images: Vec<String>,
    notes: Vec<String>,
}

/// A seed for who gave none.
pub(super) fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() ^ u64::from(now.subsec_nanos())
}

/// So many patches, and of each so many cases. A kernel of a variant takes a whole build more, so cases that need none have precedence.
pub(super) fn choose(planned: &[Planned], patches: usize, cases: Cases, seed: u64) -> Vec<Sample<'_>> {
    let mut random = Random::new(seed);
    let numbers: Vec<usize> = (0..planned.len()).collect();
    let plans = random.choose(&numbers, patches).into_iter().filter_map(|number| planned.get(number));
    let mut all = Vec::new();
    for plan in plans {
        let Cases::Some(cases) = cases else {
            all.push(Sample { plan, scenarios: plan.scenarios.clone() });
            continue;
        };
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
    tools: &Tools,
    samples: &[Sample<'_>],
    report: &Report,
    judge: &Judge<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Outcome>> {
    let (logs, _lock) = lab.results("verify", None)?;
    let fresh = logs.join("kernels");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove {fresh}"))?;
    }
    super::notes(report, out)?;
    writeln!(out, "KTAP version 1\n1..{}", samples.len())?;
    let mut all = Vec::new();
    for (number, Sample { plan, scenarios }) in (1..).zip(samples) {
        let patch = plan.subject.patch.clone();
        writeln!(out, "# {patch}")?;
        out.flush()?;
        let (kernels, images) = prove::build(lab, plan, scenarios, &|which| lab.files_again(which, &fresh), out)?;
        let record = report.patches.iter().flatten().find(|proved| proved.record.subject.patch == patch);
        let names: Vec<&str> = kernels.keys().map(String::as_str).collect();
        let (other_images, notes) =
            record.map_or_else(Default::default, |proved| compare(&proved.record, plan, tools, &names, &images));
        let question = Question {
            scenarios,
            filter: &Filter::all(),
            kernels: &kernels,
            programs: lab.programs(scenarios, &plan.target)?,
            logs: logs.join(&patch),
        };
        let judged = judge(&question, Known::Ignored, out)?;
        let (cases, of) = (judged.len(), scenarios::cases(&plan.scenarios).len());
        let failed: Vec<String> = judged.into_iter().filter(|one| !one.passed).map(|one| one.case).collect();
        let good = failed.is_empty() && other_images.is_empty();
        let outcome = Outcome { patch, good, cases, of, failed, other_images, notes };
        print(number, &outcome, out)?;
        all.push(outcome);
    }
    Ok(all)
}

/// The kernels of which other images came out than a record has, and what makes that no wonder.
fn compare(
    record: &Record,
    plan: &Planned,
    tools: &Tools,
    kernels: &[&str],
    images: &Hashes,
) -> (Vec<String>, Vec<String>) {
    let (mut other, mut notes) = (Vec::new(), Vec::new());
    let (then, now) = (&record.subject, &plan.subject);
    for &kernel in kernels {
        let differs = |name: String| record.made.images.get(&name) != images.get(&name);
        if !differs(kernel.to_owned()) && !differs(proofs::modules(kernel)) {
            continue;
        }
        let why = if (&then.base, &then.tree) != (&now.base, &now.tree) {
            "the base is another one too"
        } else if then.configs.get(kernel) != now.configs.get(kernel) {
            "its configuration is another one too"
        } else if record.made.tools.toolchain != tools.toolchain {
            "the toolchain is another one too"
        } else {
            other.push(kernel.to_owned());
            continue;
        };
        notes.push(format!("the image of kernel {kernel} is another one than on record; {why}"));
    }
    (other, notes)
}

fn print(number: usize, outcome: &Outcome, out: &mut dyn Write) -> anyhow::Result<()> {
    let Outcome { patch, good, cases, of, failed, other_images, notes } = outcome;
    for note in notes {
        writeln!(out, "# note: {note}")?;
    }
    let ran = format!("{cases} of {} run again", count(*of, "case", "cases"));
    if *good {
        writeln!(out, "ok {number} - {patch}: built again, {ran}")?;
    } else {
        let images = (!other_images.is_empty()).then(|| {
            let kernels = listing(other_images);
            format!("from the same tree, configuration and toolchain another image than on record: {kernels}")
        });
        let failed = (!failed.is_empty()).then(|| format!("{ran}, failed: {}", listing(failed)));
        let what: Vec<String> = images.into_iter().chain(failed).collect();
        writeln!(out, "not ok {number} - {patch}: {}", what.join("; "))?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
