// SPDX-License-Identifier: GPL-2.0-only

//! The memory of a hand-over, as bytes.
//!
//! The offsets are those of the C headers `pci.h` and `block.h` in `include/linux/kho/abi/`. Besides what
//! [`handover::read`] makes of an image there is a second opinion, [`Image::walk`], that is as simple as possible and
//! neither has limits nor fails.

use std::collections::{BTreeMap, BTreeSet};

use crate::handover::{self, Address, BlockBytes, Entry, Fault, Header, HeaderBytes, Source};

/// Number of entries that a page has room for behind the header of 16 bytes.
pub(crate) const ENTRIES_PER_BLOCK: usize = 510;

/// The bytes of a `struct pci_dev_ser`.
pub(crate) type Slot = [u8; 8];

/// A slot with these fields.
pub(crate) fn slot(domain: u32, bdf: u16, refcount: u16) -> Slot {
    let mut slot = [0; 8];
    slot[0..4].copy_from_slice(&domain.to_ne_bytes());
    slot[4..6].copy_from_slice(&bdf.to_ne_bytes());
    slot[6..8].copy_from_slice(&refcount.to_ne_bytes());
    slot
}

/// A slot that is in use.
pub(crate) fn slot_of(entry: &Entry) -> Slot {
    let address = entry.address;
    slot(address.domain(), u16::from_be_bytes([address.bus(), address.devfn()]), entry.refcount)
}

/// Where the block with a number is put: somewhere else than the ones before, and not in order.
pub(crate) fn phys(number: usize) -> u64 {
    0x1_0000_0000 + (number as u64 * 7919 % 10_007) * 4096
}

/// The bytes at an offset.
fn at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}

/// The memory of a hand-over.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) header: HeaderBytes,
    pub(crate) blocks: BTreeMap<u64, Box<BlockBytes>>,
}

impl Image {
    /// One that claims a number of devices, with such slots in its blocks.
    pub(crate) fn new(nr_devices: u32, blocks: &[Vec<Slot>]) -> Self {
        let mut image = Self { header: [0; 16], blocks: BTreeMap::new() };
        image.header[0..4].copy_from_slice(&2u32.to_ne_bytes());
        image.header[4..8].copy_from_slice(&nr_devices.to_ne_bytes());
        if !blocks.is_empty() {
            image.header[8..16].copy_from_slice(&phys(0).to_ne_bytes());
        }
        for (number, slots) in blocks.iter().enumerate() {
            let mut block = Box::new([0; 4096]);
            block[16..16 + 8 * slots.len()].copy_from_slice(slots.as_flattened());
            image.blocks.insert(phys(number), block);
            image.set_count(number, slots.len() as u64);
            if number != 0 {
                image.set_link(number - 1, phys(number));
            }
        }
        image
    }

    /// One with these entries, a number of them in each block.
    pub(crate) fn of(entries: &[Entry], per_block: usize) -> Self {
        let slots: Vec<Slot> = entries.iter().map(slot_of).collect();
        let blocks: Vec<Vec<Slot>> = slots.chunks(per_block).map(<[Slot]>::to_vec).collect();
        Self::new(entries.len() as u32, &blocks)
    }

    /// Overwrites the address of the next block.
    pub(crate) fn set_link(&mut self, number: usize, phys: u64) {
        self.block(number)[0..8].copy_from_slice(&phys.to_ne_bytes());
    }

    /// Overwrites the number of entries of a block.
    pub(crate) fn set_count(&mut self, number: usize, count: u64) {
        self.block(number)[8..16].copy_from_slice(&count.to_ne_bytes());
    }

    fn block(&mut self, number: usize) -> &mut BlockBytes {
        self.blocks.get_mut(&phys(number)).expect("the image has such a block")
    }

    /// What the kernel reads.
    pub(crate) fn read(&self) -> Reading {
        self.read_into(usize::MAX)
    }

    /// What the kernel reads if it has memory for so many entries.
    pub(crate) fn read_into(&self, room: usize) -> Reading {
        let mut source = Memory { image: self, claimed: BTreeSet::new(), claims: 0 };
        let mut entries = Vec::new();
        let result = Header::decode(&self.header).and_then(|header| {
            handover::read(header, &mut source, |entry| {
                if entries.len() == room {
                    return Err(Fault::NoMemory);
                }
                entries.push(entry);
                Ok(())
            })
        });
        Reading { result: result.map(|()| entries), claims: source.claims, claimed: source.claimed.len() }
    }

    /// What there is to be read.
    pub(crate) fn walk(&self) -> Walk {
        let mut walk = Walk {
            seen: Vec::new(),
            counts: Vec::new(),
            next: u64::from_ne_bytes(at(&self.header, 8)),
            live: Vec::new(),
        };
        while !walk.seen.contains(&walk.next) {
            let Some(block) = self.blocks.get(&walk.next) else { break };
            let count = u64::from_ne_bytes(at(&block[..], 8));
            walk.seen.push(walk.next);
            walk.counts.push(count);
            walk.next = u64::from_ne_bytes(at(&block[..], 0));
            let slots = block[16..].chunks(8).take(usize::try_from(count).unwrap_or(usize::MAX));
            walk.live.extend(slots.filter(|slot| slot[6..8] != [0, 0]).map(|slot| Entry {
                address: Address::new(u32::from_ne_bytes(at(slot, 0)), u16::from_ne_bytes(at(slot, 4))),
                refcount: u16::from_ne_bytes(at(slot, 6)),
            }));
        }
        walk
    }

    fn version(&self) -> u32 {
        u32::from_ne_bytes(at(&self.header, 0))
    }

    fn nr_devices(&self) -> u32 {
        u32::from_ne_bytes(at(&self.header, 4))
    }

    /// Whether a fault is one that the image has.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        let walk = self.walk();
        match fault {
            Fault::Version(version) => version == self.version() && version != 2,
            Fault::LiveTranslation => self.version() >> 31 != 0,
            Fault::Block(number) => number == walk.seen.len() && walk.next != 0,
            Fault::BlockCount(number, count) => walk.counts.get(number) == Some(&count) && !is_count(count),
            Fault::TooManyBlocks => walk.seen.len() > 10_000,
            Fault::Domain(address) => address.domain() >> 31 != 0 && walk.lists(address) > 0,
            Fault::Duplicate(address) => walk.lists(address) > 1,
            Fault::Devices { claimed, found } => {
                claimed == self.nr_devices() && found == walk.live.len() && claimed as usize != found
            }
            Fault::NoMemory => false,
        }
    }

    /// Whether the image is one without any fault, and has these entries, in this order.
    pub(crate) fn is_sound_with(&self, entries: &[Entry]) -> bool {
        let walk = self.walk();
        self.version() == 2
            && walk.next == 0
            && walk.counts.iter().all(|&count| is_count(count))
            && walk.live.iter().all(|entry| entry.address.domain() >> 31 == 0)
            && walk.live == entries
            && self.nr_devices() as usize == entries.len()
    }
}

/// Whether a block can have so many entries.
fn is_count(count: u64) -> bool {
    (1..=ENTRIES_PER_BLOCK as u64).contains(&count)
}

/// What the kernel reads.
pub(crate) struct Reading {
    pub(crate) result: Result<Vec<Entry>, Fault>,
    /// How often it claimed a block.
    pub(crate) claims: usize,
    /// How many blocks it got.
    pub(crate) claimed: usize,
}

/// What there is to be read, up to the first link that leads nowhere.
pub(crate) struct Walk {
    /// Addresses of the blocks.
    seen: Vec<u64>,
    /// Number of entries that each block claims.
    counts: Vec<u64>,
    /// Where the last one leads: nowhere, to what is no block, or back.
    next: u64,
    /// Entries in use.
    live: Vec<Entry>,
}

impl Walk {
    /// How often an address is listed.
    fn lists(&self, address: Address) -> usize {
        self.live.iter().filter(|entry| entry.address == address).count()
    }
}

/// Hands out each block once, as KHO does.
struct Memory<'a> {
    image: &'a Image,
    claimed: BTreeSet<u64>,
    claims: usize,
}

/// A block that was handed out.
pub(crate) struct Block<'a>(&'a BlockBytes);

impl AsRef<BlockBytes> for Block<'_> {
    fn as_ref(&self) -> &BlockBytes {
        self.0
    }
}

impl<'a> Source for Memory<'a> {
    type Block = Block<'a>;

    fn claim(&mut self, phys: u64) -> Option<Block<'a>> {
        self.claims += 1;
        // Only the start of a page is the address of a block here, as it is for `Restored::claim`.
        let block = self.image.blocks.get(&phys)?;
        self.claimed.insert(phys).then_some(Block(block))
    }
}
