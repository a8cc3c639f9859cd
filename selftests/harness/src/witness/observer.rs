// SPDX-License-Identifier: GPL-2.0-only

//! The thread that sends frames, hears the reference and looks into the rings, in turn.
//!
//! In each round, in this order: it takes note of what it was told, hears which ticks came back, looks into every ring, and sends the
//! next frames and their tick if they are due. So when a look begins, the ticks that it is noted with had come back before, and
//! whatever was sent with them had been sent before.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use plan::Frame as Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::pace::{Pace, Room};
use super::ring::{Found, Ring};
use super::usage::cpu_time;
use super::{Device, Frame, Landed, Look, Mark, Record, Task, What, log};
use crate::clock::nanoseconds;
use crate::devices::Reference;
use crate::error::{HarnessError, io};
use crate::frames::Stream;
use crate::physical::Memory;

/// How many ticks may be under way. Fewer than a unix socket holds (10, unless an administrator allows more), so that a frame is not
/// refused while its tick is taken.
pub(crate) const WINDOW: usize = 8;
/// How long a ring may take to be found.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time between two notes of QEMU's CPU time, in nanoseconds.
const ACCOUNT: u64 = 100_000_000;
/// Time between two looks, at most.
const LOOK: Duration = Duration::from_millis(1);

/// Something that the thread is told.
#[derive(Debug)]
enum Note {
    /// QEMU runs; its process id.
    Qemu(u32),
    /// The guest has set up a ring; its header, and the name of the device's fd.
    Ring(String, u64),
    /// The VM has said something.
    Mark(Mark),
}

/// Where to tell it.
#[derive(Clone, Debug)]
pub(crate) struct Notebook {
    notes: Sender<Note>,
    started: Instant,
}

impl Notebook {
    /// QEMU runs.
    pub(crate) fn qemu(&self, process: u32) {
        let _ = self.notes.send(Note::Qemu(process));
    }

    /// The guest has set up a ring.
    pub(crate) fn ring(&self, fd: &str, header: u64) {
        // A thread that is gone has met an error, which `Observer::finish` tells.
        let _ = self.notes.send(Note::Ring(fd.to_owned(), header));
    }

    /// The VM has said something, after the moment of `after`.
    pub(crate) fn mark(&self, what: What, after: Instant) {
        let after = nanoseconds(after.saturating_duration_since(self.started));
        let at = nanoseconds(self.started.elapsed());
        let _ = self.notes.send(Note::Mark(Mark { what, after, at }));
    }
}

/// The thread.
#[derive(Debug)]
pub(crate) struct Observer {
    notebook: Notebook,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Record, String>>>,
    log_dir: Utf8PathBuf,
}

impl Observer {
    /// Starts it, before QEMU.
    pub(crate) fn start(
        task: &Task,
        streams: &[Stream],
        reference: &Reference,
        memory: Option<&Utf8Path>,
        started: Instant,
        log_dir: &Utf8Path,
    ) -> Result<Self, HarnessError> {
        let bind = |path: &Utf8Path| {
            let socket = UnixDatagram::bind(path).map_err(io("bind", path))?;
            socket.set_nonblocking(true).map_err(io("bind", path))?;
            Ok::<_, HarnessError>(socket)
        };
        let (notes, told) = mpsc::channel();
        let notebook = Notebook { notes, started };
        let stop = Arc::new(AtomicBool::new(false));
        let mut targets = Vec::new();
        for stream in streams {
            let witnessed = task.devices.values().position(|device| *device == stream.device);
            targets.push(Target { socket: bind(&stream.from)?, to: stream.to.clone(), sequence: 0, witnessed });
        }
        let names: Vec<&String> = task.devices.values().collect();
        let devices = names.iter().map(|name| Device { name: (*name).clone(), ..Device::default() });
        let devices = devices.collect();
        let record = Record { limits: task.limits, jumps: task.jumps, devices, ..Record::default() };
        let rate = streams.iter().map(|stream| stream.rate).max().unwrap_or(1);
        let work = Work {
            started,
            fds: task.devices.keys().cloned().zip(0..).collect(),
            rings: names.iter().map(|_| None).collect(),
            memory: memory.map(Utf8Path::to_owned),
            targets,
            reference: bind(&reference.from)?,
            to: reference.to.clone(),
            echo: bind(&reference.echo)?,
            pace: Pace { usual: Duration::from_secs(1) / rate, slowness: task.slowness },
            due: Instant::now(),
            blackout: false,
            kernel: 0,
            qemu: None,
            told,
            record,
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("witness".into()).spawn(move || work.run(&stopped));
        let thread = thread.map_err(io("start a thread to witness for", log_dir))?;
        Ok(Self { notebook, stop, thread: Some(thread), log_dir: log_dir.to_owned() })
    }

    /// For whoever has something to tell.
    pub(crate) fn notebook(&self) -> Notebook {
        self.notebook.clone()
    }

    /// Ends it and gives what it saw, which is also written to `witness-<device>.csv`, with the kernel's number if it was started in a later one.
    pub(crate) fn finish(mut self) -> Result<Record, HarnessError> {
        let failed = |why: String| HarnessError::Witness { why, logs: self.log_dir.clone() };
        self.stop.store(true, Ordering::Release);
        let ended = self.thread.take().map(JoinHandle::join);
        let record = match ended {
            Some(Ok(record)) => record.map_err(failed)?,
            _ => return Err(failed("its thread panicked".to_owned())),
        };
        for device in &record.devices {
            let again = if device.kernel > 0 { format!("-{}", device.kernel) } else { String::new() };
            let path = self.log_dir.join(format!("witness-{}{again}.csv", device.name));
            log::write(&record, device, &path).map_err(io("write", &path))?;
        }
        Ok(record)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // We are leaving because of another error.
            let _ = thread.join();
        }
    }
}

/// Where frames are sent to.
#[derive(Debug)]
struct Target {
    socket: UnixDatagram,
    to: Utf8PathBuf,
    /// The next number. It is used up only if QEMU takes the frame.
    sequence: u64,
    /// Index among the devices of the record.
    witnessed: Option<usize>,
}

/// What the thread works with.
struct Work {
    started: Instant,
    /// Indices of the record's devices by the names of their fds.
    fds: BTreeMap<String, usize>,
    /// The rings of the record's devices, and the last look into each.
    rings: Vec<Option<(Ring, Look)>>,
    memory: Option<Utf8PathBuf>,
    targets: Vec<Target>,
    reference: UnixDatagram,
    to: Utf8PathBuf,
    echo: UnixDatagram,
    pace: Pace,
    due: Instant,
    blackout: bool,
    /// The one that runs.
    kernel: usize,
    qemu: Option<u32>,
    told: Receiver<Note>,
    record: Record,
}

impl Work {
    fn run(mut self, stop: &AtomicBool) -> Result<Record, String> {
        loop {
            // Read first: whoever says so has told everything before.
            let last = stop.load(Ordering::Acquire);
            while let Ok(note) = self.told.try_recv() {
                self.take(note)?;
            }
            if last {
                return Ok(self.record);
            }
            self.account();
            self.hear()?;
            self.look()?;
            let interval = self.pace.interval(self.blackout, self.tightest()?);
            if let Some(interval) = interval
                && Instant::now() >= self.due
                && self.record.ticks.len() - self.record.echoes.len() < WINDOW
            {
                self.send();
                // A host that was busy does not catch up with a burst.
                self.due = Instant::now().max(self.due + interval);
            }
            self.wait();
        }
    }

    fn now(&self) -> u64 {
        nanoseconds(self.started.elapsed())
    }

    fn take(&mut self, note: Note) -> Result<(), String> {
        match note {
            Note::Qemu(process) => self.qemu = Some(process),
            Note::Ring(fd, header) => {
                let Some(mut index) = self.fds.get(&fd).copied() else { return Ok(()) };
                if self.record.devices[index].until.is_some() {
                    index = self.anew(index);
                    self.fds.insert(fd, index);
                }
                let memory = Arc::new(Memory::open(self.memory.as_deref())?);
                let ring = Ring::load(memory, header, PATIENCE)?;
                let since = Look { at: self.now(), echoes: self.record.echoes.len() };
                let sent = self.targets.iter().find(|target| target.witnessed == Some(index));
                let device = &mut self.record.devices[index];
                if device.since.is_some() {
                    device.faults.push((since.at, "its ring was set up anew".to_owned()));
                    return Ok(());
                }
                (device.since, device.first) = (Some(since.at), sent.map_or(0, |target| target.sequence));
                device.kernel = self.kernel;
                self.rings[index] = Some((ring, since));
            }
            Note::Mark(mark) => {
                match mark.what {
                    What::Leaves(hop) => {
                        self.blackout = true;
                        self.end(hop, mark)?;
                    }
                    What::Speaks(hop) => {
                        self.blackout = false;
                        self.kernel = hop;
                    }
                    What::Ends => self.compare(mark.at)?,
                    What::Jumps(_) => {}
                }
                self.record.marks.push(mark);
            }
        }
        Ok(())
    }

    /// A device that counts no more is started again; gives the index of another one of its name, that is to count.
    fn anew(&mut self, old: usize) -> usize {
        let new = self.record.devices.len();
        self.record.devices.push(Device { name: self.record.devices[old].name.clone(), ..Device::default() });
        self.rings.push(None);
        for target in self.targets.iter_mut().filter(|target| target.witnessed == Some(old)) {
            target.witnessed = Some(new);
        }
        new
    }

    /// Ends the count of those that have gone on for as long as they must, now that a kernel leaves.
    fn end(&mut self, hop: usize, mark: Mark) -> Result<(), String> {
        let Some(jumps) = self.record.limits.jumps else { return Ok(()) };
        for (ring, device) in self.rings.iter_mut().zip(&mut self.record.devices) {
            if ring.is_some() && hop >= device.kernel + jumps {
                device.until = Some(mark);
                compare(ring.as_ref(), device, mark.at)?;
                *ring = None;
            }
        }
        Ok(())
    }

    /// Notes now and then how much CPU time QEMU has used.
    fn account(&mut self) {
        let now = self.now();
        let due = self.record.used.last().is_none_or(|(at, _)| now.saturating_sub(*at) >= ACCOUNT);
        if let Some(used) = self.qemu.filter(|_| due).and_then(cpu_time) {
            self.record.used.push((now, used));
        }
    }

    /// Takes in the ticks that came back.
    fn hear(&mut self) -> Result<(), String> {
        let mut buffer = [0; 2 * Bytes::LENGTH];
        while let Ok(length) = self.echo.recv(&mut buffer) {
            let tick = self.record.echoes.len();
            match Bytes::from_bytes(&buffer[..length]) {
                Some(Bytes { sequence, .. }) if sequence == tick as u64 => {}
                other => return Err(format!("tick {tick} was to come back from QEMU, and {other:?} did")),
            }
            self.record.echoes.push(self.now());
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), String> {
        for (ring, device) in self.rings.iter_mut().zip(&mut self.record.devices) {
            let Some((ring, missed)) = ring else { continue };
            let seen = Look { at: nanoseconds(self.started.elapsed()), echoes: self.record.echoes.len() };
            while let Some(found) = ring.look()? {
                match found {
                    Found::Frame { sequence, sent, descriptor } => {
                        // Older ones were under way when the count started.
                        let index = sequence.checked_sub(device.first).and_then(|index| usize::try_from(index).ok());
                        let landed = Landed { missed: *missed, seen, descriptor };
                        match index.map(|index| device.frames.get_mut(index)) {
                            Some(Some(frame)) if frame.sent == sent => frame.landed = Some(landed),
                            None => {}
                            Some(_) => {
                                let what =
                                    format!("descriptor {descriptor} holds a frame {sequence} that was never sent");
                                device.faults.push((seen.at, what));
                            }
                        }
                    }
                    Found::Damaged(what) => device.faults.push((seen.at, what)),
                }
            }
            *missed = seen;
        }
        Ok(())
    }

    /// The ring with the least room.
    fn tightest(&self) -> Result<Option<Room>, String> {
        let rooms = self.rings.iter().flatten().map(|(ring, _)| ring.room());
        let rooms = rooms.collect::<Result<Vec<_>, _>>()?;
        Ok(rooms.into_iter().min_by_key(|room| room.free))
    }

    /// One frame for each card, and a tick.
    fn send(&mut self) {
        let tick = self.record.ticks.len();
        for target in &mut self.targets {
            let sent = nanoseconds(self.started.elapsed());
            let bytes = Bytes { sequence: target.sequence, sent }.to_bytes();
            // Not taken: QEMU has no such card now, or the card takes none. The number is used for the next.
            if target.socket.send_to(&bytes, &target.to).is_ok() {
                target.sequence += 1;
                let device = target.witnessed.map(|index| &mut self.record.devices[index]);
                if let Some(device) = device.filter(|device| device.since.is_some()) {
                    device.frames.push(Frame { tick, sent, landed: None });
                }
            }
        }
        let sent = self.now();
        let bytes = Bytes { sequence: tick as u64, sent }.to_bytes();
        if self.reference.send_to(&bytes, &self.to).is_ok() {
            self.record.ticks.push(sent);
        }
    }

    /// Waits for a tick to come back, for the next to be due, or for the next look.
    fn wait(&self) {
        let until_due = self.due.saturating_duration_since(Instant::now());
        let patience = if until_due.is_zero() { LOOK } else { until_due.min(LOOK) };
        let timeout = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
        // Interrupted or not, the next round tells what there is.
        let _ = poll(&mut [PollFd::new(&self.echo, PollFlags::IN)], Some(&timeout));
    }

    /// Whether all the rings still hold what was seen to land there.
    fn compare(&mut self, at: u64) -> Result<(), String> {
        self.rings
            .iter()
            .zip(&mut self.record.devices)
            .try_for_each(|(ring, device)| compare(ring.as_ref(), device, at))
    }
}

/// Whether a ring, if there was one, still holds what was seen to land there.
fn compare(ring: Option<&(Ring, Look)>, device: &mut Device, at: u64) -> Result<(), String> {
    if let Some((ring, _)) = ring {
        device.faults.extend(ring.overwritten()?.into_iter().map(|what| (at, what)));
    }
    Ok(())
}
