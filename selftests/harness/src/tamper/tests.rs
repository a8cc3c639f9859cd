// SPDX-License-Identifier: GPL-2.0-only

//! Made-up memory.

use plan::{AddressOf, Attached, Level};

use super::*;

const ROOT: u64 = 0x5008;
const TABLE: u64 = 0x7000;
const FLB: u64 = TABLE + 16 + 64;
const HEADER: u64 = 0x9008;
const BLOCKS: [u64; 2] = [0xa000, 0xc000];

fn put(memory: &Memory, at: u64, bytes: &[u8]) {
    memory.put(bytes, at).unwrap();
}

fn put64(memory: &Memory, at: u64, values: &[u64]) {
    for (at, value) in (at..).step_by(8).zip(values) {
        put(memory, at, &value.to_le_bytes());
    }
}

fn empty() -> Memory {
    let file = tempfile::tempfile().unwrap();
    file.set_len(3 << 20).unwrap();
    Memory::new(file).unwrap()
}

/// A live update with two blocks; of the first one's three entries, the second is free.
fn image() -> Memory {
    let memory = empty();
    // A kernel's own copy of the string, a root whose pointers lead out of memory, and one that is not aligned.
    put(&memory, 0x1000, b"luo-v5\0\0luo core\0");
    put(&memory, 0x2000, b"luo-v5\0\0");
    put64(&memory, 0x2008, &[9, u64::MAX, u64::MAX]);
    put(&memory, 0x3004, b"luo-v5\0\0");
    root(&memory, ROOT, 2, TABLE);
    put64(&memory, TABLE, &[1, 2]);
    put(&memory, TABLE + 16, b"memfd\0");
    put(&memory, FLB, b"pci\0");
    put64(&memory, FLB + 48, &[HEADER, 1]);
    put(&memory, HEADER, &[2, 0, 0, 0, 3, 0, 0, 0]);
    put64(&memory, HEADER + 8, &[BLOCKS[0]]);
    put64(&memory, BLOCKS[0], &[BLOCKS[1], 3, 1 << 48 | 0x0300 << 32, 0, 2 << 48 | 0x0018 << 32]);
    put64(&memory, BLOCKS[1], &[0, 0]);
    memory
}

fn root(memory: &Memory, at: u64, number: u64, table: u64) {
    put(memory, at, b"luo-v5\0\0");
    put64(memory, at + 8, &[number, 0, table]);
}

const SESSIONS: [u64; 2] = [0xe000, 0xf000];
const FILES: [u64; 2] = [0x10000, 0x11000];

/// Two sessions, in a block each; a memfd and two devices.
fn with_files(memory: Memory) -> Memory {
    put64(&memory, ROOT + 16, &[SESSIONS[0]]);
    for (session, files, next) in [(SESSIONS[0], FILES[0], SESSIONS[1]), (SESSIONS[1], FILES[1], 0)] {
        put64(&memory, session, &[next, 1]);
        put64(&memory, session + 16 + 64, &[files, 1]);
    }
    put64(&memory, FILES[0], &[0, 2]);
    put(&memory, FILES[0] + 16, b"memfd-v2\0");
    put(&memory, FILES[0] + 80, b"vfio-pci-running-v1\0");
    put64(&memory, FILES[0] + 80 + 48, &[0x12000]);
    put64(&memory, FILES[1], &[0, 1]);
    put(&memory, FILES[1] + 16, b"vfio-pci-running-v1\0");
    put64(&memory, FILES[1] + 16 + 48, &[0x13000]);
    memory
}

#[test]
fn files_are_found_in_every_session() {
    let memory = with_files(image());
    let edits = [0, 1].map(|file| edit(Place::VfioFile(file), 4, 2, set(0x0100)));
    insta::assert_snapshot!(run(&memory, &edits).unwrap().join("\n"), @"
    vfio-file 0 + 0x4, 2 bytes at 0x12004: 0x0 -> 0x100
    vfio-file 1 + 0x4, 2 bytes at 0x13004: 0x0 -> 0x100
    ");
    assert_eq!(one(&memory, Place::VfioFile(2)).unwrap_err(), "there are only 2 files of vfio-pci");
    assert_eq!(one(&image(), Place::VfioFile(0)).unwrap_err(), "there are only 0 files of vfio-pci");
}

#[test]
fn chains_of_sessions_that_lead_astray_are_not_followed() {
    let memory = with_files(image());
    put64(&memory, SESSIONS[1], &[SESSIONS[0]]);
    assert_eq!(one(&memory, Place::VfioFile(0)).unwrap_err(), "the chain of blocks that begins at 0xe000 does not end");
    put64(&memory, SESSIONS[1], &[0, 52]);
    assert_eq!(one(&memory, Place::VfioFile(0)).unwrap_err(), "0xf000 is no block of sessions or files");
}

fn edit(at: Place, offset: u64, width: u32, change: Change) -> Edit {
    Edit { at, offset, width, change }
}

fn run(memory: &Memory, edits: &[Edit]) -> Result<Vec<String>, String> {
    tamper(memory, &Tamper { edits: edits.to_vec() })
}

fn set(value: u64) -> Change {
    Change::Set(Value::Number(value))
}

fn one(memory: &Memory, at: Place) -> Result<Vec<String>, String> {
    run(memory, &[edit(at, 0, 4, Change::Xor(0))])
}

#[test]
fn every_place_is_found_and_changed() {
    let memory = image();
    let to_first = Change::Set(Value::AddressOf(AddressOf { address_of: Place::Block(0), plus: 0 }));
    let edits = [
        edit(Place::Header, 0, 4, set(3)),
        // Found before the first change, so a pointer that leads astray does not matter.
        edit(Place::Header, 8, 8, set(0xdead)),
        edit(Place::Entry(1), 6, 2, Change::Xor(0x3)),
        edit(Place::Block(1), 0, 8, to_first),
        edit(Place::Flb, 56, 1, set(7)),
    ];
    insta::assert_snapshot!(run(&memory, &edits).unwrap().join("\n"), @"
    header + 0x0, 4 bytes at 0x9008: 0x2 -> 0x3
    header + 0x8, 8 bytes at 0x9010: 0xa000 -> 0xdead
    entry 1 + 0x6, 2 bytes at 0xa026: 0x2 -> 0x1
    block 1 + 0x0, 8 bytes at 0xc000: 0x0 -> 0xa000
    flb + 0x38, 1 bytes at 0x7088: 0x1 -> 0x7
    ");
    assert_eq!(memory.u64(HEADER), Ok(3 << 32 | 3), "what lies beside stays");
    assert_eq!(memory.u64(BLOCKS[0] + 32), Ok(1 << 48 | 0x0018 << 32));
    assert_eq!(memory.u64(BLOCKS[1]), Ok(BLOCKS[0]));
}

#[test]
fn an_earlier_live_update_is_not_meant() {
    let memory = image();
    let old = 0x20_0000;
    root(&memory, old - 0x1000, 1, old);
    put64(&memory, old, &[1, 1]);
    put(&memory, old + 16, b"pci\0");
    put64(&memory, old + 64, &[HEADER, 1]);
    assert_eq!(one(&memory, Place::Flb).unwrap(), ["flb + 0x0, 4 bytes at 0x7050: 0x696370 -> 0x696370"]);
    root(&memory, old - 0x1000, 2, old);
    insta::assert_snapshot!(one(&memory, Place::Flb).unwrap_err(), @"guest memory has two PCI hand-overs of the same live update, at 0x7050 and 0x200010");
}

#[test]
fn what_is_not_sane_is_not_touched() {
    let none = "guest memory has no PCI hand-over: no FLB `pci` with version 2 and sane pointers";
    assert_eq!(one(&empty(), Place::Flb).unwrap_err(), none);
    for (at, value) in [
        (HEADER, 3),              // the version
        (HEADER + 8, 0),          // no block
        (HEADER + 8, 0xa008),     // no page
        (HEADER + 8, 1 << 40),    // not in memory
        (BLOCKS[0] + 8, 511),     // too many entries
        (FLB + 48, u64::MAX - 3), // not in memory, and close to the end of all addresses
        (TABLE + 8, 1),           // the table ends before
        (TABLE, 17),              // no table
        (ROOT + 24, TABLE + 8),   // nor this
    ] {
        let memory = image();
        put64(&memory, at, &[value]);
        assert_eq!(one(&memory, Place::Flb).unwrap_err(), none, "{at:#x}");
    }
}

#[test]
fn what_is_not_there_stops_everything() {
    let memory = image();
    let first = edit(Place::Header, 0, 4, set(3));
    for (place, why) in
        [(Place::Entry(2), "block 0 has only 2 entries in use"), (Place::Block(2), "there are only 2 blocks")]
    {
        assert_eq!(run(&memory, &[first.clone(), edit(place, 0, 4, set(0))]).unwrap_err(), why);
    }
    assert_eq!(memory.u32(HEADER), Ok(2), "nothing was changed");
}

const IOMMU: u64 = 0x14000;
const DOMAINS: [u64; 2] = [0x15000, 0x16000];

/// The same with two domains: one in legacy mode, whose page tables have three levels, and one that leads nowhere.
fn with_iommu() -> Memory {
    let memory = image();
    put64(&memory, TABLE, &[1, 3]);
    put(&memory, FLB + 64, b"iommu-running\0");
    put64(&memory, FLB + 64 + 48, &[IOMMU]);
    // The PCI core is told of it.
    put(&memory, HEADER + 3, &[0x80]);
    put64(&memory, IOMMU, &[1 | 1 << 32, 2, DOMAINS[0], 0xfed9_0000, 0x17000, 0]);
    put64(&memory, DOMAINS[0], &[DOMAINS[1], 1, 2 | 39 << 8, 5, 0x19000, 2]);
    put64(&memory, DOMAINS[0] + 48, &[0x0005_0100 << 32, 0, 0x0005_0208 << 32, 0]);
    put64(&memory, DOMAINS[1], &[0, 1, 2, 1, u64::MAX << 12, 1, 0x0006_0300 << 32, 7]);
    put64(&memory, 0x17000 + 16, &[0x18001]);
    put64(&memory, 0x18000, &[0x19001, 5 << 8 | 1]);
    put64(&memory, 0x19000, &[0, 0x1a003]);
    put64(&memory, 0x1a000, &[0, 0, 0x1b003]);
    put64(&memory, 0x1b000, &[0, 0x40003]);
    memory
}

fn attached(domain: u64, device: u64) -> Attached {
    Attached { domain, device }
}

fn level(level: u64) -> Level {
    Level { domain: 0, level }
}

#[test]
fn every_place_of_an_iommu_is_found() {
    let memory = with_iommu();
    let first = Attached::default();
    let leaf = Change::Set(Value::AddressOf(AddressOf { address_of: Place::PageTable(level(0)), plus: 3 }));
    let edits = [
        edit(Place::IommuFlb, 56, 8, set(7)),
        edit(Place::IommuHeader, 0, 4, set(9)),
        edit(Place::IommuUnit(1), 0, 4, set(9)),
        edit(Place::IommuDomain(1), 40, 4, set(9)),
        edit(Place::IommuTable(0), 9, 1, set(48)),
        edit(Place::IommuDevice(attached(0, 1)), 4, 2, set(0x0100)),
        edit(Place::RootEntry(first), 0, 8, Change::Xor(1)),
        edit(Place::ContextEntry(first), 8, 8, Change::Xor(1 << 8)),
        edit(Place::PageTable(level(1)), 0, 8, leaf),
        edit(Place::PageTableEntry(level(0)), 0, 1, set(0)),
    ];
    insta::assert_snapshot!(run(&memory, &edits).unwrap().join("\n"), @r"
    iommu-flb + 0x38, 8 bytes at 0x70c8: 0x0 -> 0x7
    iommu-header + 0x0, 4 bytes at 0x14000: 0x1 -> 0x9
    iommu-unit 1 + 0x0, 4 bytes at 0x14030: 0x0 -> 0x9
    iommu-domain 1 + 0x28, 4 bytes at 0x16028: 0x1 -> 0x9
    iommu-table 0 + 0x9, 1 bytes at 0x15011: 0x27 -> 0x30
    iommu-device 0/1 + 0x4, 2 bytes at 0x15044: 0x208 -> 0x100
    root-entry 0/0 + 0x0, 8 bytes at 0x17010: 0x18001 -> 0x18000
    context-entry 0/0 + 0x8, 8 bytes at 0x18008: 0x501 -> 0x401
    page-table 0/level 1 + 0x0, 8 bytes at 0x1a000: 0x0 -> 0x1b003
    page-table-entry 0/level 0 + 0x0, 1 bytes at 0x1b008: 0x3 -> 0x0
    ");
}

#[test]
fn places_of_an_iommu_that_are_not_there() {
    let errors: Vec<_> = [
        Place::IommuUnit(169),
        Place::IommuDomain(2),
        Place::IommuDevice(attached(0, 253)),
        Place::ContextEntry(attached(0, 1)),
        Place::PasidEntry(attached(0, 0)),
        Place::ContextEntry(attached(1, 0)),
        Place::PageTable(level(3)),
        Place::PageTable(Level { domain: 1, level: 0 }),
    ]
    .into_iter()
    .map(|place| format!("{}: {}", name(place), one(&with_iommu(), place).unwrap_err()))
    .collect();
    insta::assert_snapshot!(errors.join("\n"), @r"
    iommu-unit 169: there is room for 169 units only
    iommu-domain 2: there are only 2 domains
    iommu-device 0/253: there is room for 253 devices only
    context-entry 0/1: its root entry at 0x17020 is not in use
    pasid-entry 0/0: the unit is in legacy mode, in which there is no PASID entry
    context-entry 1/0: its root entry at 0x30 is not in use
    page-table 0/level 3: domain 0 has no page table of level 3
    page-table 1/level 0: a page table of level 2 would be at 0xfffffffffffff000, where there is no memory
    ");
    assert_eq!(
        one(&image(), Place::IommuHeader).unwrap_err(),
        "nothing of an IOMMU was handed over: no FLB `iommu-running`"
    );
}
