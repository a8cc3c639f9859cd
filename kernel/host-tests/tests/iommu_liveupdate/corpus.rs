// SPDX-License-Identifier: GPL-2.0-only

//! Random hand-overs, with damages.
//!
//! Most damages hit what has a meaning, and some are numbers that have one: most of a hand-over is memory that is not
//! in use, and most numbers are just invalid.

use host_tests::fuzz::Random;

use crate::contents::{Contents, Part};
use crate::handover::{Page, Table, Unit};
use crate::image::{phys, u32_at, Image, DEVICES, UNITS};

/// A random hand-over: one in eight has no damage.
pub(crate) fn image(random: &mut Random) -> Image {
    let contents = contents(random);
    let mut image =
        if random.one_in(2) { Image::new(&contents) } else { Image::written(&contents, random.word() as u8) };
    if !random.one_in(8) {
        for _ in 0..1 + random.below(3) {
            damage(random, &mut image);
        }
    }
    image
}

/// What a kernel could hand over.
fn contents(random: &mut Random) -> Contents {
    let most = if random.one_in(64) { UNITS } else { 4 };
    let nr_units = 1 + random.below(most);
    let units: Vec<Unit> = (0..nr_units as u64)
        .map(|n| Unit { registers: 0xfed9_0000 + 0x1000 * n, root: random.word() & !0xfff, scalable: random.one_in(2) })
        .collect();
    let tables: Vec<Table> =
        (0..1 + random.below(5)).map(|_| Table(std::array::from_fn(|_| random.word() as u8))).collect();
    let most = if random.one_in(64) { DEVICES } else { 12 };
    let parts: Vec<Part> = (0..random.below(most + 1))
        .map(|_| Part { domain: random.below(8), unit: random.below(8), gap: random.below(3) as u32 })
        .collect();
    Contents::new(units, &tables, &parts)
}

/// Damages an image in one way.
fn damage(random: &mut Random, image: &mut Image) {
    let places: Vec<u64> = image.pages.keys().copied().collect();
    if places.is_empty() || random.one_in(3) {
        let used = used(&image.header, 24, 24 * u32_at(&image.header, 4) as usize);
        return overwrite(random, &mut image.header[..used]);
    }
    let place = places[random.below(places.len())];
    if random.one_in(16) {
        image.pages.remove(&place);
        return;
    }
    let other = *image.pages[&places[random.below(places.len())]];
    let Some(page) = image.pages.get_mut(&place) else { return };
    let used = if random.one_in(16) { page.len() } else { used(page, 48, 16 * u32_at(page, 40) as usize) };
    let (from, len) = range(random, used);

    match random.below(4) {
        // The end of a page was not written.
        0 => page[from..].fill(0),
        // Something belongs elsewhere: a device, or anything.
        1 => {
            let to =
                if from % 16 == 0 { 16 * random.below((used - len) / 16 + 1) } else { random.below(used - len + 1) };
            page[to..to + len].copy_from_slice(&other[from..from + len]);
        }
        _ => overwrite(random, &mut page[..used]),
    }
}

/// How much of a page has a meaning, if there is a header, and so much behind it.
fn used(page: &Page, header: usize, rest: usize) -> usize {
    header.saturating_add(rest).min(page.len())
}

/// Where something begins, and its length. Most of them are whole devices.
fn range(random: &mut Random, limit: usize) -> (usize, usize) {
    if random.one_in(4) {
        let from = random.below(limit);
        (from, 1 + random.below(limit - from))
    } else {
        (16 * random.below(limit / 16), 16)
    }
}

/// Overwrites a bit, a number or some bytes.
fn overwrite(random: &mut Random, bytes: &mut [u8]) {
    match random.below(4) {
        0 | 1 => bytes[random.below(bytes.len())] ^= 1 << random.below(8),
        2 => {
            let size = [2, 4, 8][random.below(3)];
            let at = size * random.below(bytes.len() / size);
            let links = [phys(random.below(4)), phys(0) + 8];
            let numbers =
                [0, 1, 2, 3, 5, 169, 170, 253, 254, 0xfed9_0000, 1 << 31, u64::MAX, links[0], links[1], random.word()];
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
