// SPDX-License-Identifier: GPL-2.0-only

//! Page tables.

use std::collections::BTreeSet;

use super::entry::{ADDRESS, Translation};
use super::{Kind, Piece, WORDS, Words};

/// More tables than any guest here has: 128 MiB of them.
const MOST: usize = 1 << 15;
/// Says that an entry is a page and leads to no further table.
const PAGE_SIZE: u64 = 1 << 7;
/// The highest level at which there are such.
const LARGEST: u8 = 2;

/// A page table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Table {
    /// The lowest has level 0.
    pub(crate) level: u8,
    /// Physical address.
    pub(crate) address: u64,
    /// Its entries.
    pub(crate) entries: [u64; WORDS],
}

impl Table {
    /// Where it is.
    pub(crate) fn piece(&self) -> Piece {
        Piece { kind: Kind::PageTable(self.level), address: self.address, words: WORDS }
    }

    /// Which entries are in use.
    pub(crate) fn used(&self, translation: Translation) -> impl Iterator<Item = usize> {
        // The second stage has no bit for it: what can be neither read nor written is not there.
        let in_use = if translation.first_stage { 1 } else { 3 };
        self.entries.iter().enumerate().filter(move |(_, entry)| *entry & in_use != 0).map(|(index, _)| index)
    }
}

/// All tables, each before those that it leads to, these in the order of its entries.
pub(crate) fn walk(memory: &impl Words, translation: Translation) -> Result<Vec<Table>, String> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    let mut next = vec![(translation.top_level, translation.top)];
    while let Some((level, address)) = next.pop() {
        if !known.insert(address) {
            return Err(format!("two entries lead to the page table at {address:#x}"));
        }
        if found.len() == MOST {
            return Err(format!("it has more than {MOST} page tables"));
        }
        let entries = memory.table(address);
        let entries = entries.ok_or_else(|| {
            format!("a page table of level {level} would be at {address:#x}, where there is no memory")
        })?;
        let table = Table { level, address, entries };
        if let Some(below) = level.checked_sub(1) {
            let first = next.len();
            for index in table.used(translation) {
                let entry = table.entries[index];
                match (entry & PAGE_SIZE != 0, level) {
                    (true, 0..=LARGEST) => {}
                    (true, _) => {
                        return Err(format!(
                            "entry {index} of the page table of level {level} at {address:#x} is no page and no table"
                        ));
                    }
                    (false, _) => next.push((below, entry & ADDRESS)),
                }
            }
            // The last is taken first.
            next[first..].reverse();
        }
        found.push(table);
    }
    Ok(found)
}
