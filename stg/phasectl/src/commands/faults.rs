// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl faults`.

mod bench;
pub(crate) mod coverage;
mod report;

use std::collections::BTreeSet;
use std::io::Write;

use ci::shard::Shard;
use stg_core::{Error, Stack, names};
use stg_env::exit;
use stg_env::requirements::Group;

use self::bench::Bench;
use self::coverage::Coverage;
use self::report::Reporter;
use crate::app::App;
use crate::failure::Failure;
use crate::fault::{self, Fault};
use crate::lab::Lab;
use crate::names::LIST_ROWS;
use crate::scenarios;
use crate::text::{count, listing};

/// What kernels, VMs and checks need.
const GROUPS: &[Group] = &[Group::Tool, Group::Build, Group::Vm, Group::Check];

/// Plant each fault of a phase, and check that its scenario notices.
///
/// A fault is a small mistake (selftests/faults) on top of the end of the phase. Its kernel is built, its scenario must
/// end in the way that the fault's `Expect:` says; where a check of `phasectl check` is to notice, that must find something. Exits with 100 if a fault slips through, does not apply, or does not
/// build, with 125 if the phase has none. Reported are also the requirement rows and the scenarios that no fault is for, and the
/// scenarios that let one slip through. What was found out about a fault is not asked again as long as nothing has changed that it
/// depends on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The phase.
    phase: String,

    /// Plant only this fault, by its name with or without the row. May be repeated.
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<String>,

    /// Only the Ith of N parts of the faults, as I/N. Their results merge: `phasectl merge`.
    #[arg(long, value_name = "I/N", default_value_t = Shard::ALL)]
    shard: Shard,

    /// Plant also those again of which everything is known.
    #[arg(long)]
    again: bool,

    /// Plant nothing: only report what no fault is for.
    #[arg(long, conflicts_with_all = ["faults", "again", "shard"])]
    coverage: bool,

    /// Report as JSON instead of KTAP.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let phase = stack.phase(&args.phase)?.name().to_owned();
    let scenarios = scenarios::of_phases(&disk, &stack)?;
    let all = fault::load(&disk, &stack, &scenarios)?;
    let coverage = Coverage::of(&stack, &phase, &scenarios, &all);
    if args.coverage {
        report::coverage(&coverage, args.json, out)?;
        return Ok(exit::OK);
    }
    let chosen = choose(&all, &phase, &args.faults)?;
    let idle = args.shard.idle(chosen.len(), &count(chosen.len(), "fault", "faults"));
    let chosen = args.shard.of(chosen);
    if let Some(idle) = idle {
        let mut report = Reporter::new(args.json, 0, out)?;
        report.note(&idle)?;
        report.end(args.faults.is_empty().then_some(coverage))?;
        return Ok(exit::OK);
    }

    let lab = Lab::open(app, stack, GROUPS)?;
    let bench = Bench::new(&lab, &phase, args.again)?;
    let mut report = Reporter::new(args.json, chosen.len(), out)?;
    let mut noticed = true;
    for fault in chosen {
        let outcome = bench.plant(fault)?;
        noticed &= outcome.noticed;
        report.outcome(outcome)?;
    }
    // Who plants single faults asks about those.
    report.end(args.faults.is_empty().then_some(coverage))?;
    Ok(if noticed { exit::OK } else { exit::TEST_FAILED })
}

fn choose<'a>(all: &'a [Fault], phase: &str, names: &[String]) -> anyhow::Result<Vec<&'a Fault>> {
    let mine: Vec<&Fault> = all.iter().filter(|fault| fault.mistake.phase == phase).collect();
    if let Some(name) = names.iter().find(|name| !mine.iter().any(|fault| fault.is_called(name))) {
        let row = name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with("X.");
        let known = |fault: &&Fault| if row { fault.mistake.id() } else { fault.mistake.name.clone() };
        let known: Vec<String> = mine.iter().map(known).collect();
        let message = format!("there is no fault `{name}` of {phase}");
        return Err(Error::unknown(message, names::fix(name, &known, LIST_ROWS)).into());
    }
    if mine.is_empty() {
        let message = format!("{phase} has no planted fault");
        let phases: BTreeSet<&str> = all.iter().map(|fault| fault.mistake.phase.as_str()).collect();
        let phases = Vec::from_iter(phases);
        return Err(Failure::untestable(message, format!("name a phase that has any: {}", listing(&phases))).into());
    }
    Ok(mine.into_iter().filter(|fault| names.is_empty() || names.iter().any(|name| fault.is_called(name))).collect())
}
