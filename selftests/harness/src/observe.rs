// SPDX-License-Identifier: GPL-2.0-only

//! What was seen of one VM, from start to end.
//!
//! QEMU says nothing about kexec, a panic ends it with status 0, and the console may be cut anywhere; so a
//! [verdict](crate::verdict) needs the control socket, the result channel and the console together. This is all three.

use std::time::Duration;

use plan::Event;
use serde::Serialize;

use crate::translation;
use crate::unchanged;
use crate::witness::Record;

/// A line of a serial port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Milliseconds since QEMU was started.
    pub host_ms: u64,
    /// Seconds by the kernel's clock, if the line carries a time.
    pub guest_seconds: Option<f64>,
    /// The line, without its time and without control characters.
    pub text: String,
}

/// An event of the guest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimedEvent {
    /// Milliseconds since QEMU was started.
    pub host_ms: u64,
    /// What the guest said.
    pub event: Event,
}

/// The console output of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hop {
    /// Whether the kernel printed its version, so that it certainly ran.
    pub banner: bool,
    /// What it printed.
    pub lines: Vec<Line>,
}

impl Hop {
    /// The first line that contains `needle`.
    pub fn find(&self, needle: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.text.contains(needle))
    }
}

/// How a VM ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum End {
    /// QEMU ended by itself.
    Exited {
        /// Its exit status, if it was not killed.
        code: Option<i32>,
        /// The signal that killed it.
        signal: Option<i32>,
    },
    /// Neither channel said anything for this long; we ended QEMU.
    Stalled(Duration),
    /// The wall limit was reached; we ended QEMU.
    WallLimit(Duration),
}

/// A virtual CPU of a VM that had to be stopped.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Cpu {
    /// Its number.
    pub index: usize,
    /// The instruction pointer.
    pub rip: u64,
    /// Whether it waits for an interrupt.
    pub halted: bool,
    /// Whether it runs user space.
    pub user: bool,
    /// Function and offset, if it runs the kernel and a System.map was given.
    pub symbol: Option<String>,
}

/// Everything that was seen of one VM.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observation {
    /// How it ended.
    pub end: End,
    /// The reason in QEMU's SHUTDOWN event.
    pub shutdown: Option<String>,
    /// What QEMU printed itself.
    pub qemu_output: Vec<String>,
    /// The guest's reports.
    pub events: Vec<TimedEvent>,
    /// Lines of the result channel that are no reports.
    pub noise: Vec<Line>,
    /// The console, split by kernel; at least one.
    pub hops: Vec<Hop>,
    /// Where the CPUs were when a VM had to be stopped.
    pub cpus: Vec<Cpu>,
    /// What was seen of DMA, if that was wanted.
    #[serde(skip)]
    pub witness: Option<Record>,
    /// What was seen of the IOMMU, if that was wanted.
    #[serde(skip)]
    pub translation: Option<translation::Record>,
    /// What became of the memory that must not change, if any was recorded.
    #[serde(skip)]
    pub unchanged: Option<unchanged::Record>,
    /// How long it all took.
    pub elapsed: Duration,
}

impl Observation {
    /// Whether init of this kernel started.
    pub fn booted(&self, hop: usize) -> bool {
        self.events.iter().any(|timed| matches!(timed.event, Event::Boot { .. }) && timed.event.hop() as usize == hop)
    }

    /// Whether this kernel was about to jump into the next one.
    pub fn left(&self, hop: usize) -> bool {
        self.events.iter().any(|timed| matches!(timed.event, Event::Kexec { .. }) && timed.event.hop() as usize == hop)
    }

    /// Whether this kernel certainly started.
    pub fn started(&self, hop: usize) -> bool {
        self.booted(hop) || self.hops.get(hop).is_some_and(|hop| hop.banner)
    }

    /// The last kernel of which anything was seen.
    pub fn last_hop(&self) -> usize {
        let reported = self.events.iter().map(|timed| timed.event.hop() as usize).max().unwrap_or(0);
        reported.max(self.hops.len().saturating_sub(1))
    }
}
