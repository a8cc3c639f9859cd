// SPDX-License-Identifier: GPL-2.0-only

//! The commands, one file each.
//!
//! A command returns an exit code of the contract when it did its work (100 when tests failed), and an error when it could
//! not; [`failure`](crate::failure) turns that into a message and a code.

pub(crate) mod base;
pub(crate) mod bisect;
pub(crate) mod bisect_step;
pub(crate) mod blackout;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod edit;
pub(crate) mod export;
pub(crate) mod faults;
pub(crate) mod graph;
pub(crate) mod list;
pub(crate) mod matrix;
pub(crate) mod merge;
pub(crate) mod prove;
pub(crate) mod refresh;
pub(crate) mod setup;
pub(crate) mod show;
pub(crate) mod test;
pub(crate) mod verify;

use std::io::Write;

use crate::cli::{Cli, Command};

/// Runs what the command line says.
pub(crate) fn run(cli: &Cli, out: &mut dyn Write) -> anyhow::Result<i32> {
    let app = &cli.app;
    match &cli.command {
        Command::Setup(args) => setup::run(args, app, out),
        Command::Doctor(args) => doctor::run(args, app, out),
        Command::Base(args) => base::run(args, app, out),
        Command::List(args) => list::run(args, app, out),
        Command::Merge(args) => merge::run(args, app, out),
        Command::Graph(args) => graph::run(args, app, out),
        Command::Show(args) => show::run(args, app, out),
        Command::Build(args) => build::run(args, app, out),
        Command::Check(args) => check::run(args, app, out),
        Command::Test(args) => test::run(args, app, out),
        Command::Faults(args) => faults::run(args, app, out),
        Command::Bisect(args) => bisect::run(args, app, out),
        Command::BisectStep(args) => bisect_step::run(args, app, out),
        Command::Prove(args) => prove::run(args, app, out),
        Command::Verify(args) => verify::run(args, app, out),
        Command::Blackout(args) => blackout::run(args, app, out),
        Command::Edit(args) => edit::run(args, app, out),
        Command::Matrix(args) => matrix::run(args, app, out),
        Command::Refresh(args) => refresh::run(args, app, out),
        Command::Export(args) => export::run(args, app, out),
    }
}
