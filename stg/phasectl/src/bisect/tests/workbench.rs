// SPDX-License-Identifier: GPL-2.0-only

//! The bench that builds kernels and asks how cases end, in a [world](super::world) where make is a script.

use std::cell::RefCell;

use ci::bisect::{Answer, CONFIRMATIONS, Conclusion, Refusal};
use ci::kbuild::{BuildError, unbuildable};
use harness::verdict::Class;
use stg_core::Target;

use super::replay::judged;
use super::world::World;
use crate::bisect::cross::{Crossed, Crossing};
use crate::bisect::walk::Side;
use crate::judged::{Judged, Known};
use crate::kernels::{Made, Which};

#[test]
fn planted_in_a_patch_and_found_and_the_second_time_nothing_is_built() {
    let world = World::new();
    let names = world.names();
    let middle = &names[names.len() / 2];
    world.plant(middle, "PRODUCER");
    let found = world.bisect(None);
    assert_eq!(found.patches, [middle.as_str()]);
    let Some(Crossed { outgoing, incoming }) = &found.crossed else { panic!("both sides are tried") };
    let all = |answer| Crossing { answer: Some(answer), times: 1 + CONFIRMATIONS };
    assert_eq!((*outgoing, *incoming), (all(Answer::Bad), all(Answer::Good)));
    assert!(found.kernels <= 2 + names.len().next_power_of_two().ilog2() as usize);
    assert_eq!((found.built, world.compiled()), (found.kernels, found.kernels));
    let again = world.bisect(None);
    assert_eq!((again.patches, again.built, world.compiled()), (found.patches, 0, found.kernels));
}

#[test]
fn what_does_not_build_is_skipped_and_tried_once() {
    let world = World::new();
    let names = world.names();
    // The phase's first patches: those from 3 to 6 do not build, 8 is to blame.
    world.break_until(&names[2], &names[6]);
    world.plant(&names[7], "CONSUMER");
    let found = world.bisect(None);
    assert_eq!(found.patches, [names[7].as_str()]);
    // Now one of those that do not build is to blame, or the one that repairs them.
    world.plant(&names[7], "fine");
    world.plant(&names[3], "CONSUMER");
    let found = world.bisect(None);
    assert_eq!(found.patches, names[2..=6]);
    let reason = found.hunted.asked.iter().find(|asked| asked.tested.reason.contains("does not build")).unwrap();
    assert!(reason.tested.reason.contains("error: broken") && !reason.tested.reason.contains("log:"), "{reason:?}");
    let compiled = world.compiled();
    assert_eq!(world.bisect(None).patches, names[2..=6]);
    assert_eq!(world.compiled(), compiled, "that they do not build is known");
}

#[test]
fn what_is_known_not_to_build_is_forgotten_when_it_does() {
    let world = World::new();
    let lab = world.lab();
    let which = Which::from(Made::At(Target::All));
    let key = lab.kernel_key(&which, None).unwrap();
    let answer = |again| world.test_end(again).unwrap().answer;
    let remember = || unbuildable::remember(&lab.cache, &key, "it does not build").unwrap();
    remember();
    assert_eq!((answer(false), world.compiled()), (Answer::Untestable, 0), "that is relied on");
    assert_eq!(answer(true), Answer::Good, "but not with --again");
    std::fs::remove_dir_all(lab.cache.kernels().unwrap().join(&key)).unwrap();
    assert_eq!((answer(false), world.unbuildable()), (Answer::Good, 0), "and from then on never again");
    // Any other command that has the kernel knows better, and so does a kernel that is there.
    std::fs::remove_dir_all(lab.cache.kernels().unwrap().join(&key)).unwrap();
    remember();
    lab.kernel(&which).unwrap();
    assert_eq!(world.unbuildable(), 0);
    remember();
    assert_eq!((answer(false), world.unbuildable()), (Answer::Good, 0));
}

#[test]
fn a_full_disk_is_no_answer_and_is_not_kept() {
    let world = World::new();
    world.lab();
    world.fill(true);
    for _ in 0..2 {
        let error = world.test_end(false).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(BuildError::Interrupted { .. })), "{error}");
        assert_eq!(world.unbuildable(), 0);
    }
    world.fill(false);
    assert_eq!(world.test_end(false).unwrap().answer, Answer::Good);
}

#[test]
fn one_kernel_walks_and_the_other_stays() {
    let world = World::new();
    let names = world.names();
    let (producer, consumer) = (&names[names.len() - 1], &names[4]);
    world.plant(producer, "PRODUCER");
    world.plant(consumer, "CONSUMER");
    assert_eq!(world.bisect(Some(Side::Outgoing)).patches, [producer.as_str()]);
    assert_eq!(world.bisect(Some(Side::Incoming)).patches, [consumer.as_str()]);
    // Both together break first where the first of them does.
    assert_eq!(world.bisect(None).patches, [consumer.as_str()]);
    world.plant(producer, "fine");
    let found = world.bisect(Some(Side::Outgoing));
    assert_eq!(found.hunted.conclusion, Conclusion::Refused(Refusal::BadIsGood));
}

#[test]
fn a_side_is_named_by_runs_that_all_say_the_same_and_by_no_kept_answer() {
    let world = World::new();
    let names = world.names();
    let middle = &names[names.len() / 2];
    world.plant(middle, "PRODUCER");
    let crosses = RefCell::new(Vec::new());
    let crossed = world.bisect_with(None, &|question, known, _| {
        let has = |role: &str| std::fs::read_to_string(&question.kernels[role].bzimage).unwrap().contains("PRODUCER");
        let (outgoing, incoming) = (has("outgoing"), has("incoming"));
        // With the patch in the outgoing kernel alone it passes the third time.
        let mut passes = !outgoing;
        if outgoing != incoming {
            crosses.borrow_mut().push(known);
            passes |= crosses.borrow().len() == 3;
        }
        Ok(vec![judged(passes)])
    });
    let crossed = crossed.crossed.unwrap();
    assert_eq!(crossed.outgoing, Crossing { answer: None, times: 3 });
    assert_eq!(crossed.incoming, Crossing { answer: Some(Answer::Good), times: 1 + CONFIRMATIONS });
    assert!(crossed.side().starts_with("not known"), "{}", crossed.side());
    assert!(crosses.borrow().iter().all(|known| *known == Known::Ignored), "{crosses:?}");
}

#[test]
fn a_commit_from_outside_is_in_the_kernels_that_are_tested_and_in_no_other() {
    let world = World::new();
    assert_eq!(world.step(None), [true, true]);
    // The other one stays at the same point, of which the commit is not a part.
    assert_eq!(world.step(Some(Side::Outgoing)), [true, false]);
    assert_eq!(world.step(Some(Side::Incoming)), [false, true]);
}

#[test]
fn what_is_kept_is_relied_on_once_and_the_host_is_no_culprit() {
    let world = World::new();
    let asked = RefCell::new(Vec::new());
    let found = world.bisect_with(None, &|question, known, _| {
        let text = std::fs::read_to_string(&question.kernels["incoming"].bzimage).unwrap();
        let point = text.lines().count();
        let first = !asked.borrow().iter().any(|(other, _)| *other == point);
        asked.borrow_mut().push((point, known));
        // Every first run ends because the host is too slow.
        Ok(vec![if first { Judged { class: Class::HostTimeout, passed: false, ..judged(true) } } else { judged(true) }])
    });
    assert_eq!(found.hunted.conclusion, Conclusion::Refused(Refusal::BadIsGood));
    let known: Vec<Known> = asked.borrow().iter().map(|(_, known)| *known).collect();
    // The first answer may be a known one; it is run again because of the host; then it is asked so many times more.
    assert_eq!(known, [[Known::Used].as_slice(), &[Known::Ignored; 1 + CONFIRMATIONS]].concat());
}

#[test]
fn a_patch_that_leaves_the_kernel_as_it_is_is_innocent_whatever_the_answers_say() {
    let world = World::new();
    let names = world.names();
    let same = names.len() / 2;
    // The image is the marks; that of this patch is empty.
    let (phase, name) = names[same].split_once('/').unwrap();
    world.put(&format!("project/kernel/{phase}/marks/{name}"), "");
    let found = world.bisect_with(None, &|question, _, _| {
        Ok(vec![judged(!question.logs.components().any(|part| is_at_or_after(&names, same, part.as_str())))])
    });
    let Conclusion::Suspects { contradictory, .. } = found.hunted.conclusion else { panic!("{:?}", found.patches) };
    assert_eq!(contradictory, [same, same + 1]);
    assert!(found.patches.contains(&names[same]));
}

/// Whether the logs of this name are those of a patch from this one on.
fn is_at_or_after(names: &[String], from: usize, log: &str) -> bool {
    names[from..].iter().any(|name| name.replace('/', "-") == log)
}
