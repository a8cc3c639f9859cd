// SPDX-License-Identifier: GPL-2.0-only

//! Finds the hand-over of PCI devices and IOMMUs in guest memory, along the pointers that the next kernel will follow.
//!
//! 1. LUO's root, `struct luo_ser { char compatible[8]; u64 liveupdate_num, sessions_pa, flbs_pa; }`, is searched for by its compatible
//!    string, which also lies about in kernels and in roots of earlier live updates. Only one whose `flbs_pa` leads
//!    to a table of FLBs with a sane hand-over counts, and of these the one with the highest number. It must be the only one.
//! 2. `struct luo_flb_header_ser { u64 pgcnt, count; }`, followed by `struct luo_flb_ser { char name[48]; u64 data, count; }`; the
//!    one called `pci` points to
//! 3. `struct pci_ser { u32 version, nr_devices; u64 devices; }`, version 2, which points to
//! 4. a chain of `struct kho_block_header_ser { u64 next, count; }`, each followed by
//! 5. `struct pci_dev_ser { u32 domain; u16 bdf, refcount; }`, free if refcount is 0.
//!
//! In the same table, `iommu-running` leads to the IOMMUs, see `iommu`.
//!
//! The files are found from `sessions_pa` of the same root: it leads to such a chain of blocks, with
//! `struct luo_session_ser { char name[64]; u64 files, count; }`; `files` to another, with
//! `struct luo_file_ser { char compatible[48]; u64 data, token; }`; and `data` of a file of vfio-pci to
//! `struct vfio_pci_core_device_ser`, a page.
//!
//! Rules: `include/linux/kho/abi/` in the kernel tree.

use plan::Place;

use super::iommu;
use crate::physical::Memory;

pub(super) const PAGE: u64 = 4096;
pub(super) const FLB_BYTES: u64 = 64;
pub(super) const HEADER_BYTES: u64 = 16;
pub(super) const ENTRY_BYTES: u64 = 8;
const BLOCK_HEADER: u64 = 16;
const TABLE_HEADER: u64 = 16;
const NAME_BYTES: usize = 48;
const ENTRIES: u64 = (PAGE - BLOCK_HEADER) / ENTRY_BYTES;
const VERSION: u32 = 2;
/// Says beside the version that an IOMMU goes on translating for the devices.
const LIVE_TRANSLATION: u32 = 1 << 31;
const SESSION_BYTES: u64 = 80;
const SESSION_FILES: u64 = 64;
const FILE_BYTES: u64 = 64;
const FILE_DATA: u64 = 48;
/// More blocks than a scenario makes; a chain that goes on is a circle.
const BLOCKS: usize = 64;

/// Begins the compatible string of LUO's root, whatever its version.
const LUO: &[u8] = b"luo-v";
/// Begins the compatible string of vfio-pci's files, whatever its version.
const VFIO: &[u8] = b"vfio-pci-";
/// The name of the PCI core's FLB, with its end.
const PCI: &[u8] = b"pci\0";
/// The name of the IOMMU core's, with its end.
const IOMMU: &[u8] = b"iommu-running\0";
/// How much of the memory is looked at in one go.
const CHUNK: usize = 1 << 20;

/// Physical addresses of the hand-over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Handover {
    root: u64,
    flb: u64,
    header: u64,
    block: u64,
    /// LUO's entry for IOMMUs, if there is one.
    iommu: Option<u64>,
}

impl Handover {
    /// Finds it.
    pub(super) fn find(memory: &Memory) -> Result<Self, String> {
        let mut found: Vec<(u64, Self)> = Vec::new();
        for root in roots(memory)? {
            // Most are no roots at all, or old ones; those lead nowhere.
            if let Ok(handover) = Self::from_root(memory, root)
                && let Ok(number) = memory.u64(root + 8)
            {
                found.push((number, handover));
            }
        }
        let newest = found.iter().map(|(number, _)| *number).max();
        let mut newest = found.iter().filter(|(number, _)| Some(*number) == newest).map(|(_, handover)| *handover);
        match (newest.next(), newest.next()) {
            (Some(one), None) => Ok(one),
            (Some(one), Some(other)) => Err(format!(
                "guest memory has two PCI hand-overs of the same live update, at {:#x} and {:#x}",
                one.flb, other.flb
            )),
            (None, _) => Err("guest memory has no PCI hand-over: no FLB `pci` with version 2 and sane pointers".into()),
        }
    }

    fn from_root(memory: &Memory, root: u64) -> Result<Self, String> {
        let table = memory.u64(root + 24)?;
        let (pages, count) = (memory.u64(table)?, memory.u64(table + 8)?);
        if !aligned(table, PAGE) || !(1..=16).contains(&pages) || count > (pages * PAGE - TABLE_HEADER) / FLB_BYTES {
            return Err("no table of FLBs".into());
        }
        let named = |wanted: &[u8]| {
            let mut flbs = (0..count).map(|index| table + TABLE_HEADER + index * FLB_BYTES);
            flbs.find(|flb| memory.read::<NAME_BYTES>(*flb).is_ok_and(|name| name.starts_with(wanted)))
        };
        let flb = named(PCI).ok_or("no FLB of the PCI core")?;
        let header = memory.u64(flb + NAME_BYTES as u64)?;
        let version = memory.u32(header)?;
        let block = memory.u64(header + 8)?;
        if !aligned(header, 8)
            || version & !LIVE_TRANSLATION != VERSION
            || !aligned(block, PAGE)
            || memory.u64(block + 8)? > ENTRIES
        {
            return Err("not sane".into());
        }
        Ok(Self { root, flb, header, block, iommu: named(IOMMU) })
    }

    /// The physical address of a structure.
    pub(super) fn address(&self, memory: &Memory, place: Place) -> Result<u64, String> {
        match place {
            Place::Flb => Ok(self.flb),
            Place::Header => Ok(self.header),
            Place::Block(number) => {
                let mut block = self.block;
                for passed in 0..number {
                    block = memory.u64(block)?;
                    if !aligned(block, PAGE) {
                        return Err(format!("there are only {} blocks", passed + 1));
                    }
                }
                Ok(block)
            }
            Place::Entry(number) => {
                let entries =
                    (0..memory.u64(self.block + 8)?).map(|index| self.block + BLOCK_HEADER + index * ENTRY_BYTES);
                let mut used = Vec::new();
                for entry in entries {
                    if memory.u16(entry + 6)? != 0 {
                        used.push(entry);
                    }
                }
                let at = usize::try_from(number).ok().and_then(|number| used.get(number));
                at.copied().ok_or_else(|| format!("block 0 has only {} entries in use", used.len()))
            }
            Place::VfioFile(number) => {
                let files = self.vfio_files(memory)?;
                let at = usize::try_from(number).ok().and_then(|number| files.get(number));
                at.copied().ok_or_else(|| format!("there are only {} files of vfio-pci", files.len()))
            }
            place => {
                let flb = self.iommu.ok_or("nothing of an IOMMU was handed over: no FLB `iommu-running`")?;
                if place == Place::IommuFlb {
                    return Ok(flb);
                }
                iommu::address(memory, memory.u64(flb + NAME_BYTES as u64)?, place)
            }
        }
    }

    /// What the files of vfio-pci point to.
    fn vfio_files(&self, memory: &Memory) -> Result<Vec<u64>, String> {
        let mut found = Vec::new();
        for session in chain(memory, memory.u64(self.root + 16)?, SESSION_BYTES)? {
            for file in chain(memory, memory.u64(session + SESSION_FILES)?, FILE_BYTES)? {
                if memory.read::<{ VFIO.len() }>(file)? == VFIO {
                    found.push(memory.u64(file + FILE_DATA)?);
                }
            }
        }
        Ok(found)
    }
}

/// The entries of a chain of blocks; none if there is no first one.
fn chain(memory: &Memory, first: u64, bytes: u64) -> Result<Vec<u64>, String> {
    let (mut entries, mut block) = (Vec::new(), first);
    for _ in 0..BLOCKS {
        if block == 0 {
            return Ok(entries);
        }
        let count = memory.u64(block + 8)?;
        if !aligned(block, PAGE) || count > (PAGE - BLOCK_HEADER) / bytes {
            return Err(format!("{block:#x} is no block of sessions or files"));
        }
        entries.extend((0..count).map(|index| block + BLOCK_HEADER + index * bytes));
        block = memory.u64(block)?;
    }
    Err(format!("the chain of blocks that begins at {first:#x} does not end"))
}

/// Not null, and a multiple.
fn aligned(address: u64, to: u64) -> bool {
    address != 0 && address.is_multiple_of(to)
}

/// Wherever a root may be.
fn roots(memory: &Memory) -> Result<Vec<u64>, String> {
    let mut found = Vec::new();
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < memory.length() {
        let length = CHUNK.min(usize::try_from(memory.length() - at).unwrap_or(CHUNK));
        let chunk = &mut buffer[..length];
        memory.fill(chunk, at)?;
        for (index, word) in chunk.chunks_exact(8).enumerate() {
            if word.starts_with(LUO) {
                found.push(memory.address(at + index as u64 * 8));
            }
        }
        at += length as u64;
    }
    Ok(found)
}
