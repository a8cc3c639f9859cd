// SPDX-License-Identifier: GPL-2.0-only

//! Hand-overs that are damaged, each in one way.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::contents::{contents, Contents, Part};
use crate::handover::{self, Device, Fault, Page, Table, Unit};
use crate::image::{device_at, phys, put, unit_at, Image, Reading, DEVICES, UNITS};

/// A unit, and a number of domains with some devices each.
fn image(domains: usize, devices: usize) -> Image {
    let unit = Unit { registers: 0xfed9_0000, root: 0x1000, scalable: true };
    let parts: Vec<Part> = (0..domains * devices).map(|n| Part { domain: n / devices, unit: 0, gap: 0 }).collect();
    Image::new(&Contents::new(&[unit], &vec![Table([0; 32]); domains.max(1)], &parts))
}

/// Reads what can be read, and checks the devices, as the kernel does.
fn judge(image: &Image) -> Result<(), Fault> {
    image.read().result.and_then(|contents| handover::check(contents.units.len(), &mut contents.devices()))
}

proptest! {
    #[test]
    fn another_version(
        contents in contents(),
        version in any::<u32>().prop_filter("the version is known", |&version| version != 1),
        rest: u8,
    ) {
        let mut image = Image::new(&contents);
        // Only the version stays where it is forever.
        image.header[4..].fill(rest);
        put(&mut image.header, 0, version.to_ne_bytes());
        let Reading { result, claims, .. } = image.read();
        prop_assert_eq!((result, claims), (Err(Fault::Version(version)), 0));
        prop_assert!(image.has(Fault::Version(version)));
    }

    #[test]
    fn more_units_than_have_room(
        contents in contents(),
        count in prop_oneof![Just(UNITS as u32 + 1), UNITS as u32 + 1..],
    ) {
        let mut image = Image::new(&contents);
        put(&mut image.header, 4, count.to_ne_bytes());
        let Reading { result, claims, .. } = image.read();
        prop_assert_eq!((result, claims), (Err(Fault::Units(count)), 0));
        prop_assert!(image.has(Fault::Units(count)));
    }

    #[test]
    fn a_unit_that_is_listed_twice(contents in contents(), which: Index, at: Index) {
        let mut contents = contents;
        let Unit { registers, root, scalable } = contents.units[which.index(contents.units.len())];
        contents.units.push(Unit { registers, root: root ^ 0x1000, scalable: !scalable });
        let end = contents.units.len() - 1;
        contents.units.swap(at.index(end), end);

        let image = Image::new(&contents);
        let Reading { result, claims, .. } = image.read();
        let second = contents.units.iter().rposition(|unit| unit.registers == registers).unwrap();
        prop_assert_eq!((result, claims), (Err(Fault::Unit(second)), 0));
        prop_assert!(image.has(Fault::Unit(second)));
    }

    /// A mode, or something that is reserved, means nothing that is known here.
    #[test]
    fn a_unit_that_is_not_known(
        contents in contents(),
        which: Index,
        mode in 2u32..,
        reserved in 1u32..,
        is_mode: bool,
    ) {
        let mut image = Image::new(&contents);
        let index = which.index(contents.units.len());
        let (offset, value) = if is_mode { (16, mode) } else { (20, reserved) };
        put(&mut image.header, unit_at(index) + offset, value.to_ne_bytes());
        let Reading { result, claims, .. } = image.read();
        prop_assert_eq!((result, claims), (Err(Fault::Unit(index)), 0));
        prop_assert!(image.has(Fault::Unit(index)));
    }

    #[test]
    fn a_list_that_ends_early(domains in 1usize..6, at: Index) {
        let mut image = image(domains, 3);
        let last = at.index(domains);
        image.set_link(last, 0);
        let fault = Fault::Domains { claimed: domains as u32, found: last as u32 };
        prop_assert_eq!(image.read().result, Err(fault));
        prop_assert!(image.has(fault));
    }

    #[test]
    fn a_number_of_domains_that_is_wrong(claimed in prop_oneof![0u32..6, any::<u32>()], domains in 0usize..5) {
        prop_assume!(claimed as usize != domains);
        let mut image = image(domains, 3);
        put(&mut image.header, 8, claimed.to_ne_bytes());
        let reading = image.read();
        let found = if claimed < domains as u32 { claimed + 1 } else { domains as u32 };
        prop_assert_eq!(reading.result, Err(Fault::Domains { claimed, found }));
        // Nothing is claimed that is too much.
        prop_assert_eq!(reading.claims as u32, claimed.min(domains as u32));
        let fault = Fault::Domains { claimed, found };
        prop_assert!(image.has(fault));
    }

    #[test]
    fn a_ring(domains in 1usize..6, to: Index, claimed in 6u32..) {
        let mut image = image(domains, 3);
        put(&mut image.header, 8, claimed.to_ne_bytes());
        image.set_link(domains, phys(to.index(domains)));
        let reading = image.read();
        prop_assert_eq!(reading.result, Err(Fault::Domain(domains as u32)));
        prop_assert_eq!((reading.claims, reading.claimed), (domains + 1, domains));
        prop_assert!(image.has(Fault::Domain(domains as u32)));
    }

    /// One that was never preserved, or not the start of a page.
    #[test]
    fn a_domain_that_does_not_exist(
        link in prop_oneof![1..=u64::MAX, (1u64..4096).prop_map(|offset| phys(2) + offset), Just(phys(3))],
        from in 0usize..3,
    ) {
        let mut image = image(3, 3);
        image.set_link(from, link);
        prop_assume!(!image.pages.contains_key(&link));
        prop_assert_eq!(image.read().result, Err(Fault::Domain(from as u32)));
        prop_assert!(image.has(Fault::Domain(from as u32)));
    }

    #[test]
    fn more_devices_than_have_room(
        count in prop_oneof![Just(DEVICES as u32 + 1), DEVICES as u32 + 1..],
        at in 0usize..3,
    ) {
        let mut image = image(3, 3);
        put(image.page(at), 40, count.to_ne_bytes());
        let reading = image.read();
        prop_assert_eq!((reading.result, reading.claims), (Err(Fault::Devices(at as u32, count)), at + 1));
        prop_assert!(image.has(Fault::Devices(at as u32, count)));
    }

    /// Nobody writes one, as a domain goes with its last device. Its tables would belong to nobody.
    #[test]
    fn a_domain_without_devices(contents in contents(), which: Index) {
        let mut image = Image::new(&contents);
        let number = which.index(contents.domains.len());
        put(image.page(number), 40, 0u32.to_ne_bytes());
        let reading = image.read();
        let fault = Fault::Devices(number as u32, 0);
        prop_assert_eq!((reading.result, reading.claims), (Err(fault), number + 1));
        prop_assert!(image.is_unreadable_for(fault));
    }

    #[test]
    fn a_device_behind_no_unit(contents in contents(), which: Index, unit in prop_oneof![Just(0u32), any::<u32>()]) {
        let mut image = Image::new(&contents);
        let unit = unit.saturating_add(contents.units.len() as u32);
        let number = which.index(contents.domains.len());
        let devices = &contents.domains[number].1;
        let index = which.index(devices.len());
        put(image.page(number), device_at(index) + 8, unit.to_ne_bytes());
        let (segment, bdf) = devices[index].address();
        let reading = image.read();
        prop_assert_eq!((reading.result, reading.claims), (Err(Fault::Device(segment, bdf)), number + 1));
        prop_assert!(image.has(Fault::Device(segment, bdf)));
    }

    /// In the same domain or in another one.
    #[test]
    fn a_device_that_is_listed_twice(contents in contents(), which: Index, other: Index) {
        let devices = contents.devices();
        prop_assume!(devices.len() > 1);
        let which = which.index(devices.len());
        // Another one than this.
        let other = (which + 1 + other.index(devices.len() - 1)) % devices.len();
        let (segment, bdf) = devices[which].1.address();

        let mut contents = contents;
        let all = contents.domains.iter_mut().flat_map(|(_, devices)| devices);
        let device = all.into_iter().nth(other).unwrap();
        (device.segment, device.bdf) = (segment, bdf);
        let image = Image::new(&contents);
        prop_assert_eq!(judge(&image), Err(Fault::Device(segment, bdf)));
        prop_assert!(image.has(Fault::Device(segment, bdf)));
    }

    /// A device has the id that another domain has on its unit.
    #[test]
    fn a_domain_id_that_is_not_unique(contents in contents(), which: Index) {
        let devices = contents.devices();
        let mut contents = contents;
        // One that some other domain's devices are behind the unit of.
        let pairs: Vec<_> = devices
            .iter()
            .flat_map(|one| devices.iter().map(move |other| (one, other)))
            .filter(|((one, a), (other, b))| one != other && a.unit == b.unit)
            .collect();
        prop_assume!(!pairs.is_empty());
        let ((number, device), (_, other)) = pairs[which.index(pairs.len())];
        for changed in &mut contents.domains[*number as usize].1 {
            if changed.address() == device.address() {
                changed.did = other.did;
            }
        }
        let image = Image::new(&contents);
        let fault = judge(&image).expect_err("an id is not unique");
        prop_assert!(matches!(fault, Fault::DomainId(..)), "{:?}", fault);
        prop_assert!(image.has(fault));
    }

    /// Nor is one any better that it shares with nobody.
    #[test]
    fn a_domain_with_two_ids_on_a_unit(contents in contents(), which: Index, at: u32, did: u16) {
        let mut contents = contents;
        let number = which.index(contents.domains.len());
        let (segment, bdf) = contents.free_address(at);
        let devices = &mut contents.domains[number].1;
        let like = devices[which.index(devices.len())];
        prop_assume!(did != like.did);
        devices.push(Device { segment, bdf, did, ..like });
        let image = Image::new(&contents);
        let fault = judge(&image).expect_err("there are two ids");
        prop_assert!(matches!(fault, Fault::DomainId(..)), "{:?}", fault);
        prop_assert!(image.contradicts_itself_by(fault));
    }

    /// Nobody writes one, as a unit goes with its last device. What its tables lead to would belong to nobody.
    #[test]
    fn a_unit_without_devices(contents in contents(), at: Index, root: u64, scalable: bool) {
        let mut contents = contents;
        let is_free = |registers: &u64| !contents.units.iter().any(|unit| unit.registers == *registers);
        let registers = (0..).find(is_free).expect("there are few units");
        let index = at.index(contents.units.len() + 1);
        contents.insert_unit(index, Unit { registers, root, scalable });
        let image = Image::new(&contents);
        prop_assert_eq!(judge(&image), Err(Fault::Unit(index)));
        prop_assert!(image.contradicts_itself_by(Fault::Unit(index)));
        prop_assert!(!image.is_unreadable_for(Fault::Unit(index)));
    }

    /// The unit, the domain or the device for which there is no memory is not just left out.
    #[test]
    fn no_memory(contents in contents(), room: Index) {
        let image = Image::new(&contents);
        let needed = contents.units.len() + contents.domains.len() + contents.devices().len();
        prop_assert_eq!(image.read_into(room.index(needed)).result, Err(Fault::NoMemory));
        prop_assert!(image.read_into(needed).result.is_ok());
    }

    /// Whatever the pages have.
    #[test]
    fn any_bytes_are_a_hand_over_or_have_a_fault(
        head in vec(any::<u8>(), 4096),
        page in vec(any::<u8>(), 4096),
        known: bool,
        nr_units in 0u32..180,
        nr_domains in 0u32..4,
        count in 0u32..260,
        first in 0u64..3,
        next in 0u64..3,
    ) {
        let links = [0, phys(0), phys(1)];
        let mut image = Image { header: Box::new(array(&head)), pages: [(phys(0), Box::new(array(&page)))].into() };
        if known {
            put(&mut image.header, 0, 1u32.to_ne_bytes());
            put(&mut image.header, 4, nr_units.to_ne_bytes());
            put(&mut image.header, 8, nr_domains.to_ne_bytes());
            image.set_link(0, links[first as usize]);
            image.set_link(1, links[next as usize]);
            put(image.page(0), 40, count.to_ne_bytes());
            image.clear_reserved();
            for index in 0..UNITS {
                // Otherwise no unit is one.
                let mode = image.header[unit_at(index) + 16] & 1;
                put(&mut image.header, unit_at(index) + 16, u64::from(mode).to_ne_bytes());
            }
            for index in 0..DEVICES {
                // Otherwise no device is behind one.
                let unit = image.page(0)[device_at(index) + 8] & 0x3f;
                put(image.page(0), device_at(index) + 8, u32::from(unit).to_ne_bytes());
            }
        }
        let reading = image.read();
        prop_assert!(reading.claims <= 2);
        match reading.result {
            Ok(contents) => prop_assert!(image.is_readable_as(&contents)),
            Err(fault) => prop_assert!(image.has(fault), "{}", fault),
        }
    }
}

fn array(bytes: &[u8]) -> Page {
    bytes.try_into().expect("it is a page")
}
