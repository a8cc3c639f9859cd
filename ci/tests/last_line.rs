// SPDX-License-Identifier: GPL-2.0-only

//! The last line of the output, which programs read: it is there however `cargo ci` and `.ci/run` end.
//!
//! `.ci/run` runs here with a cargo that is a shell script, which stands for all that the real one may do.

#![expect(clippy::unwrap_used, reason = "in a test, that is how to fail")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Exit status and lines of stdout.
fn end(output: &Output) -> (Option<i32>, Vec<String>) {
    let lines = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    (output.status.code(), lines)
}

/// `.ci/run` with a cargo that is this script.
fn with_cargo(guard: &TempDir, cargo: &str) -> Command {
    let program = guard.path().join("cargo");
    std::fs::write(&program, format!("#!/bin/sh\n{cargo}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(guard.path().to_owned()).chain(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    command.arg(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/run"))).args(["--only", "two words"]);
    command.env("PATH", std::env::join_paths(paths).unwrap()).env("TMPDIR", guard.path());
    command
}

/// How that ends; it leaves no file behind.
fn run(cargo: &str) -> (Option<i32>, Vec<String>) {
    let guard = tempfile::tempdir().unwrap();
    let result = end(&with_cargo(&guard, cargo).output().unwrap());
    assert_eq!(guard.path().read_dir().unwrap().count(), 1, "a temporary file is left behind");
    result
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn a_count_is_passed_on_with_the_exit_status() {
    assert_eq!(run("echo a; echo '12 passed, 0 failed'"), (Some(0), lines(&["a", "12 passed, 0 failed"])));
    assert_eq!(run("echo '12 passed, 3 failed'; exit 1"), (Some(1), lines(&["12 passed, 3 failed"])));
    let arguments = r#"printf '%s\n' "$@"; echo '0 passed, 1 failed'; exit 2"#;
    let passed_on = lines(&["--locked", "ci", "--only", "two words", "0 passed, 1 failed"]);
    assert_eq!(run(arguments), (Some(2), passed_on));
}

#[test]
fn what_ends_without_a_count_is_one_failure() {
    let failed = lines(&["0 passed, 1 failed"]);
    assert_eq!(run("echo 'error: could not compile' >&2; exit 101"), (Some(101), failed.clone()));
    assert_eq!(run("kill -9 $$"), (Some(137), failed));
    let broken_off = lines(&["9 passed, 0 failed", "half", "0 passed, 1 failed"]);
    assert_eq!(run("echo '9 passed, 0 failed'; printf half; exit 1"), (Some(1), broken_off));
    let inside = lines(&["see 9 passed, 0 failed", "0 passed, 1 failed"]);
    assert_eq!(run("echo 'see 9 passed, 0 failed'; exit 1"), (Some(1), inside));
}

#[test]
fn a_terminated_run_is_one_failure() {
    let guard = tempfile::tempdir().unwrap();
    let mut child = with_cargo(&guard, "echo begin; exec sleep 30").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().unwrap(), "begin");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    // The output ends only when cargo has ended as well.
    assert_eq!(said.collect::<Vec<_>>(), lines(&["0 passed, 1 failed"]));
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_list_ends_well_without_a_count() {
    assert_eq!(run("echo 'fmt: cargo fmt'"), (Some(0), lines(&["fmt: cargo fmt"])));
}

#[test]
fn the_program_itself_ends_with_a_count() {
    let guard = tempfile::tempdir().unwrap();
    let ci = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ci"));
        end(&command.args(args).current_dir(guard.path()).output().unwrap())
    };
    let failed = lines(&["0 passed, 1 failed"]);
    // There is no checkout here.
    let (code, said) = ci(&["--cache", "cache"]);
    assert!(code.is_some_and(|code| code != 0) && said == failed, "{code:?} {said:?}");
    assert_eq!(ci(&["--no-such-option"]), (Some(2), failed));
    let (code, help) = ci(&["--help"]);
    assert!(code == Some(0) && help.iter().all(|line| !line.starts_with("0 passed")), "{code:?} {help:?}");
}
