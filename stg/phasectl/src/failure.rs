// SPDX-License-Identifier: GPL-2.0-only

//! From an error to a message and an exit code.
//!
//! The libraries' error types say what went wrong; this is the one table that says which exit code of the contract
//! (`stg_env::exit`) it has. The rule: what is wrong with the command line is 2, also a name that stands for nothing; with the
//! project's own files 102, with a kernel's build 101, with the machine 110, and everything else is 1. That a test failed is no error but a command's result.

use std::fmt;

use ci::kbuild::BuildError;
use harness::HarnessError;
use stg_core::Diagnostic;
use stg_env::{EnvError, exit};

/// An error of a command itself.
#[derive(Debug)]
pub(crate) struct Failure {
    code: i32,
    message: String,
}

impl Failure {
    /// With a code of [`exit`].
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// There is nothing at this revision that could be tested as asked; `fix` names what there is.
    pub(crate) fn untestable(message: impl fmt::Display, fix: impl fmt::Display) -> Self {
        Self::new(exit::UNTESTABLE, format!("{message}\n  fix: {fix}"))
    }

    /// The command line makes no sense. What it names and does not exist is a [`stg_core::Error::Unknown`].
    pub(crate) fn usage(message: impl fmt::Display, fix: impl fmt::Display) -> Self {
        Self::new(exit::USAGE, format!("{message}\n  fix: {fix}"))
    }

    /// One that has no class of its own, with its remedy.
    pub(crate) fn other(message: impl fmt::Display, fix: impl fmt::Display) -> Self {
        Self::new(exit::OTHER, format!("{message}\n  fix: {fix}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The errors that this table knows.
enum Known<'a> {
    Own(&'a Failure),
    Core(&'a stg_core::Error),
    Env(&'a EnvError),
    Build(&'a BuildError),
    Harness(&'a HarnessError),
}

impl<'a> Known<'a> {
    fn of(error: &'a (dyn std::error::Error + 'static)) -> Option<Self> {
        let own = error.downcast_ref().map(Self::Own);
        let core = || error.downcast_ref().map(Self::Core);
        let env = || error.downcast_ref().map(Self::Env);
        let build = || error.downcast_ref().map(Self::Build);
        own.or_else(core).or_else(env).or_else(build).or_else(|| error.downcast_ref().map(Self::Harness))
    }

    fn exit_code(&self) -> i32 {
        match self {
            Self::Own(failure) => failure.code,
            Self::Core(error) => error.exit_code(),
            Self::Env(error) => error.exit_code(),
            Self::Build(error) => error.exit_code(),
            Self::Harness(error) => harness(error),
        }
    }

    /// The mistakes in the project's files, if that is what it is about.
    fn diagnostics(&self) -> &'a [Diagnostic] {
        match *self {
            Self::Core(error) | Self::Build(BuildError::Core(error)) | Self::Harness(HarnessError::Project(error)) => {
                error.diagnostics()
            }
            _ => &[],
        }
    }
}

fn harness(error: &HarnessError) -> i32 {
    match error {
        HarnessError::Project(error) => error.exit_code(),
        HarnessError::NoCase { .. } => exit::USAGE,
        HarnessError::Differ { .. } | HarnessError::NoSpan { .. } => exit::TEST_FAILED,
        HarnessError::GuestBuild(_) => exit::BUILD_FAILED,
        HarnessError::NoQemu { .. } | HarnessError::TempDir { .. } => exit::ENVIRONMENT,
        _ => exit::OTHER,
    }
}

/// The exit code for an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> i32 {
    error.chain().find_map(Known::of).map_or(exit::OTHER, |known| known.exit_code())
}

/// What is printed of an error: `error: ...`, for each of several mistakes in the project's files.
pub(crate) fn message(error: &anyhow::Error) -> String {
    // What lies below a known error is part of its text already.
    let known = error.chain().position(|cause| Known::of(cause).is_some());
    let Some(known) = known else { return format!("error: {error:#}\n") };
    let mut text = String::new();
    for (depth, cause) in error.chain().take(known + 1).enumerate() {
        let lead = if depth == 0 { "error: " } else { "" };
        match Known::of(cause) {
            Some(known) if !known.diagnostics().is_empty() => {
                for diagnostic in known.diagnostics() {
                    text.push_str(&format!("error: {diagnostic}\n"));
                }
            }
            // Its lines are a compiler's, with a place first and `error:` after it.
            Some(Known::Build(BuildError::Compile { .. })) => {
                text.push_str(&format!("{lead}the kernel does not build\n{}\n", cause.to_string().trim_end()));
            }
            _ => text.push_str(&format!("{lead}{}\n", cause.to_string().trim_end())),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(error: impl Into<anyhow::Error>) -> (i32, String) {
        let error = error.into();
        (exit_code(&error), message(&error))
    }

    #[test]
    fn mistakes_in_the_project_are_listed_one_by_one() {
        let first = Diagnostic::new("phases/phase1/phase.yaml", "unknown field `require`", "write `requires`").at(4);
        let second = Diagnostic::new("phases/phase1/a.patch", "binary file", "keep it out");
        let (code, text) = both(stg_core::Error::Invalid(vec![first, second]));
        assert_eq!(code, exit::CHECK_FAILED);
        insta::assert_snapshot!(text, @r"
        error: phases/phase1/phase.yaml:4: unknown field `require`
          fix: write `requires`
        error: phases/phase1/a.patch: binary file
          fix: keep it out
        ");
    }

    #[test]
    fn classes() {
        let no_base = || stg_core::Error::NoBase { cache: "c".into() };
        assert_eq!(both(no_base()).0, exit::ENVIRONMENT);
        assert_eq!(both(BuildError::Core(no_base())).0, exit::ENVIRONMENT);
        assert_eq!(both(EnvError::Missing("qemu".into())).0, exit::ENVIRONMENT);
        assert_eq!(both(EnvError::NoProject { from: "/".into() }).0, exit::OTHER);
        let compile = BuildError::Compile { errors: Vec::new(), log: "log".into() };
        assert_eq!(both(compile).0, exit::BUILD_FAILED);
        let wrong = Diagnostic::new("x.yaml", "no", "yes").at(1);
        let all = (exit::CHECK_FAILED, "error: x.yaml:1: no\n  fix: yes\n".to_owned());
        assert_eq!(both(HarnessError::from(wrong.clone())), all);
        assert_eq!(both(BuildError::Core(wrong.into())), all);
        let (code, text) =
            both(HarnessError::Differ { case: "a (stages)".into(), first: 5, second: 6, logs: "out".into() });
        assert!(code == exit::TEST_FAILED && text.contains("a (stages) took 5 and 6 instructions"), "{code} {text}");
        let unknown = stg_core::Error::unknown("there is no patch `x`", "name another");
        assert_eq!(both(unknown), (exit::USAGE, "error: there is no patch `x`\n  fix: name another\n".to_owned()));
        assert_eq!(both(Failure::new(exit::UNTESTABLE, "x")).0, exit::UNTESTABLE);
        assert_eq!(both(anyhow::anyhow!("x")), (exit::OTHER, "error: x\n".to_owned()));
    }

    #[test]
    fn a_compile_error_begins_with_its_place() {
        let error = ci::kbuild::CompileError {
            file: Some("rust/kernel/kho.rs".into()),
            line: Some(7),
            column: Some(3),
            message: "expected `;`".into(),
            culprit: None,
        };
        let (code, text) = both(BuildError::Compile { errors: vec![error], log: "build.log".into() });
        assert_eq!(code, exit::BUILD_FAILED);
        insta::assert_snapshot!(text, @r"
        error: the kernel does not build
        rust/kernel/kho.rs:7:3: error: expected `;`
          log: build.log
        ");
    }

    #[test]
    fn a_context_stands_first_and_keeps_the_class() {
        let inner = EnvError::Missing("this machine lacks qemu".into());
        let error = anyhow::Error::new(inner).context("phase1 cannot be tested");
        assert_eq!(both(error), (110, "error: phase1 cannot be tested\nthis machine lacks qemu\n".to_owned()));
    }
}
