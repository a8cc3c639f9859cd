// SPDX-License-Identifier: GPL-2.0-only

//! Single commits as mails, and mails as trees, by plain git: what a maintainer's git will make of them.

use std::io::{Seek as _, Write as _};

use camino::Utf8Path;
use git2::Oid;

use super::Repo;
use super::command::Git;
use crate::error::{Error, Result};
use crate::export::FORMAT;

/// A patch mail, taken apart as `git am` does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Without `[PATCH ...]`.
    pub subject: String,
    /// Subject, empty line, body: the commit message that it becomes.
    pub message: String,
    /// What follows the `---`: the diffs.
    pub patch: Vec<u8>,
}

impl Repo {
    /// A commit as a mail, the same bytes as in an export of it alone.
    pub fn mail(&self, commit: Oid) -> Result<Vec<u8>> {
        let options = FORMAT.into_iter().filter(|option| *option != "--numbered" && *option != "--quiet");
        Git::repo(self.path()).args(options).args(["--stdout", "-1", &commit.to_string()]).run()
    }

    /// The tree that `git apply` makes of `tree` with a patch (a mail or its diffs), or why it refuses.
    ///
    /// # Errors
    /// If git cannot be run at all.
    pub fn apply(&self, tree: Oid, patch: &[u8]) -> Result<std::result::Result<Oid, String>> {
        let scratch = Scratch::new()?;
        let index = scratch.path("index")?;
        let git = || Git::repo(self.path()).env("GIT_INDEX_FILE", &index);
        git().args(["read-tree", &tree.to_string()]).run()?;
        // `git am` takes white space as it is.
        let options = ["apply", "--cached", "--whitespace=nowarn", "--no-ignore-whitespace", "-"];
        match git().args(options).stdin(scratch.file(patch)?).run() {
            Ok(_) => Ok(Ok(Self::oid(&git().args(["write-tree"]).line()?)?)),
            Err(Error::Command { stderr, .. }) => Ok(Err(stderr)),
            Err(other) => Err(other),
        }
    }

    /// Takes a mail apart.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is no patch.
    pub fn read_mail(&self, bytes: &[u8]) -> Result<Mail> {
        let scratch = Scratch::new()?;
        let (message, patch) = (scratch.path("message")?, scratch.path("patch")?);
        let git = Git::repo(self.path()).args(["mailinfo", "--encoding=UTF-8", &message, &patch]);
        let info = match git.stdin(scratch.file(bytes)?).line() {
            // It has no diff.
            Err(Error::Command { .. }) => String::new(),
            other => other?,
        };
        let read = |path: &str| std::fs::read(path).map_err(Error::io(path));
        let subject = info.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().trim();
        let patch = std::fs::read(&patch).unwrap_or_default();
        if subject.is_empty() || patch.is_empty() {
            let fix = "pipe in one mail as `git format-patch` writes it";
            return Err(Error::refused("this is no mail with a patch", fix));
        }
        let body = String::from_utf8_lossy(&read(&message)?).into_owned();
        Ok(Mail { subject: subject.to_owned(), message: format!("{subject}\n\n{}\n", body.trim_matches('\n')), patch })
    }
}

/// Files for one call of git.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("phasectl-mail-").tempdir();
        directory.map(Self).map_err(Error::io("a temporary directory"))
    }

    fn path(&self, name: &str) -> Result<String> {
        let path = Utf8Path::from_path(self.0.path()).ok_or_else(|| {
            Error::refused("the temporary directory's name is not UTF-8", "set TMPDIR to another path")
        })?;
        Ok(path.join(name).into_string())
    }

    /// A file with these bytes, to be read from its beginning.
    fn file(&self, bytes: &[u8]) -> Result<std::fs::File> {
        let mut file = tempfile::tempfile_in(self.0.path()).map_err(Error::io("a temporary file"))?;
        let written = file.write_all(bytes).and_then(|()| file.rewind());
        written.map_err(Error::io("a temporary file"))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use crate::stack::Target;
    use crate::testing::World;

    #[test]
    fn a_commit_comes_back_from_its_mail() {
        let world = World::new();
        let assembled = world.assemble(&Target::All).unwrap();
        let repo = world.repo();
        for patch in &assembled.patches {
            let mail = repo.mail(patch.commit).unwrap();
            assert_eq!(mail, repo.mail(patch.commit).unwrap());
            let read = repo.read_mail(&mail).unwrap();
            assert_eq!(read.subject, patch.subject);
            assert_eq!(read.message, repo.message(patch.commit).unwrap());
            for text in [&mail, &read.patch] {
                assert_eq!(repo.apply(patch.parent_tree, text).unwrap(), Ok(patch.tree), "{}", patch.id());
            }
        }
        let [first, second, ..] = &assembled.patches[..] else { panic!() };
        let refused = repo.apply(first.parent_tree, &repo.mail(second.commit).unwrap()).unwrap().unwrap_err();
        assert!(refused.contains("rust/kernel/kho.rs"), "{refused}");
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        let world = World::new();
        for text in ["", "Subject: hello\n\nno patch\n", "rubbish"] {
            let error = world.repo().read_mail(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("no mail with a patch"), "{error}");
        }
    }
}
