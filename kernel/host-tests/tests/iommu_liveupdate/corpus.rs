// SPDX-License-Identifier: GPL-2.0-only

//! Random hand-overs, with damages.
//!
//! Most damages hit what has a meaning, and some are numbers that have one: most of a hand-over is memory that is not
//! in use, and most numbers are just invalid.

use host_tests::fuzz::Random;

use crate::contents::{table, Contents, Part};
use crate::handover::{Device, Page, Table, Unit};
use crate::image::{phys, u32_at, Image, DEVICES, UNITS};
use crate::opinion::Listed;

/// A random hand-over: one in four has no damage, and one in eight says something that cannot be, written as it should.
pub(crate) fn image(random: &mut Random) -> Image {
    let mut contents = contents(random);
    if random.one_in(8) {
        confuse(random, &mut contents);
    }
    let mut image =
        if random.one_in(2) { Image::new(&contents) } else { Image::written(&contents, random.word() as u8) };
    if !random.one_in(4) {
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
        (0..1 + random.below(5)).map(|_| table(std::array::from_fn(|_| random.word() as u8))).collect();
    let most = if random.one_in(64) { DEVICES } else { 12 };
    // Otherwise few units would be in use where there are many.
    let least = if nr_units > 4 { nr_units } else { 0 };
    let parts: Vec<Part> = (0..least.max(random.below(most + 1)))
        .map(|n| {
            let unit = if n < least { n } else { random.below(8) };
            Part { domain: random.below(8), unit, gap: random.below(3) as u32 }
        })
        .collect();
    Contents::new(&units, &tables, &parts)
}

/// Any list of devices, some of which are close enough together to contradict each other, and the number of units.
///
/// One in two is made right in most respects, as it would hardly ever be so by itself.
pub(crate) fn devices(random: &mut Random) -> (usize, Vec<Listed>) {
    let is_tame = random.one_in(2);
    let nr_units = random.below(4);
    let mut devices = Vec::new();
    for n in 0..random.below(9) {
        let domain = random.below(3);
        let unit = random.below(if is_tame { nr_units.max(1) } else { 4 });
        let did = if is_tame && !random.one_in(16) { 2 + domain + unit } else { 2 + random.below(4) };
        let number = if is_tame && !random.one_in(32) { n * 0x8001 } else { random.below(32) };
        devices.push((
            domain as u32,
            Device { segment: (number >> 16) as u32, bdf: number as u16, did: did as u16, unit: unit as u32 },
        ));
    }
    (nr_units, devices)
}

/// Says something of a device that may contradict the rest.
fn confuse(random: &mut Random, contents: &mut Contents) {
    let all = contents.devices();
    if all.is_empty() {
        return;
    }
    let (_, other) = all[random.below(all.len())];
    let number = random.below(contents.domains.len());
    let devices = &mut contents.domains[number].1;
    let index = random.below(devices.len());
    let device = &mut devices[index];

    match random.below(6) {
        0 => (device.segment, device.bdf) = other.address(),
        1 => device.unit = random.below(contents.units.len()) as u32,
        2 => device.did = 2 + random.below(24) as u16,
        // All of the domain that is behind this unit has the domain id of another one.
        3 => {
            device.unit = other.unit;
            for same in devices.iter_mut().filter(|device| device.unit == other.unit) {
                same.did = other.did;
            }
        }
        // It was forgotten, and its domain with it if there is nothing else.
        4 => {
            devices.swap_remove(index);
            contents.domains.retain(|(_, devices)| !devices.is_empty());
        }
        // A unit was forgotten to be taken out.
        _ if contents.units.len() < UNITS => {
            let registers = 0xfed9_0000 + 0x1000 * contents.units.len() as u64;
            let unit = Unit { registers, root: random.word() & !0xfff, scalable: random.one_in(2) };
            contents.insert_unit(random.below(contents.units.len() + 1), unit);
        }
        // There is no room for one more.
        _ => {}
    }
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
