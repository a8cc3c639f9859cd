// SPDX-License-Identifier: GPL-2.0-only

//! Makes sense of what arrives on a VM's three channels.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use plan::Event;
use serde_json::Value;

use crate::console::Console;
use crate::error::HarnessError;
use crate::observe::{Cpu, End, Line, Observation, TimedEvent};
use crate::qmp::{self, Message};
use crate::serial::Splitter;
use crate::symbols::Symbols;
use crate::vm::logs::{Logs, qemu_output};

/// Where bytes come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Channel {
    Console,
    Result,
    Qmp,
}

/// Bytes and when they came.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) channel: Channel,
    pub(crate) host_ms: u64,
    pub(crate) bytes: Vec<u8>,
}

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    started: Instant,
    last_output: Instant,
    receiver: Receiver<Arrival>,
    qmp: Option<&'a UnixStream>,
    logs: Logs,
    splitters: [Splitter; 3],
    console: Console,
    events: Vec<TimedEvent>,
    noise: Vec<Line>,
    shutdown: Option<String>,
    answers: Vec<(u64, Result<Value, String>)>,
    cpus: Vec<Cpu>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(started: Instant, receiver: Receiver<Arrival>, qmp: Option<&'a UnixStream>, logs: Logs) -> Self {
        Self {
            started,
            last_output: started,
            receiver,
            qmp,
            logs,
            splitters: Default::default(),
            console: Console::default(),
            events: Vec::new(),
            noise: Vec::new(),
            shutdown: None,
            answers: Vec::new(),
            cpus: Vec::new(),
        }
    }

    /// How long the guest has been silent.
    pub(crate) fn silence(&self) -> Duration {
        self.last_output.elapsed()
    }

    /// How long the VM has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether the running kernel has panicked.
    pub(crate) fn panicked(&self) -> bool {
        self.console.panicked()
    }

    /// Waits for the next arrival and takes it in. The outer error is ours, the inner one says that nothing came.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Result<(), RecvTimeoutError>, HarnessError> {
        match self.receiver.recv_timeout(patience) {
            Ok(arrival) => self.take(&arrival).map(Ok),
            Err(nothing) => Ok(Err(nothing)),
        }
    }

    /// Takes in whatever is left, until the channels are closed.
    pub(crate) fn drain(&mut self, patience: Duration) {
        let began = Instant::now();
        while began.elapsed() < patience {
            // An error here is that of a full disk, and was or will be reported by what led to the end.
            if matches!(self.next(patience), Err(_) | Ok(Err(_))) {
                return;
            }
        }
    }

    /// Asks where the CPUs are.
    pub(crate) fn ask_registers(&mut self, symbols: &[Symbols], patience: Duration) {
        const ID: u64 = 1;
        self.send(&qmp::registers(ID));
        let began = Instant::now();
        while began.elapsed() < patience && !self.answers.iter().any(|(id, _)| *id == ID) {
            if matches!(self.next(Duration::from_millis(20)), Err(_) | Ok(Err(RecvTimeoutError::Disconnected))) {
                return;
            }
        }
        let text = self.answers.iter().find(|(id, _)| *id == ID).and_then(|(_, answer)| answer.as_ref().ok()?.as_str());
        let symbols = symbols.get(self.console.hop()).or(symbols.last());
        self.cpus = qmp::cpus(text.unwrap_or_default(), symbols);
    }

    /// Asks QEMU to end.
    pub(crate) fn quit(&mut self) {
        self.send(&qmp::quit(2));
    }

    /// Everything that was seen.
    pub(crate) fn finish(
        mut self,
        end: End,
        elapsed: Duration,
        directory: &Utf8Path,
    ) -> Result<Observation, HarnessError> {
        let [console, result, _] = &mut self.splitters;
        let (console, result) = (console.finish(), result.finish());
        console.map_or(Ok(()), |line| self.console_line(line))?;
        result.map_or(Ok(()), |line| self.result_line(line))?;
        Ok(Observation {
            end,
            shutdown: self.shutdown,
            qemu_output: qemu_output(directory)?,
            events: self.events,
            noise: self.noise,
            hops: self.console.into_hops(),
            cpus: self.cpus,
            elapsed,
        })
    }

    fn send(&self, line: &str) {
        if let Some(mut stream) = self.qmp {
            // If QEMU does not listen any more, it is ending, which is what we want to know or to bring about.
            let _ = stream.write_all(line.as_bytes());
        }
    }

    fn take(&mut self, arrival: &Arrival) -> Result<(), HarnessError> {
        let lines = self.splitters[arrival.channel as usize].push(arrival.host_ms, &arrival.bytes);
        if arrival.channel != Channel::Qmp {
            self.last_output = Instant::now();
        }
        for line in lines {
            match arrival.channel {
                Channel::Console => self.console_line(line)?,
                Channel::Result => self.result_line(line)?,
                Channel::Qmp => self.qmp_line(&line)?,
            }
        }
        Ok(())
    }

    fn console_line(&mut self, line: Line) -> Result<(), HarnessError> {
        let (hop, line) = self.console.push(line);
        self.logs.console(hop, line)
    }

    fn result_line(&mut self, line: Line) -> Result<(), HarnessError> {
        match Event::from_line(&line.text) {
            Some(event) => {
                if matches!(event, Event::Boot { .. }) {
                    self.console.booted(event.hop() as usize);
                }
                let timed = TimedEvent { host_ms: line.host_ms, event };
                self.logs.event(&timed)?;
                self.events.push(timed);
            }
            None => {
                self.logs.event(&line)?;
                self.noise.push(line);
            }
        }
        Ok(())
    }

    fn qmp_line(&mut self, line: &Line) -> Result<(), HarnessError> {
        match qmp::parse(&line.text) {
            Some(Message::Greeting) => self.send(&qmp::capabilities()),
            Some(Message::Shutdown(reason)) => self.shutdown = Some(reason),
            Some(Message::Answer(id, answer)) => self.answers.push((id, answer)),
            Some(Message::Event(_)) | None => {}
        }
        self.logs.qmp(line.host_ms, &line.text)
    }
}
