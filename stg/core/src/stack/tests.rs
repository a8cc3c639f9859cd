// SPDX-License-Identifier: GPL-2.0-only

//! Order, targets, and cycles.

use super::*;
use crate::testing::World;

#[test]
fn targets_and_chains() {
    let stack = World::new().load().unwrap();
    let names = |target: &Target| -> Vec<(String, usize)> {
        stack.chain(target).unwrap().into_iter().map(|(phase, count)| (phase.name().to_owned(), count)).collect()
    };
    assert_eq!(names(&Target::All), [("phase1".to_owned(), 3), ("phase2".to_owned(), 1)]);
    assert_eq!(names(&stack.target("phase1").unwrap()), [("phase1".to_owned(), 3)]);
    assert_eq!(stack.target("track").unwrap(), Target::Patch("phase1/track".to_owned()));
    assert_eq!(names(&stack.target("phase1/track").unwrap()), [("phase1".to_owned(), 2)]);
    assert_eq!(stack.dependants("phase1").iter().map(|phase| phase.name()).collect::<Vec<_>>(), ["phase2"]);
    assert!(stack.dependants("phase2").is_empty());
    insta::assert_snapshot!(stack.target("phase9").unwrap_err(), @r"
    there is no phase or patch `phase9`
      fix: did you mean `phase1` or `phase2`? There are: phase1, phase2, kho, track, docs, domain
    ");
    insta::assert_snapshot!(stack.target("phase2/track").unwrap_err(), @r"
    there is no phase or patch `phase2/track`
      fix: did you mean `phase1/track`? There are: phase1, phase2, phase1/kho, phase1/track, phase1/docs, phase2/domain
    ");
}

#[test]
fn the_beginning_of_a_line() {
    let stack = World::new().load().unwrap();
    let names = |of: &Target, last: Option<&str>| {
        let target = Target::Upto { of: Box::new(of.clone()), last: last.map(str::to_owned) };
        let chain = stack.chain(&target)?;
        Ok(chain.into_iter().map(|(phase, count)| (phase.name(), count)).collect::<Vec<_>>())
    };
    let ok = |of: &Target, last| -> Vec<(&str, usize)> {
        names(of, last).map_err(|error: Error| error.to_string()).unwrap()
    };
    assert_eq!(ok(&Target::All, None), []);
    assert_eq!(ok(&Target::All, Some("phase1/track")), [("phase1", 2)]);
    assert_eq!(ok(&Target::All, Some("phase2/domain")), [("phase1", 3), ("phase2", 1)]);
    let first = Target::Patch("phase1/kho".to_owned());
    assert_eq!(ok(&first, Some("phase1/kho")), [("phase1", 1)]);
    assert!(names(&first, Some("phase1/track")).unwrap_err().to_string().contains("no part of what ends there"));
}

#[test]
fn cycle_in_requires() {
    let world = World::new();
    world.replace("phases/phase1/phase.yaml", "requires: []", "requires:\n  - phase2 # of all phases");
    insta::assert_snapshot!(world.error(), @r"
    phases/phase1/phase.yaml:5:5: cycle in `requires`: phase1 -> phase2 -> phase1
      fix: remove one of these requirements: a phase can only build on phases before it
    ");
}
