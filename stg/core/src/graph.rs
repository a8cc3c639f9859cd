// SPDX-License-Identifier: GPL-2.0-only

//! The order of phases.
//!
//! `requires:` makes a graph; the stack needs a line. Among the phases whose requirements are all placed, the one whose
//! name comes first is next, so that the line is the same everywhere and a new phase at the end moves no other.

use std::collections::{BTreeMap, BTreeSet};

/// `name -> names it requires`. Names that are not keys are ignored.
pub type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Every phase after the phases it requires.
///
/// # Errors
/// The names along a cycle, beginning and ending with the same name.
pub fn order<'a>(graph: &Graph<'a>) -> Result<Vec<&'a str>, Vec<&'a str>> {
    let mut placed: Vec<&str> = Vec::new();
    while placed.len() < graph.len() {
        let ready =
            |needs: &BTreeSet<&str>| needs.iter().all(|need| placed.contains(need) || !graph.contains_key(need));
        let next = graph.iter().find(|(name, needs)| !placed.contains(*name) && ready(needs));
        match next {
            Some((name, _)) => placed.push(name),
            None => return Err(cycle(graph, &placed)),
        }
    }
    Ok(placed)
}

/// A phase with everything it requires, directly or not.
pub fn closure<'a>(graph: &Graph<'a>, name: &'a str) -> BTreeSet<&'a str> {
    let mut inside = BTreeSet::from([name]);
    let mut open = vec![name];
    while let Some(next) = open.pop() {
        for need in graph.get(next).into_iter().flatten() {
            if inside.insert(need) {
                open.push(need);
            }
        }
    }
    inside
}

/// Follows unplaced requirements until a name comes twice. Every unplaced phase has an unplaced requirement, else it
/// would have been placed; so the walk cannot end before.
fn cycle<'a>(graph: &Graph<'a>, placed: &[&'a str]) -> Vec<&'a str> {
    let open = |name: &&&str| graph.contains_key(**name) && !placed.contains(*name);
    let mut path: Vec<&str> = Vec::new();
    let mut next = graph.keys().find(|name| !placed.contains(*name)).copied();
    while let Some(name) = next {
        if let Some(start) = path.iter().position(|earlier| *earlier == name) {
            path.drain(..start);
            path.push(name);
            break;
        }
        path.push(name);
        next = graph.get(name).and_then(|needs| needs.iter().find(open).copied());
    }
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph<'a>(edges: &[(&'a str, &[&'a str])]) -> Graph<'a> {
        edges.iter().map(|(name, needs)| (*name, needs.iter().copied().collect())).collect()
    }

    #[test]
    fn ties_are_broken_by_name() {
        let graph = graph(&[
            ("phase5", &["phase4"]),
            ("phase4", &["phase2", "phase3"]),
            ("phase3", &["phase1"]),
            ("phase2", &["phase1"]),
            ("phase1", &[]),
        ]);
        assert_eq!(order(&graph).unwrap(), ["phase1", "phase2", "phase3", "phase4", "phase5"]);
        assert_eq!(closure(&graph, "phase3"), BTreeSet::from(["phase1", "phase3"]));
    }

    #[test]
    fn a_cycle_is_named_without_the_way_to_it() {
        let graph = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["d"]), ("d", &["b"]), ("e", &[])]);
        assert_eq!(order(&graph).unwrap_err(), ["b", "c", "d", "b"]);
    }

    proptest! {
        #[test]
        fn requirements_come_first(edges in proptest::collection::vec((0_usize..8, 0_usize..8), 0..20)) {
            const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let mut graph: Graph<'_> = NAMES.iter().map(|name| (*name, BTreeSet::new())).collect();
            for (from, to) in edges {
                graph.entry(NAMES[from]).or_default().insert(NAMES[to]);
            }
            match order(&graph) {
                Ok(line) => {
                    let place = |name: &str| line.iter().position(|other| *other == name).unwrap();
                    prop_assert_eq!(line.len(), NAMES.len());
                    for (name, needs) in &graph {
                        prop_assert!(needs.iter().all(|need| place(need) < place(name)));
                    }
                }
                Err(cycle) => {
                    prop_assert!(cycle.len() > 1 && cycle.first() == cycle.last());
                    prop_assert!(cycle.windows(2).all(|two| graph[two[0]].contains(two[1])));
                }
            }
        }
    }
}
