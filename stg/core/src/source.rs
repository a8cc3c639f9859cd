// SPDX-License-Identifier: GPL-2.0-only

//! Where the project's files come from: the checkout, or the checkout with some files replaced in memory.
//!
//! Assembling is a function of (base, files). `refresh` must prove that its result assembles before a byte is written,
//! so it assembles from an [`Overlay`]; everyone else assembles from [`Disk`]. Paths are relative to the project root and
//! are what error messages show.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result};

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Content.
    pub bytes: Vec<u8>,
    /// Whether any executable bit is set.
    pub executable: bool,
}

/// What a directory walk found; directories themselves are not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the project root.
    pub path: Utf8PathBuf,
    /// A symbolic link; never followed.
    pub symlink: bool,
}

/// Read access to the project's files.
pub trait Source {
    /// The file at a path, or `None` when there is none.
    fn read(&self, path: &Utf8Path) -> Result<Option<File>>;
    /// Every file and link below a directory, sorted; nothing when the directory does not exist.
    fn list(&self, dir: &Utf8Path) -> Result<Vec<Entry>>;
}

/// The checkout itself.
#[derive(Debug, Clone)]
pub struct Disk {
    root: Utf8PathBuf,
}

impl Disk {
    /// The project at this root (the directory with `phases/` and `kernel/`).
    pub fn new(root: impl AsRef<Utf8Path>) -> Self {
        Self { root: root.as_ref().to_owned() }
    }

    /// The project root.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    fn walk(&self, dir: &Utf8Path, found: &mut Vec<Entry>) -> Result<()> {
        let absolute = self.root.join(dir);
        for entry in absolute.read_dir_utf8().map_err(Error::io(&absolute))? {
            let entry = entry.map_err(Error::io(&absolute))?;
            let path = dir.join(entry.file_name());
            let kind = entry.file_type().map_err(Error::io(entry.path()))?;
            if kind.is_dir() {
                self.walk(&path, found)?;
            } else {
                found.push(Entry { path, symlink: kind.is_symlink() });
            }
        }
        Ok(())
    }
}

impl Source for Disk {
    fn read(&self, path: &Utf8Path) -> Result<Option<File>> {
        let absolute = self.root.join(path);
        match std::fs::metadata(&absolute) {
            Ok(meta) if meta.is_file() => {
                let bytes = std::fs::read(&absolute).map_err(Error::io(&absolute))?;
                Ok(Some(File { bytes, executable: meta.permissions().mode() & 0o111 != 0 }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&absolute)(error)),
        }
    }

    fn list(&self, dir: &Utf8Path) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let top = self.root.join(dir);
        if top.is_symlink() {
            found.push(Entry { path: dir.to_owned(), symlink: true });
        } else if top.is_dir() {
            self.walk(dir, &mut found)?;
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

/// A path that means the same in every directory: git runs in others.
pub(crate) fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf> {
    camino::absolute_utf8(path).map_err(Error::io(path))
}

/// Writes a file so that a reader sees the old content or the new, never a part.
pub(crate) fn replace_file(path: &Utf8Path, bytes: &[u8], executable: bool) -> Result<()> {
    let parent = path.parent().unwrap_or(Utf8Path::new("."));
    std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let mut fresh = tempfile::Builder::new().prefix(".phasectl-").tempfile_in(parent).map_err(Error::io(parent))?;
    let mode = if executable { 0o755 } else { 0o644 };
    fresh.write_all(bytes).map_err(Error::io(path))?;
    fresh.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).map_err(Error::io(path))?;
    fresh.persist(path).map_err(|error| Error::io(path)(error.error))?;
    Ok(())
}

/// Another source with some files replaced (`Some`) or taken away (`None`).
pub struct Overlay<'a> {
    under: &'a dyn Source,
    changes: &'a BTreeMap<Utf8PathBuf, Option<File>>,
}

impl<'a> Overlay<'a> {
    /// `changes` on top of `under`.
    pub fn new(under: &'a dyn Source, changes: &'a BTreeMap<Utf8PathBuf, Option<File>>) -> Self {
        Self { under, changes }
    }
}

impl Source for Overlay<'_> {
    fn read(&self, path: &Utf8Path) -> Result<Option<File>> {
        match self.changes.get(path) {
            Some(changed) => Ok(changed.clone()),
            None => self.under.read(path),
        }
    }

    fn list(&self, dir: &Utf8Path) -> Result<Vec<Entry>> {
        let mut found = self.under.list(dir)?;
        found.retain(|entry| !self.changes.contains_key(&entry.path));
        let fresh = self.changes.iter().filter(|(path, file)| file.is_some() && path.starts_with(dir));
        found.extend(fresh.map(|(path, _)| Entry { path: path.clone(), symlink: false }));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}
