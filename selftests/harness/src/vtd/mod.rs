// SPDX-License-Identifier: GPL-2.0-only

//! The tables of an Intel IOMMU, followed as the hardware does: from the root table to the entry of a device ([`entry`]) and from there
//! through its page tables ([`walk`]). Chapter 9 of the VT-d specification, revision 4.1, has their layout.
//!
//! Nothing here knows where memory comes from, and nothing that is read is trusted: whatever the bytes are, there is an answer or an error.

mod entry;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;

pub(crate) use entry::{PAGE_REQUESTS, Translation, Unit};
#[cfg(test)]
pub(crate) use tests::Ram;
pub(crate) use walk::{Table, walk};

/// Number of words in a table.
pub(crate) const WORDS: usize = 512;
/// Bytes of a table.
pub(crate) const PAGE: u64 = 4096;

/// Memory by physical address.
pub(crate) trait Words {
    /// The table at an address, which is a multiple of its size; `None` if there is no memory.
    fn table(&self, address: u64) -> Option<[u64; WORDS]>;

    /// The word at an address.
    fn word(&self, address: u64) -> Option<u64> {
        // The index is below the number of words.
        self.table(address & !(PAGE - 1)).map(|table| table[(address % PAGE / 8) as usize])
    }
}

/// What the hardware reads on its way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Of a bus, in the root table.
    Root,
    /// Of a device, in a context table.
    Context,
    /// Of some PASIDs of a device.
    PasidDirectory,
    /// Of one PASID.
    Pasid,
    /// A page table; the lowest has level 0.
    PageTable(u8),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root entry"),
            Self::Context => f.write_str("context entry"),
            Self::PasidDirectory => f.write_str("PASID directory entry"),
            Self::Pasid => f.write_str("PASID entry"),
            Self::PageTable(level) => write!(f, "page table of level {level}"),
        }
    }
}

/// Words that belong together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Piece {
    /// What they are.
    pub(crate) kind: Kind,
    /// Physical address of the first.
    pub(crate) address: u64,
    /// How many there are.
    pub(crate) words: usize,
}
