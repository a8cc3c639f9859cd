// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl merge`.

use std::io::Write;

use camino::Utf8PathBuf;
use ci::outcomes::{Conflict, DIRECTORY, Outcomes};
use serde::Serialize;
use stg_env::exit;

use crate::app::App;
use crate::failure::Failure;
use crate::output;

/// Take over what other caches found out.
///
/// `check`, `prove`, `faults`, `matrix` and `bisect` keep each answer under a key of all that it depends on. With `--shard I/N` several machines,
/// or processes with a `--cache` each, share the work; merged into one cache, their answers are those that it would have
/// found alone, and the same command without `--shard` reports all of them.
///
/// An answer that says something else than the one that is known for the same question is a conflict: the known one is kept. Exits with 1 if
/// there is any, and names the question, both files, and where the answers differ. That the reasons differ, which quote logs and so may hold
/// times, is none. Files that are no answers are named and left out.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Caches of other runs, or copies of their `outcomes` with the directory around them.
    #[arg(required = true, value_name = "CACHE_DIR")]
    caches: Vec<Utf8PathBuf>,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of one cache.
#[derive(Serialize)]
struct View {
    cache: Utf8PathBuf,
    taken: usize,
    known: usize,
    conflicts: Vec<Conflict>,
    broken: Vec<Utf8PathBuf>,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    // Before anything is taken over: a slip in the last name leaves the cache as it is.
    if let Some(cache) = args.caches.iter().find(|cache| !cache.join(DIRECTORY).is_dir()) {
        let message = format!("{cache} is no cache of another run: it has no directory `{DIRECTORY}`");
        let fix = "name the directory that the other run had as its cache (--cache), or a copy of it";
        return Err(Failure::usage(message, fix).into());
    }
    let outcomes = Outcomes::of(&app.cache()?);
    let mut views = Vec::new();
    for cache in &args.caches {
        let merged = outcomes.merge(cache)?;
        let (taken, known) = (merged.taken, merged.known);
        let view = View { cache: cache.clone(), taken, known, conflicts: merged.conflicts, broken: merged.broken };
        if !args.json {
            tell(&view, out)?;
        }
        views.push(view);
    }
    if args.json {
        output::json(out, &views)?;
    }
    let agreed = views.iter().all(|view| view.conflicts.is_empty());
    Ok(if agreed { exit::OK } else { exit::OTHER })
}

fn tell(view: &View, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}: {} new, {} known", view.cache, view.taken, view.known)?;
    for conflict in &view.conflicts {
        let (place, kept, other) = conflict.differing();
        writeln!(out, "{}: error: another answer to the same question is known, and was kept", conflict.other.file)?;
        writeln!(out, "  question: {}", conflict.inputs.kind())?;
        for (name, value) in conflict.inputs.values() {
            writeln!(out, "    {name}: {}", value.trim().replace('\n', "; "))?;
        }
        let place = if place.is_empty() { place } else { format!(", at {place}") };
        for (which, said, value) in [("kept", &conflict.kept, kept), ("other", &conflict.other, other)] {
            writeln!(out, "  {which} ({}){place}: {value}", said.file)?;
        }
        writeln!(
            out,
            "  fix: delete it in both caches and ask again; if they differ again, one of the two machines is not as it says"
        )?;
    }
    for file in &view.broken {
        writeln!(
            out,
            "{file}: warning: this is no answer, or not one to the question that its name stands for; it was left out"
        )?;
        writeln!(out, "  fix: copy the cache again, or ask again")?;
    }
    Ok(())
}
