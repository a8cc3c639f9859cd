// SPDX-License-Identifier: GPL-2.0

//! What one kernel tells the next about IOMMUs that go on translating.
//!
//! Pure data: nothing here needs more than `core`, so that the parser of what another kernel wrote
//! can be tested anywhere. Nothing that it reads is trusted: it neither panics nor reads out of
//! bounds nor runs forever, whatever the bytes are.
//!
//! C header: `include/linux/kho/abi/iommu.h`

use core::fmt;

/// The version of the hand-over that is written and understood.
pub(crate) const VERSION: u32 = 1;

/// Size of a page, each of which has a header or a domain.
pub(crate) const PAGE_SIZE: usize = 4096;

/// Size of a `struct iommu_ser` in bytes.
pub(crate) const HEADER_SIZE: usize = 24;

/// Size of a `struct iommu_unit_ser` in bytes.
pub(crate) const UNIT_SIZE: usize = 24;

/// Size of a `struct iommu_domain_ser` in bytes.
pub(crate) const DOMAIN_SIZE: usize = 48;

/// Size of a `struct pt_iommu_ser` in bytes.
pub(crate) const TABLE_SIZE: usize = 32;

/// Size of a `struct iommu_dev_ser` in bytes.
pub(crate) const DEVICE_SIZE: usize = 16;

/// Number of units that a hand-over can have.
pub(crate) const MAX_UNITS: usize = (PAGE_SIZE - HEADER_SIZE) / UNIT_SIZE;

/// Number of devices that a domain can have.
pub(crate) const MAX_DEVICES: usize = (PAGE_SIZE - DOMAIN_SIZE) / DEVICE_SIZE;

/// Number of domains that a hand-over may have.
pub(crate) const MAX_DOMAINS: u32 = 1 << 16;

/// Says that a unit is in scalable mode.
pub(crate) const SCALABLE: u32 = 1;

/// The bytes of a page.
pub(crate) type Page = [u8; PAGE_SIZE];

/// An IOMMU that translates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unit {
    /// Physical address of its registers.
    pub(crate) registers: u64,
    /// Physical address of its root table.
    pub(crate) root: u64,
    /// Whether it is in scalable mode.
    pub(crate) scalable: bool,
}

/// A device that is attached to a domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Device {
    /// Its PCI segment.
    pub(crate) segment: u32,
    /// Its bus, device and function number.
    pub(crate) bdf: u16,
    /// The domain id that its entry has.
    pub(crate) did: u16,
    /// Index of its unit.
    pub(crate) unit: u32,
}

impl Device {
    /// Where it is: all that a device is known by.
    pub(crate) const fn address(&self) -> (u32, u16) {
        (self.segment, self.bdf)
    }
}

/// A tree of page tables, as in `struct pt_iommu_ser`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Table(pub(crate) [u8; TABLE_SIZE]);

/// What makes a hand-over unusable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It has a version that is not known here.
    Version(u32),
    /// So many units do not fit.
    Units(u32),
    /// The unit with this index is listed twice, has something set that is not known here, or has
    /// no device behind it.
    Unit(usize),
    /// The number of domains is not the one that is claimed.
    Domains {
        /// What is claimed.
        claimed: u32,
        /// What was found, or one more than is possible.
        found: u32,
    },
    /// The domain with this number, counted from zero, is not memory that was preserved, or was
    /// listed before.
    Domain(u32),
    /// The domain with this number claims to have so many devices.
    Devices(u32, u32),
    /// A device, by segment, bus, device and function number, is listed twice, or is behind a unit
    /// that is not listed.
    Device(u32, u16),
    /// The domain id of this device is that of another domain, or its domain has another one too.
    DomainId(u32, u16),
    /// A field is set that has no meaning here.
    Unknown,
    /// There is no memory to keep it in.
    NoMemory,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Version(version) => write!(
                f,
                "version {version} is unknown, this kernel understands {VERSION}"
            ),
            Self::Units(count) => write!(f, "{count} units are claimed, {MAX_UNITS} have room"),
            Self::Unit(index) => write!(f, "unit {index} is listed twice, unknown or unused"),
            Self::Domains { claimed, found } => {
                write!(f, "{claimed} domains are claimed, but {found} are listed")
            }
            Self::Domain(number) => {
                write!(f, "domain {number} was not preserved or is listed twice")
            }
            Self::Devices(number, count) => {
                write!(
                    f,
                    "domain {number} has an invalid number of devices: {count}"
                )
            }
            Self::Device(segment, bdf) => {
                write!(
                    f,
                    "device {} is listed twice or behind no unit",
                    Name(segment, bdf)
                )
            }
            Self::DomainId(segment, bdf) => write!(
                f,
                "the domain id of device {} is not that of its domain alone",
                Name(segment, bdf)
            ),
            Self::Unknown => f.write_str("a field is set that has no meaning"),
            Self::NoMemory => f.write_str("out of memory"),
        }
    }
}

/// Writes an address the way it is written everywhere, for example `0000:01:00.0`.
pub(crate) struct Name(pub(crate) u32, pub(crate) u16);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [bus, devfn] = self.1.to_be_bytes();

        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{:x}",
            self.0,
            bus,
            devfn >> 3,
            devfn & 7
        )
    }
}

/// Reads bytes at an offset. Those outside of the page, which there are none of, are zero.
fn bytes<const N: usize>(page: &Page, at: usize) -> [u8; N] {
    page.get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

fn u32_at(page: &Page, at: usize) -> u32 {
    u32::from_ne_bytes(bytes(page, at))
}

fn u64_at(page: &Page, at: usize) -> u64 {
    u64::from_ne_bytes(bytes(page, at))
}

/// A page with a `struct iommu_ser`.
pub(crate) mod header {
    use super::*;

    /// Whether nothing is set that has no meaning here.
    pub(crate) fn is_known(page: &Page) -> bool {
        u32_at(page, 12) == 0
    }

    /// Number of units.
    pub(crate) fn nr_units(page: &Page) -> Result<usize, Fault> {
        let version = u32_at(page, 0);
        let count = u32_at(page, 4);

        if version != VERSION {
            return Err(Fault::Version(version));
        }
        match usize::try_from(count) {
            Ok(units) if units <= MAX_UNITS => Ok(units),
            _ => Err(Fault::Units(count)),
        }
    }

    /// A unit.
    pub(crate) fn unit(page: &Page, index: usize) -> Result<Unit, Fault> {
        let at = HEADER_SIZE + index * UNIT_SIZE;
        let mode = u32_at(page, at + 16);
        let unit = Unit {
            registers: u64_at(page, at),
            root: u64_at(page, at + 8),
            scalable: mode == SCALABLE,
        };
        let is_known = mode & !SCALABLE == 0 && u32_at(page, at + 20) == 0;
        // Whether it is the first with these registers.
        let is_new =
            (0..index).all(|other| u64_at(page, HEADER_SIZE + other * UNIT_SIZE) != unit.registers);

        if is_known && is_new {
            Ok(unit)
        } else {
            Err(Fault::Unit(index))
        }
    }

    /// Number of domains, and where the list begins.
    pub(crate) fn domains(page: &Page) -> (u32, u64) {
        (u32_at(page, 8), u64_at(page, 16))
    }
}

/// A page with a `struct iommu_domain_ser`.
pub(crate) mod domain {
    use super::*;

    /// Whether nothing is set that has no meaning here.
    pub(crate) fn is_known(page: &Page, nr_devices: usize) -> bool {
        let reserved: [u8; 5] = bytes(page, 8 + 11);

        reserved == [0; 5]
            && u32_at(page, 44) == 0
            && (0..nr_devices)
                .all(|index| u32_at(page, DOMAIN_SIZE + index * DEVICE_SIZE + 12) == 0)
    }

    /// Where the next one is, or zero.
    pub(crate) fn next(page: &Page) -> u64 {
        u64_at(page, 0)
    }

    /// The page tables.
    pub(crate) fn table(page: &Page) -> Table {
        Table(bytes(page, 8))
    }

    /// What it claims for the number of devices.
    pub(crate) fn nr_devices(page: &Page) -> u32 {
        u32_at(page, 40)
    }

    /// A device.
    pub(crate) fn device(page: &Page, index: usize) -> Device {
        let at = DOMAIN_SIZE + index * DEVICE_SIZE;

        Device {
            segment: u32_at(page, at),
            bdf: u16::from_ne_bytes(bytes(page, at + 4)),
            did: u16::from_ne_bytes(bytes(page, at + 6)),
            unit: u32_at(page, at + 8),
        }
    }
}

/// Where the pages are that a hand-over leads to.
pub(crate) trait Source {
    /// A page, for as long as it is looked at.
    type Page: AsRef<Page>;

    /// Returns the page at an address, once; `None` if it was not handed over.
    fn claim(&mut self, phys: u64) -> Option<Self::Page>;
}

/// Where that goes which was read.
pub(crate) trait Sink {
    /// Takes a unit, in the order of their indices.
    fn unit(&mut self, unit: Unit) -> Result<(), Fault>;

    /// Takes a domain, in the order of their numbers.
    fn domain(&mut self, table: Table) -> Result<(), Fault>;

    /// Takes a device of the domain that was taken last.
    fn device(&mut self, device: Device) -> Result<(), Fault>;
}

/// Reads a hand-over.
pub(crate) fn read(
    header: &Page,
    source: &mut impl Source,
    sink: &mut impl Sink,
) -> Result<(), Fault> {
    let nr_units = header::nr_units(header)?;

    if !header::is_known(header) {
        return Err(Fault::Unknown);
    }
    for index in 0..nr_units {
        sink.unit(header::unit(header, index)?)?;
    }

    let (claimed, mut next) = header::domains(header);
    let mut found = 0;

    while next != 0 {
        if found == claimed || found == MAX_DOMAINS {
            return Err(Fault::Domains {
                claimed,
                found: found + 1,
            });
        }
        let page = source.claim(next).ok_or(Fault::Domain(found))?;
        let page = page.as_ref();
        let count = domain::nr_devices(page);
        let nr_devices = usize::try_from(count)
            .ok()
            .filter(|&count| count != 0 && count <= MAX_DEVICES)
            .ok_or(Fault::Devices(found, count))?;

        if !domain::is_known(page, nr_devices) {
            return Err(Fault::Unknown);
        }
        sink.domain(domain::table(page))?;
        for index in 0..nr_devices {
            let device = domain::device(page, index);

            if usize::try_from(device.unit).map_or(true, |unit| unit >= nr_units) {
                return Err(Fault::Device(device.segment, device.bdf));
            }
            sink.device(device)?;
        }
        next = domain::next(page);
        found += 1;
    }

    if found == claimed {
        Ok(())
    } else {
        Err(Fault::Domains { claimed, found })
    }
}

/// Checks the devices of all domains, each with its number, and sorts them by address.
pub(crate) fn check(nr_units: usize, devices: &mut [(u32, Device)]) -> Result<(), Fault> {
    devices.sort_unstable_by_key(|(_, device)| device.address());
    for pair in devices.windows(2) {
        if let [(_, a), (_, b)] = pair {
            if a.address() == b.address() {
                return Err(Fault::Device(b.segment, b.bdf));
            }
        }
    }

    // By unit: each must have a device, and on each, domains and their ids must go together.
    devices.sort_unstable_by_key(|(domain, device)| (device.unit, device.did, *domain));
    let is_used = |unit| {
        devices
            .iter()
            .any(|(_, device)| device.unit as usize == unit)
    };

    if let Some(unused) = (0..nr_units).find(|&unit| !is_used(unit)) {
        return Err(Fault::Unit(unused));
    }
    for pair in devices.windows(2) {
        if let [(one, a), (other, b)] = pair {
            if (a.unit, a.did) == (b.unit, b.did) && one != other {
                return Err(Fault::DomainId(b.segment, b.bdf));
            }
        }
    }
    devices.sort_unstable_by_key(|(domain, device)| (device.unit, *domain, device.did));
    for pair in devices.windows(2) {
        if let [(one, a), (other, b)] = pair {
            if (a.unit, one) == (b.unit, other) && a.did != b.did {
                return Err(Fault::DomainId(b.segment, b.bdf));
            }
        }
    }

    devices.sort_unstable_by_key(|(_, device)| device.address());
    Ok(())
}

/// Looks a device up among those that were checked, and returns its index.
pub(crate) fn find(devices: &[(u32, Device)], segment: u32, bdf: u16) -> Option<usize> {
    devices
        .binary_search_by_key(&(segment, bdf), |(_, device)| device.address())
        .ok()
}
