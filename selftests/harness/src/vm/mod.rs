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
//! We listen on the sockets and QEMU connects, so that nothing said is lost. One thread does it all: what the guest
//! says on its two serial ports is taken in in the order in which it said it (see `watch`).

mod logs;
mod process;
mod watch;

use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use crate::cmdline::Sockets;
use crate::error::{HarnessError, io};
use crate::observe::{End, Observation};
use crate::symbols::Symbols;
use logs::Logs;
use process::Qemu;
use watch::{Channel, Watch};

/// How often we look whether QEMU still runs.
const TICK: Duration = Duration::from_millis(20);
/// A kernel that said its last word should reset the machine at once.
const AFTER_PANIC: Duration = Duration::from_secs(5);
/// How long QEMU may take to answer or to quit.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Debug)]
pub struct Request<'a> {
    /// The program.
    pub qemu: &'a Utf8Path,
    /// Its arguments; they let QEMU connect to `sockets`.
    pub args: Vec<String>,
    /// Where we listen.
    pub sockets: Sockets,
    /// An existing directory for console-N.log, events.jsonl and qemu.log.
    pub log_dir: &'a Utf8Path,
    /// When to give up.
    pub wall: Duration,
    /// How much silence is a hang.
    pub stall: Duration,
    /// Function names, by kernel; the last one serves all later kernels.
    pub symbols: Vec<Symbols>,
}

/// Runs a VM to its end.
pub fn supervise(request: &Request<'_>) -> Result<Observation, HarnessError> {
    let listeners = [
        (Channel::Console, listen(&request.sockets.console)?),
        (Channel::Result, listen(&request.sockets.result)?),
        (Channel::Qmp, listen(&request.sockets.qmp)?),
    ];
    let (logs, output) = Logs::create(request.log_dir, request.qemu, &request.args)?;
    let started = Instant::now();
    let mut qemu = Qemu::start(request.qemu, &request.args, output)?;
    let streams = accept(&listeners, &mut qemu, request)?;

    let mut watch = Watch::new(started, streams, logs);
    let end = wait(request, &mut qemu, &mut watch)?;
    if !matches!(end, End::Exited { .. }) {
        watch.ask_registers(&request.symbols, PATIENCE)?;
        watch.quit();
        qemu.wait(PATIENCE);
    }
    qemu.kill();
    // QEMU is gone, so what it wrote can be read without waiting.
    watch.drain()?;
    watch.finish(end, started.elapsed(), request.log_dir)
}

fn wait(request: &Request<'_>, qemu: &mut Qemu, watch: &mut Watch) -> Result<End, HarnessError> {
    loop {
        watch.next(TICK)?;
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

fn listen(path: &Utf8Path) -> Result<UnixListener, HarnessError> {
    let listener = UnixListener::bind(path).map_err(io("listen on", path))?;
    listener.set_nonblocking(true).map_err(io("listen on", path))?;
    Ok(listener)
}

/// Waits until QEMU has connected everywhere; fewer streams come back if it ended before or takes too long.
fn accept(
    listeners: &[(Channel, UnixListener)],
    qemu: &mut Qemu,
    request: &Request<'_>,
) -> Result<Vec<(Channel, UnixStream)>, HarnessError> {
    let began = Instant::now();
    let mut streams: Vec<(Channel, UnixStream)> = Vec::new();
    loop {
        // In this order: what connected before it ended is still taken.
        let ended = qemu.ended()?.is_some();
        for (channel, listener) in listeners {
            if streams.iter().any(|(done, _)| done == channel) {
                continue;
            }
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).map_err(io("accept on", request.log_dir))?;
                streams.push((*channel, stream));
            }
        }
        if streams.len() == listeners.len() || ended || began.elapsed() >= request.stall {
            return Ok(streams);
        }
        thread::sleep(Duration::from_millis(2));
    }
}
