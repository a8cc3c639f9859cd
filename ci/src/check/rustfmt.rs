// SPDX-License-Identifier: GPL-2.0-only

//! rustfmt, with the configuration of the tree.
//!
//! It reads each file from its standard input, so that it does not go on to the modules that the file declares. Then its exit code
//! says whether it understood the file, and nothing of whether it would write it otherwise: what counts is what it prints.

use camino::Utf8Path;

use super::finding::fresh;
use super::programs::broken;
use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let mut found = Vec::new();
    for file in subject.touched.iter().filter(|file| file.is(&["rs"])) {
        let look = |text: &Option<String>| look(&file.path, text.as_deref().unwrap_or_default(), subject, bench);
        let new = look(&file.new)?;
        // The file as it was matters only if something is to be said.
        let old = if new.is_empty() { Vec::new() } else { look(&file.old)? };
        found.extend(fresh(&old, new));
    }
    Ok(found.into())
}

fn look(path: &Utf8Path, text: &str, subject: &Subject, bench: &Bench<'_>) -> Result<Vec<Finding>, BuildError> {
    // Of nothing it would make two empty lines.
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let dir = bench.programs.of_tree(bench.repo, subject.tree)?;
    let args = ["--check", "--color", "never", "--config-path", ".rustfmt.toml"];
    let said = bench.programs.run(bench.programs.rustfmt.as_str(), &args, &dir, text.as_bytes())?;
    let mut found = differences(path, &said.out);
    found.extend(errors(path, &said.err));
    // It said something, and nobody knows what.
    if found.is_empty() && (!said.success || !said.out.trim().is_empty()) {
        return Err(broken(bench.programs.rustfmt.as_str(), &said));
    }
    Ok(found)
}

/// `Diff in <stdin>:12:`, then lines from there on, behind a blank, or a `-` or `+` where they differ. Each place is a finding.
fn differences(path: &Utf8Path, out: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut number = 0;
    let mut lines = out.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(place) = line.strip_prefix("Diff in <stdin>:") {
            number = place.split(':').next().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        } else if line.starts_with(['-', '+']) {
            let first = number;
            let mut wanted = line.strip_prefix('+');
            number += usize::from(wanted.is_none());
            while let Some(more) = lines.next_if(|line| line.starts_with(['-', '+'])) {
                wanted = wanted.or(more.strip_prefix('+'));
                number += usize::from(more.starts_with('-'));
            }
            let message = match wanted.map(str::trim) {
                None => "not formatted: rustfmt leaves this out".to_owned(),
                Some("") => "not formatted: rustfmt writes an empty line here".to_owned(),
                Some(wanted) => format!("not formatted: `{wanted}` is what rustfmt writes"),
            };
            found.push(Finding::new(path, first, message, "let rustfmt of the toolchain write it"));
        } else {
            number += 1;
        }
    }
    found
}

/// `error: expected ...` or `error[E0765]: unterminated ...`, then ` --> <stdin>:12:3`.
fn errors(path: &Utf8Path, err: &str) -> Vec<Finding> {
    let mut lines = err.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let coded = line.strip_prefix("error[").and_then(|rest| rest.split_once("]: ")).map(|(_, error)| error);
        let Some(error) = line.strip_prefix("error: ").or(coded) else { continue };
        let place = lines.peek().and_then(|place| place.trim_start().strip_prefix("--> <stdin>:"));
        let line = place.and_then(|place| place.split(':').next()?.parse().ok()).unwrap_or(0);
        found.push(Finding::new(path, line, format!("rustfmt cannot read it: {error}"), "correct the syntax"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::Small;

    /// What rustfmt 1.9.0 of Rust 1.95 does with a file on its standard input: it prints this, and exits with 0.
    const PRINTED: &str = "\
Diff in <stdin>:5:
 // 5
 
 fn f() {
-  x
+    x
 }
 
 fn g() {
Diff in <stdin>:14:
     c;
     d;
     e;
-  f;
+    f;
 }
-
 
 fn h() {}
+
";

    /// The file that it was given.
    const GIVEN: &str = "// 1\n// 2\n// 3\n// 4\n// 5\n\nfn f() {\n  x\n}\n\nfn g() {\n    a;\n    b;\n    c;\n    d;\n    e;\n  f;\n}\n\n\nfn h() {}";

    /// With exit code 101.
    const UNTERMINATED: &str = "\
error[E0765]: unterminated double quote string
 --> <stdin>:2:7
  |
2 |       a(\"b);
  |  _______^
3 | | }
  | |__^

";

    /// With exit code 1.
    const MISMATCHED: &str = "\
error: mismatched closing delimiter: `}`
 --> <stdin>:1:19
  |
1 | fn f() { let a = b( ;
  |        -          ^ unclosed delimiter

";

    /// With exit code 0.
    const ATTRIBUTE: &str = "\
error: invalid attribute
 --> <stdin>:5
  |
5 | #[rustfmt::foo]
  |

warning: rustfmt has failed to format. See previous 1 errors.

";

    /// With exit code 1.
    const NO_CONFIG: &str = "Error: unable to find a config file for the given path: `.rustfmt.toml`\n";

    /// A program that answers files with one of these in them like the real one.
    fn rustfmt() -> Small {
        let small = Small::new();
        let print = |text: &str, to: &str| format!("cat >&{to} <<'END'\n{text}END\n");
        let cases = [
            ("'  f;'", print(PRINTED, "1"), 0),
            ("UNTERMINATED", print(UNTERMINATED, "2"), 101),
            ("MISMATCHED", print(MISMATCHED, "2"), 1),
            ("ATTRIBUTE", print(ATTRIBUTE, "2"), 0),
            ("CONFIG", print(NO_CONFIG, "2"), 1),
            ("STRANGE", print("Would reformat <stdin>\n", "1"), 0),
        ];
        let cases = cases.map(|(word, print, code)| format!("*{word}*) {print}exit {code} ;;\n")).concat();
        small.program("rustfmt", &format!("#!/bin/sh\ntext=$(cat; echo .)\ncase $text in\n.) printf 'Diff in <stdin>:1:\\n+\\n+\\n' ;;\n{cases}esac\n"));
        small
    }

    fn run(small: &Small, old: &[(&str, &str)], new: &str) -> Result<Vec<String>, BuildError> {
        let found = small.try_run("rustfmt", &small.subject(old, &[("a.rs", new)]))?;
        Ok(found.iter().map(|one| format!("{}: {}", one.place(), one.message)).collect())
    }

    #[test]
    fn what_it_prints_counts_and_not_its_exit_code() {
        let small = rustfmt();
        assert_eq!(run(&small, &[], "fn g();\n").unwrap(), [""; 0]);
        insta::assert_snapshot!(run(&small, &[], GIVEN).unwrap().join("\n"), @r"
        a.rs:8: not formatted: `x` is what rustfmt writes
        a.rs:17: not formatted: `f;` is what rustfmt writes
        a.rs:19: not formatted: rustfmt leaves this out
        a.rs:22: not formatted: rustfmt writes an empty line here
        ");
        let before = [("a.rs", GIVEN)];
        assert_eq!(run(&small, &before, &format!("// 0\n{GIVEN}")).unwrap(), [""; 0], "none of it is the patch's");
        assert_eq!(run(&small, &before, "").unwrap(), [""; 0], "an empty file is formatted");
    }

    #[test]
    fn what_it_cannot_read() {
        let small = rustfmt();
        insta::assert_snapshot!(["UNTERMINATED", "MISMATCHED", "ATTRIBUTE"].map(|text| run(&small, &[], text).unwrap().join("\n")).join("\n"), @r"
        a.rs:2: rustfmt cannot read it: unterminated double quote string
        a.rs:1: rustfmt cannot read it: mismatched closing delimiter: `}`
        a.rs:5: rustfmt cannot read it: invalid attribute
        ");
        for text in ["CONFIG", "STRANGE"] {
            let error = run(&small, &[], text).unwrap_err().to_string();
            assert!(error.contains("rustfmt"), "{text}: {error}");
        }
    }
}
