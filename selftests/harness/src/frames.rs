// SPDX-License-Identifier: GPL-2.0-only

//! Sends numbered frames to a network card of the VM, from its start to its end.
//!
//! Each [`Frame`] that lands in guest memory is a DMA write that the device made on its own. A frame gets the next number only if QEMU took
//! it: before the card is plugged in, and while it takes no frames, the numbers stand still. QEMU keeps a few frames for a card
//! that is not yet up, and delivers them late; so count from those that were sent after the link was up.
//!
//! Where DMA is [witnessed](crate::witness), that does the sending.
//!
//! What was sent is written to `frames-<device>.csv` among the run's logs: number and time, in ns since QEMU was started.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use plan::Frame;

use crate::error::{HarnessError, io};

/// Frames for one network card.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Name of the device.
    pub device: String,
    /// Frames per second.
    pub rate: u32,
    /// The unix socket that QEMU reads from.
    pub to: Utf8PathBuf,
    /// The one that they come from; created.
    pub from: Utf8PathBuf,
}

/// Threads that send; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Senders {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
    log_dir: Utf8PathBuf,
}

impl Senders {
    /// Starts one for each stream.
    pub(crate) fn start(streams: &[Stream], started: Instant, log_dir: &Utf8Path) -> Result<Self, HarnessError> {
        let mut senders = Self { stop: Arc::default(), threads: Vec::new(), log_dir: log_dir.to_owned() };
        for stream in streams {
            let socket = UnixDatagram::bind(&stream.from).map_err(io("bind", &stream.from))?;
            socket.set_nonblocking(true).map_err(io("bind", &stream.from))?;
            let path = log_dir.join(format!("frames-{}.csv", stream.device));
            let log = BufWriter::new(File::create(&path).map_err(io("create", &path))?);
            let (stream, stop) = (stream.clone(), Arc::clone(&senders.stop));
            senders.threads.push(thread::spawn(move || send(&stream, &socket, started, log, &stop)));
        }
        Ok(senders)
    }

    /// Ends them, and tells whether their logs are complete.
    pub(crate) fn finish(mut self) -> Result<(), HarnessError> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let result = thread.join().unwrap_or_else(|_| Err(std::io::Error::other("its thread panicked")));
            result.map_err(io("write the frames' log in", &self.log_dir))?;
        }
        Ok(())
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // We are leaving because of another error.
            let _ = thread.join();
        }
    }
}

fn send(
    stream: &Stream,
    socket: &UnixDatagram,
    started: Instant,
    mut log: impl Write,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let period = Duration::from_secs(1) / stream.rate;
    let mut sequence = 0;
    let mut due = Instant::now();
    writeln!(log, "sequence,sent_ns")?;
    while !stop.load(Ordering::Relaxed) {
        let sent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Not taken: QEMU has no such card now, or is not ready for more. The number is used for the next.
        if socket.send_to(&Frame { sequence, sent }.to_bytes(), &stream.to).is_ok() {
            writeln!(log, "{sequence},{sent}")?;
            sequence += 1;
        }
        due += period;
        match due.checked_duration_since(Instant::now()) {
            Some(rest) => thread::sleep(rest),
            // A host that was busy does not catch up with a burst.
            None => due = Instant::now(),
        }
    }
    log.flush()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn numbers_count_what_was_taken() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(directory.path()).unwrap();
        let [to, from] = ["to", "from"].map(|name| directory.join(name));
        let stream = Stream { device: "dut".into(), rate: 500, to: to.clone(), from };
        let senders = Senders::start(&[stream], Instant::now(), directory).unwrap();
        // Nobody is there yet.
        thread::sleep(Duration::from_millis(50));
        let qemu = UnixDatagram::bind(&to).unwrap();
        qemu.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut before = 0;
        for number in 0..5 {
            let mut buffer = [0; 100];
            assert_eq!(qemu.recv(&mut buffer).unwrap(), Frame::LENGTH);
            let frame = Frame::from_bytes(&buffer).unwrap();
            assert_eq!(frame.sequence, number);
            assert!(frame.sent > before);
            before = frame.sent;
        }
        senders.finish().unwrap();
        let log = fs::read_to_string(directory.join("frames-dut.csv")).unwrap();
        assert!(log.starts_with("sequence,sent_ns\n0,") && log.contains(&format!("\n4,{before}\n")), "{log}");
        assert!(log.ends_with('\n'));
    }
}
