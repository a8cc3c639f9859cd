// SPDX-License-Identifier: GPL-2.0-only

//! What can go wrong with the machine. Each message says what to do next, because most readers meet it on a first run.

use std::io;
use std::path::PathBuf;

use camino::Utf8Path;
use camino::Utf8PathBuf;

use crate::exit;

/// An error of this crate; [`EnvError::exit_code`] gives the process' exit code for it.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// Neither an argument nor the environment says where the cache is.
    #[error("no place for the cache\n  fix: give --cache DIR, or set PHASECTL_CACHE, XDG_CACHE_HOME or HOME")]
    NoCacheDir,

    /// A path that cannot be passed to make, git and QEMU as text.
    #[error("{} is not valid UTF-8; choose another directory", path.display())]
    NotUtf8 {
        /// The path in question.
        path: PathBuf,
    },

    /// A variable of the environment that means nothing.
    #[error("{name} is `{value}`\n  fix: {fix}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What to set it to.
        fix: &'static str,
    },

    /// An operation on a file failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// A verb: "read", "create", ...
        doing: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The current directory belongs to no checkout of this project.
    #[error(
        "{from} is not inside a checkout of the project (no Cargo.toml with phases/base.yaml beside it, here or above)\n  \
         fix: change into one (phasectl takes --project DIR as well)"
    )]
    NoProject {
        /// Where the search began.
        from: Utf8PathBuf,
    },

    /// Requirements that set-up could not, or was not allowed to, fulfil; the text is the whole advice.
    #[error("{0}")]
    Missing(String),

    /// A program failed, or could not be started.
    #[error("`{command}` {how}{}", indented(output))]
    Command {
        /// The command line.
        command: String,
        /// "exited with 1", "could not be started: ...".
        how: String,
        /// The end of what it printed.
        output: String,
    },

    /// Packages can only be fetched through apt.
    #[error("{package} is fetched with apt, from Debian's archive, and this machine is {os}: {fix}")]
    NotDebian {
        /// The package.
        package: String,
        /// What os-release calls the system.
        os: String,
        /// Another way to the same thing.
        fix: &'static str,
    },

    /// The system's apt sources name no mirror of the running release.
    #[error(
        "apt on this machine has no source for Debian {codename}, so there is no mirror to fetch from: add one to \
         /etc/apt/sources.list.d and run `apt-get update`"
    )]
    NoMirror {
        /// VERSION_CODENAME of os-release.
        codename: String,
    },

    /// No list of packages could be obtained for any of the suites.
    #[error("no package list for {suites} from {mirror}; check the network and the mirror{}", indented(output))]
    NoLists {
        /// The suites, for people.
        suites: String,
        /// The mirror in use.
        mirror: String,
        /// What apt said.
        output: String,
    },

    /// The suites have no such package, or none in a wanted version.
    #[error("no {package} of version {wanted} in {suites}: {seen}")]
    NoPackage {
        /// The package.
        package: String,
        /// The wanted version, for people.
        wanted: String,
        /// The suites searched.
        suites: String,
        /// Which versions there are.
        seen: String,
    },

    /// A file is not what the signed package list says.
    #[error("{path} has sha256 {found}, the package list says {expected}: the file was removed, run the command again")]
    Corrupt {
        /// The file.
        path: Utf8PathBuf,
        /// Its hash.
        found: String,
        /// What it should be.
        expected: String,
    },

    /// A name that would not stay a name inside a path or an apt source.
    #[error(
        "`{name}` is no {kind} name: only letters, digits, `.`, `+`, `-` and `_` are allowed, not first `.` or `-`"
    )]
    BadName {
        /// "package", "suite", ...
        kind: &'static str,
        /// The offending text.
        name: String,
    },
}

impl EnvError {
    /// The exit code for this error: [`exit::ENVIRONMENT`] unless the machine is not to blame.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NoProject { .. } | Self::Io { .. } | Self::BadName { .. } => exit::OTHER,
            _ => exit::ENVIRONMENT,
        }
    }

    /// For `map_err`: an [`EnvError::Io`] about `path`.
    pub fn io(doing: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// Checks a name that comes from a manifest before it becomes part of a path or of an apt source.
pub(crate) fn checked_name<'a>(kind: &'static str, name: &'a str) -> Result<&'a str, EnvError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fine) {
        return Ok(name);
    }
    Err(EnvError::BadName { kind, name: name.to_owned() })
}

/// The last lines of a program's output, each on a line of its own, indented; nothing for nothing.
fn indented(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(12)..].iter().map(|line| format!("\n    {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_output_is_shown() {
        let output: String = (0..30).map(|i| format!("line {i}\n\n")).collect();
        let error = EnvError::Command { command: "apt-get x".into(), how: "exited with 100".into(), output };
        let text = error.to_string();
        assert!(text.starts_with("`apt-get x` exited with 100\n    line 18\n"), "{text}");
        assert!(text.ends_with("\n    line 29"), "{text}");
    }

    #[test]
    fn names_cannot_leave_their_place() {
        for good in ["linux-source-7.3", "trixie-backports", "libstdc++6", "base_fetch"] {
            assert_eq!(checked_name("package", good).unwrap(), good);
        }
        for bad in ["", "-t", "../x", "a/b", "a b", "a\nb", ".hidden"] {
            assert!(checked_name("package", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_machine_is_to_blame_for_missing_things_only() {
        assert_eq!(EnvError::Missing(String::new()).exit_code(), exit::ENVIRONMENT);
        assert_eq!(EnvError::NoProject { from: "/x".into() }.exit_code(), exit::OTHER);
    }
}
