// SPDX-License-Identifier: GPL-2.0-only

//! Random saved states, and damages of their records.
//!
//! As in `corpus`, most damages hit what has a meaning, and some are numbers that have one.

use host_tests::fuzz::Random;

use crate::state_image::{Saved, State, CAP_HEADER, HEADER};

/// A random state that fits into so many bytes.
pub(crate) fn state(random: &mut Random, room: usize) -> State {
    let mut state = State { config: std::array::from_fn(|_| random.word() as u32), caps: Vec::new() };
    let mut left = room - HEADER;
    for _ in 0..random.below(8) {
        // Most are like those that there are; some leave nothing for others.
        let most = if random.one_in(16) { left } else { left.min(64) };
        if most <= CAP_HEADER {
            break;
        }
        let len = 1 + random.below(most - CAP_HEADER);
        state.caps.push(Saved {
            nr: random.word() as u16,
            extended: random.one_in(2),
            contents: (0..len).map(|_| random.word() as u8).collect(),
        });
        left -= CAP_HEADER + len;
    }
    state
}

/// Damages the record of a state in one way.
pub(crate) fn damage(random: &mut Random, state: &State, record: &mut [u8]) {
    let starts = state.starts();
    if random.one_in(4) || starts.is_empty() {
        // A bit anywhere, but for half of the time in the header.
        let limit = if random.one_in(2) { HEADER } else { record.len() };
        record[random.below(limit)] ^= 1 << random.below(8);
        return;
    }
    let start = starts[random.below(starts.len())];
    match random.below(6) {
        0 => put(record, 4, number(random, &starts)),
        1 => record[start + 2..start + 4].copy_from_slice(&(random.below(4) as u16).to_ne_bytes()),
        2 | 3 => put(record, start + 4, number(random, &starts)),
        // The sizes of the record and of a capability are wrong in the same way.
        4 => {
            let by = random.below(64) as u32;
            add(record, 4, by);
            add(record, start + 4, by);
        }
        // Something belongs elsewhere.
        _ => {
            let from = starts[random.below(starts.len())];
            record.copy_within(from..from + CAP_HEADER, start);
        }
    }
}

/// A number that may be a size, or one that is invalid.
fn number(random: &mut Random, starts: &[usize]) -> u32 {
    let start = starts[random.below(starts.len())] as u32;
    let numbers = [0, 1, HEADER as u32, start, start - 1, start + 8, u32::MAX, u32::MAX - 7, 1 << 31];
    match random.below(3) {
        0 => numbers[random.below(numbers.len())],
        1 => random.below(512) as u32,
        _ => random.word() as u32,
    }
}

fn put(record: &mut [u8], at: usize, number: u32) {
    record[at..at + 4].copy_from_slice(&number.to_ne_bytes());
}

fn add(record: &mut [u8], at: usize, by: u32) {
    let number = u32::from_ne_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    put(record, at, number.wrapping_add(by));
}
