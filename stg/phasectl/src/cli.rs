// SPDX-License-Identifier: GPL-2.0-only

//! The command line, whose names and exit codes are a contract: add, don't rename.

use clap::{Parser, Subcommand};
use stg_env::exit;

use crate::app::App;
use crate::commands;

/// Maintains, proves and exports the phases of VFIO device preservation across live update.
///
/// The code lives under kernel/ and phases/ of a checkout. From it and a Linux base, phasectl makes commits, builds
/// kernels, boots and live-updates them in QEMU, and writes series that `git am` takes. It changes nothing outside its
/// cache, except where a command says so.
#[derive(Debug, Parser)]
#[command(name = "phasectl", version, after_long_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) app: App,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  everything went as asked
    1  an error that has no code of its own
    2  the command line is wrong, or names what does not exist: a phase, patch, scenario, fault, check, variant, ...
  100  a test failed, a planted fault went unnoticed, or two measurements differ
  101  a kernel, or the guest, did not build
  102  a file of the project is wrong: a manifest, a patch, a hunk, a scenario, a proof; or `check` found something
  103  the two kernels do not agree about the hand-over as the matrix says
  110  the machine lacks something (`phasectl doctor` says what), or there is no base tree
  125  this revision cannot be tested (`git bisect run` skips it); `bisect` has suspects only
  128  `bisect-step` could not even try, or its command line is wrong (`git bisect run` stops)";

/// The exit code for a command line that is not understood: `git bisect run` would take clap's for the answer that the revision is bad.
pub(crate) fn refused(error: &clap::Error, mut args: impl Iterator<Item = String>) -> u8 {
    let code = if error.use_stderr() && args.any(|arg| arg == "bisect-step") { exit::ABORT } else { error.exit_code() };
    u8::try_from(code).unwrap_or(1)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Setup(commands::setup::Args),
    Doctor(commands::doctor::Args),
    Base(commands::base::Args),
    List(commands::list::Args),
    Merge(commands::merge::Args),
    Graph(commands::graph::Args),
    Show(commands::show::Args),
    Build(commands::build::Args),
    Check(commands::check::Args),
    Test(commands::test::Args),
    Faults(commands::faults::Args),
    Matrix(commands::matrix::Args),
    Bisect(commands::bisect::Args),
    BisectStep(commands::bisect_step::Args),
    Prove(commands::prove::Args),
    Verify(commands::verify::Args),
    Blackout(commands::blackout::Args),
    Edit(commands::edit::Args),
    Refresh(commands::refresh::Args),
    Export(commands::export::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_is_explained() {
        let cli = Cli::command();
        for command in cli.get_subcommands().chain([&cli]) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no help");
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
                assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
            }
        }
    }
}
