// SPDX-License-Identifier: GPL-2.0-only

//! How long QEMU has run.

use std::fs;

/// The CPU time of all threads of a process, in nanoseconds: fields 14 and 15 of `stat`, of which the second holds a name in parentheses.
pub(super) fn cpu_time(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    let ticks = times.next()? + times.next()?;
    Some(ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn cpu_time_is_that_of_the_process() {
        let began = cpu_time(std::process::id()).unwrap();
        let start = Instant::now();
        while cpu_time(std::process::id()).unwrap() < began + 30_000_000 {
            assert!(start.elapsed() < Duration::from_secs(60), "this loop uses some");
        }
        assert_eq!(cpu_time(u32::MAX), None);
    }
}
