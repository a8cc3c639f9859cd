// SPDX-License-Identifier: GPL-2.0-only

//! Reads KTAP out of a kernel log.
//!
//! A result line belongs to the level of its column, and takes as its parts what was read at deeper columns just
//! before. `# ` in front of a result, plan or version counts as indentation, too: kselftest's runner nests that way.

use super::{Results, Status, Test};
use crate::serial::split_time;

/// Reads every KTAP result in these lines.
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Results {
    let mut reader = Reader { levels: vec![Level::new(0)] };
    for line in lines {
        let line = split_time(line).map_or(line, |(_, rest)| rest);
        let (column, token) = token(line);
        match token {
            Token::Bail => break,
            Token::Other => {}
            Token::Diagnostic(text) => reader.diagnostic(text),
            token => reader.take(column, token),
        }
    }
    reader.close_to(0);
    let mut outermost = reader.levels.swap_remove(0);
    outermost.finish();
    Results { tests: outermost.tests }
}

#[derive(Debug)]
enum Token<'a> {
    Version,
    Plan(usize),
    Subtest(&'a str),
    Result(Status, String),
    Diagnostic(&'a str),
    Bail,
    Other,
}

/// Tests at one column.
#[derive(Debug)]
struct Level {
    column: usize,
    /// The name that `# Subtest:` gave it.
    name: Option<String>,
    /// How many results the plan promises, those of earlier plans at this level included.
    planned: Option<usize>,
    tests: Vec<Test>,
    diagnostics: Vec<String>,
    /// The level below, closed, whose result has not come yet.
    inner: Option<Box<Level>>,
}

impl Level {
    fn new(column: usize) -> Self {
        Self { column, name: None, planned: None, tests: Vec::new(), diagnostics: Vec::new(), inner: None }
    }

    /// A level below began and its own result never came.
    fn abandon_inner(&mut self) {
        if let Some(mut inner) = self.inner.take() {
            inner.finish();
            let name = inner.name.take().unwrap_or_default();
            let diagnostics = std::mem::take(&mut inner.diagnostics);
            self.tests.push(Test { name, status: Status::NotRun, diagnostics, subtests: inner.tests });
        }
    }

    /// Holds the level to its plan.
    fn finish(&mut self) {
        self.abandon_inner();
        let planned = self.planned.take().unwrap_or(self.tests.len());
        if self.tests.len() > planned {
            let found = self.tests.len();
            let diagnostics = vec![format!("{planned} results were planned, {found} came")];
            self.tests.push(Test { name: "plan".into(), status: Status::Fail, diagnostics, subtests: Vec::new() });
        }
        while self.tests.len() < planned {
            self.tests.push(Test {
                name: String::new(),
                status: Status::NotRun,
                diagnostics: Vec::new(),
                subtests: Vec::new(),
            });
        }
    }
}

struct Reader {
    /// From the outermost inwards; never empty.
    levels: Vec<Level>,
}

impl Reader {
    fn take(&mut self, column: usize, token: Token<'_>) {
        self.close_to(column);
        if self.top().column < column {
            self.top().abandon_inner();
            self.levels.push(Level::new(column));
        }
        let level = self.top();
        match token {
            // Another document at the same level; the one before must be complete.
            Token::Version if level.planned.is_some() => level.finish(),
            Token::Plan(tests) => {
                level.abandon_inner();
                // What stands between the head and the plan describes the level (KUnit's attributes) and explains no
                // result.
                level.diagnostics.clear();
                level.planned = Some(level.tests.len() + tests);
            }
            Token::Subtest(name) => level.name = Some(name.to_owned()),
            Token::Result(status, name) => {
                let mut subtests = Vec::new();
                let mut diagnostics = std::mem::take(&mut level.diagnostics);
                if let Some(mut inner) = level.inner.take() {
                    inner.finish();
                    diagnostics.append(&mut inner.diagnostics);
                    subtests = inner.tests;
                }
                level.tests.push(Test { name, status, diagnostics, subtests });
            }
            Token::Version | Token::Diagnostic(_) | Token::Bail | Token::Other => {}
        }
    }

    fn diagnostic(&mut self, text: &str) {
        self.top().diagnostics.push(text.to_owned());
    }

    /// Closes the levels deeper than `column`.
    fn close_to(&mut self, column: usize) {
        while self.levels.len() > 1 && self.top().column > column {
            if let Some(inner) = self.levels.pop() {
                let outer = self.top();
                outer.abandon_inner();
                outer.inner = Some(Box::new(inner));
            }
        }
    }

    fn top(&mut self) -> &mut Level {
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }
}

fn token(line: &str) -> (usize, Token<'_>) {
    let text = line.trim_start_matches(' ');
    let column = line.len() - text.len();
    let Some(comment) = text.strip_prefix("# ") else { return (column, plain(text)) };
    if let Some(name) = comment.strip_prefix("Subtest: ") {
        return (column, Token::Subtest(name.trim_end()));
    }
    match token(comment) {
        (inner, token @ (Token::Version | Token::Plan(_) | Token::Result(..))) => (column + 2 + inner, token),
        // Deeper levels of kselftest's nesting.
        (inner, token @ Token::Subtest(_)) => (column + 2 + inner, token),
        _ => (column, Token::Diagnostic(comment.trim_end())),
    }
}

fn plain(text: &str) -> Token<'_> {
    if text.starts_with("KTAP version ") || text.starts_with("TAP version ") {
        return Token::Version;
    }
    if text.starts_with("Bail out!") {
        return Token::Bail;
    }
    if let Some(count) = text.strip_prefix("1..") {
        let digits = count.split(' ').next().unwrap_or_default();
        return digits.trim_end().parse().map_or(Token::Other, |tests: u16| Token::Plan(tests.into()));
    }
    let (status, rest) = match (text.strip_prefix("ok"), text.strip_prefix("not ok")) {
        (Some(rest), _) => (Status::Pass, rest),
        (_, Some(rest)) => (Status::Fail, rest),
        _ => return Token::Other,
    };
    result(status, rest).unwrap_or(Token::Other)
}

/// What follows `ok`: a number, perhaps a dash, a name, perhaps a directive.
fn result<'a>(status: Status, rest: &str) -> Option<Token<'a>> {
    let rest = rest.strip_prefix(' ')?;
    let (number, rest) = rest.split_once(' ').unwrap_or((rest.trim_end(), ""));
    number.parse::<usize>().ok()?;
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    let (name, directive) = split_directive(rest);
    let skipped = directive.trim_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case("skip"));
    Some(Token::Result(if skipped && status == Status::Pass { Status::Skip } else { status }, name))
}

/// Splits at the first hash that is not escaped.
fn split_directive(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if text[at + 1..].starts_with(['#', '\\']) => name.extend(chars.next().map(|(_, escaped)| escaped)),
            '#' => return (name.trim_end().to_owned(), &text[at + 1..]),
            c => name.push(c),
        }
    }
    (name.trim_end().to_owned(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(tests: &[Test], depth: usize) -> String {
        let one = |test: &Test| {
            let notes = if test.diagnostics.is_empty() { String::new() } else { format!(" {:?}", test.diagnostics) };
            format!("{}{:?} {}{notes}\n{}", "  ".repeat(depth), test.status, test.name, show(&test.subtests, depth + 1))
        };
        tests.iter().map(one).collect()
    }

    fn read(text: &str) -> String {
        show(&parse(text.lines()).tests, 0)
    }

    #[test]
    fn kunit_on_a_console() {
        insta::assert_snapshot!(read("\
[    0.100000] KTAP version 1
[    0.100001] 1..2
[    0.100002]     KTAP version 1
[    0.100003]     # Subtest: kho
[    0.100004]     # module: kho
[    0.100005]     1..2
[    0.100006]         KTAP version 1
[    0.100007]         # Subtest: sizes
[    0.100008]         ok 1 small
[    0.100009]         ok 2 small
[    0.100010]     ok 1 sizes
[    0.100011]     # broken: EXPECTATION FAILED at x.c:1
[    0.100012]     not ok 2 broken
[    0.100013] # kho: pass:1 fail:1 skip:0 total:2
[    0.100014] not ok 1 kho
[    0.100015]     KTAP version 1
[    0.100016]     # Subtest: luo
[    0.100017]     1..1
[    0.100018]     ok 1 hw # SKIP no hardware
[    0.100019] ok 2 luo # SKIP
"), @r#"
        Fail kho ["kho: pass:1 fail:1 skip:0 total:2"]
          Pass sizes
            Pass small
            Pass small
          Fail broken ["broken: EXPECTATION FAILED at x.c:1"]
        Skip luo
          Skip hw
        "#);
    }

    #[test]
    fn kselftest_nests_behind_hashes() {
        insta::assert_snapshot!(read("\
TAP version 13
1..2
# selftests: vfio: vfio_pci_device_test
# TAP version 13
# 1..2
# # Starting 2 tests
# ok 1 vfio_pci_device_test.config_space
# not ok 2 vfio_pci_device_test.reset # timeout
# # FAILED: 1 / 2 tests passed.
not ok 1 selftests: vfio: vfio_pci_device_test # exit=1
ok 2 selftests: vfio: other
"), @r##"
        Fail selftests: vfio: vfio_pci_device_test ["selftests: vfio: vfio_pci_device_test", "# FAILED: 1 / 2 tests passed."]
          Pass vfio_pci_device_test.config_space ["# Starting 2 tests"]
          Fail vfio_pci_device_test.reset
        Pass selftests: vfio: other
        "##);
    }

    #[test]
    fn a_crash_leaves_tests_not_run() {
        insta::assert_snapshot!(read("\
KTAP version 1
1..3
    KTAP version 1
    # Subtest: a
    1..3
    ok 1 one
BUG: kernel NULL pointer dereference
"), @"
        NotRun a
          Pass one
          NotRun 
          NotRun 
        NotRun 
        NotRun
        ");
    }

    #[test]
    fn more_than_planned_is_a_failure() {
        insta::assert_snapshot!(read("1..1\nok 1 a\nok 2 b\n"), @r#"
        Pass a
        Pass b
        Fail plan ["1 results were planned, 2 came"]
        "#);
    }

    #[test]
    fn two_documents_at_one_level() {
        insta::assert_snapshot!(read("KTAP version 1\n1..2\nok 1 a\nKTAP version 1\n1..1\nok 1 a\n"), @"
        Pass a
        NotRun 
        Pass a
        ");
    }

    #[test]
    fn ordinary_messages_are_no_results() {
        assert_eq!(read("okay 1 x\nok\nok go on\nnot ok\n1..x\n1..99999999999\nx ok 1 y\n"), "");
    }

    #[test]
    fn a_bail_out_ends_it() {
        assert_eq!(read("1..2\nok 1 a\nBail out! no device\nok 2 b\n"), "Pass a\nNotRun \n");
    }
}
