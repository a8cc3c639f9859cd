// SPDX-License-Identifier: GPL-2.0-only

//! A bug at each patch of the real order, in turn, found on the bench: in a phase and in the whole stack, in both kernels and in one, with
//! patches in between that do not build, and with a scenario that fails at random.
//!
//! An image is the names of its patches, and who judges it knows which of them is the bug. So nothing changes in the tree from search to
//! search, and each kernel is made once for all of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;

use camino::Utf8PathBuf;
use ci::bisect::{Answer, CONFIRMATIONS, Conclusion, Refusal};
use harness::scenario::Kernels;
use stg_core::Target;

use super::replay::{Dice, SCENARIO, judged};
use super::world::{Found, World};
use crate::bisect::bench::Tally;
use crate::bisect::cross::Crossing;
use crate::bisect::scenario;
use crate::bisect::span::Span;
use crate::bisect::walk::{Side, Walk};
use crate::judged::{Judged, Known, Question};

const WALKS: [Option<Side>; 3] = [None, Some(Side::Outgoing), Some(Side::Incoming)];

/// A bug.
#[derive(Clone, Copy)]
struct Bug<'a> {
    patch: &'a str,
    /// Its number.
    point: usize,
    /// The kernel in which it matters.
    side: Side,
}

/// Hears of each search that ended.
type Seen<'a> = dyn FnMut(&Span, Option<Side>, Bug<'_>, &Found) + 'a;

/// The patches in each image, which is read once.
#[derive(Default)]
struct Images(RefCell<BTreeMap<Utf8PathBuf, Vec<String>>>);

impl Images {
    /// Whether a scenario fails with a bug.
    fn broken(&self, bug: Bug<'_>, question: &Question<'_>) -> bool {
        let (_, name) = bug.patch.split_once('/').unwrap();
        let path = &question.kernels[bug.side.name()].bzimage;
        let read = || std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
        self.0.borrow_mut().entry(path.clone()).or_insert_with(read).iter().any(|line| line == name)
    }
}

/// Lets two patches out of every five not build, in every phase.
fn holes(world: &World, target: &Target) -> Vec<bool> {
    let lab = world.lab();
    let mut buildable = vec![true];
    for (phase, count) in lab.stack.chain(target).unwrap() {
        let first = buildable.len();
        buildable.resize(first + count, true);
        for at in (1..count.saturating_sub(2)).step_by(5) {
            world.break_until(&phase.patches[at].id(), &phase.patches[at + 2].id());
            buildable[first + at..first + at + 2].fill(false);
        }
    }
    buildable
}

/// The patches that a search is left with: those after the last kernel without the bug that builds, up to the first one with it.
fn expected<'a>(span: &'a Span, buildable: &[bool], guilty: usize) -> Vec<&'a str> {
    let good = (0..guilty).rev().find(|&point| buildable[point]).unwrap();
    let bad = (guilty..=span.end()).find(|&point| buildable[point]).unwrap();
    (good + 1..=bad).map(|point| span.name(point)).collect()
}

/// Searches once for each patch of a target, each way to walk and each kernel that the bug may matter in.
fn each(world: &World, target: &Target, judge: &dyn Fn(bool) -> Judged, seen: &mut Seen<'_>) {
    let lab = world.lab();
    let one = scenario(&lab.disk, &lab.stack, target, SCENARIO).unwrap();
    let span = Span::new(&lab.stack, target.clone(), &one, Some("base"), None).unwrap();
    let (mut tally, images) = (Tally::default(), Images::default());
    for walk in WALKS {
        for point in 1..=span.end() {
            for side in [Side::Outgoing, Side::Incoming] {
                let bug = Bug { patch: span.name(point), point, side };
                let judge = |question: &Question<'_>, _: Known, _: &mut dyn Write| {
                    Ok(vec![judge(!images.broken(bug, question))])
                };
                let way = walk.map_or(Walk::Both, |side| Walk::One { side, other: span.good });
                let mut bench = world.bench(&lab, &span, &one, way, &judge);
                bench.tally = tally;
                let found = Found::of(&mut bench);
                tally = bench.tally;
                seen(&span, walk, bug, &found);
            }
        }
    }
}

/// Nobody but the patch is named, and it is, if the patches around it build.
fn all_are_found(world: &World, target: &Target, buildable: &[bool]) {
    let mut searches = 0;
    each(world, target, &judged, &mut |span, walk, bug, found| {
        searches += 1;
        let what = format!("{} in the {} kernel, {walk:?} walks", bug.patch, bug.side.name());
        if walk.is_some_and(|side| side != bug.side) {
            let refused = Conclusion::Refused(Refusal::BadIsGood);
            assert_eq!(found.hunted.conclusion, refused, "{what}: what the other kernel does");
            return;
        }
        assert_eq!(found.patches, expected(span, buildable, bug.point), "{what}");
        let named = matches!(found.hunted.conclusion, Conclusion::Culprit(patch) if patch == bug.point);
        assert_eq!(named, found.patches.len() == 1, "{what}");
        if let Some(crossed) = found.crossed {
            let says = |side| if side == bug.side { Answer::Bad } else { Answer::Good };
            let all = |side| Crossing { answer: Some(says(side)), times: 1 + CONFIRMATIONS };
            assert_eq!((crossed.outgoing, crossed.incoming), (all(Side::Outgoing), all(Side::Incoming)), "{what}");
        }
        assert_eq!(found.crossed.is_some(), named && walk.is_none(), "{what}");
    });
    let patches: usize = world.lab().stack.chain(target).unwrap().iter().map(|(_, count)| count).sum();
    assert_eq!(searches, WALKS.len() * 2 * patches);
}

/// A scenario that fails at random names nobody else, and nobody where the bug is not.
fn nobody_else_is_blamed(world: &World, target: &Target, buildable: &[bool]) {
    let (mut named, mut suspected) = (0, 0);
    let dice = Cell::new(Dice::new(7));
    let judge = |passes: bool| {
        let mut rolled = dice.get();
        let fails = rolled.one_in(8);
        dice.set(rolled);
        judged(passes && !fails)
    };
    each(world, target, &judge, &mut |span, walk, bug, found| {
        let other = walk.is_some_and(|side| side != bug.side);
        match &found.hunted.conclusion {
            Conclusion::Culprit(patch) => {
                assert!(!other && *patch == bug.point, "{} is innocent, {} is not", span.name(*patch), bug.patch);
                named += 1;
            }
            Conclusion::Suspects { first, last, contradictory } if !other => {
                let all = expected(span, buildable, bug.point);
                assert!((*first..=*last).contains(&bug.point), "{} is not among the suspects", bug.patch);
                assert!(!contradictory.is_empty() || found.patches == all);
                suspected += 1;
            }
            Conclusion::Suspects { .. } => {}
            Conclusion::Refused(refusal) => {
                assert!(other || *refusal == Refusal::GoodIsBad, "{}: {refusal:?}", bug.patch);
            }
        }
    });
    assert!(named > 0 && suspected > 0, "{named} named, {suspected} suspected");
}

/// How many kernels a search says that it takes at most, for each way to walk, and that it keeps to that wherever the bug is.
fn announced(world: &World, kernels: [&str; 2], walk: impl Fn(&Span) -> Walk) -> usize {
    let (lab, target) = (world.lab(), Target::Phase("phase1".to_owned()));
    let mut one = scenario(&lab.disk, &lab.stack, &target, SCENARIO).unwrap();
    let [outgoing, incoming] = kernels.map(str::to_owned);
    one.kernels = Kernels { outgoing, incoming };
    let span =
        Span::new(&lab.stack, target, &one, Some("phase1/vfio-retrieve"), Some("phase1/pci-bus-master")).unwrap();
    assert_eq!(span.bad - span.good, 12, "the points of this test");
    let (way, images) = (walk(&span), Images::default());
    let most = way.kernels(&one, 2 + 4, [span.good, span.bad]);
    let mut took = 0;
    for point in span.good + 1..=span.bad {
        let bug = Bug { patch: span.name(point), point, side: way.side().unwrap_or(Side::Outgoing) };
        let judge =
            |question: &Question<'_>, _: Known, _: &mut dyn Write| Ok(vec![judged(!images.broken(bug, question))]);
        let mut bench = world.bench(&lab, &span, &one, way, &judge);
        assert!(matches!(Found::of(&mut bench).hunted.conclusion, Conclusion::Culprit(named) if named == point));
        took = took.max(bench.tally.kernels());
    }
    assert_eq!(took, most, "{kernels:?}, {way:?}");
    most
}

#[test]
fn a_search_takes_as_many_kernels_as_it_announces() {
    let world = World::new();
    let side = |side, behind| move |span: &Span| Walk::One { side, other: span.good + behind };
    assert_eq!(
        announced(&world, ["current", "current"], |_| Walk::Both),
        6,
        "two ends, and 12 patches are halved 4 times"
    );
    assert_eq!(announced(&world, ["current", "gate-off"], |_| Walk::Both), 12, "two kernels at each point");
    assert_eq!(announced(&world, ["current", "phase2"], |_| Walk::Both), 7, "one that is always the same");
    assert_eq!(
        announced(&world, ["current", "current"], side(Side::Incoming, 0)),
        6,
        "it stays where the other begins"
    );
    assert_eq!(announced(&world, ["current", "current"], side(Side::Outgoing, 20)), 7, "it stays elsewhere");
}

#[test]
fn each_patch_of_a_phase_and_of_the_whole_stack() {
    let world = World::new();
    world.add_phase();
    let buildable = holes(&world, &Target::All);
    assert_eq!(buildable.len(), 1 + world.names().len());
    assert!(buildable.iter().filter(|builds| !*builds).count() > buildable.len() / 4);
    all_are_found(&world, &Target::Phase("phase1".to_owned()), &buildable);
    all_are_found(&world, &Target::All, &buildable);
    nobody_else_is_blamed(&world, &Target::All, &buildable);
    assert_eq!(world.compiled(), buildable.len(), "each kernel once for all searches");
}
