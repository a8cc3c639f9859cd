// SPDX-License-Identifier: GPL-2.0-only

//! The programs that quick checks run: the toolchain's rustfmt, and the scripts of the tree that is checked.
//!
//! The scripts are written out once for each state of them, which is nearly always one for all patches. Nothing else of the tree
//! is: whole worktrees are dear, and the one that kernels are built in belongs to builds.

use std::io::Write as _;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{Oid, Repo};
use stg_env::Cache;
use stg_env::toolchain::Rustfmt;

use crate::kbuild::BuildError;

/// What is written out: the scripts, what they read, and the configuration of rustfmt.
const SCRIPTS: [&str; 6] = [
    ".rustfmt.toml",
    "scripts/checkpatch.pl",
    "scripts/const_structs.checkpatch",
    "scripts/spelling.txt",
    "tools/docs/kernel-doc",
    "tools/lib/python",
];

/// Where programs are, and under which versions their answers are kept.
#[derive(Debug, Clone)]
pub struct Programs {
    /// rustfmt; its bare name if it was not found, so that the check that wants it says so.
    pub rustfmt: Utf8PathBuf,
    /// The search path for perl and python3.
    pub path: String,
    /// Versions.
    pub id: String,
    /// Where scripts are written out.
    pub scripts: Utf8PathBuf,
}

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) success: bool,
    pub(super) out: String,
    pub(super) err: String,
}

impl Programs {
    /// Those of this machine; what is written out goes into a cache.
    ///
    /// # Errors
    ///
    /// If the cache cannot be written.
    pub fn new(cache: &Cache) -> Result<Self, BuildError> {
        let found = Rustfmt::detect(cache)?;
        let (rustfmt, id) = found.map_or(("rustfmt".into(), "none".into()), |found| (found.path, found.id));
        let path = std::env::var("PATH").unwrap_or_default();
        Ok(Self { rustfmt, path, id, scripts: cache.build("scripts")? })
    }

    /// The directory that has the scripts of a tree.
    pub(super) fn of_tree(&self, repo: &Repo, tree: Oid) -> Result<Utf8PathBuf, BuildError> {
        let subset = repo.subset(tree, &SCRIPTS)?;
        let dir = self.scripts.join(subset.to_string());
        if dir.is_dir() {
            return Ok(dir);
        }
        let fresh = tempfile::Builder::new().prefix(".unfinished-").tempdir_in(&self.scripts);
        let fresh = fresh.map_err(BuildError::io("create a directory in", &self.scripts))?.keep();
        let fresh = Utf8PathBuf::from_path_buf(fresh).unwrap_or_default();
        repo.write_out(subset, &fresh)?;
        match std::fs::rename(&fresh, &dir) {
            // Somebody else was faster.
            Err(_) if dir.is_dir() => {
                let _ = std::fs::remove_dir_all(&fresh);
                Ok(dir)
            }
            other => other.map(|()| dir.clone()).map_err(BuildError::io("create", &dir)),
        }
    }

    /// Runs a program in a directory, in an environment of nothing but the search path.
    pub(super) fn run(&self, program: &str, args: &[&str], dir: &Utf8Path, stdin: &[u8]) -> Result<Said, BuildError> {
        let tool = |source| BuildError::Tool { program: program.into(), source };
        let mut command = Command::new(program);
        command.env_clear().env("PATH", &self.path).env("LC_ALL", "C.UTF-8").env("PYTHONDONTWRITEBYTECODE", "1");
        for name in ["HOME", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.args(args).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(tool)?;
        let input = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Beside reading: a program that answers while it reads would stop half-way. One that does not read its input to the
            // end closes it, which is its business.
            scope.spawn(move || input.map(|mut input| input.write_all(stdin)));
            child.wait_with_output()
        })
        .map_err(tool)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { success: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) })
    }
}

/// A program that could not do its work, which is no finding.
pub(super) fn broken(program: &str, said: &Said) -> BuildError {
    let lines = said.err.lines().chain(said.out.lines()).take(3).collect::<Vec<_>>().join(" / ");
    BuildError::Tool { program: program.into(), source: std::io::Error::other(lines) }
}
