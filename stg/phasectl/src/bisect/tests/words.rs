// SPDX-License-Identifier: GPL-2.0-only

//! What a user reads.

use ci::bisect::{Answer, Bisect, Question};
use harness::verdict::Class;
use stg_core::Target;

use crate::bisect::hunt::{Hunted, Tested, hunt};
use crate::bisect::report::{self, Crossed, Ended};
use crate::bisect::scenario;
use crate::bisect::span::Span;
use crate::bisect::walk::{Side, Walk};
use crate::testing::Small;

fn answer(answer: Answer, reason: &str) -> Tested {
    let class = (answer == Answer::Bad).then_some(Class::Stage2Failure);
    Tested { answer, class, reason: reason.to_owned(), known: false }
}

fn good() -> Tested {
    answer(Answer::Good, "")
}

fn bad() -> Tested {
    answer(Answer::Bad, "phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT\nlogs: out")
}

fn unbuildable() -> Tested {
    answer(Answer::Untestable, "phase1/c does not build\na.c:1: error: broken")
}

struct Told {
    text: String,
    json: serde_json::Value,
    code: i32,
}

/// Bisects base, phase1/a, b, c and phase2/d.
fn told(walk: Walk, crossed: Option<Crossed>, test: impl Fn(Question) -> Tested) -> Told {
    let small = Small::new().with_scenarios();
    let stack = small.stack();
    let one = scenario(&small.disk(), &stack, &Target::All, "second/y").unwrap();
    let span = Span::new(&stack, Target::All, &one, Some("base"), None).unwrap();
    let search = Bisect::new(span.good, span.bad, 1).unwrap();
    let mut out = Vec::new();
    report::opening(&span, walk, &one.id, &search, &mut out).unwrap();
    let hunted: Hunted = hunt(search, &mut |question| Ok(test(question)), &mut |search, asked| {
        report::line(&span, search, asked, &mut out)
    })
    .unwrap();
    let ended = Ended {
        span: &span,
        walk,
        scenario: &one.id,
        hunted: &hunted,
        crossed,
        kernels: 4,
        built: 3,
        runs: hunted.asked.len(),
    };
    ended.print(&mut out).unwrap();
    let mut json = Vec::new();
    ended.json(&mut json).unwrap();
    Told {
        text: String::from_utf8(out).unwrap(),
        json: serde_json::from_slice(&json).unwrap(),
        code: ended.exit_code(),
    }
}

#[test]
fn a_culprit() {
    let crossed = Crossed { outgoing: bad(), incoming: good() };
    let told = told(Walk::Both, Some(crossed), |question| if question.point < 3 { good() } else { bad() });
    assert_eq!(told.code, 0);
    insta::assert_snapshot!(told.text, @"");
    assert_eq!(told.json["result"], "culprit");
    assert_eq!(told.json["culprit"]["patch"], "phase1/c");
    assert_eq!(told.json["alone"], serde_json::json!({ "outgoing": "bad", "incoming": "good" }));
    let first = serde_json::json!({
        "at": "phase2/d", "trial": 0, "purpose": "end", "answer": "bad", "class": "stage2-failure", "reason": bad().reason,
        "known": false,
    });
    assert_eq!(told.json["steps"][0], first);
}

#[test]
fn suspects_because_of_what_does_not_build() {
    let told = told(Walk::Both, None, |question| match question.point {
        3 => unbuildable(),
        point if point < 3 => good(),
        _ => bad(),
    });
    assert_eq!(told.code, 125);
    insta::assert_snapshot!(told.text, @"");
    assert_eq!(told.json["result"], "suspects");
    assert_eq!(told.json["suspects"][1]["patch"], "phase2/d");
}

#[test]
fn suspects_because_of_contradictions() {
    let told = told(Walk::Both, None, |question| match (question.point, question.trial) {
        (2, 1) => bad(),
        (point, _) if point < 3 => good(),
        _ => bad(),
    });
    assert_eq!(told.code, 125);
    insta::assert_snapshot!(told.text.lines().skip(6).collect::<Vec<_>>().join("\n"), @"");
    assert_eq!(told.json["contradictory"], serde_json::json!(["phase1/b"]));
    assert_eq!(told.json["culprit"], serde_json::Value::Null);
}

#[test]
fn nothing_to_search() {
    let refused = |walk, tested: fn() -> Tested| {
        let told = told(walk, None, |_| tested());
        assert_eq!((told.code, &told.json["result"]), (1, &serde_json::json!("refused")));
        told.json["refusal"].as_str().unwrap().to_owned()
    };
    insta::assert_snapshot!(refused(Walk::Both, good), @"");
    insta::assert_snapshot!(refused(Walk::Both, bad), @"");
    insta::assert_snapshot!(refused(Walk::Both, unbuildable), @"");
    insta::assert_snapshot!(refused(Walk::One { side: Side::Outgoing, other: 0 }, good), @"");
}

#[test]
fn one_side() {
    let told =
        told(
            Walk::One { side: Side::Incoming, other: 0 },
            None,
            |question| {
                if question.point < 2 { good() } else { bad() }
            },
        );
    let lines: Vec<&str> = told.text.lines().filter(|line| line.contains("kernel ")).collect();
    insta::assert_snapshot!(lines.join("\n"), @"");
    assert_eq!((&told.json["side"], &told.json["other"]), (&serde_json::json!("incoming"), &serde_json::json!("base")));
}
