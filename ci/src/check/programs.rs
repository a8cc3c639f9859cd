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

/// Where those live who have no home.
const NO_HOME: &str = "/nonexistent";

/// Where programs are, and under which versions their answers are kept.
#[derive(Debug, Clone)]
pub struct Programs {
    /// rustfmt; its bare name if it was not found, so that the check that wants it says so.
    pub rustfmt: Utf8PathBuf,
    /// The search path for perl and python3.
    pub path: String,
    /// Versions of all three.
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
        Ok(Self::of(Rustfmt::detect(cache)?, std::env::var("PATH").unwrap_or_default(), cache.build("scripts")?))
    }

    /// Those of a search path.
    fn of(rustfmt: Option<Rustfmt>, path: String, scripts: Utf8PathBuf) -> Self {
        let (rustfmt, id) = rustfmt.map_or(("rustfmt".into(), "none".into()), |found| (found.path, found.id));
        let mut programs = Self { rustfmt, path, id, scripts };
        for program in ["perl", "python3"] {
            let said = programs.run(program, &["--version"], &programs.scripts, b"");
            // One that is missing the check that wants it reports.
            let version = said.map_or("none".to_owned(), |said| said.out + &said.err);
            programs.id.push_str(&format!("\n{program}: {}", version.trim()));
        }
        programs
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

    /// Runs a program in a directory, in an environment of nothing but the search path. It has no home: a `.checkpatch.conf`
    /// or modules of whoever runs it would change what it says.
    pub(super) fn run(&self, program: &str, args: &[&str], dir: &Utf8Path, stdin: &[u8]) -> Result<Said, BuildError> {
        let tool = |source| BuildError::Tool { program: program.into(), source };
        let mut command = Command::new(program);
        command.env_clear().env("PATH", &self.path).env("LC_ALL", "C.UTF-8").env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("HOME", NO_HOME).envs(std::env::var_os("TMPDIR").map(|value| ("TMPDIR", value)));
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

#[cfg(test)]
mod tests {
    use super::super::testing::Small;
    use super::*;

    #[test]
    fn the_versions_of_all_programs_count() {
        let small = Small::new();
        let path = format!("{}/bin:/bin:/usr/bin", small.root());
        let id = |perl: &str, python: &str| {
            small.program("perl", &format!("#!/bin/sh\necho; echo {perl}\n"));
            small.program("python3", &format!("#!/bin/sh\necho {python}\n"));
            Programs::of(None, path.clone(), small.root().to_owned()).id
        };
        assert_eq!(id("perl 5.40", "Python 3.13"), "none\nperl: perl 5.40\npython3: Python 3.13");
        assert_ne!(id("perl 5.40", "Python 3.13"), id("perl 5.42", "Python 3.13"));
        let nothing = Programs::of(None, "/nonexistent".into(), small.root().to_owned());
        assert_eq!(nothing.id, "none\nperl: none\npython3: none");
    }

    #[test]
    fn programs_have_no_home_with_settings_in_it() {
        let small = Small::new();
        small.program("perl", "#!/bin/sh\necho \"$HOME\"\n");
        let said = small.bench(None).programs.run("perl", &[], small.root(), b"").unwrap().out;
        assert!(!said.trim().is_empty() && !Utf8Path::new(said.trim()).exists(), "{said}");
    }
}
