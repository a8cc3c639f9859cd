// SPDX-License-Identifier: GPL-2.0-only

//! Project files for unit tests: this checkout's own, and made-up ones.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::source::{Entry, File};
use stg_core::{Disk, Result, Source};

/// The checkout that the tests belong to.
pub(crate) fn checkout() -> Disk {
    Disk::new(Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")))
}

/// Files in memory.
#[derive(Default)]
pub(crate) struct Files(BTreeMap<Utf8PathBuf, String>);

impl Files {
    /// From paths relative to the project root and their texts.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|&(path, text)| (path.into(), text.to_owned())).collect())
    }
}

impl Source for Files {
    fn read(&self, path: &Utf8Path) -> Result<Option<File>> {
        Ok(self.0.get(path).map(|text| File { bytes: text.clone().into_bytes(), executable: false }))
    }

    fn list(&self, dir: &Utf8Path) -> Result<Vec<Entry>> {
        let below = self.0.keys().filter(|path| path.starts_with(dir));
        Ok(below.map(|path| Entry { path: path.clone(), symlink: false }).collect())
    }
}
