// SPDX-License-Identifier: GPL-2.0-only

//! What a user reads.

use ci::bisect::{Answer, Bisect, Question};
use harness::verdict::Class;
use stg_core::Target;

use super::replay::Scripted;
use crate::bisect::cross::{Crossed, Crossing};
use crate::bisect::hunt::{Hunted, Tested, hunt};
use crate::bisect::report::{self, Ended};
use crate::bisect::span::Span;
use crate::bisect::walk::{Side, Walk};
use crate::bisect::{label, scenario};
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
    report::opening(&span, walk, &one, &search, &mut out).unwrap();
    let hunted: Hunted =
        hunt(search, &mut Scripted(test), &mut |search, asked| report::line(&span, search, asked, &mut out)).unwrap();
    let ended = Ended {
        span: &span,
        walk,
        scenario: label(&one),
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
    let all = |answer| Crossing { answer: Some(answer), times: 4 };
    let crossed = Crossed { outgoing: all(Answer::Bad), incoming: all(Answer::Good) };
    let told = told(Walk::Both, Some(crossed), |question| if question.point < 3 { good() } else { bad() });
    assert_eq!(told.code, 0);
    insta::assert_snapshot!(told.text, @r"
    bisecting 4 patches with phase1/second/y: said to be good at base, bad at phase2/d; at most 4 kernels, if each can be built and says the same every time
    bad         phase2/d (end; 4 patches left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
                logs: out
    good        base (end; 4 patches left)
    good        phase1/b (search; 2 patches left)
    bad         phase1/c (search; 1 patch left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
                logs: out
    bad         phase1/c (again; 1 patch left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
    good        phase1/b (again; 1 patch left)
    phase1/c broke it: c
      patch: phases/phase1/c.patch
      why: good at phase1/b (2 times), bad at phase1/c (2 times)
      side: outgoing: with the patch in that kernel alone it fails, in the incoming one alone it passes
    4 kernels, 3 of them built now; 6 runs
    ");
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
    insta::assert_snapshot!(told.text, @r"
    bisecting 4 patches with phase1/second/y: said to be good at base, bad at phase2/d; at most 4 kernels, if each can be built and says the same every time
    bad         phase2/d (end; 4 patches left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
                logs: out
    good        base (end; 4 patches left)
    good        phase1/b (search; 2 patches left)
    untestable  phase1/c (search; 2 patches left)
                phase1/c does not build
                a.c:1: error: broken
    bad         phase2/d (again; 2 patches left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
    good        phase1/b (again; 2 patches left)
    these patches are suspect; nobody can be named
        phase1/c: c
        phase2/d: d
      why: between the first and the last of them nothing can be tested
      fix: make every patch build; the reasons are above
    4 kernels, 3 of them built now; 6 runs
    ");
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
    insta::assert_snapshot!(told.text.lines().skip(6).collect::<Vec<_>>().join("\n"), @r"
    bad         phase1/c (search; 1 patch left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
                logs: out
    bad         phase1/c (again; 1 patch left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
    bad         phase1/b (again; 3 patches left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
    good        phase1/a (search; 2 patches left)
    bad         phase1/c (again; 2 patches left)
                stage2-failure: phase1/second/y: in the second kernel, step 1 (retrieve): ENOENT
    good        phase1/a (again; 2 patches left)
    good        phase1/a (again; 2 patches left)
    these patches are suspect; nobody can be named
        phase1/b: b
        phase1/c: c
      why: the same kernels passed and failed, at phase1/b
      fix: if it fails now and then, let a point be bad if one run of N fails: --repeat N
    4 kernels, 3 of them built now; 10 runs
    ");
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
    insta::assert_snapshot!(refused(Walk::Both, good), @r"
    nothing to bisect: phase1/second/y passes at the bad end, phase2/d
      fix: name a point where it fails: --bad
    ");
    insta::assert_snapshot!(refused(Walk::Both, bad), @r"
    nothing to bisect: phase1/second/y fails at the good end, base
      fix: name a point where it passes: --good; if it never did, that patch itself, or one before it that nothing else tests, is wrong
    ");
    insta::assert_snapshot!(refused(Walk::Both, unbuildable), @r"
    nothing to bisect: the bad end, phase2/d, cannot be tested
      fix: name an earlier point where it fails: --bad
    ");
    insta::assert_snapshot!(refused(Walk::One { side: Side::Outgoing, other: 0 }, good), @r"
    nothing to bisect: phase1/second/y passes with the outgoing kernel of the bad end, phase2/d
      fix: it is not that kernel that breaks it: --side incoming, or no --side if it takes both
    ");
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
    insta::assert_snapshot!(lines.join("\n"), @r"
    the incoming kernel goes from patch to patch, the outgoing one stays at base
      side: incoming, the kernel that consumes: what it makes of the hand-over
    ");
    assert_eq!((&told.json["side"], &told.json["other"]), (&serde_json::json!("incoming"), &serde_json::json!("base")));
}
