// SPDX-License-Identifier: GPL-2.0

//! What one kernel tells the next about its PCI devices.
//!
//! Pure data: nothing here needs more than `core`, so that the parser of what another kernel wrote
//! can be tested anywhere. Nothing that it reads is trusted: it neither panics nor reads out of
//! bounds nor runs forever, whatever the bytes are.
//!
//! C header: `include/linux/kho/abi/pci.h`

use core::fmt;

/// The version of the hand-over that is written and understood.
pub(crate) const VERSION: u32 = 2;

/// Marks the version of a hand-over that comes with an IOMMU which translates for the devices.
pub(crate) const LIVE_TRANSLATION: u32 = 1 << 31;

/// Size of a `struct pci_ser` in bytes.
pub(crate) const HEADER_SIZE: usize = 16;

/// Size of a `struct pci_dev_ser` in bytes.
pub(crate) const ENTRY_SIZE: usize = 8;

/// Size of a KHO serialization block in bytes.
pub(crate) const BLOCK_SIZE: usize = 4096;

/// Size of a `struct kho_block_header_ser` in bytes.
const BLOCK_HEADER_SIZE: usize = 16;

/// Number of entries that a block has room for.
const ENTRIES_PER_BLOCK: u64 = ((BLOCK_SIZE - BLOCK_HEADER_SIZE) / ENTRY_SIZE) as u64;

/// Number of blocks that a hand-over may have, the limit of `kho_block_set_grow()`.
const MAX_BLOCKS: usize = 10_000;

/// The bytes of a `struct pci_ser`.
pub(crate) type HeaderBytes = [u8; HEADER_SIZE];

/// The bytes of a `struct pci_dev_ser`.
pub(crate) type EntryBytes = [u8; ENTRY_SIZE];

/// The bytes of a KHO serialization block.
pub(crate) type BlockBytes = [u8; BLOCK_SIZE];

/// Where a PCI device is found.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Address {
    domain: u32,
    bdf: u16,
}

impl Address {
    /// Creates an address from what the PCI core calls domain number and device id.
    pub(crate) const fn new(domain: u32, bdf: u16) -> Self {
        Self { domain, bdf }
    }

    /// The PCI domain number, which the PCI core counts in an `int`.
    pub(crate) const fn domain(self) -> u32 {
        self.domain
    }

    /// The bus number.
    pub(crate) const fn bus(self) -> u8 {
        self.bdf.to_be_bytes()[0]
    }

    /// The device and function number, as in `PCI_DEVFN()`.
    pub(crate) const fn devfn(self) -> u8 {
        self.bdf.to_be_bytes()[1]
    }
}

/// Writes the address the way it is written everywhere, for example `0000:01:00.0`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{:x}",
            self.domain,
            self.bus(),
            self.devfn() >> 3,
            self.devfn() & 7
        )
    }
}

/// What makes a hand-over unusable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It has a version that is not known here.
    Version(u32),
    /// It comes with an IOMMU that translates for the devices.
    LiveTranslation,
    /// The block with this number, counted from zero, is not memory that was preserved, or was
    /// listed before.
    Block(usize),
    /// The block with this number claims to have so many entries.
    BlockCount(usize, u64),
    /// There are more blocks than any kernel writes.
    TooManyBlocks,
    /// A device is at an address that does not exist.
    Domain(Address),
    /// A device is listed twice.
    Duplicate(Address),
    /// The number of devices is not the one that is claimed.
    Devices {
        /// What is claimed.
        claimed: u32,
        /// What was found.
        found: usize,
    },
    /// There is no memory to keep it in.
    NoMemory,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(
                f,
                "version {version} is unknown, this kernel understands {VERSION}"
            ),
            Self::LiveTranslation => write!(
                f,
                "it comes with live translation, which this kernel cannot take over"
            ),
            Self::Block(number) => write!(f, "block {number} was not preserved or is listed twice"),
            Self::BlockCount(number, count) => {
                write!(
                    f,
                    "block {number} has an invalid number of entries: {count}"
                )
            }
            Self::TooManyBlocks => write!(f, "there are more than {MAX_BLOCKS} blocks"),
            Self::Domain(address) => write!(f, "device {address} is in an invalid domain"),
            Self::Duplicate(address) => write!(f, "device {address} is listed twice"),
            Self::Devices { claimed, found } => {
                write!(f, "{claimed} devices are claimed, but {found} are listed")
            }
            Self::NoMemory => write!(f, "out of memory"),
        }
    }
}

/// Makes an array of a slice of the same length.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

/// A `struct pci_ser`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    /// Number of entries in use.
    pub(crate) nr_devices: u32,
    /// Physical address of the first block, or zero.
    pub(crate) devices: u64,
}

impl Header {
    /// That of a hand-over without devices.
    pub(crate) const EMPTY: Self = Self {
        nr_devices: 0,
        devices: 0,
    };

    /// Writes the header for the next kernel.
    pub(crate) fn encode(self) -> HeaderBytes {
        let mut bytes = [0; HEADER_SIZE];
        let (version, rest) = bytes.split_at_mut(4);
        let (nr_devices, devices) = rest.split_at_mut(4);

        version.copy_from_slice(&VERSION.to_ne_bytes());
        nr_devices.copy_from_slice(&self.nr_devices.to_ne_bytes());
        devices.copy_from_slice(&self.devices.to_ne_bytes());
        bytes
    }

    /// Reads the header of the previous kernel.
    pub(crate) fn decode(bytes: &HeaderBytes) -> Result<Self, Fault> {
        let (version, rest) = bytes.split_at(4);
        let (nr_devices, devices) = rest.split_at(4);
        let version = u32::from_ne_bytes(array(version));

        if version & LIVE_TRANSLATION != 0 {
            return Err(Fault::LiveTranslation);
        }
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        Ok(Self {
            nr_devices: u32::from_ne_bytes(array(nr_devices)),
            devices: u64::from_ne_bytes(array(devices)),
        })
    }
}

/// A `struct pci_dev_ser` that is in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    /// Where the device is.
    pub(crate) address: Address,
    /// How many preserved devices are at or below it, at least one.
    pub(crate) refcount: u16,
}

impl Entry {
    /// Writes the entry for the next kernel.
    pub(crate) fn encode(self) -> EntryBytes {
        let mut bytes = [0; ENTRY_SIZE];
        let (domain, rest) = bytes.split_at_mut(4);
        let (bdf, refcount) = rest.split_at_mut(2);

        domain.copy_from_slice(&self.address.domain.to_ne_bytes());
        bdf.copy_from_slice(&self.address.bdf.to_ne_bytes());
        refcount.copy_from_slice(&self.refcount.to_ne_bytes());
        bytes
    }

    /// Reads an entry; `None` if it is free.
    pub(crate) fn decode(bytes: &EntryBytes) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = *bytes;
        let domain = u32::from_ne_bytes([a, b, c, d]);
        let address = Address::new(domain, u16::from_ne_bytes([e, f]));
        let refcount = u16::from_ne_bytes([g, h]);

        (refcount != 0).then_some(Self { address, refcount })
    }
}

/// Where blocks come from.
pub(crate) trait Source {
    /// A block that was taken over from the previous kernel.
    type Block: AsRef<BlockBytes>;

    /// Takes over the block at a physical address.
    ///
    /// Returns `None` if there is none, and in particular if it was taken over before: this is
    /// what keeps a list of blocks from being a ring.
    fn claim(&mut self, phys: u64) -> Option<Self::Block>;
}

/// Reads all blocks and hands each entry that is in use to `keep`.
///
/// Every block of the list is claimed, so that nothing is leaked, unless there is a fault.
pub(crate) fn read<S: Source>(
    header: Header,
    source: &mut S,
    mut keep: impl FnMut(Entry) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut next = header.devices;
    let mut found = 0;
    let mut number = 0;

    while next != 0 {
        if number == MAX_BLOCKS {
            return Err(Fault::TooManyBlocks);
        }
        let block = source.claim(next).ok_or(Fault::Block(number))?;
        let (head, entries) = block.as_ref().split_at(BLOCK_HEADER_SIZE);
        let (link, count) = head.split_at(8);
        let count = u64::from_ne_bytes(array(count));

        if count == 0 || count > ENTRIES_PER_BLOCK {
            return Err(Fault::BlockCount(number, count));
        }
        // Not more than a block has room for, so that it fits.
        for entry in entries.chunks_exact(ENTRY_SIZE).take(count as usize) {
            let Some(entry) = Entry::decode(&array(entry)) else {
                continue;
            };
            // The PCI core counts domains in an `int`.
            if i32::try_from(entry.address.domain).is_err() {
                return Err(Fault::Domain(entry.address));
            }
            keep(entry)?;
            found += 1;
        }
        next = u64::from_ne_bytes(array(link));
        number += 1;
    }

    if usize::try_from(header.nr_devices) != Ok(found) {
        return Err(Fault::Devices {
            claimed: header.nr_devices,
            found,
        });
    }
    Ok(())
}
