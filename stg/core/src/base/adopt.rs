// SPDX-License-Identifier: GPL-2.0-only

//! A maintainer's clone as the base, without writing a byte into it.
//!
//! The tagged commit and its tree are fetched into our own repository, one commit deep. Borrowing the clone's objects
//! through `objects/info/alternates` would be quicker, but is not read-only: git and libgit2 "freshen" the time of a pack
//! whenever they are asked to write an object that is in it. With a copy the clone may also move, be repacked, or be
//! shallow. Only a clone tells the true base-commit; a package has none.

use std::io::ErrorKind;

use camino::Utf8Path;
use stg_env::Cache;

use super::{Base, Origin, release, repo_path};
use crate::error::{Error, Result};
use crate::git::command::Git;
use crate::git::{Oid, Repo};
use crate::manifest::BaseManifest;
use crate::source::absolute;

/// Makes the newest release tag of the manifest's release in the clone at `path` the current base.
///
/// # Errors
/// [`Error::Unknown`] when `path` does not exist, [`Error::Base`] when it is no repository, lacks the tag, or lacks objects (a partial clone).
pub fn adopt(cache: &Utf8Path, manifest: &BaseManifest, path: &Utf8Path) -> Result<Base> {
    let clone = "give the path of a Linux clone";
    let path = path.canonicalize_utf8().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::unknown(format!("{path}: {error}"), clone),
        _ => Error::base(format!("{path}: {error}"), clone),
    })?;
    let _one_at_a_time = Cache::at(&absolute(cache)?)?.lock("base")?;
    let ask = |args: &[&str]| Git::reading(&path).args(args).line();
    let refuse = |message: String, fix: &str| Err(Error::base(message, fix));
    ask(&["rev-parse", "--git-dir"]).map_err(|error| {
        let message = format!("{path} is not a git repository that can be read: {error}");
        Error::base(message, clone)
    })?;
    if ask(&["config", "--get-regexp", r"^remote\..*\.promisor$"]).is_ok_and(|text| text.contains("true")) {
        return refuse(format!("{path} is a partial clone: objects are missing"), "use a full clone");
    }
    let tags = ask(&["for-each-ref", "--format=%(refname:strip=2)", "refs/tags/"])?;
    let Some(tag) = newest(&tags, &manifest.release) else {
        let fix = format!("run `git fetch --tags` in it, from a remote that has v{}", manifest.release);
        return refuse(format!("{path} has no tag v{0} or v{0}.N", manifest.release), &fix);
    };
    let commit = ask(&["rev-parse", "--verify", &format!("refs/tags/{tag}^{{commit}}")])?;

    let repo = Repo::open_or_create(&repo_path(cache))?;
    let id = Repo::oid(&commit)?;
    let keep = format!("refs/phasectl-base/{id}");
    // The ref is written when everything has arrived, so an interrupted fetch is simply done again.
    if repo.get_ref(&keep).is_none() {
        repo.fetch_tag(&path, &tag)?;
    }
    // Opened anew, because packs arrived behind its back.
    let repo = Repo::open(repo.path())?;
    repo.set_ref(&keep, id)?;
    let tree = repo.tree_of(id)?;
    let found = release::of_tree(&repo, tree)?;
    if format!("v{found}") != tag {
        return refuse(format!("tag {tag} of {path} is Linux {found}"), "use a clone with the release's own tags");
    }
    let base = Base {
        repo: repo.path().to_owned(),
        commit,
        tree: tree.to_string(),
        release: found,
        origin: Origin::Clone { path, tag },
    };
    base.save(cache)?;
    Ok(base)
}

/// The commit that a Linux tree has checked out, which is only read.
///
/// # Errors
/// [`Error::Unknown`] when there is no directory at `path`, git knows no commit there, or that is not Linux.
pub fn linux_head(path: &Utf8Path) -> Result<Oid> {
    let wrong = |what: String| Error::unknown(format!("{path}: {what}"), "give the path of a Linux clone");
    if !path.is_dir() {
        return Err(wrong("there is no such directory".to_owned()));
    }
    let head = Git::reading(path).args(["rev-parse", "--verify", "HEAD^{commit}"]).line();
    let head = head.map_err(|error| wrong(format!("git knows no commit that is checked out there: {error}")))?;
    let makefile = Git::reading(path).args(["show", &format!("{head}:Makefile")]).run().unwrap_or_default();
    if release::of_makefile(&String::from_utf8_lossy(&makefile)).is_none() {
        return Err(wrong(format!("commit {head}, which is checked out there, has no Linux Makefile")));
    }
    Repo::oid(&head)
}

/// The highest of `v7.3`, `v7.3.1`, ... among tags, one a line.
fn newest(tags: &str, release: &str) -> Option<String> {
    let number = |tag: &str| -> Option<u32> {
        let rest = tag.strip_prefix('v')?.strip_prefix(release)?;
        if rest.is_empty() { Some(0) } else { rest.strip_prefix('.')?.parse().ok() }
    };
    tags.lines().filter_map(|tag| Some((number(tag)?, tag))).max().map(|(_, tag)| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_tag_wins() {
        let tags = "v7.2.9\nv7.3\nv7.3-rc7\nv7.3.10\nv7.3.4\nv7.30\nv7.3.4-rt1\nmine";
        assert_eq!(newest(tags, "7.3").as_deref(), Some("v7.3.10"));
        assert_eq!(newest("v7.3\nv7.4", "7.3").as_deref(), Some("v7.3"));
        assert_eq!(newest("v7.3-rc7\nv7.31", "7.3"), None);
    }
}
