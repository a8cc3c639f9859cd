// SPDX-License-Identifier: GPL-2.0-only

//! Made-up memory, sensible and not.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Pages by number; others hold nothing, and behind the last one there is no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ram {
    pages: BTreeMap<u64, [u64; WORDS]>,
    end: u64,
}

impl Ram {
    /// So many pages.
    pub(crate) fn new(pages: u64) -> Self {
        Self { pages: BTreeMap::new(), end: pages }
    }

    /// Writes words from an address on.
    pub(crate) fn put(&mut self, address: u64, words: &[u64]) {
        for (at, word) in (address..).step_by(8).zip(words) {
            self.pages.entry(at / PAGE).or_insert([0; WORDS])[(at % PAGE / 8) as usize] = *word;
        }
    }
}

impl Words for Ram {
    fn table(&self, address: u64) -> Option<[u64; WORDS]> {
        assert_eq!(address % PAGE, 0, "the hardware has no other tables");
        (address / PAGE < self.end).then(|| self.pages.get(&(address / PAGE)).copied().unwrap_or([0; WORDS]))
    }
}

const DEVICE: u16 = 0x01_08;
const LEGACY: Unit = Unit { root: 0x1000, scalable: false };
const SCALABLE: Unit = Unit { root: 0x1000, scalable: true };

/// Page tables of three levels, at 0x5000 on, with a large page and two small ones.
fn page_tables(ram: &mut Ram, bits: u64) {
    ram.put(0x5000, &[0, 0x6000 | bits]);
    ram.put(0x6000 + 5 * 8, &[0x20_0000 | bits | 1 << 7, 0x8000 | bits, 0x7000 | bits]);
    ram.put(0x7000, &[0xffff_f000 | bits]);
    ram.put(0x8000, &[0xffff_e000 | bits, 0, 0xffff_d000 | 1]);
}

fn legacy() -> Ram {
    let mut ram = Ram::new(16);
    ram.put(0x1000 + 16, &[0x2001]);
    ram.put(0x2000 + 8 * 16, &[0x5001, 7 << 8 | 1]);
    page_tables(&mut ram, 3);
    ram
}

fn scalable(pasid: [u64; 3]) -> Ram {
    let mut ram = Ram::new(16);
    ram.put(0x1000 + 16, &[0x2001]);
    ram.put(0x2000 + 8 * 32, &[0x3001 | 1 << 4, 0x41]);
    ram.put(0x3000, &[0, 0x4001]);
    ram.put(0x4000 + 64, &pasid);
    page_tables(&mut ram, 3);
    ram
}

fn told(unit: Unit, ram: &Ram) -> String {
    let (path, translation) = unit.path(ram, DEVICE);
    let tables = translation.and_then(|translation| {
        let tables = walk(ram, translation)?;
        Ok((translation, tables.iter().map(Table::piece).collect::<Vec<_>>()))
    });
    let piece = |piece: &Piece| format!("{} at {:#x}, {} words", piece.kind, piece.address, piece.words);
    let mut lines: Vec<String> = path.pieces.iter().map(piece).collect();
    match tables {
        Ok((Translation { first_stage, .. }, tables)) => {
            lines.push(format!("first stage: {first_stage}"));
            lines.extend(tables.iter().map(piece));
        }
        Err(why) => lines.push(why),
    }
    lines.join("\n")
}

#[test]
fn the_register_tells_the_mode() {
    assert_eq!(Unit::new(0x7c_1000), Ok(Unit { root: 0x7c_1000, scalable: false }));
    assert_eq!(Unit::new(0x7c_1400), Ok(Unit { root: 0x7c_1000, scalable: true }));
    assert!(Unit::new(0x7c_1c00).is_err());
}

#[test]
fn legacy_mode() {
    insta::assert_snapshot!(told(LEGACY, &legacy()), @"
    root entry at 0x1010, 2 words
    context entry at 0x2080, 2 words
    first stage: false
    page table of level 2 at 0x5000, 512 words
    page table of level 1 at 0x6000, 512 words
    page table of level 0 at 0x8000, 512 words
    page table of level 0 at 0x7000, 512 words
    ");
}

#[test]
fn scalable_mode() {
    let second = told(SCALABLE, &scalable([0x5001 | 1 << 2 | 2 << 6, 7, 0]));
    insta::assert_snapshot!(second, @"
    root entry at 0x1010, 1 words
    context entry at 0x2100, 4 words
    PASID directory entry at 0x3008, 1 words
    PASID entry at 0x4040, 8 words
    first stage: false
    page table of level 2 at 0x5000, 512 words
    page table of level 1 at 0x6000, 512 words
    page table of level 0 at 0x8000, 512 words
    page table of level 0 at 0x7000, 512 words
    ");
    // The same bits are those of the first stage, but for the size: that has four levels at least.
    let mut ram = scalable([1 | 1 << 6, 7, 0x9000]);
    ram.put(0x9000, &[0x5003]);
    let first = told(SCALABLE, &ram);
    assert!(first.contains("first stage: true\npage table of level 3 at 0x9000"), "{first}");
    assert_eq!(first.lines().count(), second.lines().count() + 1);
}

#[test]
fn upper_functions_have_tables_of_their_own() {
    let mut ram = legacy();
    let (path, _) = SCALABLE.path(&ram, 0x01_88);
    assert_eq!(path.pieces, [Piece { kind: Kind::Root, address: 0x1018, words: 1 }]);
    ram.put(0x1018, &[0x2001]);
    let (path, _) = SCALABLE.path(&ram, 0x01_88);
    assert_eq!(path.pieces[1].address, 0x2000 + 8 * 32);
    let (path, _) = LEGACY.path(&ram, 0x01_88);
    assert_eq!(path.pieces[1].address, 0x2000 + 0x88 * 16);
}

#[test]
fn what_leads_nowhere_is_an_error() {
    let wrong = |unit: Unit, good: &Ram, changes: &[(u64, u64)]| {
        let mut ram = good.clone();
        changes.iter().for_each(|(at, word)| ram.put(*at, &[*word]));
        told(unit, &ram).lines().last().unwrap().to_owned()
    };
    let in_legacy = |changes: &[(u64, u64)]| wrong(LEGACY, &legacy(), changes);
    let second = scalable([0x5001 | 1 << 2 | 2 << 6, 7, 0]);
    let in_scalable = |changes: &[(u64, u64)]| wrong(SCALABLE, &second, changes);
    let all = [
        in_legacy(&[(0x1010, 0)]),
        in_legacy(&[(0x1010, 0x10_0001)]),
        in_legacy(&[(0x2080, 0x5000)]),
        in_legacy(&[(0x2080, 0x5001 | 2 << 2)]),
        in_legacy(&[(0x2088, 0)]),
        in_legacy(&[(0x5008, 0x10_0003)]),
        in_legacy(&[(0x6028, 0x5003)]),
        in_legacy(&[(0x6028, 0x7003)]),
        in_legacy(&[(0x2088, 2), (0x5008, 0x6083)]),
        in_scalable(&[(0x2108, 0x2000)]),
        in_scalable(&[(0x2100, 0xffff_f000 | 1)]),
        in_scalable(&[(0x3008, 0)]),
        in_scalable(&[(0x4040, 1 | 3 << 6)]),
        in_scalable(&[(0x4040, 1 | 1 << 6), (0x4050, 3 << 2)]),
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    its root entry at 0x1010 is not in use
    its context entry would be at 0x100080, where there is no memory
    its context entry at 0x2080 is not in use
    its context entry does not lead to page tables
    its entry wants address width 0, which there is none of
    a page table of level 1 would be at 0x100000, where there is no memory
    two entries lead to the page table at 0x5000
    two entries lead to the page table at 0x7000
    entry 1 of the page table of level 3 at 0x5000 is no page and no table
    its PASID is 0x2000, for which its directory is too small
    its PASID directory entry would be at 0xfffff008, where there is no memory
    its PASID directory entry at 0x3008 is not in use
    its PASID entry is of type 3, which is neither first nor second stage alone
    its PASID entry wants paging mode 3, which there is none of
    ");
}

/// A word that has some sense: an address within or close to memory, and flags.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (0u64..12, 0u64..0x1000).prop_map(|(page, bits)| (page * PAGE) | bits),
        1 => any::<u64>(),
        2 => Just(0),
    ]
}

proptest! {
    /// Any bytes are followed to an end, each table once, and none of it is outside of memory.
    #[test]
    fn whatever_the_bytes_are(
        words in prop::collection::vec((0u64..8 * 512, word()), 0..400),
        register in any::<u64>(), device in any::<u16>(), scalable in any::<bool>(),
    ) {
        let mut ram = Ram::new(8);
        words.iter().for_each(|(index, word)| ram.put(index * 8, &[*word]));
        let _ = Unit::new(register).map(|unit| unit.path(&ram, device));
        let unit = Unit { root: 0, scalable };
        for device in [device & 0xff, device] {
            let (path, translation) = unit.path(&ram, device);
            prop_assert!(path.pieces.len() <= 4);
            let Ok(translation) = translation else { continue };
            prop_assert!(path.pieces.iter().all(|piece| piece.address + piece.words as u64 * 8 <= 8 * PAGE));
            if let Ok(tables) = walk(&ram, translation) {
                let addresses: std::collections::BTreeSet<_> = tables.iter().map(|table| table.address).collect();
                prop_assert_eq!(addresses.len(), tables.len());
                prop_assert!(tables.len() <= 8 && addresses.iter().all(|address| *address < 8 * PAGE));
            }
        }
    }

    /// A tree without mistakes is found as it was made.
    #[test]
    fn trees_are_found(shape in prop::collection::btree_set((0usize..512, 0usize..512), 1..40), first_stage in any::<bool>()) {
        let mut ram = Ram::new(1 << 16);
        let mut free = (0x100u64..).map(|page| page * PAGE);
        let top = free.next().unwrap();
        let mut middles = BTreeMap::new();
        let mut want = vec![(2, top)];
        for (upper, lower) in shape {
            let middle = *middles.entry(upper).or_insert_with(|| {
                let address = free.next().unwrap();
                ram.put(top + upper as u64 * 8, &[address | 3]);
                want.push((1, address));
                address
            });
            let leaf = free.next().unwrap();
            ram.put(middle + lower as u64 * 8, &[leaf | 3]);
            want.push((0, leaf));
        }
        let tables = walk(&ram, Translation { first_stage, top, top_level: 2 }).unwrap();
        prop_assert_eq!(tables.iter().map(|table| (table.level, table.address)).collect::<Vec<_>>(), want);
    }
}
