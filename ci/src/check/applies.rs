// SPDX-License-Identifier: GPL-2.0-only

//! Whether plain git makes of the mail what the project makes of the patch.
//!
//! The project puts patches on by an engine of its own, without fuzz. A maintainer has git.

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{Oid, Repo};

use super::places::places;
use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let finding = |(file, line): (Utf8PathBuf, usize), message: String, fix| {
        Ok(vec![Finding::new(&file, line, message, fix)].into())
    };
    match bench.repo.apply(subject.parent_tree, &subject.mail)? {
        Ok(tree) if tree == subject.tree => Ok(Verdict::default()),
        Ok(tree) => finding(
            differs(bench.repo, tree, subject)?,
            format!("git makes the tree {tree} of the mail, and not {}", subject.tree),
            "look at both trees with `git diff`; `phasectl edit` and `refresh` write hunks that git takes",
        ),
        Err(said) => finding(
            refused(&said, subject),
            format!("git does not apply it: {}", said.lines().next().unwrap_or_default()),
            "let `phasectl edit` and `refresh` write the hunks anew",
        ),
    }
}

/// Where git stopped: `error: patch failed: a.c:12`, `error: corrupt patch at line 12` of the mail, `error: a.c: already exists in index`.
fn refused(said: &str, subject: &Subject) -> (Utf8PathBuf, usize) {
    let place = |line: &str| {
        let text = line.strip_prefix("error: ")?;
        let number = text.rsplit([' ', ':']).next().and_then(|number| number.parse::<usize>().ok());
        match (text.strip_prefix("patch failed: ").and_then(|place| place.rsplit_once(':')), number) {
            (Some((file, _)), Some(number)) => Some((file.into(), number)),
            (None, Some(number)) if text.contains("patch") => places(subject).into_iter().take(number).next_back(),
            _ => {
                let file = text.split_once(": ").map(|(file, _)| Utf8Path::new(file))?;
                subject.touched.iter().any(|one| one.path == file).then(|| (file.to_owned(), 1))
            }
        }
    };
    said.lines().find_map(place).unwrap_or_else(|| (subject.origin.file.clone(), 1))
}

/// Where a tree first differs from that of the patch.
fn differs(repo: &Repo, tree: Oid, subject: &Subject) -> Result<(Utf8PathBuf, usize), BuildError> {
    let changes = repo.changes(tree, subject.tree, &subject.origin.file)?;
    let edited = changes.edits.into_iter().map(|edit| {
        let line = edit.hunks.first().map_or(1, |hunk| hunk.new_start);
        (edit.path, line)
    });
    let first = edited.chain(changes.added.into_iter().map(|(path, _)| (path, 1))).min();
    Ok(first.unwrap_or_else(|| (subject.origin.file.clone(), 1)))
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
        let found = small.run("applies", &subject).remove(0);
        assert!(found.message.contains("git makes the tree") && found.place().starts_with("a.c:"), "{found}");
        subject.mail = mail.replace("-two", "-five").into_bytes();
        let found = small.run("applies", &subject).remove(0);
        assert!(found.message.contains("patch failed: a.c:1") && found.place() == "a.c:1", "{found}");
        // A hunk that ends too early; it begins in the mail where its line of the file is shown.
        subject.mail = mail.replace("+three\n", "").into_bytes();
        let found = small.run("applies", &subject).remove(0);
        assert!(found.message.contains("corrupt patch") && found.place().starts_with("a.c:"), "{found}");
        let mut added = small.subject(&[("b.c", "1\n")], &[("b.c", "1\n"), ("d/a.c", "1\n")]);
        added.parent_tree = added.tree;
        let found = small.run("applies", &added).remove(0);
        assert!(found.message.contains("already exists") && found.place() == "d/a.c:1", "{found}");
    }
}
