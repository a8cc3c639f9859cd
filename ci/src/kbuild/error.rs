// SPDX-License-Identifier: GPL-2.0-only

//! Why there is no kernel, said so that the author of a patch can act.

use std::fmt;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use stg_env::{EnvError, exit};

use super::blame::Culprit;

/// How many errors of a build are shown; a missing header causes hundreds.
const SHOWN: usize = 10;

/// An error of a kernel build; [`BuildError::exit_code`] gives the process' exit code for it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A configuration fragment is malformed.
    #[error("{origin}: {message}\n  fix: {fix}")]
    Fragment {
        /// File and line.
        origin: String,
        /// What is wrong.
        message: String,
        /// What to do.
        fix: &'static str,
    },
    /// Wanted options that the tree's Kconfig did not accept.
    #[error("{}", lines(.0))]
    Config(Vec<LostOption>),
    /// The tree does not build.
    #[error("{}  log: {log}", listed(errors))]
    Compile {
        /// What was found in the log, in its order; never empty.
        errors: Vec<CompileError>,
        /// The whole log.
        log: Utf8PathBuf,
    },
    /// Something ended make, or a compiler under it, from outside, or the machine lacked space or memory.
    #[error(
        "the build was interrupted: {what}\n  log: {log}\n  fix: make room if it lacked some (what was \"Killed\" may have lacked memory), and run it again: it goes on where it stopped"
    )]
    Interrupted {
        /// What was ended and how.
        what: String,
        /// The whole log.
        log: Utf8PathBuf,
    },
    /// A build tool could not be started.
    #[error("cannot run {program}: {source}\n  fix: `phasectl doctor` says what is missing")]
    Tool {
        /// The program.
        program: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The worktree could not be brought to the commit.
    #[error("{worktree} does not become {commit}: {why}\n  fix: remove the directory, it is made anew")]
    Worktree {
        /// Where it is.
        worktree: Utf8PathBuf,
        /// The wanted commit.
        commit: String,
        /// What is different.
        why: String,
    },
    /// A file of the cache.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// A verb: "read", "create", ...
        doing: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cache or the machine.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The repository.
    #[error(transparent)]
    Core(#[from] stg_core::Error),
}

impl BuildError {
    /// The exit code for this error: 101 if the tree or its configuration is to blame.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Config(_) | Self::Compile { .. } => exit::BUILD_FAILED,
            Self::Tool { .. } => exit::ENVIRONMENT,
            Self::Env(error) => error.exit_code(),
            Self::Core(error) => error.exit_code(),
            Self::Fragment { .. } => exit::CHECK_FAILED,
            Self::Interrupted { .. } | Self::Worktree { .. } | Self::Io { .. } => exit::OTHER,
        }
    }

    /// What is said of the tree or its configuration, if that is to blame and not the surroundings: it would be said again. The place of the
    /// log, which is this machine's, is left out.
    pub fn of_tree(&self) -> Option<String> {
        match self {
            Self::Compile { errors, .. } => Some(listed(errors).trim_end().to_owned()),
            Self::Config(_) => Some(self.to_string()),
            _ => None,
        }
    }

    /// For `map_err`: a [`BuildError::Io`] about `path`.
    pub(crate) fn io(doing: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// A wanted option that is not in the finished `.config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostOption {
    /// File and line that ask for it.
    pub origin: String,
    /// As it was wanted, `CONFIG_X=y`.
    pub wanted: String,
    /// As it is now.
    pub found: String,
    /// What may be the cause.
    pub hint: String,
}

impl fmt::Display for LostOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, wanted, found, hint } = self;
        write!(f, "{origin}: {wanted} did not survive olddefconfig ({found})\n  fix: {hint}")
    }
}

/// One error of a compiler, linker or other tool of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Relative to the source tree (or to the build directory, for generated files), if known.
    pub file: Option<Utf8PathBuf>,
    /// 1-based.
    pub line: Option<u32>,
    /// 1-based.
    pub column: Option<u32>,
    /// What is wrong, in the tool's words.
    pub message: String,
    /// Whose line it is.
    pub culprit: Option<Culprit>,
}

impl CompileError {
    /// An error without a place.
    pub(crate) fn unplaced(message: impl Into<String>) -> Self {
        Self { file: None, line: None, column: None, message: message.into(), culprit: None }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.culprit.as_ref().and_then(Culprit::project_file);
        if let Some(file) = own.or(self.file.as_deref()) {
            write!(f, "{file}")?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "error: {}", self.message)?;
        self.culprit.as_ref().map_or(Ok(()), |culprit| write!(f, "\n  patch: {culprit}"))
    }
}

fn lines<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn listed(errors: &[CompileError]) -> String {
    let mut text: String = errors.iter().take(SHOWN).map(|error| format!("{error}\n")).collect();
    if errors.len() > SHOWN {
        text.push_str(&format!("and {} more\n", errors.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: u32, culprit: Option<Culprit>) -> CompileError {
        let file = Some("rust/kernel/kho.rs".into());
        CompileError { file, line: Some(line), column: Some(5), message: "no such thing".into(), culprit }
    }

    #[test]
    fn compile_errors_name_the_patch_and_the_projects_file() {
        let file = Some("kernel/phase1/rust/kernel/kho.rs".into());
        let patch = |file| Culprit::Patch { id: "phase1/kho-rust".into(), file };
        let errors = vec![error(12, Some(patch(file))), error(3, Some(Culprit::Base)), error(4, Some(patch(None)))];
        let build = BuildError::Compile { errors, log: "/c/build.log".into() };
        insta::assert_snapshot!(build, @"
        kernel/phase1/rust/kernel/kho.rs:12:5: error: no such thing
          patch: phase1/kho-rust
        rust/kernel/kho.rs:3:5: error: no such thing
          patch: none, the line is the base's own
        rust/kernel/kho.rs:4:5: error: no such thing
          patch: phase1/kho-rust
          log: /c/build.log
        ");
        assert_eq!(build.exit_code(), 101);
        let said = build.of_tree().unwrap();
        assert_eq!(format!("{said}\n  log: /c/build.log"), build.to_string(), "nothing but the log is left out");
        let interrupted = BuildError::Interrupted { what: "make".into(), log: "/c/build.log".into() };
        assert_eq!(interrupted.of_tree(), None);
    }

    #[test]
    fn a_flood_is_cut() {
        let errors = (1..=30).map(|line| error(line, None)).collect();
        let text = BuildError::Compile { errors, log: "l".into() }.to_string();
        assert_eq!(text.lines().count(), SHOWN + 2);
        assert!(text.contains("\nand 20 more\n  log: l"), "{text}");
    }

    #[test]
    fn exit_codes_tell_the_tree_from_the_machine() {
        let tool = BuildError::Tool { program: "make".into(), source: io::Error::other("gone") };
        assert_eq!(tool.exit_code(), exit::ENVIRONMENT);
        assert_eq!(BuildError::Config(Vec::new()).exit_code(), exit::BUILD_FAILED);
        assert_eq!(BuildError::Env(EnvError::NoCacheDir).exit_code(), exit::ENVIRONMENT);
        assert_eq!(BuildError::io("read", "x".into())(io::Error::other("no")).exit_code(), exit::OTHER);
    }
}
