// SPDX-License-Identifier: GPL-2.0-only

//! Changes the hand-over of PCI devices in guest memory, between two kernels.
//!
//! The guest's memory is a file that QEMU shares. While the VM stands still after the jump, everything that the old kernel hands over is in
//! it, and the next one has not read any of it. All places are found (see `find`) before the first change, so a changed
//! pointer does not lead the next change astray.

mod find;
#[cfg(test)]
mod tests;

use plan::{Change, Edit, Place, Tamper, Value};

use crate::physical::Memory;
use find::Handover;

/// Makes the changes and tells what each did, one line for each. An error says what could not be found; then nothing
/// was changed.
pub(crate) fn tamper(memory: &Memory, tamper: &Tamper) -> Result<Vec<String>, String> {
    let handover = Handover::find(memory)?;
    let resolve = |edit: &Edit| {
        let address = handover.address(memory, edit.at)?.checked_add(edit.offset).ok_or("the offset is too large")?;
        let change = match edit.change {
            Change::Set(Value::AddressOf(of)) => Change::Set(Value::Number(handover.address(memory, of.address_of)?)),
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
        Place::Flb => find::FLB_BYTES,
        Place::Header => find::HEADER_BYTES,
        Place::Block(_) => find::PAGE,
        Place::Entry(_) => find::ENTRY_BYTES,
        Place::VfioFile(_) => find::PAGE,
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
    }
}
