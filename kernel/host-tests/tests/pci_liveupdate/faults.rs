// SPDX-License-Identifier: GPL-2.0-only

//! Hand-overs that are damaged, each in one way.

use proptest::{prelude::*, sample::Index};

use crate::handover::{self, Address, BlockBytes, Entry, Fault, Header, Source};
use crate::image::{phys, slot, Image, ENTRIES_PER_BLOCK};
use crate::tracked::{self, Tracked};

/// Different endpoints.
fn endpoints(count: usize) -> Vec<Entry> {
    (0..count).map(|n| Entry { address: Address::new(n as u32 >> 16, n as u16), refcount: 1 }).collect()
}

/// A number of blocks with some endpoints in each.
fn image(blocks: usize, per_block: usize) -> Image {
    Image::of(&endpoints(blocks * per_block), per_block)
}

proptest! {
    #[test]
    fn another_version(version in any::<u32>().prop_filter("the version is known", |version| *version != 2)) {
        let mut image = image(2, 3);
        image.header[0..4].copy_from_slice(&version.to_ne_bytes());
        let reading = image.read();
        prop_assert!(reading.result.is_err_and(|fault| image.has(fault)));
        prop_assert_eq!(reading.claims, 0);
    }

    /// Whatever the version is besides, and even if it is known.
    #[test]
    fn live_translation(version in prop_oneof![Just(2), any::<u32>()]) {
        let mut image = image(2, 3);
        image.header[0..4].copy_from_slice(&(version | 1 << 31).to_ne_bytes());
        prop_assert_eq!(image.read().result, Err(Fault::LiveTranslation));
    }

    #[test]
    fn a_chain_that_ends_early(blocks in 1usize..6, at: Index) {
        let mut image = image(blocks + 1, 3);
        let last = at.index(blocks);
        image.set_link(last, 0);
        let fault = Fault::Devices { claimed: 3 * (blocks as u32 + 1), found: 3 * (last + 1) };
        prop_assert_eq!(image.read().result, Err(fault));
    }

    #[test]
    fn a_number_of_devices_that_is_wrong(claimed in any::<u32>().prop_filter("it is right", |claimed| *claimed != 6)) {
        let mut image = image(2, 3);
        image.header[4..8].copy_from_slice(&claimed.to_ne_bytes());
        prop_assert_eq!(image.read().result, Err(Fault::Devices { claimed, found: 6 }));
    }

    #[test]
    fn a_count_that_is_impossible(
        count in prop_oneof![
            Just(0),
            Just(ENTRIES_PER_BLOCK as u64 + 1),
            // What is possible if the upper bits are lost.
            (1u64..=510, 9u32..64).prop_map(|(count, bit)| count | 1 << bit).prop_filter("possible", |&count| count > 510),
            511..=u64::MAX,
        ],
        at in 0usize..3,
    ) {
        let mut image = image(3, 3);
        image.set_count(at, count);
        let reading = image.read();
        prop_assert_eq!(reading.result, Err(Fault::BlockCount(at, count)));
        prop_assert_eq!(reading.claims, at + 1);
    }

    #[test]
    fn a_ring(blocks in 1usize..6, to: Index) {
        let mut image = image(blocks, 3);
        image.set_link(blocks - 1, phys(to.index(blocks)));
        let reading = image.read();
        prop_assert_eq!(reading.result, Err(Fault::Block(blocks)));
        prop_assert_eq!((reading.claims, reading.claimed), (blocks + 1, blocks));
    }

    /// One that was never preserved, or not the start of a page.
    #[test]
    fn a_block_that_does_not_exist(
        link in prop_oneof![1..=u64::MAX, (1u64..4096).prop_map(|offset| phys(2) + offset), Just(phys(3))],
        from in 0usize..3,
    ) {
        let mut image = image(3, 3);
        match from.checked_sub(1) {
            Some(block) => image.set_link(block, link),
            None => image.header[8..16].copy_from_slice(&link.to_ne_bytes()),
        }
        prop_assume!(!image.blocks.contains_key(&link));
        prop_assert_eq!(image.read().result, Err(Fault::Block(from)));
    }

    #[test]
    fn a_domain_that_is_negative(domain in i32::MAX as u32 + 1.., bdf: u16, refcount in 1..=u16::MAX, at in 0usize..3) {
        let mut slots = vec![slot(0, 0x0100, 1); 3];
        slots[at] = slot(domain, bdf, refcount);
        let fault = Fault::Domain(Address::new(domain, bdf));
        prop_assert_eq!(Image::new(3, &[slots]).read().result, Err(fault));
    }

    /// In the same block or in another one, with the same refcount or not.
    #[test]
    fn a_device_that_is_listed_twice(
        count in 1usize..2000,
        what: Index,
        at: Index,
        refcount in 1..=u16::MAX,
    ) {
        let mut entries = endpoints(count);
        let twice = entries[what.index(count)].address;
        entries.insert(at.index(count + 1), Entry { address: twice, refcount });

        let read = Image::of(&entries, ENTRIES_PER_BLOCK).read().result.expect("the blocks are well-formed");
        let mut devices: Vec<Tracked> = read.into_iter().map(Tracked::new).collect();
        prop_assert_eq!(tracked::sort(&mut devices), Err(Fault::Duplicate(twice)));
    }

    /// The entry for which there is no memory is not just left out.
    #[test]
    fn no_memory(blocks in 1usize..4, room: Index) {
        let room = room.index(3 * blocks);
        prop_assert_eq!(image(blocks, 3).read_into(room).result, Err(Fault::NoMemory));
        prop_assert!(image(blocks, 3).read_into(3 * blocks).result.is_ok());
    }
}

/// A list with a number of blocks, each with an entry.
struct Long {
    blocks: u64,
    claims: u64,
}

struct LongBlock(BlockBytes);

impl AsRef<BlockBytes> for LongBlock {
    fn as_ref(&self) -> &BlockBytes {
        &self.0
    }
}

impl Source for Long {
    type Block = LongBlock;

    fn claim(&mut self, phys: u64) -> Option<LongBlock> {
        self.claims += 1;
        assert_eq!(phys, 4096 * self.claims);

        let mut block = [0; 4096];
        if self.claims != self.blocks {
            block[0..8].copy_from_slice(&(phys + 4096).to_ne_bytes());
        }
        block[8..16].copy_from_slice(&1u64.to_ne_bytes());
        block[16..24].copy_from_slice(&slot(0, 0x0100, 1));
        Some(LongBlock(block))
    }
}

/// Reads a list with a number of blocks; how many are claimed, and what is said of it.
fn read_long(blocks: u64) -> (u64, Result<(), Fault>) {
    let mut source = Long { blocks, claims: 0 };
    let header = Header { nr_devices: blocks as u32, devices: 4096 };
    let result = handover::read(header, &mut source, |_| Ok(()));
    (source.claims, result)
}

#[test]
fn more_blocks_than_a_kernel_writes() {
    assert_eq!(read_long(10_000), (10_000, Ok(())));
    assert_eq!(read_long(10_001), (10_000, Err(Fault::TooManyBlocks)));
    assert_eq!(read_long(u64::MAX), (10_000, Err(Fault::TooManyBlocks)));
}
