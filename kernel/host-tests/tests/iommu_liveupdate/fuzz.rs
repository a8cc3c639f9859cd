// SPDX-License-Identifier: GPL-2.0-only

//! Hand-overs that are damaged in any way.
//!
//! Each iteration takes what a kernel would hand over, damages it, and does with it what the next kernel does. Whatever
//! comes out of it must be so: a fault that is named is there, and what passes has none.

use host_tests::fuzz::{run, Random};

use crate::corpus;
use crate::handover::{self, Fault};
use crate::image::Image;

/// So many iterations take a few seconds in a debug build.
const ITERATIONS: u64 = 300_000;

/// What came of the iterations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// It cannot be read.
    Unreadable,
    /// The devices contradict each other.
    Contradiction,
    /// There is nothing to be said against it.
    Pass,
}

/// A number for each variant.
fn kind(fault: Fault) -> usize {
    match fault {
        Fault::Version(_) => 0,
        Fault::Units(_) => 1,
        Fault::Unit(_) => 2,
        Fault::Domains { .. } => 3,
        Fault::Domain(_) => 4,
        Fault::Devices(..) => 5,
        Fault::Device(..) => 6,
        Fault::DomainId(..) => 7,
        Fault::NoMemory => 8,
    }
}

#[test]
fn damage_is_named_or_harmless() {
    let mut outcomes = Vec::new();
    let mut kinds = [0; 9];
    run(ITERATIONS, |random| outcomes.push(one(random, &mut kinds)));

    // Otherwise the corpus is of no use.
    if outcomes.len() >= 10_000 {
        for (wanted, least) in [(Outcome::Unreadable, 20), (Outcome::Contradiction, 100), (Outcome::Pass, 20)] {
            let count = outcomes.iter().filter(|outcome| **outcome == wanted).count();
            assert!(count > outcomes.len() / least, "{wanted:?}: {count} of {}", outcomes.len());
        }
        assert!(kinds[..8].iter().all(|&count| count > outcomes.len() / 500), "{kinds:?} of {}", outcomes.len());
        assert_eq!(kinds[8], 0);
    }
}

fn one(random: &mut Random, kinds: &mut [usize; 9]) -> Outcome {
    let image: Image = corpus::image(random);
    let reading = image.read();
    assert!(reading.claims <= image.pages.len() + 1, "{} claims", reading.claims);

    let contents = match reading.result {
        Ok(contents) => contents,
        Err(fault) => {
            assert!(image.has(fault), "there is no such fault: {fault}");
            kinds[kind(fault)] += 1;
            return Outcome::Unreadable;
        }
    };
    // Whether devices agree is not the matter of the reader.
    assert!(image.is_readable_as(&contents), "a fault was not noticed");

    let mut devices = contents.devices();
    match handover::check(&mut devices) {
        Ok(()) => {
            for listed in contents.devices() {
                let (segment, bdf) = listed.1.address();
                assert_eq!(handover::find(&devices, segment, bdf), Some(&listed));
                assert!(!image.has(Fault::Device(segment, bdf)) && !image.has(Fault::DomainId(segment, bdf)));
            }
            Outcome::Pass
        }
        Err(fault) => {
            assert!(image.has(fault), "it is not so that {fault}");
            kinds[kind(fault)] += 1;
            Outcome::Contradiction
        }
    }
}
