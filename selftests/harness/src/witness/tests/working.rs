// SPDX-License-Identifier: GPL-2.0-only

//! The thread at work: a stand-in for QEMU takes frames and sends ticks back, with a device and a guest in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use plan::Frame;

use super::image::{HEADER, Image};
use crate::devices::Reference;
use crate::frames::Stream;
use crate::witness::{Finding, Limits, Observer, Record, Task, What, judge};

/// What the stand-in does.
const ON: u8 = 0;
/// The device keeps what it gets.
const HOLDING: u8 = 1;
/// QEMU does nothing at all.
const STARVED: u8 = 2;
const OVER: u8 = 3;

struct Qemu {
    mode: Arc<AtomicU8>,
    /// When the last tick that it sent back was sent.
    clock: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Qemu {
    fn start(directory: &Utf8Path, memory: &Utf8Path) -> Self {
        let bind = |path: &Utf8Path| {
            let socket = UnixDatagram::bind(path).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let reference = Reference::of(directory);
        let (frames, ticks) = (bind(&directory.join("q-dut")), bind(&reference.to));
        let mut image = Image::new(File::create_new(memory).unwrap().try_clone().unwrap());
        let mode = Arc::new(AtomicU8::new(ON));
        let clock = Arc::new(AtomicU64::new(0));
        let (told, progress) = (mode.clone(), clock.clone());
        let work = move || {
            let mut kept = None;
            loop {
                let mode = told.load(Ordering::Relaxed);
                if mode == OVER {
                    return;
                }
                let mut buffer = [0; 100];
                if mode != STARVED {
                    // As QEMU does: what the card does not take is kept, and no more is read.
                    if kept.is_none()
                        && let Ok(length) = frames.recv(&mut buffer)
                    {
                        kept = Frame::from_bytes(&buffer[..length]);
                    }
                    if mode != HOLDING
                        && let Some(frame) = kept.take()
                    {
                        image.receive(frame);
                    }
                    if let Ok(length) = ticks.recv(&mut buffer) {
                        progress.store(Frame::from_bytes(&buffer[..length]).unwrap().sent, Ordering::Relaxed);
                        ticks.send_to(&buffer[..length], &reference.echo).unwrap();
                    }
                    image.reap();
                    image.give_back();
                }
                thread::sleep(Duration::from_micros(100));
            }
        };
        Self { mode, clock, thread: Some(thread::spawn(work)) }
    }

    fn for_ms(&self, mode: u8, ms: u64) {
        let clock = || self.clock.load(Ordering::Relaxed);
        let from = clock();
        self.mode.store(mode, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(ms));
        // If it is not this that starves, nobody may have had the time for ticks.
        while mode != STARVED && clock() < from + ms * 900_000 {
            thread::sleep(Duration::from_millis(5));
        }
        self.mode.store(ON, Ordering::Relaxed);
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.mode.store(OVER, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A run with one jump, at which `blackout` is done.
fn run(blackout: impl FnOnce(&Qemu)) -> (Record, String) {
    let directory = tempfile::tempdir().unwrap();
    let directory = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
    fs::create_dir_all(&directory).unwrap();
    let memory = directory.join("memory");
    let stream = Stream { device: "dut".into(), rate: 500, to: directory.join("q-dut"), from: directory.join("h-dut") };
    let limits = Limits { arrivals: 20, ..Limits::default() };
    let task = Task { limits, devices: BTreeMap::from([("fd".to_owned(), "dut".to_owned())]), jumps: 1, slowness: 1 };
    let reference = Reference::of(&directory);
    let observer = Observer::start(&task, &[stream], &reference, Some(&memory), Instant::now(), &directory).unwrap();
    let qemu = Qemu::start(&directory, &memory);
    let notebook = observer.notebook();
    let mark = |what| notebook.mark(what, Instant::now());
    thread::sleep(Duration::from_millis(50));
    notebook.ring("fd", HEADER);
    thread::sleep(Duration::from_millis(50));
    mark(What::Leaves(0));
    mark(What::Jumps(0));
    qemu.for_ms(ON, 100);
    blackout(&qemu);
    qemu.for_ms(ON, 100);
    mark(What::Speaks(1));
    qemu.for_ms(ON, 100);
    mark(What::Ends);
    thread::sleep(Duration::from_millis(20));
    let record = observer.finish().unwrap();
    let log = fs::read_to_string(directory.join("witness-dut.csv")).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    (record, log)
}

#[test]
fn a_device_that_goes_on_is_told_from_one_that_does_not_and_both_from_a_starved_host() {
    let (record, log) = run(|qemu| qemu.for_ms(STARVED, 400));
    let finding = judge(&record);
    let Finding::Continuous(all) = &finding else { panic!("{finding:?}") };
    assert!(all[0].frames > 100 && all[0].silence_microseconds > 390_000, "{all:?}");
    assert!(log.lines().count() >= all[0].frames, "{log}");

    let (record, _) = run(|qemu| qemu.for_ms(HOLDING, 400));
    let finding = judge(&record);
    assert!(matches!(&finding, Finding::Interrupted { what, .. } if what.contains("later than 250 ms")), "{finding:?}");
}
