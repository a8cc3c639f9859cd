// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl`: maintains, proves and exports the phases.
//!
//! This binary only translates: typed-in arguments ([`cli`]) into calls of the libraries, their answers into text or JSON,
//! their errors into messages and exit codes ([`failure`]). Algorithms live in `stg_core`, `ci` and `harness`.
//! One command is one file under [`commands`].

mod app;
mod bisect;
mod check;
mod checkout;
mod cli;
mod commands;
mod cover;
mod ends;
mod failure;
mod fault;
mod gate;
mod judged;
mod kernels;
mod lab;
mod names;
mod output;
#[cfg(test)]
mod pipelines;
mod proofs;
mod question;
#[cfg(test)]
mod roadmap;
mod rows;
mod scenarios;
#[cfg(test)]
mod testing;
mod text;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to be done if it cannot be shown.
            let _ = error.print();
            return ExitCode::from(cli::refused(&error, std::env::args()));
        }
    };
    let mut out = output::Stdout::new();
    let code = match commands::run(&cli, &mut out) {
        Ok(code) => code,
        Err(error) => {
            eprint!("{}", failure::message(&error));
            failure::exit_code(&error)
        }
    };
    // The codes of the contract all fit; anything else would be a bug that must not look like success.
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
