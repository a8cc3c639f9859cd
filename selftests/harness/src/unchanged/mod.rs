// SPDX-License-Identifier: GPL-2.0-only

//! Memory that must stay as it is, byte by byte.
//!
//! The host records what the scenario names:
//!
//! - the `tables` of a device: all that the IOMMU [reads](crate::vtd) for it. That is the register of the root table, the root entry, the
//!   context entry, in scalable mode the entries of its PASID directory and its PASID, and every page table. In the context entry the bit
//!   that enables page requests is left out: nobody could answer them. What belongs to other devices is not recorded, so it may be cleared.
//!   They are recorded at a step, once they are preserved, and before the guest asks for the jump: a kernel that shuts down may not touch them.
//! - the `rings` of a device: all memory that `igb-receive` gave to it. Unlike the tables it is not read by the device alone, so nobody may
//!   give descriptors back (`refill: false`). They are recorded between two kernels, when the device has been stopped.
//!
//! Whenever the guest asks for it, and before the last stage ends, it is compared; a step `compare` is put there, see [`compared`]. The first thing
//! that was not as before is remembered. Tables that cannot be followed at all when they are to be recorded are as bad.

#[cfg(test)]
mod tests;

use std::fmt;

use plan::{HostAction, Stage, Step};

use crate::vtd::{self, Kind, PAGE, PAGE_REQUESTS, Unit, WORDS, Words};

/// What became of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// How many bytes were recorded at most for one jump.
    pub bytes: u64,
    /// How often they were compared.
    pub comparisons: usize,
    /// The first thing that was wrong.
    pub changed: Option<Changed>,
}

/// What is not as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    /// When that was seen, in nanoseconds since QEMU was started.
    pub at: u64,
    /// What it is.
    pub what: String,
}

/// Memory as it was.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Recorded {
    /// The register of the root table.
    register: Option<u64>,
    pieces: Vec<Piece>,
}

/// Some words of it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Piece {
    device: String,
    part: Part,
    /// Physical address of the first.
    address: u64,
    words: Vec<u64>,
    /// Bits of the first word that may change.
    spared: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Table(Kind),
    Ring,
}

impl Recorded {
    /// Adds all that leads from the register of the root table to a page of a device, which is at an address by bus, device and function.
    pub(crate) fn add_tables(
        &mut self,
        memory: &impl Words,
        register: u64,
        device: &str,
        address: u16,
    ) -> Result<(), String> {
        let lost = |why| format!("the tables of {device} cannot be followed: {why}");
        self.register = Some(register);
        let unit = Unit::new(register).map_err(lost)?;
        let (path, translation) = unit.path(memory, address);
        let translation = translation.map_err(lost)?;
        let tables = vtd::walk(memory, translation).map_err(lost)?;
        for piece in path.pieces.into_iter().chain(tables.iter().map(vtd::Table::piece)) {
            let spared = if piece.kind == Kind::Context && unit.scalable { PAGE_REQUESTS } else { 0 };
            self.add(memory, device, Part::Table(piece.kind), (piece.address, piece.words), spared).map_err(lost)?;
        }
        Ok(())
    }

    /// Adds the pages of a ring.
    pub(crate) fn add_ring(
        &mut self,
        memory: &impl Words,
        device: &str,
        pages: impl IntoIterator<Item = u64>,
    ) -> Result<(), String> {
        pages.into_iter().try_for_each(|page| self.add(memory, device, Part::Ring, (page, WORDS), 0))
    }

    fn add(
        &mut self,
        memory: &impl Words,
        device: &str,
        part: Part,
        (address, count): (u64, usize),
        spared: u64,
    ) -> Result<(), String> {
        let words = words(memory, address, count)?;
        self.pieces.push(Piece { device: device.to_owned(), part, address, words, spared });
        Ok(())
    }

    /// How many bytes it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.words.len() as u64 * 8).sum()
    }

    /// Whether the register of the root table is of interest.
    pub(crate) fn has_tables(&self) -> bool {
        self.register.is_some()
    }

    /// What is not as it was, the most important first: whatever is wrong with a table, those below it do not matter any more.
    pub(crate) fn change(&self, memory: &impl Words, register: Option<u64>) -> Option<String> {
        if self.pieces.is_empty() {
            return Some("it was to be compared, and nothing was recorded before".to_owned());
        }
        if let (Some(old), Some(new)) = (self.register, register)
            && old != new
        {
            return Some(format!("the register of the root table was {old:#x} and is {new:#x}"));
        }
        let mut changed = self.pieces.iter().filter_map(|piece| piece.change(memory));
        let first = changed.next()?;
        Some(match changed.count() {
            0 => first,
            more => format!("{first}; so did {more} more"),
        })
    }
}

impl Piece {
    fn change(&self, memory: &impl Words) -> Option<String> {
        let Self { device, part, address, words: old, spared } = self;
        let new = match words(memory, *address, old.len()) {
            Ok(new) => new,
            Err(why) => return Some(format!("{part} of {device} changed: {why}")),
        };
        let spares = |index| if index == 0 { *spared } else { 0 };
        let differs = |index: &usize| (old[*index] ^ new[*index]) & !spares(*index) != 0;
        let first = (0..old.len()).find(differs)?;
        let (before, after) = (old[first], new[first]);
        let entry = match part {
            Part::Table(Kind::PageTable(_)) => format!("entry {first} of the {part}"),
            _ => format!("word {first} of the {part}"),
        };
        Some(format!("{entry} of {device} at {address:#x} changed from {before:#x} to {after:#x}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(kind) => kind.fmt(f),
            Self::Ring => f.write_str("ring page"),
        }
    }
}

fn words(memory: &impl Words, address: u64, count: usize) -> Result<Vec<u64>, String> {
    if address.is_multiple_of(PAGE) && count == WORDS {
        return memory.table(address).map(Vec::from).ok_or_else(|| none_at(address));
    }
    let word = |at| memory.word(at).ok_or_else(|| none_at(at));
    (address..).step_by(8).take(count).map(word).collect()
}

fn none_at(address: u64) -> String {
    format!("there is no memory at {address:#x}")
}

/// What a kernel that has gone left of the entry of a device that it was to clear, if anything: a root entry, or an entry in its table.
pub(crate) fn left(memory: &impl Words, register: u64, device: &str, address: u16) -> Option<String> {
    let lost = |why| Some(format!("what leads to {device} cannot be followed: {why}"));
    let (path, translation) = match Unit::new(register) {
        Ok(unit) => unit.path(memory, address),
        Err(why) => return lost(why),
    };
    if translation.is_ok() {
        return Some(format!("the tables of {device} are still in use"));
    }
    let last = path.pieces.last()?;
    if !matches!(last.kind, Kind::Root | Kind::Context) {
        return Some(format!("the context entry of {device} is still in use"));
    }
    match words(memory, last.address, last.words) {
        Ok(left) if left.iter().all(|word| *word == 0) => None,
        Ok(left) => Some(format!("the {} of {device} at {:#x} is not zero: {left:x?}", last.kind, last.address)),
        Err(why) => lost(why),
    }
}

/// Has the host compare before the last stage ends, if anything is recorded.
pub(crate) fn compared(stages: &mut [Stage]) -> bool {
    let recorded = stages.iter().any(records);
    if let Some(last) = stages.last_mut().filter(|_| recorded) {
        last.steps.push(Step::Host { action: HostAction::Compare });
    }
    recorded
}

/// Whether anything is recorded in a stage, or after it.
pub(crate) fn records(stage: &Stage) -> bool {
    let recorded = |action: &HostAction| matches!(action, HostAction::Record { .. });
    let steps = stage.steps.iter().flat_map(Step::all);
    steps.filter_map(|step| if let Step::Host { action } = step { Some(action) } else { None }).any(recorded)
        || stage.between.iter().any(recorded)
}
