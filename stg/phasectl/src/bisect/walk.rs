// SPDX-License-Identifier: GPL-2.0-only

//! Which kernel of a scenario goes from patch to patch.
//!
//! Usually both. With one side it is that one alone, and the other stays where it is good: what breaks then is what that kernel does.
//! The outgoing kernel produces the hand-over, the incoming one consumes it.

use std::collections::BTreeSet;

use harness::scenario::{Kind, Scenario, variant_of};
use serde::Serialize;

use crate::failure::Failure;

/// A kernel of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// The one that hands over.
    Outgoing,
    /// The one that takes over.
    Incoming,
}

impl Side {
    /// As the command line calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outgoing => "outgoing",
            Self::Incoming => "incoming",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Outgoing => Self::Incoming,
            Self::Incoming => Self::Outgoing,
        }
    }
}

/// The points of both kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) outgoing: usize,
    pub(crate) incoming: usize,
}

/// How the points of a search become kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Both are at the point.
    Both,
    /// One is, and the other stays.
    One { side: Side, other: usize },
}

impl Walk {
    /// Where both are.
    pub(crate) fn pair(self, point: usize) -> Pair {
        match self {
            Self::Both => Pair { outgoing: point, incoming: point },
            Self::One { side: Side::Outgoing, other } => Pair { outgoing: point, incoming: other },
            Self::One { side: Side::Incoming, other } => Pair { outgoing: other, incoming: point },
        }
    }

    /// The kernels of a scenario that are at the point.
    pub(crate) fn walking(self, scenario: &Scenario) -> Vec<Side> {
        self.side().map_or_else(|| sides(scenario), |side| vec![side])
    }

    /// How many kernels so many points take, the ends among them, at most.
    pub(crate) fn kernels(self, scenario: &Scenario, points: usize, ends: [usize; 2]) -> usize {
        let name = |side| match side {
            Side::Outgoing => scenario.kernels.outgoing.as_str(),
            Side::Incoming => scenario.kernels.incoming.as_str(),
        };
        let walking = self.walking(scenario);
        let names: BTreeSet<&str> = walking.iter().copied().map(name).collect();
        // One that stays where the other one comes by is one and the same.
        let met = |side| match self {
            Self::Both => false,
            Self::One { other, .. } => names.contains(name(side)) && ends.contains(&other),
        };
        let mut staying = [Side::Outgoing, Side::Incoming].into_iter().filter(|side| !walking.contains(side));
        let stays = staying.any(|side| boots(scenario, side) && !met(side));
        names.len() * points + usize::from(stays)
    }

    pub(crate) fn side(self) -> Option<Side> {
        match self {
            Self::Both => None,
            Self::One { side, .. } => Some(side),
        }
    }
}

/// Checks that a scenario has a kernel that walks.
///
/// # Errors
///
/// If it names another kernel in its place.
pub(crate) fn check(scenario: &Scenario, side: Option<Side>) -> Result<(), Failure> {
    let walks = sides(scenario);
    let message = match side {
        None if walks.is_empty() => format!("{} runs no kernel of the patches that are bisected", scenario.id),
        Some(side) if !walks.contains(&side) => {
            format!("the {} kernel of {} is not one that could go from patch to patch", side.name(), scenario.id)
        }
        _ => return Ok(()),
    };
    let fix = format!("take a scenario whose `kernels:` has `current` there; {} says what it runs", scenario.path);
    Err(Failure::usage(message, fix))
}

/// The kernels of a scenario that are made of what is tested.
pub(crate) fn sides(scenario: &Scenario) -> Vec<Side> {
    let both = [(Side::Outgoing, &scenario.kernels.outgoing), (Side::Incoming, &scenario.kernels.incoming)];
    let tested = |name: &str| matches!(variant_of(name).0, "current" | "gate-off");
    both.into_iter().filter(|&(side, name)| boots(scenario, side) && tested(name)).map(|(side, _)| side).collect()
}

/// Whether a scenario has such a kernel at all.
fn boots(scenario: &Scenario, side: Side) -> bool {
    side == Side::Outgoing || !matches!(scenario.kind, Kind::Kunit(_))
}
