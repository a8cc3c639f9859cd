// SPDX-License-Identifier: GPL-2.0-only

//! A receive ring, as seen from outside: in the guest's physical memory, laid out as [`plan::ring`] says.
//!
//! A frame has landed when the descriptor whose turn it is says so (`DD`) and its buffer holds a frame that is newer than the last. The guest
//! takes the sign away when it has seen it, perhaps before us; then its count of frames tells.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use plan::Frame;
use plan::ring::{BUFFER, DESCRIPTOR, DONE, MAGIC, MAX_RING_PAGES, NEXT_BUFFER, STATUS, word};

use super::pace::Room;
use crate::physical::Memory;

const PAGE: u64 = 4096;
const PER_PAGE: u64 = PAGE / DESCRIPTOR as u64;
/// How many frames may land while the ring is compared.
const NEXT: usize = 64;
/// After so much damage it is not followed any more: its memory may have become somebody else's, who counts to anything.
const ENOUGH: usize = 64;
/// Between two readings of a header that makes no sense.
const REST: Duration = Duration::from_millis(1);

/// A ring and how far we have followed it.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Arc<Memory>,
    header: u64,
    /// Physical addresses.
    descriptors: Vec<u64>,
    buffers: Vec<u64>,
    /// The descriptor whose turn it is.
    next: usize,
    /// The number that the next frame has at least; any, if nothing has landed yet.
    due: u64,
    /// What the guest had counted where we started, and how many we have seen since.
    counted: u64,
    seen: u64,
    /// The frame that was last seen in each descriptor.
    last: Vec<Option<u64>>,
    /// How often something else was seen.
    damaged: usize,
}

/// What was found in the descriptor whose turn it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// A frame.
    Frame {
        /// Its number.
        sequence: u64,
        /// When it says that it was sent.
        sent: u64,
        /// Where.
        descriptor: usize,
    },
    /// Something else.
    Damaged(String),
}

/// Where its parts are, by physical addresses.
struct Parts {
    descriptors: Vec<u64>,
    buffers: Vec<u64>,
}

impl Parts {
    fn load(memory: &Memory, header: u64) -> Result<Self, String> {
        let get = |index: usize| memory.u64(header + index as u64 * 8);
        let broken = |what: &str| format!("the ring at {header:#x} is not laid out as it should be: {what}");
        let count = get(word::DESCRIPTORS)?;
        if get(word::MAGIC)? != MAGIC || get(word::HEADER)? != header {
            return Err(broken("there is no header"));
        }
        let pages = count / PER_PAGE;
        if !(1..=MAX_RING_PAGES as u64).contains(&pages) || !count.is_multiple_of(PER_PAGE) {
            return Err(broken(&format!("{count} descriptors")));
        }
        let mut descriptors = Vec::new();
        for page in word::PHYSICAL.. {
            let start = get(page)?;
            descriptors.extend((0..PER_PAGE).map(|index| start + index * DESCRIPTOR as u64));
            if descriptors.len() as u64 == count {
                break;
            }
        }
        let mut buffers = vec![get(word::FIRST_BUFFER)?];
        for index in 0..descriptors.len() {
            let next = memory.u64(buffers[index] + NEXT_BUFFER as u64)?;
            if !next.is_multiple_of(BUFFER as u64) {
                return Err(broken(&format!("buffer {} is at {next:#x}", index + 1)));
            }
            buffers.push(next);
        }
        if buffers.pop() != Some(buffers[0]) {
            return Err(broken("the last buffer does not lead to the first"));
        }
        Ok(Self { descriptors, buffers })
    }
}

/// All pages of the ring with this header, by physical address.
pub(crate) fn pages(memory: &Memory, header: u64) -> Result<BTreeSet<u64>, String> {
    let Parts { descriptors, buffers } = Parts::load(memory, header)?;
    Ok([header].into_iter().chain(descriptors).chain(buffers).map(|address| address & !(PAGE - 1)).collect())
}

impl Ring {
    /// Finds it, and where in it the guest is. For so long, the header may make no sense: a CPU of the guest may be kept from running in the
    /// middle of a change.
    pub(super) fn load(memory: Arc<Memory>, header: u64, patience: Duration) -> Result<Self, String> {
        let Parts { descriptors, buffers } = Parts::load(&memory, header)?;
        let last = vec![None; descriptors.len()];
        let mut ring =
            Self { memory, header, descriptors, buffers, next: 0, due: 0, counted: 0, seen: 0, last, damaged: 0 };
        ring.start(patience)?;
        Ok(ring)
    }

    /// Reads how far the guest is, from words that it writes one after the other: they belong together if the frame that it says it
    /// saw last is in the descriptor that it says was the last, and nothing changed while we read.
    fn start(&mut self, patience: Duration) -> Result<(), String> {
        let count = self.descriptors.len();
        let began = Instant::now();
        loop {
            let [due, landed, next] = self.progress()?;
            let at = usize::try_from(next).ok().filter(|next| *next < count);
            let at = at.ok_or_else(|| format!("the ring at {:#x} is at {next} of {count}", self.header))?;
            let before = self.frame((at + count - 1) % count)?.map_or(0, |frame| frame.sequence + 1);
            if [due, landed, next] == self.progress()? && (due == 0 || due == before) {
                (self.next, self.due, self.counted) = (at, before, landed);
                return Ok(());
            }
            if began.elapsed() >= patience {
                return Err(format!("the header of the ring at {:#x} never makes sense", self.header));
            }
            thread::sleep(REST);
        }
    }

    fn progress(&self) -> Result<[u64; 3], String> {
        Ok([self.word(word::DUE)?, self.word(word::LANDED)?, self.word(word::NEXT)?])
    }

    /// What has landed since this was last asked, if anything: to be asked again until nothing has.
    pub(super) fn look(&mut self) -> Result<Option<Found>, String> {
        if self.damaged >= ENOUGH {
            return Ok(None);
        }
        let at = self.next;
        // Read before the buffer: when a descriptor is done, its buffer is.
        let done = self.memory.u64(self.descriptors[at] + STATUS as u64)? & DONE != 0;
        if !done && self.reaped()? <= self.seen {
            return Ok(None);
        }
        let found = match self.frame(at)? {
            Some(Frame { sequence, sent }) if sequence >= self.due => {
                self.due = sequence + 1;
                self.last[at] = Some(sequence);
                Found::Frame { sequence, sent, descriptor: at }
            }
            Some(Frame { sequence, .. }) => Found::Damaged(format!(
                "descriptor {at} is done and its buffer holds frame {sequence}, which was there before"
            )),
            None => Found::Damaged(format!("descriptor {at} is done and its buffer holds no frame as it was sent")),
        };
        self.damaged += usize::from(matches!(found, Found::Damaged(_)));
        self.next = (at + 1) % self.descriptors.len();
        self.seen += 1;
        Ok(Some(found))
    }

    /// How many more frames the device has descriptors for. The guest keeps one back.
    pub(super) fn room(&self) -> Result<Room, String> {
        let of = self.descriptors.len();
        // What the guest has seen it has not given back, if the device is none of its own any more.
        let used = (self.counted + self.seen).saturating_sub(self.word(word::GIVEN)?);
        let used = usize::try_from(used).unwrap_or(of);
        Ok(Room { free: (of - 1).saturating_sub(used), of })
    }

    /// Which descriptors do not hold any more what was seen there, but for those whose turn comes next: they may be written right now.
    pub(super) fn overwritten(&self) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        let count = self.last.len();
        for at in (NEXT..count).map(|ahead| (self.next + ahead) % count) {
            let Some(want) = &self.last[at] else { continue };
            match self.frame(at)? {
                Some(Frame { sequence, .. }) if sequence == *want => {}
                Some(Frame { sequence, .. }) => {
                    all.push(format!("descriptor {at} was written twice: frame {sequence} has replaced frame {want}"));
                }
                None => all.push(format!("the buffer of descriptor {at} was written after frame {want} was in it")),
            }
        }
        Ok(all)
    }

    /// How many of the frames since the start the guest has seen.
    fn reaped(&self) -> Result<u64, String> {
        Ok(self.word(word::LANDED)?.saturating_sub(self.counted))
    }

    fn frame(&self, descriptor: usize) -> Result<Option<Frame>, String> {
        Ok(Frame::from_bytes(&self.memory.read::<{ Frame::LENGTH }>(self.buffers[descriptor])?))
    }

    fn word(&self, index: usize) -> Result<u64, String> {
        self.memory.u64(self.header + index as u64 * 8)
    }
}
