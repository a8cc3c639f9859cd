// SPDX-License-Identifier: GPL-2.0-only

//! What passed already, so that a long run can be taken up again.
//!
//! A ledger belongs to one state of the project's files: [`project_key`] hashes their names, contents and executable bits,
//! committed or not. Any change of any of them starts a new ledger, since nobody can tell which step it concerns. Only
//! what passed is entered; a failure is always tried again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use super::count::Count;
use crate::hash::Parts;

/// A step that passed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// How long it took.
    pub seconds: f64,
    /// What it counted.
    pub count: Count,
}

/// The steps that passed for one state of the files.
#[derive(Debug)]
pub struct Ledger {
    path: Utf8PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Ledger {
    /// Opens the ledger in a file. One that is not there, or not readable as a ledger, is empty.
    pub fn open(path: &Utf8Path) -> Self {
        let text = std::fs::read(path).unwrap_or_default();
        Self { path: path.to_owned(), entries: serde_json::from_slice(&text).unwrap_or_default() }
    }

    /// The entry of a step.
    pub fn find(&self, id: &str) -> Option<Entry> {
        self.entries.get(id).copied()
    }

    /// Enters a step and saves at once. If that fails, the step is repeated next time, and that is said.
    pub fn enter(&mut self, id: &str, entry: Entry) {
        self.entries.insert(id.to_owned(), entry);
        if let Err(error) = self.save() {
            eprintln!("cannot write {}: {error}: {id} will be repeated", self.path);
        }
    }

    fn save(&self) -> std::io::Result<()> {
        let dir = self.path.parent().unwrap_or(Utf8Path::new("."));
        std::fs::create_dir_all(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer_pretty(&mut file, &self.entries)?;
        file.flush()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// Hash of a checkout's files as they are now, except ignored ones.
///
/// # Errors
///
/// If git cannot list them or one cannot be read.
pub fn project_key(root: &Utf8Path) -> anyhow::Result<String> {
    let shell = Shell::new()?;
    shell.change_dir(root);
    let listed = cmd!(shell, "git ls-files -z --cached --others --exclude-standard").quiet().read()?;
    let mut names: Vec<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let mut parts = Parts::default();
    for name in names {
        let path = root.join(name);
        // A file that git knows and that is gone is a state like any other.
        let Ok(data) = path.symlink_metadata() else { continue };
        let content = if data.is_symlink() {
            path.read_link_utf8().with_context(|| format!("reading {path}"))?.into_string().into_bytes()
        } else if data.is_file() {
            std::fs::read(&path).with_context(|| format!("reading {path}"))?
        } else {
            continue;
        };
        let kind = (data.is_symlink(), data.permissions().mode() & 0o100 != 0);
        parts.add(name);
        parts.add(format!("{kind:?}"));
        parts.add(content);
    }
    Ok(parts.hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temp() -> (tempfile::TempDir, Utf8PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(guard.path().to_owned()).unwrap();
        (guard, path)
    }

    #[test]
    fn entries_outlive_the_process_and_damage_is_an_empty_ledger() {
        let (_guard, dir) = temp();
        let path = dir.join("results/ci-full/k.json");
        let entry = Entry { seconds: 1.5, count: Count { passed: 3, failed: 0 } };
        let mut ledger = Ledger::open(&path);
        ledger.enter("patch/a", entry);
        assert_eq!(Ledger::open(&path).find("patch/a"), Some(entry));
        assert_eq!(Ledger::open(&path).find("patch/b"), None);
        std::fs::write(&path, "{\"patch/a\":").unwrap();
        assert_eq!(Ledger::open(&path).find("patch/a"), None);
    }

    #[test]
    fn the_key_follows_every_file_but_ignored_ones() {
        let (_guard, dir) = temp();
        let shell = Shell::new().unwrap();
        shell.change_dir(&dir);
        cmd!(shell, "git init --quiet").env("GIT_TEMPLATE_DIR", "").run().unwrap();
        std::fs::write(dir.join(".gitignore"), "ignored\n").unwrap();
        std::fs::write(dir.join("a"), "1").unwrap();
        let key = || project_key(&dir).unwrap();
        let first = key();
        std::fs::write(dir.join("ignored"), "x").unwrap();
        assert_eq!(key(), first);
        std::fs::write(dir.join("a"), "2").unwrap();
        let second = key();
        assert_ne!(second, first);
        std::fs::set_permissions(dir.join("a"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let third = key();
        assert_ne!(third, second);
        std::fs::rename(dir.join("a"), dir.join("b")).unwrap();
        assert_ne!(key(), third);
        assert!(project_key(&dir.join("nowhere")).is_err());
    }
}
