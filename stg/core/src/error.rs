// SPDX-License-Identifier: GPL-2.0-only

//! What can go wrong, said so that the reader can act.
//!
//! A mistake in the project's own files is a [`Diagnostic`]: the file relative to the project root, the line, what is
//! wrong and what to do about it, in the form compilers use, so that editors jump to it. Everything else (git, the file
//! system, a missing base) is an [`Error`] of its own kind, because a caller may want to act on it.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A mistake in a file of the project, and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Relative to the project root.
    pub file: Utf8PathBuf,
    /// 1-based.
    pub line: Option<usize>,
    /// 1-based, in characters.
    pub column: Option<usize>,
    /// What is wrong; may have several lines.
    pub message: String,
    /// What to do, as an imperative.
    pub fix: String,
}

impl Diagnostic {
    /// A diagnostic for a whole file.
    pub fn new(file: impl AsRef<Utf8Path>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { file: file.as_ref().to_owned(), line: None, column: None, message: message.into(), fix: fix.into() }
    }

    /// The same, at a line (1-based; 0 means that the line is not known).
    pub fn at(mut self, line: usize) -> Self {
        self.line = (line > 0).then_some(line);
        self
    }

    /// The same, at a column of its line.
    pub fn column(mut self, column: Option<usize>) -> Self {
        self.column = column;
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}\n  fix: {}", self.message, self.fix)
    }
}

impl std::error::Error for Diagnostic {}

/// Everything this crate can answer instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes in the project's files, at least one; several are reported at once where they are independent.
    #[error("{}", join(.0))]
    Invalid(Vec<Diagnostic>),
    /// libgit2 refused something.
    #[error("git: {doing}: {}", .source.message())]
    Git {
        /// What was being done, as a gerund.
        doing: String,
        /// libgit2's answer.
        source: git2::Error,
    },
    /// The git binary, or another program, failed.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// The command line without its environment.
        command: String,
        /// Exit status, or the reason why it did not start.
        status: String,
        /// The end of what it said.
        stderr: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The path as it was used.
        path: Utf8PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The machine: its cache, its package manager.
    #[error(transparent)]
    Env(#[from] stg_env::EnvError),
    /// There is no base tree yet.
    #[error(
        "no base tree in {cache}\n  fix: run `phasectl base fetch`, or `phasectl base use PATH` with a Linux clone"
    )]
    NoBase {
        /// The cache directory that was looked into.
        cache: Utf8PathBuf,
    },
    /// The base tree, or what is to become one, is not usable.
    #[error("{message}\n  fix: {fix}")]
    Base {
        /// What is wrong with it.
        message: String,
        /// What to do.
        fix: String,
    },
    /// The command line names something that does not exist.
    #[error("{message}\n  fix: {fix}")]
    Unknown {
        /// What, and how it was called.
        message: String,
        /// What to do.
        fix: String,
    },
    /// A request that does not fit the state of the project or of the cache.
    #[error("{message}\n  fix: {fix}")]
    Refused {
        /// Why.
        message: String,
        /// What to do.
        fix: String,
    },
}

fn join(all: &[Diagnostic]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl From<Diagnostic> for Error {
    fn from(one: Diagnostic) -> Self {
        Self::Invalid(vec![one])
    }
}

impl Error {
    /// For `map_err` on libgit2 calls.
    pub(crate) fn git(doing: impl Into<String>) -> impl FnOnce(git2::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Git { doing, source }
    }

    /// For `map_err` on file system calls.
    pub(crate) fn io(path: impl AsRef<Utf8Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    /// A name that stands for nothing, with its remedy.
    pub fn unknown(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Unknown { message: message.into(), fix: fix.into() }
    }

    /// A refusal with its remedy.
    pub(crate) fn refused(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), fix: fix.into() }
    }

    /// An unusable base with its remedy.
    pub(crate) fn base(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Base { message: message.into(), fix: fix.into() }
    }

    /// The process' exit code for it, of [`stg_env::exit`].
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Invalid(_) => stg_env::exit::CHECK_FAILED,
            Self::Unknown { .. } => stg_env::exit::USAGE,
            Self::NoBase { .. } | Self::Base { .. } => stg_env::exit::ENVIRONMENT,
            Self::Env(error) => error.exit_code(),
            _ => stg_env::exit::OTHER,
        }
    }

    /// The diagnostics, when the mistake is in the project's files.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid(all) => all,
            _ => &[],
        }
    }
}

/// Collects diagnostics, so that independent mistakes are reported together; anything else ends the work.
///
/// # Errors
/// What is not [`Error::Invalid`].
pub fn gather<T>(result: Result<T>, found: &mut Vec<Diagnostic>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Invalid(more)) => {
            found.extend(more);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// `Ok` when nothing was found wrong.
///
/// # Errors
/// [`Error::Invalid`] with what was found.
pub fn check(found: Vec<Diagnostic>) -> Result<()> {
    if found.is_empty() { Ok(()) } else { Err(Error::Invalid(found)) }
}
