// SPDX-License-Identifier: GPL-2.0-only

//! Looking for memory that the kernel has lost (Documentation/dev-tools/kmemleak.rst).
//!
//! kmemleak reports an object that nothing points to, that is at least five seconds old, and whose contents have not changed since
//! the scan before. So there is a wait, and two scans. A pointer that was only in a register meanwhile makes an object look lost; it
//! does not stay so, and what is lost does. So there is a second look if the first one found anything.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::failure::Failure;
use crate::files;

const CONTROL: &str = "/sys/kernel/debug/kmemleak";
/// `MSECS_MIN_AGE` of mm/kmemleak.c, and a little more.
const AGE: Duration = Duration::from_millis(5200);
/// How much of a report is passed on; all of it goes to the kernel log.
const SHOWN: usize = 3000;

/// Fails with the report if something is lost.
pub(crate) fn check() -> Result<String, Failure> {
    let control = Path::new(CONTROL);
    if !control.exists() {
        return Err(Failure::new(format!(
            "{CONTROL} is missing: run this on a kernel with CONFIG_DEBUG_KMEMLEAK, such as variant `debug`"
        )));
    }
    for _ in 0..2 {
        thread::sleep(AGE);
        for _ in 0..2 {
            files::write(control, "scan")?;
        }
        if report(control)?.is_empty() {
            return Ok("nothing is lost".to_owned());
        }
    }
    let report = report(control)?;
    log(&report);
    Err(Failure::new(summary(&report)))
}

fn report(control: &Path) -> Result<String, Failure> {
    fs::read_to_string(control)
        .map_err(|error| Failure::new(format!("read {}: {}", control.display(), files::explain(&error))))
}

fn summary(report: &str) -> String {
    let lost = report.lines().filter(|line| line.starts_with("unreferenced object")).count();
    let end = report.char_indices().map(|(at, _)| at).take_while(|at| *at <= SHOWN).last().unwrap_or_default();
    let (shown, more) =
        if report.len() > SHOWN { (&report[..end], "\n... (the console has the rest)") } else { (report, "") };
    format!("{lost} object(s) are lost\n{}{more}", shown.trim_end())
}

/// Line by line into the kernel log, and so onto the console. Nobody is left to tell if that fails.
fn log(report: &str) {
    if let Ok(mut log) = fs::File::options().write(true).open("/dev/kmsg") {
        for line in report.lines() {
            let _ = log.write_all(format!("<3>kmemleak: {line}\n").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_counted_and_cut() {
        let one = "unreferenced object 0xffff (size 8):\n  comm \"init\"\n  backtrace (crc 0):\n    kmalloc+0x1\n";
        assert_eq!(summary(one), format!("1 object(s) are lost\n{}", one.trim_end()));
        let long = summary(&one.repeat(99));
        assert!(long.starts_with("99 object(s) are lost\nunreferenced") && long.ends_with("has the rest)"));
        assert!(long.len() < SHOWN + 100);
    }
}
