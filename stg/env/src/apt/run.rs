// SPDX-License-Identifier: GPL-2.0-only

//! Running apt, with its progress.
//!
//! With `APT::Status-Fd` apt reports machine-readable progress. It is sent to stdout, among the ordinary lines, which no
//! descriptor needs to be inherited for. apt ignores a closed pipe: if this process is killed, apt goes on to its end. The
//! caller therefore passes the lock that protects apt's files as apt's standard input, see
//! [`LockGuard::share`](crate::LockGuard::share).

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::process::Command;
use std::process::Stdio;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use crate::EnvError;

/// Runs a command to its end and returns its stdout.
pub(crate) fn run(mut command: Command) -> Result<String, EnvError> {
    command.stdin(Stdio::null());
    let output = command.output().map_err(|error| failed(&command, &not_started(&error), ""))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(failed(&command, &output.status.to_string(), &text))
}

/// Runs an `apt-get` under a progress bar that says `doing`; in bytes if the size of the download is known.
///
/// `stdin` is a shared lock, see above, or nothing.
pub(crate) fn run_apt(mut command: Command, doing: &str, bytes: Option<u64>, stdin: Stdio) -> Result<String, EnvError> {
    command.args(["-o", "APT::Status-Fd=1"]);
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&command, &not_started(&error), ""))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stderr = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What could be read of it is shown.
        let _ = stderr.map(|mut pipe| pipe.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let bar = bar(doing, bytes);
    let mut text = String::new();
    for line in stdout.map(BufReader::new).into_iter().flat_map(|pipe| pipe.split(b'\n').map_while(Result::ok)) {
        let line = String::from_utf8_lossy(&line);
        match percent(&line) {
            Some(percent) => bar.set_position((percent / 100.0 * bar.length().unwrap_or(0) as f64) as u64),
            None => {
                // apt says this every second.
                if line.starts_with("Waiting for cache lock") && !text.contains(line.trim_end()) {
                    bar.suspend(|| eprintln!("{}", line.trim_end()));
                }
                text.push_str(&line);
                text.push('\n');
            }
        }
    }
    let status = child.wait().map_err(|error| failed(&command, &format!("was lost: {error}"), &text))?;
    bar.finish_and_clear();
    let errors = stderr.join().unwrap_or_default();
    if status.success() {
        return Ok(text);
    }
    Err(failed(&command, &status.to_string(), if errors.trim().is_empty() { &text } else { &errors }))
}

/// The percentage in a progress line: `dlstatus:1:37.08:Retrieving ...`, `pmstatus:flex:50.0:Unpacking ...`.
fn percent(line: &str) -> Option<f64> {
    let rest = line.strip_prefix("dlstatus:").or_else(|| line.strip_prefix("pmstatus:"))?;
    // A package's name may hold a colon (`libc6:amd64`), so the number is looked for.
    Some(rest.split(':').skip(1).find_map(|field| field.parse().ok()).unwrap_or(0.0))
}

fn bar(doing: &str, bytes: Option<u64>) -> ProgressBar {
    let template = match bytes {
        Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
        None => "{msg} [{bar:30}] {percent}%",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes.unwrap_or(1000)).with_style(style).with_message(doing.to_owned())
}

fn not_started(error: &std::io::Error) -> String {
    format!("could not be started: {error}")
}

fn failed(command: &Command, how: &str, output: &str) -> EnvError {
    EnvError::Command { command: command_line(command), how: how.to_owned(), output: output.to_owned() }
}

/// A command as a user would type it.
fn command_line(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn progress_lines() {
        assert_eq!(percent("dlstatus:1:37.0857:Retrieving file 1 of 1"), Some(37.0857));
        assert_eq!(percent("pmstatus:libc6-dev:amd64:50.0000:Unpacking libc6-dev"), Some(50.0));
        assert_eq!(percent("pmstatus:dpkg-exec:0.0000:Running dpkg"), Some(0.0));
        assert_eq!(percent("Get:1 http://mirror.invalid/debian sid InRelease"), None);
    }

    #[test]
    fn text_and_progress_are_told_apart() {
        let script = "echo dlstatus:1:5.0:x; echo 'Get:1 x'; echo ignored >&2; echo 'pmstatus:y:9.5:z'; echo end";
        assert_eq!(run_apt(shell(script), "testing", None, Stdio::null()).unwrap(), "Get:1 x\nend\n");
    }

    #[test]
    fn a_failure_shows_what_apt_said() {
        let error =
            run_apt(shell("echo noise; echo 'E: no such thing' >&2; exit 100"), "testing", Some(5), Stdio::null())
                .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 100\n    E: no such thing"), "{text}");
        assert!(!text.contains("    noise"), "{text}");
        let error = run(shell("echo on stdout; exit 1")).unwrap_err();
        assert!(error.to_string().contains("exit status: 1\n    on stdout"), "{error}");
        let error = run(Command::new("/nonexistent/program")).unwrap_err();
        assert!(error.to_string().starts_with("`/nonexistent/program` could not be started: "), "{error}");
    }
}
