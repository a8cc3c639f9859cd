// SPDX-License-Identifier: GPL-2.0-only

//! The only place that holds git2 or runs git.
//!
//! Objects are read and written through libgit2, in memory as far as possible: a stack of patches on 95,000 files is
//! assembled without a checkout. What libgit2 does differently from git (mails, worktrees, `am`) goes through the binary,
//! in `command`, which sees nothing of the user's configuration. libgit2 reads configuration too, so its search paths
//! are emptied before the first repository is opened: results must not depend on `diff.*` or `core.*` of a home directory.

pub(crate) mod command;
mod diff;
mod mail;
mod subset;
mod worktree;

use std::sync::Once;

use camino::{Utf8Path, Utf8PathBuf};
use git2::build::TreeUpdateBuilder;
use git2::{ConfigLevel, FileMode, ObjectType, Repository, Signature, Time};

pub use self::command::user_identity;
pub use git2::Oid;

pub use self::diff::Changes;
pub use self::mail::Mail;
use crate::error::{Error, Result};
use crate::manifest::Identity;
use crate::source::absolute;

/// Settings of a repository of ours, written when it is opened so that an old cache gets them too.
const CONFIG: [(&str, &str); 6] = [
    // Assembled commits are kept alive by refs that move; nothing may be swept up meanwhile.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // Blobs are the files' bytes, whatever the user's platform habits are.
    ("core.autocrlf", "false"),
    ("core.fileMode", "true"),
    ("core.symlinks", "true"),
    // What `edit` worktrees throw away can be found again.
    ("core.logAllRefUpdates", "true"),
];

/// A bare repository of ours.
pub struct Repo {
    inner: Repository,
    path: Utf8PathBuf,
}

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Content (of a link: its target).
    pub bytes: Vec<u8>,
    /// Such as 0o100644.
    pub mode: u32,
    /// Blob id.
    pub id: Oid,
}

/// A commit to be written.
#[derive(Debug, Clone)]
pub struct NewCommit<'a> {
    /// Tree id.
    pub tree: Oid,
    /// `None` for a base commit.
    pub parent: Option<Oid>,
    /// Author and committer.
    pub who: &'a Identity,
    /// Seconds since 1970, at UTC.
    pub date: i64,
    /// Subject, empty line, body.
    pub message: &'a str,
}

/// What a file of a tree becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// This blob with this mode.
    Put(Oid, u32),
    /// Nothing.
    Remove,
}

fn isolate() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for level in [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData] {
            // SAFETY: the search paths are global variables of libgit2 without a lock. `Once` makes this the only writer,
            // and every use of libgit2 in this crate that reads them opens a `Repo` first, which waits for it.
            // A failure leaves the default, which is no worse than not trying.
            let _ = unsafe { git2::opts::set_search_path(level, "") };
        }
    });
}

impl Repo {
    /// Opens a bare repository, or creates it.
    pub fn open_or_create(path: &Utf8Path) -> Result<Self> {
        isolate();
        let path = &absolute(path)?;
        if !path.join("HEAD").exists() {
            let mut options = git2::RepositoryInitOptions::new();
            options.bare(true).mkpath(true).external_template(false).initial_head("none");
            Repository::init_opts(path, &options).map_err(Error::git(format!("creating {path}")))?;
        }
        Self::open(path)
    }

    /// Opens a bare repository.
    pub fn open(path: &Utf8Path) -> Result<Self> {
        isolate();
        let path = absolute(path)?;
        let inner = Repository::open_bare(&path).map_err(Error::git(format!("opening {path}")))?;
        let mut config = inner.config().map_err(Error::git("reading its configuration"))?;
        for (key, value) in CONFIG {
            if config.get_string(key).ok().as_deref() != Some(value) {
                config.set_str(key, value).map_err(Error::git(format!("setting {key}")))?;
            }
        }
        Ok(Self { inner, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The object id that a text spells.
    pub fn oid(text: &str) -> Result<Oid> {
        Oid::from_str(text).map_err(Error::git(format!("reading the object id {text}")))
    }

    /// Writes a blob.
    pub fn blob(&self, bytes: &[u8]) -> Result<Oid> {
        self.inner.blob(bytes).map_err(Error::git("writing a blob"))
    }

    /// Writes a tree: `tree` with some paths changed.
    pub fn update_tree(&self, tree: Oid, updates: &[(Utf8PathBuf, Update)]) -> Result<Oid> {
        let baseline = self.inner.find_tree(tree).map_err(Error::git(format!("reading tree {tree}")))?;
        let mut builder = TreeUpdateBuilder::new();
        for (path, update) in updates {
            match update {
                Update::Remove => builder.remove(path.as_str()),
                Update::Put(id, 0o100_755) => builder.upsert(path.as_str(), *id, FileMode::BlobExecutable),
                Update::Put(id, _) => builder.upsert(path.as_str(), *id, FileMode::Blob),
            };
        }
        builder.create_updated(&self.inner, &baseline).map_err(Error::git("writing a tree"))
    }

    /// The tree without entries.
    pub fn empty_tree(&self) -> Result<Oid> {
        let builder = self.inner.treebuilder(None).map_err(Error::git("making a tree"))?;
        builder.write().map_err(Error::git("writing a tree"))
    }

    /// Writes a commit.
    pub fn commit(&self, new: &NewCommit<'_>) -> Result<Oid> {
        let doing = || Error::git("writing a commit");
        let date = Time::new(new.date, 0);
        let who = Signature::new(&new.who.name, &new.who.email, &date).map_err(doing())?;
        let tree = self.inner.find_tree(new.tree).map_err(doing())?;
        let parents = new.parent.map(|id| self.inner.find_commit(id)).transpose().map_err(doing())?;
        let parents: Vec<_> = parents.iter().collect();
        self.inner.commit(None, &who, &who, new.message, &tree, &parents).map_err(doing())
    }

    /// Points a ref at a commit, if it does not already.
    pub fn set_ref(&self, name: &str, id: Oid) -> Result<()> {
        if self.inner.refname_to_id(name).ok() != Some(id) {
            self.inner.reference(name, id, true, "phasectl").map_err(Error::git(format!("writing {name}")))?;
        }
        Ok(())
    }

    /// The commit a ref points at.
    pub fn get_ref(&self, name: &str) -> Option<Oid> {
        self.inner.refname_to_id(name).ok()
    }

    /// The tree of a commit.
    pub fn tree_of(&self, commit: Oid) -> Result<Oid> {
        let commit = self.inner.find_commit(commit).map_err(Error::git(format!("reading commit {commit}")))?;
        Ok(commit.tree_id())
    }

    /// The first parent of a commit.
    pub fn parent_of(&self, commit: Oid) -> Result<Option<Oid>> {
        let commit = self.inner.find_commit(commit).map_err(Error::git(format!("reading commit {commit}")))?;
        Ok(commit.parent_id(0).ok())
    }

    /// When a commit was made, in seconds since 1970.
    pub fn date_of(&self, commit: Oid) -> Result<i64> {
        let commit = self.inner.find_commit(commit).map_err(Error::git(format!("reading commit {commit}")))?;
        Ok(commit.time().seconds())
    }

    /// Whether an object is there.
    pub fn has(&self, id: Oid) -> bool {
        self.inner.odb().is_ok_and(|odb| odb.exists(id))
    }

    /// A file, or link, of a tree; `None` when nothing, or a directory, is there.
    pub fn read(&self, tree: Oid, path: &Utf8Path) -> Result<Option<TreeFile>> {
        let tree = self.inner.find_tree(tree).map_err(Error::git(format!("reading tree {tree}")))?;
        let entry = match tree.get_path(path.as_std_path()) {
            Ok(entry) => entry,
            Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(Error::git(format!("reading {path}"))(error)),
        };
        if entry.kind() != Some(ObjectType::Blob) {
            return Ok(None);
        }
        let blob = self.inner.find_blob(entry.id()).map_err(Error::git(format!("reading {path}")))?;
        let mode = u32::try_from(entry.filemode()).unwrap_or(0);
        Ok(Some(TreeFile { bytes: blob.content().to_vec(), mode, id: entry.id() }))
    }

    /// Number of files and links of a tree.
    pub fn count_files(&self, tree: Oid) -> Result<u64> {
        let tree = self.inner.find_tree(tree).map_err(Error::git(format!("reading tree {tree}")))?;
        let mut count = 0;
        tree.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
            count += u64::from(entry.kind() == Some(ObjectType::Blob));
            git2::TreeWalkResult::Ok
        })
        .map_err(Error::git("walking a tree"))?;
        Ok(count)
    }

    /// Message of a commit.
    pub fn message(&self, commit: Oid) -> Result<String> {
        let doing = Error::git(format!("reading commit {commit}"));
        let commit = self.inner.find_commit(commit).map_err(doing)?;
        let message = std::str::from_utf8(commit.message_raw_bytes()).map_err(|_| {
            Error::refused(format!("the message of commit {} is not UTF-8", commit.id()), "amend it as UTF-8")
        })?;
        Ok(message.to_owned())
    }

    /// Commits from `from` (not included) to `to`, oldest first; `None` when `to` does not descend from `from`.
    pub fn path_between(&self, from: Oid, to: Oid) -> Result<Option<Vec<Oid>>> {
        let doing = || Error::git(format!("walking from {from} to {to}"));
        let mut at = to;
        let mut path = Vec::new();
        while at != from {
            path.push(at);
            let commit = match self.inner.find_commit(at) {
                Ok(commit) => commit,
                // Beyond the base of a clone, whose history was not copied.
                Err(error) if error.code() == git2::ErrorCode::NotFound && path.len() > 1 => return Ok(None),
                Err(error) => return Err(doing()(error)),
            };
            match commit.parent_id(0) {
                // A stack is a line of at most some hundred commits; a clone's history is not walked to its root.
                Ok(parent) if path.len() < 1000 => at = parent,
                _ => return Ok(None),
            }
        }
        path.reverse();
        Ok(Some(path))
    }
}
