// SPDX-License-Identifier: GPL-2.0-only

//! Hand-overs that are well-formed.

use proptest::{prelude::*, sample::Index};

use crate::contents::{contents, table, Contents, Part};
use crate::handover::{self, Device, Fault, Page, Sink, Source, Table, Unit};
use crate::image::{device_at, phys, put, unit_at, Image, DEVICES, UNITS};

/// A number of units.
fn units(count: usize) -> Vec<Unit> {
    (0..count as u64)
        .map(|n| Unit { registers: 0xfed9_0000 + n * 0x1000, root: 0x1_0000 * (n + 1), scalable: n % 2 == 0 })
        .collect()
}

/// A domain with so many devices.
fn domain(count: usize) -> Contents {
    let parts = vec![Part { domain: 0, unit: 0, gap: 0 }; count];
    Contents::new(&units(1), &[table([7; 32])], &parts)
}

proptest! {
    /// Units, domains, and the devices of each, in the order in which they were written.
    #[test]
    fn exactly_what_is_listed_is_read(contents in contents()) {
        let nr_domains = contents.domains.len();
        let reading = Image::new(&contents).read();
        prop_assert_eq!(reading.result, Ok(contents));
        prop_assert_eq!((reading.claims, reading.claimed), (nr_domains, nr_domains));
    }

    /// What is behind the units, and behind the devices of a domain, has no meaning.
    #[test]
    fn the_rest_of_a_page_is_not_read(contents in contents(), rest: u8) {
        let mut image = Image::new(&contents);
        image.header[unit_at(contents.units.len())..].fill(rest);
        for (number, (_, devices)) in contents.domains.iter().enumerate() {
            image.page(number)[device_at(devices.len())..].fill(rest);
        }
        prop_assert_eq!(image.read().result, Ok(contents));
    }

    /// A kernel that takes a device out moves the last one to its place, and leaves that where it was.
    ///
    /// A domain goes with its last device.
    #[test]
    fn devices_can_be_taken_out(contents in contents(), which: Index) {
        let mut contents = contents;
        let mut image = Image::new(&contents);
        let number = which.index(contents.domains.len());
        let devices = &mut contents.domains[number].1;
        let slot = which.index(devices.len());
        devices.swap_remove(slot);
        if let Some(&moved) = devices.get(slot) {
            crate::record::domain::set_device(image.page(number), slot, moved);
        }
        crate::record::domain::set_nr_devices(image.page(number), devices.len() as u32);
        let wanted = if devices.is_empty() { Err(Fault::Devices(number as u32, 0)) } else { Ok(contents) };
        prop_assert_eq!(image.read().result, wanted);
    }
}

#[test]
fn no_page_is_no_domain() {
    let reading = Image::new(&Contents::default()).read();
    assert_eq!((reading.result, reading.claims), (Ok(Contents::default()), 0));
}

/// Whether there are devices behind a unit is not for the reader to say, as it goes on to the next domain.
#[test]
fn a_unit_without_devices_can_be_read() {
    let contents = Contents { units: units(3), domains: Vec::new() };
    assert_eq!(Image::new(&contents).read().result, Ok(contents));
}

#[test]
fn a_header_may_be_full() {
    let parts: Vec<_> = (0..UNITS).map(|unit| Part { domain: unit, unit, gap: 0 }).collect();
    let contents = Contents::new(&units(UNITS), &[table([7; 32]); 3], &parts);
    assert_eq!((contents.units.len(), contents.domains.len()), (UNITS, 3));
    assert_eq!(Image::new(&contents).read().result, Ok(contents));
}

#[test]
fn a_domain_may_be_full() {
    let contents = domain(DEVICES);
    assert_eq!(contents.domains[0].1.len(), DEVICES);
    assert_eq!(Image::new(&contents).read().result, Ok(contents));
}

/// Tables are not for the reader to understand, but for what is reserved.
#[test]
fn any_table_is_passed_on() {
    for byte in 0..=u8::MAX {
        let mut image = Image::new(&domain(1));
        put(image.page(0), 8, table([byte; 32]).0);
        let read = image.read().result.expect("it is well-formed");
        assert_eq!(read.domains[0].0, table([byte; 32]));
    }
}

/// A list of domains with one device each, all the same, that never ends or after so many.
struct Long {
    domains: u32,
    claims: u32,
    read: u32,
}

struct LongPage(Page);

impl AsRef<Page> for LongPage {
    fn as_ref(&self) -> &Page {
        &self.0
    }
}

impl Source for Long {
    type Page = LongPage;

    fn claim(&mut self, phys: u64) -> Option<LongPage> {
        self.claims += 1;
        assert_eq!(phys, 4096 * u64::from(self.claims));

        let mut page = [0; 4096];
        if self.claims != self.domains {
            put(&mut page, 0, (phys + 4096).to_ne_bytes());
        }
        put(&mut page, 40, 1u32.to_ne_bytes());
        Some(LongPage(page))
    }
}

/// Counts domains, and devices.
struct Count(u32, u32);

impl Sink for Count {
    fn unit(&mut self, _unit: Unit) -> Result<(), Fault> {
        Ok(())
    }

    fn domain(&mut self, table: Table) -> Result<(), Fault> {
        assert_eq!((table, self.0), (Table([0; 32]), self.1));
        self.0 += 1;
        Ok(())
    }

    fn device(&mut self, device: Device) -> Result<(), Fault> {
        assert_eq!(device, Device { segment: 0, bdf: 0, did: 0, unit: 0 });
        self.1 += 1;
        Ok(())
    }
}

/// Reads so many domains where another number is claimed.
fn read_long(domains: u32, claimed: u32) -> (Long, Result<(), Fault>) {
    let mut header = [0; 4096];
    put(&mut header, 0, 1u32.to_ne_bytes());
    put(&mut header, 4, 1u32.to_ne_bytes());
    put(&mut header, 8, claimed.to_ne_bytes());
    put(&mut header, 16, 4096u64.to_ne_bytes());

    let (mut source, mut sink) = (Long { domains, claims: 0, read: 0 }, Count(0, 0));
    let result = handover::read(&header, &mut source, &mut sink);
    assert_eq!(sink.0, sink.1);
    source.read = sink.0;
    (source, result)
}

#[test]
fn more_domains_than_there_can_be() {
    let most = 1 << 16;
    let (source, result) = read_long(most, most);
    assert_eq!((source.claims, source.read, result), (most, most, Ok(())));

    // It ends, and without another page being claimed, whatever the number is and wherever the list ends.
    for (domains, claimed) in [(most + 1, most + 1), (0, u32::MAX), (u32::MAX, u32::MAX)] {
        let (source, result) = read_long(domains, claimed);
        assert_eq!((source.claims, source.read), (most, most));
        assert_eq!(result, Err(Fault::Domains { claimed, found: most + 1 }));
    }
}

#[test]
fn a_list_that_is_longer_than_it_claims_is_not_read_to_its_end() {
    for claimed in [0, 1, 7] {
        let (source, result) = read_long(0, claimed);
        assert_eq!((source.claims, source.read), (claimed, claimed));
        assert_eq!(result, Err(Fault::Domains { claimed, found: claimed + 1 }));
    }
}

/// Pages are claimed one after the other, each when the one before is understood.
#[test]
fn what_comes_after_a_fault_is_left_alone() {
    let parts: Vec<_> = (0..3).map(|domain| Part { domain, unit: 0, gap: 0 }).collect();
    let mut image = Image::new(&Contents::new(&units(1), &[Table([0; 32]); 3], &parts));
    put(image.page(1), 40, 254u32.to_ne_bytes());
    let reading = image.read();
    assert_eq!((reading.result, reading.claims), (Err(Fault::Devices(1, 254)), 2));
    assert!(image.pages.contains_key(&phys(2)));
}
