// SPDX-License-Identifier: GPL-2.0-only

//! What the host does to a running VM.
//!
//! Hardware changes from outside: devices are plugged and unplugged, they are stopped or reset behind every kernel's back, and memory that
//! one kernel hands to the next may arrive damaged. The guest can do none of it, so a plan names the action and the harness executes it:
//!
//! - at a `host` step, when its event arrives ([`Event::Host`](crate::Event::Host)); the guest does not wait, a later
//!   `wait-for` or `wait-gone` does;
//! - `between` two kernels ([`Stage::between`](crate::Stage::between)), while the VM is stopped, unless the host merely looks.
//!
//! ```yaml
//! - host: { do: { plug: { device: late } } }
//! between:
//!   - unplug: { device: dut }
//!   - bus-master: { device: dut, on: false }
//!   - reset: { device: dut }
//!   - record: { rings: [dut1] }
//!   - check-cleared: { device: dut1 }
//!   - tamper:
//!       edits:
//!         - { at: header, offset: 0, width: 4, set: 3 }
//!         - { at: { entry: 0 }, offset: 6, width: 2, xor: 0x1 }
//!         - { at: { block: 0 }, offset: 0, width: 8, set: { address-of: { block: 0 } } }
//!         - { at: { page-table: { level: 1 } }, offset: 8, width: 8, set: { address-of: { page-table: { level: 0 } }, plus: 3 } }
//! ```

use serde::{Deserialize, Serialize};

/// One action of the host.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum HostAction {
    /// Plugs a device or bridge of the topology that is not there from the start.
    Plug {
        /// Its name in the topology.
        device: String,
    },
    /// Asks the guest to let go of a device and takes it out.
    Unplug {
        /// Its name in the topology.
        device: String,
    },
    /// Forbids a device to master the bus, in its command register, or allows it. For the kernels nothing has happened.
    ///
    /// Forbid it `between` two kernels, allow it at a `host` step, and have the guest wait there until frames land again, and write no
    /// descriptors to the device before: QEMU's igb throws its ring away when it is told of descriptors that it may not read, or when the
    /// VM stops while a frame waits.
    BusMaster {
        /// Its name in the topology.
        device: String,
        /// Whether it is allowed.
        on: bool,
    },
    /// Resets a device once, by FLR: its registers are as after power on.
    Reset {
        /// Its name in the topology.
        device: String,
    },
    /// Looks whether the IOMMU translates. For scenarios with `translation`, which puts it where it is needed; the guest goes on meanwhile.
    CheckTranslation,
    /// Records memory that must stay as it is from then on. What is recorded in a stage, or after it, is added up; it replaces what earlier
    /// stages recorded.
    Record {
        /// Devices of which nothing may change that the IOMMU reads for them. At a `host` step once they are preserved, before the jump.
        #[serde(default)]
        tables: Vec<String>,
        /// Devices that write nothing any more to the memory of their `igb-receive`. Nor may anybody else: it must say `refill: false`. Only
        /// `between` kernels.
        #[serde(default)]
        rings: Vec<String>,
    },
    /// Compares that memory with what was recorded; the guest goes on meanwhile. It is compared before the last stage ends in any case.
    Compare,
    /// Checks that the old kernel has cleared what leads to the page tables of a device. Only `between` kernels.
    CheckCleared {
        /// Its name in the topology.
        device: String,
    },
    /// Changes what is handed over of PCI devices and IOMMUs. Only `between` kernels, when it is there and nobody reads it.
    Tamper(Tamper),
}

/// Changes to the hand-over of PCI devices and IOMMUs in guest memory, and to the tables that an IOMMU reads.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tamper {
    /// Made in order; all places are found before the first.
    pub edits: Vec<Edit>,
}

/// One change of 1, 2, 4 or 8 bytes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawEdit", into = "RawEdit")]
pub struct Edit {
    /// The structure.
    pub at: Place,
    /// Offset in it, in bytes.
    pub offset: u64,
    /// 1, 2, 4 or 8 bytes, little-endian.
    pub width: u32,
    /// What happens to them.
    pub change: Change,
}

/// What happens to a field; written as `set: VALUE` or `xor: NUMBER`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// It becomes this.
    Set(Value),
    /// These bits are turned over.
    Xor(u64),
}

/// A structure of the hand-over of PCI devices or IOMMUs, see `include/linux/kho/abi/`, or a table that an IOMMU reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Place {
    /// LUO's entry for the FLB `pci` (`struct luo_flb_ser`).
    Flb,
    /// What that entry points to (`struct pci_ser`).
    Header,
    /// The Nth block of devices, from 0 (`struct kho_block_header_ser`).
    Block(u64),
    /// The Nth entry in use of block 0, from 0 (`struct pci_dev_ser`).
    Entry(u64),
    /// What the Nth file of vfio-pci points to, from 0, session after session (`struct vfio_pci_core_device_ser`).
    VfioFile(u64),
    /// LUO's entry for the FLB `iommu-running` (`struct luo_flb_ser`).
    IommuFlb,
    /// What that entry points to (`struct iommu_ser`).
    IommuHeader,
    /// The Nth place for a unit behind it, from 0, in use or not (`struct iommu_unit_ser`).
    IommuUnit(u64),
    /// The Nth domain, from 0 (`struct iommu_domain_ser`).
    IommuDomain(u64),
    /// What the Nth domain says of its page tables (`struct pt_iommu_ser`).
    IommuTable(u64),
    /// A place for a device behind a domain, in use or not (`struct iommu_dev_ser`).
    IommuDevice(Attached),
    /// The word of the root table that leads to a device.
    RootEntry(Attached),
    /// The first two words of the context entry of a device; in legacy mode it has no more.
    ContextEntry(Attached),
    /// The word of a device's directory that leads to its PASID; only in scalable mode.
    PasidDirectoryEntry(Attached),
    /// The entry of that PASID.
    PasidEntry(Attached),
    /// A page table.
    PageTable(Level),
    /// Its first entry that is in use.
    PageTableEntry(Level),
}

/// A device of a domain, both counted from 0; the first one, if not given.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attached {
    /// The domain.
    pub domain: u64,
    /// The device.
    pub device: u64,
}

/// The first page table of a level.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Of which domain, from 0.
    #[serde(default)]
    pub domain: u64,
    /// The lowest has level 0.
    pub level: u64,
}

/// What a field is set to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// This number.
    Number(u64),
    /// The physical address of a structure.
    AddressOf(AddressOf),
}

/// `{ address-of: PLACE, plus: NUMBER }`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AddressOf {
    /// The structure.
    pub address_of: Place,
    /// What is added to it: the low bits of an entry say what it is.
    #[serde(default)]
    pub plus: u64,
}

/// [`Edit`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEdit {
    at: Place,
    offset: u64,
    width: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xor: Option<u64>,
}

impl TryFrom<RawEdit> for Edit {
    type Error = String;

    fn try_from(raw: RawEdit) -> Result<Self, String> {
        let RawEdit { at, offset, width, set, xor } = raw;
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err(format!("width {width}: must be 1, 2, 4 or 8"));
        }
        let change = match (set, xor) {
            (Some(value), None) => Change::Set(value),
            (None, Some(bits)) => Change::Xor(bits),
            _ => return Err("an edit has either `set` or `xor`".to_owned()),
        };
        Ok(Self { at, offset, width, change })
    }
}

impl From<Edit> for RawEdit {
    fn from(Edit { at, offset, width, change }: Edit) -> Self {
        let (set, xor) = match change {
            Change::Set(value) => (Some(value), None),
            Change::Xor(bits) => (None, Some(bits)),
        };
        Self { at, offset, width, set, xor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Actions {
        #[serde(with = "serde_yaml::with::singleton_map_recursive")]
        between: Vec<HostAction>,
    }

    fn edits(text: &str) -> Result<Vec<Edit>, String> {
        let text = format!("between: [{{ tamper: {{ edits: [{text}] }} }}]");
        let actions: Actions = serde_yaml::from_str(&text).map_err(|error| error.to_string())?;
        match &actions.between[..] {
            [HostAction::Tamper(tamper)] => Ok(tamper.edits.clone()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn edits_are_written_as_the_scenarios_write_them() {
        let edit = |at, offset, width, change| Edit { at, offset, width, change };
        let pointer = Value::AddressOf(AddressOf { address_of: Place::Block(1), plus: 0 });
        let all = edits(
            "{ at: header, offset: 0, width: 4, set: 3 }, { at: { entry: 2 }, offset: 6, width: 2, xor: 0x10 },
             { at: { block: 0 }, offset: 0, width: 8, set: { address-of: { block: 1 } } },
             { at: flb, offset: 48, width: 8, set: { address-of: header, plus: 3 } }",
        )
        .unwrap();
        let header = Value::AddressOf(AddressOf { address_of: Place::Header, plus: 3 });
        assert_eq!(
            all,
            [
                edit(Place::Header, 0, 4, Change::Set(Value::Number(3))),
                edit(Place::Entry(2), 6, 2, Change::Xor(0x10)),
                edit(Place::Block(0), 0, 8, Change::Set(pointer)),
                edit(Place::Flb, 48, 8, Change::Set(header)),
            ]
        );
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Edit>>(&json).unwrap(), all);
    }

    #[test]
    fn places_of_an_iommu_are_written_short() {
        let at = |text: &str| edits(&format!("{{ at: {text}, offset: 0, width: 4, set: 3 }}")).map(|all| all[0].at);
        assert_eq!(at("iommu-header"), Ok(Place::IommuHeader));
        assert_eq!(at("{ context-entry: {} }"), Ok(Place::ContextEntry(Attached::default())));
        assert_eq!(at("{ iommu-device: { domain: 1 } }"), Ok(Place::IommuDevice(Attached { domain: 1, device: 0 })));
        assert_eq!(at("{ page-table: { level: 2 } }"), Ok(Place::PageTable(Level { domain: 0, level: 2 })));
        assert!(at("{ page-table: {} }").unwrap_err().contains("level"));
    }

    #[test]
    fn an_edit_changes_one_field_in_one_way() {
        for (text, want) in [
            ("{ at: header, offset: 0, width: 4 }", "either `set` or `xor`"),
            ("{ at: header, offset: 0, width: 4, set: 1, xor: 1 }", "either `set` or `xor`"),
            ("{ at: header, offset: 0, width: 3, set: 1 }", "must be 1, 2, 4 or 8"),
            ("{ at: header, offset: 0, width: 4, sett: 1 }", "sett"),
        ] {
            let error = edits(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
