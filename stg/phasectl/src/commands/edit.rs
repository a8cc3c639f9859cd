// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl edit`.

use std::io::Write;

use stg_core::{Stack, edit};
use stg_env::{Cache, exit};

use crate::app::{App, base_or_fetch};
use crate::{checkout, output};

/// Open a Linux worktree at a patch, to change the patch there.
///
/// Change files, amend the commit or its message, add commits: `phasectl refresh` takes the result back into kernel/ and
/// phases/. The worktree lies in the cache. One that has changes which were not taken back yet is left as it is.
///
/// A worktree is a whole Linux tree of 1.8 GB and stays until `phasectl edit --done PATCH` removes it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The patch, as PHASE/NAME or NAME.
    patch: String,

    /// Remove the patch's worktree. One with changes that `refresh` has not taken back is kept.
    #[arg(long)]
    done: bool,

    /// With --done: remove the worktree even so; its changes are lost.
    #[arg(long, requires = "done")]
    force: bool,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let cache = app.cache()?;
    let id = stack.patch(&args.patch).map(|(_, patch)| patch.id());
    if args.done {
        // A patch that is no longer listed may have left a worktree behind, under its full name.
        let left = args.patch.contains('/') && edit::is_open(cache.root(), &args.patch);
        let id = if left { args.patch.clone() } else { id? };
        return done(args, &cache, &id, out);
    }
    let id = id?;
    let base = base_or_fetch(&cache, &stack)?;
    let opened = edit::open(cache.root(), &base, &disk, &id)?;
    checkout::remember(&opened.path, disk.root())?;
    if args.json {
        let (path, commit) = (opened.path.as_str(), opened.commit.to_string());
        let view =
            serde_json::json!({ "patch": opened.patch, "worktree": path, "commit": commit, "existed": opened.existed });
        output::json(out, &view)?;
    } else {
        writeln!(out, "{} is checked out in\n  {}", opened.patch, opened.path)?;
        writeln!(out, "change it there, then run `phasectl refresh {}`", opened.patch)?;
    }
    Ok(exit::OK)
}

fn done(args: &Args, cache: &Cache, id: &str, out: &mut dyn Write) -> anyhow::Result<i32> {
    let closed = edit::close(cache.root(), id, args.force)?;
    checkout::forget(&closed.path)?;
    if args.json {
        output::json(out, &serde_json::json!({ "patch": closed.patch, "removed": closed.path.as_str() }))?;
    } else {
        writeln!(out, "removed the worktree of {}, {}", closed.patch, closed.path)?;
    }
    Ok(exit::OK)
}
