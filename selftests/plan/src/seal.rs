// SPDX-License-Identifier: GPL-2.0-only

//! What cannot be done with a memfd any more.

use serde::{Deserialize, Serialize};

/// A seal of a memfd, `fcntl(2)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seal {
    /// Add seals.
    Seal,
    /// Make it smaller.
    Shrink,
    /// Make it larger.
    Grow,
    /// Change what is in it.
    Write,
}
