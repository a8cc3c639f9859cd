// SPDX-License-Identifier: GPL-2.0-only

//! What tells whether the kernel uses more memory than the one before it.

use serde::{Deserialize, Serialize};

/// A line of `/proc/meminfo`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meter {
    /// What the kernel manages. What was handed over counts from when it is taken back, so early in a stage this shrinks by as much as
    /// is handed over.
    MemTotal,
    /// What could be had without anybody giving up anything.
    MemAvailable,
    /// What the slab allocator holds.
    Slab,
}

impl Meter {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MemTotal, Self::MemAvailable, Self::Slab];

    /// As `/proc/meminfo` calls it.
    pub fn key(self) -> &'static str {
        match self {
            Self::MemTotal => "MemTotal",
            Self::MemAvailable => "MemAvailable",
            Self::Slab => "Slab",
        }
    }

    /// By how much the kernel uses more at `now` than it did `before`; negative if it uses less.
    pub fn growth(self, before: u64, now: u64) -> i64 {
        let more = now.cast_signed() - before.cast_signed();
        match self {
            Self::MemTotal | Self::MemAvailable => -more,
            Self::Slab => more,
        }
    }
}
