// SPDX-License-Identifier: GPL-2.0-only

//! Names that users type beside those of phases and patches, which the [`Stack`](stg_core::Stack) knows.
//!
//! One that stands for nothing is an [`Error::Unknown`], whichever command it was typed for.

use std::collections::BTreeMap;

use camino::Utf8Path;
use ci::check::{self, CHECKS, Check};
use harness::needs;
use harness::scenario::Scenario;
use harness::verdict::Class;
use stg_core::{Error, Result, Source, names, yaml};

use crate::scenarios::HARNESS;
use crate::text::wrap;

/// How to see the names of all faults and of all cases that show a row.
pub(crate) const LIST_ROWS: &str = "run `phasectl list --rows` for all names";

/// How to see all checks.
pub(crate) const LIST_CHECKS: &str = "run `phasectl check --help` for all names";

/// The check of a name.
///
/// # Errors
///
/// If there is none.
pub(crate) fn check(name: &str) -> Result<&'static Check> {
    check::named(name).ok_or_else(|| {
        let known: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        Error::unknown(format!("there is no check `{name}`"), names::fix(name, &known, LIST_CHECKS))
    })
}

/// The verdict class of a name.
///
/// # Errors
///
/// If there is none.
pub(crate) fn class(name: &str) -> Result<Class> {
    name.parse().map_err(|_| {
        let known = Class::ALL.map(Class::name);
        let all = "run `phasectl bisect --help` for all names";
        Error::unknown(format!("there is no verdict class `{name}`"), names::fix(name, &known, all))
    })
}

/// For the end of a command's help.
pub(crate) fn classes_help() -> String {
    let names = Class::ALL.map(Class::name).join(", ");
    format!("Verdict classes:\n{}", wrap(&names, 100, "  ", "  ").join("\n"))
}

/// Checks that there is a variant of the name that was asked for, if any was.
///
/// # Errors
///
/// If there is none, or the file that has them is wrong.
pub(crate) fn variant(source: &dyn Source, name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let (_, all) = yaml::read::<BTreeMap<String, serde_json::Value>>(source, Utf8Path::new(needs::FILE))?;
    if all.contains_key(name) {
        return Ok(());
    }
    let known: Vec<String> = all.into_keys().collect();
    let fix = names::fix(name, &known, &format!("name one that {} has", needs::FILE));
    Err(Error::unknown(format!("there is no variant `{name}`"), fix))
}

/// What to do about a name that none of these scenarios and cases has, with its phase or without.
pub(crate) fn scenario_fix(wanted: &str, all: &[Scenario]) -> String {
    let bare = |id: &str| id.split_once('/').map_or_else(String::new, |(_, rest)| rest.to_owned());
    let mut forms = Vec::new();
    for scenario in all {
        let cases = scenario.cases.iter().map(|case| scenario.case_id(case));
        forms.extend([scenario.id.clone()].into_iter().chain(cases).flat_map(|id| [bare(&id), id]));
    }
    // In the form that was typed, and if it begins right, only what begins like it.
    let depth = |name: &str| name.matches('/').count();
    forms.retain(|form| depth(form) == depth(wanted));
    let begins = |form: &&String| wanted.rfind('/').is_some_and(|end| form.starts_with(&wanted[..=end]));
    let near: Vec<String> = forms.iter().filter(begins).cloned().collect();
    let known = if near.is_empty() { forms } else { near };
    let own = all.iter().all(|scenario| scenario.id.split('/').next() == Some(HARNESS));
    let all = if own { "look into selftests/scenarios/harness" } else { LIST_ROWS };
    names::fix(wanted, &known, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Small;

    #[test]
    fn a_scenario_is_offered_in_the_form_that_was_typed() {
        let small = Small::new().with_scenarios();
        let all = crate::scenarios::of_phases(&small.disk(), &small.stack()).unwrap();
        let fix = |wanted| scenario_fix(wanted, &all);
        assert_eq!(fix("secnd"), "did you mean `second`? There are: second, first, blackout, cost");
        assert_eq!(
            fix("phase1/frist"),
            "did you mean `phase1/first`? There are: phase1/second, phase1/first, phase1/blackout, phase1/cost"
        );
        assert_eq!(fix("second/z"), "name one of: second/x, second/y");
        assert_eq!(fix("phase1/first/xx"), "name one of: phase1/first/x");
        assert_eq!(
            fix("phase2/second/y"),
            "did you mean `phase1/second/y`? There are: phase1/second/x, phase1/second/y, phase1/first/x, phase1/blackout/x, phase1/cost/x"
        );
        assert_eq!(fix("a/b/c/d"), LIST_ROWS);
    }

    #[test]
    fn checks_and_classes() {
        let said = |error: Error| error.to_string();
        insta::assert_snapshot!(said(check("kconf").unwrap_err()), @r"
        there is no check `kconf`
          fix: did you mean `kconfig`? Else run `phasectl check --help` for all names
        ");
        insta::assert_snapshot!(said(class("restore-panik").unwrap_err()), @r"
        there is no verdict class `restore-panik`
          fix: did you mean `restore-panic`? Else run `phasectl bisect --help` for all names
        ");
        insta::assert_snapshot!(said(class("boom").unwrap_err()), @r"
        there is no verdict class `boom`
          fix: run `phasectl bisect --help` for all names
        ");
        assert_eq!(check("kconfig").unwrap().name, "kconfig");
        assert_eq!(class("pass").unwrap(), Class::Pass);
    }
}
