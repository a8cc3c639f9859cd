// SPDX-License-Identifier: GPL-2.0-only

//! Steps that contain others: those that may fail, those that are made to fail, and those that meet.

use std::sync::{Arc, Barrier};
use std::thread;

use plan::{Attempt, FailEach, FailNth, Step};
use rustix::io::Errno;

use crate::errno;
use crate::failure::Failure;
use crate::faults::Fault;
use crate::steps::Runner;

/// A step with more places that can fail than this is stuck.
const MOST: u64 = 5000;

impl Runner {
    /// `attempt`.
    pub(crate) fn attempt(self: &Arc<Self>, attempt: &Attempt) -> Result<String, Failure> {
        known(&attempt.errno)?;
        let (detail, next) = match self.run(&attempt.step) {
            Ok(detail) => (detail, &attempt.then),
            Err(failure) if is(&failure, &attempt.errno) => (failure.to_string(), &attempt.otherwise),
            Err(failure) => return Err(Failure::new(format!("{failure}, want success or {}", attempt.errno))),
        };
        self.all(next)?;
        Ok(detail)
    }

    /// `together`.
    pub(crate) fn together(self: &Arc<Self>, steps: &[Step]) -> Result<String, Failure> {
        let start = Barrier::new(steps.len());
        let outcomes: Vec<_> = thread::scope(|scope| {
            let at_once = |step| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    self.run(step)
                })
            };
            let threads: Vec<_> = steps.iter().map(at_once).collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let mut details = Vec::new();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let outcome = outcome.unwrap_or_else(|_| Err(Failure::new("its thread panicked")));
            let detail = outcome.map_err(|failure| Failure::new(format!("step {} of them: {failure}", index + 1)))?;
            details.push(if detail.is_empty() { "done".to_owned() } else { detail });
        }
        Ok(details.join("; "))
    }

    /// `fail-nth`.
    pub(crate) fn fail_nth(self: &Arc<Self>, fail: &FailNth) -> Result<String, Failure> {
        let fault = Fault::arm(fail.nth)?;
        let outcome = self.run(&fail.step);
        let fired = fault.disarm()?;
        if fired && fail.clean {
            return Err(Failure::new(format!("allocation {} failed, want fewer; take more devices", fail.nth)));
        }
        let what = if fired { format!("allocation {} failed", fail.nth) } else { "nothing failed".to_owned() };
        match outcome {
            Ok(detail) => Ok(format!("{what}: success {detail}")),
            Err(failure) if fired => Err(failure.within(&what)),
            // An errno that is waited for must not come from a step that was let alone.
            Err(failure) => Err(Failure::new(format!("{what}: {failure}"))),
        }
    }

    /// `fail-each`.
    pub(crate) fn fail_each(self: &Arc<Self>, fail: &FailEach) -> Result<String, Failure> {
        known(&fail.errno)?;
        fail.last.as_deref().map_or(Ok(()), known)?;
        let (mut failed, mut survived) = (0, 0);
        for nth in 1..=MOST {
            let fault = Fault::arm(nth)?;
            let outcome = self.run(&fail.step);
            if !fault.disarm()? {
                let counts = format!("{failed} allocations failed it, it did without {survived}");
                return last(outcome, fail.last.as_deref(), failed)
                    .map_err(|why| Failure::new(format!("{why}; {counts}")))
                    .map(|()| counts);
            }
            match outcome {
                Ok(_) => {
                    survived += 1;
                    self.all(&fail.undo)?;
                }
                Err(failure) if is(&failure, &fail.errno) => failed += 1,
                Err(failure) if fail.last.as_deref().is_some_and(|last| is(&failure, last)) => survived += 1,
                Err(failure) => {
                    return Err(Failure::new(format!("with allocation {nth} failing: {failure}, want {}", fail.errno)));
                }
            }
        }
        Err(Failure::new(format!("allocation {MOST} still failed")))
    }

    /// Executes steps in order.
    fn all(self: &Arc<Self>, steps: &[Step]) -> Result<(), Failure> {
        for step in steps {
            self.run(step).map_err(|failure| {
                Failure::new(format!("afterwards, {}: {failure}", crate::describe::describe(step)))
            })?;
        }
        Ok(())
    }
}

/// Judges the try in which nothing was made to fail.
fn last(outcome: Result<String, Failure>, want: Option<&str>, failed: u64) -> Result<(), String> {
    match (outcome, want) {
        // Nothing was shown if the step allocates nothing, or if faults are not injected where it does.
        _ if failed == 0 => Err("no allocation failed the step".to_owned()),
        (Ok(_), None) => Ok(()),
        (Ok(_), Some(want)) => Err(format!("it succeeded, want {want}")),
        (Err(failure), Some(want)) if is(&failure, want) => Ok(()),
        (Err(failure), _) => Err(format!("with nothing failing: {failure}, want {}", want.unwrap_or("success"))),
    }
}

fn is(failure: &Failure, want: &str) -> bool {
    failure.errno().is_some_and(|errno: Errno| errno::name(errno) == want)
}

fn known(want: &str) -> Result<(), Failure> {
    if errno::is_known(want) {
        return Ok(());
    }
    Err(Failure::new(format!("the plan wants {want:?}, which is not the name of an errno")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Plan;

    fn run(runner: &Arc<Runner>, json: &str) -> Result<String, String> {
        let step = serde_json::from_str(json).unwrap();
        runner.run(&step).map_err(|failure| failure.to_string())
    }

    fn runner() -> Arc<Runner> {
        let plan = Plan {
            name: "t".into(),
            devices: Default::default(),
            kernels: Vec::new(),
            slowness: 1,
            stages: Vec::new(),
        };
        let runner = Runner::new(&plan, 0);
        run(&runner, r#"{"memfd":{"fd":"m","bytes":16,"seed":1}}"#).unwrap();
        runner
    }

    /// Succeeds once, then fails in the guest itself.
    const OPEN: &str = r#"{"open":{"path":"/dev/null","fd":"n"}}"#;
    /// Fails with ENOTTY.
    const READ: &str = r#"{"read-bar":{"fd":"m","bar":0,"offset":8,"width":4,"check":"alive"}}"#;

    #[test]
    fn an_attempt_goes_on_either_way() {
        let runner = runner();
        let attempt = |errno: &str, step: &str| {
            format!(
                r#"{{"attempt":{{"errno":"{errno}","step":{step},
                "then":[{{"close":{{"name":"n"}}}}],"otherwise":[{{"close":{{"name":"m"}}}}]}}}}"#
            )
        };
        run(&runner, &attempt("ENOTTY", OPEN)).unwrap();
        run(&runner, OPEN).expect("the name is free again");
        assert!(run(&runner, &attempt("EIO", READ)).unwrap_err().ends_with("ENOTTY, want success or EIO"));
        assert!(run(&runner, &attempt("ENOTTY", READ)).unwrap().ends_with("ENOTTY"));
        assert!(run(&runner, READ).unwrap_err().contains("no fd"), "the other branch was taken");
        assert!(run(&runner, &attempt("EIOO", OPEN)).unwrap_err().contains("not the name of an errno"));
    }

    #[test]
    fn together_each_must_be_good() {
        let runner = runner();
        let fails = format!(r#"{{"fails":{{"errno":"ENOTTY","step":{READ}}}}}"#);
        let detail = run(&runner, &format!(r#"{{"together":{{"steps":[{fails},{OPEN}]}}}}"#)).unwrap();
        assert_eq!(detail, "VFIO_DEVICE_GET_REGION_INFO of region 0: ENOTTY; /dev/null");
        let text = run(&runner, &format!(r#"{{"together":{{"steps":[{fails},{OPEN}]}}}}"#)).unwrap_err();
        assert!(text.starts_with("step 2 of them: the name \"n\" is taken"), "{text}");
    }

    #[test]
    fn the_last_try_is_judged_by_itself() {
        let busy = || Err(Failure::call("x", Errno::BUSY));
        last(Ok(String::new()), None, 1).unwrap();
        last(busy(), Some("EBUSY"), 1).unwrap();
        assert_eq!(last(Ok(String::new()), Some("EBUSY"), 1).unwrap_err(), "it succeeded, want EBUSY");
        assert!(last(busy(), None, 1).unwrap_err().ends_with("EBUSY, want success"));
        assert_eq!(last(Ok(String::new()), None, 0).unwrap_err(), "no allocation failed the step");
    }
}
