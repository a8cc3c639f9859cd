// SPDX-License-Identifier: GPL-2.0-only

//! QEMU as a process that cannot outlive us.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};

use crate::error::{self, HarnessError};
use crate::observe::End;

/// A running QEMU; killed with its process group when dropped.
#[derive(Debug)]
pub(crate) struct Qemu {
    child: Child,
    path: Utf8PathBuf,
    end: Option<End>,
}

impl Qemu {
    /// Starts it in a process group of its own, so that Ctrl-C reaches us and not it. It dies with the calling thread.
    pub(crate) fn start(path: &Utf8Path, args: &[String], output: File) -> Result<Self, HarnessError> {
        let missing = |source| HarnessError::NoQemu { qemu: path.to_owned(), source };
        let errors = output.try_clone().map_err(error::io("open the log of", path))?;
        let mut command = Command::new(path);
        command.args(args).stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let parent = process::id();
        let die_with_us = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // If we died before that call, no signal will come.
            match getppid() {
                Some(pid) if pid.as_raw_nonzero().get().unsigned_abs() == parent => Ok(()),
                _ => Err(Errno::SRCH.into()),
            }
        };
        // SAFETY: Between fork and exec only async-signal-safe work is allowed. The closure makes two system calls,
        // takes no lock and allocates nothing; its error is a number.
        unsafe { command.pre_exec(die_with_us) };
        let child = command.spawn().map_err(missing)?;
        Ok(Self { child, path: path.to_owned(), end: None })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<End>, HarnessError> {
        if self.end.is_none()
            && let Some(status) = self.child.try_wait().map_err(error::io("wait for", &self.path))?
        {
            self.end = Some(End::Exited { code: status.code(), signal: status.signal() });
        }
        Ok(self.end.clone())
    }

    /// Gives it some time to end by itself.
    pub(crate) fn wait(&mut self, patience: Duration) {
        let began = Instant::now();
        while began.elapsed() < patience && matches!(self.ended(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it and whatever it started.
    pub(crate) fn kill(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // While it is not waited for, its number cannot belong to anybody else.
        if self.end.is_none()
            && let Some(group) = group
        {
            // Fails only if it is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        if self.child.wait().is_ok() {
            self.end.get_or_insert(End::Exited { code: None, signal: Some(Signal::KILL.as_raw()) });
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
    }
}
