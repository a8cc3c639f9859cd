// SPDX-License-Identifier: GPL-2.0-only

//! One object file, as the parts that a comparison is about.
//!
//! A part is a function or a variable: the bytes from its symbol to the next, with their relocations. A relocation counts as what
//! it leads to and not as where that lies: a string as its text, a place in a section as symbol and offset, so that a new string does not
//! make its neighbours differ. Sections that are not loaded, that the linker drops, or whose contents count where they are referred to
//! (mergeable strings and constants) are left out, and so is what tells lines ([`super::lines`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use object::read::{Object as _, ObjectSection as _, ObjectSymbol as _, Relocation, RelocationTarget, Section};
use object::{RelocationFlags, SectionFlags, SectionIndex, SectionKind, SymbolKind, elf};

use super::lines;
use crate::hash::hash;

/// How much of a SHA-256 is kept of each part: 64 bits, since nobody makes collisions on purpose here.
const HASH: usize = 16;

/// A function, a variable, or what lies before the first of them in a section.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    /// The section, `.text`.
    pub(super) section: String,
    /// The symbol; empty if there is none.
    pub(super) symbol: String,
    /// In bytes.
    pub(super) size: u64,
    /// Of contents and relocations.
    pub(super) hash: String,
}

/// The parts of an object file, sorted.
pub(super) fn parts(file: &[u8]) -> object::Result<Vec<Part>> {
    let elf = Elf::new(object::File::parse(file)?)?;
    let mut parts = Vec::new();
    for section in elf.file.sections() {
        if counts(&section)? {
            elf.section(&section, &mut parts)?;
        }
    }
    parts.sort_unstable();
    Ok(parts)
}

/// Whether a section reaches the kernel's memory as it is.
fn counts(section: &Section<'_, '_>) -> object::Result<bool> {
    let dropped = section.name()?.starts_with(".discard");
    Ok(has(section, elf::SHF_ALLOC) && !has(section, elf::SHF_MERGE) && !dropped)
}

fn has(section: &Section<'_, '_>, flag: elf::SectionFlags) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags & flag == flag)
}

/// A relocation with where it is.
pub(super) struct Fixup {
    /// Offset in the section.
    pub(super) at: u64,
    /// `R_X86_64_...`.
    pub(super) kind: u32,
    pub(super) relocation: Relocation,
}

/// A parsed object file.
pub(super) struct Elf<'a> {
    file: object::File<'a>,
    /// The names in each section by their place; of several at a place one.
    names: HashMap<SectionIndex, BTreeMap<u64, String>>,
}

impl<'a> Elf<'a> {
    fn new(file: object::File<'a>) -> object::Result<Self> {
        let mut all: HashMap<SectionIndex, BTreeMap<u64, (u64, String)>> = HashMap::new();
        for symbol in file.symbols() {
            let Some(section) = symbol.section_index() else { continue };
            if symbol.kind() == SymbolKind::Section || symbol.name()?.is_empty() {
                continue;
            }
            // An alias is as good as the name, but it has to be the same one each time.
            let candidate = (u64::MAX - symbol.size(), normal(symbol.name()?));
            let place = all.entry(section).or_default().entry(symbol.address()).or_insert_with(|| candidate.clone());
            *place = candidate.min(place.clone());
        }
        let named =
            |places: BTreeMap<u64, (u64, String)>| places.into_iter().map(|(at, (_, name))| (at, name)).collect();
        let names = all.into_iter().map(|(section, places)| (section, named(places))).collect();
        Ok(Self { file, names })
    }

    fn section(&self, section: &Section<'a, '_>, parts: &mut Vec<Part>) -> object::Result<()> {
        let empty = BTreeMap::new();
        let names = self.names.get(&section.index()).unwrap_or(&empty);
        let fixups = fixups(section);
        let mut bytes = if section.kind().is_bss() { Vec::new() } else { section.data()?.to_vec() };
        lines::mask(self, section.name()?, names, &fixups, &mut bytes);
        let mut starts: BTreeSet<u64> = names.keys().copied().filter(|&at| at < section.size()).collect();
        if section.size() > 0 {
            starts.insert(0);
        }
        let ends = starts.iter().copied().skip(1).chain([section.size()]);
        for (start, end) in starts.iter().copied().zip(ends) {
            let mut text = Vec::new();
            text.extend(slice(&bytes, start, end));
            for fixup in fixups.iter().filter(|fixup| (start..end).contains(&fixup.at)) {
                let target = self.target(fixup)?;
                text.extend(format!("\n{:x} {} {target}", fixup.at - start, fixup.kind).bytes());
            }
            parts.push(Part {
                section: section.name()?.to_owned(),
                symbol: names.get(&start).cloned().unwrap_or_default(),
                size: end - start,
                hash: hash(text)[..HASH].to_owned(),
            });
        }
        Ok(())
    }

    /// What a relocation leads to, in words that do not depend on what else is in the file.
    fn target(&self, fixup: &Fixup) -> object::Result<String> {
        let addend = fixup.relocation.addend();
        let RelocationTarget::Symbol(index) = fixup.relocation.target() else {
            return Ok(format!("{:?}{addend:+}", fixup.relocation.target()));
        };
        let symbol = self.file.symbol_by_index(index)?;
        match symbol.section_index() {
            Some(section) if symbol.kind() == SymbolKind::Section => self.place(section, offset(fixup)),
            _ => Ok(format!("{}{addend:+}", normal(symbol.name()?))),
        }
    }

    /// What lies at an offset in a section.
    fn place(&self, index: SectionIndex, offset: u64) -> object::Result<String> {
        let section = self.file.section_by_index(index)?;
        if section.kind() == SectionKind::ReadOnlyString {
            return Ok(format!("{:?}", String::from_utf8_lossy(string(section.data()?, offset))));
        }
        let data = section.data()?;
        if has(&section, elf::SHF_MERGE) {
            let constant = slice(data, offset, offset.saturating_add(constant_length(section.name()?)));
            return Ok(format!("{} {constant:02x?}", section.name()?));
        }
        let before = self.names.get(&index).and_then(|names| names.range(..=offset).next_back());
        let (start, name) = before.map_or((0, ""), |(start, name)| (*start, name.as_str()));
        // Below the start of a section lies nothing, but the offset of an instruction may point there.
        Ok(format!("{} {name}{:+}", section.name()?, offset.wrapping_sub(start).cast_signed()))
    }

    /// The text that a relocation leads to, if it is one to a place in a section: up to its NUL.
    pub(super) fn text(&self, fixup: &Fixup) -> Option<&'a [u8]> {
        let RelocationTarget::Symbol(index) = fixup.relocation.target() else { return None };
        let symbol = self.file.symbol_by_index(index).ok()?;
        let section = self.file.section_by_index(symbol.section_index()?).ok()?;
        Some(string(section.data().ok()?, symbol.address().wrapping_add(offset(fixup))))
    }
}

fn fixups(section: &Section<'_, '_>) -> Vec<Fixup> {
    let fixup = |(at, relocation): (u64, Relocation)| {
        let kind = match relocation.flags() {
            RelocationFlags::Elf { r_type } => r_type.0,
            _ => 0,
        };
        Fixup { at, kind, relocation }
    };
    let mut fixups: Vec<Fixup> = section.relocations().map(fixup).collect();
    fixups.sort_by_key(|fixup| fixup.at);
    fixups
}

/// The offset that a relocation means. One relative to the instruction's end is mostly four bytes before that end.
fn offset(fixup: &Fixup) -> u64 {
    let relative = [elf::R_X86_64_PC32.0, elf::R_X86_64_PLT32.0].contains(&fixup.kind);
    let addend = fixup.relocation.addend();
    (if relative { addend.wrapping_add(4) } else { addend }).cast_unsigned()
}

/// Names without the counters and line numbers that the C preprocessor puts into them.
fn normal(name: &str) -> String {
    let counted = ["__UNIQUE_ID_", "__initcall__", "__initstub__", "__addressable_", ".L"];
    if !counted.iter().any(|prefix| name.starts_with(prefix)) {
        return name.to_owned();
    }
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            other => out.push(other),
        }
    }
    out
}

/// How long the constants of a section are: 16 for `.rodata.cst16`.
fn constant_length(section: &str) -> u64 {
    section.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(1)
}

/// Those bytes of a range that there are.
fn slice(bytes: &[u8], start: u64, end: u64) -> &[u8] {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[at(start)..at(end).max(at(start))]
}

fn string(bytes: &[u8], offset: u64) -> &[u8] {
    let rest = slice(bytes, offset, u64::MAX);
    rest.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_lines_go_from_names_and_nothing_else_does() {
        assert_eq!(normal("__initcall__kmod_pci__447_6882_pci_init6"), "__initcall__kmod_pci__#_#_pci_init#");
        assert_eq!(normal("__UNIQUE_ID_addressable_pci_init_448"), "__UNIQUE_ID_addressable_pci_init_#");
        for name in ["pci_d3cold_enable", "x86_64", "descriptor.5"] {
            assert_eq!(normal(name), name);
        }
    }

    #[test]
    fn places_outside_of_a_section_are_empty() {
        assert_eq!(slice(b"abc", 1, 2), b"b");
        assert_eq!(slice(b"abc", 2, 9), b"c");
        assert_eq!(slice(b"abc", u64::MAX, 1), b"");
        assert_eq!(string(b"one\0two\0", 4), b"two");
        assert_eq!(string(b"one", 9), b"");
    }
}
