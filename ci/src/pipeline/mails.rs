// SPDX-License-Identifier: GPL-2.0-only

//! Whether an export does what it is for, asked of plain git.
//!
//! A maintainer gets mails and runs `git am` on a clean base. That is done here, with nothing of this project in between,
//! and the trees that come out must be those of the assembled commits. Checking out 95,000 files would take most of a
//! minute, so the clean base is a sparse one: nothing is checked out, `git am` writes just the files that it changes, and
//! the index and the trees are whole all the same.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Cmd, Shell, cmd};

/// A patch to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The exported file.
    pub file: Utf8PathBuf,
    /// The id of the assembled commit whose tree must come out. An id and not a ref: refs belong to the cache, and another
    /// checkout that shares it may move them at any time.
    pub commit: String,
}

/// The patches of an exported series in order: what `git am` gets, so without the cover letter.
///
/// # Errors
///
/// If the directory cannot be read.
pub fn patches(directory: &Utf8Path) -> anyhow::Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    for entry in directory.read_dir_utf8().with_context(|| format!("reading {directory}"))? {
        let path = entry?.into_path();
        if path.file_name().is_some_and(|name| name.ends_with(".patch") && !name.contains("-0000-")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The last `count` commits of the line that ends in `tip`, in order, after the commit that they stand on.
///
/// # Errors
///
/// If the repository does not have so many.
pub fn line(bare: &Utf8Path, tip: &str, count: usize) -> anyhow::Result<(String, Vec<String>)> {
    let shell = Shell::new()?;
    let most = format!("--max-count={}", count + 1);
    let list = cmd!(shell, "git --git-dir {bare} rev-list --first-parent --reverse {most} {tip} --");
    let mut commits = plain(list).read()?.lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
    let start = commits.next().filter(|_| commits.len() == count);
    let start = start.with_context(|| format!("there are no {count} patches and a base up to the commit {tip}"))?;
    Ok((start, commits.collect()))
}

/// Every file below a directory, by its relative path.
///
/// # Errors
///
/// If something cannot be read.
pub fn contents(directory: &Utf8Path) -> anyhow::Result<BTreeMap<Utf8PathBuf, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in dir.read_dir_utf8().with_context(|| format!("reading {dir}"))? {
            let path = entry?.into_path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = std::fs::read(&path).with_context(|| format!("reading {path}"))?;
                all.insert(path.strip_prefix(directory).unwrap_or(&path).to_owned(), bytes);
            }
        }
    }
    Ok(all)
}

/// Whether two exports are the same, byte by byte.
///
/// # Errors
///
/// With the first file that differs, or if there is none at all.
pub fn same(one: &Utf8Path, two: &Utf8Path) -> anyhow::Result<()> {
    let (first, second) = (contents(one)?, contents(two)?);
    ensure!(!first.is_empty(), "the export wrote no file to {one}");
    for name in first.keys().chain(second.keys()) {
        let (a, b) = (first.get(name), second.get(name));
        if a != b {
            let line = |bytes: Option<&Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let (Some(a), Some(b)) = (line(a), line(b)) else { bail!("only one of two exports wrote {name}") };
            let pair = a.lines().zip(b.lines()).enumerate().find(|(_, (a, b))| a != b);
            let (number, (a, b)) = pair.unwrap_or((0, ("", "")));
            bail!("two exports differ in {name}:{}\n  {a}\n  {b}", number + 1);
        }
    }
    Ok(())
}

/// Applies mails to the base commit of a bare repository by `git am` in a repository of its own below `scratch`; after
/// each the tree must be that of its commit in the bare repository.
///
/// # Errors
///
/// If one does not apply, or makes another tree.
pub fn am(bare: &Utf8Path, base: &str, mails: &[Mail], scratch: &Utf8Path) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    let clone = scratch.join("am");
    std::fs::create_dir_all(&clone).with_context(|| format!("creating {clone}"))?;
    shell.change_dir(&clone);
    plain(cmd!(shell, "git init --quiet .")).run()?;
    // Objects are looked up in the bare repository, and written here: a wrong tree must not get in there.
    write(&clone.join(".git/objects/info/alternates"), &format!("{bare}/objects\n"))?;
    for (key, value) in [("core.sparseCheckout", "true"), ("core.sparseCheckoutCone", "false"), ("gc.auto", "0")] {
        plain(cmd!(shell, "git config {key} {value}")).run()?;
    }
    write(&clone.join(".git/info/sparse-checkout"), "/.nothing-is-checked-out\n")?;
    plain(cmd!(shell, "git update-ref --no-deref HEAD {base}")).run()?;
    plain(cmd!(shell, "git read-tree -m -u HEAD")).run()?;
    for Mail { file, commit } in mails {
        // Its own words belong into the message, not between the lines of the run.
        let output = plain(cmd!(shell, "git am --quiet {file}")).ignore_status().output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git am does not take {file}:\n{}", said.trim_end());
        let made = plain(cmd!(shell, "git rev-parse").arg("HEAD^{tree}")).read()?;
        let tree = format!("{commit}^{{tree}}");
        let wanted = plain(cmd!(shell, "git --git-dir {bare} rev-parse --verify {tree}")).read()?;
        ensure!(made == wanted, "git am of {file} makes the tree {made}, the assembled commit {commit} has {wanted}");
    }
    Ok(())
}

fn write(path: &Utf8Path, text: &str) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("creating {parent}"))?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {path}"))
}

/// git as on a machine without any configuration.
fn plain(command: Cmd<'_>) -> Cmd<'_> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let command = command.quiet().env_clear().env("PATH", path).env("LC_ALL", "C").env("TZ", "UTC");
    let command =
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TEMPLATE_DIR", "");
    // The repository is the cache's, which may belong to another user (root with a user's cache).
    let safe =
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    safe.env("GIT_COMMITTER_NAME", "ci").env("GIT_COMMITTER_EMAIL", "ci")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lab {
        _guard: tempfile::TempDir,
        root: Utf8PathBuf,
        base: String,
        one: String,
    }

    impl Lab {
        /// A bare repository with a base, and a commit on it, exported. A ref of that name points elsewhere, as after another
        /// checkout's run.
        fn new() -> Self {
            let guard = tempfile::tempdir().unwrap();
            let root = Utf8PathBuf::from_path_buf(guard.path().to_owned()).unwrap();
            let shell = Shell::new().unwrap();
            let work = root.join("work");
            std::fs::create_dir_all(work.join("dir")).unwrap();
            shell.change_dir(&work);
            let git = |command: Cmd<'_>| {
                let command = plain(command).env("GIT_AUTHOR_NAME", "a").env("GIT_AUTHOR_EMAIL", "a@example.org");
                command.read().unwrap()
            };
            git(cmd!(shell, "git init --quiet ."));
            let file: String = (1..20).map(|number| format!("line {number}\n")).collect();
            std::fs::write(work.join("dir/file"), &file).unwrap();
            std::fs::write(work.join("untouched"), "x\n").unwrap();
            git(cmd!(shell, "git add ."));
            git(cmd!(shell, "git commit --quiet -m base"));
            let base = git(cmd!(shell, "git rev-parse HEAD"));
            std::fs::write(work.join("dir/file"), file.replace("line 9\n", "line nine\n")).unwrap();
            std::fs::write(work.join("dir/new"), "new\n").unwrap();
            git(cmd!(shell, "git add ."));
            git(cmd!(shell, "git commit --quiet -m one"));
            let one = git(cmd!(shell, "git rev-parse HEAD"));
            git(cmd!(shell, "git update-ref refs/phasectl/p/one HEAD~1"));
            let out = root.join("out/series");
            git(cmd!(shell, "git format-patch --quiet --cover-letter -v1 -o {out} HEAD~1"));
            let bare = root.join("base.git");
            git(cmd!(shell, "git clone --quiet --mirror . {bare}"));
            Self { _guard: guard, root, base, one }
        }

        fn am(&self, file: &Utf8Path, commit: &str) -> anyhow::Result<()> {
            let mail = Mail { file: file.to_owned(), commit: commit.into() };
            let scratch = tempfile::tempdir_in(&self.root).unwrap();
            am(&self.root.join("base.git"), &self.base, &[mail], Utf8Path::from_path(scratch.path()).unwrap())
        }
    }

    #[test]
    fn mails_give_the_assembled_trees() {
        let lab = Lab::new();
        let files = patches(&lab.root.join("out/series")).unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        lab.am(&files[0], &lab.one).unwrap();
        let error = lab.am(&files[0], &lab.base).unwrap_err().to_string();
        assert!(error.contains(&format!("the assembled commit {} has", lab.base)), "{error}");

        let text = std::fs::read_to_string(&files[0]).unwrap();
        std::fs::write(&files[0], text.replace(" line 8\n", " line eight\n")).unwrap();
        let error = lab.am(&files[0], &lab.one).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("git am does not take") && error.contains("dir/file: patch does not apply"),
            "{error}"
        );
    }

    #[test]
    fn a_line_of_commits_is_found_from_its_end() {
        let lab = Lab::new();
        let bare = lab.root.join("base.git");
        assert_eq!(line(&bare, &lab.one, 1).unwrap(), (lab.base.clone(), vec![lab.one.clone()]));
        assert_eq!(line(&bare, &lab.base, 0).unwrap(), (lab.base.clone(), Vec::new()));
        let error = line(&bare, &lab.one, 2).unwrap_err().to_string();
        assert!(error.starts_with("there are no 2 patches and a base"), "{error}");
        assert!(line(&bare, "0123456789012345678901234567890123456789", 1).is_err());
    }

    #[test]
    fn exports_are_compared_byte_by_byte() {
        let lab = Lab::new();
        let (one, two) = (lab.root.join("out"), lab.root.join("two"));
        std::fs::create_dir_all(two.join("series")).unwrap();
        for (name, bytes) in contents(&one).unwrap() {
            std::fs::write(two.join(name), bytes).unwrap();
        }
        same(&one, &two).unwrap();
        let file = patches(&two.join("series")).unwrap().remove(0);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("Date: ", "Date:  ", 1)).unwrap();
        let error = same(&one, &two).unwrap_err().to_string();
        assert!(error.starts_with("two exports differ in series/v1-0001-one.patch:3\n"), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert!(same(&one, &two).unwrap_err().to_string().contains("only one of two exports wrote series/v1-0001"));
        assert!(same(&lab.root.join("base.git/branches-none"), &two).is_err());
    }
}
