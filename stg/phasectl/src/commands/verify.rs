// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl verify`.

use std::io::Write;

use camino::Utf8PathBuf;
use ci::proof::{DIRECTORY, Finding, Proved, Report, check, strays};
use serde::Serialize;
use stg_core::{Diagnostic, Source as _, Stack, Target, assemble};
use stg_env::exit;

use crate::app::{App, base_or_fetch};
use crate::proofs::{self, Planned};
use crate::{output, text};

/// Check the records in proofs/ against the repository: each patch has one, none was changed, and none is stale.
///
/// Every hash that can be derived is derived again: of the records themselves and their chain, and of the trees, configurations, scenarios and
/// machines that they are about. A changed byte is named with its line. Nothing is built for that. Tools, or a base, other than those that a record
/// was made with are noted, and make no record wrong. Exits with 102 if a record is missing, changed or stale.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The phase, or PHASE/PATCH: this patch and all before it (default: all phases).
    target: Option<String>,

    /// Report as JSON instead of KTAP.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct View<'a> {
    patches: Vec<PatchView<'a>>,
    notes: &'a [String],
    strays: Vec<String>,
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
    kind: ci::proof::Kind,
    line: Option<usize>,
    message: &'a str,
    fix: &'a str,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let target = args.target.as_deref().map_or(Ok(Target::All), |target| stack.target(target))?;
    let cache = app.cache()?;
    let base = base_or_fetch(&cache, &stack)?;
    let planned = proofs::planned(&disk, &stack, &assemble(&base, &disk, &stack, &target)?)?;
    let subjects: Vec<_> = planned.iter().map(|plan| plan.subject.clone()).collect();
    // Without tools there is nothing to note, and everything to check.
    let tools = proofs::tools(&disk, &cache).ok();
    let report = check(&subjects, &proofs::read(&disk, &planned)?, tools.as_ref());
    let files: Vec<Utf8PathBuf> = disk.list(DIRECTORY.into())?.into_iter().map(|entry| entry.path).collect();
    let patches: Vec<String> =
        stack.phases.iter().flat_map(|phase| &phase.patches).map(stg_core::stack::Patch::id).collect();
    let strays = strays(&files, &patches);
    if args.json {
        output::json(out, &view(&planned, &report, &strays))?;
    } else {
        print(&planned, &report, &strays, out)?;
    }
    Ok(if report.findings().next().is_none() && strays.is_empty() { exit::OK } else { exit::CHECK_FAILED })
}

fn print(planned: &[Planned], report: &Report, strays: &[Diagnostic], out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "KTAP version 1\n1..{}", planned.len() + strays.len())?;
    let mut number = 0;
    let complain = |out: &mut dyn Write, number: usize, what: &str, diagnostic: &Diagnostic| -> anyhow::Result<()> {
        writeln!(out, "not ok {number} - {what}")?;
        for line in diagnostic.to_string().lines() {
            writeln!(out, "# {line}")?;
        }
        Ok(())
    };
    for (plan, found) in planned.iter().zip(&report.patches) {
        number += 1;
        let patch = &plan.subject.patch;
        match found {
            Ok(Proved { record, hash }) => {
                let ran = text::ran(record.subject.boots, record.subject.kexecs);
                writeln!(out, "ok {number} - {patch}: {ran}, record {}", &hash[..12])?;
            }
            Err(Finding { diagnostic, .. }) => complain(out, number, patch, diagnostic)?,
        }
    }
    for stray in strays {
        number += 1;
        complain(out, number, stray.file.as_str(), stray)?;
    }
    for note in &report.notes {
        writeln!(out, "# note: {note}")?;
    }
    Ok(())
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
    View { patches: patches.collect(), notes: &report.notes, strays: strays.iter().map(ToString::to_string).collect() }
}
