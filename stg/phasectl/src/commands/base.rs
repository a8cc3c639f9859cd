// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl base`.

use std::io::Write;

use camino::Utf8PathBuf;
use clap::Subcommand;
use serde::Serialize;
use stg_core::manifest::BaseManifest;
use stg_core::{Base, Origin, base};
use stg_env::requirements::Group;
use stg_env::{exit, setup};

use crate::app::App;
use crate::output;

/// Show, fetch or choose the Linux tree that everything applies to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the base tree in use. Exits with 110 if there is none.
    Show {
        /// Report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Obtain the base from the distribution's source package and use it.
    ///
    /// The download is verified against the distribution's keys. An interrupted run continues where it stopped.
    Fetch,
    /// Use a release tag of your own Linux clone as the base.
    ///
    /// The clone is read and never written: worktrees, refs and commits are kept in the cache.
    Use {
        /// The clone.
        path: Utf8PathBuf,
    },
}

#[derive(Serialize)]
struct View<'a> {
    release: &'a str,
    commit: &'a str,
    tree: &'a str,
    repository: &'a str,
    origin: &'a Origin,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let manifest = BaseManifest::load(&app.disk()?)?;
    let cache = app.cache()?;
    let base = match &args.action {
        Action::Show { json: true } => {
            let base = base::load(cache.root(), &manifest)?;
            output::json(out, &view(&base))?;
            return Ok(exit::OK);
        }
        Action::Show { json: false } => base::load(cache.root(), &manifest)?,
        Action::Fetch => {
            setup::ensure(&cache, &[Group::Base])?;
            base::fetch(&cache, &manifest)?
        }
        Action::Use { path } => base::adopt(cache.root(), &manifest, path)?,
    };
    out.write_all(base.show().as_bytes())?;
    Ok(exit::OK)
}

fn view(base: &Base) -> View<'_> {
    View {
        release: &base.release,
        commit: &base.commit,
        tree: &base.tree,
        repository: base.repo.as_str(),
        origin: &base.origin,
    }
}
