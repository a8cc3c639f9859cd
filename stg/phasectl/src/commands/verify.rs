// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl verify`.

mod sample;

use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use ci::proof::{DIRECTORY, Finding, Kind, Proved, Report, check, strays};
use serde::Serialize;
use stg_core::{Diagnostic, Phase, Source as _, Stack, Target};
use stg_env::exit;

use self::sample::Cases;
use crate::app::{App, base_or_fetch};
use crate::judged::Judge;
use crate::lab::{Lab, TEST};
use crate::proofs::{self, Planned};
use crate::{output, text};

/// Check the records in proofs/ against the repository: each patch has one, none was changed, and none is stale.
///
/// Every hash that can be derived is derived again: of the records themselves and their chain, and of the trees, configurations, scenarios and
/// machines that they are about, of each phase on top of those that it requires and no others. A changed byte is named with its line. Nothing is built for that. Tools, or a base, other than those that a record
/// was made with are noted, and make no record wrong; nor does another source of the harness, and a
/// sample runs with today's. Exits with 102 if a record is missing, changed or stale.
///
/// With --sample, if the records are good, the kernels of some patches are then built again, and some of the cases that their records are
/// about run again, whatever is known. No kernel comes out of the store; make compiles what differs from what its build directory was left
/// with. That exits with 100 if a case fails, or if of the same tree, configuration and toolchain another image comes out than is on record;
/// of another toolchain that is noted. Which patches and cases is left to chance, and can be said again with --seed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The phases, or PHASE/PATCH: this patch and all before it (default: all phases).
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Build N patches again and run some of their cases.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,

    /// With --sample: run so many cases of each patch, or `all`. Unless it is `all`, those on kernels of a variant are left out where there
    /// are others: each variant is a whole build more.
    #[arg(long, value_name = "K", default_value_t = Cases::Some(4), requires = "sample")]
    cases: Cases,

    /// With --sample: choose the same ones as the run that printed this seed.
    #[arg(long, value_name = "S", requires = "sample")]
    seed: Option<u64>,

    /// Report as JSON instead of KTAP.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct View<'a> {
    patches: Vec<PatchView<'a>>,
    notes: &'a [String],
    strays: Vec<String>,
    /// What the sample was chosen with.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sample: Vec<sample::Outcome>,
}

#[derive(Serialize)]
struct PatchView<'a> {
    patch: &'a str,
    file: Utf8PathBuf,
    good: bool,
    /// The record's hash.
    record: Option<&'a str>,
    boots: usize,
    kexecs: usize,
    #[serde(flatten)]
    finding: Option<FindingView<'a>>,
}

#[derive(Serialize)]
struct FindingView<'a> {
    kind: Kind,
    line: Option<usize>,
    message: &'a str,
    fix: &'a str,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let mut targets = args.targets.iter().map(|name| stack.target(name)).collect::<Result<Vec<_>, _>>()?;
    if targets.is_empty() {
        targets.push(Target::All);
    }
    let cache = app.cache()?;
    let base = base_or_fetch(&cache, &stack)?;
    let planned = proofs::planned(&base, &disk, &stack, &targets)?;
    let subjects: Vec<_> = planned.iter().map(|plan| plan.subject.clone()).collect();
    // Without tools there is nothing to note, and everything to check.
    let tools = proofs::tools(&disk, &cache).ok();
    let report = check(&subjects, &proofs::read(&disk, &planned)?, tools.as_ref());
    let files: Vec<Utf8PathBuf> = disk.list(DIRECTORY.into())?.into_iter().map(|entry| entry.path).collect();
    let patches: Vec<String> =
        stack.phases.iter().flat_map(|phase| &phase.patches).map(stg_core::stack::Patch::id).collect();
    let strays = strays(&files, &patches);
    let good = report.findings().next().is_none() && strays.is_empty();
    let mut view = view(&planned, &report, &strays);
    let mut sink = std::io::sink();
    let shown: &mut dyn Write = if args.json { &mut sink } else { &mut *out };
    match args.sample.filter(|_| good) {
        None => print(&stack, &planned, &report, &strays, shown)?,
        Some(patches) => {
            let seed = args.seed.unwrap_or_else(sample::any_seed);
            writeln!(shown, "# every record is good; chosen with --seed {seed}")?;
            view.seed = Some(seed);
            let lab = Lab::open(app, stack, TEST)?;
            let samples = sample::choose(&planned, patches as usize, args.cases, seed);
            let tools = proofs::tools(&lab.disk, &lab.cache)?;
            let judge: &Judge<'_> = &|question, known, out| lab.judge(question, known, out);
            view.sample = sample::run(&lab, &tools, &samples, &report, judge, shown)?;
        }
    }
    let failed = view.sample.iter().any(|one| !one.good);
    if args.json {
        output::json(out, &view)?;
    }
    Ok(match (good, failed) {
        (false, _) => exit::CHECK_FAILED,
        (true, true) => exit::TEST_FAILED,
        (true, false) => exit::OK,
    })
}

fn print(
    stack: &Stack,
    planned: &[Planned],
    report: &Report,
    strays: &[Diagnostic],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let lines = lines(stack, planned, report)?;
    writeln!(out, "KTAP version 1\n1..{}", lines.len() + strays.len())?;
    let strays = strays.iter().map(|stray| Line::Bad(stray.file.to_string(), stray.clone()));
    for (number, line) in (1..).zip(lines.into_iter().chain(strays)) {
        match line {
            Line::Good(text) => writeln!(out, "ok {number} - {text}")?,
            Line::Bad(what, diagnostic) => {
                writeln!(out, "not ok {number} - {what}")?;
                for line in diagnostic.to_string().lines() {
                    writeln!(out, "# {line}")?;
                }
            }
        }
    }
    notes(report, out)
}

/// What is other than when records were made, but makes none wrong.
fn notes(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    for note in &report.notes {
        writeln!(out, "# note: {note}")?;
    }
    Ok(())
}

/// A result as it is printed.
enum Line {
    Good(String),
    Bad(String, Diagnostic),
}

/// One for each patch; where none of a phase has a record, one for all of them.
fn lines(stack: &Stack, planned: &[Planned], report: &Report) -> anyhow::Result<Vec<Line>> {
    let all: Vec<_> = planned.iter().zip(&report.patches).collect();
    let missing = |found: &Result<Proved, Finding>| matches!(found, Err(Finding { kind: Kind::Missing, .. }));
    let mut lines = Vec::new();
    for patches in all.chunk_by(|(one, _), (other, _)| one.subject.phase() == other.subject.phase()) {
        match patches {
            [_, .., (last, _)] if patches.iter().all(|(_, found)| missing(found)) => {
                lines.push(unproved(stack.phase(last.subject.phase())?, &last.subject.patch));
            }
            _ => lines.extend(patches.iter().map(|(plan, found)| line(plan, found))),
        }
    }
    Ok(lines)
}

/// That no patch of a phase has a record, as far as the last one that was asked for.
fn unproved(phase: &Phase, last: &str) -> Line {
    let whole = phase.patches.last().is_some_and(|patch| patch.id() == last);
    let (of, target) = if whole {
        (phase.name().to_owned(), phase.name())
    } else {
        (format!("{last} and the patches before it"), last)
    };
    let directory = Utf8Path::new(DIRECTORY).join(phase.name());
    let message = format!("there are no proofs of {of}");
    let fix = format!(
        "if they were deleted, take them back with `git checkout -- {directory}`; else run `phasectl prove {target}`"
    );
    Line::Bad(of, Diagnostic::new(directory, message, fix))
}

fn line(plan: &Planned, found: &Result<Proved, Finding>) -> Line {
    let patch = &plan.subject.patch;
    match found {
        Ok(Proved { record, hash }) => {
            let ran = text::ran(record.subject.boots, record.subject.kexecs);
            Line::Good(format!("{patch}: {ran}, record {}", &hash[..12]))
        }
        Err(Finding { diagnostic, .. }) => Line::Bad(patch.clone(), diagnostic.as_ref().clone()),
    }
}

fn view<'a>(planned: &'a [Planned], report: &'a Report, strays: &[Diagnostic]) -> View<'a> {
    let patches = planned.iter().zip(&report.patches).map(|(plan, found)| PatchView {
        patch: &plan.subject.patch,
        file: plan.subject.file(),
        good: found.is_ok(),
        record: found.as_ref().ok().map(|proved| proved.hash.as_str()),
        boots: plan.subject.boots,
        kexecs: plan.subject.kexecs,
        finding: found.as_ref().err().map(|Finding { kind, diagnostic, .. }| FindingView {
            kind: *kind,
            line: diagnostic.line,
            message: &diagnostic.message,
            fix: &diagnostic.fix,
        }),
    });
    View {
        patches: patches.collect(),
        notes: &report.notes,
        strays: strays.iter().map(ToString::to_string).collect(),
        seed: None,
        sample: Vec::new(),
    }
}
