// SPDX-License-Identifier: GPL-2.0-only

//! Finds the hand-over of IOMMUs, and the tables that it speaks of, along the pointers that the next kernel will follow.
//!
//! 1. LUO's FLB `iommu-running` (see `find`) points to
//! 2. `struct iommu_ser { u32 version, nr_units, nr_domains, reserved; u64 domains; }` and behind it the units,
//!    `struct iommu_unit_ser { u64 registers, root; u32 mode, reserved; }`. It points to
//! 3. a list of pages with `struct iommu_domain_ser { u64 next; struct pt_iommu_ser table; u32 nr_devices, reserved; }`, which has
//! 4. `struct pt_iommu_ser { u32 format, features; u8 top_level, va_bits, oa_bits, reserved[5]; u64 nr_tables, top; }`, and behind it
//! 5. the devices, `struct iommu_dev_ser { u32 segment; u16 bdf, did; u32 unit, reserved; }`.
//!
//! A device's unit and address lead to the entries that the IOMMU [reads](crate::vtd) for it, a domain's `top` to its page tables.
//!
//! Rules: `include/linux/kho/abi/iommu.h` in the kernel tree.

use plan::{Attached, Level, Place};

use crate::physical::Memory;
use crate::vtd::{self, Kind, PAGE, Translation, Unit};

/// Bytes of the structures.
pub(super) const HEADER_BYTES: u64 = 24;
pub(super) const UNIT_BYTES: u64 = 24;
pub(super) const DOMAIN_BYTES: u64 = 48;
pub(super) const TABLE_BYTES: u64 = 32;
pub(super) const DEVICE_BYTES: u64 = 16;

/// Offsets.
const DOMAINS: u64 = 16;
const UNIT_ROOT: u64 = 8;
const UNIT_MODE: u64 = 16;
const TABLE: u64 = 8;
const TABLE_LEVEL: u64 = 8;
const TABLE_TOP: u64 = 24;
const DEVICE_BDF: u64 = 4;
const DEVICE_UNIT: u64 = 8;

const SCALABLE: u32 = 1;
const FIRST_STAGE: u32 = 2;

/// The address of a place; `header` is what the FLB points to.
pub(super) fn address(memory: &Memory, header: u64, place: Place) -> Result<u64, String> {
    match place {
        Place::IommuUnit(number) => in_page(header, HEADER_BYTES, UNIT_BYTES, number, "units"),
        Place::IommuDomain(number) => domain(memory, header, number),
        Place::IommuTable(number) => Ok(domain(memory, header, number)? + TABLE),
        Place::IommuDevice(at) => device(memory, header, at),
        Place::RootEntry(at) => entry(memory, header, at, Kind::Root),
        Place::ContextEntry(at) => entry(memory, header, at, Kind::Context),
        Place::PasidDirectoryEntry(at) => entry(memory, header, at, Kind::PasidDirectory),
        Place::PasidEntry(at) => entry(memory, header, at, Kind::Pasid),
        Place::PageTable(at) => Ok(page_table(memory, header, at)?.0),
        Place::PageTableEntry(at) => {
            let (table, used) = page_table(memory, header, at)?;
            used.map(|index| table + index as u64 * 8).ok_or_else(|| format!("the page table at {table:#x} is empty"))
        }
        _ => Ok(header),
    }
}

/// A place in an array that is behind something in its page. It need not be in use.
fn in_page(page: u64, before: u64, bytes: u64, number: u64, what: &str) -> Result<u64, String> {
    let room = (PAGE - before) / bytes;
    if number < room {
        Ok(page + before + number * bytes)
    } else {
        Err(format!("there is room for {room} {what} only"))
    }
}

fn domain(memory: &Memory, header: u64, number: u64) -> Result<u64, String> {
    let mut page = memory.u64(header + DOMAINS)?;
    for passed in 0..=number {
        if page == 0 || !page.is_multiple_of(PAGE) {
            return Err(format!("there are only {passed} domains"));
        }
        if passed < number {
            page = memory.u64(page)?;
        }
    }
    Ok(page)
}

fn device(memory: &Memory, header: u64, Attached { domain: number, device }: Attached) -> Result<u64, String> {
    in_page(domain(memory, header, number)?, DOMAIN_BYTES, DEVICE_BYTES, device, "devices")
}

/// What leads to the page tables of a device.
fn entry(memory: &Memory, header: u64, at: Attached, wanted: Kind) -> Result<u64, String> {
    let device = device(memory, header, at)?;
    let unit = u64::from(memory.u32(device + DEVICE_UNIT)?);
    let unit = in_page(header, HEADER_BYTES, UNIT_BYTES, unit, "units")?;
    let scalable = memory.u32(unit + UNIT_MODE)? & SCALABLE != 0;
    let unit = Unit { root: memory.u64(unit + UNIT_ROOT)?, scalable };
    let (path, translation) = unit.path(memory, memory.u16(device + DEVICE_BDF)?);
    let piece = path.pieces.iter().find(|piece| piece.kind == wanted);
    match (piece, translation) {
        (Some(piece), _) => Ok(piece.address),
        (None, Err(why)) => Err(why),
        (None, Ok(_)) => Err(format!("the unit is in legacy mode, in which there is no {wanted}")),
    }
}

/// The first table of a level, and its first entry in use.
fn page_table(
    memory: &Memory,
    header: u64,
    Level { domain: number, level }: Level,
) -> Result<(u64, Option<usize>), String> {
    let table = domain(memory, header, number)? + TABLE;
    let translation = Translation {
        first_stage: memory.u32(table)? == FIRST_STAGE,
        top: memory.u64(table + TABLE_TOP)?,
        top_level: memory.read::<1>(table + TABLE_LEVEL)?[0],
    };
    let tables = vtd::walk(memory, translation)?;
    let table = tables.iter().find(|table| u64::from(table.level) == level);
    let table = table.ok_or_else(|| format!("domain {number} has no page table of level {level}"))?;
    Ok((table.address, table.used(translation).next()))
}
