// SPDX-License-Identifier: GPL-2.0-only

//! Saved states that are damaged in any way.
//!
//! Each iteration has a kernel write a state, damages that, and has the next kernel read it. It has to be refused, or to
//! be understood as it is by the ABI; and what was understood is written again with the same bytes.

use host_tests::fuzz::{run, Random};

use crate::state_corpus::{damage, state};
use crate::state_image::{read, walk, HEADER};

/// So many iterations take about a second in a debug build.
const ITERATIONS: u64 = 500_000;

#[test]
fn a_damaged_state_is_refused_or_is_another() {
    let (mut iterations, mut read) = (0, 0);
    run(ITERATIONS, |random| {
        iterations += 1;
        read += usize::from(one(random));
    });
    // Otherwise the corpus is of no use.
    if iterations >= 1000 {
        assert!(read > iterations / 4 && read < iterations * 3 / 4, "{read} of {iterations} could be read");
    }
}

/// Returns whether it could be read.
fn one(random: &mut Random) -> bool {
    let room = HEADER + random.below(600);
    let state = state(random, room);
    let mut buffer = vec![random.word() as u8; room];
    assert_eq!(state.write(&mut buffer), Some(state.caps.len()));
    assert_eq!(read(&buffer).as_ref(), Some(&state));

    for _ in 0..random.below(3) {
        damage(random, &state, &mut buffer);
    }
    if random.one_in(8) {
        buffer.truncate(random.below(room + 1));
    }

    let found = read(&buffer);
    assert_eq!(found, walk(&buffer));
    let Some(found) = found else { return false };
    let mut again = buffer.clone();
    let size = found.bytes().len();
    again[..size].fill(0);
    assert_eq!(found.write(&mut again), Some(found.caps.len()));
    assert_eq!(again, buffer);
    true
}
