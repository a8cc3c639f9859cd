// SPDX-License-Identifier: GPL-2.0-only

//! Code that no path reaches.
//!
//! The compilers warn of what is private and unused (that is check `build`), unless they are told not to, which is a finding
//! here. What they cannot see are functions that one language or crate offers to another, and those that a header has inline.
//! So every such function that a patch adds must be mentioned, beyond its definition, its prototypes, stubs and exports, by
//! something in the tree after the patch; the examples in Rust's documentation are tests and count. What is new can only be
//! mentioned by files that are new or changed since the base, so those are all that is read.
//!
//! Functions are told by their names, so a stub is reached if its counterpart is.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use stg_core::git::Repo;

use super::finding::fresh;
use super::source::{layers, words};
use super::{Bench, Finding, Subject, Touched, Verdict};
use crate::kbuild::BuildError;

/// Lints about what is unused, as attributes switch them off.
const LINTS: [&str; 5] = ["dead_code", "unused", "unused_imports", "unused_macros", "unreachable_code"];

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let mut found = Vec::new();
    for file in subject.touched.iter().filter(|file| file.is(&["rs", "c", "h"])) {
        let look = |text: &Option<String>| silenced(file, text.as_deref().unwrap_or_default());
        found.extend(fresh(&look(&file.old), look(&file.new)));
    }
    found.extend(unreached(subject, bench)?);
    Ok(found.into())
}

fn is_rust(path: &camino::Utf8Path) -> bool {
    path.extension() == Some("rs")
}

/// What switches warnings off.
fn silenced(file: &Touched, text: &str) -> Vec<Finding> {
    let rust = is_rust(&file.path);
    let code = layers(text, rust).code;
    let found = if rust { attributes(&code).iter().filter_map(silent).collect() } else { unused(&code) };
    let finding = |(line, what): (usize, String)| {
        let message = format!("a warning about unused code is switched off: `{what}`");
        Finding::new(&file.path, line, message, "add the code in the patch that uses it")
    };
    found.into_iter().map(finding).collect()
}

/// The attributes of Rust code, each with its first line (1-based), however many it has.
fn attributes(code: &[String]) -> Vec<(usize, String)> {
    let text = code.join("\n");
    let begins = |at: &usize| text[at + 1..].trim_start_matches('!').starts_with('[');
    let attribute = |at: usize| {
        let mut depth = 0_usize;
        let end = text[at..].find(|c| {
            depth = depth + usize::from(c == '[') - usize::from(c == ']');
            c == ']' && depth == 0
        })?;
        Some((text[..at].matches('\n').count() + 1, text[at..=at + end].to_owned()))
    };
    text.match_indices('#').map(|(at, _)| at).filter(begins).filter_map(attribute).collect()
}

/// `expect(dead_code)` and the like, if that is what an attribute says.
fn silent((line, attribute): &(usize, String)) -> Option<(usize, String)> {
    let is = |word: &&&str| words(std::slice::from_ref(attribute), word).next().is_some();
    let level = ["allow", "expect"].iter().find(is)?;
    let lints: Vec<&str> = LINTS.iter().filter(is).copied().collect();
    (!lints.is_empty()).then(|| (*line, format!("{level}({})", lints.join(", "))))
}

/// Definitions in C that the compiler is told not to mind.
fn unused(code: &[String]) -> Vec<(usize, String)> {
    let silent = |line: &String| {
        let is = |word| words(std::slice::from_ref(line), word).next().is_some();
        is("static") && (is("__maybe_unused") || is("__used"))
    };
    (1..).zip(code).filter(|(_, line)| silent(line)).map(|(number, line)| (number, line.trim().to_owned())).collect()
}

/// A function that a patch defines for others to call.
#[derive(Debug, PartialEq, Eq)]
struct Offered<'a> {
    file: &'a Touched,
    line: usize,
    name: String,
    /// In a header.
    inline: bool,
}

fn unreached(subject: &Subject, bench: &Bench<'_>) -> Result<Vec<Finding>, BuildError> {
    let mut offered: Vec<Offered<'_>> = subject.touched.iter().flat_map(offers).collect();
    // A function moves from header to header, or changes its arguments, or what was declared gets a stub. Who calls it
    // may not have changed since the base.
    let before: Vec<Vec<String>> = subject
        .touched
        .iter()
        .filter_map(|file| Some(layers(file.old.as_deref()?, is_rust(&file.path)).code))
        .collect();
    offered.retain(|one| !one.inline || before.iter().all(|code| words(code, &one.name).next().is_none()));
    if offered.is_empty() {
        return Ok(Vec::new());
    }
    let mut mentioned = BTreeSet::new();
    for (path, text) in sources(bench.repo, bench.base_tree, subject)? {
        let rust = is_rust(&path);
        let layers = layers(&text, rust);
        let examples = if rust { examples(&layers.comments) } else { Vec::new() };
        let used = |one: &&Offered<'_>| {
            let other = one.name.strip_prefix("rust_helper_").filter(|_| rust).unwrap_or(&one.name);
            mentions(&layers.code, other, &path) || words(&examples, other).next().is_some()
        };
        mentioned.extend(offered.iter().filter(used).map(|one| one.name.as_str()));
    }
    // Of a function and its stub the function is reported, of two that are inline the first.
    let real: BTreeSet<&str> = offered.iter().filter(|one| !one.inline).map(|one| one.name.as_str()).collect();
    let mut said = BTreeSet::new();
    let missing = offered.iter().filter(|one| !mentioned.contains(one.name.as_str()));
    Ok(missing
        .filter(|one| !one.inline || !real.contains(one.name.as_str()) && said.insert(one.name.as_str()))
        .map(|one| {
            let message = format!("nothing reaches `{}` as of this patch", one.name);
            let fix = "add it in the patch that calls it first, or with a test that does";
            Finding::new(&one.file.path, one.line, message, fix)
        })
        .collect())
}

/// The examples in the documentation of Rust code, which are compiled and run; those that are not, are not.
fn examples(comments: &[String]) -> Vec<String> {
    let mut open = None;
    let mut lines = Vec::new();
    for line in comments {
        let text = line.trim().trim_start_matches(['/', '!']).trim_start();
        match (text.strip_prefix("```"), open) {
            (Some(_), Some(_)) => open = None,
            (Some(kind), None) => open = Some(!["ignore", "text", "c", "compile_fail"].contains(&kind.trim())),
            (None, Some(true)) => lines.push(text.to_owned()),
            (None, _) => {}
        }
    }
    lines
}

/// Every source that is not the base's, as of the patch.
fn sources(repo: &Repo, base: stg_core::git::Oid, subject: &Subject) -> Result<Vec<(Utf8PathBuf, String)>, BuildError> {
    let changes = repo.changes(base, subject.tree, &subject.origin.file)?;
    let paths = changes.added.into_iter().map(|(path, _)| path).chain(changes.edits.into_iter().map(|edit| edit.path));
    let mut all = Vec::new();
    for path in
        paths.filter(|path| path.extension().is_some_and(|extension| ["c", "h", "rs", "S"].contains(&extension)))
    {
        if let Some(file) = repo.read(subject.tree, &path)? {
            all.push((path, String::from_utf8_lossy(&file.bytes).into_owned()));
        }
    }
    Ok(all)
}

/// The functions that a file offers by lines that the patch adds.
fn offers(file: &Touched) -> Vec<Offered<'_>> {
    let Some(text) = file.new.as_deref() else { return Vec::new() };
    let (rust, inline) = (is_rust(&file.path), file.is(&["h"]));
    // The kernel's selftests are programs: whatever they have unused the compiler sees, but not in headers.
    if !rust && !inline && (!file.is(&["c"]) || file.path.starts_with("tools")) {
        return Vec::new();
    }
    let code = layers(text, rust).code;
    let added = code.iter().enumerate().filter(|(index, _)| file.added.contains(&(index + 1)));
    let named = added.filter_map(|(index, line)| {
        let name = if rust { rust_name(line) } else { c_name(&code, index, inline) }?;
        Some(Offered { file, line: index + 1, name, inline })
    });
    named.collect()
}

/// `pub(crate) unsafe fn name<...>(...)`.
fn rust_name(line: &str) -> Option<String> {
    let line = line.trim_start();
    let (head, rest) = line.split_once("fn ")?;
    let plain = head.chars().all(|c| c.is_alphanumeric() || " ()_:\"".contains(c));
    (line.starts_with("pub") && plain).then(|| identifier(rest))
}

/// A definition at the beginning of a line, `int name(...)`, up to a `{` and not a `;`: one that is not static, or one
/// that is static and inline.
fn c_name(code: &[String], index: usize, inline: bool) -> Option<String> {
    let line = &code[index];
    let (head, rest) = line.split_once('(')?;
    let name = head.rsplit(|c: char| !is_part(c)).next().filter(|name| !name.is_empty())?;
    let starts = line.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    // The type may have a line of its own.
    let above = index.checked_sub(1).map_or("", |above| code[above].trim_end());
    let above = if above.starts_with(|c: char| c.is_ascii_lowercase()) { above } else { "" };
    let typed = head.len() > name.len() || !above.is_empty();
    let above = if above.ends_with(|c: char| is_part(c) || c == '*') { above } else { "" };
    let has =
        |words: &[&str]| above.split_whitespace().chain(head.split_whitespace()).any(|word| words.contains(&word));
    let kind = if inline { has(&["static"]) && has(&["inline", "__always_inline"]) } else { !has(&["static"]) };
    let inner = has(&["typedef", "return", "else"]);
    let defines = code[index..].iter().find_map(|line| line.find(['{', ';']).map(|at| line[at..].starts_with('{')));
    // A macro at the beginning of a line that makes a definition has capitals, an attribute `__` and a word behind it.
    let capitals = name.chars().all(|c| !c.is_lowercase());
    let behind = rest.split_once(')').map_or("", |(_, behind)| behind.trim_start());
    let attribute = name.starts_with("__") && behind.starts_with(is_part) && behind.contains('(');
    (starts && typed && kind && !inner && !capitals && !attribute && defines == Some(true)).then(|| name.to_owned())
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| is_part(*c)).collect()
}

/// Whether code uses a name, and does not merely define, declare or export it.
fn mentions(code: &[String], name: &str, path: &camino::Utf8Path) -> bool {
    let rust = is_rust(path);
    let depths = if rust { Vec::new() } else { depths(code) };
    words(code, name).any(|(line, column)| {
        let (before, after) = (&code[line][..column], &code[line][column + name.len()..]);
        if rust {
            return !before.trim_end().ends_with("fn");
        }
        if let Some(directive) = directive(code, line) {
            // A macro uses what is in it, unless it is that itself; conditions and the like use nothing.
            let mut words = directive.split(|c| !is_part(c)).filter(|word| !word.is_empty());
            return words.next() == Some("define") && words.next() != Some(name);
        }
        let wraps = before.contains("EXPORT_SYMBOL");
        // On the outermost level a name with a `(` behind it is defined or declared.
        let depth = (depths[line] + before.matches('{').count()).saturating_sub(before.matches('}').count());
        let declares = depth == 0 && after.trim_start().starts_with('(');
        !wraps && !declares
    })
}

/// The first line of the preprocessor's directive that a line belongs to.
fn directive(code: &[String], line: usize) -> Option<&str> {
    let first = code[..line].iter().rposition(|line| !line.trim_end().ends_with('\\')).map_or(0, |above| above + 1);
    code[first].trim_start().strip_prefix('#')
}

/// In how many braces each line begins.
fn depths(code: &[String]) -> Vec<usize> {
    let mut depth = 0_usize;
    code.iter()
        .map(|line| {
            let now = depth;
            depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
            now
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Small;

    fn found(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<String> {
        let small = Small::new();
        let found = small.run("dead-code", &small.subject(old, new));
        found.iter().map(|one| format!("{}: {}", one.place(), one.message)).collect()
    }

    #[test]
    fn warnings_that_are_switched_off() {
        let old = [("a.rs", "#[allow(dead_code)]\nfn a() {}\n")];
        assert_eq!(found(&old, &[("a.rs", "use x;\n#[allow(dead_code)]\nfn a() {}\n")]), [""; 0]);
        let new = [
            ("a.rs", "#![expect(dead_code, reason = \"later\")]\n// allow(dead_code)\n"),
            ("b.c", "static int __maybe_unused f(void)\n{\n}\n"),
        ];
        let found = found(&[], &new);
        assert!(
            found.len() == 2 && found[0].starts_with("a.rs:1: a warning") && found[1].starts_with("b.c:1"),
            "{found:?}"
        );
    }

    #[test]
    fn an_attribute_may_have_several_lines() {
        let several = "#[inline]\n#[expect(\n    dead_code,\n    reason = \"the next patch calls it\"\n)]\nfn a() {}\n";
        let more = "mod b {\n    #![cfg_attr(\n        not(X),\n        allow(unused, unused_imports)\n    )]\n}\n";
        let fine = "#[expect(\n    clippy::x\n)]\nfn c() { dead_code().expect(unused); }\n";
        insta::assert_snapshot!(found(&[], &[("a.rs", &format!("{several}{more}{fine}"))]).join("\n"), @r"
        a.rs:2: a warning about unused code is switched off: `expect(dead_code)`
        a.rs:8: a warning about unused code is switched off: `allow(unused, unused_imports)`
        ");
        let one = several.replace("\n    ", "").replace("\n)", ")");
        assert_eq!(found(&[("a.rs", &one)], &[("a.rs", several)]), [""; 0], "rustfmt breaks lines");
    }

    #[test]
    fn what_only_its_definition_and_prototypes_mention() {
        let header = "int used(int a);\nint pci_gone(int a);\n#if X\n#else\nstatic inline int pci_gone(int a) { return 0; }\n#endif\n";
        let c = "int pci_gone(int a)\n{\n\treturn used(1);\n}\nEXPORT_SYMBOL_GPL(pci_gone);\n\nint used(int a)\n{\n}\n";
        let rust = "pub fn called() {}\npub(crate) fn lost<T>() {}\n/// lost\nfn x() { called(); }\n";
        insta::assert_snapshot!(found(&[("old.c", "int x;\n")], &[("a.h", header), ("a.c", c), ("a.rs", rust)]).join("\n"), @r"
        a.c:1: nothing reaches `pci_gone` as of this patch
        a.rs:2: nothing reaches `lost` as of this patch
        ");
    }

    #[test]
    fn what_a_header_has_inline_must_be_called() {
        let stubs = "int real(void);\n#ifdef X\nstatic inline int dead(void)\n{\n\treturn 1;\n}\nbool up(int a);\n#else\nstatic inline int real(void) { return used(); }\nstatic inline int dead(void)\n{\n\treturn 0;\n}\nstatic inline bool up(int a) { return false; }\n#endif\n";
        let more = "static __always_inline struct x *\nsplit(void)\n{\n}\n#define split split\n#ifndef split\n#endif\nstatic inline __printf(1, 2) void says(char *f)\n{\n}\nstatic inline int used(void)\n{\n}\n#define each(x) \\\n\tfor (x = first(); x;)\nstatic inline int first(void)\n{\n}\n";
        let c = "int real(void)\n{\n}\nvoid x(void)\n{\n\treal();\n\tup(x);\n}\n";
        let program = "static inline int helper(void)\n{\n}\n";
        let new = [("a.h", stubs), ("b.h", more), ("c.c", c), ("tools/t.h", program)];
        insta::assert_snapshot!(found(&[("c.c", "void x(void)\n{\n}\n")], &new).join("\n"), @r"
        a.h:3: nothing reaches `dead` as of this patch
        b.h:2: nothing reaches `split` as of this patch
        tools/t.h:1: nothing reaches `helper` as of this patch
        ");
    }

    #[test]
    fn who_calls_what_was_there_need_not_have_changed() {
        let old = [("a.h", "int a(void);\nstatic inline int b(void)\n{\n}\n")];
        let stub = "#ifdef X\nint a(void);\n#else\nstatic inline int a(void)\n{\n}\n#endif\n";
        assert_eq!(found(&old, &[("a.h", stub), ("b.h", "static inline int b(int x)\n{\n}\n")]), [""; 0]);
    }

    #[test]
    fn helpers_are_called_by_another_name_and_examples_are_tests() {
        let helper = [("rust/helpers/a.c", "void rust_helper_put(int a)\n{\n}\nvoid rust_helper_get(int a)\n{\n}\n")];
        let rust = |text| [helper[0], ("a.rs", text)];
        let said = found(&[], &rust("fn x() { bindings::put(1); }\n"));
        assert_eq!(said, ["rust/helpers/a.c:4: nothing reaches `rust_helper_get` as of this patch"]);
        let example = "/// ```\n/// shown();\n/// ```\n/// ```ignore\n/// hidden();\n/// ```\npub fn shown() {}\npub fn hidden() {}\n";
        assert_eq!(found(&[], &[("a.rs", example)]), ["a.rs:8: nothing reaches `hidden` as of this patch"]);
    }

    #[test]
    fn each_language_may_call_the_other() {
        let c = [(
            "a.c",
            "void from_rust(void)\n{\n}\nstatic struct ops o = {\n\t.f = from_c,\n};\nint in_macro(int a)\n{\n}\n#define M(x) in_macro(x)\n",
        )];
        let rust = [("b.rs", "pub extern \"C\" fn from_c() {\n    bindings::from_rust();\n}\n")];
        assert_eq!(found(&[], &[c[0], rust[0]]), [""; 0]);
        // The caller may be there before.
        assert_eq!(found(&c, &[c[0], rust[0]]), [""; 0]);
    }
}
