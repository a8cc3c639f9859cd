// SPDX-License-Identifier: GPL-2.0-only

//! Other processes than init, which execute steps as init does.
//!
//! They are this program again, told by its arguments what they are (see [`main_of_worker`]). Steps go in on the standard input, outcomes
//! come back on the standard output, one JSON value per line; standard error is the console. What a step needs to know of the
//! machine stands in the plan, which every process reads for itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use plan::{Plan, Step};
use rustix::io::{Errno, FdFlags};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::files::explain;
use crate::init;
use crate::lock::lock;
use crate::steps::Runner;

/// First argument of such a process; the others are `NAME=FD`, what it finds open.
const WORKER: &str = "--worker";
const SELF: &str = "/proc/self/exe";

/// What a step came to.
#[derive(Serialize, Deserialize)]
struct Outcome {
    detail: String,
    /// `None` if it was good.
    failure: Option<Failed>,
}

#[derive(Serialize, Deserialize)]
struct Failed {
    /// See [`Failure::errno`].
    errno: Option<i32>,
}

impl From<Result<String, Failure>> for Outcome {
    fn from(result: Result<String, Failure>) -> Self {
        match result {
            Ok(detail) => Self { detail, failure: None },
            Err(failure) => Self {
                detail: failure.to_string(),
                failure: Some(Failed { errno: failure.errno().map(Errno::raw_os_error) }),
            },
        }
    }
}

impl From<Outcome> for Result<String, Failure> {
    fn from(Outcome { detail, failure }: Outcome) -> Self {
        match failure {
            None => Ok(detail),
            Some(Failed { errno }) => Err(Failure::passed_on(detail, errno.map(Errno::from_raw_os_error))),
        }
    }
}

/// The processes of a stage by name.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    running: Mutex<BTreeMap<String, Worker>>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    line: Arc<Mutex<Line>>,
}

/// The way in and out. Locked for as long as a step takes, and so apart from the process, which may be killed meanwhile.
#[derive(Debug)]
struct Line {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Processes {
    /// Starts one that has these files open as well.
    pub(crate) fn start(&self, name: &str, with: &[(&str, Arc<OwnedFd>)]) -> Result<String, Failure> {
        let mut running = lock(&self.running);
        if running.contains_key(name) {
            return Err(Failure::new(format!("a process is called {name:?} already; kill it first")));
        }
        let mut command = Command::new(SELF);
        command.arg(WORKER).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        // Copies that survive an exec. Whatever else is started before they are gone inherits them too, but steps that start
        // something are not executed at the same time.
        let mut lent = Vec::new();
        for (name, fd) in with {
            let copy = rustix::io::dup(fd).map_err(|errno| Failure::setup(format!("dup of {name:?}"), errno))?;
            command.arg(format!("{name}={}", copy.as_raw_fd()));
            lent.push(copy);
        }
        let mut child =
            command.spawn().map_err(|error| Failure::new(format!("start a process: {}", explain(&error))))?;
        drop(lent);
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("the new process has no pipes"));
        };
        let detail = format!("process {}", child.id());
        let line = Arc::new(Mutex::new(Line { input, output: BufReader::new(output) }));
        running.insert(name.to_owned(), Worker { child, line });
        Ok(detail)
    }

    /// Has one execute a step. If it is at another one, that is waited for.
    pub(crate) fn run(&self, name: &str, step: &Step) -> Result<String, Failure> {
        let line = {
            let running = lock(&self.running);
            running.get(name).ok_or_else(|| unknown(&running, name))?.line.clone()
        };
        let mut line = lock(&line);
        line.ask(step).map_err(|error| Failure::new(format!("process {name:?}: {error}")))?.into()
    }

    /// Kills one and waits for its end.
    pub(crate) fn kill(&self, name: &str) -> Result<String, Failure> {
        let mut worker = {
            let mut running = lock(&self.running);
            running.remove(name).ok_or_else(|| unknown(&running, name))?
        };
        let failed = |what: &str, error: &std::io::Error| Failure::new(format!("{what} {name:?}: {}", explain(error)));
        worker.child.kill().map_err(|error| failed("kill", &error))?;
        let status = worker.child.wait().map_err(|error| failed("wait for", &error))?;
        Ok(status.to_string())
    }
}

impl Line {
    fn ask(&mut self, step: &Step) -> std::io::Result<Outcome> {
        let mut text = serde_json::to_string(step)?;
        text.push('\n');
        self.input.write_all(text.as_bytes())?;
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            return Err(std::io::Error::other("it is gone"));
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

fn unknown(running: &BTreeMap<String, Worker>, name: &str) -> Failure {
    let known: Vec<_> = running.keys().map(String::as_str).collect();
    Failure::new(format!("no process is called {name:?}; there are: [{}]", known.join(", ")))
}

/// Runs such a process, if this is one: `None` if not.
pub(crate) fn main_of_worker(mut args: impl Iterator<Item = String>) -> Option<Result<(), Failure>> {
    (args.nth(1)? == WORKER).then(|| work(&init::read_plan()?, args))
}

fn work(plan: &Plan, args: impl Iterator<Item = String>) -> Result<(), Failure> {
    let runner = Runner::new(plan, init::this_hop()?);
    for arg in args {
        let (name, number) = arg.split_once('=').ok_or_else(|| Failure::new(format!("argument {arg:?}")))?;
        runner.names.add(name, inherited(number)?);
    }
    serve(std::io::stdin().lock(), std::io::stdout().lock(), |step| runner.run(step))
        .map_err(|error| Failure::new(format!("serve: {}", explain(&error))))
}

/// An fd that the parent left open for us.
fn inherited(number: &str) -> Result<OwnedFd, Failure> {
    let raw = number.parse().map_err(|_| Failure::new(format!("{number:?} is no fd")))?;
    // SAFETY: The parent has just opened it for this process, which takes each of its arguments once.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    rustix::io::fcntl_setfd(fd.as_fd(), FdFlags::CLOEXEC)
        .map_err(|errno| Failure::setup(format!("fd {raw}"), errno))?;
    Ok(fd)
}

fn serve(
    input: impl BufRead,
    mut output: impl Write,
    run: impl Fn(&Step) -> Result<String, Failure>,
) -> std::io::Result<()> {
    for text in input.lines() {
        let step: Step = serde_json::from_str(&text?)?;
        let mut answer = serde_json::to_string(&Outcome::from(run(&step)))?;
        answer.push('\n');
        output.write_all(answer.as_bytes())?;
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_the_pipe() {
        let steps = [Step::KexecUnload, Step::KexecReboot, Step::Sleep { ms: 1 }];
        let input: String = steps.iter().map(|step| serde_json::to_string(step).unwrap() + "\n").collect();
        let mut output = Vec::new();
        serve(input.as_bytes(), &mut output, |step| match step {
            Step::KexecUnload => Ok("two\nlines".into()),
            Step::KexecReboot => Err(Failure::call("reboot", Errno::BUSY)),
            _ => Err(Failure::new("no")),
        })
        .unwrap();
        let answers: Vec<Result<String, Failure>> = String::from_utf8(output)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Outcome>(line).unwrap().into())
            .collect();
        assert_eq!(answers[0].as_ref().unwrap(), "two\nlines");
        let busy = answers[1].as_ref().unwrap_err();
        assert!(busy.to_string() == "reboot: EBUSY" && busy.errno() == Some(Errno::BUSY));
        let no = answers[2].as_ref().unwrap_err();
        assert!(no.to_string() == "no" && no.errno().is_none());
    }

    #[test]
    fn only_a_worker_is_one() {
        let args = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>().into_iter();
        assert!(main_of_worker(args(&["/init"])).is_none());
        assert!(main_of_worker(args(&["/init", "auto"])).is_none());
    }

    #[test]
    fn a_process_is_named_once_and_known() {
        let processes = Processes::default();
        let text = processes.run("p", &Step::KexecUnload).unwrap_err().to_string();
        assert_eq!(text, r#"no process is called "p"; there are: []"#);
        assert!(processes.kill("p").is_err());
    }
}
