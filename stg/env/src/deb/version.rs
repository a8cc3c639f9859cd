// SPDX-License-Identifier: GPL-2.0-only

//! Debian's package versions and their order, as deb-version(7) defines it.
//!
//! `[epoch:]upstream[-revision]`; parts of digits compare as numbers, the rest by character, letters before other
//! characters and `~` before everything, even the end: `7.3~rc7` < `7.3` < `7.3.4-1~bpo13+1` < `7.3.4-1`.

use std::cmp::Ordering;
use std::fmt;

/// A package version, ordered as dpkg orders it. Equal means the same text but for leading zeros.
#[derive(Debug, Clone)]
pub struct DebVersion(String);

impl DebVersion {
    /// Any text is a version; a malformed epoch counts as part of the upstream version.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What the authors call it: without epoch and Debian revision.
    pub fn upstream(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (u64, &str, &str) {
        let (epoch, rest) = match self.0.split_once(':') {
            Some((epoch, rest)) if epoch.parse::<u64>().is_ok() => (epoch.parse().unwrap_or(0), rest),
            _ => (0, self.0.as_str()),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream, revision)
    }
}

impl fmt::Display for DebVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for DebVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((epoch, upstream, revision), (epoch2, upstream2, revision2)) = (self.parts(), other.parts());
        epoch.cmp(&epoch2).then_with(|| order(upstream, upstream2)).then_with(|| order(revision, revision2))
    }
}

impl PartialOrd for DebVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DebVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for DebVersion {}

/// Compares alternating runs of non-digits and digits.
fn order(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) = (run_of(&mut a, |c| !c.is_ascii_digit()), run_of(&mut b, |c| !c.is_ascii_digit()));
        let (digits_a, digits_b) = (run_of(&mut a, |c| c.is_ascii_digit()), run_of(&mut b, |c| c.is_ascii_digit()));
        let result = order_text(text_a, text_b).then_with(|| order_digits(digits_a, digits_b));
        if result.is_ne() {
            return result;
        }
    }
    Ordering::Equal
}

/// Takes the longest beginning of characters that fit.
fn run_of<'a>(text: &mut &'a str, fits: impl Fn(char) -> bool) -> &'a str {
    let (run, rest) = text.split_at(text.find(|c| !fits(c)).unwrap_or(text.len()));
    *text = rest;
    run
}

fn order_text(a: &str, b: &str) -> Ordering {
    let weight = |c: char| match c {
        '~' => -1,
        c if c.is_ascii_alphabetic() => c as i64,
        c => c as i64 + 0x11_0000,
    };
    // The end weighs 0: after `~`, before everything else.
    let weights = |text: &str| text.chars().map(weight).chain(std::iter::once(0)).collect::<Vec<_>>();
    weights(a).cmp(&weights(b))
}

fn order_digits(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Which versions of a package will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Any.
    Any,
    /// Upstream releases of a line: "7.3" takes 7.3, 7.3.4 and 7.3~rc7, but not 7.30.
    Line(&'a str),
    /// One upstream release, perhaps repacked by Debian: "1.95.0" takes 1.95.0+dfsg1, but not 1.95.0~beta or 1.95.0.1.
    Release(&'a str),
}

impl Wanted<'_> {
    /// Whether this version will do.
    pub fn accepts(&self, version: &DebVersion) -> bool {
        let upstream = version.upstream();
        match self {
            Self::Any => true,
            Self::Line(line) => {
                upstream.strip_prefix(line).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            }
            Self::Release(release) => {
                upstream.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
            }
        }
    }
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Line(line) => write!(f, "{line}.x"),
            Self::Release(release) => f.write_str(release),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn debian_order() {
        let ascending = [
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0",
            "1.0-1~bpo13+1",
            "1.0-1",
            "1.0-1+b1",
            "1.0a",
            "1.0+",
            "1.0.1",
            "1.9",
            "1.10",
            "7.3~rc7-1~exp1",
            "7.3-1",
            "7.3.4-1~bpo13+1",
            "7.3.4-1",
            "1:0.5",
        ];
        for (i, low) in ascending.iter().enumerate() {
            for high in &ascending[i + 1..] {
                assert!(DebVersion::new(low) < DebVersion::new(high), "{low} < {high}");
                assert!(DebVersion::new(high) > DebVersion::new(low), "{high} > {low}");
            }
        }
        assert_eq!(DebVersion::new("1.00-1"), DebVersion::new("1.0-01"));
    }

    #[test]
    fn wanted_versions() {
        let accepts = |wanted: Wanted<'_>, version: &str| wanted.accepts(&DebVersion::new(version));
        for good in ["7.3-1", "7.3.4-1~bpo13+1", "7.3~rc7-1~exp1", "1:7.3.1-2"] {
            assert!(accepts(Wanted::Line("7.3"), good), "{good}");
        }
        for bad in ["7.30-1", "7.31.2-1", "7.2-7.3", "17.3-1"] {
            assert!(!accepts(Wanted::Line("7.3"), bad), "{bad}");
        }
        for good in ["1.95.0-1", "1.95.0+dfsg1-2~bpo13+1"] {
            assert!(accepts(Wanted::Release("1.95.0"), good), "{good}");
        }
        for bad in ["1.95.0~beta.1-1", "1.95.01-1", "1.95.0.1-1", "1.94.0+dfsg1-1"] {
            assert!(!accepts(Wanted::Release("1.95.0"), bad), "{bad}");
        }
        assert!(accepts(Wanted::Any, "anything"));
    }

    proptest! {
        #[test]
        fn the_order_is_total(mut versions in proptest::collection::vec("([0-9]:)?[0-9a-c.+~]{0,6}(-[0-9~+b]{1,3})?", 3)) {
            versions.sort_by_key(|text| DebVersion::new(text));
            let [a, b, c] = [0, 1, 2].map(|i| DebVersion::new(&versions[i]));
            prop_assert!(a <= b && b <= c && a <= c);
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        }
    }
}
