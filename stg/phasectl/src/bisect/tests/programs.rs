// SPDX-License-Identifier: GPL-2.0-only

//! Scenarios that run test programs of the tree's own, which a patch may break as it may break the kernel.

use ci::bisect::{Answer, Conclusion, Refusal};

use super::replay::judged;
use super::world::{Found, INTREE, World, program};
use crate::bisect::walk::Side;

const ABOVE: [&str; 2] = ["phase99/above-one", "phase99/above-two"];

/// A world with two patches above the one that adds the program.
fn world() -> World {
    let world = World::new();
    world.add_phase();
    world
}

/// Bisects what goes wrong in the program.
fn bisect(world: &World, good: Option<&str>, side: Option<Side>) -> Found {
    world.bisect_scenario(INTREE, good, side, &|question, _, _| Ok(vec![judged(program(question).trim() != "wrong")]))
}

#[test]
fn a_patch_that_breaks_a_program_is_found() {
    let world = world();
    world.edit_program(ABOVE[1], "right", "wrong");
    for side in [None, Some(Side::Outgoing), Some(Side::Incoming)] {
        assert_eq!(bisect(&world, None, side).patches, [ABOVE[1]], "{side:?}");
    }
}

#[test]
fn also_one_that_leaves_the_kernel_as_it_is() {
    let world = world();
    world.put("project/kernel/phase99/marks/above-one", "");
    world.edit_program(ABOVE[0], "right", "wrong");
    let found = bisect(&world, None, None);
    assert_eq!(found.patches, [ABOVE[0]]);
    assert!(found.crossed.is_none(), "it matters in no kernel");
    // One that leaves the program as it is, too, is innocent.
    let world = self::world();
    world.put("project/kernel/phase99/marks/above-two", "");
    let asked = std::cell::Cell::new(0);
    let found = world.bisect_scenario(INTREE, Some(ABOVE[0]), None, &|question, _, _| {
        asked.set(asked.get() + 1);
        Ok(vec![judged(!question.logs.as_str().contains("above-two"))])
    });
    assert!(asked.get() > 0 && matches!(found.hunted.conclusion, Conclusion::Suspects { .. }));
}

#[test]
fn what_the_patch_does_not_have_is_that_of_the_end() {
    let world = world();
    let names = world.names();
    world.edit_program(ABOVE[0], "right", "changed");
    world.plant(&names[7], "CONSUMER");
    let found = world.bisect_scenario(INTREE, Some("base"), None, &|question, _, _| {
        let image = std::fs::read_to_string(&question.kernels["incoming"].bzimage).unwrap();
        // It is added by the last patch below those two.
        let own = image.contains("selftests-vfio-liveupdate") && !image.contains("above-one");
        assert_eq!(program(question).trim(), if own { "right" } else { "changed" });
        Ok(vec![judged(!image.contains("CONSUMER"))])
    });
    assert_eq!(found.patches, [names[7].as_str()]);
    // What the end's program breaks is broken before as well, and that is said.
    world.plant(&names[7], "fine");
    world.edit_program(ABOVE[1], "changed", "wrong");
    let refused = Conclusion::Refused(Refusal::GoodIsBad);
    assert_eq!(bisect(&world, Some("base"), None).hunted.conclusion, refused);
}

#[test]
fn a_program_that_does_not_build_is_skipped_and_named() {
    let world = world();
    world.edit_program(ABOVE[0], "right", "BROKEN");
    world.edit_program(ABOVE[1], "BROKEN", "wrong");
    let found = bisect(&world, None, None);
    assert_eq!(found.patches, ABOVE);
    let asked = found.hunted.asked.iter().find(|asked| asked.tested.answer == Answer::Untestable).unwrap();
    let reason = &asked.tested.reason;
    assert!(reason.starts_with("the selftests of phase99/above-one do not build\n"), "{reason}");
    assert!(reason.contains("error: broken") && !reason.contains("log:"), "{reason}");
}

#[test]
fn a_commit_from_outside_brings_its_own() {
    let world = world();
    for side in [None, Some(Side::Outgoing), Some(Side::Incoming)] {
        assert_eq!(world.step_programs(side), "ON TOP\n", "{side:?}");
    }
}
