// SPDX-License-Identifier: GPL-2.0-only

//! `cargo ci`: everything that must hold of this checkout, and one line that says whether it does.
//!
//! Programs read that line, so it is there however this ends: a run that breaks off before its summary, by an error or a
//! panic, counts as one failure. (If this program does not compile, `.ci/run` writes the line.)

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use ci::pipeline::engine::PlanError;
use ci::pipeline::plan::{Outline, Site};
use ci::pipeline::report::{self, Console};
use ci::pipeline::{Ledger, Selection, engine, ledger, plan};
use clap::Parser;
use stg_env::{Cache, Project, exit};

/// Runs the checks of this checkout: formatting, lints, tests, patches, the kernel, and in a VM, once, each scenario that is neither slow nor counts instructions.
///
/// A failed step does not stop those that do not need it. The last line of the output is `N passed, N failed`; the exit
/// code is 0 if nothing failed and nothing was left undone, and 2 if there is no step of the name that was given.
#[derive(Debug, Parser)]
#[command(name = "cargo ci", bin_name = "cargo ci", version)]
struct Args {
    /// Also what takes hours: every patch built, checked and tested, every pair of kernels, gates off, planted faults, repetition, a debug kernel, blackouts. Can be
    /// interrupted and run again: what passed for the same files is not repeated.
    #[arg(long)]
    full: bool,

    /// Begin with this step (or group of steps).
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    from: Option<String>,

    /// Run only this step (or group of steps).
    #[arg(long, value_name = "STEP")]
    only: Option<String>,

    /// List the steps and do nothing.
    #[arg(long)]
    list: bool,

    /// Fail, and stop, after so many minutes (default: 60; without limit with --full).
    #[arg(long, value_name = "N")]
    budget_minutes: Option<u64>,

    /// Keep everything derived in DIR (default: $PHASECTL_CACHE, else $XDG_CACHE_HOME/phasectl, else ~/.cache/phasectl).
    #[arg(long, value_name = "DIR")]
    cache: Option<Utf8PathBuf>,
}

/// From nothing the default run is to stay below 45 minutes on two processors; beyond this something is wrong.
const BUDGET_MINUTES: u64 = 60;

/// The last line of a run that has no summary.
const BROKEN_OFF: &str = "0 passed, 1 failed\n";

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nobody is left to tell if this cannot be printed.
            let _ = error.print();
            if error.use_stderr() {
                report::say(BROKEN_OFF);
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let (code, last) = outcome(|| run(&args));
    report::say(last);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The exit code of a run, and what is still to be said on stdout.
fn outcome(run: impl FnOnce() -> anyhow::Result<bool>) -> (i32, &'static str) {
    // Nothing that the run may have left half-done is looked at afterwards.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(true)) => (exit::OK, ""),
        Ok(Ok(false)) => (exit::OTHER, ""),
        Ok(Err(error)) => {
            eprintln!("error: {error:#}");
            (exit_code(&error), BROKEN_OFF)
        }
        // What happened has been said by the panic itself.
        Err(_) => (exit::OTHER, BROKEN_OFF),
    }
}

fn exit_code(error: &anyhow::Error) -> i32 {
    match error.downcast_ref() {
        Some(PlanError::Unknown { .. }) => exit::USAGE,
        _ => error.downcast_ref::<stg_env::EnvError>().map_or(exit::OTHER, stg_env::EnvError::exit_code),
    }
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let project = Project::discover()?;
    let cache = Cache::discover(args.cache.as_deref())?;
    let site = site(&project, &cache)?;
    let selection = match (&args.from, &args.only) {
        (Some(step), _) => Selection::From(step.clone()),
        (None, Some(step)) => Selection::Only(step.clone()),
        (None, None) => Selection::All,
    };
    let steps = engine::select(plan::steps(&site, Outline::read(&site.root), args.full), &selection)?;
    if args.list {
        for step in &steps {
            report::say(&format!("{}: {}\n", step.id, step.title));
        }
        return Ok(true);
    }
    let minutes = args.budget_minutes.or((!args.full).then_some(BUDGET_MINUTES));
    let budget = minutes.map(|minutes| Duration::from_secs(minutes * 60));
    let mut ledger = if args.full { Some(open_ledger(&site, &cache)?) } else { None };
    let summary = engine::run(steps, budget, ledger.as_mut(), &mut Console);
    report::say(&report::summary(&summary));
    Ok(summary.good())
}

/// Where things are. `phasectl` lies beside this program, where cargo put both.
fn site(project: &Project, cache: &Cache) -> anyhow::Result<Site> {
    let exe = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    Ok(Site {
        root: project.root().to_owned(),
        cache: cache.root().to_owned(),
        cargo: "cargo".to_owned(),
        phasectl: exe.with_file_name("phasectl"),
    })
}

/// The ledger of the checkout's files as they are now.
fn open_ledger(site: &Site, cache: &Cache) -> anyhow::Result<Ledger> {
    let key = ledger::project_key(&site.root)?;
    let path = cache.results()?.join("ci-full").join(format!("{key}.json"));
    report::say(&format!("what passes is noted in {path}\n"));
    Ok(Ledger::open(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_summary_still_has_a_last_line() {
        assert_eq!(outcome(|| Ok(true)), (0, ""));
        assert_eq!(outcome(|| Ok(false)), (1, ""));
        assert_eq!(outcome(|| Err(anyhow::anyhow!("no cache"))), (1, BROKEN_OFF));
        let unknown = PlanError::Unknown { wanted: "x".into(), fix: "y".into() };
        assert_eq!(outcome(|| Err(unknown.into())), (2, BROKEN_OFF));
        assert_eq!(outcome(|| panic!("on purpose")), (1, BROKEN_OFF));
    }
}
