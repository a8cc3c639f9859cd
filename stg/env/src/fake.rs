// SPDX-License-Identifier: GPL-2.0-only

//! For tests: a machine of fake programs in a temporary directory.

use std::process::Command;

use camino::Utf8PathBuf;
use tempfile::TempDir;

use crate::CompilerCache;
use crate::machine::Machine;
use crate::machine::OsRelease;

/// A temporary directory and its path.
pub(crate) fn tempdir() -> (TempDir, Utf8PathBuf) {
    let guard = TempDir::new().unwrap();
    let path = Utf8PathBuf::from_path_buf(guard.path().to_owned()).unwrap();
    (guard, path)
}

/// A fake machine under construction.
pub(crate) struct Lab {
    _guard: TempDir,
    pub(crate) dir: Utf8PathBuf,
    pub(crate) os: OsRelease,
    pub(crate) is_root: bool,
}

impl Lab {
    /// An empty machine that runs this Debian, as root.
    pub(crate) fn debian(version: &str, codename: &str) -> Self {
        let text =
            format!("ID=debian\nVERSION_ID={version}\nVERSION_CODENAME={codename}\nPRETTY_NAME='Debian {version}'");
        Self::new(&text)
    }

    /// An empty machine with this os-release, as root.
    pub(crate) fn new(os_release: &str) -> Self {
        let (guard, dir) = tempdir();
        std::fs::create_dir(dir.join("bin")).unwrap();
        Self { _guard: guard, dir, os: OsRelease::parse(os_release), is_root: true }
    }

    /// Adds an executable shell script. A child writes it: a file that this process holds open for writing while
    /// another test's thread forks could not be executed ("text file busy").
    pub(crate) fn program(&self, name: &str, body: &str) {
        self.script(&format!("bin/{name}"), body);
    }

    /// As [`Lab::program`], at any path below the machine's root.
    pub(crate) fn script(&self, path: &str, body: &str) {
        let file = self.dir.join(path);
        let script =
            "mkdir -p \"${1%/*}\" && rm -f \"$1\" && printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod +x \"$1\"";
        let status = Command::new("/bin/sh").args(["-c", script, "sh", file.as_str(), body]).status().unwrap();
        assert!(status.success());
    }

    /// Adds programs that print `version` whatever they are asked.
    pub(crate) fn versions(&self, programs: &[&str], version: &str) {
        for name in programs {
            self.program(name, &format!("echo '{name} {version}'"));
        }
    }

    /// Adds an empty file.
    pub(crate) fn file(&self, path: &str) {
        let file = self.dir.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
    }

    /// The same machine, on which builds go through a compiler cache.
    pub(crate) fn machine_with(&self, cache: CompilerCache) -> Machine {
        let mut machine = self.machine();
        machine.compiler_cache = Some(cache);
        machine
    }

    /// The machine as built so far.
    pub(crate) fn machine(&self) -> Machine {
        Machine::fake(&self.dir, self.os.clone(), self.is_root)
    }
}
