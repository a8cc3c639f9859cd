// SPDX-License-Identifier: GPL-2.0-only

//! Chooses cases by name.

/// Chooses cases of scenarios: all, a phase (`phase1`), a scenario (`phase1/fd-preserve`) or a case
/// (`phase1/fd-preserve/legacy`). Several choices are joined.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    wanted: Vec<String>,
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// The named ones; with no names, everything.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self { wanted: names.into_iter().map(|name| name.into().trim_matches('/').to_owned()).collect() }
    }

    /// Whether the case of this name (`phase1/fd-preserve/legacy`) is wanted.
    pub fn wants(&self, case: &str) -> bool {
        self.wanted.is_empty()
            || self.wanted.iter().any(|wanted| {
                case.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_components_count() {
        let case = "phase1/fd-preserve/legacy";
        for wanted in ["phase1", "phase1/fd-preserve", "phase1/fd-preserve/", case] {
            assert!(Filter::new([wanted]).wants(case), "{wanted}");
        }
        for wanted in ["phase", "phase1/fd", "phase1/fd-preserve/leg", "legacy"] {
            assert!(!Filter::new([wanted]).wants(case), "{wanted}");
        }
        assert!(Filter::all().wants(case));
        assert!(Filter::new(["phase2", "phase1"]).wants(case));
    }
}
