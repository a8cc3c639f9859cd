// SPDX-License-Identifier: GPL-2.0-only

//! Which kernel can take over from which: predicted from their trees, and observed.
//!
//! [`Facts`] are what a tree says: the strings, versions and marks in its ABI headers, as far as its Kconfig declares the options for
//! them and they are on. [`predict`] goes from the facts of two kernels to what becomes of a memfd and of a device that the first one
//! hands to the second, by [`RULES`] that know no kernel by name. [`classify`] goes from what a run showed to the same [`Fates`].
//! Where the two differ, somebody is wrong: the kernels, or the rules that people read in the documentation.

mod facts;
mod rules;
mod seen;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::facts::{Facts, Flb};
pub use self::rules::{Prediction, RULES, predict};
pub use self::seen::{Seen, Step, classify};

/// What translates for the device in the outgoing kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// An IOMMU, through page tables of the outgoing kernel.
    Translated,
    /// Nothing: addresses are physical ones.
    Noiommu,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Translated, Self::Noiommu];

    /// The name of its case in the scenario.
    pub fn name(self) -> &'static str {
        match self {
            Self::Translated => "translated",
            Self::Noiommu => "noiommu",
        }
    }
}

/// What becomes of a thing that one kernel has and the next one is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The next kernel gives it to its user.
    Works,
    /// The next kernel goes on with the device as it was, and lets nobody use it. Never that of memory.
    Contained,
    /// The outgoing kernel refuses to preserve it, with this errno.
    Refused(String),
    /// The next kernel refuses to give it out. If it is a device, it has stopped, or that kernel knows of it and leaves it alone.
    Lost,
    /// The next kernel stops as documented, before it has touched the device or its translation.
    Panic,
    /// The device goes on accessing memory in a kernel that does not know it.
    Unsafe,
    /// Anything else: a fault.
    Broken,
    /// The next kernel was never seen to run, so nothing is known of the hand-over.
    Unseen,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.pad("works"),
            Self::Contained => f.pad("contained"),
            Self::Refused(errno) => f.pad(&format!("refused ({errno})")),
            Self::Lost => f.pad("lost"),
            Self::Panic => f.pad("panic"),
            Self::Unsafe => f.pad("unsafe"),
            Self::Broken => f.pad("broken"),
            Self::Unseen => f.pad("unseen"),
        }
    }
}

/// What becomes of the two things that are handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fates {
    /// Of the igb.
    pub device: Fate,
    /// Of the memfd in the same session.
    pub memory: Fate,
}

impl Fates {
    fn both(fate: Fate) -> Self {
        Self { device: fate.clone(), memory: fate }
    }

    /// Whether it is what was predicted. A hand-over that is unsafe may end in any way but a good one, if there was one.
    pub fn agrees_with(&self, predicted: &Self) -> bool {
        match predicted.device {
            Fate::Unsafe => matches!(self.device, Fate::Unsafe | Fate::Broken),
            // A mistake is one even if it does no harm this time.
            Fate::Broken => false,
            _ => self == predicted,
        }
    }
}

impl fmt::Display for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {}, memory {}", self.device, self.memory)
    }
}

#[cfg(test)]
mod tests;
