// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl export`.

use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use stg_core::export::{ExportOptions, ExportedSeries, export};
use stg_core::manifest::Identity;
use stg_core::{Phase, Stack, Target, assemble, git};
use stg_env::exit;

use crate::app::{App, base_or_fetch};
use crate::failure::Failure;
use crate::{cover, output, proofs};

/// Write a phase as mails: one directory per series, with a cover letter and the patches.
///
/// The bytes are the same on every run for the same git identity, and `git am` of the patches on the base, after those of the
/// phases that this one requires, gives the same trees. Every patch must be signed off by the exporting identity, last; --draft lifts that and marks the mails. No
/// mail is sent: the command that would send it to the phase's lists is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The phase.
    phase: String,

    /// Write below DIR.
    #[arg(short, long = "output", value_name = "DIR")]
    output: Utf8PathBuf,

    /// The version of the posting.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    version: u32,

    /// Do not ask for sign-offs, and mark every subject as a draft.
    #[arg(long)]
    draft: bool,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct View<'a> {
    series: &'a str,
    directory: &'a Utf8Path,
    cover: &'a Utf8Path,
    patches: &'a [Utf8PathBuf],
    /// The mailing lists that it is for.
    lists: &'a [String],
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let project = app.project()?;
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let phase = whole(&stack, args)?;
    let base = base_or_fetch(&app.cache()?, &stack)?;
    let target = Target::Phase(args.phase.clone());
    let assembled = assemble(&base, &disk, &stack, &target)?;
    let options = ExportOptions {
        identity: identity(project.root(), args.draft, &stack.base.author)?,
        draft: args.draft,
        version: args.version,
        tested: cover::tested(&disk, &stack, phase, &proofs::lines(&base, &disk, &stack, &target)?)?,
    };
    let all = export(&assembled, &disk, &stack, &args.phase, &args.output, &options)?;
    if args.json {
        output::json(out, &all.iter().map(|one| view(one, &phase.manifest.lists)).collect::<Vec<_>>())?;
        return Ok(exit::OK);
    }
    for one in &all {
        writeln!(out, "{}\n  {}", one.directory, name(&one.cover))?;
        for patch in &one.patches {
            writeln!(out, "  {}", name(patch))?;
        }
    }
    let mut below: Vec<&str> = stack.chain(&target)?.into_iter().map(|(phase, _)| phase.name()).collect();
    below.retain(|name| *name != args.phase);
    below.dedup();
    let after = match &below[..] {
        [] => String::new(),
        names => format!(", and on top of the series of {} (export those first)", names.join(" and ")),
    };
    writeln!(out, "\nto apply on Linux {} (tree {}){after}:", base.release, base.tree)?;
    for one in &all {
        // The cover letter has no patch and is dropped.
        writeln!(out, "  git am --empty=drop {}/v{}-*.patch", one.directory, args.version)?;
    }
    let lists = &phase.manifest.lists;
    if !lists.is_empty() {
        let to: Vec<String> = lists.iter().map(|list| format!("--to={list}")).collect();
        let when = if args.draft { ", once it is no draft" } else { "" };
        writeln!(out, "\nto send it yourself{when}:")?;
        for one in &all {
            writeln!(out, "  git send-email {} {}/v{}-*.patch", to.join(" "), one.directory, args.version)?;
        }
    }
    Ok(exit::OK)
}

/// The phase that is asked for. That a patch was named is a mistake of its own: a series goes out whole.
fn whole<'a>(stack: &'a Stack, args: &Args) -> anyhow::Result<&'a Phase> {
    let name = args.phase.as_str();
    let of_patch = || stack.patch(name).ok().map(|(phase, _)| phase);
    let of_prefix = || name.split_once('/').and_then(|(phase, _)| stack.phase(phase).ok());
    match stack.phase(name) {
        Ok(phase) => Ok(phase),
        Err(error) => match of_patch().or_else(of_prefix) {
            Some(phase) => {
                let message = format!("`{name}` is not a phase, and export takes a whole phase: {}", phase.name());
                let draft = if args.draft { " --draft" } else { "" };
                let fix = format!("run `phasectl export {}{draft} -o {}`", phase.name(), args.output);
                Err(Failure::usage(message, fix).into())
            }
            None => Err(error.into()),
        },
    }
}

/// Who exports. A draft goes to nobody, so a machine without an identity may write one.
fn identity(project: &Utf8Path, draft: bool, fallback: &Identity) -> anyhow::Result<Identity> {
    match git::user_identity(project) {
        Err(_) if draft => Ok(fallback.clone()),
        other => Ok(other?),
    }
}

fn name(path: &Utf8Path) -> &str {
    path.file_name().unwrap_or(path.as_str())
}

fn view<'a>(one: &'a ExportedSeries, lists: &'a [String]) -> View<'a> {
    View { series: &one.series, directory: &one.directory, cover: &one.cover, patches: &one.patches, lists }
}
