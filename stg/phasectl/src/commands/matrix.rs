// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl matrix`.

mod pairs;
mod report;
mod run;

use std::io::Write;

use ci::handover::RULES;
use ci::shard::Shard;
use stg_core::{Error, Stack, names};
use stg_env::exit;

use self::pairs::{Cell, Pair};
use self::report::Reporter;
use self::run::Bench;
use crate::app::{App, base_or_fetch};
use crate::lab::{Lab, TEST};
use crate::output;
use crate::text::count;

/// Let every kernel hand over to every other: the base, and the end of each series, in both directions.
///
/// For each pair it is predicted from what the two trees say (compatible strings, versions, the mark of a live translation) what becomes of
/// a device and of a memfd, with and without an IOMMU. Then the pair is run, and what is observed is put beside it. Exits with 103 if
/// the two differ, or if the strings themselves are in contradiction. A pair that the host was too busy for is run again; if it never comes
/// to an end of its own, that is said, and the exit code is 110. What was observed once is not run again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RULES)]
pub(crate) struct Args {
    /// Only predict: nothing is built or run.
    #[arg(long)]
    predict: bool,

    /// Only pairs with this outgoing kernel: `base`, or PHASE/SERIES. May be repeated.
    #[arg(long, value_name = "KERNEL")]
    from: Vec<String>,

    /// Only pairs with this incoming kernel. May be repeated.
    #[arg(long, value_name = "KERNEL")]
    to: Vec<String>,

    /// Only the Ith of N parts of the pairs, as I/N. Their results merge: `phasectl merge`.
    #[arg(long, value_name = "I/N", default_value_t = Shard::ALL)]
    shard: Shard,

    /// Run what was observed before as well.
    #[arg(long, conflicts_with = "predict")]
    again: bool,

    /// Report as JSON instead of KTAP.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let ends = crate::ends::ends(&stack);
    let known: Vec<&str> = ends.iter().map(|end| end.name.as_str()).collect();
    if let Some(name) = args.from.iter().chain(&args.to).find(|name| !known.contains(&name.as_str())) {
        let message = format!("there is no kernel `{name}` in the matrix");
        return Err(Error::unknown(
            message,
            names::fix(name, &known, "name `base`, or PHASE/SERIES as `phasectl list` has them"),
        )
        .into());
    }
    let chosen = |only: &[String], name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let wanted = |from: &str, to: &str| chosen(&args.from, from) && chosen(&args.to, to);
    if args.predict {
        let base = base_or_fetch(&app.cache()?, &stack)?;
        let kernels = pairs::kernels(&disk, &base, &stack, ends)?;
        let (pairs, idle) = part(args.shard, pairs::pairs(&kernels, wanted));
        if let Some(idle) = idle.filter(|_| !args.json) {
            writeln!(out, "{idle}")?;
        } else if args.json {
            output::json(out, &report::view(&kernels, &pairs))?;
        } else {
            report::predicted(&kernels, &pairs, out)?;
        }
        return Ok(predicted(&pairs));
    }
    let scenario = run::scenario(&disk)?;
    let lab = Lab::open(app, stack, TEST)?;
    let kernels = pairs::kernels(&lab.disk, &lab.base, &lab.stack, ends)?;
    let (mut pairs, idle) = part(args.shard, pairs::pairs(&kernels, wanted));
    let bench = Bench::new(&lab, &kernels, scenario, args.again)?;
    let mut reporter = Reporter::new(args.json, &pairs, out)?;
    if let Some(idle) = idle {
        reporter.note(&idle)?;
    }
    for pair in &mut pairs {
        bench.observe(pair, &kernels)?;
        reporter.pair(pair)?;
    }
    reporter.end(&kernels, &pairs)?;
    Ok(observed(&pairs))
}

/// The pairs of a shard, and what to say if there are none.
fn part(shard: Shard, pairs: Vec<Pair>) -> (Vec<Pair>, Option<String>) {
    let idle = shard.idle(pairs.len(), &count(pairs.len(), "pair", "pairs"));
    (shard.of(pairs), idle)
}

/// Of the predictions alone.
fn predicted(pairs: &[Pair]) -> i32 {
    let sound = cells(pairs).all(Cell::is_sound);
    if sound { exit::OK } else { exit::ABI_MISMATCH }
}

/// Of what was observed, too: a pair of which nothing was is not good.
fn observed(pairs: &[Pair]) -> i32 {
    let differs = |cell: &Cell| cell.observed.is_some() && !cell.is_good();
    if cells(pairs).any(differs) {
        return exit::ABI_MISMATCH;
    }
    match (predicted(pairs), cells(pairs).all(Cell::is_good)) {
        (exit::OK, false) => exit::ENVIRONMENT,
        (code, _) => code,
    }
}

fn cells(pairs: &[Pair]) -> impl Iterator<Item = &Cell> {
    pairs.iter().flat_map(|pair| &pair.cells)
}

#[cfg(test)]
mod tests {
    use ci::handover::{Fate, Fates, Mode, Prediction};

    use super::pairs::Observed;
    use super::*;

    fn cell(predicted: Fate, observed: Option<Fate>) -> Cell {
        let fates = |fate: Fate| Fates { device: fate.clone(), memory: fate };
        let predicted = Prediction { fates: fates(predicted), why: String::new() };
        let observed = observed.map(|fate| {
            let agrees = fates(fate.clone()).agrees_with(&predicted.fates);
            Observed { fates: fates(fate), why: String::new(), agrees, cached: false }
        });
        let host = observed.is_none().then(String::new);
        Cell { from: "a".into(), to: "b".into(), mode: Mode::Noiommu, predicted, observed, host }
    }

    fn code(cells: impl IntoIterator<Item = Cell>) -> i32 {
        observed(&[Pair { from: "a".into(), to: "b".into(), cells: cells.into_iter().collect() }])
    }

    #[test]
    fn what_was_not_observed_is_not_good() {
        let good = || cell(Fate::Works, Some(Fate::Works));
        let host = || cell(Fate::Works, None);
        assert_eq!(code([good()]), exit::OK);
        assert_eq!(code([good(), host()]), exit::ENVIRONMENT);
        assert_eq!(code([cell(Fate::Works, Some(Fate::Lost)), host()]), exit::ABI_MISMATCH);
        assert_eq!(code([cell(Fate::Unsafe, Some(Fate::Unseen))]), exit::ABI_MISMATCH);
        assert_eq!(code([cell(Fate::Broken, None)]), exit::ABI_MISMATCH, "the strings contradict each other");
        let pair = Pair { from: "a".into(), to: "b".into(), cells: vec![host()] };
        assert_eq!(predicted(&[pair]), exit::OK, "nobody asked for more");
    }
}
