// SPDX-License-Identifier: GPL-2.0-only

//! What every command begins with: the cache, the checkout, the stack, the base.
//!
//! Nothing is looked for before a command asks: `doctor` works outside any checkout, `list` without a cache.

use camino::Utf8PathBuf;
use stg_core::{Base, Disk, Stack, base};
use stg_env::requirements::Group;
use stg_env::{Cache, Project, setup};

use crate::failure::Failure;

/// The global options.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct App {
    /// Keep everything derived or downloaded in DIR (default: $PHASECTL_CACHE, else $XDG_CACHE_HOME/phasectl, else
    /// ~/.cache/phasectl).
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) cache: Option<Utf8PathBuf>,

    /// Work on the checkout in DIR (default: the one around the current directory).
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) project: Option<Utf8PathBuf>,
}

impl App {
    /// The cache.
    pub(crate) fn cache(&self) -> anyhow::Result<Cache> {
        Ok(Cache::discover(self.cache.as_deref())?)
    }

    /// The checkout.
    pub(crate) fn project(&self) -> anyhow::Result<Project> {
        Ok(match &self.project {
            None => Project::discover()?,
            Some(path) => {
                let found = path.canonicalize_utf8().ok().and_then(|path| Project::discover_from(&path).ok());
                found.ok_or_else(|| {
                    let message = format!("--project {path}: there is no checkout of the project");
                    Failure::usage(
                        message,
                        "name a directory that has Cargo.toml and phases/base.yaml, or one inside it",
                    )
                })?
            }
        })
    }

    /// The checkout's files.
    pub(crate) fn disk(&self) -> anyhow::Result<Disk> {
        Ok(Disk::new(self.project()?.root()))
    }

    /// The base that the cache has, if it has one.
    pub(crate) fn base(&self, stack: &Stack) -> anyhow::Result<Base> {
        Ok(base::load(self.cache()?.root(), &stack.base)?)
    }
}

/// The base, which is fetched if there is none.
pub(crate) fn base_or_fetch(cache: &Cache, stack: &Stack) -> anyhow::Result<Base> {
    match base::load(cache.root(), &stack.base) {
        Err(stg_core::Error::NoBase { .. }) => {
            eprintln!("no base tree in {} yet: fetching Linux {}", cache.root(), stack.base.release);
            setup::ensure(cache, &[Group::Base])?;
            Ok(base::fetch(cache, &stack.base)?)
        }
        other => Ok(other?),
    }
}
