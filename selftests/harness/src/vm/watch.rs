// SPDX-License-Identifier: GPL-2.0-only

//! Makes sense of what arrives on a VM's three channels.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use plan::{Event, HostAction};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use crate::console::{Console, JUMP};
use crate::error::HarnessError;
use crate::observe::{Cpu, End, Line, Observation, TimedEvent};
use crate::qmp::{self, Message};
use crate::serial::Splitter;
use crate::symbols::Symbols;
use crate::vm::logs::{Logs, qemu_output};
use crate::witness::{Notebook, What};

/// Where bytes come from, in the order in which they are taken in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Channel {
    Console,
    Result,
    Qmp,
}

/// What the host has to do about something that was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// The guest asks for it.
    Step {
        /// The kernel that the guest runs.
        hop: usize,
        /// What.
        action: HostAction,
    },
    /// A kernel starts the next one.
    Jump {
        /// Which.
        hop: usize,
    },
}

/// The end of what the guest does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Over {
    /// Whether it did all of it.
    pub(crate) good: bool,
    /// It had not said so when we looked then.
    pub(crate) after: Instant,
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
    due: VecDeque<Due>,
    last_id: u64,
    /// Devices that QEMU was asked to take out and has not.
    leaving: BTreeSet<String>,
    /// Whom to tell what the VM says, and after how many jumps the last stage is.
    notebook: Option<Notebook>,
    jumps: usize,
    over: Option<Over>,
    /// When we last looked, and the time before: what is read now had not come then.
    looked: [Instant; 2],
}

impl Watch {
    /// Watches these files, which do not block.
    pub(crate) fn new(
        started: Instant,
        streams: Vec<(Channel, File)>,
        logs: Logs,
        notebook: Option<Notebook>,
        jumps: usize,
    ) -> Self {
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
            due: VecDeque::new(),
            last_id: qmp::CAPABILITIES_ID,
            leaving: BTreeSet::new(),
            notebook,
            jumps,
            over: None,
            looked: [started; 2],
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
        self.looked = [Instant::now(), self.looked[0]];
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

    /// What the host has to do next.
    pub(crate) fn due(&mut self) -> Option<Due> {
        self.due.pop_front()
    }

    /// Remembers that QEMU is going to take out a device.
    pub(crate) fn leaves(&mut self, device: &str) {
        self.leaving.insert(device.to_owned());
    }

    /// Takes in what arrives until nothing is being taken out any more, or names what still is.
    pub(crate) fn wait_until_gone(&mut self, patience: Duration) -> Result<Option<String>, HarnessError> {
        let began = Instant::now();
        while !self.leaving.is_empty() && began.elapsed() < patience {
            self.next(Duration::from_millis(20))?;
        }
        Ok(self.leaving.first().cloned())
    }

    /// The kernel whose output arrives now.
    pub(crate) fn hop(&self) -> usize {
        self.console.hop()
    }

    /// What the guest reported.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> + Clone {
        self.events.iter().map(|timed| &timed.event)
    }

    /// Writes down what the host did.
    pub(crate) fn note(&mut self, what: &str) -> Result<(), HarnessError> {
        let host_ms = self.host_ms();
        self.logs.host(host_ms, what)
    }

    /// Gives QEMU a command and waits for its answer, if one comes.
    pub(crate) fn command(
        &mut self,
        command: &str,
        arguments: &Value,
        patience: Duration,
    ) -> Result<Option<Result<Value, String>>, HarnessError> {
        self.note(&format!("{command} {arguments}"))?;
        let id = self.ask(command, arguments);
        self.answer(id, patience)
    }

    fn ask(&mut self, command: &str, arguments: &Value) -> u64 {
        self.last_id += 1;
        self.send(&qmp::command(self.last_id, command, arguments));
        self.last_id
    }

    /// Takes in what arrives until QEMU answers, or has closed its channel.
    fn answer(&mut self, id: u64, patience: Duration) -> Result<Option<Result<Value, String>>, HarnessError> {
        let began = Instant::now();
        loop {
            if let Some(at) = self.answers.iter().position(|(answered, _)| *answered == id) {
                return Ok(Some(self.answers.swap_remove(at).1));
            }
            if began.elapsed() >= patience || !self.streams.iter().any(|(channel, _)| *channel == Channel::Qmp) {
                return Ok(None);
            }
            self.next(Duration::from_millis(20))?;
        }
    }

    /// Asks where the CPUs are.
    pub(crate) fn ask_registers(&mut self, symbols: &[Symbols], patience: Duration) -> Result<(), HarnessError> {
        let arguments = json!({"command-line": "info registers -a"});
        let id = self.ask("human-monitor-command", &arguments);
        let answer = self.answer(id, patience)?;
        let text = answer.as_ref().and_then(|answer| answer.as_ref().ok()?.as_str());
        let symbols = symbols.get(self.console.hop()).or(symbols.last());
        self.cpus = qmp::cpus(text.unwrap_or_default(), symbols);
        Ok(())
    }

    /// Asks QEMU to end.
    pub(crate) fn quit(&mut self) {
        self.ask("quit", &json!({}));
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
            witness: None,
            translation: None,
            unchanged: None,
            elapsed,
        })
    }

    fn send(&mut self, line: &str) {
        if let Some((_, stream)) = self.streams.iter_mut().find(|(channel, _)| *channel == Channel::Qmp) {
            // If QEMU does not listen any more, it is ending, which is what we want to know or to bring about.
            let _ = stream.write_all(line.as_bytes());
        }
    }

    fn host_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn take(&mut self, channel: Channel, bytes: &[u8]) -> Result<(), HarnessError> {
        let host_ms = self.host_ms();
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
        let Self { console, notebook, looked, due, logs, .. } = self;
        let before = console.hop();
        let (hop, line) = console.push(line);
        if hop != before {
            tell(notebook.as_ref(), What::Speaks(hop), looked[1]);
        }
        if line.text.contains(JUMP) {
            tell(notebook.as_ref(), What::Jumps(hop), looked[1]);
            due.push_back(Due::Jump { hop });
        }
        logs.console(hop, line)
    }

    /// Whether the last stage is over, or one ended before its end.
    pub(crate) fn over(&self) -> Option<Over> {
        self.over
    }

    /// What a report means to the witness.
    fn tell_of(&mut self, event: &Event) {
        let over = match event {
            Event::Step { ok: false, .. } | Event::Done { ok: false, .. } => Some(false),
            Event::Done { hop, .. } if *hop as usize >= self.jumps => Some(true),
            _ => None,
        };
        if let Some(good) = over {
            self.over.get_or_insert(Over { good, after: self.looked[1] });
            tell(self.notebook.as_ref(), What::Ends, self.looked[1]);
        }
        let tell = |what| tell(self.notebook.as_ref(), what, self.looked[1]);
        match event {
            Event::Ring { fd, header, .. } => {
                if let Some(notebook) = &self.notebook {
                    notebook.ring(fd, *header);
                }
            }
            Event::Kexec { hop, .. } => tell(What::Leaves(*hop as usize)),
            _ => {}
        }
    }

    fn result_line(&mut self, line: Line) -> Result<(), HarnessError> {
        match Event::from_line(&line.text) {
            Some(event) => {
                self.tell_of(&event);
                if matches!(event, Event::Boot { .. }) {
                    let before = self.console.hop();
                    self.console.booted(event.hop() as usize);
                    if self.console.hop() != before {
                        tell(self.notebook.as_ref(), What::Speaks(self.console.hop()), self.looked[1]);
                    }
                }
                if let Event::Host { hop, action } = &event {
                    self.due.push_back(Due::Step { hop: *hop as usize, action: action.clone() });
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
            Some(Message::Deleted(device)) => {
                self.leaving.remove(&device);
            }
            Some(Message::Answer(id, answer)) => self.answers.push((id, answer)),
            Some(Message::Event(_)) | None => {}
        }
        self.logs.qmp(line.host_ms, &line.text)
    }
}

/// Tells the witness, if there is one, of something that had not been said at `after`.
fn tell(notebook: Option<&Notebook>, what: What, after: Instant) {
    if let Some(notebook) = notebook {
        notebook.mark(what, after);
    }
}
