// SPDX-License-Identifier: GPL-2.0-only

//! JUnit XML, which CI systems display.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::error::HarnessError;
use crate::report::CaseResult;

/// One suite per scenario, one test case per case, with the steps as its output.
pub fn to_xml(cases: &[CaseResult]) -> Result<String, HarnessError> {
    let mut report = Report::new("phasectl");
    for case in cases {
        let status = if case.passed {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type(case.verdict.name())
                .set_message(&case.reason)
                .set_description(format!("logs: {}", case.log_dir));
            status
        };
        let mut test = TestCase::new(format!("{} {}", case.rows.join(","), case.case), status);
        test.set_classname(&case.scenario).set_time(Duration::from_secs_f64(case.seconds.max(0.0)));
        test.set_system_out(steps(case));
        match report.test_suites.iter_mut().find(|suite| suite.name.as_str() == case.scenario) {
            Some(suite) => {
                suite.add_test_case(test);
            }
            None => {
                let mut suite = TestSuite::new(&*case.scenario);
                suite.add_test_case(test);
                report.add_test_suite(suite);
            }
        }
    }
    report.to_string().map_err(|error| io::Error::other(error).into())
}

fn steps(case: &CaseResult) -> String {
    let line = |step: &crate::report::StepResult| {
        let result = if step.ok { "ok" } else { "FAILED" };
        format!("{:>7} ms  hop {}: {}: {result} {}\n", step.host_ms, step.hop, step.what, step.detail)
    };
    case.steps.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::StepResult;
    use crate::verdict::Class;

    #[test]
    fn a_report() {
        let step = StepResult { hop: 1, what: "retrieve".into(), ok: false, detail: "<ENOENT>".into(), host_ms: 7 };
        let good = CaseResult::sample();
        let bad = CaseResult {
            case: "scalable".into(),
            passed: false,
            verdict: Class::HandoverIgnored,
            reason: "a & b".into(),
            steps: vec![step],
            ..good.clone()
        };
        insta::assert_snapshot!(to_xml(&[good, bad]).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="phasectl" tests="1" failures="0" errors="0">
            <testsuite name="phase1/fd-preserve" tests="2" disabled="0" errors="0" failures="1">
                <testcase name="1.2 legacy" classname="phase1/fd-preserve" time="1.500">
                    <system-out></system-out>
                </testcase>
                <testcase name="1.2 scalable" classname="phase1/fd-preserve" time="1.500">
                    <failure message="a &amp; b" type="handover-ignored">logs: out</failure>
                    <system-out>      7 ms  hop 1: retrieve: FAILED &lt;ENOENT&gt;
        </system-out>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }
}
