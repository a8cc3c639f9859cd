// SPDX-License-Identifier: GPL-2.0-only

//! Which scenarios belong to what is tested.
//!
//! A phase's scenarios are those that its manifest lists. At a patch they are those that the patches up to it name as
//! theirs: what a later patch makes pass cannot pass yet. What a patch `obsoletes:` runs before it only. `harness` stands for the harness' own scenarios, which show that
//! the harness works, with the kernel of the first phase.
//!
//! Scenarios that count instructions take minutes; they run when they are named, or by `blackout`.

use harness::filter::Filter;
use harness::scenario::{Kind, Scenario};
use stg_core::error::check;
use stg_core::stack::{Patch, scenario_of};
use stg_core::yaml::locate;
use stg_core::{Diagnostic, Error, Phase, Source, Stack, Target};

use crate::failure::Failure;
use crate::kernels::Which;
use crate::names;
use crate::text::listing;

/// The name under which the harness' own scenarios are tested.
pub(crate) const HARNESS: &str = "harness";

/// What is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The directory of the scenarios.
    pub(crate) phase: String,
    /// The kernel that they call `current`.
    pub(crate) target: Target,
}

impl Subject {
    /// What `phase1`, `phase1/kho-rust`, `kho-rust` or `harness` means.
    ///
    /// # Errors
    ///
    /// When it is none of these, or there is no phase at all.
    pub(crate) fn parse(text: &str, stack: &Stack) -> anyhow::Result<Self> {
        if text == HARNESS {
            let first =
                stack.phases.first().ok_or_else(|| Failure::other("there is no phase", "add one under phases/"))?;
            return Ok(Self { phase: HARNESS.to_owned(), target: Target::Phase(first.name().to_owned()) });
        }
        let target = stack.target_beside(text, &[HARNESS])?;
        let phase = match &target {
            Target::Patch(id) => stack.patch(id)?.0.name(),
            _ => text,
        };
        Ok(Self { phase: phase.to_owned(), target })
    }
}

/// The scenarios of a phase, or the harness' own.
///
/// # Errors
///
/// As [`of_phase`], and for an unknown phase.
pub(crate) fn load(source: &dyn Source, stack: &Stack, phase: &str) -> anyhow::Result<Vec<Scenario>> {
    if phase != HARNESS {
        return of_phase(source, stack, stack.phase(phase)?);
    }
    let all = Scenario::load_phase(source, HARNESS)?;
    check(unknown_kernels(source, stack, &all)?)?;
    Ok(all)
}

/// The scenarios that a phase's manifest lists.
///
/// # Errors
///
/// For one that does not exist or names a kernel that does not, for a file that no list mentions and a test of a patch that no
/// case answers to: neither would ever run, and nobody would notice.
pub(crate) fn of_phase(source: &dyn Source, stack: &Stack, phase: &Phase) -> anyhow::Result<Vec<Scenario>> {
    let listed = &phase.manifest.scenarios;
    let all = Scenario::load_phase(source, phase.name())?;
    let mut wrong: Vec<Diagnostic> = unknown_kernels(source, stack, &all)?;
    for scenario in all.iter().filter(|scenario| !listed.contains(&scenario.id)) {
        let message = format!("{} is not in `scenarios:` of {}, so it would never run", scenario.id, phase.file);
        wrong.push(Diagnostic::new(&scenario.path, message, "list it there, or delete the file"));
    }
    for id in listed.iter().filter(|id| all.iter().all(|scenario| scenario.id != **id)) {
        let message = format!("missing file: selftests/scenarios/{id}.yaml");
        wrong.push(Diagnostic::new(&phase.file, message, format!("write it, or take {id} out of `scenarios:`")));
    }
    let cases = cases(&all);
    for patch in &phase.patches {
        // That some phase lists the scenario was checked with the manifest.
        let named = patch.entry.tests.iter().chain(&patch.entry.obsoletes);
        for test in named.filter(|test| all.iter().any(|scenario| scenario.id == scenario_of(test))) {
            if Filter::new([test.clone()]).check(&cases).is_err() {
                let message = format!("patch `{}` names the test `{test}`, which does not exist", patch.entry.name);
                wrong.push(Diagnostic::new(&phase.file, message, names::scenario_fix(test, &all)));
            }
        }
    }
    if wrong.is_empty() {
        // In the manifest's order, which its author chose.
        let place = |scenario: &Scenario| listed.iter().position(|id| *id == scenario.id);
        let mut all = all;
        all.sort_by_key(place);
        all.iter_mut().for_each(|scenario| scenario.limit_blackout(phase.manifest.budgets.blackout_percent));
        return Ok(all);
    }
    Err(Error::Invalid(wrong).into())
}

/// Kernels that scenarios name and that nothing is called: a mistake in their files, found before anything is built.
fn unknown_kernels(source: &dyn Source, stack: &Stack, all: &[Scenario]) -> stg_core::Result<Vec<Diagnostic>> {
    let mut wrong = Vec::new();
    for scenario in all {
        for name in scenario.kernel_names() {
            if Which::named(name, &Target::All, stack, None).is_err() {
                let text = source.read(&scenario.path)?.map(|file| file.bytes).unwrap_or_default();
                let (line, column) = locate(&String::from_utf8_lossy(&text), "kernels", name);
                let fix =
                    "name `current`, `gate-off`, `base`, a phase or a patch, and a variant behind a `+` if need be";
                let found = Diagnostic::new(&scenario.path, format!("there is no kernel `{name}`"), fix);
                wrong.push(found.at(line).column(column));
            }
        }
    }
    Ok(wrong)
}

/// The scenarios of every phase.
///
/// # Errors
///
/// As [`of_phase`], with the mistakes of all phases.
pub(crate) fn of_phases(source: &dyn Source, stack: &Stack) -> anyhow::Result<Vec<Scenario>> {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for phase in &stack.phases {
        match of_phase(source, stack, phase) {
            Ok(scenarios) => all.extend(scenarios),
            Err(error) => match error.downcast_ref() {
                Some(Error::Invalid(more)) => wrong.extend(more.iter().cloned()),
                _ => return Err(error),
            },
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(Error::Invalid(wrong).into()) }
}

/// Chooses what runs: `wanted` by name if there is any, else everything that belongs to the subject. The scenarios have the cases that are
/// chosen, and no others.
///
/// # Errors
///
/// If a wanted name fits nothing, and if nothing is there to run.
pub(crate) fn select(
    source: &dyn Source,
    stack: &Stack,
    subject: &Subject,
    wanted: &[String],
) -> anyhow::Result<Vec<Scenario>> {
    let mut all = load(source, stack, &subject.phase)?;
    if !wanted.is_empty() {
        let filter = named(&all, &[&subject.phase], wanted)?;
        return Ok(all.iter().filter_map(|scenario| only(scenario, &filter)).collect());
    }
    all.retain(|scenario| !scenario.kind.exact());
    let chosen: Vec<Scenario> = match &subject.target {
        Target::Patch(id) => {
            let tests = tests_up_to(stack, id)?;
            if tests.is_empty() {
                let message = format!("no test passes yet at {id}: neither it nor a patch before it names one");
                let first = stack.phase(&subject.phase)?.patches.iter().find(|patch| !patch.entry.tests.is_empty());
                let fix = match first {
                    Some(first) => format!("test {}, which is the first to name one, or a later patch", first.id()),
                    None => format!("test a phase that has any: {}", listing(&testable(stack))),
                };
                return Err(Failure::untestable(message, fix).into());
            }
            let filter = Filter::new(tests);
            all.iter().filter_map(|scenario| only(scenario, &filter)).collect()
        }
        _ => {
            let own = stack.phases.iter().filter(|phase| phase.name() == subject.phase);
            drop_obsolete(own.flat_map(|phase| &phase.patches), &mut all);
            all
        }
    };
    if chosen.is_empty() {
        let message = format!("{} has no scenario to run", subject.phase);
        let fix = format!("test a phase that has any: {}", listing(&testable(stack)));
        return Err(Failure::untestable(message, fix).into());
    }
    Ok(chosen)
}

/// Chooses of the scenarios of the phases below the subject, which must pass on its kernel as well: `wanted` by name if there is any, else all
/// that do not count instructions.
///
/// # Errors
///
/// If a wanted name fits nothing, and if nothing is there to run.
pub(crate) fn inherited(
    source: &dyn Source,
    stack: &Stack,
    subject: &Subject,
    wanted: &[String],
) -> anyhow::Result<Vec<Scenario>> {
    let chain = if subject.phase == HARNESS { Vec::new() } else { stack.chain(&subject.target)? };
    let below: Vec<&Phase> =
        chain.iter().map(|&(phase, _)| phase).filter(|phase| phase.name() != subject.phase).collect();
    let mut all = Vec::new();
    for phase in &below {
        all.extend(of_phase(source, stack, phase)?);
    }
    if all.is_empty() {
        let message = format!("{} has no scenario to inherit", subject.phase);
        return Err(Failure::untestable(message, "run it without --inherited").into());
    }
    if wanted.is_empty() {
        drop_obsolete(chain.iter().flat_map(|&(phase, count)| &phase.patches[..count]), &mut all);
        all.retain(|scenario| !scenario.kind.exact());
        return Ok(all);
    }
    let names: Vec<&str> = below.iter().map(|phase| phase.name()).collect();
    let filter = named(&all, &names, wanted)?;
    Ok(all.iter().filter_map(|scenario| only(scenario, &filter)).collect())
}

/// The scenario that any kernel passes, also the base: a memfd is preserved.
pub(crate) const ANY_KERNEL: &str = "harness/memfd";

/// What shows that the kernel at a patch does what it must, out of the scenarios of its phase: the cases that pass there, without those that
/// are slow or count instructions. Where none of them goes through a kexec, that of `any_kernel` does.
///
/// # Errors
///
/// If there is no such patch.
pub(crate) fn at_patch(
    stack: &Stack,
    id: &str,
    all: &[Scenario],
    any_kernel: &Scenario,
) -> stg_core::Result<Vec<Scenario>> {
    let tests = tests_up_to(stack, id)?;
    let mut scenarios = Vec::new();
    // A filter without names would fit everything.
    if !tests.is_empty() {
        let filter = Filter::new(tests);
        let quick = all.iter().filter(|scenario| !scenario.kind.exact() && !scenario.slow);
        scenarios.extend(quick.filter_map(|scenario| only(scenario, &filter)));
    }
    if !scenarios.iter().any(|scenario| matches!(scenario.kind, Kind::Handover(_))) {
        scenarios.push(any_kernel.clone());
    }
    Ok(scenarios)
}

/// A scenario with those of its cases that are wanted, if any is.
pub(crate) fn only(scenario: &Scenario, filter: &Filter) -> Option<Scenario> {
    let mut scenario = scenario.clone();
    let cases = std::mem::take(&mut scenario.cases);
    scenario.cases = cases.into_iter().filter(|case| filter.wants(&scenario.case_id(case))).collect();
    (!scenario.cases.is_empty()).then_some(scenario)
}

/// The phases that have scenarios.
fn testable(stack: &Stack) -> Vec<&str> {
    stack.phases.iter().filter(|phase| !phase.manifest.scenarios.is_empty()).map(Phase::name).collect()
}

/// The tests that the patches of a phase name, up to and including this one.
fn tests_up_to(stack: &Stack, id: &str) -> stg_core::Result<Vec<String>> {
    let (phase, last) = stack.patch(id)?;
    let end = phase.patches.iter().position(|patch| patch.entry.name == last.entry.name).map_or(0, |index| index + 1);
    let upto = &phase.patches[..end];
    let obsolete: Vec<&String> = upto.iter().flat_map(|patch| &patch.entry.obsoletes).collect();
    let tests = upto.iter().flat_map(|patch| &patch.entry.tests);
    Ok(tests.filter(|test| !obsolete.contains(test)).cloned().collect())
}

/// Takes out the cases that one of the patches makes obsolete.
fn drop_obsolete<'a>(patches: impl Iterator<Item = &'a Patch>, all: &mut Vec<Scenario>) {
    let obsolete: Vec<String> = patches.flat_map(|patch| patch.entry.obsoletes.clone()).collect();
    // A filter without names would fit everything.
    if obsolete.is_empty() {
        return;
    }
    let obsolete = Filter::new(obsolete);
    for scenario in all.iter_mut() {
        let mut cases = std::mem::take(&mut scenario.cases);
        cases.retain(|case| !obsolete.wants(&scenario.case_id(case)));
        scenario.cases = cases;
    }
    all.retain(|scenario| !scenario.cases.is_empty());
}

/// A filter for names with or without their phase; each must fit something.
fn named(all: &[Scenario], phases: &[&str], wanted: &[String]) -> stg_core::Result<Filter> {
    let cases = cases(all);
    let fits = |name: &String| Filter::new([name.clone()]).check(&cases).is_ok();
    let mut names = Vec::new();
    for name in wanted {
        let within = phases.iter().map(|phase| format!("{phase}/{name}"));
        let found = [name.clone()].into_iter().chain(within).find(fits);
        names.push(found.ok_or_else(|| {
            let message = format!("{} has no scenario `{name}`", listing(phases));
            Error::unknown(message, names::scenario_fix(name, all))
        })?);
    }
    Ok(Filter::new(names))
}

/// Every case by its full name.
pub(crate) fn cases(all: &[Scenario]) -> Vec<String> {
    all.iter().flat_map(|scenario| scenario.cases.iter().map(|case| scenario.case_id(case))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judged::inputs;
    use crate::testing::Small;

    /// The cases that would run, in order.
    fn chosen(target: &str, wanted: &[&str]) -> String {
        chosen_in(&Small::new().with_scenarios(), target, wanted)
    }

    fn chosen_in(small: &Small, target: &str, wanted: &[&str]) -> String {
        let stack = small.stack();
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let subject = Subject::parse(target, &stack).unwrap();
        select(&small.disk(), &stack, &subject, &wanted)
            .map_or_else(|error| error.to_string(), |all| cases(&all).join(" "))
    }

    #[test]
    fn a_phase_runs_what_it_lists_in_its_order_but_nothing_that_counts_instructions() {
        assert_eq!(chosen("phase1", &[]), "phase1/second/x phase1/second/y phase1/first/x");
    }

    #[test]
    fn a_patch_runs_what_passes_by_then() {
        assert!(chosen("a", &[]).contains("no test passes yet"));
        assert_eq!(chosen("phase1/b", &[]), "phase1/second/y");
        assert_eq!(chosen("c", &[]), "phase1/second/y phase1/first/x");
    }

    #[test]
    fn a_test_that_counts_instructions_is_left_out_at_its_patch_too() {
        let small = Small::new().with_scenarios();
        let manifest = std::fs::read_to_string(small.root().join("phases/phase1/phase.yaml")).unwrap();
        small.put("phases/phase1/phase.yaml", &manifest.replace("[phase1/first]", "[phase1/first, phase1/cost]"));
        assert_eq!(chosen_in(&small, "c", &[]), "phase1/second/y phase1/first/x");
    }

    #[test]
    fn the_budget_of_a_phase_is_that_of_its_blackouts_and_part_of_what_they_are() {
        let small = Small::new().with_scenarios();
        let (disk, ids) = (small.disk(), ["phase1/blackout", "phase1/cost"]);
        let loaded = || {
            let all = load(&disk, &small.stack(), "phase1").unwrap();
            ids.map(|id| all.iter().find(|scenario| scenario.id == id).unwrap().clone())
        };
        let budget = |scenario: &Scenario| match scenario.kind {
            Kind::Blackout { budget_percent, .. } => budget_percent,
            _ => None,
        };
        let hashes = |all: &[Scenario]| all.iter().map(|one| inputs::scenario(&disk, one).unwrap()).collect::<Vec<_>>();
        let without = loaded();
        small.replace("phases/phase1/phase.yaml", "slug: one\n", "slug: one\nbudgets: { blackout_percent: 1.5 }\n");
        let with = loaded();
        assert_eq!(without.each_ref().map(budget), [None, None]);
        assert_eq!(with.each_ref().map(budget), [Some(1.5), None]);
        let (without, with) = (hashes(&without), hashes(&with));
        assert_ne!(without[0], with[0]);
        assert_eq!(without[1], with[1]);
    }

    #[test]
    fn what_a_patch_makes_obsolete_runs_before_it_only() {
        let small = Small::new().with_scenarios();
        let path = small.disk().root().join("phases/phase1/phase.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        small.put(
            "phases/phase1/phase.yaml",
            &text.replace("tests: [phase1/first]", "tests: [phase1/first], obsoletes: [phase1/second/y]"),
        );
        assert_eq!(chosen_in(&small, "phase1/b", &[]), "phase1/second/y");
        assert_eq!(chosen_in(&small, "phase1/c", &[]), "phase1/first/x");
        assert_eq!(chosen_in(&small, "phase1", &[]), "phase1/second/x phase1/first/x");
        // Named, it runs all the same.
        assert_eq!(chosen_in(&small, "phase1", &["second/y"]), "phase1/second/y");
    }

    #[test]
    fn what_shows_that_a_patch_works_is_quick_and_goes_through_a_kexec() {
        let small = Small::new().with_scenarios();
        let (disk, stack) = (small.disk(), small.stack());
        let mut all = load(&disk, &stack, "phase1").unwrap();
        let mut memfd = all[0].clone();
        memfd.id = ANY_KERNEL.to_owned();
        let at = |id: &str, all: &[Scenario]| cases(&at_patch(&stack, id, all, &memfd).unwrap()).join(" ");
        assert_eq!(at("phase1/a", &all), "harness/memfd/x harness/memfd/y");
        assert_eq!(at("phase1/b", &all), "phase1/second/y");
        assert_eq!(at("phase1/c", &all), "phase1/second/y phase1/first/x");
        // A KUnit run kexecs nothing, and a slow one is left out.
        all[0].kind = Kind::Kunit(vec!["suite".to_owned()]);
        all[1].slow = true;
        assert_eq!(at("phase1/c", &all), "phase1/second/y harness/memfd/x harness/memfd/y");
    }

    #[test]
    fn a_phase_inherits_what_those_below_it_list_but_for_what_it_makes_obsolete() {
        let small = Small::new().with_scenarios();
        let inherited = |target: &str, wanted: &[&str]| {
            let stack = small.stack();
            let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
            let subject = Subject::parse(target, &stack).unwrap();
            inherited(&small.disk(), &stack, &subject, &wanted)
                .map_or_else(|error| error.to_string(), |all| cases(&all).join(" "))
        };
        assert!(inherited("phase1", &[]).contains("phase1 has no scenario to inherit"));
        assert!(inherited(HARNESS, &[]).contains("harness has no scenario to inherit"));
        assert_eq!(inherited("phase2", &[]), "phase1/second/x phase1/second/y phase1/first/x");
        small.replace("phases/phase2/phase.yaml", "{ name: d }", "{ name: d, obsoletes: [phase1/second/y] }");
        assert_eq!(inherited("phase2", &[]), "phase1/second/x phase1/first/x");
        assert_eq!(inherited("d", &[]), "phase1/second/x phase1/first/x");
        assert_eq!(inherited("phase2", &["blackout"]), "phase1/blackout/x");
        assert_eq!(inherited("phase2", &["phase1/first", "second/x"]), "phase1/second/x phase1/first/x");
        // Named, it runs all the same.
        assert_eq!(inherited("phase2", &["second/y"]), "phase1/second/y");
        assert!(inherited("phase2", &["nothing"]).contains("phase1 has no scenario `nothing`"));
    }

    #[test]
    fn named_ones_run_whatever_they_are() {
        assert_eq!(chosen("phase1", &["blackout"]), "phase1/blackout/x");
        assert_eq!(chosen("phase1", &["cost"]), "phase1/cost/x");
        assert_eq!(chosen("a", &["phase1/first", "second/x"]), "phase1/second/x phase1/first/x");
        // A name is a whole name.
        assert!(chosen("phase1", &["fir"]).contains("phase1 has no scenario `fir`"));
    }

    #[test]
    fn the_harness_is_tested_with_the_first_phase() {
        let stack = Small::new().stack();
        let subject = Subject::parse(HARNESS, &stack).unwrap();
        assert_eq!(subject, Subject { phase: HARNESS.to_owned(), target: Target::Phase("phase1".to_owned()) });
    }
}
