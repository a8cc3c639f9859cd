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
    1  an error that has no code of its own, a conflict of `merge`, nothing to `bisect`; `bisect-step`: the scenario fails
    2  the command line is wrong, or names what does not exist: a phase, patch, scenario, fault, check, variant, ...
  100  a test failed, a planted fault went unnoticed, or two measurements differ
  101  a kernel, or the guest, did not build
  102  a file of the project is wrong: a manifest, a patch, a hunk, a scenario, a proof; or `check` found something
  103  two kernels do not agree about the hand-over as `matrix` predicts
  110  the machine lacks something (`doctor` says what), there is no base tree, or the host was too busy for `matrix`
  125  there is nothing to test here, or it cannot be tested (`git bisect run` skips it); `bisect` has suspects only
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

    /// Code and meaning of each line of a table, cut at what stands before and behind each.
    fn table<'a>(text: &'a str, cut: &[char]) -> Vec<(i32, &'a str)> {
        let cells = text.lines().filter_map(|line| line.trim_matches(cut).split_once(cut));
        cells.filter_map(|(code, meaning)| Some((code.parse().ok()?, meaning.trim_matches(cut)))).collect()
    }

    #[test]
    fn the_exit_codes_are_those_of_the_readme_and_of_each_command() {
        let all = table(EXIT_CODES, &[' ']);
        let readme = include_str!("../../../README.md");
        assert_eq!(all, table(readme, &[' ', '|']), "the table of README.md, word for word");
        use exit::{
            ABI_MISMATCH, ABORT, BUILD_FAILED, CHECK_FAILED, ENVIRONMENT, OK, OTHER, TEST_FAILED, UNTESTABLE, USAGE,
        };
        let codes = all.iter().map(|&(code, _)| code).collect::<Vec<_>>();
        let known =
            [OK, OTHER, USAGE, TEST_FAILED, BUILD_FAILED, CHECK_FAILED, ABI_MISMATCH, ENVIRONMENT, UNTESTABLE, ABORT];
        assert_eq!(codes, known);
        // What a command means by a code is in its help.
        let cli = Cli::command();
        let own: [(i32, &[&str]); 7] = [
            (OTHER, &["merge", "bisect", "bisect-step"]),
            (TEST_FAILED, &["test", "faults", "blackout", "prove", "verify"]),
            (BUILD_FAILED, &["build"]),
            (CHECK_FAILED, &["check", "verify"]),
            (ABI_MISMATCH, &["matrix"]),
            (ENVIRONMENT, &["doctor", "matrix"]),
            (UNTESTABLE, &["test", "faults", "blackout", "bisect", "bisect-step"]),
        ];
        for (code, command) in own.iter().flat_map(|(code, all)| all.iter().map(move |command| (code, command))) {
            let help = cli.find_subcommand(command).and_then(clap::Command::get_long_about).unwrap().to_string();
            assert!(help.contains(&format!(" {code}")), "{command} --help does not mention {code}");
        }
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
