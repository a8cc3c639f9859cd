// SPDX-License-Identifier: GPL-2.0-only

//! The kernel log of this boot, `/dev/kmsg`: one record per read, `priority,sequence,time,flags;text` and then lines that start
//! with a blank (see Documentation/ABI/testing/dev-kmsg).

use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::failure::Failure;
use crate::files;

/// Longest record that the kernel gives (`PRINTKRB_RECORD_MAX` and its prefix).
const RECORD: usize = 8192;

/// A line of the log.
#[derive(Debug)]
struct Line {
    /// Microseconds since the kernel's clock started.
    time: u64,
    text: String,
}

/// When the first line with the text `from` was written, and when the next one with the text `to`: in nanoseconds, though the log
/// counts microseconds.
pub(crate) fn span(from: &str, to: &str) -> Result<(u64, u64), Failure> {
    between(&read()?, from, to)
}

fn between(lines: &[Line], from: &str, to: &str) -> Result<(u64, u64), Failure> {
    let missing = |what: &str| Failure::new(format!("none of {} lines has {what:?}, where it is wanted", lines.len()));
    let start = lines.iter().position(|line| line.text.contains(from)).ok_or_else(|| missing(from))?;
    let end = lines[start + 1..].iter().find(|line| line.text.contains(to)).ok_or_else(|| missing(to))?;
    Ok((lines[start].time * 1000, end.time * 1000))
}

/// Checks how many lines hold a text: exactly `count`, or at least one.
pub(crate) fn check(text: &str, count: Option<usize>) -> Result<String, Failure> {
    let lines: Vec<_> = read()?.into_iter().map(|line| line.text).collect();
    judge(&lines, text, count)
}

fn judge(lines: &[String], text: &str, count: Option<usize>) -> Result<String, Failure> {
    let found: Vec<_> = lines.iter().filter(|line| line.contains(text)).collect();
    let summary = match found[..] {
        [] => format!("none of {} lines has it", lines.len()),
        [line] => format!("{line:?}"),
        [first, ..] => format!("{} lines, the first {first:?}", found.len()),
    };
    match count {
        None if found.is_empty() => Err(Failure::new(summary)),
        Some(want) if found.len() != want => Err(Failure::new(format!("{summary}; want {want}"))),
        _ => Ok(summary),
    }
}

fn read() -> Result<Vec<Line>, Failure> {
    let log = files::open(Path::new("/dev/kmsg"), OFlags::RDONLY | OFlags::NONBLOCK)?;
    let mut record = [0; RECORD];
    let mut lines = Vec::new();
    loop {
        match rustix::io::read(&log, &mut record) {
            Ok(n) => lines.extend(line(&record[..n])),
            Err(Errno::AGAIN) => return Ok(lines),
            Err(Errno::INTR) => {}
            // Records were overwritten while we read: what is counted would depend on the moment.
            Err(errno) => return Err(Failure::setup("read of /dev/kmsg", errno)),
        }
    }
}

/// The text of a record and its time.
fn line(record: &[u8]) -> Option<Line> {
    let record = String::from_utf8_lossy(record);
    let (head, text) = record.split_once(';')?;
    let time = head.split(',').nth(2)?.parse().ok()?;
    Some(Line { time, text: text.lines().next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_record_is_between_semicolon_and_dictionary() {
        let record = b"6,339,5140900,-;pci 0000:01:00.0: a; b\n SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0\n";
        let found = line(record).unwrap();
        assert_eq!((found.time, found.text.as_str()), (5_140_900, "pci 0000:01:00.0: a; b"));
        assert!(line(b"no record").is_none() && line(b"6,339,now,-;a").is_none());
    }

    #[test]
    fn a_span_ends_after_it_starts() {
        let lines = (1..).zip(["end", "start 1", "start 2", "end", "end"]);
        let lines: Vec<_> = lines.map(|(time, text)| Line { time, text: text.into() }).collect();
        assert_eq!(between(&lines, "start", "end").unwrap(), (2000, 4000));
        let text = between(&lines, "end", "never").unwrap_err().to_string();
        assert_eq!(text, "none of 5 lines has \"never\", where it is wanted");
        assert!(between(&lines, "start 2", "start").is_err(), "not the same line");
    }

    #[test]
    fn lines_are_counted() {
        let lines = ["a x".to_owned(), "b".to_owned(), "c x".to_owned()];
        assert_eq!(judge(&lines, "x", Some(2)).unwrap(), r#"2 lines, the first "a x""#);
        assert_eq!(judge(&lines, "b", None).unwrap(), r#""b""#);
        assert_eq!(judge(&lines, "d", None).unwrap_err().to_string(), "none of 3 lines has it");
        judge(&lines, "d", Some(0)).unwrap();
        assert!(judge(&lines, "x", Some(1)).unwrap_err().to_string().ends_with("; want 1"));
    }
}
