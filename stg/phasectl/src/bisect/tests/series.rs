// SPDX-License-Identifier: GPL-2.0-only

//! A bug at each patch of this project's own stack, in turn, with patches in between that do not build.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use ci::bisect::{Answer, Bisect, CONFIRMATIONS, Conclusion, Question, Refusal};
use harness::scenario::Scenario;
use stg_core::{Disk, Stack, Target};

use super::replay::{Dice, SCENARIO, Scripted, tested};
use crate::bisect::hunt::{Hunted, Tested, hunt};
use crate::bisect::scenario;
use crate::bisect::span::Span;
use crate::bisect::walk::{self, Side};

fn project() -> (Stack, Disk) {
    let disk = Disk::new(Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
    (Stack::load(&disk).unwrap(), disk)
}

fn named(name: &str) -> (Stack, Scenario) {
    let (stack, disk) = project();
    let scenario = scenario(&disk, &stack, &Target::All, name).unwrap();
    (stack, scenario)
}

/// The whole stack from the base on.
fn whole() -> Span {
    let (stack, scenario) = named(SCENARIO);
    Span::new(&stack, Target::All, &scenario, Some("base"), None).unwrap()
}

fn find(span: &Span, test: impl FnMut(Question) -> Tested) -> Hunted {
    let search = Bisect::new(span.good, span.bad, CONFIRMATIONS).unwrap();
    hunt(search, &mut Scripted(test), &mut |_, _| Ok(())).unwrap()
}

fn unbuildable() -> Tested {
    Tested { answer: Answer::Untestable, class: None, reason: "does not build".to_owned(), known: false }
}

fn kernels(hunted: &Hunted) -> usize {
    hunted.asked.iter().map(|asked| asked.question.point).collect::<BTreeSet<_>>().len()
}

#[test]
fn a_bug_at_each_patch_is_found_and_how_many_kernels_that_takes() {
    let span = whole();
    let (mut kernels_at_most, mut runs_at_most) = (0, 0);
    for guilty in 1..=span.end() {
        let hunted = find(&span, |question| tested(question.point < guilty));
        assert_eq!(hunted.conclusion, Conclusion::Culprit(guilty), "{}", span.name(guilty));
        kernels_at_most = kernels_at_most.max(kernels(&hunted));
        runs_at_most = runs_at_most.max(hunted.asked.len());
    }
    // Both ends, then halves; the last two points so many times more.
    let halves = span.end().next_power_of_two().ilog2() as usize;
    println!("{} patches: at most {kernels_at_most} kernels and {runs_at_most} runs", span.end());
    assert_eq!((kernels_at_most, runs_at_most), (2 + halves, 2 + halves + 2 * CONFIRMATIONS));
}

#[test]
fn patches_that_do_not_build_are_skipped() {
    let span = whole();
    let end = span.end();
    let mut kernels_at_most = 0;
    for guilty in 1..=end {
        // Every third, everything around but the two that matter, and a run of five on either side.
        let holes: [&dyn Fn(usize) -> bool; 4] = [
            &|point| point % 3 == 1,
            &|point| point != guilty && point + 1 != guilty && point.abs_diff(guilty) < 8,
            &|point| point > guilty && point <= guilty + 5,
            &|point| point + 1 < guilty && point + 6 >= guilty,
        ];
        for hole in holes {
            let hole = |point: usize| hole(point) && point != 0 && point != end;
            let hunted =
                find(
                    &span,
                    |question| {
                        if hole(question.point) { unbuildable() } else { tested(question.point < guilty) }
                    },
                );
            let good = (0..guilty).rev().find(|&point| !hole(point)).unwrap();
            let bad = (guilty..=end).find(|&point| !hole(point)).unwrap();
            let expected = if good + 1 == bad {
                Conclusion::Culprit(guilty)
            } else {
                Conclusion::Suspects { first: good + 1, last: bad, contradictory: Vec::new() }
            };
            assert_eq!(hunted.conclusion, expected, "{}", span.name(guilty));
            kernels_at_most = kernels_at_most.max(kernels(&hunted));
        }
    }
    println!("with patches that do not build: at most {kernels_at_most} of {} kernels", end + 1);
    assert!(kernels_at_most <= end, "{kernels_at_most} of {end}");
}

/// Searches for each patch with answers that are changed, and counts who is named, who is among suspects, and who is innocent.
fn with_lies(seed: u64, span: &Span, lies: &mut dyn FnMut(&mut Dice, Question, bool) -> bool) -> [usize; 3] {
    let mut dice = Dice::new(seed);
    let [mut named, mut suspected, mut innocent] = [0; 3];
    for guilty in 1..=span.end() {
        let hunted = find(span, |question| {
            let truth = question.point < guilty;
            tested(truth != lies(&mut dice, question, truth))
        });
        match hunted.conclusion {
            Conclusion::Culprit(patch) if patch == guilty => named += 1,
            Conclusion::Suspects { first, last, ref contradictory } => {
                assert!(!contradictory.is_empty());
                if (first..=last).contains(&guilty) { suspected += 1 } else { innocent += 1 }
            }
            // An end that says the wrong thing every time: nobody is named.
            Conclusion::Refused(Refusal::GoodIsBad | Refusal::BadIsGood) => suspected += 1,
            Conclusion::Culprit(_) | Conclusion::Refused(_) => innocent += 1,
        }
    }
    [named, suspected, innocent]
}

#[test]
fn a_flaky_scenario_names_no_innocent_patch() {
    let span = whole();
    for seed in 1..=20 {
        // However often it lies: if not at each of the first trials at a point, nobody is named who is innocent.
        for one_in in [2, 3, 5, 8] {
            let mut wrong = BTreeMap::new();
            let [named, suspected, innocent] = with_lies(seed, &span, &mut |dice, question, _| {
                let wrong = wrong.entry(question.point).or_insert(0);
                if question.trial == 0 {
                    *wrong = 0;
                }
                let lies = dice.one_in(one_in) && *wrong < CONFIRMATIONS;
                *wrong += usize::from(lies);
                lies
            });
            assert_eq!((innocent, named + suspected), (0, span.end()), "seed {seed}, one in {one_in}");
        }
    }
}

#[test]
fn a_scenario_that_fails_now_and_then_blames_an_innocent_patch_less_than_once_in_300_searches() {
    let span = whole();
    let mut total = [0; 3];
    for seed in 1..=40 {
        // It fails without a reason, and never passes without one.
        let counts = with_lies(seed, &span, &mut |dice, _, truth| truth && dice.one_in(5));
        (0..3).for_each(|at| total[at] += counts[at]);
    }
    let [named, suspected, innocent] = total;
    let searches = 40 * span.end();
    assert_eq!(named + suspected + innocent, searches);
    assert!(innocent * 300 <= searches, "{innocent} of {searches}");
    assert!(named > searches / 10, "{named} of {searches} are named all the same");
}

#[test]
fn the_ends_are_what_the_manifest_says() {
    let ends = |name: &str| {
        let (stack, scenario) = named(name);
        let span = Span::new(&stack, Target::All, &scenario, None, None).unwrap();
        (span.name(span.good).to_owned(), span.bad == span.end(), span.name(span.bad + 1).to_owned())
    };
    assert_eq!(ends("pci-bus-master").0, "phase1/pci-bus-master");
    assert_eq!(ends("phase1/intree-vfio").0, "base", "no patch makes it pass");
    assert_eq!(ends("harness/memfd"), ("base".to_owned(), true, "base".to_owned()));
    let busy = ends("retrieve-busy");
    assert_eq!(busy, ("phase1/vfio-retrieve".to_owned(), false, "phase1/vfio-exclusive-open".to_owned()));
}

#[test]
fn kernels_that_walk() {
    let of = |name: &str| walk::sides(&named(name).1);
    assert_eq!(of("fd-preserve"), [Side::Outgoing, Side::Incoming]);
    assert_eq!(of("modules-mixed"), [Side::Outgoing, Side::Incoming], "whatever their variants");
    assert_eq!(of("kunit-kho"), [Side::Outgoing], "there is no other");
    let refused = walk::check(&named("kunit-kho").1, Some(Side::Incoming)).unwrap_err().to_string();
    assert!(refused.starts_with("the incoming kernel of phase1/kunit-kho is not one"), "{refused}");
    assert!(walk::check(&named("kunit-kho").1, None).is_ok());
}

#[test]
fn names_of_points() {
    let (stack, scenario) = named("sample");
    let span = |good, bad| Span::new(&stack, Target::Phase("phase1".to_owned()), &scenario, good, bad);
    let chosen = span(Some("phase1/kho-rust"), Some("vfio-retrieve")).unwrap();
    assert_eq!((chosen.name(chosen.good), chosen.name(chosen.bad)), ("phase1/kho-rust", "phase1/vfio-retrieve"));
    assert_eq!(span(None, Some("phase1")).unwrap().bad, chosen.end());
    assert!(span(Some("no-such-patch"), None).is_err());
    let short = Span::new(&stack, Target::Patch("phase1/kho-rust".to_owned()), &scenario, None, Some("vfio-retrieve"));
    let error = short.unwrap_err().to_string();
    assert!(error.contains("vfio-retrieve is not among the patches") && error.contains("phase1/kho-rust"), "{error}");
}
