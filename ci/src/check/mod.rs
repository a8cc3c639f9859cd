// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl check`: what a maintainer's robots, and a careful reviewer, would find in a patch.
//!
//! One check is one module with one function from a [`Subject`], a patch in its tree, to [`Finding`]s, each with a file, a line
//! and a remedy. [`CHECKS`] lists them. A finding is about the patch: what was there before, in Linux or by an earlier
//! patch, is not reported again. So the checks that look at whole files look at them before and after, and report
//! the [difference](finding::fresh).
//!
//! Answers are kept under all that they depend on ([`run()`]), so a second run, or the run of another shard, costs nothing.

mod abi;
mod applies;
mod body;
mod build;
mod checkpatch;
mod clippy;
mod dead_code;
pub mod finding;
mod inert;
mod kconfig;
mod kernel_doc;
mod noreturn;
mod places;
mod prepares;
mod programs;
mod run;
mod rustfmt;
mod safety;
mod series;
mod source;
mod subject;
#[cfg(test)]
mod testing;

pub use self::abi::{headers as abi_headers, lint_tree as lint_abi};
pub use self::build::{Kernels, Verdict};
pub use self::finding::Finding;
pub use self::programs::Programs;
pub use self::run::{Answer, forget, run};
pub use self::series::{LIMIT, Member};
pub use self::subject::{Origin, Subject, Touched};

use stg_core::git::{Oid, Repo};

use crate::kbuild::BuildError;

/// What a check has to work with, the same for all patches of a run.
pub struct Bench<'a> {
    /// The repository that has the trees.
    pub repo: &'a Repo,
    /// The tree that all phases stand on.
    pub base_tree: Oid,
    /// What runs rustfmt, checkpatch and kernel-doc.
    pub programs: &'a Programs,
    /// The gates of all phases, without `CONFIG_`.
    pub gates: &'a [String],
    /// What builds kernels; nothing if only quick checks are made.
    pub kernels: Option<&'a dyn Kernels>,
}

/// What a check costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Far less than a second.
    Quick,
    /// It compiles.
    Build,
}

/// A check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name for `--only`.
    pub name: &'static str,
    /// One line for lists.
    pub about: &'static str,
    /// What it costs.
    pub cost: Cost,
    /// Goes up whenever it would answer otherwise for the same patch.
    version: u32,
    run: fn(&Subject, &Bench<'_>) -> Result<Verdict, BuildError>,
}

const fn quick(
    name: &'static str,
    version: u32,
    about: &'static str,
    run: fn(&Subject, &Bench<'_>) -> Result<Verdict, BuildError>,
) -> Check {
    Check { name, about, cost: Cost::Quick, version, run }
}

const fn compiles(
    name: &'static str,
    version: u32,
    about: &'static str,
    run: fn(&Subject, &Bench<'_>) -> Result<Verdict, BuildError>,
) -> Check {
    Check { name, about, cost: Cost::Build, version, run }
}

/// All of them, in the order in which they run.
pub static CHECKS: &[Check] = &[
    quick("applies", 2, "plain git applies the mail to the tree before, and gets the same tree", applies::check),
    quick(
        "body",
        2,
        "the message is where git looks for it: no text behind trailers, no changelog inside",
        body::check,
    ),
    quick("series", 2, "no more than 15 patches in a series; a split is proposed", series::check),
    quick("prepares", 1, "a patch that prepares comes before all others of its series", prepares::check),
    quick("checkpatch", 3, "scripts/checkpatch.pl --strict", checkpatch::check),
    quick("rustfmt", 2, "Rust files are formatted", rustfmt::check),
    quick(
        "safety",
        2,
        "every unsafe block and impl has a SAFETY comment that argues, every unsafe fn a Safety section",
        safety::check,
    ),
    quick(
        "dead-code",
        2,
        "nothing is added that no path reaches, or that switches the warning about it off",
        dead_code::check,
    ),
    quick("kernel-doc", 3, "scripts/kernel-doc -Wall", kernel_doc::check),
    quick(
        "abi",
        2,
        "a change under include/linux/kho/abi steps a version, and the documentation says the same",
        abi::check,
    ),
    quick(
        "kconfig",
        1,
        "a phase's gate is experimental, explained, and off unless somebody asks for it",
        kconfig::check,
    ),
    quick("noreturn", 1, "objtool is told of every function that does not return", noreturn::check),
    compiles("build", 4, "the kernel builds with W=1, without a warning that its parent does not have", build::check),
    compiles(
        "clippy",
        3,
        "clippy has nothing to say about the patch's Rust files that it did not say before",
        clippy::check,
    ),
    compiles(
        "gate",
        1,
        "with the phase's gates off, every object is what it was before the series (patches that prepare may differ)",
        inert::check,
    ),
];

/// The check of a name.
pub fn named(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.name == name)
}
