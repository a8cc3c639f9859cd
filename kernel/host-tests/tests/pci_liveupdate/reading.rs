// SPDX-License-Identifier: GPL-2.0-only

//! Lists of blocks that are well-formed.

use proptest::{collection::vec, prelude::*};

use crate::handover::{Address, Entry};
use crate::image::{slot, slot_of, Image, Slot, ENTRIES_PER_BLOCK};

/// Entries that a kernel could write. Whether an address is listed twice is not for the reader to say.
fn entry() -> impl Strategy<Value = Entry> {
    (0..=i32::MAX as u32, any::<u16>(), 1..=u16::MAX)
        .prop_map(|(domain, bdf, refcount)| Entry { address: Address::new(domain, bdf), refcount })
}

/// Slots that are in use or free. A free one has no meaning, even if it looks like an impossible address.
fn slots() -> impl Strategy<Value = Vec<Slot>> {
    let free = prop_oneof![Just([0; 8]), (any::<u32>(), any::<u16>()).prop_map(|(domain, bdf)| slot(domain, bdf, 0))];
    let any_slot = prop_oneof![entry().prop_map(|entry| slot_of(&entry)), free];

    prop_oneof![9 => vec(any_slot.clone(), 1..8), 1 => vec(any_slot, ENTRIES_PER_BLOCK)]
}

/// The entries in use, by the bytes.
fn live(blocks: &[Vec<Slot>]) -> Vec<Slot> {
    blocks.iter().flatten().copied().filter(|slot| slot[6..8] != [0, 0]).collect()
}

proptest! {
    #[test]
    fn exactly_the_live_entries_are_read(blocks in vec(slots(), 0..6)) {
        let live = live(&blocks);
        let reading = Image::new(live.len() as u32, &blocks).read();
        let read: Vec<Slot> = reading.result.expect("it is well-formed").iter().map(slot_of).collect();

        prop_assert_eq!(read, live);
        prop_assert_eq!((reading.claims, reading.claimed), (blocks.len(), blocks.len()));
    }

    /// What is behind the entries of a block has no meaning.
    #[test]
    fn the_rest_of_a_block_is_not_read(slots in vec(entry(), 2..ENTRIES_PER_BLOCK), cut in any::<prop::sample::Index>()) {
        let count = 1 + cut.index(slots.len() - 1);
        let mut image = Image::of(&slots, ENTRIES_PER_BLOCK);
        image.set_count(0, count as u64);
        image.header[4..8].copy_from_slice(&(count as u32).to_ne_bytes());

        prop_assert_eq!(image.read().result, Ok(slots[..count].to_vec()));
    }
}

#[test]
fn no_block_is_no_device() {
    let reading = Image::new(0, &[]).read();
    assert_eq!((reading.result, reading.claims), (Ok(Vec::new()), 0));
}

/// A kernel that took all devices out again keeps the memory.
#[test]
fn blocks_may_be_free_altogether() {
    let reading = Image::new(0, &[vec![[0; 8]; ENTRIES_PER_BLOCK], vec![[0; 8]]]).read();
    assert_eq!((reading.result, reading.claimed), (Ok(Vec::new()), 2));
}

#[test]
fn the_last_slot_of_a_full_block_is_read() {
    let mut slots = vec![[0; 8]; ENTRIES_PER_BLOCK];
    slots[ENTRIES_PER_BLOCK - 1] = slot(0, 0x0100, 1);
    let entry = Entry { address: Address::new(0, 0x0100), refcount: 1 };
    assert_eq!(Image::new(1, &[slots]).read().result, Ok(vec![entry]));
}
