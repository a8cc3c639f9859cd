// SPDX-License-Identifier: GPL-2.0-only

//! The receive rings of a stage, and the threads that give used descriptors back.
//!
//! A ring is known by the name of its memfd, a thread by that of the device's fd. A thread ends when the fd is closed, when the ring
//! is set up anew, when the device no longer answers, or with the kernel. It is held before a jump, with the whole ring free: the
//! kernel takes bus mastering away before it stops user space, and QEMU's igb, told then that descriptors are free, reads
//! zeros in their place and skips all of them. It would write nothing afterwards, whatever it were allowed.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::failure::Failure;
use crate::igb::Igb;
use crate::lock::lock;
use crate::memory::Memory;
use crate::names::Names;
use crate::ring::Ring;
use crate::wait;

/// At 200 frames a second, one frame per look.
const POLL: Duration = Duration::from_millis(5);

type Shared = Arc<Mutex<Ring>>;

/// What belongs to a stage.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    rings: Mutex<BTreeMap<String, Shared>>,
    refills: Mutex<BTreeMap<String, Refill>>,
    /// Those that the host was not yet told of: the device's fd and the header's physical address.
    untold: Mutex<Vec<(String, u64)>>,
}

#[derive(Debug)]
struct Refill {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Rings {
    /// The ring in a memfd, read from there if this stage has not met it.
    pub(crate) fn get(&self, names: &Names, memory: &str) -> Result<Shared, Failure> {
        let fd = names.get(memory)?;
        let mut rings = lock(&self.rings);
        if let Some(ring) = rings.get(memory) {
            return Ok(ring.clone());
        }
        let ring = Arc::new(Mutex::new(Ring::load(Memory::map(fd.as_fd())?)?));
        rings.insert(memory.to_owned(), ring.clone());
        Ok(ring)
    }

    /// Takes a new ring in.
    pub(crate) fn set(&self, memory: &str, ring: Ring) -> Shared {
        let ring = Arc::new(Mutex::new(ring));
        lock(&self.rings).insert(memory.to_owned(), ring.clone());
        ring
    }

    /// Takes note that a device receives into a new ring.
    pub(crate) fn announce(&self, fd: &str, header: u64) {
        lock(&self.untold).push((fd.to_owned(), header));
    }

    /// What was announced since this was last asked.
    pub(crate) fn announced(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut lock(&self.untold))
    }

    /// Starts the thread for a device.
    pub(crate) fn refill(&self, fd: &str, device: Igb, ring: Shared) -> Result<(), Failure> {
        self.stop(fd)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name(format!("refill {fd}"))
            .spawn(move || refill(&device, &ring, &stopped))
            .map_err(|error| Failure::new(format!("start a thread: {error}")))?;
        lock(&self.refills).insert(fd.to_owned(), Refill { stop, thread });
        Ok(())
    }

    /// Ends the thread for a device, if there is one.
    pub(crate) fn stop(&self, fd: &str) -> Result<(), Failure> {
        let Some(refill) = lock(&self.refills).remove(fd) else { return Ok(()) };
        refill.stop.store(true, Ordering::Relaxed);
        match wait::until(wait::LIMIT, || Ok(refill.thread.is_finished().then_some(())))? {
            Some(_) => Ok(()),
            None => Err(Failure::new(format!("the thread that refills the ring of {fd} hangs in the kernel"))),
        }
    }

    /// Does something while no thread touches a device. They go on afterwards.
    pub(crate) fn held<T>(&self, work: impl FnOnce() -> T) -> T {
        let rings: Vec<Shared> = lock(&self.rings).values().cloned().collect();
        let _held: Vec<_> = rings.iter().map(|ring| lock(ring)).collect();
        work()
    }

    /// To be said when `name` is about to be closed, whatever it is.
    pub(crate) fn closing(&self, name: &str) -> Result<(), Failure> {
        lock(&self.rings).remove(name);
        self.stop(name)
    }

    /// Why threads have ended on their own, for a report; empty if none has.
    pub(crate) fn complaints(&self) -> String {
        let mut refills = lock(&self.refills);
        let ended: Vec<_> = refills.extract_if(.., |_, refill| refill.thread.is_finished()).collect();
        let reason = |(fd, refill): (String, Refill)| match refill.thread.join() {
            Ok(Err(failure)) => format!("; the ring of {fd} is no longer refilled: {failure}"),
            _ => String::new(),
        };
        ended.into_iter().map(reason).collect()
    }
}

fn refill(device: &Igb, ring: &Mutex<Ring>, stop: &AtomicBool) -> Result<(), Failure> {
    let mut given = None;
    while !stop.load(Ordering::Relaxed) {
        {
            let mut ring = lock(ring);
            ring.reap();
            let next = ring.next();
            // A step may have reaped in between, so the place counts and not what was found.
            if given != Some(next) {
                device.give_back(next, ring.layout().descriptors())?;
                ring.given_back();
                given = Some(next);
            }
        }
        thread::sleep(POLL);
    }
    Ok(())
}
