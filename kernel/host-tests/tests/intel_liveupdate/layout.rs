// SPDX-License-Identifier: GPL-2.0-only

//! Entries by the numbers of their bits.

use std::ops::RangeInclusive;

use crate::entries::Translation;

/// A field: its lowest and its highest bit.
pub(crate) type Bits = RangeInclusive<usize>;

/// In both kinds of entries.
pub(crate) const PRESENT: Bits = 0..=0;
pub(crate) const FAULTS_DISABLED: Bits = 1..=1;
pub(crate) const SECOND_STAGE_TABLE: Bits = 12..=63;

/// In a context entry of legacy mode, 9.3.
pub(crate) const CONTEXT_TYPE: Bits = 2..=3;
pub(crate) const CONTEXT_WIDTH: Bits = 64..=66;
pub(crate) const CONTEXT_AVAILABLE: Bits = 67..=70;
pub(crate) const CONTEXT_DOMAIN: Bits = 72..=87;

/// In the entry of a PASID, 9.6.
pub(crate) const PASID_WIDTH: Bits = 2..=4;
pub(crate) const PASID_TYPE: Bits = 6..=8;
pub(crate) const PASID_ACCESSED_DIRTY: Bits = 9..=9;
pub(crate) const PASID_DOMAIN: Bits = 64..=79;
pub(crate) const PASID_WALK_SNOOP: Bits = 87..=87;
pub(crate) const PASID_PAGE_SNOOP: Bits = 88..=88;
pub(crate) const PASID_SUPERVISOR: Bits = 128..=128;
pub(crate) const PASID_LEVELS: Bits = 130..=131;
pub(crate) const PASID_WRITE_PROTECT: Bits = 132..=132;
pub(crate) const FIRST_STAGE_TABLE: Bits = 140..=191;

/// The number in a field.
pub(crate) fn get(entry: &[u64], bits: Bits) -> u64 {
    bits.rev().fold(0, |number, bit| number << 1 | entry[bit / 64] >> (bit % 64) & 1)
}

/// Sets a field to a number that fits.
pub(crate) fn set(entry: &mut [u64], bits: Bits, number: u64) {
    let mut rest = number;
    for bit in bits {
        entry[bit / 64] = entry[bit / 64] & !(1 << (bit % 64)) | (rest & 1) << (bit % 64);
        rest >>= 1;
    }
    assert_eq!(rest, 0, "{number:#x} does not fit");
}

/// An entry with these fields.
pub(crate) fn entry<const N: usize>(fields: &[(Bits, u64)]) -> [u64; N] {
    let mut entry = [0; N];
    for (bits, number) in fields {
        set(&mut entry, bits.clone(), *number);
    }
    entry
}

/// What a context entry of legacy mode translates by.
pub(crate) fn context(entry: &[u64; 2]) -> Option<Translation> {
    let is_second_stage = get(entry, PRESENT) == 1 && get(entry, CONTEXT_TYPE) == 0;
    is_second_stage.then(|| Translation {
        first_stage: false,
        top: get(entry, SECOND_STAGE_TABLE) * 4096,
        // 1 are three levels, that is levels 0 to 2.
        top_level: get(entry, CONTEXT_WIDTH) as u8 + 1,
        did: get(entry, CONTEXT_DOMAIN) as u16,
    })
}

/// What the entry of a PASID translates by.
pub(crate) fn pasid(entry: &[u64; 8]) -> Option<Translation> {
    let did = get(entry, PASID_DOMAIN) as u16;
    match (get(entry, PRESENT), get(entry, PASID_TYPE)) {
        (1, 1) => Some(Translation {
            first_stage: true,
            top: get(entry, FIRST_STAGE_TABLE) * 4096,
            // 0 are four levels, that is levels 0 to 3.
            top_level: get(entry, PASID_LEVELS) as u8 + 3,
            did,
        }),
        (1, 2) => Some(Translation {
            first_stage: false,
            top: get(entry, SECOND_STAGE_TABLE) * 4096,
            top_level: get(entry, PASID_WIDTH) as u8 + 1,
            did,
        }),
        _ => None,
    }
}
