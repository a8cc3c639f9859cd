// SPDX-License-Identifier: GPL-2.0-only

//! rustfmt, with the configuration of the tree.
//!
//! It reads each file from its standard input, so that it does not go on to the modules that the file declares.

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
    let dir = bench.programs.of_tree(bench.repo, subject.tree)?;
    let args = ["--check", "--color", "never", "--config-path", ".rustfmt.toml"];
    let said = bench.programs.run(bench.programs.rustfmt.as_str(), &args, &dir, text.as_bytes())?;
    if said.success {
        return Ok(Vec::new());
    }
    let found = differences(path, &said.out);
    if !found.is_empty() {
        return Ok(found);
    }
    // `error: expected ...`, then ` --> <stdin>:12:3`.
    let Some(error) = said.err.lines().find_map(|line| line.strip_prefix("error: ")) else {
        return Err(broken(bench.programs.rustfmt.as_str(), &said));
    };
    let place = said.err.lines().find_map(|line| line.trim_start().strip_prefix("--> <stdin>:"));
    let line = place.and_then(|place| place.split(':').next()?.parse().ok()).unwrap_or(0);
    Ok(vec![Finding::new(path, line, format!("rustfmt cannot read it: {error}"), "correct the syntax")])
}

/// `Diff in <stdin>:12:`, and the lines that it would have otherwise.
fn differences(path: &Utf8Path, out: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for line in out.lines() {
        if let Some(place) = line.strip_prefix("Diff in <stdin>:") {
            let number = place.trim_end_matches(':').split(':').next().and_then(|text| text.trim().parse().ok());
            found.push(Finding::new(
                path,
                number.unwrap_or(0),
                "not formatted",
                "let rustfmt of the toolchain write it",
            ));
        } else if let (Some(last), Some(wanted)) = (found.last_mut(), line.strip_prefix('+'))
            && last.message == "not formatted"
        {
            last.message = format!("not formatted: `{}` is what rustfmt writes", wanted.trim());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Small;

    #[test]
    fn differences_and_errors() {
        let small = Small::new();
        small.program(
            "rustfmt",
            "#!/bin/sh\ntext=$(cat)\ncase $text in\n*BAD*) echo 'Diff in <stdin>:2:'; echo ' fn f() {'; echo '-  x'; echo '+    x'; exit 1 ;;\n\
             *BROKEN*) printf 'error: expected one of `!`\\n --> <stdin>:4:5\\n' >&2; exit 1 ;;\n*CRASH*) exit 1 ;;\nesac\n",
        );
        let run = |old: &str, new: &str| small.try_run("rustfmt", &small.subject(&[("a.rs", old)], &[("a.rs", new)]));
        assert!(run("fn f();\n", "fn g();\n").unwrap().is_empty());
        let found = run("fn f();\n", "BAD\n").unwrap();
        assert_eq!(found[0].to_string().lines().next(), Some("a.rs:2: not formatted: `x` is what rustfmt writes"));
        assert!(run("BAD\n", "BAD\n2\n").unwrap().is_empty(), "what was there before is none of the patch's");
        assert_eq!(run("x\n", "BROKEN\n").unwrap()[0].message, "rustfmt cannot read it: expected one of `!`");
        assert!(run("x\n", "CRASH\n").is_err());
    }
}
