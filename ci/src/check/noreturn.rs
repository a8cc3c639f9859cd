// SPDX-License-Identifier: GPL-2.0-only

//! Whether objtool knows of every function that does not return.
//!
//! It follows the code of each function, and takes one that ends with a call for one that falls through to the next, unless the name of what is
//! called is in `tools/objtool/noreturns.h`. It says so only where it makes the tables of the ORC unwinder, which the kernels of this project do
//! without, and which is the default of x86-64; and with `OBJTOOL_WERROR` that fails the build. A function that is exported from Rust is no
//! exception: objtool recognises only what the compiler mangled.

use camino::Utf8Path;

use super::finding::fresh;
use super::source::layers;
use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

/// Objtool's list, one `NORETURN(name)` in a line.
const LIST: &str = "tools/objtool/noreturns.h";

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let list = bench.repo.read(subject.tree, Utf8Path::new(LIST))?;
    let list = list.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default();
    let mut found = Vec::new();
    for file in subject.touched.iter().filter(|file| file.is(&["h"]) && file.path != LIST) {
        let look = |text: &Option<String>| look(&file.path, text.as_deref().unwrap_or_default(), &list);
        found.extend(fresh(&look(&file.old), look(&file.new)));
    }
    Ok(found.into())
}

fn look(path: &Utf8Path, text: &str, list: &str) -> Vec<Finding> {
    let is_known = |name: &str| list.lines().any(|line| line.trim() == format!("NORETURN({name})"));
    let unknown = declared(text).into_iter().filter(|(_, name)| !is_known(name));
    let finding = |(line, name): (usize, String)| {
        let message = format!("`{name}` does not return, and objtool does not know");
        Finding::new(path, line, message, format!("add NORETURN({name}) to {LIST}, in its order"))
    };
    unknown.map(finding).collect()
}

/// The functions that are declared `__noreturn` for other files, with the lines of that word.
fn declared(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // The declaration so far, on one line, and where it says that it does not return.
    let (mut declaration, mut said) = (String::new(), None);
    for (number, line) in (1..).zip(layers(text, false).code) {
        if line.trim_start().starts_with('#') {
            continue;
        }
        for piece in line.split_inclusive([';', '{', '}']) {
            if piece.split(|c: char| !is_word(c)).any(|word| word == "__noreturn") {
                said = Some(number);
            }
            declaration.push_str(piece);
            if piece.ends_with([';', '{', '}']) {
                if let (Some(line), Some(name)) = (said.take(), name(&declaration)) {
                    found.push((line, name.to_owned()));
                }
                declaration.clear();
            }
        }
        declaration.push(' ');
    }
    found
}

/// The name of a function that is not static: the word before the last parenthesis that opens outside of others.
fn name(declaration: &str) -> Option<&str> {
    if declaration.split_whitespace().any(|word| word == "static") {
        return None;
    }
    let (mut depth, mut last) = (0_usize, None);
    for (at, c) in declaration.char_indices() {
        match c {
            '(' => {
                if depth == 0 {
                    last = Some(at);
                }
                depth += 1;
            }
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let before = declaration[..last?].trim_end();
    let start = before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
    Some(&before[start..]).filter(|name| !name.is_empty())
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Small;
    use super::super::{Cost, named};
    use super::*;

    fn names(text: &str) -> String {
        declared(text).iter().map(|(line, name)| format!("{line} {name}\n")).collect()
    }

    #[test]
    fn declarations_are_read_however_they_are_written() {
        assert_eq!(names("void stop(const char *why) __noreturn;\n"), "1 stop\n");
        assert_eq!(names("void __noreturn stop(void (*how)(int), int x);\nint go(void);\n"), "1 stop\n");
        assert_eq!(names("__printf(1, 2)\nvoid stop(const char *fmt,\n\t  ...) __noreturn __cold;\n"), "3 stop\n");
        assert_eq!(names("int go(void);\nvoid __noreturn\nstop(void);\n"), "2 stop\n");
    }

    #[test]
    fn what_no_other_file_can_call_does_not_count() {
        assert_eq!(names("static inline void __noreturn stop(void)\n{\n\tpanic(\"%s\", x);\n}\n"), "");
        assert_eq!(names("/* void stop(void) __noreturn; */\n"), "");
        assert_eq!(names("#define stop() __noreturn\nvoid go(void);\n"), "");
        assert_eq!(names("void go(void);\nvoid __noreturn_not(void);\n"), "");
    }

    #[test]
    fn objtool_is_told_in_the_same_patch() {
        const HEADER: &str = "void stop(void) __noreturn;\n";
        const FILE: &str = "include/linux/x.h";
        let small = Small::new();
        let found = |old: &[(&str, &str)], new: &[(&str, &str)]| small.run("noreturn", &small.subject(old, new));
        let known = "NORETURN(panic)\nNORETURN(stop)\n";

        let finding =
            &found(&[(LIST, "NORETURN(panic)\nNORETURN(stop_it)\n")], &[(LIST, "NORETURN(panic)\n"), (FILE, HEADER)])
                [0];
        assert_eq!(finding.place(), "include/linux/x.h:1");
        assert_eq!(finding.message, "`stop` does not return, and objtool does not know");
        assert!(finding.fix.contains("NORETURN(stop)"), "{finding:?}");

        assert_eq!(found(&[(LIST, "NORETURN(panic)\n")], &[(LIST, known), (FILE, HEADER)]), []);
        // Not this patch's fault.
        assert_eq!(found(&[(FILE, HEADER)], &[(FILE, &format!("{HEADER}int x;\n"))]), []);
        // It is no use for a file of Rust, whose function a header declares, and none for what goes away.
        assert_eq!(found(&[(FILE, HEADER)], &[("x.rs", "fn stop() -> ! {}\n")]), []);
        assert_eq!(named("noreturn").unwrap().cost, Cost::Quick);
    }
}
