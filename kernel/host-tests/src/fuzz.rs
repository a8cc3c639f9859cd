// SPDX-License-Identifier: GPL-2.0-only

//! Bounded fuzz runs.
//!
//! A run is a number of iterations, each with random numbers of its own. It is the same on every machine and on every day,
//! so that a failure is that of a change and not of luck. For a longer search there are two environment variables:
//!
//! - `PHASECTL_FUZZ`: the number of iterations.
//! - `PHASECTL_FUZZ_SEED`: the seed of the first of them; each other one has the next.
//!
//! An iteration that fails says its seed. With that and `PHASECTL_FUZZ=1` it is the only one that is run.

use std::env;

/// Runs `one` for each iteration.
///
/// # Panics
///
/// If `one` does, and if an environment variable is not a number.
pub fn run(default_iterations: u64, one: impl FnMut(&mut Random)) {
    let iterations = number("PHASECTL_FUZZ").unwrap_or(default_iterations);
    let seed = number("PHASECTL_FUZZ_SEED").unwrap_or(0);

    run_from(seed, iterations, one);
}

/// The number in an environment variable, if it is set.
fn number(name: &str) -> Option<u64> {
    let value = env::var_os(name)?;
    match value.to_str().map(str::parse) {
        Some(Ok(number)) => Some(number),
        _ => panic!("{name} is {value:?}: set it to a whole number, or unset it"),
    }
}

fn run_from(seed: u64, iterations: u64, mut one: impl FnMut(&mut Random)) {
    for iteration in 0..iterations {
        let seed = seed.wrapping_add(iteration);
        let _says_seed = SaysSeed(seed);
        one(&mut Random::new(seed));
    }
}

/// Says which iteration it is that panics.
struct SaysSeed(u64);

impl Drop for SaysSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat only this: PHASECTL_FUZZ=1 PHASECTL_FUZZ_SEED={}", self.0);
        }
    }
}

/// Random numbers, by the algorithm SplitMix64.
pub struct Random(u64);

impl Random {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a limit that is not zero.
    pub fn below(&mut self, limit: usize) -> usize {
        // The remainder of a number below the limit is below it too, so that it fits.
        (self.word() % limit as u64) as usize
    }

    /// Yes, once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_repeatable_as_a_whole_and_from_any_iteration() {
        let words = |seed, iterations| {
            let mut words = Vec::new();
            run_from(seed, iterations, |random| words.push((random.word(), random.word())));
            words
        };
        let all = words(0, 20);
        assert_eq!(all.len(), 20);
        assert_eq!(all, words(0, 20));
        assert_eq!(all[7..8], words(7, 1));
        assert_ne!(all[7], all[8]);
    }

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        // The first of the published sequence for the seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!([random.word(), random.word()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn every_number_below_a_limit_comes_up() {
        let mut random = Random::new(0);
        let mut seen = [false; 5];
        for _ in 0..100 {
            seen[random.below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
