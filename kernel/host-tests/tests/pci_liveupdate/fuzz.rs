// SPDX-License-Identifier: GPL-2.0-only

//! Hand-overs that are damaged in any way.
//!
//! Each iteration takes what a kernel would hand over, damages it, and does with it what the next kernel does. Whatever
//! comes out of it must be so: a fault that is named is there, and what passes has none.

use host_tests::fuzz::{run, Random};

use crate::corpus::Scene;
use crate::handover::{Entry, Fault};
use crate::topology::Machine;
use crate::tracked::{self, Tracked};

/// So many iterations take about five seconds in a debug build.
const ITERATIONS: u64 = 500_000;

/// What came of the iterations.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Outcome {
    /// It cannot be read.
    Fault,
    /// It is not what was found.
    Contradiction,
    /// There is nothing to be said against it.
    Pass,
}

#[test]
fn damage_is_named_or_harmless() {
    let mut outcomes = Vec::new();
    run(ITERATIONS, |random| outcomes.push(one(random)));

    // Otherwise the corpus is of no use.
    if outcomes.len() >= 1000 {
        for wanted in [Outcome::Fault, Outcome::Contradiction, Outcome::Pass] {
            let count = outcomes.iter().filter(|outcome| **outcome == wanted).count();
            assert!(count > outcomes.len() / 20, "{wanted:?}: {count} of {}", outcomes.len());
        }
    }
}

fn one(random: &mut Random) -> Outcome {
    let Scene { machine, image } = Scene::new(random);
    let reading = image.read();
    assert!(reading.claims <= image.blocks.len() + 1, "{} claims", reading.claims);

    let read = reading.result.and_then(|entries| {
        // Order and duplicates are not the matter of the reader.
        assert!(image.is_sound_with(&entries), "a fault was not noticed");
        sorted(&machine, &entries)
    });
    match read {
        Ok(mut devices) => judge(&machine, &mut devices),
        Err(fault) => {
            assert!(image.has(fault), "there is no such fault: {fault}");
            Outcome::Fault
        }
    }
}

/// The devices as the kernel keeps them, after it has scanned its buses.
fn sorted(machine: &Machine, entries: &[Entry]) -> Result<Vec<Tracked>, Fault> {
    let devices = machine.scan(entries)?;
    assert_eq!(devices.len(), entries.len());
    assert!(devices.windows(2).all(|pair| pair[0].entry.address < pair[1].entry.address));
    Ok(devices)
}

/// Checks them.
fn judge(machine: &Machine, devices: &mut [Tracked]) -> Outcome {
    let entries: Vec<Entry> = devices.iter().map(|device| device.entry).collect();

    match tracked::check(devices) {
        Ok(()) => {
            assert!(machine.agrees(&entries), "a contradiction was not noticed");
            Outcome::Pass
        }
        Err(contradiction) => {
            assert!(machine.contradicts(&entries, contradiction), "it is not so that {contradiction}");
            Outcome::Contradiction
        }
    }
}
