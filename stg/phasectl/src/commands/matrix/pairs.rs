// SPDX-License-Identifier: GPL-2.0-only

//! Who hands over to whom, and what is predicted of it.

use ci::handover::{self, Facts, Fate, Fates, Mode, Prediction};
use serde::Serialize;
use stg_core::git::Repo;
use stg_core::{Base, Disk, Stack, assemble};

use crate::ends::{self, End};
use crate::kernels::{Made, Which};

/// A kernel, and what its tree says.
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) which: Which,
    pub(crate) facts: Facts,
}

/// A kernel that hands over and one that takes over.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) from: String,
    pub(crate) to: String,
    /// One for each mode, in their order.
    pub(crate) cells: Vec<Cell>,
}

/// A pair in one mode.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cell {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) mode: Mode,
    pub(crate) predicted: Prediction,
    /// Nothing, if it was not run to an end.
    pub(crate) observed: Option<Observed>,
    /// Why it was not, if it was tried: the host was at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Observed {
    #[serde(flatten)]
    pub(crate) fates: Fates,
    /// What says so, for people.
    pub(crate) why: String,
    pub(crate) agrees: bool,
    /// Whether it was known, and not run.
    pub(crate) cached: bool,
}

impl Cell {
    /// Whether the two kernels agree on what they hand over.
    pub(crate) fn is_sound(&self) -> bool {
        self.predicted.fates.device != Fate::Broken
    }

    /// Whether that was observed.
    pub(crate) fn is_good(&self) -> bool {
        self.is_sound() && self.observed.as_ref().is_some_and(|observed| observed.agrees)
    }
}

/// The kernels with their facts.
pub(crate) fn kernels(disk: &Disk, base: &Base, stack: &Stack, ends: Vec<End>) -> anyhow::Result<Vec<Kernel>> {
    let repo = Repo::open(&base.repo)?;
    let kernel = |End { name, which }: End| {
        let tree = match &which.made {
            Made::At(target) | Made::GateOff(target) => assemble(base, disk, stack, target)?.tip_tree()?,
            Made::Base => Repo::oid(&base.tree)?,
        };
        let facts = ends::facts(&repo, tree, &which, disk.root(), stack)?;
        Ok(Kernel { name, which, facts })
    };
    ends.into_iter().map(kernel).collect()
}

/// Every wanted pair, those with the same outgoing kernel together.
pub(crate) fn pairs(kernels: &[Kernel], wanted: impl Fn(&str, &str) -> bool) -> Vec<Pair> {
    let all = kernels.iter().flat_map(|from| kernels.iter().map(move |to| (from, to)));
    let all = all.filter(|(from, to)| wanted(&from.name, &to.name));
    all.map(|(from, to)| Pair {
        from: from.name.clone(),
        to: to.name.clone(),
        cells: Mode::ALL
            .into_iter()
            .map(|mode| Cell {
                from: from.name.clone(),
                to: to.name.clone(),
                mode,
                predicted: handover::predict(&from.facts, &to.facts, mode),
                observed: None,
                host: None,
            })
            .collect(),
    })
    .collect()
}
