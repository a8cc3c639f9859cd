// SPDX-License-Identifier: GPL-2.0-only

//! Writes KTAP.

use std::io::{self, Write};

use super::{Status, Test};
use crate::report::{CaseResult, Crossing, Summary, Translated, Unchanged, Witnessed};
use crate::verdict::Class;

/// Writes one KTAP document, result by result. Every result is flushed, so that a reader sees it when it is known.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    number: usize,
}

impl<W: Write> Writer<W> {
    /// Starts with the version line.
    pub fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "KTAP version 1")?;
        Ok(Self { out, number: 0 })
    }

    /// How many results will follow.
    pub fn plan(&mut self, tests: usize) -> io::Result<()> {
        writeln!(self.out, "1..{tests}")
    }

    /// A diagnostic; each of its lines becomes one.
    pub fn diagnostic(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| writeln!(self.out, "# {line}"))?;
        self.out.flush()
    }

    /// A test with its parts. `planned` says how many parts there should be, if some are missing at the end.
    pub fn test(&mut self, test: &Test, planned: Option<usize>) -> io::Result<()> {
        self.number += 1;
        put(&mut self.out, 0, self.number, test, planned)?;
        self.out.flush()
    }

    /// The result of a case: `ok 3 - 1.3 fd-preserve/legacy: <title>`, before it the steps that ran, after it the
    /// reason if it is not good.
    pub fn case(&mut self, case: &CaseResult) -> io::Result<()> {
        // Where a failure is expected, the failing step is what must happen; shown as `not ok` it would be counted.
        let steps = if case.expected == Class::Pass { case.steps.as_slice() } else { &[] };
        let subtests = steps.iter().map(|step| Test {
            name: format!("hop {}: {}", step.hop, step.what),
            status: if step.ok { Status::Pass } else { Status::Fail },
            diagnostics: if step.ok { Vec::new() } else { vec![step.detail.clone()] },
            subtests: Vec::new(),
        });
        let test = Test {
            name: format!("{} {}: {}", case.rows.join(","), case.short_id(), case.title),
            status: if case.passed { Status::Pass } else { Status::Fail },
            diagnostics: Vec::new(),
            subtests: subtests.collect(),
        };
        self.test(&test, Some(case.planned_steps))?;
        for mark in case.blackout.iter().flat_map(|blackout| &blackout.marks) {
            self.diagnostic(&format!(
                "blackout to {}: {} instructions, baseline {}, {:+.3} %",
                mark.name,
                mark.instructions,
                mark.baseline,
                mark.overhead_percent()
            ))?;
        }
        for spans in &case.spans {
            let Some(Summary { count, first, last, least, most, .. }) = spans.summary() else { continue };
            let budget = spans.budget.map(|budget| format!(", budget {budget}")).unwrap_or_default();
            self.diagnostic(&format!(
                "{}: {count} spans, first {first}, last {last}, least {least}, most {most} instructions{budget}",
                spans.name
            ))?;
        }
        for why in &case.again {
            self.diagnostic(&format!("run again: {why}"))?;
        }
        for witnessed in &case.witnessed {
            self.diagnostic(&describe(witnessed))?;
        }
        if let Some(translated) = &case.translation {
            self.diagnostic(&describe_translation(translated))?;
        }
        if let Some(Unchanged { bytes, comparisons }) = case.unchanged {
            self.diagnostic(&format!("unchanged: {bytes} bytes that were recorded, compared {comparisons} times"))?;
        }
        if !case.passed {
            self.diagnostic(&format!("verdict: {}: {}", case.verdict, case.reason))?;
            self.diagnostic(&format!("logs: {}", case.log_dir))?;
        }
        self.out.flush()
    }
}

fn describe(witnessed: &Witnessed) -> String {
    let Witnessed { device, frames, latest_microseconds, silence_microseconds, silence_ticks, blackouts } = witnessed;
    let blackouts = blackouts.iter().map(|blackout| {
        let Crossing { arrivals, microseconds } = blackout;
        format!("{arrivals} in {} ms", microseconds / 1000)
    });
    format!(
        "{device}: {frames} frames, none lost, the latest after {:.1} ms, none for {:.1} ms ({silence_ticks} ticks) at most; between kernels: {}",
        *latest_microseconds as f64 / 1000.0,
        *silence_microseconds as f64 / 1000.0,
        blackouts.collect::<Vec<_>>().join(", ")
    )
}

fn describe_translation(translated: &Translated) -> String {
    let Translated { milliseconds, looks, refused } = translated;
    let refused: Vec<_> = refused.iter().map(|(device, count)| format!("{count} of {device}")).collect();
    let refused = if refused.is_empty() { "none".to_owned() } else { refused.join(", ") };
    format!(
        "translation: on for {:.3} s without a break, {looks} looks agree; refused requests: {refused}",
        *milliseconds as f64 / 1000.0
    )
}

fn put(out: &mut impl Write, depth: usize, number: usize, test: &Test, planned: Option<usize>) -> io::Result<()> {
    let indent = "    ".repeat(depth);
    if !test.subtests.is_empty() {
        let inner = "    ".repeat(depth + 1);
        writeln!(out, "{inner}KTAP version 1\n{inner}# Subtest: {}", escape(&test.name))?;
        writeln!(out, "{inner}1..{}", planned.unwrap_or(test.subtests.len()))?;
        for (number, subtest) in (1..).zip(&test.subtests) {
            put(out, depth + 1, number, subtest, None)?;
        }
    }
    let (result, directive) = match test.status {
        Status::Pass => ("ok", ""),
        Status::Fail => ("not ok", ""),
        Status::Skip => ("ok", " # SKIP"),
        Status::NotRun => ("not ok", " # not run"),
    };
    for line in test.diagnostics.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty()) {
        writeln!(out, "{indent}# {line}")?;
    }
    writeln!(out, "{indent}{result} {number} - {}{directive}", escape(&test.name))
}

/// A hash would start a directive, and a line is one line.
fn escape(name: &str) -> String {
    name.replace('\\', r"\\").replace('#', r"\#").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Blackout, Mark, Span, Spans, StepResult};

    fn case(passed: bool) -> CaseResult {
        let step = |what: &str, ok, detail: &str| StepResult {
            hop: 0,
            what: what.into(),
            ok,
            detail: detail.into(),
            host_ms: 1,
        };
        let spans = [7, 5].map(|instructions| Span { name: "n".into(), instructions });
        let spans = Spans { name: "preserve {device}".into(), budget: Some(9), spans: spans.into() };
        let witnessed = Witnessed {
            device: "dut".into(),
            frames: 700,
            latest_microseconds: 12_345,
            silence_microseconds: 20_000,
            silence_ticks: 3,
            blackouts: [(120, 45_678), (99, 1999)]
                .map(|(arrivals, microseconds)| Crossing { arrivals, microseconds })
                .into(),
        };
        let marks = vec![Mark { name: "usable".into(), instructions: 101, baseline: 100 }];
        CaseResult {
            rows: vec!["1.2".into(), "1.3".into()],
            title: "an fd survives".into(),
            passed,
            verdict: if passed { Class::Pass } else { Class::Stage1Failure },
            reason: "step 1 (bind): EBUSY".into(),
            steps: vec![step("open", true, "/dev/x"), step("bind", passed, "EBUSY")],
            planned_steps: 3,
            blackout: passed.then(|| Blackout { to: "usable".into(), marks }),
            spans: if passed { vec![spans] } else { vec![] },
            witnessed: if passed { vec![witnessed] } else { vec![] },
            again: if passed { vec!["nobody sent frames for 1105 ms".into()] } else { vec![] },
            ..CaseResult::sample()
        }
    }

    #[test]
    fn a_document() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out).unwrap();
        writer.plan(3).unwrap();
        writer.case(&case(false)).unwrap();
        writer.case(&CaseResult { planned_steps: 2, ..case(true) }).unwrap();
        writer.case(&CaseResult { passed: true, expected: Class::Stage1Failure, ..case(false) }).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @"
        KTAP version 1
        1..3
            KTAP version 1
            # Subtest: 1.2,1.3 fd-preserve/legacy: an fd survives
            1..3
            ok 1 - hop 0: open
            # EBUSY
            not ok 2 - hop 0: bind
        not ok 1 - 1.2,1.3 fd-preserve/legacy: an fd survives
        # verdict: stage1-failure: step 1 (bind): EBUSY
        # logs: out
            KTAP version 1
            # Subtest: 1.2,1.3 fd-preserve/legacy: an fd survives
            1..2
            ok 1 - hop 0: open
            ok 2 - hop 0: bind
        ok 2 - 1.2,1.3 fd-preserve/legacy: an fd survives
        # blackout to usable: 101 instructions, baseline 100, +1.000 %
        # preserve {device}: 2 spans, first 7, last 5, least 5, most 7 instructions, budget 9
        # run again: nobody sent frames for 1105 ms
        # dut: 700 frames, none lost, the latest after 12.3 ms, none for 20.0 ms (3 ticks) at most; between kernels: 120 in 45 ms, 99 in 1 ms
        ok 3 - 1.2,1.3 fd-preserve/legacy: an fd survives
        ");
    }
}
