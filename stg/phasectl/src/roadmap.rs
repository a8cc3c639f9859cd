// SPDX-License-Identifier: GPL-2.0-only

//! ROADMAP.md against what there is: the scenarios that it names exist and list the row in whose line they stand, and every row that is said
//! to be shown has a planted fault. How many scenarios have none is said as well.

use camino::Utf8Path;
use harness::scenario::Scenario;
use stg_core::stack::scenario_of;
use stg_core::{Disk, Stack};

use crate::commands::faults::coverage::Coverage;
use crate::fault::{self, Fault};
use crate::rows::{self, RowView};
use crate::scenarios;

/// The checkout that this is built from.
struct Project {
    disk: Disk,
    cases: Vec<String>,
    rows: Vec<RowView>,
    faults: Vec<String>,
}

impl Project {
    fn new() -> Self {
        let disk = Disk::new(Utf8Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap());
        let stack = Stack::load(&disk).unwrap();
        let all: Vec<Scenario> = scenarios::of_phases(&disk, &stack).unwrap();
        let faults: Vec<Fault> = fault::load(&disk, &stack, &all).unwrap();
        Self {
            cases: scenarios::cases(&all),
            rows: rows::collect(&stack, &all, &faults),
            faults: faults.iter().map(|fault| fault.mistake.id()).collect(),
            disk,
        }
    }

    /// What a line of a table says and is not so.
    fn disagreements(&self, line: &Line<'_>) -> Vec<String> {
        let row = line.cell("row").unwrap_or_default();
        let mut found = Vec::new();
        let view = self.rows.iter().find(|view| view.row == row);
        let lists = |pattern: &str| view.is_some_and(|view| view.scenarios.iter().any(|case| is_meant(pattern, case)));
        let exists = |pattern: &str| self.cases.iter().any(|case| is_meant(pattern, case));
        for pattern in line.named(is_scenario).filter(|pattern| !exists(pattern)) {
            found.push(format!("{row}: there is no scenario {pattern}"));
        }
        for pattern in line.named(is_fault) {
            if !self.faults.iter().any(|fault| fits(pattern, fault)) {
                found.push(format!("{row}: there is no fault {pattern}"));
            }
        }
        // The other tables mention scenarios, and do not say that they show the row.
        if let Some(shown_by) = line.shown_by() {
            let patterns = quoted(shown_by).filter(|name| is_scenario(name)).collect::<Vec<_>>();
            let bare = patterns.iter().filter(|pattern| exists(pattern) && !lists(pattern));
            found.extend(bare.map(|pattern| format!("{row}: {pattern} does not list the row")));
            if patterns.is_empty() && !shown_by.contains("`phasectl check`") {
                found.push(format!("{row}: nothing shows it"));
            }
            let own = |name: &str| is_fault(name) && name.starts_with(&format!("{row}-"));
            if !line.cell("faults").is_some_and(|faults| quoted(faults).any(own)) {
                found.push(format!("{row}: it has no fault"));
            }
        }
        found
    }
}

/// A line of a table.
struct Line<'a> {
    head: Vec<&'a str>,
    cells: Vec<&'a str>,
}

impl<'a> Line<'a> {
    fn cell(&self, column: &str) -> Option<&'a str> {
        self.cells.get(self.head.iter().position(|head| *head == column)?).copied()
    }

    /// What shows the row, or shows as much of it as there is so far.
    fn shown_by(&self) -> Option<&'a str> {
        self.cell("shown by").or_else(|| self.cell("shown so far by"))
    }

    /// The names of a kind in all of its cells.
    fn named(&self, kind: fn(&str) -> bool) -> impl Iterator<Item = &'a str> {
        self.cells.iter().flat_map(|cell| quoted(cell)).filter(move |name| kind(name))
    }
}

/// The lines of all tables with a column `row`.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut head: Option<Vec<&str>> = None;
    for line in text.lines() {
        let Some(line) = line.strip_prefix('|') else {
            head = None;
            continue;
        };
        let cells: Vec<&str> = line.trim_end_matches('|').split('|').map(str::trim).collect();
        match &head {
            None => head = Some(cells),
            Some(head) if head.contains(&"row") && !line.starts_with("---") => {
                lines.push(Line { head: head.clone(), cells });
            }
            Some(_) => {}
        }
    }
    lines
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `phase1/fd-preserve`, `phase1/pci-hostile-*`, `phase1/no-reset/noiommu`.
fn is_scenario(name: &str) -> bool {
    name.split_once('/').is_some_and(|(phase, _)| phase.strip_prefix("phase").is_some_and(is_number))
}

/// `1.3-*`, `X.4-leak`.
fn is_fault(name: &str) -> bool {
    let row = name.split_once('-').and_then(|(row, _)| row.split_once('.'));
    row.is_some_and(|(phase, number)| (phase == "X" || is_number(phase)) && is_number(number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a pattern means a case, or the scenario that it belongs to. One with a `*` means some of those that fit it.
fn is_meant(pattern: &str, case: &str) -> bool {
    fits(pattern, case) || fits(pattern, scenario_of(case))
}

/// Whether a name fits a pattern with at most one `*`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => pattern == name,
    }
}

#[test]
fn what_the_roadmap_says_is_so() {
    let project = Project::new();
    let text = std::fs::read_to_string(project.disk.root().join("ROADMAP.md")).unwrap();
    let lines = lines(&text);
    // Else the tables are other ones now, and nothing was compared.
    assert!(lines.iter().filter(|line| line.shown_by().is_some()).count() > 30);
    let found: Vec<String> = lines.iter().flat_map(|line| project.disagreements(line)).collect();
    assert!(found.is_empty(), "ROADMAP.md and the scenarios or faults do not say the same:\n{}", found.join("\n"));
}

#[test]
fn how_many_scenarios_have_no_fault_is_said() {
    let Project { disk, .. } = Project::new();
    let text = std::fs::read_to_string(disk.root().join("ROADMAP.md")).unwrap();
    let stack = Stack::load(&disk).unwrap();
    let all = scenarios::of_phases(&disk, &stack).unwrap();
    let faults = fault::load(&disk, &stack, &all).unwrap();
    for phase in &stack.phases {
        let mine = all.iter().filter(|scenario| scenario.id.starts_with(&format!("{}/", phase.name()))).count();
        let without = Coverage::of(&stack, phase.name(), &all, &faults).scenarios_without_fault.len();
        let said = format!("{without} of the {mine} scenarios of `{}`", phase.name());
        assert!(text.contains(&said), "write into row X.5 of ROADMAP.md: {said} have no fault of their own");
    }
}

#[test]
fn what_is_not_so_is_found() {
    let text = "| row | what | shown by | faults |
|---|---|---|---|
| 1.3 | a | `phase1/fd-preserve`, `phase1/fd-preserve/legacy`; before `vfio-exclusive-open` also `phase1/retrieve-busy` | `1.3-*` |
| 1.3 | b | `phase1/fd-preserved`, `phase1/fd-preserve/virtual` | `1.3-nobody` |
| 1.3 | c | `phase1/sriov`, `phase1/pci-hostile-*` | `1.4-*` |
| 1.3 | d | hope | `1.3-*` |
| 1.15 | e | `phasectl check` (`kconfig`) | |

| row | what | state |
|---|---|---|
| X.1 | f | `phase1/sriov` is run; `phase1/nothing` is not, nor fault `X.1-*` |
";
    let project = Project::new();
    let found: Vec<String> = lines(text).iter().flat_map(|line| project.disagreements(line)).collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    1.3: there is no scenario phase1/fd-preserved
    1.3: there is no scenario phase1/fd-preserve/virtual
    1.3: there is no fault 1.3-nobody
    1.3: phase1/sriov does not list the row
    1.3: phase1/pci-hostile-* does not list the row
    1.3: it has no fault
    1.3: nothing shows it
    1.15: it has no fault
    X.1: there is no scenario phase1/nothing
    X.1: there is no fault X.1-*
    ");
}
