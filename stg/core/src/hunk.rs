// SPDX-License-Identifier: GPL-2.0-only

//! One file's hunks, put on or taken off, without guessing.
//!
//! Every line of a hunk's old side must be there, byte for byte: no fuzz, no ignored white space. Where the hunk says it
//! is, it is (moved by as much as the hunk before it was); failing that, it may lie elsewhere after the previous hunk, but
//! only if there is exactly one such place. Two candidate places are an error, not a choice, because a silently misplaced
//! hunk still compiles often enough. Taking off is putting on with the two sides exchanged, so the two are exact inverses.

use std::fmt;

/// What a line of a hunk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Is on both sides.
    Context,
    /// Only on the old side.
    Remove,
    /// Only on the new side.
    Add,
}

/// A line of a hunk. The text ends with a line feed unless it is the last line of a file without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which sides it is on.
    pub tag: Tag,
    /// Its bytes, with the line feed.
    pub text: Vec<u8>,
}

/// A hunk as written in a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// Line of its `@@` in the .patch file; 0 when it did not come from one.
    pub at: usize,
    /// First line of the old side, as in the header.
    pub old_start: usize,
    /// First line of the new side, as in the header.
    pub new_start: usize,
    /// What follows the second `@@`, with its leading blank.
    pub heading: Vec<u8>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// Whether hunks go on or come off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the old side to the new.
    Apply,
    /// From the new side to the old.
    TakeBack,
}

/// Why a hunk has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// 1-based number of the hunk among the file's hunks.
    pub number: usize,
    /// Line in the .patch file: of the line that differs, or of the hunk's `@@`.
    pub at: usize,
    /// The details.
    pub why: Why,
}

/// See [`Mismatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Nowhere; the nearest place differs first at this line of the target (1-based).
    Differs {
        /// Line in the target file.
        line: usize,
        /// What the hunk has there.
        wanted: String,
        /// What the file has there; `None` past its end.
        found: Option<String>,
    },
    /// At more than one place (1-based lines), none of them the expected one.
    Ambiguous(Vec<usize>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { line, wanted, found: Some(found) } => {
                write!(f, "line {line} differs\n  wanted: {wanted}\n  found:  {found}")
            }
            Self::Differs { line, wanted, found: None } => {
                write!(f, "the file ends before line {line}\n  wanted: {wanted}")
            }
            Self::Ambiguous(lines) => {
                let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                write!(f, "it would fit at lines {}, and at none of them exactly", lines.join(", "))
            }
        }
    }
}

impl Hunk {
    /// The lines of one side.
    pub fn side(&self, direction: Direction) -> impl Iterator<Item = &Line> {
        let skip = if direction == Direction::Apply { Tag::Add } else { Tag::Remove };
        self.lines.iter().filter(move |line| line.tag != skip)
    }

    /// Number of lines of the old side.
    pub fn old_lines(&self) -> usize {
        self.side(Direction::Apply).count()
    }

    /// Number of lines of the new side.
    pub fn new_lines(&self) -> usize {
        self.side(Direction::TakeBack).count()
    }

    /// Where the old side begins (0-based) according to the header.
    pub(crate) fn old_index(&self) -> usize {
        self.index(Direction::Apply)
    }

    /// Index of the first line of a side in the file. A side without lines names the line before it.
    fn index(&self, direction: Direction) -> usize {
        let (start, lines) = match direction {
            Direction::Apply => (self.old_start, self.old_lines()),
            Direction::TakeBack => (self.new_start, self.new_lines()),
        };
        if lines == 0 { start } else { start.saturating_sub(1) }
    }

    /// Line in the .patch file of the nth line of a side.
    fn patch_line(&self, direction: Direction, nth: usize) -> usize {
        let skip = if direction == Direction::Apply { Tag::Add } else { Tag::Remove };
        let mut at = self.at;
        let mut seen = 0;
        for line in &self.lines {
            at += 1;
            if line.tag != skip {
                if seen == nth {
                    return at;
                }
                seen += 1;
            }
            // The `\ No newline` marker is a line of the .patch of its own.
            at += usize::from(!line.text.ends_with(b"\n"));
        }
        self.at
    }
}

/// Puts hunks on.
///
/// # Errors
/// The first hunk that has no place, or more than one.
pub fn apply(content: &[u8], hunks: &[Hunk]) -> Result<Vec<u8>, Mismatch> {
    place(content, hunks, Direction::Apply)
}

/// Takes hunks off.
///
/// # Errors
/// The first hunk that has no place, or more than one.
pub fn take_back(content: &[u8], hunks: &[Hunk]) -> Result<Vec<u8>, Mismatch> {
    place(content, hunks, Direction::TakeBack)
}

/// Where each hunk would go on (0-based lines of the content as it is).
pub(crate) fn places(content: &[u8], hunks: &[Hunk]) -> Result<Vec<usize>, Mismatch> {
    let lines: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
    search(&lines, hunks, Direction::Apply)
}

fn place(content: &[u8], hunks: &[Hunk], direction: Direction) -> Result<Vec<u8>, Mismatch> {
    let lines: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
    let back = if direction == Direction::Apply { Direction::TakeBack } else { Direction::Apply };
    let mut out = Vec::with_capacity(content.len());
    let mut done = 0;
    for (hunk, at) in hunks.iter().zip(search(&lines, hunks, direction)?) {
        out.extend(lines[done..at].iter().copied().flatten());
        out.extend(hunk.side(back).flat_map(|line| &line.text));
        done = at + hunk.side(direction).count();
    }
    out.extend(lines[done..].iter().copied().flatten());
    Ok(out)
}

fn search(lines: &[&[u8]], hunks: &[Hunk], direction: Direction) -> Result<Vec<usize>, Mismatch> {
    let mut places = Vec::with_capacity(hunks.len());
    let mut done = 0;
    let mut shift = 0_isize;
    for (number, hunk) in hunks.iter().enumerate() {
        let old: Vec<&[u8]> = hunk.side(direction).map(|line| line.text.as_slice()).collect();
        let expected = hunk.index(direction).saturating_add_signed(shift);
        let place = Place { lines, old: &old, from: done, expected, hunk, direction };
        let at = place.find().map_err(|(at, why)| Mismatch { number: number + 1, at, why })?;
        shift += at as isize - expected as isize;
        done = at + old.len();
        places.push(at);
    }
    Ok(places)
}

/// By how many lines the rest of a hunk may be slid behind its first difference, when a place is looked for to be shown.
const SLID: isize = 8;

/// Looks for the place of one hunk.
struct Place<'a> {
    lines: &'a [&'a [u8]],
    /// What must be there.
    old: &'a [&'a [u8]],
    /// Where the hunk before ended.
    from: usize,
    expected: usize,
    hunk: &'a Hunk,
    direction: Direction,
}

impl Place<'_> {
    fn find(&self) -> Result<usize, (usize, Why)> {
        let Self { lines, old, from, expected, .. } = *self;
        let fits = |at: usize| lines.get(at..at + old.len()).is_some_and(|there| there == old);
        if expected >= from && fits(expected) {
            return Ok(expected);
        }
        let last = lines.len().saturating_sub(old.len());
        // Lines without context match everywhere: only the exact place will do.
        let places: Vec<usize> =
            if old.is_empty() { Vec::new() } else { (from..=last).filter(|&at| fits(at)).collect() };
        match places[..] {
            [one] => Ok(one),
            [] => Err(self.nearest()),
            _ => Err((self.hunk.at, Why::Ambiguous(places.iter().map(|at| at + 1).collect()))),
        }
    }

    /// The place where most of the hunk matches, of equal ones the nearest to the expected one; its first difference is
    /// the useful thing to show, since a hunk that moved and broke differs everywhere at its old place.
    ///
    /// Behind the first difference the rest may be slid by a few lines: a line that somebody put into the middle must not
    /// make the lower half look like the better place.
    fn nearest(&self) -> (usize, Why) {
        let Self { lines, old, from, expected, .. } = *self;
        let head = |at: usize| old.iter().enumerate().take_while(|(n, want)| lines.get(at + n) == Some(want)).count();
        let tail = |at: usize, head: usize, slid: isize| {
            let there = |n: usize| (at + n).checked_add_signed(slid).and_then(|line| lines.get(line));
            old.iter().enumerate().skip(head).filter(|(n, want)| there(*n) == Some(want)).count()
        };
        let score = |at: usize| {
            let head = head(at);
            let tail = (-SLID..=SLID).map(|slid| tail(at, head, slid)).max().unwrap_or(0);
            (head + tail, head)
        };
        let best = (from..=lines.len())
            .max_by_key(|&at| (score(at), std::cmp::Reverse(at.abs_diff(expected))))
            .unwrap_or(expected);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
        let nth = old.iter().enumerate().position(|(n, want)| lines.get(best + n) != Some(want)).unwrap_or(0);
        let why = Why::Differs {
            line: best + nth + 1,
            wanted: old.get(nth).map_or_else(|| format!("a file of at least {expected} lines"), |want| text(want)),
            found: lines.get(best + nth).map(|found| text(found)),
        };
        (self.hunk.patch_line(self.direction, nth), why)
    }
}

#[cfg(test)]
mod tests;
