// SPDX-License-Identifier: GPL-2.0-only

//! What entries say.

use proptest::prelude::*;

use crate::entries::{self, Translation, PASID_WORDS};
use crate::layout::{entry, set, Bits};
use crate::layout::{CONTEXT_AVAILABLE, CONTEXT_DOMAIN, CONTEXT_TYPE, CONTEXT_WIDTH};
use crate::layout::{FAULTS_DISABLED, FIRST_STAGE_TABLE, PRESENT, SECOND_STAGE_TABLE};
use crate::layout::{PASID_ACCESSED_DIRTY, PASID_DOMAIN, PASID_LEVELS, PASID_PAGE_SNOOP, PASID_SUPERVISOR};
use crate::layout::{PASID_TYPE, PASID_WALK_SNOOP, PASID_WIDTH, PASID_WRITE_PROTECT};

/// A page that an address of 52 bits leads to.
const PAGE: u64 = 0xa_bcde_f012_3456;

/// A context entry as the kernel sets it up for a domain.
fn context() -> [u64; 2] {
    entry(&[(PRESENT, 1), (SECOND_STAGE_TABLE, PAGE & 0xff_ffff_ffff), (CONTEXT_WIDTH, 2), (CONTEXT_DOMAIN, 0xabcd)])
}

/// The entry of a PASID as `intel_pasid_setup_second_level()` sets it up.
fn second_stage() -> [u64; PASID_WORDS] {
    entry(&[
        (PRESENT, 1),
        (PASID_TYPE, 2),
        (PASID_WIDTH, 2),
        (SECOND_STAGE_TABLE, 0x12_3456),
        (PASID_DOMAIN, 0xabcd),
        (PASID_WALK_SNOOP, 1),
        (PASID_ACCESSED_DIRTY, 1),
    ])
}

/// The entry of a PASID as `intel_pasid_setup_first_level()` sets it up.
fn first_stage() -> [u64; PASID_WORDS] {
    entry(&[
        (PRESENT, 1),
        (PASID_TYPE, 1),
        (FIRST_STAGE_TABLE, 0x12_3456),
        (PASID_LEVELS, 1),
        (PASID_DOMAIN, 0xabcd),
        (PASID_WALK_SNOOP, 1),
        (PASID_PAGE_SNOOP, 1),
        (PASID_SUPERVISOR, 1),
        (PASID_WRITE_PROTECT, 1),
    ])
}

#[test]
fn hand_made_entries_are_what_the_specification_says() {
    assert_eq!(context(), [0x000d_ef01_2345_6001, 0x00ab_cd02]);
    assert_eq!(second_stage(), [0x0001_2345_6289, 0x0080_abcd, 0, 0, 0, 0, 0, 0]);
    assert_eq!(first_stage(), [0x41, 0x0180_abcd, 0x0001_2345_6015, 0, 0, 0, 0, 0]);
}

#[test]
fn entries_of_the_kernel_are_understood() {
    let translation = Translation { first_stage: false, top: 0x1_2345_6000, top_level: 3, did: 0xabcd };
    let top = (PAGE & 0xff_ffff_ffff) << 12;
    assert_eq!(entries::context(context()), Some(Translation { top, ..translation }));
    assert_eq!(entries::pasid(second_stage()), Some(translation));
    let translation = Translation { first_stage: true, top_level: 4, ..translation };
    assert_eq!(entries::pasid(first_stage()), Some(translation));
}

#[test]
fn an_entry_that_is_not_in_use_translates_nothing() {
    let (mut context, mut first, mut second) = (context(), first_stage(), second_stage());
    set(&mut context, PRESENT, 0);
    assert_eq!(entries::context(context), None);
    for entry in [&mut first, &mut second] {
        set(entry, PRESENT, 0);
        assert_eq!(entries::pasid(*entry), None);
    }
    assert_eq!(entries::context([0; 2]), None);
    assert_eq!(entries::pasid([0; PASID_WORDS]), None);
}

/// With a TLB of the device, passed through, and what is reserved.
#[test]
fn other_contexts_translate_nothing() {
    for number in 1..4 {
        let mut entry = context();
        set(&mut entry, CONTEXT_TYPE, number);
        assert_eq!(entries::context(entry), None, "type {number}");
    }
}

/// In two stages, passed through, and what is reserved.
#[test]
fn other_pasids_translate_nothing() {
    for number in [0, 3, 4, 5, 6, 7] {
        for mut entry in [first_stage(), second_stage()] {
            set(&mut entry, PASID_TYPE, number);
            assert_eq!(entries::pasid(entry), None, "type {number}");
        }
    }
}

/// Three, four and five levels in the second stage; four and five in the first.
#[test]
fn levels_are_counted_from_the_lowest_table() {
    for (width, level) in [(1, 2), (2, 3), (3, 4)] {
        let mut entry = context();
        set(&mut entry, CONTEXT_WIDTH, width);
        assert_eq!(entries::context(entry).map(|translation| translation.top_level), Some(level));
        let mut entry = second_stage();
        set(&mut entry, PASID_WIDTH, width);
        assert_eq!(entries::pasid(entry).map(|translation| translation.top_level), Some(level));
    }
    for (levels, level) in [(0, 3), (1, 4)] {
        let mut entry = first_stage();
        set(&mut entry, PASID_LEVELS, levels);
        assert_eq!(entries::pasid(entry).map(|translation| translation.top_level), Some(level));
    }
}

/// What is reserved is no number of levels that there are page tables of, so that no domain has it.
#[test]
fn other_levels_are_those_of_no_domain() {
    for width in [0, 4, 5, 6, 7] {
        let mut entry = context();
        set(&mut entry, CONTEXT_WIDTH, width);
        assert!(entries::context(entry).is_none_or(|translation| !(2..=4).contains(&translation.top_level)));
        let mut entry = second_stage();
        set(&mut entry, PASID_WIDTH, width);
        assert!(entries::pasid(entry).is_none_or(|translation| !(2..=4).contains(&translation.top_level)));
    }
    for levels in [2, 3] {
        let mut entry = first_stage();
        set(&mut entry, PASID_LEVELS, levels);
        assert!(entries::pasid(entry).is_none_or(|translation| !(3..=4).contains(&translation.top_level)));
    }
}

proptest! {
    #[test]
    fn a_context_is_read_field_by_field(
        page in 0..1u64 << 52,
        width in 0..8u64,
        did: u16,
        faults in 0..2u64,
        available in 0..16u64,
    ) {
        let entry = entry(&[
            (PRESENT, 1),
            (FAULTS_DISABLED, faults),
            (SECOND_STAGE_TABLE, page),
            (CONTEXT_WIDTH, width),
            (CONTEXT_AVAILABLE, available),
            (CONTEXT_DOMAIN, did.into()),
        ]);
        let wanted = Translation { first_stage: false, top: page << 12, top_level: width as u8 + 1, did };
        prop_assert_eq!(entries::context(entry), Some(wanted));
    }

    /// Whatever else the entry has: the stage that is not in use, and how pages are cached.
    #[test]
    fn a_pasid_is_read_field_by_field(
        mut entry: [u64; PASID_WORDS],
        page in 0..1u64 << 52,
        did: u16,
        width in 0..8u64,
        levels in 0..4u64,
    ) {
        let mut set = |bits: Bits, number| set(&mut entry, bits, number);
        set(PRESENT, 1);
        set(PASID_DOMAIN, did.into());

        set(PASID_TYPE, 1);
        set(PASID_LEVELS, levels);
        set(FIRST_STAGE_TABLE, page);
        let first = entries::pasid(entry);

        let mut set = |bits: Bits, number| crate::layout::set(&mut entry, bits, number);
        set(PASID_TYPE, 2);
        set(PASID_WIDTH, width);
        set(SECOND_STAGE_TABLE, page);
        let second = entries::pasid(entry);

        let wanted = Translation { first_stage: true, top: page << 12, top_level: levels as u8 + 3, did };
        prop_assert_eq!(first, Some(wanted));
        let wanted = Translation { first_stage: false, top: page << 12, top_level: width as u8 + 1, did };
        prop_assert_eq!(second, Some(wanted));
    }
}
