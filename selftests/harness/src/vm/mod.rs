// SPDX-License-Identifier: GPL-2.0-only

//! Runs one VM and watches it.
//!
//! Guarantees:
//! - [`supervise`] always comes back: QEMU ends, or both serial ports are silent for too long, or the wall limit is
//!   reached.
//! - Everything that arrived before the end is in the [`Observation`], and each line is in its log as soon as it
//!   arrived.
//! - Nothing stays behind. QEMU leads a process group that is killed when we leave, on errors and panics too; and the
//!   kernel kills it when the thread that started it dies, so also after `kill -9` or Ctrl-C. That thread is the one
//!   that waits here, so it lives as long as the VM.
//!
//! - Nothing that was said is lost, however late we come to read it (see `channels`).
//!
//! One thread does it all (but for [frames](crate::frames), and the [witness](crate::witness) of what becomes of them): what the guest says on its two serial ports is taken in in the order in which it said it (see
//! `watch`).

mod channels;
mod host;
mod logs;
mod process;
mod watch;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use plan::HostAction;

use crate::cmdline::Channels;
use crate::devices::Reference;
use crate::error::HarnessError;
use crate::frames::Senders;
use crate::observe::{End, Observation};
use crate::symbols::Symbols;
use crate::topology::Topology;
use crate::translation;
use crate::witness::{Observer, Task};
use host::Host;
use logs::Logs;
use process::Qemu;
use watch::{Channel, Watch};

/// How often we look whether QEMU still runs.
const TICK: Duration = Duration::from_millis(20);
/// The same if a witness is told what the VM says: it must know when that was.
const WITNESS_TICK: Duration = Duration::from_millis(2);
/// A kernel that said its last word should reset the machine at once.
const AFTER_PANIC: Duration = Duration::from_secs(5);
/// How long QEMU may take to answer or to quit.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Debug)]
pub struct Request<'a> {
    /// The program.
    pub qemu: &'a Utf8Path,
    /// Its arguments; they let QEMU speak through `channels`.
    pub args: Vec<String>,
    /// Where we listen; nothing lies there yet.
    pub channels: Channels,
    /// An existing directory for console-N.log, events.jsonl and qemu.log.
    pub log_dir: &'a Utf8Path,
    /// When to give up.
    pub wall: Duration,
    /// How much silence is a hang.
    pub stall: Duration,
    /// How many times as long as usual the guest takes for everything.
    pub slowness: u32,
    /// Function names, by kernel; the last one serves all later kernels.
    pub symbols: Vec<Symbols>,
    /// What the arguments describe; what is not there from the start can be plugged.
    pub topology: &'a Topology,
    /// The guest's memory, if it is a file.
    pub memory_file: Option<Utf8PathBuf>,
    /// What the host does after the jump of each kernel.
    pub between: Vec<Vec<HostAction>>,
    /// Whose DMA is to be witnessed; the arguments have the reference for it.
    pub witness: Option<Task>,
    /// Devices by the names of the fds that their rings are reported with.
    pub rings: BTreeMap<String, String>,
    /// Whether the IOMMU is watched; the arguments have the trace for it.
    pub translation: Option<translation::Task>,
}

/// Runs a VM to its end.
pub fn supervise(request: &Request<'_>) -> Result<Observation, HarnessError> {
    let mut channels = vec![
        (Channel::Console, channels::fifo(&request.channels.console)?),
        (Channel::Result, channels::fifo(&request.channels.result)?),
    ];
    let listener = channels::listen(&request.channels.qmp)?;
    let (logs, output) = Logs::create(request.log_dir, request.qemu, &request.args)?;
    let (started, clock) = (Instant::now(), SystemTime::now());
    // The witness goes by how full the rings are.
    let slowness = if request.witness.is_some() { 1 } else { request.slowness };
    let streams = host::streams(request.topology, slowness, &request.channels.frames);
    let (senders, observer) = match &request.witness {
        None => (Some(Senders::start(&streams, started, request.log_dir)?), None),
        Some(task) => {
            let reference = Reference::of(&request.channels.frames);
            let memory = request.memory_file.as_deref();
            (None, Some(Observer::start(task, &streams, &reference, memory, started, request.log_dir)?))
        }
    };
    let mut qemu = Qemu::start(request.qemu, &request.args, output)?;
    channels.extend(accept(&listener, &mut qemu, request)?.map(|qmp| (Channel::Qmp, qmp)));

    let notebook = observer.as_ref().map(Observer::notebook);
    if let Some(notebook) = &notebook {
        notebook.qemu(qemu.id());
    }
    let mut watch = Watch::new(started, channels, logs, notebook, request.between.len().saturating_sub(1));
    let mut host = Host::new(request);
    let end = wait(request, &mut qemu, &mut watch, &mut host)?;
    if !matches!(end, End::Exited { .. }) {
        watch.ask_registers(&request.symbols, PATIENCE)?;
        watch.quit();
        qemu.wait(PATIENCE);
    }
    qemu.kill();
    // QEMU is gone, so what it wrote can be read without waiting.
    watch.drain()?;
    senders.map_or(Ok(()), Senders::finish)?;
    let witness = observer.map(Observer::finish).transpose()?;
    host.finish(&watch)?;
    let over = watch.over().map(|over| over.after.saturating_duration_since(started));
    let looked = |task| translation::Record::new(task, host.looks(), clock, over);
    let translation = request.translation.as_ref().map(looked).transpose()?;
    let unchanged = host.unchanged();
    let seen = watch.finish(end, started.elapsed(), request.log_dir)?;
    Ok(Observation { witness, translation, unchanged, ..seen })
}

fn wait(request: &Request<'_>, qemu: &mut Qemu, watch: &mut Watch, host: &mut Host<'_>) -> Result<End, HarnessError> {
    loop {
        watch.next(if request.witness.is_some() { WITNESS_TICK } else { TICK })?;
        host.act(watch)?;
        if let Some(end) = qemu.ended()? {
            return Ok(end);
        }
        let stall = if watch.panicked() { request.stall.min(AFTER_PANIC) } else { request.stall };
        if watch.silence() >= stall {
            return Ok(End::Stalled(stall));
        }
        if watch.elapsed() >= request.wall {
            return Ok(End::WallLimit(request.wall));
        }
    }
}

/// Waits until QEMU has connected; nothing comes back if it ended before or takes too long.
fn accept(listener: &UnixListener, qemu: &mut Qemu, request: &Request<'_>) -> Result<Option<File>, HarnessError> {
    let began = Instant::now();
    loop {
        // In this order: if it connected before it ended, that is still taken.
        let ended = qemu.ended()?.is_some();
        let stream = channels::accept(listener, &request.channels.qmp)?;
        if stream.is_some() || ended || began.elapsed() >= request.stall {
            return Ok(stream);
        }
        thread::sleep(Duration::from_millis(2));
    }
}
