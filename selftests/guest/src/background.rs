// SPDX-License-Identifier: GPL-2.0-only

//! Steps that run while others do: for calls that block until something else happens.
//!
//! A thread belongs to its stage. One that nobody joined ends with the kernel: neither the power off nor a kexec waits for it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use plan::Step;

use crate::failure::Failure;
use crate::lock::lock;
use crate::wait;

/// How long a call is watched before it counts as blocked.
const STILL: Duration = Duration::from_millis(300);

type Outcome = Result<String, Failure>;

/// The threads of a stage by name.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    running: Mutex<BTreeMap<String, Receiver<Outcome>>>,
}

impl Threads {
    /// Starts one.
    pub(crate) fn start(&self, name: &str, work: impl FnOnce() -> Outcome + Send + 'static) -> Result<(), Failure> {
        let mut running = lock(&self.running);
        if running.contains_key(name) {
            return Err(Failure::new(format!("a background step is called {name:?} already; join it first")));
        }
        let (sender, receiver) = mpsc::channel();
        // A stage that is over has dropped the receiver and needs no outcome.
        let body = move || drop(sender.send(work()));
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|error| Failure::new(format!("start a thread: {error}")))?;
        running.insert(name.to_owned(), receiver);
        Ok(())
    }

    /// Fails unless it still runs after a while.
    pub(crate) fn running(&self, name: &str) -> Result<(), Failure> {
        let receiver = self.take(name)?;
        match receiver.recv_timeout(STILL) {
            Err(RecvTimeoutError::Timeout) => {
                lock(&self.running).insert(name.to_owned(), receiver);
                Ok(())
            }
            Ok(Ok(detail)) => Err(Failure::new(format!("it has ended well: {detail:?}"))),
            Ok(Err(failure)) => Err(Failure::new(format!("it has failed: {failure}"))),
            Err(RecvTimeoutError::Disconnected) => Err(vanished()),
        }
    }

    /// Waits for one and gives its outcome.
    pub(crate) fn join(&self, name: &str) -> Outcome {
        match self.take(name)?.recv_timeout(wait::scaled(wait::LIMIT)) {
            // The errno stays behind: `fails` belongs around the step and not around the join.
            Ok(outcome) => outcome.map_err(|failure| Failure::new(failure.to_string())),
            Err(RecvTimeoutError::Timeout) => {
                Err(Failure::new(format!("it still runs after {} s", wait::scaled(wait::LIMIT).as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(vanished()),
        }
    }

    fn take(&self, name: &str) -> Result<Receiver<Outcome>, Failure> {
        let mut running = lock(&self.running);
        running.remove(name).ok_or_else(|| {
            let known: Vec<_> = running.keys().map(String::as_str).collect();
            Failure::new(format!("no background step is called {name:?}; there are: [{}]", known.join(", ")))
        })
    }
}

fn vanished() -> Failure {
    Failure::new("the thread is gone without an outcome")
}

/// Why a step cannot run in the background, if so.
pub(crate) fn refused(step: &Step) -> Option<&'static str> {
    if let Some(why) = step.inner().into_iter().find_map(refused) {
        return Some(why);
    }
    match step {
        Step::Host { .. }
        | Step::Mark { .. }
        | Step::Timed { .. }
        | Step::LogSpan { .. }
        | Step::Growth { .. }
        | Step::Observe { .. } => Some("it speaks to the host, which only the stage does"),
        Step::KexecReboot => Some("the stage announces the jump"),
        Step::Background { .. } | Step::Running { .. } | Step::Join { .. } => Some("threads belong to the stage"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_runs_until_it_is_let_go_and_is_joined_once() {
        let threads = Threads::default();
        let (go, wait) = mpsc::channel();
        threads.start("t", move || wait.recv().map_err(|_| Failure::new("nobody came"))).unwrap();
        assert!(threads.start("t", || Ok(String::new())).unwrap_err().to_string().contains("already"));
        threads.running("t").unwrap();
        go.send("let go".to_owned()).unwrap();
        assert_eq!(threads.join("t").unwrap(), "let go");
        assert!(threads.join("t").unwrap_err().to_string().ends_with("there are: []"));
    }

    #[test]
    fn an_end_is_noticed_and_a_failure_is_passed_on() {
        let threads = Threads::default();
        threads.start("t", || Ok("done".into())).unwrap();
        assert_eq!(threads.running("t").unwrap_err().to_string(), r#"it has ended well: "done""#);
        threads.start("t", || Err(Failure::call("x", rustix::io::Errno::BUSY))).unwrap();
        let failure = threads.join("t").unwrap_err();
        assert!(failure.to_string() == "x: EBUSY" && failure.errno().is_none());
    }

    #[test]
    fn what_speaks_to_the_host_stays_in_the_stage() {
        let fails = |step| Step::Fails { errno: "EIO".into(), step: Box::new(step) };
        assert!(refused(&fails(Step::Mark { name: "m".into() })).is_some());
        assert!(refused(&Step::KexecReboot).is_some());
        assert!(refused(&fails(Step::KexecUnload)).is_none());
    }
}
