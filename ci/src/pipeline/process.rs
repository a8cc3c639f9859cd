// SPDX-License-Identifier: GPL-2.0-only

//! Running the programs of a step.
//!
//! Their stdout is passed on line by line while it is counted (or kept, where it is an answer to be read); stderr, with its progress bars, is theirs. They stay in our
//! process group, so that an interrupt at the terminal reaches everybody. A program that is still running when its time is
//! up is stopped together with everything below it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, kill_process};

use super::count::{Count, Counter, Tally};
use super::engine::Failure;
use super::report::say;

/// How often is looked whether a silent program has ended.
const TICK: Duration = Duration::from_secs(1);

/// How long programs have between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(5);

/// A program with its arguments, where and how it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// How its output is counted.
    pub counter: Counter,
}

impl Call {
    /// A program that is one test by itself.
    pub fn new<S: AsRef<str>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        Self { argv, env: Vec::new(), counter: Counter::One }
    }

    /// The same, counted.
    pub fn counted(mut self, counter: Counter) -> Self {
        self.counter = counter;
        self
    }

    /// The same with more environment.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Runs it in a directory until it ends or the deadline comes.
    ///
    /// # Errors
    ///
    /// If it cannot be started, fails, reports a failure, or is stopped.
    pub fn run(&self, dir: &Utf8Path, deadline: Option<Instant>) -> Result<Count, Failure> {
        self.follow(dir, deadline, |line| say(&format!("{line}\n")))
    }

    /// Runs it like [`Call::run`]; its stdout is not passed on but returned.
    ///
    /// # Errors
    ///
    /// As [`Call::run`].
    pub fn read(&self, dir: &Utf8Path, deadline: Option<Instant>) -> Result<String, Failure> {
        let mut text = String::new();
        self.follow(dir, deadline, |line| {
            text.push_str(line);
            text.push('\n');
        })?;
        Ok(text)
    }

    fn follow(&self, dir: &Utf8Path, deadline: Option<Instant>, mut each: impl FnMut(&str)) -> Result<Count, Failure> {
        let name = self.argv.first().map_or("", String::as_str);
        let mut command = Command::new(name);
        command.args(self.argv.iter().skip(1)).envs(self.env.iter().map(|(key, value)| (key, value)));
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| Failure::new(format!("cannot run {name}: {error}")))?;
        let mut tally = Tally::new(self.counter);
        let trouble = watch(child, deadline, |line| {
            each(line);
            tally.line(line);
        });
        tally.finish(trouble.map(|trouble| format!("`{}`: {trouble}", self.argv.join(" "))))
    }
}

/// Follows a program to its end; says how it ended if not well.
fn watch(mut child: Child, deadline: Option<Instant>, mut line: impl FnMut(&str)) -> Option<String> {
    let (send, receive) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for text in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if send.send(String::from_utf8_lossy(&text).into_owned()).is_err() {
                    break;
                }
            }
        });
    }
    let mut stopped = false;
    loop {
        let left = deadline.map_or(TICK, |deadline| deadline.saturating_duration_since(Instant::now()).min(TICK));
        match receive.recv_timeout(left) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => break,
            // Something that it left behind may hold its stdout open for ever.
            Err(RecvTimeoutError::Timeout) if matches!(child.try_wait(), Ok(Some(_))) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            stop(&mut child);
            stopped = true;
            break;
        }
    }
    receive.try_iter().for_each(|text| line(&text));
    let status = child.wait();
    match status {
        _ if stopped => Some("stopped, the time is up".to_owned()),
        Ok(status) if status.success() => None,
        Ok(status) => Some(status.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Ends a program and everything below it: first asks, then kills.
fn stop(child: &mut Child) {
    let all = descendants(child.id());
    signal(&all, Signal::TERM);
    let until = Instant::now() + GRACE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    // Process numbers are not given out again within seconds, so these are the same.
    let left: Vec<u32> = all.into_iter().filter(|&pid| stat(pid).is_some()).collect();
    signal(&left, Signal::KILL);
}

fn signal(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|&pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// A process and everything below it, by /proc.
fn descendants(root: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let mut all = vec![root];
    let mut at = 0;
    while let Some(&parent) = all.get(at) {
        all.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    all
}

/// The parent of a process, if it exists and is not a zombie.
fn stat(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may contain anything; state and parent follow the last bracket.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then_some(())?;
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Call {
        Call::new(["sh", "-c", script])
    }

    fn run(call: &Call, limit: Option<Duration>) -> Result<Count, Failure> {
        call.run("/".into(), limit.map(|limit| Instant::now() + limit))
    }

    #[test]
    fn exit_and_output_make_the_result() {
        assert_eq!(run(&sh("exit 0"), None), Ok(Count::ONE));
        let failure = run(&sh("exit 101"), None).unwrap_err();
        assert_eq!(failure.message, "`sh -c exit 101`: exit status: 101");
        let ktap = sh("echo 'ok 1 - a'; echo 'ok 2 - b'").counted(Counter::Ktap);
        assert_eq!(run(&ktap, None), Ok(Count { passed: 2, failed: 0 }));
        assert_eq!(run(&sh("test $A = 1").with("A", "1"), None), Ok(Count::ONE));
        let missing = run(&Call::new(["/no/such/program"]), None).unwrap_err();
        assert!(missing.message.starts_with("cannot run /no/such/program: "), "{}", missing.message);
    }

    #[test]
    fn an_answer_is_returned_and_a_failure_is_none() {
        let read = |script: &str| sh(script).read("/".into(), None);
        assert_eq!(read("echo '{'; echo '}'").unwrap(), "{\n}\n");
        assert_eq!(read("echo half; exit 3").unwrap_err().message, "`sh -c echo half; exit 3`: exit status: 3");
    }

    #[test]
    fn what_outlives_its_time_is_stopped_with_everything_below() {
        let guard = tempfile::tempdir().unwrap();
        let file = guard.path().join("pid");
        let script = format!("sh -c 'trap \"\" TERM; echo $$ >{}; while :; do sleep 0.1; done' & wait", file.display());
        let started = Instant::now();
        let failure = run(&sh(&script), Some(Duration::from_secs(3))).unwrap_err();
        assert!(failure.message.ends_with("stopped, the time is up"), "{}", failure.message);
        assert!(started.elapsed() < GRACE + Duration::from_secs(8));
        let pid: u32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let gone = (0..40).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            stat(pid).is_none()
        });
        assert!(gone, "process {pid} is still there");
    }

    #[test]
    fn what_holds_the_output_open_is_not_waited_for() {
        let started = Instant::now();
        assert_eq!(run(&sh("sleep 30 & exit 0"), None), Ok(Count::ONE));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
