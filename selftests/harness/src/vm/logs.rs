// SPDX-License-Identifier: GPL-2.0-only

//! The log files of a run, written line by line, so that a killed run leaves them too.

use std::fs::{self, File, OpenOptions};
use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::error::{HarnessError, io};
use crate::observe::Line;

/// Starts lines of qemu.log that are ours; the others are QEMU's own.
const OURS: [&str; 3] = ["$ ", "qmp ", "host "];

/// Open log files.
#[derive(Debug)]
pub(crate) struct Logs {
    directory: Utf8PathBuf,
    consoles: Vec<File>,
    events: File,
    qemu: File,
}

impl Logs {
    /// Opens them; also gives a handle of qemu.log for QEMU's own output.
    pub(crate) fn create(directory: &Utf8Path, qemu: &Utf8Path, args: &[String]) -> Result<(Self, File), HarnessError> {
        let path = directory.join("qemu.log");
        let failed = || io("write", &path);
        // A leftover of an earlier run must not look like ours. Appending, since QEMU writes into the same file.
        fs::write(&path, format!("$ {qemu} {}\n", args.iter().map(|arg| quote(arg)).collect::<Vec<_>>().join(" ")))
            .map_err(failed())?;
        let log = OpenOptions::new().append(true).open(&path).map_err(failed())?;
        let output = log.try_clone().map_err(failed())?;
        let events = create(&directory.join("events.jsonl"))?;
        let consoles = vec![create(&directory.join("console-0.log"))?];
        Ok((Self { directory: directory.to_owned(), consoles, events, qemu: log }, output))
    }

    /// A line of the console.
    pub(crate) fn console(&mut self, hop: usize, line: &Line) -> Result<(), HarnessError> {
        while self.consoles.len() <= hop {
            self.consoles.push(create(&self.path(self.consoles.len()))?);
        }
        let time = line.guest_seconds.map(|seconds| format!("[{seconds:12.6}] ")).unwrap_or_default();
        let text = format!("{:>7} {time}{}\n", line.host_ms, line.text);
        self.consoles[hop].write_all(text.as_bytes()).map_err(io("write", &self.path(hop)))
    }

    /// A report of the guest, or noise on its channel.
    pub(crate) fn event(&mut self, entry: &impl Serialize) -> Result<(), HarnessError> {
        let path = self.directory.join("events.jsonl");
        let text = serde_json::to_string(entry).map_err(|error| io("write", &path)(error.into()))?;
        writeln!(self.events, "{text}").map_err(io("write", &path))
    }

    /// A line of the control channel.
    pub(crate) fn qmp(&mut self, host_ms: u64, line: &str) -> Result<(), HarnessError> {
        writeln!(self.qemu, "qmp {host_ms:>7} {line}").map_err(io("write", &self.directory.join("qemu.log")))
    }

    /// What the host did.
    pub(crate) fn host(&mut self, host_ms: u64, what: &str) -> Result<(), HarnessError> {
        writeln!(self.qemu, "host {host_ms:>6} {what}").map_err(io("write", &self.directory.join("qemu.log")))
    }

    fn path(&self, hop: usize) -> Utf8PathBuf {
        self.directory.join(format!("console-{hop}.log"))
    }
}

/// What QEMU itself printed.
pub(crate) fn qemu_output(directory: &Utf8Path) -> Result<Vec<String>, HarnessError> {
    let path = directory.join("qemu.log");
    let bytes = fs::read(&path).map_err(io("read", &path))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter(|line| !OURS.iter().any(|ours| line.starts_with(ours))).map(str::to_owned).collect())
}

fn create(path: &Utf8Path) -> Result<File, HarnessError> {
    File::create(path).map_err(io("create", path))
}

/// For a shell, so that the line can be copied from the log.
fn quote(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@+".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) { arg.to_owned() } else { format!("'{}'", arg.replace('\'', r"'\''")) }
}
