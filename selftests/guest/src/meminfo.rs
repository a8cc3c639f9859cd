// SPDX-License-Identifier: GPL-2.0-only

//! How much memory there is, by `/proc/meminfo`.

use std::collections::BTreeMap;
use std::path::Path;

use plan::Meter;

use crate::failure::Failure;
use crate::files;

const PATH: &str = "/proc/meminfo";

/// Every meter, in KiB.
pub(crate) fn read() -> Result<BTreeMap<Meter, u64>, Failure> {
    parse(&files::read_trimmed(Path::new(PATH))?)
}

/// The same in words.
pub(crate) fn describe(kib: &BTreeMap<Meter, u64>) -> String {
    kib.iter().map(|(meter, kib)| format!("{} {kib} KiB", meter.key())).collect::<Vec<_>>().join(", ")
}

fn parse(text: &str) -> Result<BTreeMap<Meter, u64>, Failure> {
    let value = |meter: Meter| {
        let line = text.lines().find_map(|line| line.strip_prefix(meter.key())?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    let missing = |meter: Meter| Failure::new(format!("{PATH} has no {} in kB", meter.key()));
    Meter::ALL.into_iter().map(|meter| Ok((meter, value(meter).ok_or_else(|| missing(meter))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_whole_name() {
        let text = "MemTotal:        1000 kB\nMemAvailable:    800 kB\nSlabX: 1 kB\nSlab:              30 kB\n";
        let found = parse(text).unwrap();
        assert_eq!(describe(&found), "MemTotal 1000 KiB, MemAvailable 800 KiB, Slab 30 KiB");
        let text = parse(&text.replace("Slab:", "Slap:")).unwrap_err().to_string();
        assert_eq!(text, "/proc/meminfo has no Slab in kB");
    }
}
