// SPDX-License-Identifier: GPL-2.0-only

//! `scripts/checkpatch.pl --strict` of the tree before the patch.
//!
//! Three of its findings are none here: that MAINTAINERS may need an update (FILE_PATH_CHANGES), which it says of every new file;
//! that a draft, which nobody has signed off yet, is not signed off; and that a commit is unknown (UNKNOWN_COMMIT_ID). It says that of
//! each one that a message names, `Fixes:` or `commit ...`, unless git knows it, and here no git can: a base is a tree with a commit of
//! its own, or of a clone the tagged commit alone, without the history before it.

mod fixes;

use super::places::places;
use super::programs::broken;
use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

const ARGS: [&str; 9] = [
    "scripts/checkpatch.pl",
    "--strict",
    "--terse",
    "--show-types",
    "--no-summary",
    "--no-tree",
    "--color=never",
    "--ignore=FILE_PATH_CHANGES",
    "--ignore=UNKNOWN_COMMIT_ID",
];

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let dir = bench.programs.of_tree(bench.repo, subject.parent_tree)?;
    let mut args = ARGS.to_vec();
    if !subject.body.lines().any(|line| line.starts_with("Signed-off-by:")) {
        args.push("--ignore=MISSING_SIGN_OFF");
    }
    args.push("-");
    let said = bench.programs.run("perl", &args, &dir, &subject.mail)?;
    let found = parse(&said.out, subject);
    // It ends with 1 if it finds anything, and with others if it cannot work.
    if found.is_empty() && !said.success {
        return Err(broken("scripts/checkpatch.pl", &said));
    }
    Ok(found.into())
}

/// Lines such as `-:907: WARNING:LONG_LINE: line length of 101 exceeds 100 columns`.
fn parse(out: &str, subject: &Subject) -> Vec<Finding> {
    let places = places(subject);
    let finding = |line: &str| {
        let (place, rest) = line.split_once(": ")?;
        let number: usize = place.rsplit(':').next()?.parse().ok()?;
        let (kind, message) = rest.split_once(": ")?;
        let (level, kind) = kind.split_once(':')?;
        ["ERROR", "WARNING", "CHECK"].contains(&level).then_some(())?;
        let (file, line) = places.get(number.saturating_sub(1)).or(places.last())?;
        Some(Finding::new(file, *line, format!("{kind}: {message}"), fixes::fix(kind)))
    };
    out.lines().filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Small;

    /// What it says, and whether it was told not to mind the missing sign-off.
    const PERL: &str = "#!/bin/sh\ncat >/dev/null\necho \"$*\" >&2\n\
        echo '-:10: WARNING:LONG_LINE: too long'\necho '-:3: CHECK:X: y'\necho 'NOTE: nothing'\nexit 1\n";

    #[test]
    fn findings_have_places_and_drafts_need_no_sign_off() {
        let small = Small::new();
        small.program("perl", PERL);
        let subject = small.subject(&[("a.c", "one\n")], &[("a.c", "one\ntwo\n")]);
        let found = small.run("checkpatch", &subject);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].message, "LONG_LINE: too long");
        assert_eq!(found[0].fix, "break the line at 100 columns, better at 80");
        small.program("perl", "#!/bin/sh\necho \"$*\" | grep -q MISSING_SIGN_OFF || echo '-:3: ERROR:MISSING: x'\n");
        assert_eq!(small.run("checkpatch", &subject), []);
        let mut signed = subject.clone();
        signed.body.push_str("\nSigned-off-by: A <a@x>\n");
        assert_eq!(small.run("checkpatch", &signed).len(), 1, "a signed patch must be signed off properly");
    }

    #[test]
    fn commits_that_nobody_here_can_know_are_no_finding() {
        // checkpatch of Linux 7.3 about such a message, in a directory without git. It exits with 1.
        let said = "-:5: WARNING:UNKNOWN_COMMIT_ID: Unknown commit id '0123456789ab', maybe rebased or not pulled?\n\
                    -:9: WARNING:UNKNOWN_COMMIT_ID: Unknown commit id '0123456789ab', maybe rebased or not pulled?\n";
        let small = Small::new();
        small.program(
            "perl",
            &format!("#!/bin/sh\ncat >/dev/null\ncase \"$*\" in\n*--ignore=UNKNOWN_COMMIT_ID*) ;;\n*) cat <<'END'\n{said}END\nexit 1\nesac\n"),
        );
        let mut subject = small.subject(&[("a.c", "one\n")], &[("a.c", "one\ntwo\n")]);
        subject.body =
            "Since commit 0123456789ab (\"x: Break it\") it does not.\n\nFixes: 0123456789ab (\"x: Break it\")\n"
                .to_owned();
        assert_eq!(small.run("checkpatch", &subject), []);
    }

    #[test]
    fn a_script_that_does_not_work_is_no_clean_patch() {
        let small = Small::new();
        let subject = small.subject(&[("a.c", "one\n")], &[("a.c", "one\ntwo\n")]);
        for script in ["#!/bin/sh\necho cannot >&2\nexit 2\n", "#!/bin/sh\nexit 2\n"] {
            small.program("perl", script);
            assert!(small.try_run("checkpatch", &subject).is_err());
        }
    }
}
