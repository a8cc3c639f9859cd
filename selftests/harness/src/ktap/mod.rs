// SPDX-License-Identifier: GPL-2.0-only

//! KTAP, the kernel's test protocol: written for our results, read from the kernel's.
//!
//! The [writer](Writer) keeps to Documentation/dev-tools/ktap.rst. The [reader](parse) takes what kernels really print:
//! times in front, other messages in between, nesting by four blanks (KUnit) or by `# ` (kselftest's runner), with or
//! without a version line per level.
//!
//! What the reader guarantees: a plan is enforced, so tests that a crash kept from running show as [not
//! run](Status::NotRun); results of the same name stay apart; nesting is kept, since flattening hides failures.

mod parse;
mod write;

pub use parse::parse;
pub use write::Writer;

/// How a test ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// `ok`.
    Pass,
    /// `not ok`.
    Fail,
    /// `ok ... # SKIP`.
    Skip,
    /// It was planned or had begun, and no result came.
    NotRun,
}

/// A test and what it consists of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Test {
    /// Its name; empty if only its absence is known.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// Lines that explain.
    pub diagnostics: Vec<String>,
    /// Its parts.
    pub subtests: Vec<Test>,
}

/// A whole output.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Results {
    /// The outermost tests, in order.
    pub tests: Vec<Test>,
}

impl Results {
    /// The outermost tests of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Test> {
        self.tests.iter().filter(move |test| test.name == name)
    }
}

impl Test {
    /// The first reason why this is not a success, from the inside out: `case x: failed: expected 1`.
    pub fn first_bad(&self) -> Option<String> {
        if let Some(inner) = self.subtests.iter().find_map(Self::first_bad) {
            return Some(format!("{}: {inner}", self.shown_name()));
        }
        let what = match self.status {
            Status::Pass | Status::Skip => return None,
            Status::Fail => "failed",
            Status::NotRun => "not run",
        };
        let why = self.diagnostics.iter().map(|line| line.trim()).find(|line| !line.is_empty());
        let why = why.map(|line| format!(": {line}")).unwrap_or_default();
        Some(format!("{}: {what}{why}", self.shown_name()))
    }

    fn shown_name(&self) -> &str {
        if self.name.is_empty() { "a test" } else { &self.name }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree() -> impl Strategy<Value = Vec<Test>> {
        let name = r"[a-z0-9][a-z0-9 :/.#\\]{0,10}[a-z0-9.#\\]";
        let status = prop_oneof![Just(Status::Pass), Just(Status::Fail), Just(Status::Skip)];
        let leaf =
            (name, status).prop_map(|(name, status)| Test { name, status, diagnostics: vec![], subtests: vec![] });
        let node = leaf.prop_recursive(3, 24, 4, |inner| {
            (r"[a-z][a-z0-9_]{0,8}", proptest::collection::vec(inner, 1..4)).prop_map(|(name, subtests)| {
                let bad = subtests.iter().any(|test| test.status == Status::Fail);
                Test { name, status: if bad { Status::Fail } else { Status::Pass }, diagnostics: vec![], subtests }
            })
        });
        proptest::collection::vec(node, 0..5)
    }

    fn write(tests: &[Test]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out).unwrap();
        writer.plan(tests.len()).unwrap();
        for test in tests {
            writer.test(test, None).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tests in tree()) {
            prop_assert_eq!(parse(write(&tests).lines()).tests, tests);
        }

        #[test]
        fn a_kernel_log_around_it_changes_nothing(tests in tree()) {
            let log: Vec<_> = write(&tests)
                .lines()
                .flat_map(|line| [format!("[    1.000001] {line}"), "[    1.000002] usb 1-1: new device".to_owned()])
                .collect();
            prop_assert_eq!(parse(log.iter().map(String::as_str)).tests, tests);
        }

        #[test]
        fn cut_anywhere_it_never_gets_better(tests in tree(), cut in 0.0..1.0_f64) {
            fn passes(tests: &[Test]) -> usize {
                tests.iter().map(|test| usize::from(test.status == Status::Pass) + passes(&test.subtests)).sum()
            }
            let text = write(&tests);
            let lines = text.lines().count();
            let kept = (lines as f64 * cut) as usize;
            let read = parse(text.lines().take(kept));
            prop_assert!(passes(&read.tests) <= passes(&tests));
            // Once the plan was read, no test is forgotten.
            if kept >= 2 {
                prop_assert_eq!(read.tests.len(), tests.len());
                let all = tests.iter().filter_map(Test::first_bad).count();
                if all == 0 && kept < lines {
                    prop_assert!(read.tests.iter().any(|test| test.first_bad().is_some()));
                }
            }
        }

        #[test]
        fn garbage_is_survived(text in "(([ #]{0,6}(ok|not ok|1[.][.][0-9]{1,3}|KTAP version 1|# Subtest: x|[a-z#]{0,5})( [0-9]{1,3})?)?\n){0,20}") {
            parse(text.lines());
        }
    }
}
