// SPDX-License-Identifier: GPL-2.0-only

//! Where things live on this machine, and what is missing from it.
//!
//! Everything the project derives (the base repository, kernels, results) lies under one [`Cache`]; everything it needs
//! from outside is one table, [`requirements`], which `doctor` shows, [`setup`] fulfils and [`toolchain`] turns into the
//! environment of a kernel build. No other crate searches `PATH` or calls a package manager.
//!
//! Guarantee: nothing outside the cache is written, except by [`setup::run`] as root, which adds packages to the system
//! through apt. The system's apt configuration and package lists are read and never changed (see [`apt`]).

pub mod apt;
pub mod cache;
mod compiler_cache;
pub mod deb;
mod error;
pub mod exit;
pub mod machine;
pub mod project;
pub mod requirements;
pub mod setup;
pub mod toolchain;
pub mod version;

#[cfg(test)]
mod fake;

pub use cache::Cache;
pub use cache::LockGuard;
pub use compiler_cache::CompilerCache;
pub use error::EnvError;
pub use project::Project;

/// How many jobs to run at once: what the machine (or the container's quota) offers, at least one.
pub fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
