// SPDX-License-Identifier: GPL-2.0-only

//! A part of the work: `--shard 2/3`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The part I of N, counted from 1. The parts of a list are runs of neighbours, since the kernels of neighbouring patches share most of
/// what is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// Everything.
    pub const ALL: Self = Self { number: 1, of: 1 };

    /// Which of `len` things belong to it. Every thing belongs to one shard of N, and their sizes differ by at most one.
    pub fn range(self, len: usize) -> Range<usize> {
        let end = |number: usize| len * number / self.of;
        end(self.number - 1)..end(self.number)
    }

    /// Those of some things that belong to it.
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let range = self.range(all.len());
        all.into_iter().skip(range.start).take(range.len()).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if 1 <= number && number <= of => Ok(Self { number, of }),
            _ => Err("a shard is I/N, part I of N parts, counted from 1: 2/3".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_everything_once() {
        for (len, of) in [(0, 1), (2, 3), (7, 3), (32, 5)] {
            let parts = (1..=of).map(|number| format!("{number}/{of}").parse::<Shard>().unwrap());
            let all: Vec<usize> = parts.clone().flat_map(|shard| shard.range(len)).collect();
            assert_eq!(all, (0..len).collect::<Vec<_>>());
            assert!(parts.clone().all(|shard| shard.range(len).len().abs_diff(len / of) <= 1));
            assert_eq!(parts.flat_map(|shard| shard.of((0..len).collect())).collect::<Vec<_>>(), all);
        }
        assert_eq!(Shard::ALL.range(9), 0..9);
    }

    #[test]
    fn bad_ones_are_explained() {
        for text in ["0/3", "4/3", "1", "1/0", "a/b", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
    }
}
