// SPDX-License-Identifier: GPL-2.0-only

//! Builds that were killed: telling them from builds that failed, and the directories that they left behind.
//!
//! A signal says nothing about the code. It shows in how make itself ended, or, where make outlived what it ran, in the
//! line in which make reports that (in English: the locale of a build is fixed). A crash of a compiler is not among them:
//! that may well be the code's doing.
//!
//! make removes the target of a command that fails or that it interrupts itself, but nobody does when everything is
//! killed at once: an object may then be cut short, and yet newer than its source. A marker lies in the directory while
//! make runs. If it is found there, what was written in the last moments before the end is thrown away, which is all that
//! can be incomplete; the rest of a long build is kept.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use camino::Utf8Path;

use super::error::BuildError;

const MARKER: &str = ".phasectl-building";

/// How long before the last write a file may have been begun. Only links of the whole kernel take longer, and those are
/// repeated by every build.
const MOMENTS: Duration = Duration::from_secs(20);

/// Signals that come from outside, by number, and as make names them.
const OUTSIDE: [(i32, &str); 5] = [(1, "Hangup"), (2, "Interrupt"), (3, "Quit"), (9, "Killed"), (15, "Terminated")];

/// What was ended from outside, if that is why a build failed.
pub(super) fn by(end: ExitStatus, log: &str) -> Option<String> {
    let name = |number: i32| OUTSIDE.into_iter().find(|(signal, _)| *signal == number).map(|(_, name)| name);
    if let Some(name) = end.signal().and_then(name) {
        return Some(format!("make: {name}"));
    }
    let reported = |line: &&str| {
        line.starts_with("make")
            && line.contains("*** [")
            && OUTSIDE.iter().any(|(_, name)| line.trim_end().ends_with(&format!("] {name}")))
    };
    log.lines().find(reported).map(|line| line.trim_end().to_owned())
}

/// Says that make is at work in a build directory until [`Running::done`].
pub(super) struct Running<'a> {
    out: &'a Utf8Path,
}

impl<'a> Running<'a> {
    /// Cleans up after a killed run, if there was one, and marks the directory.
    pub(super) fn begin(out: &'a Utf8Path) -> Result<Self, BuildError> {
        let marker = out.join(MARKER);
        if marker.exists() {
            discard_last(out);
        }
        std::fs::write(&marker, "").map_err(BuildError::io("write", &marker))?;
        Ok(Self { out })
    }

    /// make came to its own end, well or not.
    pub(super) fn done(self) -> Result<(), BuildError> {
        let marker = self.out.join(MARKER);
        std::fs::remove_file(&marker).map_err(BuildError::io("remove", &marker))
    }
}

/// Removes the files written last. What cannot be read or removed make will trip over and report.
fn discard_last(out: &Utf8Path) {
    let mut files = Vec::new();
    collect(out, out, &mut files);
    let Some(newest) = files.iter().map(|(time, _)| *time).max() else { return };
    for (time, file) in files {
        if time + MOMENTS >= newest {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn collect(out: &Utf8Path, dir: &Utf8Path, files: &mut Vec<(SystemTime, camino::Utf8PathBuf)>) {
    for entry in dir.read_dir_utf8().into_iter().flatten().flatten() {
        let path = entry.path();
        // Empty files whose time alone says that an option changed: without them its users would not be compiled again.
        if path == out.join("include/config") {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(out, path, files),
            Ok(kind) if kind.is_file() && path != out.join(MARKER) => {
                files.extend(entry.metadata().and_then(|data| data.modified()).map(|time| (time, path.to_owned())));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_from_outside_is_no_failure_of_the_code() {
        let by = |raw: i32, log: &str| by(ExitStatus::from_raw(raw), log);
        assert_eq!(by(15, "").as_deref(), Some("make: Terminated"));
        assert_eq!(by(9, "a.c:1:1: error: x\n").as_deref(), Some("make: Killed"));
        let log = "  CC      a.o\nmake[3]: *** [scripts/Makefile.build:1: a.o] Terminated\nmake: *** [Makefile:2: all] Error 2\n";
        assert_eq!(by(2 << 8, log).as_deref(), Some("make[3]: *** [scripts/Makefile.build:1: a.o] Terminated"));
        for own in ["make[1]: *** [Makefile:9: a.o] Error 1", "make[1]: *** [Makefile:9: a.o] Segmentation fault"] {
            assert_eq!(by(2 << 8, own), None, "{own}");
        }
        assert_eq!(by(11, ""), None, "a crash of make is its own");
    }

    #[test]
    fn only_the_last_moments_are_lost() {
        let guard = tempfile::tempdir().unwrap();
        let out = Utf8Path::from_path(guard.path()).unwrap();
        std::fs::create_dir_all(out.join("include/config")).unwrap();
        let now = SystemTime::now();
        let write = |name: &str, age: u64| {
            let file = std::fs::File::create(out.join(name)).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        };
        write("old.o", 300);
        write("cut.o", 65);
        write("last.o", 60);
        write("include/config/SMP", 60);

        Running::begin(out).unwrap().done().unwrap();
        assert!(out.join("cut.o").exists(), "a build that came to its end is kept");

        let _killed = Running::begin(out).unwrap();
        Running::begin(out).unwrap().done().unwrap();
        let left = ["old.o", "cut.o", "last.o", "include/config/SMP", MARKER].map(|name| out.join(name).exists());
        assert_eq!(left, [true, false, false, true, false]);
    }
}
