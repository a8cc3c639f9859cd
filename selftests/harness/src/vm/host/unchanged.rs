// SPDX-License-Identifier: GPL-2.0-only

//! Records memory, and compares it.

use plan::Event;
use serde_json::json;

use super::Host;
use super::config::{Address, locate};
use crate::clock::nanoseconds;
use crate::error::HarnessError;
use crate::physical::Memory;
use crate::unchanged::{Changed, Record, Recorded};
use crate::vm::watch::Watch;
use crate::witness;

impl Host<'_> {
    /// `record`. The VM need not stand still: from the old kernel's line on nobody may change it.
    pub(super) fn record(
        &mut self,
        watch: &mut Watch,
        hop: usize,
        tables: &[String],
        rings: &[String],
    ) -> Result<(), HarnessError> {
        let failed = |host: &Self, why| host.failed("record", hop, why);
        let memory = Memory::open(self.memory_file).map_err(|why| failed(self, why))?;
        let mut recorded = Recorded::default();
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
        let at = nanoseconds(watch.elapsed());
        let changed = lost.map(|what| Changed { at, what });
        watch.note(&format!("recorded {} bytes", recorded.bytes()))?;
        self.unchanged = Some(Record { bytes: recorded.bytes(), comparisons: 0, changed });
        self.recorded = recorded;
        Ok(())
    }

    /// `compare`. The VM goes on: what is compared must not change anyway.
    pub(super) fn compare(&mut self, watch: &mut Watch, hop: usize) -> Result<(), HarnessError> {
        let change = self.change(watch, hop);
        self.in_time(watch, hop, "compare", |host, watch| {
            let change = change?;
            watch.note(&format!("compared: {}", change.as_deref().unwrap_or("all is as it was")))?;
            if let Some(record) = &mut host.unchanged {
                let at = nanoseconds(watch.elapsed());
                record.comparisons += 1;
                record.changed = record.changed.take().or(change.map(|what| Changed { at, what }));
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
