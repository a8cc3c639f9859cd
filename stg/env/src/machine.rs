// SPDX-License-Identifier: GPL-2.0-only

//! What this machine is and what it has: the one place that looks at `PATH`, os-release and the system's directories.
//!
//! A [`Machine`] is a value, so that tests make one of a few fake programs in a temporary directory.
//!
//! Asking thirty programs for their version takes seconds on a cold machine and is done before every `test` run. What a
//! program printed is therefore remembered in the cache under its path, arguments, inode, size and time of change: an
//! upgrade is noticed, an unchanged machine is checked in a few milliseconds. Only successes are remembered. Where a
//! file may answer differently without changing (rustup's shims), callers use [`Machine::ask`], which remembers nothing.

mod memo;
mod os;

use std::cell::OnceCell;
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::process::Stdio;

use camino::Utf8Path;
use camino::Utf8PathBuf;

pub use os::OsRelease;

use crate::Cache;
use crate::CompilerCache;
use crate::EnvError;
use crate::requirements::Rust;
use memo::Memo;

/// Where os-release, headers and libraries are looked for instead of `/`: for tests of the command line, which bring a machine of their own.
const ROOT: &str = "PHASECTL_ROOT";

/// This machine, or a fake one.
#[derive(Debug)]
pub struct Machine {
    /// The operating system.
    pub os: OsRelease,
    /// Whether this process may install packages.
    pub is_root: bool,
    /// Where set-up puts tools of its own (`<cache>/tools`).
    pub tools: Utf8PathBuf,
    /// The cache of compiled objects that builds go through, if any.
    pub(crate) compiler_cache: Option<CompilerCache>,
    /// `$LIBCLANG_PATH`.
    pub(crate) libclang_path: Option<Utf8PathBuf>,
    /// The directories of `PATH`, then the system's sbin directories, which ordinary users do not have in theirs.
    path: Vec<Utf8PathBuf>,
    /// `/`, except in tests.
    root: Utf8PathBuf,
    memo: RefCell<Memo>,
    /// The Rust toolchain, resolved once: rustup's shim cannot be remembered and is slow.
    pub(crate) rust: OnceCell<Option<Rust>>,
}

impl Machine {
    /// The machine this process runs on.
    ///
    /// # Errors
    ///
    /// If the cache cannot be written, or the environment asks for a compiler cache that nobody knows.
    pub fn here(cache: &Cache) -> Result<Self, EnvError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut path: Vec<Utf8PathBuf> =
            std::env::split_paths(&path).filter_map(|dir| Utf8PathBuf::from_path_buf(dir).ok()).collect();
        for dir in ["/usr/sbin", "/sbin"].map(Utf8PathBuf::from) {
            if !path.contains(&dir) {
                path.push(dir);
            }
        }
        let root = std::env::var(ROOT).map_or_else(|_| "/".into(), Utf8PathBuf::from);
        let release = ["etc/os-release", "usr/lib/os-release"].map(|file| root.join(file));
        let release = release.iter().find_map(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        Ok(Self {
            os: OsRelease::parse(&release),
            is_root: rustix::process::geteuid().is_root(),
            tools: cache.tools()?,
            compiler_cache: CompilerCache::chosen()?,
            libclang_path: std::env::var("LIBCLANG_PATH").ok().map(Utf8PathBuf::from),
            path,
            root,
            memo: RefCell::new(Memo::load(cache.root().join("probes.json"))),
            rust: OnceCell::new(),
        })
    }

    /// A machine that has only what lies under `root`: programs in `bin`, headers and libraries in `usr`.
    #[cfg(test)]
    pub(crate) fn fake(root: &Utf8Path, os: OsRelease, is_root: bool) -> Self {
        Self {
            os,
            is_root,
            tools: root.join("tools"),
            compiler_cache: None,
            libclang_path: None,
            path: vec![root.join("bin")],
            root: root.to_owned(),
            memo: RefCell::new(Memo::load(root.join("probes.json"))),
            rust: OnceCell::new(),
        }
    }

    /// The first executable file of this name in the search path.
    pub fn which(&self, program: &str) -> Option<Utf8PathBuf> {
        self.path.iter().map(|dir| dir.join(program)).find(|file| is_executable(file))
    }

    /// The search path as one string.
    pub fn path_var(&self) -> String {
        self.path.iter().map(|dir| dir.as_str()).collect::<Vec<_>>().join(":")
    }

    /// Runs a program and returns what it printed on stdout (or, if that is nothing, on stderr), if it succeeded.
    pub fn ask(&self, program: &Utf8Path, args: &[&str]) -> Option<String> {
        let output = Command::new(program)
            .args(args)
            .env("LC_ALL", "C")
            .env("PATH", self.path_var())
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        output.status.success().then(|| String::from_utf8_lossy(&text).into_owned())
    }

    /// As [`Machine::ask`], but a file that has not changed is not asked twice.
    pub fn ask_once(&self, program: &Utf8Path, args: &[&str]) -> Option<String> {
        if let Some(text) = self.memo.borrow().get(program, args) {
            return Some(text);
        }
        let text = self.ask(program, args)?;
        self.memo.borrow_mut().put(program, args, &text);
        Some(text)
    }

    /// Writes down what [`Machine::ask_once`] learned. A failure only means asking again.
    pub fn remember(&self) {
        self.memo.borrow_mut().save();
    }

    /// The file of a C header such as `uuid/uuid.h`.
    pub fn header(&self, name: &str) -> Option<Utf8PathBuf> {
        let multiarch = format!("usr/include/{}", triplet());
        self.first_file(&["usr/include", &multiarch, "usr/local/include"], name)
    }

    /// The file of a library such as `libc.a`.
    pub fn library(&self, name: &str) -> Option<Utf8PathBuf> {
        self.library_dirs().into_iter().map(|dir| dir.join(name)).find(|file| file.is_file())
    }

    /// The directories in which distributions keep libraries.
    pub(crate) fn library_dirs(&self) -> Vec<Utf8PathBuf> {
        let multiarch = format!("usr/lib/{}", triplet());
        [&multiarch, "usr/lib64", "usr/lib", "usr/local/lib"].iter().map(|dir| self.root.join(dir)).collect()
    }

    fn first_file(&self, dirs: &[&str], name: &str) -> Option<Utf8PathBuf> {
        dirs.iter().map(|dir| self.root.join(dir).join(name)).find(|file| file.is_file())
    }
}

/// Debian's name for the directory of this architecture's libraries.
fn triplet() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

fn is_executable(file: &Utf8Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Lab;

    #[test]
    fn programs_are_found_in_the_path_only_and_must_be_executable() {
        let lab = Lab::debian("12", "bookworm");
        lab.program("yes-program", "echo hello 1.2");
        std::fs::write(lab.dir.join("bin/plain-file"), "x").unwrap();
        let machine = lab.machine();
        let found = machine.which("yes-program").unwrap();
        assert_eq!(machine.ask(&found, &[]).unwrap().trim(), "hello 1.2");
        assert_eq!(machine.which("plain-file"), None);
        assert_eq!(machine.which("sh"), None);
    }

    #[test]
    fn a_failing_program_says_nothing_and_stderr_is_a_fallback() {
        let lab = Lab::debian("12", "bookworm");
        lab.program("fails", "echo 1.0; exit 3");
        lab.program("on-stderr", "echo 2.0 >&2");
        let machine = lab.machine();
        assert_eq!(machine.ask(&lab.dir.join("bin/fails"), &[]), None);
        assert_eq!(machine.ask(&lab.dir.join("bin/on-stderr"), &[]).unwrap(), "2.0\n");
        assert_eq!(machine.ask(&lab.dir.join("bin/absent"), &[]), None);
    }

    #[test]
    fn an_unchanged_program_is_asked_once_even_across_runs() {
        let lab = Lab::debian("12", "bookworm");
        let count = lab.dir.join("count");
        lab.program("tool", &format!("echo run >> {count}; echo tool 1.0"));
        let tool = lab.dir.join("bin/tool");
        let first = lab.machine();
        for _ in 0..2 {
            assert_eq!(first.ask_once(&tool, &["--version"]).unwrap(), "tool 1.0\n");
        }
        first.remember();
        assert_eq!(lab.machine().ask_once(&tool, &["--version"]).unwrap(), "tool 1.0\n");
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "run\n");

        lab.program("tool", "echo tool 2.0 is longer");
        assert_eq!(lab.machine().ask_once(&tool, &["--version"]).unwrap(), "tool 2.0 is longer\n");
    }

    #[test]
    fn headers_and_libraries() {
        let lab = Lab::debian("12", "bookworm");
        lab.file("usr/include/uuid/uuid.h");
        lab.file(&format!("usr/lib/{}/libc.a", triplet()));
        let machine = lab.machine();
        assert!(machine.header("uuid/uuid.h").is_some());
        assert!(machine.header("gelf.h").is_none());
        assert!(machine.library("libc.a").is_some());
        assert!(machine.library("libm.a").is_none());
    }
}
