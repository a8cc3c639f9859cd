// SPDX-License-Identifier: GPL-2.0-only

//! Why a mail goes on no tree: which hunk of which file has no place.

use ci::check::Finding;

/// What git says of a mail on a tree that it does not apply to.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// What the tree is called.
    pub(super) tree: String,
    /// git's words.
    pub(super) said: String,
}

impl Refusal {
    /// `patch failed: a.c:12` for the first hunk of a file without a place, `a.c: does not exist in index` for a file. Of the former's files
    /// git says once more that they do not apply.
    fn errors(&self) -> impl Iterator<Item = &str> {
        let errors = self.said.lines().filter_map(|line| line.strip_prefix("error: "));
        errors.filter(|error| !error.ends_with(": patch does not apply"))
    }

    /// How many files do not apply.
    pub(super) fn failures(&self) -> usize {
        self.errors().count()
    }

    /// For each file that does not apply the hunk, or what else git says of it, at its line of the mail.
    pub(super) fn findings(&self, mail: &[u8]) -> Vec<Finding> {
        let mail = String::from_utf8_lossy(mail);
        let first = mail.lines().position(|line| line.starts_with("diff --git ")).map_or(1, |at| at + 1);
        let hunks = hunks(&mail);
        let found = |line: usize, message: String| {
            Finding::new("mail".into(), line, message, "rebase it, or `phasectl base use` your clone")
        };
        let about = |error: &str| {
            let (line, what) = cause(error, &hunks).unwrap_or_else(|| (first, error.to_owned()));
            let tree = &self.tree;
            found(line, format!("{what}: the mail does not apply to {tree}, nor to any other tree of this project"))
        };
        let all: Vec<Finding> = self.errors().map(about).collect();
        if all.is_empty() { vec![found(first, "it applies to no tree of this project".to_owned())] } else { all }
    }
}

/// What an error of git's is about, with its line of the mail.
fn cause(error: &str, hunks: &[Hunk<'_>]) -> Option<(usize, String)> {
    if let Some((file, start)) = error.strip_prefix("patch failed: ").and_then(|place| place.rsplit_once(':')) {
        let hunk = hunks.iter().find(|hunk| hunk.files.contains(&file) && hunk.start() == Some(start))?;
        return Some((hunk.line, format!("hunk {} of {file} (`{}`) has no place", hunk.number, hunk.head)));
    }
    let (file, _) = error.split_once(": ")?;
    let hunk = hunks.iter().find(|hunk| hunk.files.contains(&file))?;
    Some((hunk.diff, error.to_owned()))
}

/// A hunk of a mail.
#[derive(Debug)]
struct Hunk<'a> {
    /// What the file is called before and after; nothing where it is not there.
    files: [&'a str; 2],
    /// 1-based line of the mail where the file's diff begins.
    diff: usize,
    /// Which one of its file it is, from 1.
    number: usize,
    /// Its 1-based line of the mail.
    line: usize,
    /// `@@ -12,2 +12,3 @@`.
    head: &'a str,
}

impl<'a> Hunk<'a> {
    /// The 12.
    fn start(&self) -> Option<&'a str> {
        self.head.strip_prefix("@@ -")?.split([',', ' ']).next()
    }
}

fn hunks(mail: &str) -> Vec<Hunk<'_>> {
    let mut all = Vec::new();
    let (mut files, mut diff, mut number) = ([""; 2], 0, 0);
    for (line, text) in (1..).zip(mail.lines()) {
        if text.starts_with("diff --git ") {
            (files, diff, number) = ([""; 2], line, 0);
        } else if let Some(head) = head(text).filter(|_| diff > 0) {
            number += 1;
            all.push(Hunk { files, diff, number, line, head });
        } else if number == 0 {
            // Within a hunk such a line would be one that goes or comes.
            for (side, start) in ["--- a/", "+++ b/"].into_iter().enumerate() {
                files[side] = text.strip_prefix(start).unwrap_or(files[side]);
            }
        }
    }
    all
}

/// The `@@ -12,2 +12,3 @@` at the beginning of a line.
fn head(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("@@ -")?;
    let end = rest.find(" @@")?;
    Some(&text[..text.len() - rest.len() + end + " @@".len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "Subject: x

--- a/no.c is text
@@ -1 +1 @@ too
---
diff --git a/a.c b/a.c
--- a/a.c
+++ b/a.c
@@ -1,2 +1,2 @@ f
-one
+two
 x
@@ -9 +9,2 @@
--- a/b.c
+three
diff --git a/old.c b/new.c
--- a/old.c
+++ b/new.c
@@ -9,1 +9,1 @@
-a
+b
diff --git a/d.c b/d.c
--- /dev/null
+++ b/d.c
@@ -0,0 +1 @@
+a
";

    #[test]
    fn each_file_with_its_hunk() {
        let said = "error: patch failed: a.c:9\nerror: a.c: patch does not apply\nerror: patch failed: old.c:9\n\
                    error: old.c: patch does not apply\nerror: d.c: already exists in index\nerror: corrupt patch at line 12\n";
        let refusal = Refusal { tree: "Linux 7.3".into(), said: said.into() };
        assert_eq!(refusal.failures(), 4);
        let findings = refusal.findings(MAIL.as_bytes());
        let behind = ": the mail does not apply to Linux 7.3, nor to any other tree of this project";
        let shown =
            findings.iter().map(|one| format!("{}: {}", one.place(), one.message.strip_suffix(behind).unwrap()));
        insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @r"
        mail:13: hunk 2 of a.c (`@@ -9 +9,2 @@`) has no place
        mail:19: hunk 1 of old.c (`@@ -9,1 +9,1 @@`) has no place
        mail:22: d.c: already exists in index
        mail:6: corrupt patch at line 12
        ");
        assert_eq!(Refusal::default().findings(MAIL.as_bytes())[0].place(), "mail:6", "git said nothing");
    }
}
