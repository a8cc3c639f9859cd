// SPDX-License-Identifier: GPL-2.0-only

//! What a person reads: a heading per step, a table of what took how long, the failures again, and one last line that
//! programs read, `N passed, N failed`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use super::engine::{Observer, Record, Status, Summary};

/// Prints headings and results to stdout as the run goes on.
#[derive(Debug, Default)]
pub struct Console;

impl Observer for Console {
    fn begins(&mut self, id: &str, title: &str) {
        say(&format!("== {id}: {title}\n"));
    }

    fn ends(&mut self, record: &Record) {
        say(&format!("== {}: {}\n", record.id, in_words(record)));
    }
}

/// Writes to stdout. A reader that went away (`cargo ci | head`) is no reason to stop testing.
pub fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn in_words(record: &Record) -> String {
    match &record.status {
        Status::Passed => format!("passed in {}", seconds(record.took)),
        Status::PassedBefore => "skipped: it passed before with the same files".to_owned(),
        Status::Failed(message) => format!("FAILED after {}: {message}", seconds(record.took)),
        Status::Skipped(reason) => format!("skipped: {reason}"),
    }
}

/// The end of the output; its last line is the count.
pub fn summary(summary: &Summary) -> String {
    let mut text = String::from("\n");
    let width = summary.records.iter().map(|record| record.id.len()).max().unwrap_or(0).max(5);
    let mut row = |id: &str, result: &str, took: &str, tests: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", format!("{id:width$}  {result:13}  {took:>9}  {tests:>6}").trim_end());
    };
    row("step", "result", "took", "tests");
    for record in &summary.records {
        let (result, ran) = match &record.status {
            Status::Passed => ("passed", true),
            Status::PassedBefore => ("passed before", true),
            Status::Failed(_) => ("FAILED", true),
            Status::Skipped(_) => ("skipped", false),
        };
        let tests = (record.count.passed + record.count.failed).to_string();
        let (took, tests) = if ran { (seconds(record.took), tests.as_str()) } else { (String::new(), "") };
        row(&record.id, result, &took, tests);
    }
    row("all", "", &seconds(summary.took), "");
    for record in &summary.records {
        if let Status::Failed(_) | Status::Skipped(_) = record.status {
            let _ = writeln!(text, "{}: {}", record.id, in_words(record));
        }
    }
    if let Some(budget) = summary.exceeded {
        let (took, budget) = (summary.took.as_secs_f64() / 60.0, budget.as_secs_f64() / 60.0);
        let _ = writeln!(
            text,
            "the run took {took:.1} minutes, its budget is {budget:.0}: the table says what to make faster"
        );
    }
    let count = summary.count();
    let _ = writeln!(text, "{} passed, {} failed", count.passed, count.failed);
    text
}

fn seconds(time: Duration) -> String {
    let all = time.as_secs_f64();
    if all < 60.0 { format!("{all:.1} s") } else { format!("{} min {:02} s", all as u64 / 60, all as u64 % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Count;

    fn record(id: &str, status: Status, seconds: f64, passed: u64, failed: u64) -> Record {
        Record { id: id.into(), status, took: Duration::from_secs_f64(seconds), count: Count { passed, failed } }
    }

    #[test]
    fn table_failures_and_last_line() {
        let records = vec![
            record("fmt", Status::Passed, 1.26, 1, 0),
            record("tests", Status::Failed("exit status: 101".into()), 185.0, 100, 2),
            record("patch/phase1/kho-rust", Status::PassedBefore, 33.0, 1, 0),
            record("kernel", Status::Skipped("base failed".into()), 0.0, 0, 0),
        ];
        let summary = Summary { records, took: Duration::from_secs(3700), exceeded: Some(Duration::from_secs(3600)) };
        insta::assert_snapshot!(super::summary(&summary), @"

        step                   result              took   tests
        fmt                    passed             1.3 s       1
        tests                  FAILED         3 min 05 s     102
        patch/phase1/kho-rust  passed before     33.0 s       1
        kernel                 skipped
        all                                   61 min 40 s
        tests: FAILED after 3 min 05 s: exit status: 101
        kernel: skipped: base failed
        the run took 61.7 minutes, its budget is 60: the table says what to make faster
        102 passed, 3 failed
        ");
    }
}
