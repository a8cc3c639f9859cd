// SPDX-License-Identifier: GPL-2.0-only

//! `cargo ci`: everything that must hold of this checkout, and one line that says whether it does.

use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use ci::pipeline::engine::PlanError;
use ci::pipeline::plan::{Outline, Site};
use ci::pipeline::report::{self, Console};
use ci::pipeline::{Ledger, Selection, engine, ledger, plan};
use clap::Parser;
use stg_env::{Cache, Project, exit};

/// Runs the checks of this checkout: formatting, lints, tests, patches, the kernel, and every scenario in a VM.
///
/// A failed step does not stop those that do not need it. The last line of the output is `N passed, N failed`; the exit
/// code is 0 if nothing failed and nothing was left undone, and 2 if there is no step of the name that was given.
#[derive(Debug, Parser)]
#[command(name = "cargo ci", bin_name = "cargo ci", version)]
struct Args {
    /// Also what takes hours: every patch built, gates off, planted faults, repetition, blackout. Can be interrupted and
    /// run again: what passed for the same files is not repeated.
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

    /// Keep everything derived in DIR (default: $PHASECTL_CACHE, else $XDG_CACHE_HOME/phasectl).
    #[arg(long, value_name = "DIR")]
    cache: Option<Utf8PathBuf>,
}

/// From nothing the default run is to stay below 45 minutes on two processors; beyond this something is wrong.
const BUDGET_MINUTES: u64 = 60;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(u8::try_from(exit_code(&error)).unwrap_or(1))
        }
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
