// SPDX-License-Identifier: GPL-2.0-only
//! A maintainer's clone as the base, without writing a byte into it.
//!
//! Our bare repository names the clone's object directory in `objects/info/alternates`: objects are read from there, and
//! all that is new (commits, refs, worktrees, configuration) is ours. Only here is the true base-commit known, since a
//! package has none.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Base, Origin, release, repo_path};
use crate::error::{Error, Result};
use crate::git::Repo;
use crate::git::command::Git;
use crate::manifest::BaseManifest;

/// Makes the newest release tag of the manifest's release in the clone at `path` the current base.
///
/// # Errors
/// [`Error::Base`] when `path` is no repository, lacks the tag, or lacks objects (shallow and partial clones).
pub fn adopt(cache: &Utf8Path, manifest: &BaseManifest, path: &Utf8Path) -> Result<Base> {
    let path = path.canonicalize_utf8().map_err(Error::io(path))?;
    let ask = |args: &[&str]| Git::reading(&path).args(args).line();
    let refuse = |message: String, fix: &str| Err(Error::base(message, fix));
    let objects = ask(&["rev-parse", "--path-format=absolute", "--git-path", "objects"]).map_err(|error| {
        Error::base(format!("{path} is not a git repository that can be read: {error}"), "give the path of a Linux clone")
    })?;
    if ask(&["rev-parse", "--is-shallow-repository"])? == "true" {
        return refuse(format!("{path} is a shallow clone"), "run `git fetch --unshallow` in it");
    }
    if ask(&["config", "--get-regexp", r"^remote\..*\.promisor$"]).is_ok_and(|text| text.contains("true")) {
        return refuse(format!("{path} is a partial clone: objects are missing"), "use a full clone");
    }
    let tags = ask(&["for-each-ref", "--format=%(refname:strip=2)", "refs/tags/"])?;
    let Some(tag) = newest(&tags, &manifest.release) else {
        let fix = format!("run `git fetch --tags` in it, from a remote that has v{}", manifest.release);
        return refuse(format!("{path} has no tag v{0} or v{0}.N", manifest.release), &fix);
    };
    let commit = ask(&["rev-parse", "--verify", &format!("refs/tags/{tag}^{{commit}}")])?;

    let target = repo_path(cache);
    drop(Repo::open_or_create(&target)?);
    borrow_objects(&target, Utf8Path::new(&objects))?;
    let repo = Repo::open(&target)?;
    let id = Repo::oid(&commit)?;
    let tree = repo.tree_of(id)?;
    let found = release::of_tree(&repo, tree)?;
    if format!("v{found}") != tag {
        return refuse(format!("tag {tag} of {path} is Linux {found}"), "use a clone with the release's own tags");
    }
    repo.set_ref(&format!("refs/phasectl-base/{id}"), id)?;
    let base = Base {
        repo: target,
        commit,
        tree: tree.to_string(),
        release: found,
        origin: Origin::Clone { path, tag },
    };
    base.save(cache)?;
    Ok(base)
}

/// The highest of `v7.3`, `v7.3.1`, ... among tags, one a line.
fn newest(tags: &str, release: &str) -> Option<String> {
    let number = |tag: &str| -> Option<u32> {
        let rest = tag.strip_prefix('v')?.strip_prefix(release)?;
        if rest.is_empty() { Some(0) } else { rest.strip_prefix('.')?.parse().ok() }
    };
    tags.lines().filter_map(|tag| Some((number(tag)?, tag))).max().map(|(_, tag)| tag.to_owned())
}

/// Adds a directory to the alternates, and drops those that are gone.
fn borrow_objects(repo: &Utf8Path, objects: &Utf8Path) -> Result<()> {
    let path = repo.join("objects/info/alternates");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines: Vec<Utf8PathBuf> = before.lines().map(Utf8PathBuf::from).filter(|dir| dir.is_dir()).collect();
    if !lines.iter().any(|line| line == objects) {
        lines.push(objects.to_owned());
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
    }
    crate::source::replace_file(&path, text.as_bytes(), false)
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
