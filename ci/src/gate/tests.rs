// SPDX-License-Identifier: GPL-2.0-only

//! Objects made for the purpose: what counts as a difference and what does not, and what is compiled when.

use object::write::{self, StandardSegment, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionFlags, SectionKind, SymbolFlags, SymbolKind, elf,
};
use object::{SymbolScope, write::SectionId};

use super::*;
use crate::kbuild::tests::Lab;

/// An object file under construction.
struct Maker(write::Object<'static>);

impl Maker {
    fn new() -> Self {
        Self(write::Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little))
    }

    fn section(&mut self, name: &str, kind: SectionKind, bytes: &[u8]) -> SectionId {
        let segment = self.0.segment_name(StandardSegment::Text).to_vec();
        let id = self.0.add_section(segment, name.as_bytes().to_vec(), kind);
        self.0.append_section_data(id, bytes, 1);
        id
    }

    fn symbol(&mut self, section: SectionId, kind: SymbolKind, name: &str, at: u64, size: u64) {
        self.0.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: at,
            size,
            kind,
            scope: SymbolScope::Compilation,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }

    /// A relocation to an offset in a section, as compilers write them to what has no name of its own.
    fn to(&mut self, from: SectionId, at: u64, kind: elf::RelocationType, section: SectionId, addend: i64) {
        let symbol = self.0.section_symbol(section);
        self.relocation(from, at, kind, symbol, addend);
    }

    fn relocation(&mut self, from: SectionId, at: u64, kind: elf::RelocationType, symbol: SymbolId, addend: i64) {
        let flags = RelocationFlags::Elf { r_type: kind };
        self.0.add_relocation(from, write::Relocation { offset: at, symbol, addend, flags }).unwrap();
    }

    fn object(self) -> String {
        parts(&self.bytes()).unwrap()
    }

    fn bytes(self) -> Vec<u8> {
        self.0.write().unwrap()
    }
}

/// Two functions, `one` of the given bytes and `two`, which prints `said`; before that text lies another.
fn printer(one: &[u8], other: &str, said: &str) -> Maker {
    let mut maker = Maker::new();
    let text = maker.section(".text", SectionKind::Text, &[one, &[0; 8]].concat());
    let start = one.len() as u64;
    maker.symbol(text, SymbolKind::Text, "one", 0, start);
    maker.symbol(text, SymbolKind::Text, "two", start, 8);
    let strings = maker.section(".rodata.str1.1", SectionKind::ReadOnlyString, format!("{other}\0{said}\0").as_bytes());
    maker.to(text, start + 3, elf::R_X86_64_PC32, strings, other.len() as i64 + 1 - 4);
    maker
}

/// What is said of an object that had these parts and has those.
fn said(reference: &str, state: &str) -> String {
    if reference == state {
        return String::new();
    }
    Difference { object: "a.o".into(), change: changed(reference, state) }.to_string()
}

#[test]
fn a_string_counts_as_its_text_wherever_it_lies() {
    let object = |other, said| printer(&[1, 2], other, said).object();
    assert_eq!(said(&object("x", "hello"), &object("something longer", "hello")), "");
    assert_eq!(said(&object("x", "hello"), &object("x", "hullo")), "a.o: code of two");
}

#[test]
fn a_constant_counts_to_its_last_byte_wherever_it_lies() {
    let object = |before: &[u8], last: u8| {
        let mut maker = Maker::new();
        let text = maker.section(".text", SectionKind::Text, &[0; 8]);
        maker.symbol(text, SymbolKind::Text, "one", 0, 8);
        let constant = [&[7; 15][..], &[last]].concat();
        let constants = maker.section(".rodata.cst16", SectionKind::ReadOnlyData, &[before, &constant].concat());
        let (sh_type, sh_flags) = (elf::SHT_PROGBITS, elf::SHF_ALLOC | elf::SHF_MERGE);
        maker.0.section_mut(constants).flags = SectionFlags::Elf { sh_type, sh_flags };
        maker.to(text, 3, elf::R_X86_64_PC32, constants, before.len() as i64 - 4);
        maker.object()
    };
    assert_eq!(said(&object(&[], 1), &object(&[9; 16], 1)), "");
    assert_eq!(said(&object(&[], 1), &object(&[], 2)), "a.o: code of one");
}

#[test]
fn the_function_that_grew_is_named_and_not_its_neighbours() {
    let object = |one: &[u8]| printer(one, "x", "y").object();
    assert_eq!(said(&object(&[1, 2]), &object(&[1, 3])), "a.o: code of one");
    let mut moved = printer(&[1, 2, 3], "x", "y");
    // A call that leads elsewhere by its distance alone.
    let text = moved.0.section_id(write::StandardSection::Text);
    moved.0.section_mut(text).data_mut()[5] = 9;
    assert_eq!(said(&object(&[1, 2]), &moved.object()), "a.o: code of one");
    assert_eq!(said(&object(&[1, 2]), &object(&[1, 2])), "");
}

#[test]
fn lines_of_bugs_do_not_count_and_their_flags_do() {
    let object = |line: u8, flags: u8| {
        let mut maker = Maker::new();
        let text = maker.section(".text", SectionKind::Text, &[0; 4]);
        let entry = |line| [[0; 12].as_slice(), &[line, 3, flags, 9]].concat();
        let bugs = maker.section("__bug_table", SectionKind::Data, &[entry(line), entry(line + 1)].concat());
        for at in [0, 4, 8, 16, 20, 24] {
            maker.to(bugs, at, elf::R_X86_64_PC32, text, at.cast_signed());
        }
        maker.object()
    };
    assert_eq!(said(&object(7, 1), &object(99, 1)), "");
    assert_eq!(said(&object(7, 1), &object(7, 2)), "a.o: data __bug_table");
}

#[test]
fn lines_of_rust_do_not_count_and_other_numbers_do() {
    let object = |file: &str, line: u8, other: u8| {
        let mut maker = Maker::new();
        let strings = maker.section(".rodata.str1.1", SectionKind::ReadOnlyString, format!("{file}\0").as_bytes());
        let mut bytes = vec![0; 8];
        bytes.extend([file.len() as u8 + 1, 0, 0, 0, 0, 0, 0, 0, line, 1, 0, 0, line, 0, 0, 0]);
        bytes.extend([line, 0, 0, 0, other, 0, 0, 0]);
        // struct kunit_loc: the line, and behind it a pointer.
        bytes.extend([line, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0; 8]);
        let data = maker.section(".rodata", SectionKind::ReadOnlyData, &bytes);
        maker.to(data, 0, elf::R_X86_64_64, strings, 0);
        maker.symbol(data, SymbolKind::Data, "_RNvNvNtCs1_6kernel4test4LINE", 24, 4);
        maker.symbol(data, SymbolKind::Data, "_RNvNvNtCs1_6kernel4test5OTHER", 28, 4);
        maker.symbol(data, SymbolKind::Data, "_RNvNvNtCs1_6kernel4test8LOCATION", 32, 16);
        maker.object()
    };
    assert_eq!(said(&object("rust/a.rs", 1, 5), &object("rust/a.rs", 200, 5)), "");
    assert_eq!(
        said(&object("rust/a.rs", 1, 5), &object("rust/a.rs", 1, 6)),
        "a.o: data _RNvNvNtCs1_6kernel4test5OTHER"
    );
    // What is no file's name does not make a location of its neighbours.
    assert_eq!(said(&object("a name", 1, 5), &object("a name", 200, 5)), "a.o: data .rodata");
}

#[test]
fn what_the_kernel_does_not_load_does_not_count() {
    let object = |name: &str, kind: SectionKind, byte: u8| {
        let mut maker = Maker::new();
        maker.section(name, kind, &[byte; 4]);
        maker.object()
    };
    for (name, kind) in [(".debug_line", SectionKind::Debug), (".discard.addressable", SectionKind::Data)] {
        assert_eq!(said(&object(name, kind, 1), &object(name, kind, 2)), "", "{name}");
    }
    assert_eq!(said(&object(".data", SectionKind::Data, 1), &object(".data", SectionKind::Data, 2)), "a.o: data .data");
}

#[test]
fn objects_come_and_go() {
    let guard = tempfile::tempdir().unwrap();
    let outcomes = Outcomes::of(&stg_env::Cache::at(Utf8Path::from_path(guard.path()).unwrap()).unwrap());
    let of =
        |list: &[(&str, &str)]| Objects(list.iter().map(|&(path, digest)| (path.into(), digest.to_owned())).collect());
    let (one, both) = (of(&[("a.o", "1")]), of(&[("a.o", "1"), ("b.o", "1")]));
    assert_eq!(compare(&one, &both, &outcomes)[0].to_string(), "b.o: a new object");
    assert_eq!(compare(&both, &one, &outcomes)[0].to_string(), "b.o: the object is gone");
    assert_eq!(compare(&both, &both, &outcomes), []);
    // Nobody knows the parts of these.
    assert_eq!(compare(&one, &of(&[("a.o", "2")]), &outcomes)[0].to_string(), "a.o: its code or data");
}

#[test]
fn many_names_are_cut() {
    let functions = (1..=6).map(|n| format!("f{n}")).collect();
    let difference =
        Difference { object: "a.o".into(), change: Change::Parts { functions, data: vec![".data".into()] } };
    assert_eq!(difference.to_string(), "a.o: code of f1, f2, f3, f4 and 2 more; data .data");
}

/// What a fake make has in store for a tree: the objects, and the archive that names them.
fn stock(lab: &Lab, name: &str, object: Maker) {
    let dir = lab.cache.root().join("objects").join(name);
    std::fs::create_dir_all(dir.join("drivers")).unwrap();
    std::fs::write(dir.join("drivers/a.o"), object.bytes()).unwrap();
    let member = |name: &str, size: usize| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
    let names = "drivers/a.o/\n\n";
    let archive = format!("!<thin>\n{}{names}{}", member("//", names.len()), member("/0", 999));
    std::fs::write(dir.join("vmlinux.a"), archive).unwrap();
}

#[test]
fn a_state_is_compiled_once_and_compared() {
    let lab = Lab::new();
    stock(&lab, "one", printer(&[1, 2], "x", "y"));
    stock(&lab, "two", printer(&[1, 2], "longer", "y"));
    stock(&lab, "three", printer(&[1, 9], "x", "y"));
    let outcomes = Outcomes::of(&lab.cache);
    let base = lab.base();
    let state = |name: &str| {
        let commit = lab.commit(Some(&base), &[("a.c", name)], name);
        lab.request(&commit, &[], |request| objects(request, &outcomes)).unwrap()
    };
    let one = state("one");
    assert_eq!((one.len(), lab.runs()), (1, 1));
    assert_eq!(compare(&one, &state("two"), &outcomes), []);
    assert_eq!(compare(&one, &state("three"), &outcomes)[0].to_string(), "drivers/a.o: code of one");
    assert_eq!(lab.runs(), 3);
    assert_eq!((state("one"), lab.runs()), (one, 3), "what was read is kept");
    // Not in the directory of the kernels, whose gates are on.
    let directories = std::fs::read_dir(lab.cache.root().join("build")).unwrap();
    let names: Vec<String> = directories.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() == 1 && names[0].starts_with("gate-"), "{names:?}");
}

#[test]
fn a_state_that_does_not_compile_is_an_error_and_is_not_kept() {
    let lab = Lab::new();
    let (commit, outcomes) = (lab.base(), Outcomes::of(&lab.cache));
    let read = || lab.request(&commit, &[], |request| objects(request, &outcomes));
    // The fake make has no objects for this tree.
    assert_eq!(read().unwrap_err().exit_code(), 101);
    stock(&lab, "one", printer(&[1], "x", "y"));
    std::fs::write(lab.cache.root().join("objects/one/drivers/a.o"), "no object").unwrap();
    let error = read().unwrap_err().to_string();
    assert!(error.contains("drivers/a.o"), "{error}");
    stock(&lab, "one", printer(&[1], "x", "y"));
    assert_eq!(read().unwrap().len(), 1);
}

#[test]
fn findings_name_the_line_of_the_patch() {
    let disk = stg_core::Disk::new(Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    let stack = stg_core::Stack::load(&disk).unwrap();
    let (phase, patch) = stack.patch("pci-track-incoming").unwrap();
    let edited = patch.text.diffs.iter().find(|diff| diff.path.extension() == Some("c")).unwrap();
    let difference = |object: Utf8PathBuf| Difference { object, change: Change::Gone };
    let all = [difference(edited.path.with_extension("o")), difference("drivers/none.o".into())];
    let found = findings(phase, patch, "phase1/liveupdate-flb", &all);
    assert_eq!(found[0].line, Some(edited.line));
    assert_eq!(found[1].line, patch.text.diffs.first().map(|diff| diff.line));
    let text = found[1].to_string();
    assert!(text.contains("with the gates of phase1 off this is not phase1/liveupdate-flb: drivers/none.o"), "{text}");
    assert!(text.contains("fix: let the change depend on CONFIG_PCI_LIVEUPDATE or "), "{text}");
}
