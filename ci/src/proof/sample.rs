// SPDX-License-Identifier: GPL-2.0-only

//! What is proved again: a few of many, chosen by a number that can be given again.

/// A small generator of random numbers (SplitMix64): what matters is that a seed means the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The one of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// So many of them (all, if there are fewer), in their order.
    pub fn choose<T: Clone>(&mut self, all: &[T], count: usize) -> Vec<T> {
        let mut left: Vec<usize> = (0..all.len()).collect();
        let mut chosen = Vec::new();
        while chosen.len() < count && !left.is_empty() {
            // The remainder prefers small numbers by less than anybody could measure.
            let index = (self.next() % left.len() as u64) as usize;
            chosen.push(left.swap_remove(index));
        }
        chosen.sort_unstable();
        chosen.into_iter().filter_map(|index| all.get(index).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_every_one_has_its_chance() {
        let all: Vec<usize> = (0..10).collect();
        assert_eq!(Random::new(7).choose(&all, 3), Random::new(7).choose(&all, 3));
        assert_eq!(Random::new(7).choose(&all, 20), all);
        assert!(Random::new(7).choose::<u8>(&[], 2).is_empty());
        let mut times = [0; 10];
        for seed in 0..1000 {
            let chosen = Random::new(seed).choose(&all, 2);
            assert!(chosen.len() == 2 && chosen[0] < chosen[1], "{chosen:?}");
            chosen.into_iter().for_each(|one| times[one] += 1);
        }
        assert!(times.iter().all(|&times| (140..260).contains(&times)), "{times:?}");
    }
}
