// SPDX-License-Identifier: GPL-2.0-only

//! Project files for unit tests: this checkout's own, and made-up ones.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use plan::Event;
use stg_core::source::{Entry, File};
use stg_core::{Disk, Result, Source};

use crate::observe::{End, Observation, TimedEvent};
use crate::topology::{self, Topologies, Topology};

/// The checkout that the tests belong to.
pub(crate) fn checkout() -> Disk {
    Disk::new(Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")))
}

/// The machine that this YAML describes.
pub(crate) fn topology(yaml: &str) -> Topology {
    let lines: String = yaml.trim().lines().map(|line| format!("  {line}\n")).collect();
    let files = Files::of(&[(topology::FILE, &format!("t:\n{lines}"))]);
    Topologies::load(&files).unwrap().get("t").unwrap().clone()
}

/// A run of which nothing but these events was seen.
pub(crate) fn observation(events: impl IntoIterator<Item = Event>) -> Observation {
    Observation {
        end: End::Exited { code: Some(0), signal: None },
        shutdown: None,
        qemu_output: Vec::new(),
        events: events.into_iter().map(|event| TimedEvent { host_ms: 0, event }).collect(),
        noise: Vec::new(),
        hops: Vec::new(),
        cpus: Vec::new(),
        witness: None,
        translation: None,
        unchanged: None,
        elapsed: Duration::ZERO,
    }
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
