// SPDX-License-Identifier: GPL-2.0-only

//! SAFETY comments, by the text alone.
//!
//! clippy looks for those of blocks and impls as well, but only in what the configuration compiles, and after minutes. Here
//! every added `unsafe` counts: blocks and impls have a `// SAFETY:` comment right above their statement (or before them on
//! their line), functions a `# Safety` section in their documentation. In the impl of a trait the trait has that section.

use super::finding::fresh;
use super::source::{Layers, layers, words};
use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

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
                layers.comments[line][..column].contains("SAFETY:") || above(&layers, line, "SAFETY:"),
                if kind == Kind::Block { "unsafe block" } else { "unsafe impl" },
                "argue in a `// SAFETY:` comment right above it why it is sound",
            ),
            Kind::Fn => (
                in_trait_impl(&layers.code, line) || above(&layers, line, "# Safety"),
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

/// Whether the comment above the statement of a line has a word. Attributes may stand between.
fn above(layers: &Layers, line: usize, word: &str) -> bool {
    let mut in_comment = false;
    for index in (0..line).rev() {
        let (code, comment) = (layers.code[index].trim(), layers.comments[index].trim());
        if code.is_empty() && !comment.is_empty() {
            in_comment = true;
            if comment.contains(word) {
                return true;
            }
            continue;
        }
        let statement_ends = !code.starts_with("#[") && code.ends_with([';', '{', '}', ',']);
        if in_comment || code.is_empty() || statement_ends {
            return false;
        }
    }
    false
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
// SAFETY: It is.
let x = unsafe { y() };
// SAFETY: Over
// two lines.
#[allow(x)]
let x =
    unsafe { y() };
foo(
    // SAFETY: Here.
    unsafe { y() },
);
let z = /* SAFETY: inline. */ unsafe { y() };
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
        assert_eq!(found("// SAFETY: a\nlet x = 1;\nlet y = unsafe { z() };\n"), [3]);
        assert_eq!(found("match x {\n    // SAFETY: a\n    A => unsafe { a() },\n    B => unsafe { b() },\n}\n"), [4]);
        assert_eq!(found("// Not about safety\nunsafe impl Send for X {}\n"), [2]);
        assert_eq!(found("impl X {\n    /// No section\n    pub unsafe fn g() {}\n}\n"), [3]);
        assert_eq!(found("// SAFETY: far away\n\nlet x = unsafe { y() };\n"), [3]);
        assert_eq!(found("let x = unsafe\n{ y() };\n"), [1]);
    }

    #[test]
    fn a_comment_that_goes_is_found() {
        let small = crate::check::testing::Small::new();
        let (with, without) = ("// SAFETY: a\nlet x = unsafe { y() };\n", "let x = unsafe { y() };\n");
        let run = |old: &str, new: &str| small.run("safety", &small.subject(&[("a.rs", old)], &[("a.rs", new)])).len();
        assert_eq!(run(with, without), 1);
        assert_eq!(run(without, with), 0);
        assert_eq!(run(without, &format!("use z;\n{without}")), 0, "it was there before");
    }
}
