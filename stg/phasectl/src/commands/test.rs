// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl test`.

use std::io::Write;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use harness::filter::Filter;
use harness::junit;
use harness::report::{CaseResult, Report};
use harness::scenario::Scenario;
use stg_core::Stack;
use stg_env::exit;

use crate::app::App;
use crate::failure::Failure;
use crate::judged::{Judged, Known, Question};
use crate::lab::{Lab, TEST};
use crate::names;
use crate::scenarios::{Subject, inherited, select};

/// Build a phase or a patch, boot it, and run its scenarios; results are printed as KTAP.
///
/// What is missing on the machine is installed, and the base fetched, if need be. Exits with 100 if a scenario fails, and
/// the lines after a failure say why and where its logs are; with 125 if this revision has nothing to run. For `git bisect run`
/// there is `bisect-step`, which also skips a revision that has no scenario of that name yet.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to test: PHASE, PHASE/PATCH (the scenarios that pass from there on or earlier), or `harness`.
    target: String,

    /// Run only this scenario or case: NAME or NAME/CASE, with or without the phase before it. May be repeated.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,

    /// Run the scenarios of the phases that it is built upon, on its kernel, rather than its own: what worked before it works with it.
    #[arg(long)]
    inherited: bool,

    /// Leave out the scenarios that say they are slow.
    #[arg(long)]
    quick: bool,

    /// Run them on kernels that are configured as this variant (selftests/variants.yaml). Scenarios that name variants of their own, or
    /// judge the growth of memory, are left out.
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,

    /// Write the results to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<Utf8PathBuf>,

    /// Write the results to FILE as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<Utf8PathBuf>,

    /// Keep the logs in DIR (default: results/test in the cache).
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,

    /// Run every case N times; each time must be good.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,

    /// Do not run what passed before with the very same bytes: kernels, harness, scenario, machine and QEMU. What of a case is known is its
    /// verdict, without logs.
    #[arg(long, conflicts_with_all = ["json", "junit", "repeat"])]
    known: bool,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let subject = Subject::parse(&args.target, &stack)?;
    let choose = if args.inherited { inherited } else { select };
    let mut scenarios = choose(&disk, &stack, &subject, &args.scenarios)?;
    scenarios.retain(|scenario| !(args.quick && scenario.slow));
    if scenarios.is_empty() {
        let message = "all scenarios that were asked for say they are slow";
        return Err(Failure::untestable(message, "run it without --quick").into());
    }
    names::variant(&disk, args.variant.as_deref())?;
    if args.variant.is_some() {
        scenarios.retain(Scenario::any_variant);
        if scenarios.is_empty() {
            let message = "no scenario that was asked for runs on other kernels than its own";
            return Err(Failure::untestable(message, "run it without --variant").into());
        }
    }
    for scenario in &mut scenarios {
        scenario.repeat = args.repeat.unwrap_or(scenario.repeat);
    }

    let lab = Lab::open(app, stack, TEST)?;
    let kernels = lab.kernels(&scenarios, &subject.target, args.variant.as_deref())?;
    let (logs, _lock) = lab.results("test", args.out.as_ref())?;
    let programs = lab.programs(&scenarios, &subject.target)?;
    if args.known {
        let question = Question { scenarios: &scenarios, filter: &Filter::all(), kernels: &kernels, programs, logs };
        let judged = lab.judge(&question, Known::IfPassed, out)?;
        print(&judged, out)?;
        return Ok(code(judged.iter().all(|case| case.passed)));
    }
    let runner = lab.runner(kernels, programs, logs)?;
    let results = runner.run(&scenarios, &Filter::all(), out)?;
    write_reports(args, &results)?;
    Ok(code(results.iter().all(|case| case.passed)))
}

fn code(passed: bool) -> i32 {
    if passed { exit::OK } else { exit::TEST_FAILED }
}

/// One test for each case, whether it ran or not.
fn print(judged: &[Judged], out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "KTAP version 1\n1..{}", judged.len())?;
    for (number, Judged { case, passed, cached, .. }) in (1..).zip(judged) {
        let result = if *passed { "ok" } else { "not ok" };
        let known = if *cached { " (known)" } else { "" };
        writeln!(out, "{result} {number} - {case}{known}")?;
    }
    Ok(())
}

fn write_reports(args: &Args, results: &[CaseResult]) -> anyhow::Result<()> {
    if let Some(path) = &args.json {
        write(path, &Report::new(results.to_vec()).to_json())?;
    }
    if let Some(path) = &args.junit {
        write(path, &junit::to_xml(results)?)?;
    }
    Ok(())
}

fn write(path: &Utf8Path, text: &str) -> anyhow::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_str().is_empty()) {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {parent}"))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {path}"))
}
