// SPDX-License-Identifier: GPL-2.0-only

//! Worktrees of the cache's repository, and the questions that only the git binary answers.

use camino::{Utf8Path, Utf8PathBuf};
use git2::Oid;

use super::Repo;
use super::command::Git;
use crate::error::{Error, Result};
use crate::source::absolute;

impl Repo {
    /// A worktree at this path with this commit checked out, detached. An existing one is moved there by rewriting only
    /// the files that differ (so that `make` sees what changed); tracked files lose local changes, others stay. One whose
    /// repository was deleted and made anew is made anew too.
    pub fn checkout(&self, path: &Utf8Path, commit: Oid) -> Result<()> {
        let ours = Git::worktree(path).args(["rev-parse", "--path-format=absolute", "--git-common-dir"]).line();
        if path.join(".git").exists() && ours.is_err() {
            self.remove_worktree(path)?;
        }
        if path.join(".git").exists() {
            // `reset`, not `checkout`: an interrupted earlier run may have left half-written files behind.
            Git::worktree(path).args(["reset", "--quiet", "--hard", &commit.to_string()]).run()?;
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
        }
        Git::repo(&self.path).args(["worktree", "prune"]).run()?;
        Git::repo(&self.path)
            .args(["-c", "checkout.workers=0", "worktree", "add", "--quiet", "--force", "--detach"])
            .args([path.as_str(), &commit.to_string()])
            .run()?;
        Ok(())
    }

    /// Removes a worktree with everything in it.
    pub fn remove_worktree(&self, path: &Utf8Path) -> Result<()> {
        if path.exists() {
            std::fs::remove_dir_all(path).map_err(Error::io(path))?;
        }
        Git::repo(&self.path).args(["worktree", "prune"]).run()?;
        Ok(())
    }

    /// Copies a tag with its commit and tree, without its history, from a clone, which is only read.
    pub(crate) fn fetch_tag(&self, clone: &Utf8Path, tag: &str) -> Result<()> {
        let bar = indicatif::ProgressBar::new_spinner();
        let refspec = format!("+refs/tags/{tag}:refs/phasectl-tags/{tag}");
        Git::reading(&self.path)
            .args(["fetch", "--progress", "--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"])
            .args([clone.as_str(), &refspec])
            .progress(|line| bar.set_message(line.to_owned()))?;
        bar.finish_and_clear();
        Ok(())
    }

    /// The commit that any Linux tree has checked out, which becomes a commit of this repository too, without its history. The tree is
    /// only read.
    pub fn take_head(&self, tree: &Utf8Path) -> Result<Oid> {
        let id = Self::oid(&Git::reading(tree).args(["rev-parse", "--verify", "HEAD^{commit}"]).line()?)?;
        if !self.has(id) {
            let tree = absolute(tree)?;
            Git::reading(&self.path)
                .args([
                    "fetch",
                    "--quiet",
                    "--depth=1",
                    "--no-tags",
                    "--no-write-fetch-head",
                    "--no-recurse-submodules",
                ])
                .args([tree.as_str(), &format!("+HEAD:refs/phasectl-taken/{id}")])
                .run()?;
        }
        Ok(id)
    }

    /// The commit that a worktree has checked out.
    pub fn worktree_head(&self, path: &Utf8Path) -> Result<Oid> {
        Self::oid(&Git::worktree(path).args(["rev-parse", "--verify", "HEAD"]).line()?)
    }

    /// The tree that a worktree's files make: tracked files as they are now, and new files that are not ignored. The
    /// worktree's index is copied and left alone.
    pub fn worktree_tree(&self, path: &Utf8Path) -> Result<Oid> {
        let index = Git::worktree(path).args(["rev-parse", "--path-format=absolute", "--git-path", "index"]).line()?;
        let copy = tempfile::Builder::new().prefix("phasectl-index-").tempdir().map_err(Error::io(path))?;
        let copy_path = Utf8PathBuf::from_path_buf(copy.path().join("index"))
            .map_err(|path| Error::refused(format!("{} is not UTF-8", path.display()), "set TMPDIR to another path"))?;
        if Utf8Path::new(&index).exists() {
            std::fs::copy(&index, &copy_path).map_err(Error::io(&index))?;
            // The date says which entries git may trust: a file that was written in the same second as the index may have
            // changed after it, at the same size, and is read again only if the index is not younger than it was.
            let date = std::fs::metadata(&index).and_then(|meta| meta.modified()).map_err(Error::io(&index))?;
            let copied = std::fs::File::options().write(true).open(&copy_path).map_err(Error::io(&copy_path))?;
            copied.set_modified(date).map_err(Error::io(&copy_path))?;
        }
        let with = |args: &[&str]| Git::worktree(path).env("GIT_INDEX_FILE", copy_path.as_str()).args(args).line();
        with(&["add", "--all", "."])?;
        Self::oid(&with(&["write-tree"])?)
    }

    /// Moves a worktree's HEAD and index to a commit; its files stay as they are.
    pub fn worktree_reset(&self, path: &Utf8Path, commit: Oid) -> Result<()> {
        Git::worktree(path).args(["reset", "--quiet", "--mixed", &commit.to_string()]).run()?;
        Ok(())
    }

    /// Applies mails to a worktree, as a maintainer would.
    pub fn am(&self, path: &Utf8Path, mails: &[Utf8PathBuf]) -> Result<()> {
        Git::worktree(path)
            .env("GIT_COMMITTER_NAME", "phasectl")
            .env("GIT_COMMITTER_EMAIL", "phasectl")
            .args(["am", "--quiet", "--keep-cr"])
            .args(mails)
            .run()?;
        Ok(())
    }

    /// The commit of `base..tip` that last changed a line (1-based) of a file; `None` when the line is the base's, or
    /// there is no such line.
    pub fn blame(&self, base: Oid, tip: Oid, path: &Utf8Path, line: usize) -> Result<Option<Oid>> {
        let range = format!("{base}..{tip}");
        let place = format!("{line},{line}");
        let said =
            Git::repo(&self.path).args(["blame", "--porcelain", "-L", &place, &range, "--", path.as_str()]).line();
        // A line past the end, or a file that is generated, has no author among the patches.
        let Ok(said) = said else { return Ok(None) };
        let boundary = said.lines().any(|line| line == "boundary");
        let id = said.split_whitespace().next().unwrap_or_default();
        if boundary { Ok(None) } else { Self::oid(id).map(Some) }
    }
}
