// SPDX-License-Identifier: GPL-2.0-only

//! From where to where: patches as the numbers that a search counts.
//!
//! A scenario cannot pass before the patch that makes it pass, so the good end is that patch unless the user knows better. What a later
//! patch `obsoletes:` cannot pass from there on: the bad end is before it.

use harness::filter::Filter;
use harness::scenario::Scenario;
use stg_core::{Stack, Target};

use crate::failure::Failure;

/// The name of the point without any patch.
pub(crate) const BASE: &str = "base";

/// A line of patches, and the part of it that is searched.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    of: Target,
    patches: Vec<Named>,
    /// The last point where it works, as somebody says.
    pub(crate) good: usize,
    /// The first point where it does not.
    pub(crate) bad: usize,
}

/// What reports say of a patch.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Named {
    /// `phase1/kho-rust`.
    pub(crate) patch: String,
    pub(crate) subject: String,
    /// Relative to the project root.
    pub(crate) file: String,
}

impl Span {
    /// The patches of a target, searched from `good` to `bad`, if these are named, else as the scenario's patches say.
    ///
    /// # Errors
    ///
    /// If a name is no point of the line.
    pub(crate) fn new(
        stack: &Stack,
        of: Target,
        scenario: &Scenario,
        good: Option<&str>,
        bad: Option<&str>,
    ) -> anyhow::Result<Self> {
        let chain = stack.chain(&of)?;
        let patches: Vec<_> = chain.iter().flat_map(|(phase, count)| &phase.patches[..*count]).collect();
        let cases: Vec<String> = scenario.cases.iter().map(|case| scenario.case_id(case)).collect();
        let first =
            |case: &String| patches.iter().position(|patch| names(&patch.entry.tests, case)).map_or(0, |at| at + 1);
        let last = patches.iter().position(|patch| cases.iter().any(|case| names(&patch.entry.obsoletes, case)));
        let named = patches.iter().map(|patch| Named {
            patch: patch.id(),
            subject: patch.text.subject().to_owned(),
            file: patch.file.to_string(),
        });
        let mut span = Self { of, patches: named.collect(), good: 0, bad: last.unwrap_or(patches.len()) };
        span.good = match good {
            Some(name) => span.point(stack, name)?,
            None => cases.iter().map(first).max().unwrap_or_default(),
        };
        if let Some(name) = bad {
            span.bad = span.point(stack, name)?;
        }
        Ok(span)
    }

    /// The point of `base`, of a patch, or of the end of a phase.
    ///
    /// # Errors
    ///
    /// If it is not in the line.
    pub(crate) fn point(&self, stack: &Stack, name: &str) -> anyhow::Result<usize> {
        if name == BASE {
            return Ok(0);
        }
        let at = match stack.target_beside(name, &[BASE])? {
            Target::Phase(phase) => self.patches.iter().rposition(|one| one.patch.starts_with(&format!("{phase}/"))),
            Target::Patch(id) => self.patches.iter().position(|one| one.patch == id),
            Target::All | Target::Upto { .. } => None,
        };
        let first = self.patches.first().map_or("", |first| &first.patch);
        let last = self.patches.last().map_or("", |last| &last.patch);
        at.map(|at| at + 1).ok_or_else(|| {
            let message = format!("{name} is not among the patches that are bisected");
            Failure::usage(message, format!("name `{BASE}`, or one from {first} to {last}")).into()
        })
    }

    /// What a point is called: its last patch.
    pub(crate) fn name(&self, point: usize) -> &str {
        self.patch(point).map_or(BASE, |named| &named.patch)
    }

    /// The patch that leads to a point.
    pub(crate) fn patch(&self, point: usize) -> Option<&Named> {
        self.patches.get(point.checked_sub(1)?)
    }

    /// The kernel source at a point.
    pub(crate) fn at(&self, point: usize) -> Target {
        let last = self.patch(point).map(|named| named.patch.clone());
        Target::Upto { of: Box::new(self.of.clone()), last }
    }

    /// The point behind the last patch.
    pub(crate) fn end(&self) -> usize {
        self.patches.len()
    }
}

/// Whether tests of a patch name a case, or the scenario that it belongs to.
fn names(tests: &[String], case: &str) -> bool {
    !tests.is_empty() && Filter::new(tests.iter().cloned()).wants(case)
}
