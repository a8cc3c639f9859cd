// SPDX-License-Identifier: GPL-2.0-only

//! Series that nobody reviews because they are too long, and where to cut them.
//!
//! A cut is good behind a patch at which a test first passes: the part before it shows something by itself. It is bad where files
//! are touched on both sides, since the parts then cannot be reviewed apart. The proposal has as few parts as the limit
//! allows, and of those ways to cut the cheapest.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

/// How many patches a mailing list takes at once.
pub const LIMIT: usize = 15;

/// What a part costs that ends without showing anything, in files touched on both sides of a cut.
const NO_TEST: usize = 4;

/// A patch of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The line of its entry in phase.yaml.
    pub line: usize,
    /// Whether a test first passes at it.
    pub tested: bool,
    /// What it touches.
    pub files: BTreeSet<Utf8PathBuf>,
}

pub(super) fn check(subject: &Subject, _: &Bench<'_>) -> Result<Verdict, BuildError> {
    let members = &subject.series;
    if members.len() <= LIMIT {
        return Ok(Verdict::default());
    }
    let file = subject.origin.file.with_file_name("phase.yaml");
    let parts: Vec<String> = split(members)
        .into_iter()
        .map(|part| match part {
            [one] => one.name.clone(),
            [first, .., last] => format!("{} to {} ({} patches)", first.name, last.name, part.len()),
            [] => String::new(),
        })
        .collect();
    let message =
        format!("the series that begins with {} has {} patches, {LIMIT} is the limit", members[0].name, members.len());
    Ok(vec![Finding::new(&file, members[0].line, message, format!("split it: {}", parts.join("; ")))].into())
}

/// The parts of a series, none longer than the limit.
fn split(members: &[Member]) -> Vec<&[Member]> {
    // best[end] is (number of parts, cost, where the last part begins) of the first `end` patches.
    let mut best = vec![(0, 0, 0)];
    for end in 1..=members.len() {
        let ways = (end.saturating_sub(LIMIT)..end)
            .map(|start| (best[start].0 + 1, best[start].1 + cut(members, start), start));
        best.push(ways.min().unwrap_or_default());
    }
    let mut parts = Vec::new();
    let mut end = members.len();
    while end > 0 {
        let start = best[end].2;
        parts.push(&members[start..end]);
        end = start;
    }
    parts.reverse();
    parts
}

/// What it costs to cut before a patch.
fn cut(members: &[Member], at: usize) -> usize {
    let (before, after) = members.split_at(at);
    let Some(last) = before.last() else { return 0 };
    let files = |side: &[Member]| -> BTreeSet<Utf8PathBuf> { side.iter().flat_map(|one| one.files.clone()).collect() };
    files(before).intersection(&files(after)).count() + if last.tested { 0 } else { NO_TEST }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::Small;

    fn members(count: usize) -> Vec<Member> {
        let files = |number: usize| [if number < 9 { "a.c" } else { "b.c" }, "Makefile"].map(Utf8PathBuf::from);
        (0..count)
            .map(|n| Member { name: format!("p{n}"), line: n + 9, tested: n % 4 == 3, files: files(n).into() })
            .collect()
    }

    #[test]
    fn short_ones_are_left_alone_and_long_ones_are_split() {
        let small = Small::new();
        let mut subject = small.subject(&[("a.c", "1\n")], &[("a.c", "2\n")]);
        subject.series = members(15);
        assert!(small.run("series", &subject).is_empty());
        subject.series = members(20);
        let found = small.run("series", &subject);
        assert_eq!(found[0].place(), "phase.yaml:9");
        assert_eq!(found[0].message, "the series that begins with p0 has 20 patches, 15 is the limit");
        // Behind p7, where a test passes, and not behind p8, where only Makefile is on both sides.
        assert_eq!(found[0].fix, "split it: p0 to p7 (8 patches); p8 to p19 (12 patches)");
    }

    #[test]
    fn no_part_is_too_long_and_there_are_no_more_than_needed() {
        for count in 1..70 {
            let all = members(count);
            let parts = split(&all);
            assert!(parts.iter().all(|part| (1..=LIMIT).contains(&part.len())));
            assert_eq!(parts.concat(), all);
            assert_eq!(parts.len(), count.div_ceil(LIMIT));
        }
    }
}
