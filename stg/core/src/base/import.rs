// SPDX-License-Identifier: GPL-2.0-only

//! From a package's source archive to a base commit, in steps that can be interrupted.
//!
//! Each step leaves a stamp in the staging directory when it is complete; a run that finds stamps of the same package
//! goes on behind them, one of another package starts over. The order: unpack, drop what the packager appended, add,
//! verify, commit, write base.json, remove the staging directory. Until base.json is replaced, the old base stays valid.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Base, Origin, package_commit, release, repo_path};
use crate::error::{Error, Result};
use crate::git::command::Git;
use crate::git::{Oid, Repo};
use crate::manifest::BaseManifest;

/// A downloaded package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Such as `linux-source-7.3`.
    pub name: String,
    /// Full version.
    pub version: String,
    /// Of the package file, in hexadecimal.
    pub sha256: String,
}

impl Package {
    fn stamp(&self) -> String {
        format!("{} {} {}\n", self.name, self.version, self.sha256)
    }
}

/// Imports a source archive (`.tar.xz`) with one top directory, and makes it the current base.
///
/// # Errors
/// [`Error::Base`] when the archive is not the release that the package's version names, or files got lost on the way.
pub fn import(cache: &Utf8Path, manifest: &BaseManifest, package: &Package, archive: &Utf8Path) -> Result<Base> {
    let cache = &crate::source::absolute(cache)?;
    let staging = Staging::open(cache.join("base-import"), package)?;
    let repo = Repo::open_or_create(&repo_path(cache))?;
    staging.step("unpacked", || {
        fresh(&staging.tree())?;
        unpack(archive, &staging.tree())?;
        trim_gitignore(&staging.tree().join(".gitignore"))?;
        Ok(String::new())
    })?;
    let files = staging.step("counted", || Ok(count(&staging.tree())?.to_string()))?;
    let files: u64 = files.parse().map_err(|_| damaged(&staging.root))?;
    let tree = staging.step("added", || Ok(add(&repo, &staging, files)?.to_string()))?;
    let tree = Repo::oid(&tree)?;

    let stored = repo.count_files(tree)?;
    if stored != files {
        let message = format!("{files} files were unpacked, but {stored} are in the repository");
        return Err(Error::base(message, format!("remove {} and try again", staging.root)));
    }
    let found = release::of_tree(&repo, tree)?;
    let promised = release::of_package(&package.version);
    if found != promised {
        let message = format!("package {} {} holds Linux {found}", package.name, package.version);
        return Err(Error::base(
            message,
            "report this to the distribution, or use a clone with `phasectl base use PATH`",
        ));
    }
    release::matches(&found, manifest)?;
    let commit = package_commit(&repo, tree, &found, &package.name, &package.version, manifest)?;
    let base = Base {
        repo: repo.path().to_owned(),
        commit: commit.to_string(),
        tree: tree.to_string(),
        release: found,
        origin: Origin::Package {
            name: package.name.clone(),
            version: package.version.clone(),
            sha256: package.sha256.clone(),
            files,
        },
    };
    base.save(cache)?;
    std::fs::remove_dir_all(&staging.root).map_err(Error::io(&staging.root))?;
    Ok(base)
}

struct Staging {
    root: Utf8PathBuf,
}

impl Staging {
    fn open(root: Utf8PathBuf, package: &Package) -> Result<Self> {
        let stamp = root.join("package");
        if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&package.stamp()) {
            fresh(&root)?;
            std::fs::write(&stamp, package.stamp()).map_err(Error::io(&stamp))?;
        }
        Ok(Self { root })
    }

    fn tree(&self) -> Utf8PathBuf {
        self.root.join("tree")
    }

    /// Runs a step unless its stamp is there; the stamp holds its result.
    fn step(&self, name: &str, run: impl FnOnce() -> Result<String>) -> Result<String> {
        let stamp = self.root.join(name);
        if let Ok(result) = std::fs::read_to_string(&stamp) {
            return Ok(result);
        }
        let result = run()?;
        crate::source::replace_file(&stamp, result.as_bytes(), false)?;
        Ok(result)
    }
}

fn damaged(root: &Utf8Path) -> Error {
    Error::base(format!("{root} is damaged"), format!("remove {root} and try again"))
}

fn fresh(directory: &Utf8Path) -> Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory).map_err(Error::io(directory))?;
    }
    std::fs::create_dir_all(directory).map_err(Error::io(directory))
}

fn bar(length: u64, what: &'static str, unit: &str) -> ProgressBar {
    let template = format!("{{msg:12}} [{{bar:40}}] {unit} {{eta}}");
    let bar = ProgressBar::new(length).with_message(what);
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// Feeds the archive to tar through a progress bar.
fn unpack(archive: &Utf8Path, into: &Utf8Path) -> Result<()> {
    let mut file = std::fs::File::open(archive).map_err(Error::io(archive))?;
    let length = file.metadata().map_err(Error::io(archive))?.len();
    let failed = |status: String| Error::Command {
        command: format!("tar -xJ < {archive}"),
        status,
        stderr: "see above".to_owned(),
    };
    let mut tar = Command::new("tar")
        .args(["--extract", "--xz", "--strip-components=1", "--no-same-owner", "--directory", into.as_str()])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let bar = bar(length, "unpacking", "{bytes}/{total_bytes}");
    if let Some(mut pipe) = tar.stdin.take() {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).map_err(Error::io(archive))?;
            // tar closes its end early only when it fails, and then its status says so.
            if read == 0 || pipe.write_all(&buffer[..read]).is_err() {
                break;
            }
            bar.inc(read as u64);
        }
    }
    let status = tar.wait().map_err(|error| failed(error.to_string()))?;
    bar.finish_and_clear();
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

/// Debian appends rules to `.gitignore` that ignore the whole tree; without them the file is Linux's own again.
fn trim_gitignore(path: &Utf8Path) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(()) };
    if let Some(end) = text.find("\n#\n# Debian packaging:") {
        let own = format!("{}\n", text[..end].trim_end_matches('\n'));
        std::fs::write(path, own).map_err(Error::io(path))?;
    }
    Ok(())
}

fn count(directory: &Utf8Path) -> Result<u64> {
    let mut files = 0;
    for entry in directory.read_dir_utf8().map_err(Error::io(directory))? {
        let entry = entry.map_err(Error::io(directory))?;
        let kind = entry.file_type().map_err(Error::io(entry.path()))?;
        files += if kind.is_dir() { count(entry.path())? } else { 1 };
    }
    Ok(files)
}

/// Writes every file into the repository; the tree's id.
fn add(repo: &Repo, staging: &Staging, files: u64) -> Result<Oid> {
    let index = staging.root.join("index");
    for left_over in [index.clone(), staging.root.join("index.lock")] {
        // Absent, unless an earlier run was interrupted here.
        let _ = std::fs::remove_file(left_over);
    }
    let tree = staging.tree();
    let git = || {
        Git::repo(repo.path())
            .env("GIT_INDEX_FILE", index.as_str())
            .env("GIT_WORK_TREE", tree.as_str())
            .args(["-C", tree.as_str()])
    };
    let bar = bar(files, "importing", "{pos}/{len} files");
    // Straight into one pack: 96,000 loose objects are twice as large and slow everything that comes after.
    let packed = ["-c", "core.bigFileThreshold=1", "-c", "pack.compression=1"];
    git().args(packed).args(["add", "--all", "--force", "--verbose", "."]).lines(|_| bar.inc(1))?;
    bar.finish_and_clear();
    Repo::oid(&git().args(["write-tree"]).line()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_debian_appended_goes() {
        let dir = crate::testing::tempdir();
        let path = dir.path().join(".gitignore");
        let theirs = "*.o\n# bc language scripts\n!kernel/time/timeconst.bc\n";
        let appended = format!("{theirs}\n#\n# Debian packaging: ignore everything\n#\n/*\n!/debian/\n");
        for (before, after) in [(appended.as_str(), theirs), (theirs, theirs)] {
            std::fs::write(&path, before).unwrap();
            trim_gitignore(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }
}
