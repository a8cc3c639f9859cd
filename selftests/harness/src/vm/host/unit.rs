// SPDX-License-Identifier: GPL-2.0-only

//! The IOMMU's registers, read behind the back of every kernel, while the guest goes on: reading them changes nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;

use super::config::{Address, locate};
use super::{Host, PATIENCE};
use crate::clock::nanoseconds;
use crate::error::HarnessError;
use crate::translation::Look;
use crate::vm::watch::{Over, Watch};

/// Where QEMU has the registers of the unit of a q35.
const REGISTERS: u64 = 0xfed9_0000;
/// Global status.
const STATUS: u64 = 0x1c;
/// Root table address.
const ROOT: u64 = 0x20;
/// Control of the interrupt for faults.
const FAULT_CONTROL: u64 = 0x38;
/// It is masked.
const MASKED: u64 = 1 << 31;

impl Host<'_> {
    /// Looks whether the IOMMU translates, and where the devices are that are of interest.
    pub(super) fn look(&mut self, watch: &mut Watch, hop: usize) -> Result<(), HarnessError> {
        let look = self.see(watch, hop);
        self.in_time(watch, hop, "check-translation", |host, _| {
            host.looks.push(look?);
            Ok(())
        })
    }

    /// Uses what was seen just now, if that was in time.
    pub(super) fn in_time(
        &mut self,
        watch: &mut Watch,
        hop: usize,
        action: &'static str,
        work: impl FnOnce(&mut Self, &mut Watch) -> Result<(), HarnessError>,
    ) -> Result<(), HarnessError> {
        // What was said before QEMU answered has arrived.
        watch.drain()?;
        match watch.over() {
            Some(Over { good: true, .. }) => {
                let (why, logs) = ("the last stage was over", self.log_dir.to_owned());
                Err(HarnessError::TooLate { action, hop, why, logs })
            }
            // It ended otherwise than it was to; that is what will be told.
            Some(Over { good: false, .. }) => Ok(()),
            None => work(self, watch),
        }
    }

    /// The register that says where the root table is, and in which mode the unit is.
    pub(super) fn root_register(&self, watch: &mut Watch, hop: usize) -> Result<u64, HarnessError> {
        self.register(watch, hop, ROOT, 'g')
    }

    /// Waits until the old kernel has left the tables of the IOMMU alone. The last that it does there is to mask the interrupt for faults,
    /// which is of use to nobody from then on.
    pub(super) fn wait_until_left(&self, watch: &mut Watch, hop: usize) -> Result<(), HarnessError> {
        let began = Instant::now();
        while self.register(watch, hop, FAULT_CONTROL, 'w')? & MASKED == 0 {
            watch.drain()?;
            if watch.hop() != hop || began.elapsed() > PATIENCE {
                return Err(self.late(hop, "the old kernel was not seen to be done with the IOMMU"));
            }
        }
        Ok(())
    }

    fn see(&self, watch: &mut Watch, hop: usize) -> Result<Look, HarnessError> {
        let status = self.register(watch, hop, STATUS, 'w')?;
        let at = nanoseconds(watch.elapsed());
        let buses = self.command(watch, hop, "check-translation", "query-pci", &json!({}))?;
        let address = |name: &&str| {
            let found = locate(&buses, &self.topology.named(name)?.id)?;
            Some(((*name).to_owned(), Address::requester(found)))
        };
        let addresses: BTreeMap<_, _> = self.watched.iter().filter_map(address).collect();
        let names: Vec<_> = addresses.iter().map(|(name, address)| format!("{name} at {address:#06x}")).collect();
        watch.note(&format!("status register of the IOMMU: {status:#010x}; {}", names.join(", ")))?;
        // The register has 32 bits.
        Ok(Look { at, status: status as u32, addresses })
    }

    /// A register of 4 (`w`) or 8 (`g`) bytes.
    fn register(&self, watch: &mut Watch, hop: usize, offset: u64, size: char) -> Result<u64, HarnessError> {
        let what = "read a register of the IOMMU";
        let arguments = json!({"command-line": format!("xp /1x{size} {:#x}", REGISTERS + offset)});
        let answer = self.command(watch, hop, what, "human-monitor-command", &arguments)?;
        let said = answer.as_str().unwrap_or_default();
        value(said).ok_or_else(|| self.failed(what, hop, format!("QEMU's monitor says {said:?}")))
    }
}

/// `00000000fed9001c: 0xc7000000`.
fn value(said: &str) -> Option<u64> {
    let (_, value) = said.lines().find_map(|line| line.trim().split_once(": 0x"))?;
    u64::from_str_radix(value, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitor_is_understood() {
        assert_eq!(value("00000000fed9001c: 0xc7000000\r\n"), Some(0xc700_0000));
        assert_eq!(value("00000000fed90020: 0x0000000002ac3400\r\n"), Some(0x2ac_3400));
        assert_eq!(value("Cannot access memory\r\n"), None);
        assert_eq!(value(""), None);
    }
}
