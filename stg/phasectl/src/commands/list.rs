// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl list`.

use std::io::Write;

use serde::Serialize;
use stg_core::{Phase, Stack};
use stg_env::exit;

use crate::app::App;
use crate::rows::{self, RowView};
use crate::text::count;
use crate::{fault, output, scenarios};

/// List the phases, their series and their patches.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List the requirement rows instead, each with its patches, the tests that show it, and the planted faults that
    /// show that those tests can fail. The harness' own scenarios are left out: each provokes its verdict itself.
    #[arg(long)]
    rows: bool,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct PhaseView<'a> {
    phase: &'a str,
    slug: &'a str,
    title: &'a str,
    requires: &'a [String],
    gates: &'a [String],
    scenarios: &'a [String],
    series: Vec<SeriesView<'a>>,
}

#[derive(Serialize)]
struct SeriesView<'a> {
    series: &'a str,
    title: &'a str,
    patches: Vec<PatchView<'a>>,
}

#[derive(Serialize)]
struct PatchView<'a> {
    patch: String,
    subject: &'a str,
    prepares: bool,
    rows: Vec<&'a str>,
    tests: &'a [String],
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let all = scenarios::of_phases(&disk, &stack)?;
    if args.rows {
        let rows = rows::collect(&stack, &all, &fault::load(&disk, &stack, &all)?);
        if args.json { output::json(out, &rows)? } else { print_rows(&rows, out)? }
    } else if args.json {
        output::json(out, &stack.phases.iter().map(view).collect::<Vec<_>>())?;
    } else {
        for phase in &stack.phases {
            print(phase, out)?;
        }
    }
    Ok(exit::OK)
}

fn view(phase: &Phase) -> PhaseView<'_> {
    let manifest = &phase.manifest;
    let series = manifest.series.iter().map(|series| SeriesView {
        series: &series.name,
        title: &series.title,
        patches: (phase.patches.iter().filter(|patch| patch.series == series.name))
            .map(|patch| PatchView {
                patch: patch.id(),
                subject: patch.text.subject(),
                prepares: patch.entry.prepares,
                rows: patch.entry.rows.iter().map(|row| row.0.as_str()).collect(),
                tests: &patch.entry.tests,
            })
            .collect(),
    });
    PhaseView {
        phase: phase.name(),
        slug: &manifest.slug,
        title: &manifest.title,
        requires: &manifest.requires,
        gates: &manifest.gates,
        scenarios: &manifest.scenarios,
        series: series.collect(),
    }
}

fn print(phase: &Phase, out: &mut dyn Write) -> anyhow::Result<()> {
    let manifest = &phase.manifest;
    let counts = [
        count(phase.patches.len(), "patch", "patches"),
        format!("{} series", manifest.series.len()),
        count(manifest.scenarios.len(), "scenario", "scenarios"),
    ];
    writeln!(out, "{} {}: {} ({})", phase.name(), manifest.slug, manifest.title, counts.join(", "))?;
    if !manifest.requires.is_empty() {
        writeln!(out, "  requires {}", manifest.requires.join(", "))?;
    }
    if !manifest.gates.is_empty() {
        writeln!(out, "  gates {}", manifest.gates.join(", "))?;
    }
    let width = phase.patches.iter().map(|patch| patch.entry.name.len()).max().unwrap_or(0);
    for series in &manifest.series {
        let patches: Vec<_> = phase.patches.iter().filter(|patch| patch.series == series.name).collect();
        writeln!(out, "  {}: {} ({})", series.name, series.title, count(patches.len(), "patch", "patches"))?;
        for (number, patch) in (1..).zip(patches) {
            writeln!(out, "    {number:2} {:width$}  {}", patch.entry.name, patch.text.subject())?;
        }
    }
    Ok(())
}

fn print_rows(rows: &[RowView], out: &mut dyn Write) -> anyhow::Result<()> {
    let width = rows.iter().map(|view| view.row.len()).max().unwrap_or(0);
    let mut bare = Vec::new();
    for view in rows {
        let mut lead = view.row.as_str();
        let groups = [
            ("patch", &view.patches, "no patch serves it"),
            ("test", &view.scenarios, "NO TEST shows it"),
            ("fault", &view.faults, "NO FAULT: nothing shows that its tests can fail"),
        ];
        for (kind, names, nothing) in groups {
            let nothing = [nothing.to_owned()];
            let names = if names.is_empty() { &nothing[..] } else { names };
            for (index, name) in names.iter().enumerate() {
                writeln!(out, "{lead:width$}  {:5}  {name}", if index == 0 { kind } else { "" })?;
                lead = "";
            }
        }
        if view.faults.is_empty() {
            bare.push(view.row.as_str());
        }
    }
    let (all, without) = (count(rows.len(), "row", "rows"), bare.len());
    match without {
        0 => writeln!(out, "\n{all}, each with a fault")?,
        _ => writeln!(out, "\n{all}, {without} without a fault: {}", bare.join(", "))?,
    }
    Ok(())
}
