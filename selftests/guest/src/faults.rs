// SPDX-License-Identifier: GPL-2.0-only

//! Fault injection: making one allocation of this thread fail (Documentation/fault-injection/fault-injection.rst).
//!
//! `/proc/thread-self/fail-nth` counts down at every place of the kernel where this thread could be denied something, whatever the
//! settings of debugfs say about chances; what those settings exclude is not counted, though, and by default that is every
//! allocation which may wait. [`Fault::arm`] includes them.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::OFlags;

use crate::failure::Failure;
use crate::files::{self, explain};

const FAIL_NTH: &str = "/proc/thread-self/fail-nth";
const DEBUGFS: &str = "/sys/kernel/debug";
/// What is set in each of the kinds that allocate: whether allocations that may wait are left alone, how large a block of pages
/// must be, and how much is said about each failure (a call trace takes a second of a serial port's time).
const SETTINGS: [(&str, &str); 3] = [("ignore-gfp-wait", "N"), ("min-order", "0"), ("verbose", "0")];
const KINDS: [&str; 2] = ["failslab", "fail_page_alloc"];

/// An allocation that is going to fail.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Open from before to after, because opening allocates and must not be counted.
    counter: OwnedFd,
}

impl Fault {
    /// From here on, the `nth` allocation of this thread fails.
    pub(crate) fn arm(nth: u64) -> Result<Self, Failure> {
        prepare(Path::new(DEBUGFS))?;
        Self::arm_at(Path::new(FAIL_NTH), nth)
    }

    fn arm_at(counter: &Path, nth: u64) -> Result<Self, Failure> {
        if nth == 0 {
            return Err(Failure::new("`nth` counts from 1"));
        }
        let counter = files::open(counter, OFlags::RDWR).map_err(|failure| Failure::new(failure.to_string()))?;
        let fault = Self { counter };
        fault.write(nth)?;
        Ok(fault)
    }

    /// Lets all further allocations succeed, and says whether one has failed.
    pub(crate) fn disarm(self) -> Result<bool, Failure> {
        let left = self.read();
        self.write(0)?;
        Ok(left? == 0)
    }

    fn read(&self) -> Result<u64, Failure> {
        let mut text = [0; 24];
        let n = rustix::io::pread(&self.counter, &mut text, 0)
            .map_err(|errno| Failure::setup(format!("read of {FAIL_NTH}"), errno))?;
        let text = String::from_utf8_lossy(&text[..n]);
        text.trim().parse().map_err(|_| Failure::new(format!("{FAIL_NTH} says {text:?}, not a number")))
    }

    fn write(&self, value: u64) -> Result<(), Failure> {
        rustix::io::pwrite(&self.counter, value.to_string().as_bytes(), 0)
            .map(|_| ())
            .map_err(|errno| Failure::setup(format!("write of {value} to {FAIL_NTH}"), errno))
    }
}

fn prepare(debugfs: &Path) -> Result<(), Failure> {
    for kind in KINDS {
        let directory = debugfs.join(kind);
        if !directory.exists() {
            return Err(Failure::new(format!(
                "{} is missing: the kernel has no fault injection; run on one with CONFIG_FAILSLAB, \
                 CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAULT_INJECTION_DEBUG_FS",
                directory.display()
            )));
        }
        for (setting, value) in SETTINGS {
            let path = directory.join(setting);
            // Not every kind has every setting.
            if path.exists() {
                fs::write(&path, value)
                    .map_err(|error| Failure::new(format!("write {}: {}", path.display(), explain(&error))))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_fired_when_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let counter = dir.path().join("fail-nth");
        fs::write(&counter, "0").unwrap();
        let fault = Fault::arm_at(&counter, 3).unwrap();
        assert_eq!(fs::read_to_string(&counter).unwrap(), "3");
        assert!(!fault.disarm().unwrap(), "three are left");
        let fault = Fault::arm_at(&counter, 3).unwrap();
        fs::write(&counter, "0\n").unwrap();
        assert!(fault.disarm().unwrap());
        assert!(Fault::arm_at(&counter, 0).is_err());
    }

    #[test]
    fn settings_are_made_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        assert!(prepare(dir.path()).unwrap_err().to_string().contains("CONFIG_FAILSLAB"));
        for kind in KINDS {
            fs::create_dir(dir.path().join(kind)).unwrap();
            fs::write(dir.path().join(kind).join("verbose"), "2").unwrap();
        }
        prepare(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("failslab/verbose")).unwrap(), "0");
        assert!(!dir.path().join("failslab/min-order").exists());
    }
}
