// SPDX-License-Identifier: GPL-2.0-only

//! SAFETY comments, by the text alone.
//!
//! clippy looks for those of blocks and impls as well, but only in what the configuration compiles, and after minutes. Here
//! every added `unsafe` counts: blocks and impls have a `// SAFETY:` comment right above their statement (or before them on
//! their line), functions a `# Safety` section in their documentation. In the impl of a trait the trait has that section.
//! Whether the argument holds a reviewer has to say; here it only has to be there.

use super::finding::fresh;
use super::source::{Layers, layers, words};
use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

/// An argument that begins like this is still to be written.
const LATER: [&str; 5] = ["todo", "fixme", "xxx", "tbd", "later"];

/// Words that no argument is made of alone.
const EMPTY: [&str; 26] = [
    "a",
    "all",
    "always",
    "and",
    "are",
    "course",
    "fine",
    "here",
    "is",
    "it",
    "me",
    "obviously",
    "of",
    "ok",
    "okay",
    "perfectly",
    "safe",
    "safety",
    "sound",
    "sure",
    "that",
    "the",
    "this",
    "trivially",
    "trust",
    "we",
];

pub(super) fn check(subject: &Subject, _: &Bench<'_>) -> Result<Verdict, BuildError> {
    let mut found = Vec::new();
    for file in subject.touched.iter().filter(|file| file.is(&["rs"])) {
        let look = |text: &Option<String>| lint(&file.path, text.as_deref().unwrap_or_default());
        found.extend(fresh(&look(&file.old), look(&file.new)));
    }
    Ok(found.into())
}

/// What an `unsafe` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block,
    Impl,
    Fn,
}

fn lint(path: &camino::Utf8Path, text: &str) -> Vec<Finding> {
    let layers = layers(text, true);
    let mut found = Vec::new();
    for (line, column) in words(&layers.code, "unsafe") {
        let Some(kind) = kind(&layers.code, line, column + "unsafe".len()) else { continue };
        let (argued, what, fix) = match kind {
            Kind::Block | Kind::Impl => (
                argues(&[before(&layers, line, column)]) || argues(above(&layers, line)),
                if kind == Kind::Block { "unsafe block" } else { "unsafe impl" },
                "argue right above it, in a comment that begins with `// SAFETY:`, why it is sound",
            ),
            Kind::Fn => (
                in_trait_impl(&layers.code, line) || has_section(above(&layers, line)),
                "unsafe function",
                "say in a `# Safety` section of its documentation what a caller has to ensure",
            ),
        };
        if !argued {
            let lines: Vec<&str> = text.lines().collect();
            let code = lines.get(line).map_or("", |line| line.trim());
            found.push(Finding::new(path, line + 1, format!("{what} without its argument: `{code}`"), fix));
        }
    }
    found
}

/// What follows decides. A type (`unsafe fn(...)`), an attribute or a block of foreign items is none of these.
fn kind(code: &[String], line: usize, column: usize) -> Option<Kind> {
    let rest: String = std::iter::once(&code[line][column..])
        .chain(code[line + 1..].iter().take(2).map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    let rest = rest.trim_start();
    if rest.starts_with('{') {
        return Some(Kind::Block);
    }
    let mut words = rest.split_whitespace();
    let mut word = words.next()?;
    if word == "extern" {
        word = words.find(|word| !word.starts_with('"'))?;
    }
    match word {
        "impl" => Some(Kind::Impl),
        _ if word.starts_with("impl<") => Some(Kind::Impl),
        "fn" | "trait" => Some(Kind::Fn),
        _ => None,
    }
}

/// The comments of a line before a column of its code. The layers have the same characters, but not the same bytes.
fn before(layers: &Layers, line: usize, column: usize) -> String {
    let count = layers.code[line][..column].chars().count();
    layers.comments[line].chars().take(count).collect()
}

/// The comment above the statement of a line, line by line. Attributes may stand between.
fn above(layers: &Layers, line: usize) -> &[String] {
    let is_comment =
        |index: &usize| layers.code[*index].trim().is_empty() && !layers.comments[*index].trim().is_empty();
    for index in (0..line).rev() {
        if is_comment(&index) {
            let first = (0..index).rev().take_while(is_comment).last().unwrap_or(index);
            return &layers.comments[first..=index];
        }
        let code = layers.code[index].trim();
        let statement_ends = !code.starts_with("#[") && code.ends_with([';', '{', '}', ',']);
        if code.is_empty() || statement_ends {
            break;
        }
    }
    &[]
}

/// Whether a line of a comment begins with `SAFETY:`, and an argument follows.
fn argues(comment: &[String]) -> bool {
    let lines: Vec<&str> = comment.iter().filter_map(|line| said(line, false)).collect();
    let Some(first) = lines.iter().rposition(|line| line.starts_with("SAFETY:")) else { return false };
    is_argument(lines[first..].join(" ").trim_start_matches("SAFETY:"))
}

/// Whether documentation has a section `# Safety` with something in it.
fn has_section(comment: &[String]) -> bool {
    let mut lines = comment.iter().filter_map(|line| said(line, true)).skip_while(|line| *line != "# Safety").skip(1);
    let section: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("# ")).collect();
    is_argument(&section.join(" "))
}

/// What a line of a comment says, if it is one of documentation, or of another comment.
fn said(line: &str, documentation: bool) -> Option<&str> {
    let line = line.trim();
    let line = line.strip_suffix("*/").unwrap_or(line);
    let behind = |marks: &[&str]| marks.iter().find_map(|mark| line.strip_prefix(mark));
    let text = match (behind(&["///", "//!", "/**", "/*!"]), behind(&["//", "/*"])) {
        (Some(text), _) => documentation.then_some(text),
        (None, Some(text)) => (!documentation).then_some(text),
        (None, None) => Some(line.trim_start_matches('*')),
    };
    text.map(str::trim)
}

/// Two words or more, and not only those that say that all is well.
fn is_argument(text: &str) -> bool {
    let text = text.to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let later = words.first().is_some_and(|first| LATER.contains(first));
    words.len() > 1 && !later && words.iter().any(|word| !EMPTY.contains(word))
}

/// Whether the innermost item around a line is `impl Trait for Type`.
fn in_trait_impl(code: &[String], line: usize) -> bool {
    let mut open: Vec<String> = Vec::new();
    let mut head = String::new();
    for text in &code[..line] {
        for c in text.chars() {
            match c {
                '{' => open.push(std::mem::take(&mut head)),
                '}' => {
                    open.pop();
                    head.clear();
                }
                ';' => head.clear(),
                c => head.push(c),
            }
        }
        head.push(' ');
    }
    let is = |head: &String| {
        let words: Vec<&str> = head.split_whitespace().collect();
        words.iter().any(|word| word.starts_with("impl")) && words.contains(&"for")
    };
    open.last().is_some_and(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        lint("a.rs".into(), text).iter().map(|one| one.line).collect()
    }

    #[test]
    fn what_is_argued_passes() {
        let text = r#"
// SAFETY: `y` wants nothing.
let x = unsafe { y() };
// SAFETY: Over
// two lines.
#[allow(x)]
let x =
    unsafe { y() };
foo(
    // SAFETY: See above.
    unsafe { y() },
);
let z = /* SAFETY: “As above” – ééé. */ unsafe { y() };
// SAFETY: Never moved.
unsafe impl<T> Send for X<T> {}
/// Does it.
///
/// # Safety
///
/// Callers must.
#[inline]
pub(crate) unsafe extern "C" fn f() {}
impl Ops for X {
    unsafe fn g() {}
}
type F = unsafe extern "C" fn(i32);
#[unsafe(no_mangle)]
extern "C" fn h(cb: unsafe fn(i32)) { "unsafe { }"; /* unsafe { } */ }
unsafe extern "C" { fn k(); }
"#;
        assert_eq!(found(text), [0usize; 0]);
    }

    #[test]
    fn what_is_not_is_found() {
        assert_eq!(found("let x = unsafe { y() };\n"), [1]);
        assert_eq!(found("// SAFETY: It has one.\nlet x = 1;\nlet y = unsafe { z() };\n"), [3]);
        assert_eq!(
            found("match x {\n    // SAFETY: It has one.\n    A => unsafe { a() },\n    B => unsafe { b() },\n}\n"),
            [4]
        );
        assert_eq!(found("// Not about safety\nunsafe impl Send for X {}\n"), [2]);
        assert_eq!(found("impl X {\n    /// No section\n    pub unsafe fn g() {}\n}\n"), [3]);
        assert_eq!(found("// SAFETY: It is far away.\n\nlet x = unsafe { y() };\n"), [3]);
        assert_eq!(found("let x = unsafe\n{ y() };\n"), [1]);
    }

    #[test]
    fn a_comment_must_begin_with_the_word_and_argue() {
        let block = |comment: &str| found(&format!("{comment}\nunsafe impl Send for X {{}}\n")).len();
        let good = [
            "// SAFETY: `X` has no pointers.",
            "// Any thread may have it.\n// SAFETY:\n// - `X` has no pointers.",
            "// SAFETY:\n//\n// `X` has no pointers.",
            "/*\n * SAFETY: `X` has no pointers.\n */",
        ];
        assert_eq!(good.map(block), [0; 4]);
        let bad = [
            "// SAFETY:",
            "// SAFETY: ok",
            "// SAFETY: This is safe.",
            "// SAFETY: TODO: say why.",
            "// SAFETY: FIXME",
            "// Nothing about SAFETY: it has no pointers.",
            "// No SAFETY: comment",
            "/// SAFETY: Documentation is for callers.",
            "// safety: `X` has no pointers.",
        ];
        assert_eq!(bad.map(block), [1; 9]);
        assert_eq!(
            found("let x = /* SAFETY: */ unsafe { y() };\nlet x = \"SAFETY: not a comment\"; unsafe { y() };\n"),
            [1, 2]
        );
    }

    #[test]
    fn a_section_says_something() {
        let function = |comment: &str| found(&format!("{comment}\npub unsafe fn f() {{}}\n")).len();
        assert_eq!(function("/// Does it.\n///\n/// # Safety\n///\n/// `x` must be valid.\n///\n/// # Examples"), 0);
        let bad = [
            "/// # Safety",
            "/// # Safety\n///\n/// # Examples\n///\n/// There are none.",
            "/// # Safety\n///\n/// TODO",
            "/// About `# Safety`: callers must see to it.",
            "// # Safety\n//\n// `x` must be valid.",
        ];
        assert_eq!(bad.map(function), [1; 5]);
    }

    #[test]
    fn a_comment_that_goes_is_found() {
        let small = crate::check::testing::Small::new();
        let (with, without) = ("// SAFETY: It has one.\nlet x = unsafe { y() };\n", "let x = unsafe { y() };\n");
        let run = |old: &str, new: &str| small.run("safety", &small.subject(&[("a.rs", old)], &[("a.rs", new)])).len();
        assert_eq!(run(with, without), 1);
        assert_eq!(run(without, with), 0);
        assert_eq!(run(without, &format!("use z;\n{without}")), 0, "it was there before");
    }
}
