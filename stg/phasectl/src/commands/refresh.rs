// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl refresh`.

use std::io::Write;

use camino::Utf8PathBuf;
use stg_core::edit::{self, Which};
use stg_core::{Disk, Stack};
use stg_env::{Cache, exit};

use crate::app::App;
use crate::checkout::Known;
use crate::{checkout, output};

/// Take the changes in a patch's worktree back into kernel/ and phases/.
///
/// Later patches are checked to still apply. If one does not, the conflict is named by patch, file and hunk, and nothing is
/// changed. Without PATCH, the worktree around the current directory is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The patch, as PHASE/NAME or NAME.
    patch: Option<String>,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let (cache, disk, which) = match &args.patch {
        Some(patch) => (app.cache()?, app.disk()?, Which::Patch(patch.clone())),
        None => around(app)?,
    };
    let stack = Stack::load(&disk)?;
    let base = stg_core::base::load(cache.root(), &stack.base)?;
    let done = edit::refresh(cache.root(), &base, &disk, &which)?;
    if args.json {
        let view = serde_json::json!({
            "patch": done.patch,
            "commit": done.commit.to_string(),
            "written": done.written,
            "removed": done.removed,
        });
        output::json(out, &view)?;
        return Ok(exit::OK);
    }
    if done.written.is_empty() && done.removed.is_empty() {
        writeln!(out, "{}: nothing had changed", done.patch)?;
        return Ok(exit::OK);
    }
    writeln!(out, "{} is now {}", done.patch, done.commit)?;
    for path in &done.written {
        writeln!(out, "  wrote   {path}")?;
    }
    for path in &done.removed {
        writeln!(out, "  removed {path}")?;
    }
    Ok(exit::OK)
}

/// The worktree that the user stands in, with the cache that it lies in and the checkout that it was opened from.
fn around(app: &App) -> anyhow::Result<(Cache, Disk, Which)> {
    let here = Utf8PathBuf::try_from(std::env::current_dir()?)?;
    let known = checkout::find(&here);
    let cache = match (&app.cache, known.as_ref().and_then(Known::cache)) {
        (None, Some(cache)) => Cache::at(&cache)?,
        _ => app.cache()?,
    };
    let disk = match (&app.project, known) {
        (None, Some(known)) => Disk::new(known.project),
        _ => app.disk()?,
    };
    Ok((cache, disk, Which::Worktree(here)))
}
