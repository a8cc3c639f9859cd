// SPDX-License-Identifier: GPL-2.0-only

//! Proofs: what was built, booted and live-updated for each patch, as small files in the repository.
//!
//! `proofs/<phase>/<patch>.json` is the [`Record`] of a patch, written only when everything passed that passes from that patch on or
//! earlier. It holds two kinds of lines. What the repository says about the patch ([`Subject`]) can be derived again by anybody who has
//! the repository and the base: the tree, the configuration, the scenarios' files, the machines, how each case must end. What was used and what came
//! out ([`Made`]), only whoever does it again can compare: the tools, the kernels' images.
//!
//! A record ends with the SHA-256 of everything before that last line ([`record`]), and holds that of the patch before it: a chain for each
//! phase, so that no record can be changed, or left out, without a trace. The first one of a phase continues nothing: a phase may require several
//! others, and what it stands on is in its tree. [`check`] derives what can be derived and names each record that is missing, was
//! changed, or no longer is about this repository. That the tools or the harness are others now makes no record wrong; it is noted.

pub mod check;
pub mod damage;
pub mod record;
pub mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

pub use self::check::{Finding, Kind, Proved, Report, check, current, strays};

use crate::outcomes::Inputs;

/// Where records are, relative to the project root.
pub const DIRECTORY: &str = "proofs";

/// What the name of a record ends with until it is written as a whole.
pub const FRESH: &str = "new";

/// Names and hashes.
pub type Hashes = BTreeMap<String, String>;

/// What the repository says about a patch, as far as a proof depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// `phase1/kho-rust`.
    pub patch: String,
    /// Tree id of the base.
    pub base: String,
    /// Tree id of the patch.
    pub tree: String,
    /// What it changes: `git patch-id --stable`.
    pub diff: String,
    /// The configuration of each kernel, by the name that scenarios use.
    pub configs: Hashes,
    /// The scenarios' files.
    pub scenarios: Hashes,
    /// The machines that they run on.
    pub topologies: Hashes,
    /// How each case must end, and did.
    pub verdicts: BTreeMap<String, String>,
    /// How many machines that booted.
    pub boots: usize,
    /// How many kexecs that were.
    pub kexecs: usize,
}

impl Subject {
    /// The phase of its patch.
    pub fn phase(&self) -> &str {
        self.patch.split('/').next().unwrap_or(&self.patch)
    }

    /// Where its record is, relative to the project root.
    pub fn file(&self) -> Utf8PathBuf {
        file(&self.patch)
    }

    /// The question whether it can be proved with these tools. The answer are the images of the kernels.
    pub fn inputs(&self, tools: &Tools) -> Inputs {
        let list = |all: &BTreeMap<String, String>| {
            all.iter().map(|(name, value)| format!("{name} {value}\n")).collect::<String>()
        };
        Inputs::new("proof")
            .with("patch", &self.patch)
            .with("tree", &self.tree)
            .with("configs", list(&self.configs))
            .with("scenarios", list(&self.scenarios))
            .with("topologies", list(&self.topologies))
            .with("verdicts", list(&self.verdicts))
            .with("toolchain", &tools.toolchain)
            .with("qemu", &tools.qemu)
            .with("harness", &tools.harness)
    }
}

/// The file of a patch's record.
pub fn file(patch: &str) -> Utf8PathBuf {
    format!("{DIRECTORY}/{patch}.json").into()
}

/// With what a proof is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// What builds kernels.
    pub toolchain: String,
    /// What boots them.
    pub qemu: String,
    /// The source of the harness and the guest.
    pub harness: String,
}

/// With what a proof was made, and what came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// With what.
    #[serde(flatten)]
    pub tools: Tools,
    /// SHA-256 of the kernels' images.
    pub images: Hashes,
}

/// The proof of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// The hash of the record of the patch before, if there is one in its phase.
    pub parent: Option<String>,
    /// What was used and what came out.
    #[serde(flatten)]
    pub made: Made,
}
