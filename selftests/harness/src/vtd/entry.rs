// SPDX-License-Identifier: GPL-2.0-only

//! The entry of a device.

use super::{Kind, Piece, Words};

const PRESENT: u64 = 1;
pub(super) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Bits of the root table's register that say which mode the unit is in.
const MODE_SHIFT: u32 = 10;
const MODE_MASK: u64 = 3;

/// Enables page requests, in a context entry of scalable mode.
pub(crate) const PAGE_REQUESTS: u64 = 1 << 4;

/// A unit, as its register for the root table describes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unit {
    /// Where the root table is.
    pub(crate) root: u64,
    /// Whether it is in scalable mode.
    pub(crate) scalable: bool,
}

/// What the entry of a device says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Translation {
    /// Whether it is the first stage, with tables in the format of x86-64.
    pub(crate) first_stage: bool,
    /// Where the uppermost table is.
    pub(crate) top: u64,
    /// The level of that one; the lowest has 0.
    pub(crate) top_level: u8,
}

/// Everything that leads to the page tables of a device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Path {
    /// In the order of the way.
    pub(crate) pieces: Vec<Piece>,
}

impl Path {
    /// The next entry on the way; it must be there and say that it is in use.
    fn entry<const N: usize>(&mut self, memory: &impl Words, kind: Kind, address: u64) -> Result<[u64; N], String> {
        self.pieces.push(Piece { kind, address, words: N });
        let mut words = [0; N];
        for (word, at) in words.iter_mut().zip((address..).step_by(8)) {
            *word = memory
                .word(at)
                .ok_or_else(|| format!("its {kind} would be at {address:#x}, where there is no memory"))?;
        }
        if words[0] & PRESENT == 0 {
            return Err(format!("its {kind} at {address:#x} is not in use"));
        }
        Ok(words)
    }
}

impl Unit {
    /// From the register.
    pub(crate) fn new(register: u64) -> Result<Self, String> {
        let scalable = match register >> MODE_SHIFT & MODE_MASK {
            0 => false,
            1 => true,
            other => return Err(format!("the unit is in mode {other}, which is neither legacy nor scalable")),
        };
        Ok(Self { root: register & ADDRESS, scalable })
    }

    /// The way to the page tables of a device, which is named by bus, device and function number. What was passed is told even if it ends
    /// early.
    pub(crate) fn path(self, memory: &impl Words, device: u16) -> (Path, Result<Translation, String>) {
        let mut path = Path::default();
        let [bus, devfn] = device.to_be_bytes().map(u64::from);
        let entry = self.root + bus * 16;
        let translation = if self.scalable {
            path.scalable(memory, entry + (devfn >> 7) * 8, devfn & 0x7f)
        } else {
            path.legacy(memory, entry, devfn)
        };
        (path, translation)
    }
}

impl Path {
    fn legacy(&mut self, memory: &impl Words, root: u64, devfn: u64) -> Result<Translation, String> {
        let [root, _] = self.entry(memory, Kind::Root, root)?;
        let [low, high] = self.entry(memory, Kind::Context, (root & ADDRESS) + devfn * 16)?;
        // 0 and 1 go through page tables, 1 with a TLB of the device.
        if low >> 2 & 3 > 1 {
            return Err("its context entry does not lead to page tables".to_owned());
        }
        second_stage(low, high & 7)
    }

    fn scalable(&mut self, memory: &impl Words, root: u64, index: u64) -> Result<Translation, String> {
        let [root] = self.entry(memory, Kind::Root, root)?;
        let [context, pasid, ..] = self.entry::<4>(memory, Kind::Context, (root & ADDRESS) + index * 32)?;
        // What comes without a PASID gets this one.
        let pasid = pasid & 0xf_ffff;
        if pasid >> 6 >= 1 << ((context >> 9 & 7) + 7) {
            return Err(format!("its PASID is {pasid:#x}, for which its directory is too small"));
        }
        let [directory] = self.entry(memory, Kind::PasidDirectory, (context & ADDRESS) + (pasid >> 6) * 8)?;
        let address = (directory & ADDRESS) + (pasid & 0x3f) * 64;
        let [first, _, third, ..] = self.entry::<8>(memory, Kind::Pasid, address)?;
        match first >> 6 & 7 {
            1 => first_stage(third),
            2 => second_stage(first, first >> 2 & 7),
            other => Err(format!("its PASID entry is of type {other}, which is neither first nor second stage alone")),
        }
    }
}

fn first_stage(word: u64) -> Result<Translation, String> {
    let top_level = match word >> 2 & 3 {
        0 => 3,
        1 => 4,
        other => return Err(format!("its PASID entry wants paging mode {other}, which there is none of")),
    };
    Ok(Translation { first_stage: true, top: word & ADDRESS, top_level })
}

fn second_stage(word: u64, width: u64) -> Result<Translation, String> {
    let top_level = match width {
        1 => 2,
        2 => 3,
        3 => 4,
        other => return Err(format!("its entry wants address width {other}, which there is none of")),
    };
    Ok(Translation { first_stage: false, top: word & ADDRESS, top_level })
}
