// SPDX-License-Identifier: GPL-2.0-only

//! Records memory, and compares it.

use plan::Event;
use serde_json::json;

use super::Host;
use super::config::{Address, locate};
use crate::clock::nanoseconds;
use crate::error::HarnessError;
use crate::physical::Memory;
use crate::unchanged::{self, Changed, Recorded};
use crate::vm::watch::Watch;
use crate::witness;

impl Host<'_> {
    /// `record`. The VM need not stand still, as from now on nobody may change it. The guest goes on meanwhile, so it may have asked for the
    /// jump too early.
    pub(super) fn record(
        &mut self,
        watch: &mut Watch,
        hop: usize,
        tables: &[String],
        rings: &[String],
    ) -> Result<(), HarnessError> {
        let failed = |host: &Self, why| host.failed("record", hop, why);
        let memory = Memory::open(self.memory_file).map_err(|why| failed(self, why))?;
        if self.recorded_at != hop {
            (self.recorded, self.recorded_at) = (Recorded::default(), hop);
        }
        let mut recorded = std::mem::take(&mut self.recorded);
        let mut lost = None;
        if !tables.is_empty() {
            let register = self.root_register(watch, hop)?;
            let buses = self.command(watch, hop, "record", "query-pci", &json!({}))?;
            for device in tables {
                let id = &self.place(hop, "record", device)?.id;
                let address = locate(&buses, id).ok_or_else(|| failed(self, format!("QEMU has no {device}")))?;
                let added = recorded.add_tables(&memory, register, device, Address::requester(address));
                lost = lost.or(added.err());
            }
        }
        for device in rings {
            let pages = self.ring(watch, device).and_then(|header| witness::ring_pages(&memory, header));
            pages.and_then(|pages| recorded.add_ring(&memory, device, pages)).map_err(|why| failed(self, why))?;
        }
        watch.note(&format!("recorded {} bytes", recorded.bytes()))?;
        self.recorded = recorded;
        self.notice(watch, lost);
        if tables.is_empty() {
            return Ok(());
        }
        // What the guest said before all was read has arrived.
        watch.drain()?;
        let jumps = |event: &Event| matches!(event, Event::Kexec { .. }) && event.hop() as usize == hop;
        if watch.events().any(jumps) {
            let (why, logs) = ("the guest was to jump before all was recorded", self.log_dir.to_owned());
            return Err(HarnessError::TooLate { action: "record", hop, why, logs });
        }
        Ok(())
    }

    /// `check-cleared`: whatever leads to the page tables of the device ends at an entry that is zero.
    pub(super) fn check_cleared(&mut self, watch: &mut Watch, hop: usize, device: &str) -> Result<(), HarnessError> {
        let failed = |host: &Self, why| host.failed("check-cleared", hop, why);
        let memory = Memory::open(self.memory_file).map_err(|why| failed(self, why))?;
        let register = self.root_register(watch, hop)?;
        let buses = self.command(watch, hop, "check-cleared", "query-pci", &json!({}))?;
        let id = &self.place(hop, "check-cleared", device)?.id;
        let address = locate(&buses, id).ok_or_else(|| failed(self, format!("QEMU has no {device}")))?;
        let left = unchanged::left(&memory, register, device, Address::requester(address));
        watch.note(&format!("{device}: {}", left.as_deref().unwrap_or("its entry is cleared")))?;
        self.notice(watch, left);
        Ok(())
    }

    /// Remembers what is wrong, if anything is, and nothing was before.
    fn notice(&mut self, watch: &Watch, what: Option<String>) {
        let changed = what.map(|what| Changed { at: nanoseconds(watch.elapsed()), what });
        let record = self.unchanged.get_or_insert_default();
        record.bytes = record.bytes.max(self.recorded.bytes());
        record.changed = record.changed.take().or(changed);
    }

    /// `compare`. The VM goes on: what is compared must not change anyway.
    pub(super) fn compare(&mut self, watch: &mut Watch, hop: usize) -> Result<(), HarnessError> {
        let change = self.change(watch, hop);
        self.in_time(watch, hop, "compare", |host, watch| {
            let change = change?;
            watch.note(&format!("compared: {}", change.as_deref().unwrap_or("all is as it was")))?;
            host.notice(watch, change);
            if let Some(record) = &mut host.unchanged {
                record.comparisons += 1;
            }
            Ok(())
        })
    }

    fn change(&self, watch: &mut Watch, hop: usize) -> Result<Option<String>, HarnessError> {
        let memory = Memory::open(self.memory_file).map_err(|why| self.failed("compare", hop, why))?;
        let register = self.recorded.has_tables().then(|| self.root_register(watch, hop)).transpose()?;
        Ok(self.recorded.change(&memory, register))
    }

    /// Where the guest said that the ring of a device is.
    fn ring(&self, watch: &Watch, device: &str) -> Result<u64, String> {
        let header = |event: &Event| match event {
            Event::Ring { fd, header, .. } if self.rings.get(fd).is_some_and(|name| name == device) => Some(*header),
            _ => None,
        };
        watch
            .events()
            .filter_map(header)
            .last()
            .ok_or_else(|| format!("the guest did not tell where the ring of {device} is"))
    }
}
