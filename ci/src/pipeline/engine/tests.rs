// SPDX-License-Identifier: GPL-2.0-only

//! Fake steps through the engine.

use camino::Utf8Path;

use super::*;

fn step<'a>(id: &str, needs: &[&str], work: impl FnOnce() -> Result<Count, Failure> + 'a) -> Step<'a> {
    Step {
        id: id.to_owned(),
        title: format!("does {id}"),
        needs: needs.iter().map(|&needs| needs.to_owned()).collect(),
        always: false,
        lasting: true,
        work: Box::new(move |_| work()),
    }
}

fn good(id: &str, needs: &[&str]) -> Step<'static> {
    step(id, needs, || Ok(Count::ONE))
}

fn bad(id: &str, needs: &[&str]) -> Step<'static> {
    step(id, needs, || Err(Failure { message: "broke".into(), count: Count { passed: 4, failed: 2 } }))
}

/// Writes down what it is told.
#[derive(Default)]
struct Diary(Vec<String>);

impl Observer for Diary {
    fn begins(&mut self, id: &str, title: &str) {
        self.0.push(format!("{id}: {title}"));
    }

    fn ends(&mut self, record: &Record) {
        self.0.push(format!("{} {:?}", record.id, record.status));
    }
}

fn run_all(steps: Vec<Step<'_>>, budget: Option<Duration>, ledger: Option<&mut Ledger>) -> (Summary, String) {
    let mut diary = Diary::default();
    let summary = run(steps, budget, ledger, &mut diary);
    (summary, diary.0.join("\n"))
}

#[test]
fn a_failure_stops_only_what_needs_it() {
    let steps =
        vec![bad("fmt", &[]), good("tests", &[]), bad("base", &[]), good("kernel", &["base"]), good("vm", &["kernel"])];
    let (summary, diary) = run_all(steps, None, None);
    insta::assert_snapshot!(diary, @r#"
    fmt: does fmt
    fmt Failed("broke")
    tests: does tests
    tests Passed
    base: does base
    base Failed("broke")
    kernel Skipped("base failed")
    vm Skipped("kernel did not run")
    "#);
    assert_eq!(summary.count(), Count { passed: 9, failed: 4 });
    assert!(!summary.good());
    assert!(run_all(vec![good("a", &[]), good("b", &["a"])], None, None).0.good());
}

#[test]
fn nothing_begins_when_the_budget_is_used_up() {
    let slow = step("slow", &[], || {
        std::thread::sleep(Duration::from_millis(60));
        Ok(Count::ONE)
    });
    let budget = Duration::from_millis(30);
    let (summary, diary) = run_all(vec![good("quick", &[]), slow, good("late", &[])], Some(budget), None);
    assert!(diary.ends_with("slow Passed\nlate Skipped(\"no time is left\")"), "{diary}");
    assert_eq!((summary.exceeded, summary.count()), (Some(budget), Count { passed: 2, failed: 1 }));
    assert!(!summary.good());
    let enough = run_all(vec![good("quick", &[])], Some(Duration::from_secs(60)), None).0;
    assert!(enough.good() && enough.exceeded.is_none());
}

#[test]
fn steps_know_their_deadline() {
    let mut seen = None;
    let step = Step {
        work: Box::new(|deadline| {
            seen = deadline;
            Ok(Count::ONE)
        }),
        ..good("a", &[])
    };
    run_all(vec![step], Some(Duration::from_secs(60)), None);
    assert!(seen.is_some_and(|deadline| deadline > Instant::now()));
}

#[test]
fn what_passed_is_not_repeated_and_what_failed_is() {
    let guard = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(guard.path()).unwrap().join("ledger.json");
    let steps = || {
        let fleeting = Step { lasting: false, ..good("tools", &[]) };
        vec![fleeting, good("one", &["tools"]), bad("two", &[]), good("three", &["one"])]
    };
    let first = run_all(steps(), None, Some(&mut Ledger::open(&path))).0;
    let (second, diary) = run_all(steps(), None, Some(&mut Ledger::open(&path)));
    insta::assert_snapshot!(diary, @r#"
    tools: does tools
    tools Passed
    one PassedBefore
    two: does two
    two Failed("broke")
    three PassedBefore
    "#);
    assert_eq!(first.count(), second.count());
    let without = run_all(steps(), None, None).1;
    assert!(!without.contains("Before"), "{without}");
}

#[test]
fn selections() {
    let plan = || {
        let tools = Step { always: true, ..good("tools", &[]) };
        vec![
            tools,
            good("fmt", &[]),
            good("kernel", &[]),
            good("vm/a", &["kernel"]),
            good("vm/b", &[]),
            good("vmx", &[]),
        ]
    };
    let ids = |selection: Selection| {
        let chosen = select(plan(), &selection).map_err(|error| error.to_string())?;
        Ok::<_, String>(chosen.iter().map(|step| step.id.clone()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(ids(Selection::All).unwrap(), "tools fmt kernel vm/a vm/b vmx");
    assert_eq!(ids(Selection::From("vm".into())).unwrap(), "tools vm/a vm/b vmx");
    assert_eq!(ids(Selection::Only("vm".into())).unwrap(), "tools vm/a vm/b");
    assert_eq!(ids(Selection::Only("vm/b".into())).unwrap(), "tools vm/b");
    insta::assert_snapshot!(ids(Selection::Only("v".into())).unwrap_err(), @"
    there is no step `v`
      fix: name one of: tools, fmt, kernel, vm, vmx
    ");
    // What was not selected is taken as passed.
    let chosen = select(plan(), &Selection::Only("vm/a".into())).unwrap();
    assert!(run_all(chosen, None, None).0.good());
}

#[test]
fn plans_that_make_no_sense() {
    let twice = check(&[good("a", &[]), good("a", &[])]).unwrap_err();
    assert_eq!(twice, PlanError::Twice("a".into()));
    let order = check(&[good("a", &["b"]), good("b", &[])]).unwrap_err();
    assert_eq!(order.to_string(), "step `a` needs `b`, which does not come before it");
}
