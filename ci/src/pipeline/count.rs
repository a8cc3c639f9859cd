// SPDX-License-Identifier: GPL-2.0-only

//! Counting tests by what they print.
//!
//! Two formats are understood: the summary of Rust's test harness, one line per test binary, and KTAP, of which only
//! results at the top level count (a case's steps are indented). A skipped test counts as neither. A program that is
//! supposed to report tests and reports none has failed: nothing was shown.

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use super::engine::Failure;

/// Numbers of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Those that passed.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
}

impl Count {
    /// A step that is one test by itself, and passed.
    pub const ONE: Self = Self { passed: 1, failed: 0 };
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// How a program's output is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Not at all: the program is one test.
    One,
    /// `cargo test`.
    CargoTest,
    /// KTAP on stdout.
    Ktap,
}

/// Counts line by line.
#[derive(Debug)]
pub struct Tally {
    counter: Counter,
    count: Count,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(counter: Counter) -> Self {
        Self { counter, count: Count::default() }
    }

    /// Takes a line of the output.
    pub fn line(&mut self, line: &str) {
        let found = match self.counter {
            Counter::One => None,
            Counter::CargoTest => cargo_test(line),
            Counter::Ktap => ktap(line),
        };
        self.count = self.count + found.unwrap_or_default();
    }

    /// The result of a program that ended; `trouble` says how if it did not end well.
    ///
    /// # Errors
    ///
    /// If it did not end well, reported a failed test, or was to report tests and did not. At least one failure is counted.
    pub fn finish(self, trouble: Option<String>) -> Result<Count, Failure> {
        let Self { counter, count } = self;
        let message = match trouble {
            Some(trouble) => trouble,
            None if count.failed > 0 => format!("it ended well in spite of {} failed tests", count.failed),
            None if counter == Counter::One => return Ok(Count::ONE),
            None if count.passed == 0 => "it reported no test".to_owned(),
            None => return Ok(count),
        };
        Err(Failure { message, count: Count { failed: count.failed.max(1), ..count } })
    }
}

/// `test result: ok. 12 passed; 0 failed; 0 ignored; ...`.
fn cargo_test(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| numbers.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    Some(Count { passed: number("passed")?, failed: number("failed")? })
}

/// `ok 1 - title`, `not ok 2 - title`, without indentation and not skipped.
fn ktap(line: &str) -> Option<Count> {
    let (good, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, directive) = (rest.split([' ', '\t']).next()?, rest.split_once("# ").map(|(_, directive)| directive));
    number.parse::<u64>().ok()?;
    if directive.is_some_and(|text| text.to_ascii_uppercase().starts_with("SKIP")) {
        return None;
    }
    Some(Count { passed: good.into(), failed: (!good).into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(counter: Counter, text: &str, trouble: Option<&str>) -> Result<Count, Failure> {
        let mut tally = Tally::new(counter);
        text.lines().for_each(|line| tally.line(line));
        tally.finish(trouble.map(str::to_owned))
    }

    #[test]
    fn the_summaries_of_all_test_binaries_add_up() {
        let text = "running 3 tests\ntest a ... ok\n\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                    test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.5s\n";
        assert_eq!(tally(Counter::CargoTest, text, None).unwrap(), Count { passed: 13, failed: 0 });
        let text = "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured\n";
        let failure = tally(Counter::CargoTest, text, Some("exit status: 101")).unwrap_err();
        assert_eq!(failure, Failure { message: "exit status: 101".into(), count: Count { passed: 2, failed: 3 } });
    }

    #[test]
    fn ktap_counts_its_top_level() {
        let text = "KTAP version 1\n1..4\n    ok 1 step\n    not ok 2 step\n# a diagnostic\nok 1 - 1.3 fd-preserve/legacy: x\n\
                    not ok 2 - 1.1 kho\nok 3 - 1.2 luo # SKIP no device\nok go on\nok 4 - y # TODO no\n";
        let failure = tally(Counter::Ktap, text, Some("exit status: 100")).unwrap_err();
        assert_eq!(failure.count, Count { passed: 2, failed: 1 });
    }

    #[test]
    fn nothing_shown_is_a_failure() {
        for counter in [Counter::CargoTest, Counter::Ktap] {
            let failure = tally(counter, "all fine\nok 1 # skip\n", None).unwrap_err();
            assert_eq!((failure.message.as_str(), failure.count.failed), ("it reported no test", 1));
        }
        assert_eq!(tally(Counter::One, "ok 1\nok 2\n", None).unwrap(), Count::ONE);
        assert_eq!(tally(Counter::One, "", Some("signal: 9")).unwrap_err().count.failed, 1);
    }

    #[test]
    fn a_failed_test_behind_a_good_exit_is_a_failure() {
        let failure = tally(Counter::Ktap, "not ok 1 - x\nok 2 - y\n", None).unwrap_err();
        assert_eq!(failure.count, Count { passed: 1, failed: 1 });
        assert!(failure.message.contains("in spite of 1 failed"), "{}", failure.message);
    }
}
