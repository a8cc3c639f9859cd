// SPDX-License-Identifier: GPL-2.0-only

//! Results, for machines and for [KTAP](crate::ktap) and [JUnit](crate::junit).

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use plan::Outcome;
use serde::{Deserialize, Serialize};

use crate::verdict::Class;

/// The result of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Requirement ids that it shows.
    pub rows: Vec<String>,
    /// `<phase>/<name>`.
    pub scenario: String,
    /// The case's name.
    pub case: String,
    /// What the scenario shows.
    pub title: String,
    /// Whether it ended as it must.
    pub passed: bool,
    /// How it should end.
    pub expected: Class,
    /// How it ended.
    pub verdict: Class,
    /// Why, for people; where to look.
    pub reason: String,
    /// How long it took, repetitions included.
    pub seconds: f64,
    /// The repetition that is reported: the first that was not good, else the last.
    pub repetition: u32,
    /// Where the logs are.
    pub log_dir: Utf8PathBuf,
    /// The kernels that ran, by what they say of themselves (`uname -r` and `-v`).
    pub kernels: Vec<String>,
    /// What the guest did.
    pub steps: Vec<StepResult>,
    /// How many steps the plan has; fewer were done if one failed.
    pub planned_steps: usize,
    /// What was observed, for steps that may end in any way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<Observed>,
    /// What was measured, for blackout scenarios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blackout: Option<Blackout>,
    /// What was measured, for measure scenarios: empty if a run was not good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Spans>,
    /// What was witnessed of DMA, device by device: empty if that was not wanted, or if it was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnessed: Vec<Witnessed>,
    /// What was seen of the IOMMU: nothing if that was not wanted, or if something was wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation: Option<Translated>,
    /// What was seen of the memory that must not change: nothing if there is none such, or if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<Unchanged>,
    /// Why it was run again, for each run before the one that is reported: the host was too busy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<String>,
}

/// A device whose DMA went on all the time.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Witnessed {
    /// Its name.
    pub device: String,
    /// How many frames landed, none of them lost or damaged.
    pub frames: usize,
    /// The longest time from sending a frame until it was seen, on the host's clock.
    pub latest_microseconds: u64,
    /// The longest time between two sights of landed frames, on the host's clock.
    pub silence_microseconds: u64,
    /// The most ticks of the reference without one, which is what is judged.
    pub silence_ticks: usize,
    /// What landed from each kernel's line that it starts the next one to that one's first line.
    pub blackouts: Vec<Crossing>,
}

/// An IOMMU that translated all the time.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Translated {
    /// For how long, on the host's clock.
    pub milliseconds: u64,
    /// How often the host looked at its status register.
    pub looks: usize,
    /// How many requests were refused, by device; none of a preserved one's.
    pub refused: BTreeMap<String, usize>,
}

/// Memory that stayed as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Unchanged {
    /// How much.
    pub bytes: u64,
    /// How often it was compared.
    pub comparisons: usize,
}

/// The time between two kernels.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    /// How many frames landed.
    pub arrivals: usize,
    /// How long it was, on the host's clock.
    pub microseconds: u64,
}

/// One step of the guest, or one KUnit test case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// In which kernel.
    pub hop: u32,
    /// What it was.
    pub what: String,
    /// Whether it did what the plan wants.
    pub ok: bool,
    /// What was observed.
    pub detail: String,
    /// Milliseconds since QEMU was started; 0 for KUnit test cases.
    pub host_ms: u64,
}

/// How an `observe` step ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// In which kernel.
    pub hop: u32,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a blackout scenario measured.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Blackout {
    /// The mark at which the blackout ends, which is the one that budgets judge.
    pub to: String,
    /// The marks of the second kernel that both the stages and the baseline have, in the order of the stages.
    pub marks: Vec<Mark>,
}

/// How long it took to get to a mark, in guest instructions.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// From the jump to the mark, for the scenario's stages.
    pub instructions: u64,
    /// The same for its baseline.
    pub baseline: u64,
}

/// Spans that a measure scenario judges alike.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Spans {
    /// The name of them all, as in the scenario's `measure.spans`.
    pub name: String,
    /// How many guest instructions each may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
    /// The spans in the order of the steps.
    pub spans: Vec<Span>,
}

/// How long a step took.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// In guest instructions.
    pub instructions: u64,
}

/// Some spans in a few numbers, in guest instructions.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// How many there are.
    pub count: usize,
    /// The first one's.
    pub first: u64,
    /// The last one's.
    pub last: u64,
    /// The shortest one's.
    pub least: u64,
    /// The longest one's.
    pub most: u64,
    /// All of them.
    pub sum: u64,
}

impl Spans {
    /// In a few numbers; `None` if there are no spans.
    pub fn summary(&self) -> Option<Summary> {
        let all = || self.spans.iter().map(|span| span.instructions);
        Some(Summary {
            count: self.spans.len(),
            first: all().next()?,
            last: all().next_back()?,
            least: all().min()?,
            most: all().max()?,
            sum: all().sum(),
        })
    }
}

impl Blackout {
    /// The mark that budgets judge.
    pub fn judged(&self) -> Option<&Mark> {
        self.marks.iter().find(|mark| mark.name == self.to)
    }
}

impl Mark {
    /// How many instructions more than the baseline.
    pub fn overhead(&self) -> i64 {
        self.instructions.cast_signed() - self.baseline.cast_signed()
    }

    /// How much longer than the baseline, in per cent.
    pub fn overhead_percent(&self) -> f64 {
        // Instruction counts stay far below 2^52, so the conversion is exact.
        (self.instructions as f64 / self.baseline as f64 - 1.0) * 100.0
    }
}

impl CaseResult {
    /// `<phase>/<name>/<case>`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.scenario, self.case)
    }

    /// `<name>/<case>`, as in result lines.
    pub fn short_id(&self) -> String {
        let name = self.scenario.rsplit('/').next().unwrap_or(&self.scenario);
        format!("{name}/{}", self.case)
    }
}

/// The document of `--json`: the results and their count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Every case that ran.
    pub cases: Vec<CaseResult>,
    /// How many were good.
    pub passed: usize,
    /// How many were not.
    pub failed: usize,
}

impl Report {
    /// Counts.
    pub fn new(cases: Vec<CaseResult>) -> Self {
        let passed = cases.iter().filter(|case| case.passed).count();
        let failed = cases.len() - passed;
        Self { cases, passed, failed }
    }

    /// The document, indented, with a newline at its end.
    pub fn to_json(&self) -> String {
        // Strings and finite numbers always serialise.
        let text = serde_json::to_string_pretty(self).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"));
        text + "\n"
    }
}

#[cfg(test)]
impl CaseResult {
    /// A good one.
    pub(crate) fn sample() -> Self {
        Self {
            rows: vec!["1.2".into()],
            scenario: "phase1/fd-preserve".into(),
            case: "legacy".into(),
            title: "t".into(),
            passed: true,
            expected: Class::Pass,
            verdict: Class::Pass,
            reason: String::new(),
            seconds: 1.5,
            repetition: 1,
            log_dir: "out".into(),
            kernels: vec![],
            steps: vec![],
            planned_steps: 0,
            observed: vec![],
            blackout: None,
            spans: vec![],
            witnessed: vec![],
            translation: None,
            unchanged: None,
            again: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_counts_and_is_read_back() {
        let mark = Mark { name: "usable".into(), instructions: 103, baseline: 100 };
        let blackout = Some(Blackout { to: "usable".into(), marks: vec![mark] });
        let spans = vec![spans(&[3, 1, 2])];
        let good = CaseResult { blackout, spans, ..CaseResult::sample() };
        let bad = CaseResult { passed: false, verdict: Class::Hang, blackout: None, ..good.clone() };
        assert_eq!((good.id().as_str(), good.short_id().as_str()), ("phase1/fd-preserve/legacy", "fd-preserve/legacy"));
        let report = Report::new(vec![good, bad.clone(), bad]);
        assert_eq!((report.passed, report.failed), (1, 2));
        assert_eq!(serde_json::from_str::<Report>(&report.to_json()).unwrap(), report);
    }

    fn spans(all: &[u64]) -> Spans {
        let spans = all.iter().map(|&instructions| Span { name: "s".into(), instructions }).collect();
        Spans { name: "s".into(), budget: None, spans }
    }

    #[test]
    fn a_summary() {
        let want = Summary { count: 3, first: 3, last: 2, least: 1, most: 3, sum: 6 };
        assert_eq!((spans(&[3, 1, 2]).summary(), spans(&[]).summary()), (Some(want), None));
    }

    #[test]
    fn overhead() {
        let mark = |name: &str, instructions| Mark { name: name.into(), instructions, baseline: 200 };
        let percent = |instructions| mark("m", instructions).overhead_percent();
        assert!((percent(203) - 1.5).abs() < 1e-9 && (percent(199) + 0.5).abs() < 1e-9);
        let blackout = Blackout { to: "b".into(), marks: vec![mark("a", 203), mark("b", 199)] };
        assert_eq!(blackout.judged().map(Mark::overhead), Some(-1));
    }
}
