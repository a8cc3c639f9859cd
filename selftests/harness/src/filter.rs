// SPDX-License-Identifier: GPL-2.0-only

//! Chooses cases by name.
//!
//! A name that fits nothing is an error: a misspelt one would otherwise pass by running nothing.

use crate::error::HarnessError;

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
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| fits(wanted, case))
    }

    /// Checks that every name fits one of these cases at least.
    ///
    /// # Errors
    /// [`HarnessError::NoCase`] with the cases that exist.
    pub fn check(&self, cases: &[String]) -> Result<(), HarnessError> {
        match self.wanted.iter().find(|wanted| !cases.iter().any(|case| fits(wanted, case))) {
            Some(wanted) => Err(HarnessError::NoCase { wanted: wanted.clone(), known: cases.join(", ") }),
            None => Ok(()),
        }
    }
}

fn fits(wanted: &str, case: &str) -> bool {
    case.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

    #[test]
    fn a_name_that_fits_nothing_is_an_error() {
        let cases = ["phase1/a/x".to_owned(), "phase1/b/x".to_owned()];
        assert!(Filter::all().check(&cases).is_ok() && Filter::new(["phase1/a", "phase1"]).check(&cases).is_ok());
        insta::assert_snapshot!(Filter::new(["phase1/a", "phase1/c"]).check(&cases).unwrap_err(), @r"
        there is no case `phase1/c`
          fix: name one of: phase1/a/x, phase1/b/x
        ");
    }
}
