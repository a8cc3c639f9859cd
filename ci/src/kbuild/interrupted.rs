// SPDX-License-Identifier: GPL-2.0-only

//! Builds that were killed: telling them from builds that failed, and the directories that they left behind.
//!
//! A signal says nothing about the code. It shows in how make itself ended, or, where make outlived what it ran, in the
//! line in which make reports that (in English: the locale of a build is fixed). A crash of a compiler is not among them:
//! that may well be the code's doing. As little does it say about the code that the disk is full or the memory: that is
//! in the words of whatever program first met it.
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

/// What the machine lacks, in the words of the C library, of LLVM and of Rust's library.
const LACKS: [&str; 12] = [
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Input/output error",
    "Too many open files",
    "Cannot allocate memory",
    "Resource temporarily unavailable",
    "virtual memory exhausted",
    "LLVM ERROR: out of memory",
    "std::bad_alloc",
    "memory allocation of ",
    "SIGKILL",
];

/// What was ended from outside, or what the machine lacked, if that is why a build failed.
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
    let lacks = |line: &&str| LACKS.iter().any(|words| line.contains(words)) || killed(line);
    let said = |line: &str| line.trim().to_owned();
    log.lines().find(reported).or_else(|| log.lines().filter(|line| !quotes(line)).find(lacks)).map(said)
}

/// What a shell says of its child, `clang` of its own and a linker's driver: `Killed`, `12 Killed    clang ...`, `command: Killed`.
fn killed(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("Killed") || line.ends_with(": Killed") || line.ends_with(" Killed") || line.contains(" Killed  ")
}

/// Whether a line shows code, as compilers do: `   12 | code`.
fn quotes(line: &str) -> bool {
    line.split_once('|').is_some_and(|(number, _)| number.trim().bytes().all(|byte| byte.is_ascii_digit()))
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
    fn what_the_machine_lacks_is_no_failure_of_the_code() {
        let by = |log: &str| by(ExitStatus::from_raw(2 << 8), log);
        for line in [
            "fatal error: error in backend: IO failure on output stream: No space left on device",
            "error: unable to open output file 'a.o': 'No space left on device'",
            "error: failed to write to `a.rmeta`: No space left on device (os error 28)",
            "make[2]: vfork: Cannot allocate memory",
            "/bin/sh: 1: fork: Resource temporarily unavailable",
            "LLVM ERROR: out of memory",
            "memory allocation of 65536 bytes failed",
            "Killed",
            "/bin/sh: line 1:  4711 Killed                  clang -c -o a.o a.c",
            "clang-19: error: unable to execute command: Killed",
        ] {
            let log = format!("  CC      a.o\n{line}\nmake[3]: *** [Makefile:1: a.o] Error 1\n");
            assert_eq!(by(&log).as_deref(), Some(line));
        }
        for own in [
            "a.c:1:2: error: use of undeclared identifier 'Killed'",
            "a.c:1:2: error: x\n    1 |  pr_err(\"No space left on device\");",
            "  --> a.rs:3:1\n   |\n 3 | // Killed",
        ] {
            assert_eq!(by(own), None, "{own}");
        }
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
