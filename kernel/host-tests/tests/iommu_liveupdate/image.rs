// SPDX-License-Identifier: GPL-2.0-only

//! The memory of a hand-over, as bytes.
//!
//! The offsets are those of the C header `include/linux/kho/abi/iommu.h`. Besides what [`handover::read`] makes of an
//! image there is a second opinion, [`Image::walk`], that is as simple as possible and neither has limits nor fails.

use std::collections::{BTreeMap, BTreeSet};

use crate::contents::Contents;
use crate::handover::{self, Device, Fault, Page, Sink, Source, Table, Unit};
use crate::opinion::{self, Listed};
use crate::record;

/// Number of units that a page has room for behind the header of 24 bytes.
pub(crate) const UNITS: usize = 169;

/// Number of devices that a page has room for behind the header of 48 bytes.
pub(crate) const DEVICES: usize = 253;

/// Where the page of the domain with a number is put: somewhere else than the ones before, and not in order.
pub(crate) fn phys(number: usize) -> u64 {
    0x1_0000_0000 + (number as u64 * 7919 % 10_007) * 4096
}

/// Where a unit is in its page.
pub(crate) fn unit_at(index: usize) -> usize {
    24 + 24 * index
}

/// Where a device is in its page.
pub(crate) fn device_at(index: usize) -> usize {
    48 + 16 * index
}

/// The bytes at an offset.
fn at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}

pub(crate) fn u32_at(page: &Page, offset: usize) -> u32 {
    u32::from_ne_bytes(at(page, offset))
}

pub(crate) fn u64_at(page: &Page, offset: usize) -> u64 {
    u64::from_ne_bytes(at(page, offset))
}

/// Overwrites bytes at an offset.
pub(crate) fn put<const N: usize>(page: &mut Page, offset: usize, bytes: [u8; N]) {
    page[offset..offset + N].copy_from_slice(&bytes);
}

/// The memory of a hand-over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Image {
    pub(crate) header: Box<Page>,
    pub(crate) pages: BTreeMap<u64, Box<Page>>,
}

impl Image {
    /// One that says this, as the ABI has it.
    pub(crate) fn new(contents: &Contents) -> Self {
        let mut header = Box::new([0; 4096]);
        put(&mut header, 0, 1u32.to_ne_bytes());
        put(&mut header, 4, (contents.units.len() as u32).to_ne_bytes());
        put(&mut header, 8, (contents.domains.len() as u32).to_ne_bytes());
        put(&mut header, 16, link(0, contents.domains.len()).to_ne_bytes());
        for (index, unit) in contents.units.iter().enumerate() {
            put(&mut header, unit_at(index), unit.registers.to_ne_bytes());
            put(&mut header, unit_at(index) + 8, unit.root.to_ne_bytes());
            put(&mut header, unit_at(index) + 16, u32::from(unit.scalable).to_ne_bytes());
        }

        let mut pages = BTreeMap::new();
        for (number, (table, devices)) in contents.domains.iter().enumerate() {
            let mut page = Box::new([0; 4096]);
            put(&mut page, 0, link(number + 1, contents.domains.len()).to_ne_bytes());
            put(&mut page, 8, table.0);
            put(&mut page, 40, (devices.len() as u32).to_ne_bytes());
            for (index, device) in devices.iter().enumerate() {
                put(&mut page, device_at(index), device.segment.to_ne_bytes());
                put(&mut page, device_at(index) + 4, device.bdf.to_ne_bytes());
                put(&mut page, device_at(index) + 6, device.did.to_ne_bytes());
                put(&mut page, device_at(index) + 8, device.unit.to_ne_bytes());
            }
            pages.insert(phys(number), page);
        }
        Self { header, pages }
    }

    /// One that says this, as the kernel writes it: pages of domains are zero before, and the first one need not be.
    pub(crate) fn written(contents: &Contents, before: u8) -> Self {
        let mut header = Box::new([before; 4096]);
        record::header::clear(&mut header);
        for (index, &unit) in contents.units.iter().enumerate() {
            record::header::set_unit(&mut header, index, unit);
        }
        record::header::set_nr_units(&mut header, contents.units.len() as u32);

        let mut image = Self { header, pages: BTreeMap::new() };
        let mut next = 0;
        for (number, (table, devices)) in contents.domains.iter().enumerate().rev() {
            let mut page = Box::new([0; 4096]);
            record::domain::set_table(&mut page, *table);
            for (index, &device) in devices.iter().enumerate() {
                record::domain::set_device(&mut page, index, device);
            }
            record::domain::set_nr_devices(&mut page, devices.len() as u32);
            record::domain::set_next(&mut page, next);
            next = phys(number);
            image.pages.insert(next, page);
        }
        record::header::set_domains(&mut image.header, next, contents.domains.len() as u32);
        image
    }

    /// The page of the domain with a number.
    pub(crate) fn page(&mut self, number: usize) -> &mut Page {
        self.pages.get_mut(&phys(number)).expect("the image has such a page")
    }

    /// Overwrites where the list goes on, behind so many domains.
    pub(crate) fn set_link(&mut self, behind: usize, phys: u64) {
        match behind.checked_sub(1) {
            Some(number) => put(self.page(number), 0, phys.to_ne_bytes()),
            None => put(&mut self.header, 16, phys.to_ne_bytes()),
        }
    }

    /// Clears whatever the ABI says is zero.
    pub(crate) fn clear_reserved(&mut self) {
        self.header[12..16].fill(0);
        for page in self.pages.values_mut() {
            domain_reserved(DEVICES).for_each(|byte| page[byte] = 0);
        }
    }

    /// What the kernel reads.
    pub(crate) fn read(&self) -> Reading {
        self.read_into(usize::MAX)
    }

    /// What the kernel reads if it has no memory for the unit, domain or device that comes after so many.
    pub(crate) fn read_into(&self, room: usize) -> Reading {
        let mut source = Memory { image: self, claimed: BTreeSet::new(), claims: 0 };
        let mut sink = Room { contents: Contents::default(), room, taken: 0 };
        let result = handover::read(&self.header, &mut source, &mut sink);
        Reading { result: result.map(|()| sink.contents), claims: source.claims, claimed: source.claimed.len() }
    }

    /// What there is to be read.
    pub(crate) fn walk(&self) -> Walk {
        let next = u64_at(&self.header, 16);
        let mut walk = Walk { seen: Vec::new(), counts: Vec::new(), unknown: Vec::new(), next, domains: Vec::new() };
        while !walk.seen.contains(&walk.next) {
            let Some(page) = self.pages.get(&walk.next) else { break };
            let count = u32_at(page, 40);
            let devices = (0..DEVICES.min(count as usize)).map(|index| Device {
                segment: u32_at(page, device_at(index)),
                bdf: u16::from_ne_bytes(at(&page[..], device_at(index) + 4)),
                did: u16::from_ne_bytes(at(&page[..], device_at(index) + 6)),
                unit: u32_at(page, device_at(index) + 8),
            });
            walk.domains.push((Table(at(&page[..], 8)), devices.collect()));
            walk.seen.push(walk.next);
            walk.counts.push(count);
            walk.unknown.push(domain_reserved(count as usize).any(|byte| page[byte] != 0));
            walk.next = u64_at(page, 0);
        }
        walk
    }

    pub(crate) fn version(&self) -> u32 {
        u32_at(&self.header, 0)
    }

    pub(crate) fn nr_units(&self) -> u32 {
        u32_at(&self.header, 4)
    }

    pub(crate) fn nr_domains(&self) -> u32 {
        u32_at(&self.header, 8)
    }

    /// The units that are listed.
    fn units(&self) -> Vec<Unit> {
        (0..UNITS.min(self.nr_units() as usize))
            .map(|index| Unit {
                registers: u64_at(&self.header, unit_at(index)),
                root: u64_at(&self.header, unit_at(index) + 8),
                scalable: u32_at(&self.header, unit_at(index) + 16) & 1 != 0,
            })
            .collect()
    }

    /// Whether a unit is listed that is not known or listed before.
    fn has_bad_unit(&self, index: usize) -> bool {
        let units = self.units();
        units.get(index).is_some_and(|unit| {
            u32_at(&self.header, unit_at(index) + 16) > 1
                || u32_at(&self.header, unit_at(index) + 20) != 0
                || units[..index].iter().any(|other| other.registers == unit.registers)
        })
    }

    /// Whether a field is set that the ABI says is zero: in the header, or in the domain that is the last of so many.
    pub(crate) fn has_unknown_field(&self, in_domain: usize) -> bool {
        match in_domain.checked_sub(1) {
            None => self.header[12..16] != [0; 4],
            Some(number) => self.walk().unknown.get(number) == Some(&true),
        }
    }

    /// Whether a fault is one that the image has.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.is_unreadable_for(fault) || self.contradicts_itself_by(fault)
    }

    /// Whether a fault is one of how something is written, so that it cannot be read.
    pub(crate) fn is_unreadable_for(&self, fault: Fault) -> bool {
        let walk = self.walk();
        match fault {
            Fault::Version(version) => version == self.version() && version != 1,
            Fault::Units(count) => count == self.nr_units() && count as usize > UNITS,
            Fault::Unit(index) => self.has_bad_unit(index),
            Fault::Domains { claimed, found } if found > claimed => {
                claimed == self.nr_domains() && found == claimed + 1 && walk.leads_beyond(claimed)
            }
            Fault::Domains { claimed, found } => {
                claimed == self.nr_domains() && claimed != found && found as usize == walk.seen.len() && walk.next == 0
            }
            Fault::Domain(number) => number as usize == walk.seen.len() && walk.next != 0,
            Fault::Devices(number, count) => walk.counts.get(number as usize) == Some(&count) && !is_count(count),
            Fault::Device(segment, bdf) => {
                let mut here = walk.devices().into_iter().filter(|(_, device)| device.address() == (segment, bdf));
                here.any(|(_, device)| device.unit >= self.nr_units())
            }
            Fault::Unknown => self.has_unknown_field(0) || walk.unknown.contains(&true),
            Fault::DomainId(..) | Fault::NoMemory => false,
        }
    }

    /// Whether a fault is one of what is said, by devices of several domains or of several units.
    pub(crate) fn contradicts_itself_by(&self, fault: Fault) -> bool {
        opinion::has(self.units().len(), &self.walk().devices(), fault)
    }

    /// Whether the image is one that can be read, and says this.
    pub(crate) fn is_readable_as(&self, contents: &Contents) -> bool {
        let walk = self.walk();
        self.version() == 1
            && self.nr_units() as usize <= UNITS
            && (0..self.nr_units() as usize).all(|index| !self.has_bad_unit(index))
            && !self.has_unknown_field(0)
            && walk.next == 0
            && self.nr_domains() as usize == walk.seen.len()
            && walk.counts.iter().all(|&count| is_count(count))
            && walk.unknown.iter().all(|unknown| !unknown)
            && walk.devices().iter().all(|(_, device)| device.unit < self.nr_units())
            && contents.units == self.units()
            && contents.domains == walk.domains
    }
}

/// Where a domain with so many devices has nothing: in its page tables, behind their number, and in each device.
fn domain_reserved(devices: usize) -> impl Iterator<Item = usize> {
    let in_devices = (0..DEVICES.min(devices)).flat_map(|index| device_at(index) + 12..device_at(index) + 16);
    (19..24).chain(44..48).chain(in_devices)
}

/// Whether a domain can have so many devices: there is no room for more, and one without any is one that nobody needs.
fn is_count(devices: u32) -> bool {
    (1..=DEVICES).contains(&(devices as usize))
}

/// Where a domain of so many is, or zero.
fn link(number: usize, count: usize) -> u64 {
    if number < count {
        phys(number)
    } else {
        0
    }
}

/// What the kernel reads.
pub(crate) struct Reading {
    pub(crate) result: Result<Contents, Fault>,
    /// How often it claimed a page.
    pub(crate) claims: usize,
    /// How many pages it got.
    pub(crate) claimed: usize,
}

/// What there is to be read, up to the first link that leads nowhere.
pub(crate) struct Walk {
    /// Addresses of the pages.
    seen: Vec<u64>,
    /// Number of devices that each domain claims.
    counts: Vec<u32>,
    /// Whether each has a field set that is reserved.
    unknown: Vec<bool>,
    /// Where the last one leads: nowhere, to what is no page, or back.
    next: u64,
    /// As many devices as there is room for.
    domains: Vec<(Table, Vec<Device>)>,
}

impl Walk {
    /// Whether there is something behind so many domains.
    fn leads_beyond(&self, count: u32) -> bool {
        let count = count as usize;
        self.seen.len() > count || self.seen.len() == count && self.next != 0
    }

    fn devices(&self) -> Vec<Listed> {
        Contents { units: Vec::new(), domains: self.domains.clone() }.devices()
    }
}

/// Hands out each page once, as KHO does.
struct Memory<'a> {
    image: &'a Image,
    claimed: BTreeSet<u64>,
    claims: usize,
}

/// A page that was handed out.
pub(crate) struct Claimed<'a>(&'a Page);

impl AsRef<Page> for Claimed<'_> {
    fn as_ref(&self) -> &Page {
        self.0
    }
}

impl<'a> Source for Memory<'a> {
    type Page = Claimed<'a>;

    fn claim(&mut self, phys: u64) -> Option<Claimed<'a>> {
        self.claims += 1;
        // Only the start of a page is an address here, as it is for `Restored::claim`.
        let page = self.image.pages.get(&phys)?;
        self.claimed.insert(phys).then_some(Claimed(page))
    }
}

/// Keeps what it is given, but for one.
struct Room {
    contents: Contents,
    room: usize,
    taken: usize,
}

impl Room {
    fn take(&mut self) -> Result<(), Fault> {
        self.taken += 1;
        if self.taken - 1 == self.room {
            Err(Fault::NoMemory)
        } else {
            Ok(())
        }
    }
}

impl Sink for Room {
    fn unit(&mut self, unit: Unit) -> Result<(), Fault> {
        self.take()?;
        assert!(self.contents.domains.is_empty(), "units come first");
        self.contents.units.push(unit);
        Ok(())
    }

    fn domain(&mut self, table: Table) -> Result<(), Fault> {
        self.take()?;
        self.contents.domains.push((table, Vec::new()));
        Ok(())
    }

    fn device(&mut self, device: Device) -> Result<(), Fault> {
        self.take()?;
        assert!((device.unit as usize) < self.contents.units.len(), "the unit is unknown");
        self.contents.domains.last_mut().expect("a domain came before").1.push(device);
        Ok(())
    }
}
