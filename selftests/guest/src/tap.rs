// SPDX-License-Identifier: GPL-2.0-only

//! What a selftest reports, counted.
//!
//! The format is TAP as kselftest writes it: `TAP version 13`, the plan `1..N`, `ok 1 name` or `not ok 1 name`, perhaps with a
//! directive behind a hash. Anything else in between is the tests' chatter. A directive that is not `SKIP` makes a result
//! neither passed nor skipped: nobody counted on it, so it shows.

use plan::Program;

/// The results so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    planned: Option<usize>,
    passed: usize,
    skipped: usize,
    /// Names of what neither passed nor was skipped.
    bad: Vec<String>,
}

impl Tally {
    /// Takes a line of the program's output.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(count) = line.strip_prefix("1..").and_then(|count| count.trim_end().parse::<usize>().ok()) {
            self.planned = Some(self.planned.unwrap_or(0) + count);
        } else if line.starts_with("Bail out!") {
            self.bad.push(line.trim_end().to_owned());
        } else if let Some(rest) = line.strip_prefix("not ok ") {
            self.bad.push(name(rest).0.to_owned());
        } else if let Some((name, directive)) = line.strip_prefix("ok ").map(name) {
            match directive.split_whitespace().next() {
                None => self.passed += 1,
                Some(word) if word.eq_ignore_ascii_case("skip") => self.skipped += 1,
                Some(_) => self.bad.push(format!("{name} ({directive})")),
            }
        }
    }

    /// Whether that is what was wanted; both ways in words.
    pub(crate) fn judge(&self, want: &Program) -> Result<String, String> {
        let Self { planned, passed, skipped, bad } = self;
        let seen = format!("{passed} passed, {skipped} skipped");
        if !bad.is_empty() {
            return Err(format!("{seen}, {} failed: {}", bad.len(), bad.join(", ")));
        }
        if (*passed, *skipped) != (want.pass, want.skip) {
            return Err(format!("{seen}, want {} passed, {} skipped", want.pass, want.skip));
        }
        match planned {
            Some(planned) if *planned != passed + skipped => Err(format!("{seen}, but {planned} were planned")),
            None if passed + skipped > 0 => Err(format!("{seen}, without a plan: some may be missing")),
            _ => Ok(seen),
        }
    }
}

/// What follows `ok` or `not ok`: a number, a name, perhaps a directive.
fn name(rest: &str) -> (&str, &str) {
    let (head, directive) = rest.split_once('#').unwrap_or((rest, ""));
    let head = head.trim();
    let name =
        head.split_once(' ').filter(|(number, _)| number.parse::<usize>().is_ok()).map_or(head, |(_, name)| name);
    (name.trim_start_matches("- "), directive.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(output: &str, pass: usize, skip: usize) -> Result<String, String> {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.line(line));
        tally.judge(&Program { program: "t".into(), args: Vec::new(), pass, skip })
    }

    const GOOD: &str = "TAP version 13
1..3
# Starting 3 tests from 2 test cases.
#  RUN           t.one ...
ok, this is chatter
#            OK  t.one
ok 1 t.one
ok 2 t.huge # SKIP mmap() failed: Cannot allocate memory (12)
ok 3 - t.three
# Totals: pass:2 fail:0 xfail:0 xpass:0 skip:1 error:0
";

    #[test]
    fn the_numbers_are_exact() {
        assert_eq!(judge(GOOD, 2, 1).unwrap(), "2 passed, 1 skipped");
        assert_eq!(judge(GOOD, 3, 0).unwrap_err(), "2 passed, 1 skipped, want 3 passed, 0 skipped");
        assert_eq!(judge(GOOD, 0, 0).unwrap_err(), "2 passed, 1 skipped, want 0 passed, 0 skipped");
        assert_eq!(judge("# no tests, only messages\n", 0, 0).unwrap(), "0 passed, 0 skipped");
        judge("", 1, 0).unwrap_err();
    }

    #[test]
    fn a_failure_has_a_name() {
        let text = GOOD.replace("ok 1 t.one", "not ok 1 t.one");
        assert_eq!(judge(&text, 2, 1).unwrap_err(), "1 passed, 1 skipped, 1 failed: t.one");
        let text = GOOD.replace("ok 1 t.one", "ok 1 t.one # XFAIL known");
        assert_eq!(judge(&text, 2, 1).unwrap_err(), "1 passed, 1 skipped, 1 failed: t.one (XFAIL known)");
        assert!(judge("1..2\nok 1 a\nBail out! no device\n", 1, 0).unwrap_err().contains("Bail out! no device"));
    }

    #[test]
    fn an_end_before_its_time_is_noticed() {
        assert_eq!(judge("1..3\nok 1 a\nok 2 b\n", 2, 0).unwrap_err(), "2 passed, 0 skipped, but 3 were planned");
        assert!(judge("ok 1 a\n", 1, 0).unwrap_err().contains("without a plan"));
    }
}
