// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl show`.

use std::io::Write;

use serde::Serialize;
use stg_core::hunk::Tag;
use stg_core::patchfile::FileDiff;
use stg_core::stack::Patch;
use stg_core::{Error, Phase, Stack, Target, assemble};
use stg_env::exit;

use crate::app::App;
use crate::output;

/// Show a patch: its message, the files it adds, its edits, its rows and tests, and its commit if there is a base.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The patch, as PHASE/NAME or NAME.
    patch: String,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct View<'a> {
    patch: String,
    series: &'a str,
    /// From 1, in its series.
    number: usize,
    of: usize,
    file: &'a str,
    commit: Option<String>,
    tree: Option<String>,
    prepares: bool,
    rows: Vec<&'a str>,
    tests: &'a [String],
    subject: &'a str,
    body: &'a str,
    adds: Vec<Added>,
    edits: Vec<Edited<'a>>,
}

#[derive(Serialize)]
struct Added {
    path: String,
    /// Where the project keeps it, as of the end of the phase.
    kept: String,
}

#[derive(Serialize)]
struct Edited<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    renamed_from: Option<&'a str>,
    deleted: bool,
    added_lines: usize,
    removed_lines: usize,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let (phase, patch) = stack.patch(&args.patch)?;
    let commit = match app.base(&stack) {
        Ok(base) => {
            let assembled = assemble(&base, &disk, &stack, &Target::Patch(patch.id()))?;
            assembled.patch(&patch.id()).map(|one| (one.commit.to_string(), one.tree.to_string()))
        }
        // Everything else about the patch can be shown without a base.
        Err(error) if matches!(error.downcast_ref(), Some(Error::NoBase { .. })) => None,
        Err(error) => return Err(error),
    };
    let view = view(phase, patch, commit);
    if args.json {
        output::json(out, &view)?;
    } else {
        print(&view, out)?;
    }
    Ok(exit::OK)
}

fn view<'a>(phase: &'a Phase, patch: &'a Patch, commit: Option<(String, String)>) -> View<'a> {
    let series: Vec<_> = phase.patches.iter().filter(|other| other.series == patch.series).collect();
    let number = series.iter().position(|other| other.file == patch.file).map_or(0, |index| index + 1);
    let (commit, tree) = commit.unzip();
    View {
        patch: patch.id(),
        series: &patch.series,
        number,
        of: series.len(),
        file: patch.file.as_str(),
        commit,
        tree,
        prepares: patch.entry.prepares,
        rows: patch.entry.rows.iter().map(|row| row.0.as_str()).collect(),
        tests: &patch.entry.tests,
        subject: patch.text.subject(),
        body: &patch.text.body,
        adds: (patch.text.adds())
            .map(|(path, _)| Added { path: path.to_string(), kept: phase.home(path).into_string() })
            .collect(),
        edits: patch.text.diffs.iter().map(edited).collect(),
    }
}

fn edited(diff: &FileDiff) -> Edited<'_> {
    let lines = |tag: Tag| diff.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.tag == tag).count();
    Edited {
        path: diff.path.as_str(),
        renamed_from: diff.renamed_from.as_deref().map(camino::Utf8Path::as_str),
        deleted: diff.deleted.is_some(),
        added_lines: lines(Tag::Add),
        removed_lines: lines(Tag::Remove),
    }
}

fn print(view: &View<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "patch   {} ({} of {} in series {})", view.patch, view.number, view.of, view.series)?;
    writeln!(out, "file    {}", view.file)?;
    writeln!(out, "commit  {}", view.commit.as_deref().unwrap_or("none, as there is no base (`phasectl base fetch`)"))?;
    let or_none = |list: String| if list.is_empty() { "none".to_owned() } else { list };
    let prepares = if view.prepares { " (prepares for later patches)" } else { "" };
    writeln!(out, "rows    {}{prepares}", or_none(view.rows.join(", ")))?;
    writeln!(out, "tests   {}", or_none(view.tests.join(", ")))?;
    for added in &view.adds {
        writeln!(out, "adds    {}\n        kept in {}", added.path, added.kept)?;
    }
    for edit in &view.edits {
        let what = match (edit.renamed_from, edit.deleted) {
            (Some(old), _) => format!(", renamed from {old}"),
            (None, true) => ", deleted".to_owned(),
            (None, false) => String::new(),
        };
        writeln!(out, "edits   {} (+{} -{}{what})", edit.path, edit.added_lines, edit.removed_lines)?;
    }
    writeln!(out, "\n    {}\n", view.subject)?;
    for line in view.body.lines() {
        writeln!(out, "{}", format!("    {line}").trim_end())?;
    }
    Ok(())
}
