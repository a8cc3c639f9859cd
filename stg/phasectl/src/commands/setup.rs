// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl setup`.

use std::io::Write;

use stg_env::requirements::Group;
use stg_env::{exit, setup};

use crate::app::App;
use crate::output;

/// Install what is missing on this machine.
///
/// As root on Debian 12 or 13, packages are installed through a private apt configuration; the system's own is not
/// changed. Anyone else is told what to install. Tools that only this project needs go into the cache.
///
/// If PHASECTL_COMPILER_CACHE is set to `ccache` or `sccache`, that program is installed too, and kernels are compiled through it. Where it keeps and
/// shares what it compiled is its own setting: its configuration file, or variables such as CCACHE_DIR, CCACHE_REMOTE_STORAGE, SCCACHE_BUCKET.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say what would be installed, and install nothing.
    #[arg(long)]
    dry_run: bool,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let report = setup::run(&app.cache()?, &Group::ALL, setup::Options { dry_run: args.dry_run })?;
    if args.json {
        output::json(out, &report)?;
    } else if report.done.is_empty() {
        writeln!(out, "nothing is missing")?;
    } else {
        let verb = if args.dry_run { "would install" } else { "installed" };
        for done in &report.done {
            writeln!(out, "{verb} {}", done.what)?;
        }
    }
    Ok(exit::OK)
}
