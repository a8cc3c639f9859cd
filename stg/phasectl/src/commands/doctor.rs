// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl doctor`.

use std::io::Write;

use stg_env::exit;
use stg_env::machine::Machine;
use stg_env::requirements::{self, Group};

use crate::app::App;
use crate::output;

/// List everything that is needed from this machine, what was found, and how to get what is missing.
///
/// A compiler cache is among it if PHASECTL_COMPILER_CACHE names one (see `setup`). Exits with 110 if something is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let rows = requirements::check(&Machine::here(&app.cache()?)?, &Group::ALL);
    if args.json {
        output::json(out, &rows)?;
    } else {
        out.write_all(requirements::table_text(&rows).as_bytes())?;
    }
    Ok(if requirements::complete(&rows) { exit::OK } else { exit::ENVIRONMENT })
}
