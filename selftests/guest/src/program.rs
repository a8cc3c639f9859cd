// SPDX-License-Identifier: GPL-2.0-only

//! Running a program of the plan.
//!
//! Its output goes to the console line by line, where the log keeps it and where a line is a sign of life, and is counted on
//! the way (see [`crate::tap`]). A process that the program leaves behind may stay: luo's tests hold their sessions that
//! way across the jump. It must have closed its output, as those do; the end of the output is waited for.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plan::{PROGRAM_DIR, Program};

use crate::failure::Failure;
use crate::files::explain;
use crate::sysfs;
use crate::tap::Tally;

/// Runs a program to its end. `device` finds the sysfs directory of a device.
pub(crate) fn run(program: &Program, device: impl Fn(&str) -> Result<PathBuf, Failure>) -> Result<String, Failure> {
    run_in(Path::new(PROGRAM_DIR), program, device, &mut console()?)
}

/// The console, which is no terminal of ours: what the kernel says meanwhile comes between the lines.
fn console() -> Result<File, Failure> {
    let path = "/dev/console";
    File::options().write(true).open(path).map_err(|error| Failure::new(format!("open {path}: {}", explain(&error))))
}

fn run_in(
    directory: &Path,
    program: &Program,
    device: impl Fn(&str) -> Result<PathBuf, Failure>,
    log: &mut impl Write,
) -> Result<String, Failure> {
    let path = directory.join(&program.program);
    let failed =
        |what: &str, error: &std::io::Error| Failure::new(format!("{what} {}: {}", path.display(), explain(error)));
    let mut command = Command::new(&path);
    for arg in &program.args {
        match plan::device_of(arg) {
            Some(name) => command.arg(sysfs::address(&device(name)?)),
            None => command.arg(arg),
        };
    }
    // No other directory, which init is not in anyway: the standard library would then fork by itself, and for that it wants a
    // pair of sockets, which a kernel without networks does not have.
    // One pipe for both, so that an error stays with the line that it follows.
    let (reader, writer) = std::io::pipe().map_err(|error| failed("make a pipe for", &error))?;
    let second = writer.try_clone().map_err(|error| failed("make a pipe for", &error))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second).env_clear();
    let mut child = command.spawn().map_err(|error| failed("run", &error))?;
    // `command` holds the pipe's writing ends; while it lives, reading would never end.
    drop(command);
    let mut tally = Tally::default();
    let mut last = String::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(|error| failed("read the output of", &error))? > 0 {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        // A console that takes nothing is no reason to fail: the results come another way.
        let _ = writeln!(log, "{text}");
        tally.line(&text);
        if !text.is_empty() {
            last = text;
        }
        line.clear();
    }
    let status = child.wait().map_err(|error| failed("wait for", &error))?;
    match (tally.judge(program), status.success()) {
        (Ok(seen), true) => Ok(seen),
        (Ok(_), false) => Err(Failure::new(format!("{status}; the last thing it said: {last}"))),
        (Err(why), true) => Err(Failure::new(why)),
        (Err(why), false) => Err(Failure::new(format!("{status}; {why}; the last thing it said: {last}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script as if it were the program.
    fn run_script(script: &str, args: &[&str], pass: usize) -> (Result<String, String>, String) {
        let args = ["-c", script, "t"].iter().chain(args).map(|&arg| arg.to_owned()).collect();
        let program = Program { program: "sh".into(), args, pass, skip: 0 };
        let device = |name: &str| match name {
            "dut" => Ok(PathBuf::from("/sys/devices/pci0000:00/0000:00:03.0/0000:01:00.0")),
            other => Err(Failure::new(format!("no {other}"))),
        };
        let mut log = Vec::new();
        let result = run_in(Path::new("/bin"), &program, device, &mut log).map_err(|failure| failure.to_string());
        (result, String::from_utf8(log).unwrap())
    }

    #[test]
    fn a_device_is_named_by_its_address_and_the_output_is_kept() {
        let (result, log) = run_script("echo 1..1; echo ok 1 $1 >&2", &["{dut-bdf}"], 1);
        assert_eq!(result.unwrap(), "1 passed, 0 skipped");
        assert_eq!(log, "1..1\nok 1 0000:01:00.0\n");
        let (result, _) = run_script("", &["{dux-bdf}"], 0);
        assert_eq!(result.unwrap_err(), "no dux");
    }

    #[test]
    fn a_program_must_end_well_whatever_it_reported() {
        let (result, _) = run_script("echo 1..1; echo ok 1 a; echo oh; exit 3", &[], 1);
        assert_eq!(result.unwrap_err(), "exit status: 3; the last thing it said: oh");
        let (result, _) = run_script("echo 1..2; echo ok 1 a; kill -9 $$", &[], 2);
        assert!(result.unwrap_err().starts_with("signal: 9 (SIGKILL); 1 passed, 0 skipped, want 2"));
        let (result, _) = run_script("echo 1..1; echo ok 1 a", &[], 2);
        assert_eq!(result.unwrap_err(), "1 passed, 0 skipped, want 2 passed, 0 skipped");
    }

    #[test]
    fn what_stays_behind_is_not_waited_for() {
        let (result, _) = run_script("sleep 60 >/dev/null 2>&1 & exit 0", &[], 0);
        assert_eq!(result.unwrap(), "0 passed, 0 skipped");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let program = Program { program: "gone".into(), args: Vec::new(), pass: 0, skip: 0 };
        let device = |_: &str| Err(Failure::new("no"));
        let failure = run_in(Path::new("/programs-of-nobody"), &program, device, &mut Vec::new()).unwrap_err();
        assert_eq!(failure.to_string(), "run /programs-of-nobody/gone: ENOENT");
    }
}
