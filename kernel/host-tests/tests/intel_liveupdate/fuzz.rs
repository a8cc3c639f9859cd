// SPDX-License-Identifier: GPL-2.0-only

//! Entries that have anything in them.
//!
//! Whatever the hardware finds there, the kernel must find as well, and neither stop nor make something up.

use host_tests::fuzz::{run, Random};

use crate::entries::{self, PASID_WORDS};
use crate::layout::{self, set, Bits, CONTEXT_TYPE, PASID_TYPE, PRESENT};

/// So many iterations take less than a second in a debug build.
const ITERATIONS: u64 = 2_000_000;

#[test]
fn entries_mean_what_the_hardware_makes_of_them() {
    let (mut iterations, mut contexts, mut pasids) = (0, 0, 0);
    run(ITERATIONS, |random| {
        iterations += 1;

        let context: [u64; 2] = words(random, CONTEXT_TYPE);
        let found = entries::context(context);
        assert_eq!(found, layout::context(&context), "{context:x?}");
        contexts += usize::from(found.is_some());

        let pasid: [u64; PASID_WORDS] = words(random, PASID_TYPE);
        let found = entries::pasid(pasid);
        assert_eq!(found, layout::pasid(&pasid), "{pasid:x?}");
        pasids += usize::from(found.is_some());
    });
    // Otherwise the words are of no use.
    if iterations >= 1000 {
        for count in [contexts, pasids] {
            assert!(count > iterations / 8 && count < iterations * 7 / 8, "{count} of {iterations} translate");
        }
    }
}

/// Words of an entry, half of which may translate.
fn words<const N: usize>(random: &mut Random, kind: Bits) -> [u64; N] {
    let mut words = std::array::from_fn(|_| match random.below(8) {
        0 => 0,
        1 => u64::MAX,
        _ => random.word(),
    });
    if random.one_in(2) {
        set(&mut words, PRESENT, 1);
        set(&mut words, kind, random.below(4) as u64);
    }
    words
}
