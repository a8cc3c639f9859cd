// SPDX-License-Identifier: GPL-2.0-only

//! A part of a tree: a few files and directories of it, as a tree of its own.
//!
//! The id of such a tree says everything about the content of those paths and nothing about the rest, so it serves as a
//! key of whatever is made from them; and what is written out from it has nothing else, so that a maker that needs more than
//! the key covers fails instead of using what the key does not know.

use camino::Utf8Path;
use git2::build::{CheckoutBuilder, TreeUpdateBuilder};
use git2::{FileMode, ObjectType, Oid};

use super::Repo;
use crate::error::{Error, Result};

impl Repo {
    /// The tree that has only these paths of `tree`, each at its place; a path that is not there is left out. Directories
    /// come whole. No path may lie in another one.
    pub fn subset(&self, tree: Oid, paths: &[&str]) -> Result<Oid> {
        let whole = self.inner.find_tree(tree).map_err(Error::git(format!("reading tree {tree}")))?;
        let mut builder = TreeUpdateBuilder::new();
        for path in paths {
            let entry = match whole.get_path(Utf8Path::new(path).as_std_path()) {
                Ok(entry) => entry,
                Err(error) if error.code() == git2::ErrorCode::NotFound => continue,
                Err(error) => return Err(Error::git(format!("reading {path}"))(error)),
            };
            let mode = match (entry.kind(), entry.filemode()) {
                (Some(ObjectType::Tree), _) => FileMode::Tree,
                (_, 0o120_000) => FileMode::Link,
                (_, 0o100_755) => FileMode::BlobExecutable,
                _ => FileMode::Blob,
            };
            builder.upsert(*path, entry.id(), mode);
        }
        let doing = || Error::git("writing a tree");
        let empty = self.inner.find_tree(self.empty_tree()?).map_err(doing())?;
        builder.create_updated(&self.inner, &empty).map_err(doing())
    }

    /// Writes the files of a tree into a directory, which need not be there.
    pub fn write_out(&self, tree: Oid, directory: &Utf8Path) -> Result<()> {
        let doing = || Error::git(format!("writing {tree} to {directory}"));
        let object = self.inner.find_object(tree, Some(ObjectType::Tree)).map_err(doing())?;
        let mut options = CheckoutBuilder::new();
        options.force().update_index(false).refresh(false).target_dir(directory.as_std_path());
        self.inner.checkout_tree(&object, Some(&mut options)).map_err(doing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Update;
    use crate::testing::tempdir;

    #[test]
    fn a_subset_knows_its_own_paths_and_no_others() {
        let temp = tempdir();
        let repo = Repo::open_or_create(&temp.path().join("r.git")).unwrap();
        let file = |path: &str, text: &str, mode| (path.into(), Update::Put(repo.blob(text.as_bytes()).unwrap(), mode));
        let make = |other: &str, own: &str| {
            let files = [
                file("Makefile", "all:\n", 0o100_644),
                file("tools/include/a.h", own, 0o100_644),
                file("tools/run.sh", "#!/bin/sh\n", 0o100_755),
                file("drivers/x.c", other, 0o100_644),
            ];
            repo.update_tree(repo.empty_tree().unwrap(), &files).unwrap()
        };
        let paths = ["Makefile", "tools/include", "tools/run.sh", "gone/b.h"];
        let key = |other, own| repo.subset(make(other, own), &paths).unwrap();
        assert_eq!(key("1", "1"), key("2", "1"), "what is outside does not count");
        assert_ne!(key("1", "1"), key("1", "2"));

        let out = temp.path().join("out");
        repo.write_out(key("1", "1"), &out).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("tools/include/a.h")).unwrap(), "1");
        assert!(!out.join("drivers").exists());
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(out.join("tools/run.sh").metadata().unwrap().permissions().mode() & 0o111, 0o111);
    }
}
