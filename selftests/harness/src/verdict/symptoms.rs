// SPDX-License-Identifier: GPL-2.0-only

//! What kernels say when something is wrong.

use crate::observe::{Hop, Line};

/// Said by every panic.
const PANIC: &str = "Kernel panic - not syncing";

/// Starts of complaints that end in a panic (with `oops=panic`, all of them do).
const OOPSES: [&str; 5] = ["BUG: ", "Oops: ", "kernel BUG at", "general protection fault", "KASAN: "];

/// Complaints after which a kernel goes on. What warns by `WARN` is among the first; kmemleak speaks of unreferenced objects and of
/// not working any more, lockdep of the next ones.
const COMPLAINTS: [&str; 14] = [
    "WARNING: ",
    "UBSAN: ",
    "unreferenced object",
    "new suspected memory leaks",
    "Kernel memory leak detector disabled",
    "possible circular locking dependency",
    "possible recursive locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    "trying to register non-static key",
    "sleeping function called from invalid context",
    "blocked for more than",
    "detected stall",
    "refcount_t: ",
];

/// How a complaint of the slab allocator starts, with the name of a cache behind it.
const SLAB: &str = "BUG ";

/// Words that only live update uses. A panic while taking over has one of them in its message or its call trace.
const LIVE_UPDATE: [&str; 9] =
    ["luo_", "kho_", "KHO: ", "liveupdate", "live_update", "live update", "Live update", "preserved_", "deserialize"];

/// A kernel's death.
#[derive(Debug)]
pub(crate) struct Death<'a> {
    /// What it said first: the oops, else the panic.
    pub(crate) first: &'a Line,
    /// From there to the end.
    lines: &'a [Line],
}

impl<'a> Death<'a> {
    /// Looks for a panic, and for the oops that led to it.
    pub(crate) fn find(hop: &'a Hop) -> Option<Self> {
        hop.find(PANIC)?;
        let starts = |line: &Line| line.text.contains(PANIC) || OOPSES.iter().any(|oops| line.text.contains(oops));
        let start = hop.lines.iter().position(starts)?;
        let lines = &hop.lines[start..];
        Some(Self { first: &lines[0], lines })
    }

    /// Whether it happened while something was taken over.
    pub(crate) fn concerns_live_update(&self) -> bool {
        // The command line and the list of modules name such words whatever happened.
        let tells = |line: &&Line| !line.text.starts_with("Modules linked in") && !line.text.contains("liveupdate=");
        self.lines.iter().filter(tells).any(|line| LIVE_UPDATE.iter().any(|word| line.text.contains(word)))
    }
}

/// How many lines of a report say what it is about: lockdep names the locks in the fourth and fifth one after the first.
const REPORT: usize = 6;

/// The first line that complains and is not allowed to. A complaint is allowed for what it says, or the lines right after it.
pub(crate) fn complaint<'a>(hop: &'a Hop, allow: &[String]) -> Option<&'a Line> {
    let allowed = |line: &Line| allow.iter().any(|allowed| line.text.contains(allowed.as_str()));
    hop.lines.iter().enumerate().find_map(|(at, line)| {
        let complains = COMPLAINTS.iter().chain(&OOPSES).chain([&PANIC]).any(|complaint| line.text.contains(complaint));
        let mut report = hop.lines[at..].iter().take(REPORT);
        ((complains || line.text.starts_with(SLAB)) && !report.any(allowed)).then_some(line)
    })
}

/// Whether the kernel says that it was handed nothing, or threw it away.
///
/// The messages are those of kernel/liveupdate/kexec_handover.c and luo_core.c. A kernel that was told to be quiet says
/// nothing, which proves nothing.
pub(crate) fn took_nothing_over(hop: &Hop) -> Option<&'static str> {
    if hop.find("disabling KHO revival").is_some() {
        return Some("it refused what KHO handed over");
    }
    if hop.find("Disabling liveupdate").is_some() {
        return Some("it disabled live update");
    }
    if !hop.banner {
        return None;
    }
    if hop.find("KHO: found kexec handover data").is_none() {
        return Some("it did not find KHO's data");
    }
    if hop.find("Retrieved live update data").is_none() {
        return Some("it found KHO's data, but retrieved no live update data from it");
    }
    None
}
