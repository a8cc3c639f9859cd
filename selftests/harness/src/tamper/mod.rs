// SPDX-License-Identifier: GPL-2.0-only

//! Changes the PCI hand-over in guest memory, between two kernels.
//!
//! The guest's memory is a file that QEMU shares. While the VM stands still after the jump, everything that the old kernel hands over is in
//! it, and the next one has not read any of it. All places are found (see `find`) before the first change, so a changed
//! pointer does not lead the next change astray.

mod find;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::unix::fs::FileExt;

use plan::{Change, Edit, Place, Tamper, Value};

use find::Handover;

/// Guest memory as a file. On q35, what does not fit below 4 GiB continues there.
pub(crate) struct Memory {
    file: File,
    length: u64,
}

/// Size from which QEMU splits the memory of a q35, and what then stays below 4 GiB.
const SPLIT_FROM: u64 = 0xb000_0000;
const SPLIT_AT: u64 = 0x8000_0000;
const FOUR_GIB: u64 = 1 << 32;

impl Memory {
    /// Takes the file that QEMU was given.
    pub(crate) fn new(file: File) -> Result<Self, String> {
        let length = file.metadata().map_err(|error| format!("the memory file: {error}"))?.len();
        Ok(Self { file, length })
    }

    /// Where a physical address lies in the file.
    fn offset(&self, address: u64, length: u64) -> Result<u64, String> {
        let low = if self.length < SPLIT_FROM { self.length } else { SPLIT_AT };
        let fits = |at: u64, end: u64| at.checked_add(length).is_some_and(|last| last <= end);
        if fits(address, low) {
            return Ok(address);
        }
        match address.checked_sub(FOUR_GIB).and_then(|above| above.checked_add(low)) {
            Some(at) if low < self.length && fits(at, self.length) => Ok(at),
            _ => Err(format!("{length} bytes at {address:#x} are not in the guest's memory")),
        }
    }

    fn read<const N: usize>(&self, address: u64) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        let at = self.offset(address, N as u64)?;
        self.file.read_exact_at(&mut bytes, at).map_err(|error| format!("the memory file: {error}"))?;
        Ok(bytes)
    }

    fn u64(&self, address: u64) -> Result<u64, String> {
        self.read(address).map(u64::from_le_bytes)
    }

    fn u32(&self, address: u64) -> Result<u32, String> {
        self.read(address).map(u32::from_le_bytes)
    }

    fn u16(&self, address: u64) -> Result<u16, String> {
        self.read(address).map(u16::from_le_bytes)
    }

    fn field(&self, address: u64, width: u32) -> Result<u64, String> {
        Ok(match width {
            1 => u64::from(self.read::<1>(address)?[0]),
            2 => u64::from(self.u16(address)?),
            4 => u64::from(self.u32(address)?),
            _ => self.u64(address)?,
        })
    }

    fn write(&self, address: u64, width: u32, value: u64) -> Result<(), String> {
        let at = self.offset(address, u64::from(width))?;
        let bytes = value.to_le_bytes();
        self.file.write_all_at(&bytes[..width as usize], at).map_err(|error| format!("the memory file: {error}"))
    }
}

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
    }
}

/// As a scenario writes it.
pub(crate) fn name(place: Place) -> String {
    match place {
        Place::Flb => "flb".into(),
        Place::Header => "header".into(),
        Place::Block(number) => format!("block {number}"),
        Place::Entry(number) => format!("entry {number}"),
    }
}
