// SPDX-License-Identifier: GPL-2.0-only

//! Makes sense of what arrives on a VM's three channels.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use plan::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::console::Console;
use crate::error::HarnessError;
use crate::observe::{Cpu, End, Line, Observation, TimedEvent};
use crate::qmp::{self, Message};
use crate::serial::Splitter;
use crate::symbols::Symbols;
use crate::vm::logs::{Logs, qemu_output};

/// Where bytes come from, in the order in which they are taken in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Channel {
    Console,
    Result,
    Qmp,
}

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Watch {
    started: Instant,
    last_output: Instant,
    /// The serial ports, and the control channel until QEMU closes it.
    streams: Vec<(Channel, File)>,
    logs: Logs,
    splitters: [Splitter; 3],
    console: Console,
    events: Vec<TimedEvent>,
    noise: Vec<Line>,
    shutdown: Option<String>,
    answers: Vec<(u64, Result<Value, String>)>,
    cpus: Vec<Cpu>,
}

impl Watch {
    /// Watches these files, which do not block.
    pub(crate) fn new(started: Instant, streams: Vec<(Channel, File)>, logs: Logs) -> Self {
        Self {
            started,
            last_output: started,
            streams,
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

    /// Waits until something arrives, but not for longer than this, and takes it in. Tells whether there was anything.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<bool, HarnessError> {
        let mut polled: Vec<_> = self.streams.iter().map(|(_, stream)| PollFd::new(stream, PollFlags::IN)).collect();
        let timeout = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        // Interrupted or not, reading tells what there is.
        let _ = poll(&mut polled, Some(&timeout));
        let mut chunks = self.read_from(|_| true);
        // What the kernel printed before the guest reported something must be taken in before that report. Some of it
        // may have arrived after the console was read, or not have fitted; so look again, and take the console first.
        loop {
            let more = self.read_from(|channel| channel == Channel::Console);
            if more.is_empty() {
                break;
            }
            chunks.extend(more);
        }
        let any = !chunks.is_empty();
        // Stable, so that the chunks of one channel keep their order.
        chunks.sort_by_key(|(channel, _)| *channel as usize);
        for (channel, bytes) in chunks {
            self.take(channel, &bytes)?;
        }
        Ok(any)
    }

    /// Takes in whatever is left.
    pub(crate) fn drain(&mut self) -> Result<(), HarnessError> {
        while self.next(Duration::ZERO)? {}
        Ok(())
    }

    /// One read of each of these files; those that have ended are dropped.
    fn read_from(&mut self, wanted: impl Fn(Channel) -> bool) -> Vec<(Channel, Vec<u8>)> {
        let mut chunks = Vec::new();
        let mut buffer = [0; 16384];
        self.streams.retain_mut(|(channel, stream)| {
            if !wanted(*channel) {
                return true;
            }
            match stream.read(&mut buffer) {
                Ok(0) => false,
                Ok(length) => {
                    chunks.push((*channel, buffer[..length].to_vec()));
                    true
                }
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        });
        chunks
    }

    /// Asks where the CPUs are.
    pub(crate) fn ask_registers(&mut self, symbols: &[Symbols], patience: Duration) -> Result<(), HarnessError> {
        const ID: u64 = 1;
        self.send(&qmp::registers(ID));
        let began = Instant::now();
        while began.elapsed() < patience && !self.answers.iter().any(|(id, _)| *id == ID) {
            self.next(Duration::from_millis(20))?;
        }
        let text = self.answers.iter().find(|(id, _)| *id == ID).and_then(|(_, answer)| answer.as_ref().ok()?.as_str());
        let symbols = symbols.get(self.console.hop()).or(symbols.last());
        self.cpus = qmp::cpus(text.unwrap_or_default(), symbols);
        Ok(())
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

    fn send(&mut self, line: &str) {
        if let Some((_, stream)) = self.streams.iter_mut().find(|(channel, _)| *channel == Channel::Qmp) {
            // If QEMU does not listen any more, it is ending, which is what we want to know or to bring about.
            let _ = stream.write_all(line.as_bytes());
        }
    }

    fn take(&mut self, channel: Channel, bytes: &[u8]) -> Result<(), HarnessError> {
        let host_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let lines = self.splitters[channel as usize].push(host_ms, bytes);
        if channel != Channel::Qmp {
            self.last_output = Instant::now();
        }
        for line in lines {
            match channel {
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
