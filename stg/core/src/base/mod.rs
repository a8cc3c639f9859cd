// SPDX-License-Identifier: GPL-2.0-only

//! The Linux tree that everything applies to.
//!
//! It comes from the distribution's package ([`import`], driven by [`fetch`]) or from a maintainer's clone ([`adopt`]).
//! Either way the result is a commit in `<cache>/base.git`, and `<cache>/base.json` says which. Several bases may be in
//! the repository at once; switching rewrites base.json and loses nothing. For a package the commit is ours: tree,
//! identity, date and message are fixed, so its id is the same on every machine. For a clone it is the tagged commit.

mod adopt;
mod fetch;
mod import;
mod release;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

pub use self::adopt::{adopt, linux_head};
pub use self::fetch::fetch;
pub use self::import::{Package, import};
use crate::error::{Error, Result};
use crate::git::{NewCommit, Oid, Repo};
use crate::manifest::BaseManifest;

/// A base tree in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The bare repository that holds it.
    pub repo: Utf8PathBuf,
    /// Commit id.
    pub commit: String,
    /// Tree id.
    pub tree: String,
    /// As in its Makefile, such as `7.3.4` or `7.3-rc7`.
    pub release: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a base came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// A distribution's package.
    Package {
        /// Such as `linux-source-7.3`.
        name: String,
        /// The package's full version.
        version: String,
        /// Of the package file, in hexadecimal.
        sha256: String,
        /// Files and links in the tree.
        files: u64,
    },
    /// A maintainer's clone, read and never written.
    Clone {
        /// As it was given, made absolute.
        path: Utf8PathBuf,
        /// The tag that was taken.
        tag: String,
    },
}

/// `base.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    commit: String,
    tree: String,
    release: String,
    origin: Origin,
}

/// The bare repository of a cache directory.
pub fn repo_path(cache: &Utf8Path) -> Utf8PathBuf {
    cache.join("base.git")
}

fn record_path(cache: &Utf8Path) -> Utf8PathBuf {
    cache.join("base.json")
}

/// The current base of a cache directory, checked against the repository.
///
/// # Errors
/// [`Error::NoBase`] when there is none; [`Error::Base`] when it is damaged, or not of the manifest's release.
pub fn load(cache: &Utf8Path, manifest: &BaseManifest) -> Result<Base> {
    let cache = &crate::source::absolute(cache)?;
    let path = record_path(cache);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NoBase { cache: cache.to_owned() });
        }
        Err(error) => return Err(Error::io(&path)(error)),
    };
    let again = "run `phasectl base fetch`, or `phasectl base use PATH`, again";
    let record: Record =
        serde_json::from_str(&text).map_err(|error| Error::base(format!("{path} is damaged: {error}"), again))?;
    let mut base = Base {
        repo: repo_path(cache),
        commit: record.commit,
        tree: record.tree,
        release: record.release,
        origin: record.origin,
    };
    release::matches(&base.release, manifest)?;
    let repo = Repo::open(&base.repo)?;
    let (commit, tree) = (Repo::oid(&base.commit)?, Repo::oid(&base.tree)?);
    if !repo.has(commit) || !repo.has(tree) {
        return Err(Error::base(format!("the base commit {commit} is missing in {}", base.repo), again));
    }
    if repo.tree_of(commit)? != tree {
        return Err(Error::base(format!("the base commit {commit} does not have the tree {tree} of {path}"), again));
    }
    if let Origin::Package { name, version, .. } = &base.origin {
        // The commit's identity and date are the manifest's; if those changed since the import, so does the commit.
        base.commit = package_commit(&repo, tree, &base.release, name, version, manifest)?.to_string();
    }
    Ok(base)
}

/// The base commit of a package: nothing in it depends on the machine.
fn package_commit(
    repo: &Repo,
    tree: Oid,
    release: &str,
    name: &str,
    version: &str,
    manifest: &BaseManifest,
) -> Result<Oid> {
    let message = format!("Linux {release}\n\nImported from the package {name} {version}.\n");
    let new = NewCommit { tree, parent: None, who: &manifest.author, date: manifest.epoch, message: &message };
    let commit = repo.commit(&new)?;
    repo.set_ref(&format!("refs/phasectl-base/{}", commit), commit)?;
    Ok(commit)
}

impl Base {
    /// Makes this the current base of its cache.
    fn save(&self, cache: &Utf8Path) -> Result<()> {
        let record = Record {
            commit: self.commit.clone(),
            tree: self.tree.clone(),
            release: self.release.clone(),
            origin: self.origin.clone(),
        };
        let path = record_path(cache);
        let text = serde_json::to_string_pretty(&record)
            .map_err(|error| Error::base(format!("{path}: {error}"), "report this as a bug"))?;
        crate::source::replace_file(&path, text.as_bytes(), false)
    }

    /// For `phasectl base show`: one fact a line.
    pub fn show(&self) -> String {
        let origin = match &self.origin {
            Origin::Package { name, version, sha256, files } => {
                format!("package {name} {version}\nsha256  {sha256}\nfiles   {files}")
            }
            Origin::Clone { path, tag } => format!("clone   {path}\ntag     {tag}"),
        };
        format!(
            "release {}\n{origin}\ncommit  {}\ntree    {}\nin      {}\n",
            self.release, self.commit, self.tree, self.repo
        )
    }
}

#[cfg(test)]
mod tests;
