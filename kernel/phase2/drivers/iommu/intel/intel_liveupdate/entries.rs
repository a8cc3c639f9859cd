// SPDX-License-Identifier: GPL-2.0

//! How the tables of VT-d lead from a device to its page tables.
//!
//! Pure data, like the hand-over of the IOMMU core. Chapter 9 of the VT-d specification, revision
//! 4.1, has the layout of all entries.

/// Number of 64-bit words in a table.
pub(crate) const WORDS: usize = 512;

/// Says that an entry is in use.
pub(crate) const PRESENT: u64 = 1;

/// Where an entry says where the next table is.
pub(crate) const ADDRESS: u64 = !0xfff;

/// Says how large the directory of the PASIDs is, in a context entry of scalable mode: 2^(7 + n)
/// entries.
pub(crate) const CONTEXT_PDTS: u64 = 7 << 9;

/// What it says of a directory that is a page, and so has [`WORDS`] entries.
pub(crate) const CONTEXT_PDTS_PAGE: u64 = 2 << 9;

/// Number of words of an entry for a PASID.
pub(crate) const PASID_WORDS: usize = 8;

/// How a unit is set up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mode {
    /// Whether it is in scalable mode.
    pub(crate) scalable: bool,
}

/// Where the entry of a device is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// Index of the word of the root table that leads to the context table.
    pub(crate) root: usize,
    /// Index of the first word of the entry in the context table.
    pub(crate) context: usize,
}

impl Mode {
    /// Number of context tables that the entry of one bus in the root table can lead to.
    pub(crate) const fn tables_per_bus(self) -> usize {
        if self.scalable {
            2
        } else {
            1
        }
    }

    /// Number of words of a context entry.
    pub(crate) const fn context_words(self) -> usize {
        if self.scalable {
            4
        } else {
            2
        }
    }

    /// Where the entry of a device is.
    pub(crate) const fn place(self, bus: u8, devfn: u8) -> Place {
        let devfn = devfn as usize;
        let (table, index) = if self.scalable {
            (devfn >> 7, devfn & 0x7f)
        } else {
            (0, devfn)
        };

        Place {
            root: 2 * bus as usize + table,
            context: index * self.context_words(),
        }
    }

    /// The bus, device and function numbers of the entry at a place.
    pub(crate) const fn bdf(self, place: Place) -> u16 {
        let bus = place.root / 2;
        let devfn = place.context / self.context_words()
            + if self.scalable {
                (place.root & 1) << 7
            } else {
                0
            };

        (bus as u16) << 8 | devfn as u16
    }
}

/// What an entry translates by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Translation {
    /// Whether it is the first stage, with tables in the format of x86-64.
    pub(crate) first_stage: bool,
    /// Physical address of the uppermost table.
    pub(crate) top: u64,
    /// Level of the uppermost table, counted from zero for the lowest.
    pub(crate) top_level: u8,
    /// Domain id.
    pub(crate) did: u16,
}

/// Reads a context entry of legacy mode. `None` if it does not translate, or for a device that has
/// a TLB of its own.
pub(crate) fn context(entry: [u64; 2]) -> Option<Translation> {
    let [lo, hi] = entry;

    // Translation type: page tables, and no device TLB.
    if lo & PRESENT == 0 || lo >> 2 & 3 != 0 {
        return None;
    }
    Some(Translation {
        first_stage: false,
        top: lo & ADDRESS,
        // 1 stands for three levels, and so for 2 as the uppermost.
        top_level: (hi & 7) as u8 + 1,
        did: (hi >> 8) as u16,
    })
}

/// Reads the entry of a PASID. `None` if it does not translate, or in more than one stage.
pub(crate) fn pasid(entry: [u64; PASID_WORDS]) -> Option<Translation> {
    const FIRST_STAGE: u64 = 1;
    const SECOND_STAGE: u64 = 2;

    let [first, second, third, ..] = entry;
    let did = second as u16;

    if first & PRESENT == 0 {
        return None;
    }
    match first >> 6 & 7 {
        FIRST_STAGE => Some(Translation {
            first_stage: true,
            top: third & ADDRESS,
            // 0 stands for four levels.
            top_level: (third >> 2 & 3) as u8 + 3,
            did,
        }),
        SECOND_STAGE => Some(Translation {
            first_stage: false,
            top: first & ADDRESS,
            top_level: (first >> 2 & 7) as u8 + 1,
            did,
        }),
        _ => None,
    }
}
