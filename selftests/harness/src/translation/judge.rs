// SPDX-License-Identifier: GPL-2.0-only

//! Judges what was seen; pure functions.

use std::collections::BTreeMap;

use super::{Fault, Look, Record, Told};
use crate::clock::seconds;
use crate::report::Translated;

/// How many entries a table has that is only there to block interrupts: fewer there cannot be.
const FEWEST: u64 = 2;

/// What must not have been.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Violation {
    /// When it began.
    pub(crate) at: u64,
    /// What it was.
    pub(crate) what: String,
}

/// The first thing that must not have been, if there is one.
pub(crate) fn violation(record: &Record) -> Option<Violation> {
    let Some(first) = record.first_enabled() else {
        let what = "no kernel ever switched translation on".to_owned();
        return Some(Violation { at: record.over.unwrap_or(0), what });
    };
    let all = [
        record.off(first),
        record.other_root(first),
        record.refused(first),
        record.looks_off(first),
        record.unremapped(first),
        record.old_interrupts(first),
    ];
    all.into_iter().flatten().min_by_key(|violation| violation.at)
}

/// What should have been, and was not: a device that nobody refused anything, after a kernel had started at `from`, or a table that blocks interrupts
/// before that.
pub(crate) fn missing(record: &Record, from: u64) -> Option<String> {
    let tables = || record.told().filter(|&(at, told)| at < from && matches!(told, Told::Interrupts(_)));
    if tables().next().is_some() && tables().all(|(_, told)| told != Told::Interrupts(FEWEST)) {
        return Some("interrupts were remapped before the last kexec, and not blocked then".to_owned());
    }
    let shut_out = |name: &&String| !record.faults(from).any(|(_, source, _)| source == name.as_str());
    let name = record.devices.shut_out.iter().find(shut_out)?;
    Some(format!("no request of {name} was refused after the last kexec: it tried nothing, or was let through"))
}

/// What there is to say when nothing was wrong up to the end; nothing if there was none.
pub(crate) fn summary(record: &Record) -> Option<Translated> {
    let (first, over) = (record.first_enabled()?, record.over?);
    let mut refused = BTreeMap::new();
    for (_, source, _) in record.faults(first) {
        *refused.entry(source).or_default() += 1;
    }
    Some(Translated { milliseconds: over.saturating_sub(first) / 1_000_000, looks: record.looks.len(), refused })
}

impl Record {
    /// What was told up to the end. What is told later is of a machine that is being switched off.
    fn told(&self) -> impl Iterator<Item = (u64, Told)> {
        let over = self.over.unwrap_or(u64::MAX);
        self.told.iter().copied().filter(move |(at, _)| *at <= over)
    }

    fn first_enabled(&self) -> Option<u64> {
        self.told.iter().find(|(_, told)| *told == Told::Enabled(true)).map(|(at, _)| *at)
    }

    fn off(&self, first: u64) -> Option<Violation> {
        let switched = |on: bool, from: u64| {
            self.told().find(|(at, told)| *at >= from && *told == Told::Enabled(on)).map(|(at, _)| at)
        };
        let at = switched(false, first)?;
        let what = match switched(true, at) {
            Some(again) => format!("translation was switched off for {} ms", again.saturating_sub(at) / 1_000_000),
            None => "translation was switched off for good".to_owned(),
        };
        Some(Violation { at, what: format!("{what} at {}", seconds(at)) })
    }

    /// Whoever switched it on had told it before; a kernel that goes on with what it finds tells it nothing.
    fn other_root(&self, first: u64) -> Option<Violation> {
        self.told().find_map(|(at, told)| match told {
            Told::Root(root) if at >= first => Some(Violation {
                at,
                what: format!("the IOMMU was given a root table at {root:#x} at {}", seconds(at)),
            }),
            _ => None,
        })
    }

    /// Interrupts were not remapped.
    fn unremapped(&self, first: u64) -> Option<Violation> {
        let off = |(at, told): &(u64, Told)| *at >= first && *told == Told::Remaps(false);
        let (at, _) = self.told().find(off).filter(|_| !self.devices.remapping_ends)?;
        Some(Violation { at, what: format!("interrupts were no longer remapped at {}", seconds(at)) })
    }

    /// A kernel set a table of its own while interrupts were remapped by one that a kernel before had used.
    fn old_interrupts(&self, first: u64) -> Option<Violation> {
        let tables = self.told().filter_map(|(at, told)| match told {
            Told::Interrupts(entries) => Some((at, entries)),
            _ => None,
        });
        let tables: Vec<_> = tables.collect();
        let used = |pair: &[(u64, u64)]| match *pair {
            [(_, before), (at, now)] if at >= first && before > FEWEST && now > FEWEST => Some(at),
            _ => None,
        };
        let at = tables.windows(2).find_map(used)?;
        let until = seconds(at);
        Some(Violation { at, what: format!("interrupts were remapped by a table of the kernel before until {until}") })
    }

    /// The first request of a preserved device that was refused.
    fn refused(&self, first: u64) -> Option<Violation> {
        let preserved = |source: &str| self.devices.preserved.iter().any(|name| name == source);
        let mut faults = self.faults(first).filter(|(_, source, _)| preserved(source));
        let (at, source, fault) = faults.next()?;
        let Fault { reason, address, write, .. } = fault;
        let access = if write { "write to" } else { "read of" };
        let more = match faults.filter(|(_, other, _)| *other == source).count() {
            0 => String::new(),
            more => format!(", and {more} more requests"),
        };
        let at_time = seconds(at);
        Some(Violation {
            at,
            what: format!("{source} was refused a {access} {address:#x} at {at_time} (fault {reason}){more}"),
        })
    }

    fn looks_off(&self, first: u64) -> Option<Violation> {
        let look = self.looks.iter().find(|look| look.at >= first && !look.translates())?;
        let (at, status) = (look.at, look.status);
        Some(Violation {
            at,
            what: format!("at {} the IOMMU's status register is {status:#010x}: it does not translate", seconds(at)),
        })
    }

    /// Whose requests were refused from then on; without a name, the device's address.
    fn faults(&self, from: u64) -> impl Iterator<Item = (u64, String, Fault)> {
        self.told().filter_map(move |(at, told)| match told {
            Told::Fault(fault) if at >= from => Some((at, self.name(at, fault.source), fault)),
            _ => None,
        })
    }

    /// Who was at an address: by the last look before, as a kernel may number buses anew.
    fn name(&self, at: u64, source: u16) -> String {
        let look = self.looks.iter().rfind(|look| look.at <= at).or(self.looks.first());
        let found = look.and_then(|Look { addresses, .. }| addresses.iter().find(|(_, address)| **address == source));
        found.map_or_else(|| address(source), |(name, _)| name.clone())
    }
}

fn address(source: u16) -> String {
    let [bus, devfn] = source.to_be_bytes();
    format!("{bus:02x}:{:02x}.{:x}", devfn >> 3, devfn & 7)
}
