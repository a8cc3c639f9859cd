// SPDX-License-Identifier: GPL-2.0-only

//! The kernels that people have: the base, and one at the end of each series.

use camino::Utf8Path;
use ci::check::abi_headers;
use ci::handover::Facts;
use ci::kbuild::config::{self, Value};
use stg_core::git::{Oid, Repo};
use stg_core::{Stack, Target};

use crate::kernels::{Made, Which};

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// `base`, `phase1/foundation`.
    pub(crate) name: String,
    /// The kernel.
    pub(crate) which: Which,
}

/// All of them, in the order of the stack.
pub(crate) fn ends(stack: &Stack) -> Vec<End> {
    let base = End { name: "base".to_owned(), which: Made::Base.into() };
    let series = stack.phases.iter().flat_map(|phase| {
        let last = |series: &str| phase.patches.iter().rfind(|patch| patch.series == series);
        phase.manifest.series.iter().filter_map(move |series| {
            let target = Target::Patch(last(&series.name)?.id());
            Some(End { name: format!("{}/{}", phase.name(), series.name), which: Made::At(target).into() })
        })
    });
    [base].into_iter().chain(series).collect()
}

/// What the tree of a kernel says about its hand-over, as it is configured here.
pub(crate) fn facts(repo: &Repo, tree: Oid, which: &Which, root: &Utf8Path, stack: &Stack) -> anyhow::Result<Facts> {
    let wanted = config::merge(&which.fragments(root, stack)?);
    let on = |option: &str| {
        let is_on = |value: &Value| matches!(value, Value::Set(value) if value == "y" || value == "m");
        wanted.iter().any(|one| one.symbol == option && is_on(&one.value))
    };
    let read = |path: &Utf8Path| {
        let file = repo.read(tree, path)?;
        Ok(file.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()))
    };
    Ok(Facts::read(&abi_headers(repo, tree)?, &read, &on)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Small;

    #[test]
    fn a_series_ends_with_its_last_patch() {
        let ends = ends(&Small::new().stack());
        let said: Vec<_> = ends.iter().map(|end| format!("{}: {}", end.name, end.which.label())).collect();
        assert_eq!(said, ["base: base", "phase1/all: phase1/c", "phase2/all: phase2/d"]);
    }
}
