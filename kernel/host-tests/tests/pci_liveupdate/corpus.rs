// SPDX-License-Identifier: GPL-2.0-only

//! Random machines, and what was handed over of them, with damages.
//!
//! Most damages hit what has a meaning, and some are numbers that have one: most of a hand-over is memory that is not in
//! use, and most numbers are just invalid.

use host_tests::fuzz::Random;

use crate::image::{phys, slot, slot_of, Image, Slot, ENTRIES_PER_BLOCK};
use crate::topology::{Machine, Part, MAX_PARTS};

/// A machine after a live update.
pub(crate) struct Scene {
    /// As it is found.
    pub(crate) machine: Machine,
    /// What the kernel finds that was handed over.
    pub(crate) image: Image,
}

impl Scene {
    /// A random one: one in eight has no damage.
    pub(crate) fn new(random: &mut Random) -> Self {
        let parts: Vec<Part> = (0..random.below(MAX_PARTS))
            .map(|_| Part { is_bridge: random.one_in(2), bus: random.below(1000), gap: random.below(4) as u8 })
            .collect();
        let mut machine = Machine::new(&parts);
        let mut preserved = machine.endpoints();
        preserved.retain(|_| random.one_in(2));

        let mut slots: Vec<Slot> = machine.hand_over(&preserved).iter().map(slot_of).collect();
        let nr_devices = slots.len() as u32;
        for _ in 0..random.below(4) {
            let free = slot(random.word() as u32, random.word() as u16, 0);
            slots.insert(random.below(slots.len() + 1), free);
        }
        let most_per_block = if random.one_in(4) { ENTRIES_PER_BLOCK } else { 20 };
        let per_block = 1 + random.below(most_per_block);
        let blocks: Vec<Vec<Slot>> = slots.chunks(per_block).map(<[Slot]>::to_vec).collect();
        let mut image = Image::new(nr_devices, &blocks);

        if random.one_in(4) {
            let bridges: Vec<_> =
                machine.devices.iter().filter(|(_, found)| found.is_bridge).map(|(&at, _)| at).collect();
            if !bridges.is_empty() {
                machine.lose_buses(bridges[random.below(bridges.len())]);
            }
        }
        if !random.one_in(8) {
            for _ in 0..1 + random.below(3) {
                damage(random, &mut image, per_block);
            }
        }
        Self { machine, image }
    }
}

/// Damages an image in one way.
fn damage(random: &mut Random, image: &mut Image, per_block: usize) {
    let places: Vec<u64> = image.blocks.keys().copied().collect();
    if places.is_empty() || random.one_in(8) {
        return overwrite(random, &mut image.header);
    }
    let place = places[random.below(places.len())];
    if random.one_in(16) {
        image.blocks.remove(&place);
        return;
    }
    let other = *image.blocks[&places[random.below(places.len())]];
    let Some(block) = image.blocks.get_mut(&place) else { return };
    let used = if random.one_in(8) { block.len() } else { 16 + 8 * per_block };
    let (from, len) = range(random, used);

    match random.below(4) {
        // The end of a block was not written.
        0 => block[from..].fill(0),
        // Something belongs elsewhere.
        1 => {
            let to = if from % 8 == 0 { 8 * random.below((used - len) / 8 + 1) } else { random.below(used - len + 1) };
            block[to..to + len].copy_from_slice(&other[from..from + len]);
        }
        _ => overwrite(random, &mut block[..used]),
    }
}

/// Where something begins, and its length. Most of them are whole slots.
fn range(random: &mut Random, limit: usize) -> (usize, usize) {
    if random.one_in(4) {
        let from = random.below(limit);
        (from, 1 + random.below(limit - from))
    } else {
        (8 * random.below(limit / 8), 8)
    }
}

/// Overwrites a bit, a number or some bytes.
fn overwrite(random: &mut Random, bytes: &mut [u8]) {
    match random.below(4) {
        0 | 1 => bytes[random.below(bytes.len())] ^= 1 << random.below(8),
        2 => {
            let size = [2, 4, 8][random.below(3)];
            let at = size * random.below(bytes.len() / size);
            let numbers = [0, 1, 2, 510, 511, 1 << 31, u64::MAX, phys(random.below(4)), phys(0) + 8, random.word()];
            let number = numbers[random.below(numbers.len())];
            match size {
                2 => bytes[at..at + 2].copy_from_slice(&(number as u16).to_ne_bytes()),
                4 => bytes[at..at + 4].copy_from_slice(&(number as u32).to_ne_bytes()),
                _ => bytes[at..at + 8].copy_from_slice(&number.to_ne_bytes()),
            }
        }
        _ => {
            let (from, len) = range(random, bytes.len());
            bytes[from..from + len].fill_with(|| random.word() as u8);
        }
    }
}
