// SPDX-License-Identifier: GPL-2.0-only

//! Kernels that are known not to build, so that nobody tries again.
//!
//! Kept under the key of the kernel, with the outcomes, and believed only as long as there is no such kernel: [`build`](super::build)
//! forgets it as soon as it has one. Only what the tree is to blame for may be remembered; see [`BuildError::of_tree`](super::BuildError::of_tree).

use serde::{Deserialize, Serialize};
use stg_env::{Cache, EnvError};

use super::store;
use crate::outcomes::{Inputs, Outcomes};

/// Changes whenever what was remembered before may be wrong: with 1 a full disk was among it, 2 was text only.
const VERSION: &str = "3";

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Unbuildable {
    /// What the compilers say, which they may say in any order.
    reason: String,
}

/// Why a kernel does not build, if that is known and it was not built since.
///
/// # Errors
///
/// If the cache cannot be used.
pub fn known(cache: &Cache, key: &str) -> Result<Option<String>, EnvError> {
    if store::find(&cache.kernels()?, key).is_some() {
        forget(cache, key)?;
    }
    Ok(Outcomes::of(cache).get(&inputs(key)).map(|Unbuildable { reason }| reason))
}

/// Keeps why a kernel does not build.
///
/// # Errors
///
/// If it cannot be written.
pub fn remember(cache: &Cache, key: &str, reason: &str) -> Result<(), EnvError> {
    Outcomes::of(cache).put(&inputs(key), &Unbuildable { reason: reason.to_owned() }, 0.0)
}

/// It builds.
pub(super) fn forget(cache: &Cache, key: &str) -> Result<(), EnvError> {
    Outcomes::of(cache).forget(&inputs(key))
}

fn inputs(key: &str) -> Inputs {
    Inputs::new("unbuildable").with("kernel", key).with("version", VERSION)
}
