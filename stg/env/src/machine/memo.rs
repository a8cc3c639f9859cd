// SPDX-License-Identifier: GPL-2.0-only

//! The memory behind `Machine::ask_once`: what a program printed, as long as its file stays the same.
//!
//! A damaged or unwritable file is as good as none. The file is replaced in one step, so two processes at once lose
//! at most some entries.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use camino::Utf8Path;
use camino::Utf8PathBuf;
use serde::Deserialize;
use serde::Serialize;

/// What identifies the contents of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the inode's last change, which no tool can set back.
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Utf8Path) -> Option<Self> {
        let meta = file.metadata().ok()?;
        Some(Self { inode: meta.ino(), size: meta.size(), changed: (meta.ctime(), meta.ctime_nsec()) })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    stamp: Stamp,
    text: String,
}

/// Remembered output, by program and arguments.
#[derive(Debug)]
pub(super) struct Memo {
    file: Utf8PathBuf,
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

impl Memo {
    /// Reads the memory at `file`, or begins an empty one.
    pub(super) fn load(file: Utf8PathBuf) -> Self {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Self { file, entries: serde_json::from_str(&text).unwrap_or_default(), changed: false }
    }

    /// What `program` printed, if its file is the same as then.
    pub(super) fn get(&self, program: &Utf8Path, args: &[&str]) -> Option<String> {
        let entry = self.entries.get(&key(program, args))?;
        (Stamp::of(program)? == entry.stamp).then(|| entry.text.clone())
    }

    /// Remembers what `program` printed.
    pub(super) fn put(&mut self, program: &Utf8Path, args: &[&str], text: &str) {
        if let Some(stamp) = Stamp::of(program) {
            self.entries.insert(key(program, args), Entry { stamp, text: text.to_owned() });
            self.changed = true;
        }
    }

    /// Writes the memory, if there is anything new in it.
    pub(super) fn save(&mut self) {
        if std::mem::take(&mut self.changed)
            && let Some(dir) = self.file.parent()
            && let Ok(json) = serde_json::to_string(&self.entries)
            && let Ok(mut new) = tempfile::NamedTempFile::new_in(dir)
            && new.write_all(json.as_bytes()).is_ok()
        {
            // As said above: without the file, programs are asked again.
            let _ = new.persist(&self.file);
        }
    }
}

fn key(program: &Utf8Path, args: &[&str]) -> String {
    format!("{program} {}", args.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::tempdir;

    #[test]
    fn a_damaged_memory_is_an_empty_one() {
        let (_guard, dir) = tempdir();
        let file = dir.join("probes.json");
        std::fs::write(&file, "{ not json").unwrap();
        let mut memo = Memo::load(file.clone());
        assert_eq!(memo.get(&file, &[]), None);
        let program = dir.join("program");
        std::fs::write(&program, "x").unwrap();
        memo.put(&program, &["-v"], "1.0");
        memo.save();
        assert_eq!(Memo::load(file).get(&program, &["-v"]).as_deref(), Some("1.0"));
    }
}
