// SPDX-License-Identifier: GPL-2.0-only

//! Running the git binary in an environment of its own.
//!
//! The child's environment is built from nothing: the search path, the directory for temporary files, and settings that
//! switch off every configuration but the repository's own. So neither `~/.gitconfig` nor `GIT_*`, `LANG` or `TZ` of the
//! caller can change a byte. One function, [`user_identity`], asks in the user's environment: it wants exactly that.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use camino::Utf8Path;

use crate::error::{Error, Result};
use crate::manifest::Identity;

/// A git command about to run.
pub(crate) struct Git {
    command: Command,
    shown: String,
}

impl Git {
    /// `git` that sees no configuration except a repository's own.
    pub(crate) fn new() -> Self {
        let mut git = Self::bare();
        for (key, value) in ISOLATED {
            git.command.env(key, value);
        }
        // The cache may belong to another user (root, with the user's cache): it is named by path, never discovered.
        git.command.args(["-c", "safe.directory=*"]);
        git
    }

    /// `git` for reading a maintainer's clone, from a directory: their own `safe.directory` decides whether git opens it.
    pub(crate) fn reading(directory: &Utf8Path) -> Self {
        let mut git = Self::bare();
        for key in ["HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"] {
            git.command.envs(std::env::var_os(key).map(|value| (key, value)));
        }
        git.command.args(["-c", "core.fsmonitor=false", "-C", directory.as_str()]);
        git
    }

    fn bare() -> Self {
        let mut command = Command::new("git");
        command.env_clear().stdin(Stdio::null());
        for key in ["PATH", "TMPDIR"] {
            command.envs(std::env::var_os(key).map(|value| (key, value)));
        }
        command.env("LC_ALL", "C").env("TZ", "UTC").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
        Self { command, shown: "git".to_owned() }
    }

    /// In a bare repository.
    pub(crate) fn repo(path: &Utf8Path) -> Self {
        let mut git = Self::new();
        git.command.arg("--git-dir").arg(path).current_dir(path);
        git
    }

    /// In a worktree.
    pub(crate) fn worktree(path: &Utf8Path) -> Self {
        let mut git = Self::new();
        git.command.arg("-C").arg(path);
        git
    }

    pub(crate) fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        for arg in args {
            self.command.arg(arg.as_ref());
            self.shown.push(' ');
            self.shown.push_str(arg.as_ref());
        }
        self
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Reads this instead of nothing.
    pub(crate) fn stdin(mut self, file: std::fs::File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Its standard output, as bytes.
    pub(crate) fn run(mut self) -> Result<Vec<u8>> {
        let output = self.command.output().map_err(|error| self.failed(error.to_string(), &[]))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(self.failed(output.status.to_string(), &output.stderr))
        }
    }

    /// Its standard output as a line of text.
    pub(crate) fn line(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.run()?).trim_end().to_owned())
    }

    /// Runs it and calls back for every line of its standard output.
    pub(crate) fn lines(mut self, mut line: impl FnMut(&str)) -> Result<()> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|error| self.failed(error.to_string(), &[]))?;
        // Both pipes must be drained at once, else a talkative git stops half-way.
        let errors = child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                // What could be read is shown; a broken pipe only means that git ended.
                let _ = pipe.read_to_end(&mut all);
                all
            })
        });
        if let Some(out) = child.stdout.take() {
            for text in BufReader::new(out).split(b'\n').map_while(std::result::Result::ok) {
                line(&String::from_utf8_lossy(&text));
            }
        }
        let status = child.wait().map_err(|error| self.failed(error.to_string(), &[]))?;
        let stderr = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() { Ok(()) } else { Err(self.failed(status.to_string(), &stderr)) }
    }

    /// Runs it and calls back for every line, or piece of progress, of its standard error.
    pub(crate) fn progress(mut self, mut said: impl FnMut(&str)) -> Result<()> {
        self.command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|error| self.failed(error.to_string(), &[]))?;
        let mut all = Vec::new();
        if let Some(err) = child.stderr.take() {
            for byte in BufReader::new(err).bytes().map_while(std::result::Result::ok) {
                if byte == b'\r' || byte == b'\n' {
                    let start = all.iter().rposition(|&before| before == b'\n').map_or(0, |at| at + 1);
                    said(&String::from_utf8_lossy(&all[start..]));
                    all.push(b'\n');
                } else {
                    all.push(byte);
                }
            }
        }
        let status = child.wait().map_err(|error| self.failed(error.to_string(), &[]))?;
        if status.success() { Ok(()) } else { Err(self.failed(status.to_string(), &all)) }
    }

    fn failed(&self, status: String, stderr: &[u8]) -> Error {
        let said = String::from_utf8_lossy(stderr);
        let lines: Vec<&str> = said.trim_end().lines().collect();
        let stderr = lines[lines.len().saturating_sub(12)..].join("\n");
        Error::Command { command: self.shown.clone(), status, stderr }
    }
}

const ISOLATED: [(&str, &str); 3] =
    [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_ATTR_NOSYSTEM", "1")];

/// The name and address with which the user commits in a directory, by their own configuration.
///
/// # Errors
/// When `user.name` or `user.email` is not set.
pub fn user_identity(directory: &Utf8Path) -> Result<Identity> {
    let ask = |key: &str| -> Result<String> {
        let output = Command::new("git").args(["config", "--get", key]).current_dir(directory).output();
        let value = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        if value.is_empty() {
            let fix = format!("run `git config --global {key} ...`");
            return Err(Error::refused(format!("git has no {key}, so nobody can be named as the sender"), fix));
        }
        Ok(value)
    };
    Ok(Identity { name: ask("user.name")?, email: ask("user.email")? })
}
