// SPDX-License-Identifier: GPL-2.0-only

//! Running the kernel's make, in an environment built from nothing.
//!
//! `KCFLAGS`, `ARCH` or `MAKEFLAGS` of the caller would change the kernel without changing its key, so only what tools
//! need in order to start is passed on. Time, user, host and build number are fixed: the same inputs give the same image.
//!
//! The log gets every line as it comes; a terminal sees only the last object that was made. Output is grouped by target,
//! since the messages of parallel compilers would otherwise be mixed line by line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitStatus};

use camino::{Utf8Path, Utf8PathBuf};
use stg_env::LockGuard;
use stg_env::toolchain::Toolchain;

use super::error::BuildError;

/// What a kernel is built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// GNU make.
    pub make: Utf8PathBuf,
    /// Arguments that choose the compilers, such as `LLVM=-19`.
    pub args: Vec<String>,
    /// Additional environment, such as `RUST_LIB_SRC` and a `PATH` with bindgen in it.
    pub env: Vec<(String, String)>,
    /// Arguments that only make a build of a kernel faster: a compiler cache. Part of no key.
    pub cache_args: Vec<String>,
    /// The versions of everything that shapes the result; part of the build key.
    pub id: String,
}

impl From<&Toolchain> for Tools {
    /// make from the search path, and the toolchain that [`stg_env`] found.
    fn from(toolchain: &Toolchain) -> Self {
        Self {
            make: "make".into(),
            args: toolchain.make_args(),
            env: toolchain.make_env(),
            cache_args: toolchain.cache_args(),
            id: toolchain.id().to_owned(),
        }
    }
}

/// What tools need from the caller's environment: to find themselves, their temporary files and the Rust toolchain.
const PASSED: [&str; 6] = ["PATH", "HOME", "TMPDIR", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// What is the same in every build. Part of the build key.
pub(super) const FIXED: [(&str, &str); 7] = [
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("KBUILD_BUILD_TIMESTAMP", "1970-01-01 00:00:00 UTC"),
    ("KBUILD_BUILD_USER", "phasectl"),
    ("KBUILD_BUILD_HOST", "phasectl"),
    // Else the number of builds in this directory.
    ("KBUILD_BUILD_VERSION", "1"),
    // Set but empty: else the release gets a `+` or not depending on the tags of the repository.
    ("LOCALVERSION", ""),
];

/// The directories and the log of a build, and the lock under which it has them.
#[derive(Clone, Copy)]
pub(super) struct Make<'a> {
    pub(super) tools: &'a Tools,
    pub(super) lock: &'a LockGuard,
    pub(super) source: &'a Utf8Path,
    pub(super) out: &'a Utf8Path,
    pub(super) log: &'a Utf8Path,
}

impl Make<'_> {
    /// Runs make with more arguments, appends what it says to the log, and shows `progress` each line. How
    /// make ended.
    pub(super) fn run(&self, args: &[&str], mut progress: impl FnMut(&str)) -> Result<ExitStatus, BuildError> {
        let mut log =
            File::options().append(true).create(true).open(self.log).map_err(BuildError::io("open", self.log))?;
        let (reader, writer) = std::io::pipe().map_err(BuildError::io("make a pipe for", self.log))?;
        let mut command = Command::new(&self.tools.make);
        command.env_clear().envs(PASSED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.tools.env.iter().map(|(name, value)| (name, value))).envs(FIXED);
        command.args(["-C", self.source.as_str()]).arg(format!("O={}", self.out)).args(&self.tools.args).args(args);
        // One pipe for both: an error must stay behind the command that caused it.
        let second = writer.try_clone().map_err(BuildError::io("make a pipe for", self.log))?;
        // If this process is killed and make is not, nobody else may build there before make has ended.
        command.stdin(self.lock.share()?).stdout(writer).stderr(second);
        let tool = |source| BuildError::Tool { program: self.tools.make.clone(), source };
        let mut child = command.spawn().map_err(tool)?;
        // `command` holds the pipe's writing ends; while it lives, reading would never end.
        drop(command);
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(BuildError::io("read the output for", self.log))? > 0 {
            log.write_all(&line).map_err(BuildError::io("write", self.log))?;
            progress(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        child.wait().map_err(tool)
    }
}

/// The object of a line such as `  CC [M]  drivers/x.o`.
pub(super) fn object(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("  ")?;
    let verb = rest.split_whitespace().next()?;
    let spelt = verb.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_+".contains(c));
    let object = rest.split_whitespace().next_back()?;
    (spelt && object != verb).then_some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects() {
        assert_eq!(object("  CC      init/main.o"), Some("init/main.o"));
        assert_eq!(object("  RUSTC L rust/core.o"), Some("rust/core.o"));
        assert_eq!(object("  CC [M]  drivers/x.o"), Some("drivers/x.o"));
        for none in ["init/main.c:1:2: error: x", "  int x;", "", "  GEN", "    ^"] {
            assert_eq!(object(none), None, "{none:?}");
        }
    }
}
