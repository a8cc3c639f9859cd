// SPDX-License-Identifier: GPL-2.0-only

//! clippy, with the kernel's configuration of it, on the crates whose files a patch touches.
//!
//! If the patch touches `rust/`, that is the kernel crate and every crate that the stack adds, since they use it. A patch
//! without Rust is not looked at.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{Oid, Repo};

use super::build::{compare, failed};
use super::{Bench, Subject, Verdict};
use crate::kbuild::BuildError;

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let Some(kernels) = bench.kernels else { return Ok(Verdict::default()) };
    let crates = crates(subject, bench)?;
    if crates.is_empty() {
        return Ok(Verdict::default());
    }
    let parent = kernels.clippy(subject, true, &crates);
    match kernels.clippy(subject, false, &crates) {
        Ok(own) => {
            compare(subject, kernels, parent, &own, "do what clippy says, or argue in an `expect` with its reason")
        }
        Err(error) => failed(error, subject),
    }
}

/// The root files of the crates that are looked at; `rust` stands for those that every kernel with Rust has.
fn crates(subject: &Subject, bench: &Bench<'_>) -> Result<Vec<Utf8PathBuf>, BuildError> {
    let touched: Vec<&Utf8Path> =
        subject.touched.iter().filter(|file| file.is(&["rs"])).map(|file| file.path.as_path()).collect();
    let mut roots = BTreeSet::new();
    for path in &touched {
        roots.insert(root(bench.repo, subject.tree, path)?);
    }
    if touched.iter().any(|path| path.starts_with("rust")) {
        let changes = bench.repo.changes(bench.base_tree, subject.tree, &subject.origin.file)?;
        for (path, _) in changes.added.iter().filter(|(path, _)| path.extension() == Some("rs")) {
            roots.insert(root(bench.repo, subject.tree, path)?);
        }
    }
    Ok(roots.into_iter().collect())
}

/// The root of the crate that a file belongs to: `a/b.rs` for `a/b/c.rs`, or the file itself.
fn root(repo: &Repo, tree: Oid, path: &Utf8Path) -> Result<Utf8PathBuf, BuildError> {
    if path.starts_with("rust") {
        return Ok("rust".into());
    }
    let mut root = path.to_owned();
    for dir in path.ancestors().skip(1).filter(|dir| !dir.as_str().is_empty()) {
        let candidate = dir.with_extension("rs");
        if repo.read(tree, &candidate)?.is_some() {
            root = candidate;
        }
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::build::tests::{Known, warnings};
    use crate::check::testing::Small;

    #[test]
    fn the_crates_of_a_patch() {
        let small = Small::new();
        let clean = || Known { parent: Some(warnings(true, &[])), own: Some(warnings(true, &[])), ..Known::default() };
        let asked = |old: &[(&str, &str)], new: &[(&str, &str)]| {
            let known = clean();
            check(&small.subject(old, new), &small.bench(Some(&known))).unwrap();
            let asked = known.asked.into_inner();
            assert!(asked.len().is_multiple_of(2), "the parent and the patch");
            asked[..asked.len() / 2].join(" ")
        };
        let tree = [("d/p.rs", "1\n"), ("d/p/a.rs", "1\n"), ("d/q.rs", "1\n"), ("rust/kernel/k.rs", "1\n")];
        let with = |path: &str| tree.map(|(file, text)| (file, if file == path { "2\n" } else { text }));
        assert_eq!(asked(&tree, &with("d/p/a.rs")), "d/p.rs");
        assert_eq!(asked(&tree, &with("d/q.rs")), "d/q.rs");
        assert_eq!(asked(&tree, &with("rust/kernel/k.rs")), "d/p.rs d/q.rs rust");
        assert_eq!(asked(&[("a.c", "1\n")], &[("a.c", "2\n")]), "");
    }

    #[test]
    fn what_it_says_is_found() {
        let small = Small::new();
        let said = "d/p.rs:1:1: warning: this could be simpler [clippy::x]";
        let known = Known { parent: Some(warnings(true, &[])), own: Some(warnings(true, &[said])), ..Known::default() };
        let subject = small.subject(&[("d/p.rs", "1\n")], &[("d/p.rs", "2\n")]);
        let found = check(&subject, &small.bench(Some(&known))).unwrap().findings;
        assert_eq!((found.len(), found[0].place()), (1, "d/p.rs:1".to_owned()));
    }
}
