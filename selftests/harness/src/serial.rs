// SPDX-License-Identifier: GPL-2.0-only

//! Serial ports: bytes to lines with times.
//!
//! A line is dated when its first byte arrives. Kernels die in the middle of a line, so whatever is left at the end is
//! a line too.

use crate::observe::Line;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
    started_ms: u64,
}

impl Splitter {
    /// Takes bytes that arrived at `host_ms` and gives the lines that they complete.
    pub fn push(&mut self, host_ms: u64, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if self.pending.is_empty() {
                self.started_ms = host_ms;
            }
            match byte {
                b'\n' => lines.push(self.take()),
                _ => self.pending.push(byte),
            }
        }
        lines
    }

    /// The unfinished line, if there is one.
    pub fn finish(&mut self) -> Option<Line> {
        (!self.pending.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> Line {
        let line = parse(self.started_ms, &self.pending);
        self.pending.clear();
        line
    }
}

fn parse(host_ms: u64, bytes: &[u8]) -> Line {
    // Firmware and boot loaders leave terminal sequences; a log is text.
    let clean: String = String::from_utf8_lossy(bytes).chars().filter(|c| *c == '\t' || !c.is_control()).collect();
    match split_time(&clean) {
        Some((seconds, text)) => Line { host_ms, guest_seconds: Some(seconds), text: text.to_owned() },
        None => Line { host_ms, guest_seconds: None, text: clean },
    }
}

/// Takes the kernel's time off a line: `[    1.234567] text`, with or without `[  T1] ` of CONFIG_PRINTK_CALLER.
pub fn split_time(line: &str) -> Option<(f64, &str)> {
    let (time, rest) = line.trim_start_matches('\0').strip_prefix('[')?.split_once(']')?;
    let seconds = time.trim_start().parse().ok()?;
    let rest = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((caller, rest)) if caller.trim_start().starts_with(['T', 'C']) => rest,
        _ => rest,
    };
    // One blank belongs to the time; more are indentation.
    Some((seconds, rest.strip_prefix(' ').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kernel_lines() {
        assert_eq!(split_time("[    1.234567] hello"), Some((1.234567, "hello")));
        assert_eq!(split_time("[    1.234567][    T1]     ok 1 x"), Some((1.234567, "    ok 1 x")));
        assert_eq!(split_time("[  OK  ] Started"), None);
        assert_eq!(split_time("Decompressing Linux..."), None);
    }

    #[test]
    fn a_cut_line_is_kept() {
        let mut splitter = Splitter::default();
        assert_eq!(
            splitter.push(5, b"[    0.1] a\r\n[    0."),
            [Line { host_ms: 5, guest_seconds: Some(0.1), text: "a".into() }]
        );
        assert_eq!(splitter.push(9, b"2] Kernel pan"), []);
        let last = splitter.finish().unwrap();
        assert_eq!((last.host_ms, last.guest_seconds, last.text.as_str()), (5, Some(0.2), "Kernel pan"));
        assert_eq!(splitter.finish(), None);
    }

    proptest! {
        #[test]
        fn cuts_between_reads_do_not_matter(text in "([ -~]{0,12}\n){0,6}[ -~]{0,5}", cuts in proptest::collection::vec(0..80_usize, 0..6)) {
            let mut whole = Splitter::default();
            let mut expected = whole.push(0, text.as_bytes());
            expected.extend(whole.finish());
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut pieces = Splitter::default();
            let mut lines: Vec<_> = cuts.windows(2).flat_map(|pair| pieces.push(0, &text.as_bytes()[pair[0]..pair[1]])).collect();
            lines.extend(pieces.finish());
            prop_assert_eq!(lines, expected);
        }
    }
}
