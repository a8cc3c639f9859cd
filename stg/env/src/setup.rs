// SPDX-License-Identifier: GPL-2.0-only

//! Makes a machine able to run the project, or says precisely what a person has to do.
//!
//! What is missing is what [`requirements::check`] says. From it follows a [`Plan`] (pure), which falls into
//!
//! 1. packages: installed by root on Debian 12 and 13, through a private apt configuration ([`crate::apt`]), never removing
//!    one; named for everyone else;
//! 2. what lies in the cache or in the user's own Rust toolchain: components of a rustup toolchain, bindgen, the
//!    sources of Rust's library. This is done for any user, on any distribution;
//! 3. the Rust toolchain itself: named, as how to get one is the user's choice.
//!
//! Afterwards everything is checked again, so success means that the requirements are met and not that commands ran.
//! Running it again does nothing, quickly.

mod plan;
mod steps;

use std::time::Instant;

use crate::Cache;
use crate::EnvError;
use crate::machine::Machine;
use crate::requirements;
use crate::requirements::Group;

pub use plan::Plan;
pub use plan::advice;

/// How to set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only say what would be done; packages are resolved by apt's simulation.
    pub dry_run: bool,
}

/// One thing that set-up did.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Done {
    /// What.
    pub what: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// What a set-up did; nothing if nothing was missing.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// In order.
    pub done: Vec<Done>,
}

/// Fulfils the requirements of `groups`, as far as this user can, and says on stderr what it does.
///
/// # Errors
///
/// [`EnvError::Missing`] with the remaining work for a person; errors of apt and cargo.
pub fn run(cache: &Cache, groups: &[Group], options: Options) -> Result<Report, EnvError> {
    let _lock = cache.lock("setup")?;
    let machine = Machine::here(cache)?;
    let rows = requirements::check(&machine, groups);
    let mut report = Report::default();
    let plan = Plan::new(&machine, &rows);
    if plan.installs_packages {
        timed(&mut report, &format!("packages {}", plan.all_packages().join(", ")), options, || {
            steps::install_packages(cache, &machine, &plan, options.dry_run)
        })?;
    }
    // The packages may have brought what the other steps need.
    let machine = Machine::here(cache)?;
    if let Some(toolchain) = plan.rustup_toolchain.as_deref() {
        for component in &plan.components {
            timed(&mut report, &format!("Rust component {component}"), options, || {
                steps::add_component(&machine, toolchain, component, options.dry_run)
            })?;
        }
    }
    if plan.bindgen && steps::can_build(&machine) {
        timed(&mut report, "bindgen", options, || steps::install_bindgen(&machine, options.dry_run))?;
    }
    if plan.rust_src && requirements::rust(&machine).is_some() {
        timed(&mut report, "the sources of Rust's library", options, || {
            steps::unpack_rust_src(cache, &machine, options.dry_run)
        })?;
    }
    if options.dry_run {
        return Ok(report);
    }
    let machine = Machine::here(cache)?;
    let rows = requirements::check(&machine, groups);
    if requirements::complete(&rows) {
        return Ok(report);
    }
    Err(EnvError::Missing(advice(&machine, &rows)))
}

/// What commands call before they work: a check that takes milliseconds if all is there, else [`run`].
///
/// # Errors
///
/// As [`run`].
pub fn ensure(cache: &Cache, groups: &[Group]) -> Result<(), EnvError> {
    if requirements::complete(&requirements::check(&Machine::here(cache)?, groups)) {
        return Ok(());
    }
    run(cache, groups, Options::default()).map(drop)
}

/// Runs one step, and says and notes how long it took.
fn timed(
    report: &mut Report,
    what: &str,
    options: Options,
    step: impl FnOnce() -> Result<(), EnvError>,
) -> Result<(), EnvError> {
    eprintln!("setup: {} {what}", if options.dry_run { "would install" } else { "installing" });
    let start = Instant::now();
    step()?;
    let seconds = start.elapsed().as_secs_f64();
    if !options.dry_run {
        eprintln!("setup: installed {what} ({seconds:.1} s)");
    }
    report.done.push(Done { what: what.to_owned(), seconds });
    Ok(())
}
