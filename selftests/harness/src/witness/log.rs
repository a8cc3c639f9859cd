// SPDX-License-Identifier: GPL-2.0-only

//! What was seen of a device, frame by frame, for people who look for what went wrong.

use std::fs::File;
use std::io::{BufWriter, Write};

use camino::Utf8Path;

use super::{Device, Frame, Landed, Record};

/// Writes one line for each frame that counts. `missed_ns` is when it was looked for in vain for the last time, `ticks_back` how many ticks had
/// come back by then; with a device that works, no more than `tick`.
pub(super) fn write(record: &Record, device: &Device, path: &Utf8Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "sequence,sent_ns,landed_ns,missed_ns,descriptor,tick,ticks_back")?;
    for (sequence, Frame { tick, sent, landed }) in (device.first..).zip(&device.frames) {
        match landed {
            Some(Landed { missed, seen, descriptor }) => {
                let (at, before, back) = (seen.at, missed.at, missed.echoes);
                writeln!(file, "{sequence},{sent},{at},{before},{descriptor},{tick},{back}")?;
            }
            None => writeln!(file, "{sequence},{sent},,,,{tick},{}", record.echoes.len())?,
        }
    }
    file.flush()
}
