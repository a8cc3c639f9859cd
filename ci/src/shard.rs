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

/// How many parts there may be. No project has as many patches; who wants more has mistaken something else for it.
const MOST: usize = 1024;

impl Shard {
    /// Everything.
    pub const ALL: Self = Self { number: 1, of: 1 };

    /// Which of `len` things belong to it. Every thing belongs to one shard of N, and their sizes differ by at most one.
    pub fn range(self, len: usize) -> Range<usize> {
        let end = |number: usize| len * number / self.of;
        end(self.number - 1)..end(self.number)
    }

    /// What to say if nothing of something belongs to it: `of` is how many there are, in words, such as `2 patches`.
    pub fn idle(self, len: usize, of: &str) -> Option<String> {
        let idle = len > 0 && self.range(len).is_empty();
        idle.then(|| format!("nothing to do: none of {of} belongs to part {} of {}", self.number, self.of))
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
        // Digits only, so that a number that does not parse is a large one.
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(usize::MAX))
        };
        let parts = text.split_once('/').and_then(|(part, of)| Some((number(part)?, number(of)?)));
        match parts {
            None => Err("a shard is I/N, part I of N parts, counted from 1: 2/3".to_owned()),
            Some((_, of)) if !(1..=MOST).contains(&of) => Err(format!("there are 1 to {MOST} parts: I/N, such as 2/3")),
            Some((number, of)) if !(1..=of).contains(&number) => {
                Err(format!("the parts are counted from 1 to {of}: there is no part {number}"))
            }
            Some((number, of)) => Ok(Self { number, of }),
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
    fn a_part_without_work_says_so() {
        let idle = |text: &str, len: usize| text.parse::<Shard>().unwrap().idle(len, &format!("{len} patches"));
        let part = "nothing to do: none of 2 patches belongs to part 1 of 3".to_owned();
        assert_eq!(["1/3", "2/3", "3/3"].map(|text| idle(text, 2)), [Some(part), None, None]);
        assert_eq!([idle("1/1", 0), idle("1/1", 1)], [None, None], "nothing at all is another matter");
    }

    #[test]
    fn bad_ones_are_explained() {
        let why = |text: &str| text.parse::<Shard>().unwrap_err();
        for text in ["", "1", "/", "1/", "a/b", "-1/2", "+1/2", "1/2/3"] {
            assert!(why(text).starts_with("a shard is I/N"), "{text}");
        }
        for text in ["1/0", "1/1025", "1/18446744073709551615", "1/18446744073709551616"] {
            assert_eq!(why(text), "there are 1 to 1024 parts: I/N, such as 2/3", "{text}");
        }
        assert_eq!(why("0/3"), "the parts are counted from 1 to 3: there is no part 0");
        assert_eq!(why("4/3"), "the parts are counted from 1 to 3: there is no part 4");
        assert_eq!("1024/1024".parse::<Shard>().unwrap().range(32), 31..32);
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
    }
}
