// SPDX-License-Identifier: GPL-2.0-only

//! Records that are damaged in any way.
//!
//! Each iteration describes a device as the kernel does that is replaced, damages that, and reads it as the next one
//! does.

use host_tests::fuzz::{run, Random};

use crate::handover::{self, Address, Record, Traits};
use crate::state_corpus::{damage, state};
use crate::state_image::{read, walk, State};

/// So many iterations take about a second in a debug build.
const ITERATIONS: u64 = 500_000;

/// How many of them got how far.
#[derive(Debug, Default)]
struct Outcomes {
    address: usize,
    traits: usize,
    state: usize,
    all: usize,
}

#[test]
fn a_damaged_record_is_refused_or_is_another() {
    let (mut iterations, mut read) = (0, Outcomes::default());
    run(ITERATIONS, |random| {
        iterations += 1;
        one(random, &mut read);
    });
    // Otherwise the corpus is of no use.
    if iterations >= 1000 {
        for count in [read.address, read.traits, read.state, read.all] {
            assert!(count > iterations / 8 && count < iterations * 15 / 16, "{read:?} of {iterations}");
        }
    }
}

fn one(random: &mut Random, outcomes: &mut Outcomes) {
    let (state, mut record) = describe(random);
    for _ in 0..random.below(3) {
        if random.one_in(2) {
            record[random.below(8)] ^= 1 << random.below(8);
        } else {
            damage(random, &state, &mut record[8..]);
        }
    }

    let address = Address::decode(&record);
    let is_domain = i32::from_ne_bytes([record[0], record[1], record[2], record[3]]) >= 0;
    assert_eq!(address.is_some(), is_domain);

    let traits = Traits::decode(&record);
    let flags = u16::from_ne_bytes([record[6], record[7]]);
    assert_eq!(
        traits.map(|traits| traits.reset_works),
        [Some(false), Some(true)].get(usize::from(flags)).copied().flatten()
    );

    let state = read(handover::state(&record));
    assert_eq!(state, walk(&record[8..]));

    outcomes.address += usize::from(address.is_some());
    outcomes.traits += usize::from(traits.is_some());
    outcomes.state += usize::from(state.is_some());
    if let (Some(address), Some(traits), Some(state)) = (address, traits, state) {
        outcomes.all += 1;
        let mut again = record.clone();
        again[..8 + state.bytes().len()].fill(0);
        write(address, traits, &state, &mut again);
        assert!(again == record, "it is not written as it was read");
    }
}

/// A device, and what is handed over of it.
fn describe(random: &mut Random) -> (State, Box<Record>) {
    // Any domain half of the time, so that some are none.
    let domain = if random.one_in(2) { random.below(4) as u32 } else { random.word() as u32 };
    let address = Address::new(domain, random.word() as u16);
    let state = state(random, 4088);
    let mut record = Box::new([0; 4096]);

    write(address, Traits { reset_works: random.one_in(2) }, &state, &mut record);
    (state, record)
}

fn write(address: Address, traits: Traits, state: &State, record: &mut Record) {
    address.encode(record);
    traits.encode(record);
    assert_eq!(state.write(handover::state_mut(record)), Some(state.caps.len()));
}
