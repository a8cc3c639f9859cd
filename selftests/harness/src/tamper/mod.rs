// SPDX-License-Identifier: GPL-2.0-only

//! Changes the hand-over of PCI devices and IOMMUs in guest memory, between two kernels.
//!
//! The guest's memory is a file that QEMU shares. While the VM stands still after the jump, everything that the old kernel hands over is in
//! it, and the next one has not read any of it. All places are found (see `find`) before the first change, so a changed
//! pointer does not lead the next change astray.

mod find;
mod iommu;
#[cfg(test)]
mod tests;

use plan::{Attached, Change, Edit, Level, Place, Tamper, Value};

use crate::physical::Memory;
use find::Handover;

/// Makes the changes and tells what each did, one line for each. An error says what could not be found; then nothing
/// was changed.
pub(crate) fn tamper(memory: &Memory, tamper: &Tamper) -> Result<Vec<String>, String> {
    let handover = Handover::find(memory)?;
    let resolve = |edit: &Edit| {
        let address = handover.address(memory, edit.at)?.checked_add(edit.offset).ok_or("the offset is too large")?;
        let change = match edit.change {
            Change::Set(Value::AddressOf(of)) => {
                Change::Set(Value::Number(handover.address(memory, of.address_of)?.wrapping_add(of.plus)))
            }
            ref change => change.clone(),
        };
        memory.offset(address, u64::from(edit.width))?;
        Ok::<_, String>((address, change))
    };
    let resolved = tamper.edits.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
    let mut done = Vec::new();
    for (edit, (address, change)) in tamper.edits.iter().zip(resolved) {
        let Edit { at, offset, width, .. } = edit;
        let old = memory.field(address, *width)?;
        let new = match change {
            Change::Xor(bits) => old ^ bits,
            Change::Set(Value::Number(value)) => value,
            Change::Set(Value::AddressOf(_)) => continue,
        };
        memory.write(address, *width, new)?;
        done.push(format!("{} + {offset:#x}, {width} bytes at {address:#x}: {old:#x} -> {new:#x}", name(*at)));
    }
    Ok(done)
}

/// How many bytes a place has; an edit must stay inside.
pub(crate) fn size(place: Place) -> u64 {
    match place {
        Place::Flb | Place::IommuFlb => find::FLB_BYTES,
        Place::Header => find::HEADER_BYTES,
        Place::Block(_) => find::PAGE,
        Place::Entry(_) => find::ENTRY_BYTES,
        Place::VfioFile(_) => find::PAGE,
        Place::IommuHeader => iommu::HEADER_BYTES,
        Place::IommuUnit(_) => iommu::UNIT_BYTES,
        Place::IommuDomain(_) => iommu::DOMAIN_BYTES,
        Place::IommuTable(_) => iommu::TABLE_BYTES,
        Place::IommuDevice(_) => iommu::DEVICE_BYTES,
        Place::RootEntry(_) | Place::PasidDirectoryEntry(_) | Place::PageTableEntry(_) => 8,
        Place::ContextEntry(_) => 16,
        Place::PasidEntry(_) => 64,
        Place::PageTable(_) => find::PAGE,
    }
}

/// As a scenario writes it.
pub(crate) fn name(place: Place) -> String {
    match place {
        Place::Flb => "flb".into(),
        Place::Header => "header".into(),
        Place::Block(number) => format!("block {number}"),
        Place::Entry(number) => format!("entry {number}"),
        Place::VfioFile(number) => format!("vfio-file {number}"),
        Place::IommuFlb => "iommu-flb".into(),
        Place::IommuHeader => "iommu-header".into(),
        Place::IommuUnit(number) => format!("iommu-unit {number}"),
        Place::IommuDomain(number) => format!("iommu-domain {number}"),
        Place::IommuTable(number) => format!("iommu-table {number}"),
        Place::IommuDevice(at) => format!("iommu-device {}", attached(at)),
        Place::RootEntry(at) => format!("root-entry {}", attached(at)),
        Place::ContextEntry(at) => format!("context-entry {}", attached(at)),
        Place::PasidDirectoryEntry(at) => format!("pasid-directory-entry {}", attached(at)),
        Place::PasidEntry(at) => format!("pasid-entry {}", attached(at)),
        Place::PageTable(at) => format!("page-table {}", level(at)),
        Place::PageTableEntry(at) => format!("page-table-entry {}", level(at)),
    }
}

fn attached(Attached { domain, device }: Attached) -> String {
    format!("{domain}/{device}")
}

fn level(Level { domain, level }: Level) -> String {
    format!("{domain}/level {level}")
}
