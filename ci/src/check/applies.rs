// SPDX-License-Identifier: GPL-2.0-only

//! Whether plain git makes of the mail what the project makes of the patch.
//!
//! The project puts patches on by an engine of its own, without fuzz. A maintainer has git.

use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let file = &subject.origin.file;
    let finding = |message: String, fix| Ok(vec![Finding::new(file, 0, message, fix)].into());
    match bench.repo.apply(subject.parent_tree, &subject.mail)? {
        Ok(tree) if tree == subject.tree => Ok(Verdict::default()),
        Ok(tree) => finding(
            format!("git makes the tree {tree} of the mail, and not {}", subject.tree),
            "look at both trees with `git diff`; `phasectl edit` and `refresh` write hunks that git takes",
        ),
        Err(said) => finding(
            format!("git does not apply it: {}", said.lines().next().unwrap_or_default()),
            "let `phasectl edit` and `refresh` write the hunks anew",
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Small;

    #[test]
    fn a_mail_that_says_something_else_is_found() {
        let small = Small::new();
        let mut subject = small.subject(&[("a.c", "one\ntwo\n")], &[("a.c", "one\nthree\n")]);
        assert!(small.run("applies", &subject).is_empty());
        let mail = String::from_utf8(subject.mail.clone()).unwrap();
        subject.mail = mail.replace("+three", "+four").into_bytes();
        assert!(small.run("applies", &subject)[0].message.contains("git makes the tree"));
        subject.mail = mail.replace("-two", "-five").into_bytes();
        assert!(small.run("applies", &subject)[0].message.contains("patch failed: a.c:1"));
    }
}
