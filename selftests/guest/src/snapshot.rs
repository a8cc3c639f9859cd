// SPDX-License-Identifier: GPL-2.0-only

//! A device's config space as a whole, kept in a memfd that crosses a kexec like any other.

use std::os::fd::{AsFd, BorrowedFd};

use plan::{CheckConfig, ConfigField};

use crate::config::{Config, SIZE};
use crate::failure::Failure;
use crate::memfd;
use crate::steps::Runner;
use crate::sysfs;

const BYTES: usize = SIZE as usize;
const WORD: usize = 4;
/// Differences that a report names.
const NAMED: usize = 12;

impl Runner {
    /// `save-config`.
    pub(crate) fn save_config(&self, device: &str, fd: &str) -> Result<String, Failure> {
        self.names.free(fd)?;
        let directory = self.device(device)?;
        let bytes = Config::open(&directory)?.all()?;
        let memory = memfd::create(fd, SIZE, 0, &[])?;
        match rustix::io::pwrite(&memory, &bytes, 0) {
            Ok(BYTES) => {}
            Ok(n) => return Err(Failure::new(format!("the memfd took only {n} bytes"))),
            Err(errno) => return Err(Failure::setup("write of the memfd", errno)),
        }
        self.names.add(fd, memory);
        Ok(format!("{BYTES} bytes of {}", sysfs::address(&directory)))
    }

    /// `check-config`.
    pub(crate) fn check_config(&self, check: &CheckConfig) -> Result<String, Failure> {
        let directory = self.device(&check.device)?;
        let config = Config::open(&directory)?;
        let saved = read(self.names.get(&check.saved)?.as_fd())?;
        let found = config.all()?;
        let mut compared = [true; BYTES];
        for ConfigField { cap, ext_cap, offset, width } in &check.except {
            let field = config.field(*cap, *ext_cap, *offset, *width)?;
            let start = field.at as usize;
            compared[start..start + field.width as usize].fill(false);
        }
        match differences(&saved, &found, &compared).as_slice() {
            [] => Ok(sysfs::address(&directory).to_owned()),
            all => {
                let named: Vec<_> = all.iter().take(NAMED).map(String::as_str).collect();
                let more = if all.len() > NAMED { format!(", and {} more", all.len() - NAMED) } else { String::new() };
                Err(Failure::new(format!("{}: {}{more}", sysfs::address(&directory), named.join(", "))))
            }
        }
    }
}

fn read(memory: BorrowedFd<'_>) -> Result<[u8; BYTES], Failure> {
    let mut bytes = [0; BYTES];
    match rustix::io::pread(memory, &mut bytes, 0) {
        Ok(BYTES) => Ok(bytes),
        Ok(n) => Err(Failure::new(format!("the memfd has {n} bytes: `save-config` did not make it"))),
        Err(errno) => Err(Failure::setup("read of the memfd", errno)),
    }
}

/// Words that differ in a byte that counts.
fn differences(saved: &[u8; BYTES], found: &[u8; BYTES], compared: &[bool; BYTES]) -> Vec<String> {
    let words = (0..BYTES).step_by(WORD);
    let differ = |at: &usize| (*at..at + WORD).any(|byte| compared[byte] && saved[byte] != found[byte]);
    let hex = |bytes: &[u8]| bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect::<String>();
    words
        .filter(differ)
        .map(|at| format!("{at:#x} is {}, was {}", hex(&found[at..at + WORD]), hex(&saved[at..at + WORD])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_and_what_may_differ_is_not() {
        let saved = [0; BYTES];
        let mut found = saved;
        found[6] = 0x12;
        found[0x102] = 0x34;
        let mut compared = [true; BYTES];
        let all = differences(&saved, &found, &compared);
        assert_eq!(all, ["0x4 is 00120000, was 00000000", "0x100 is 00340000, was 00000000"]);
        compared[6] = false;
        assert_eq!(differences(&saved, &found, &compared).len(), 1);
    }
}
