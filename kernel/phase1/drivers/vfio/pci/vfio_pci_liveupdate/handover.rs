// SPDX-License-Identifier: GPL-2.0

//! What one kernel tells the next about a vfio-pci device.
//!
//! Pure data: nothing here needs more than `core`, so that the parser of what another kernel wrote
//! can be tested anywhere. The layout is that of `struct vfio_pci_core_device_ser`.
//!
//! C header: `include/linux/kho/abi/vfio_pci.h`

use core::fmt;

/// Size of the record in bytes.
pub(crate) const SIZE: usize = 4096;

/// Where the saved state of the device begins, in a form of its own.
pub(crate) const STATE: usize = 8;

/// The flag of a device that can be reset.
pub(crate) const RESET_WORKS: u16 = 1 << 0;

/// The bytes of a `struct vfio_pci_core_device_ser`.
///
/// The fields are in native byte order: both kernels run on the same machine.
pub(crate) type Record = [u8; SIZE];

/// Where a PCI device is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Address {
    domain: u32,
    bdf: u16,
}

impl Address {
    /// Creates an address from what the PCI core calls domain number and device id.
    pub(crate) fn new(domain: u32, bdf: u16) -> Self {
        Self { domain, bdf }
    }

    /// The PCI domain number, as the PCI core counts it.
    pub(crate) fn domain(self) -> i32 {
        self.domain as i32
    }

    /// The bus number.
    pub(crate) fn bus(self) -> u8 {
        self.bdf.to_be_bytes()[0]
    }

    /// The device and function number, as in `PCI_DEVFN()`.
    pub(crate) fn devfn(self) -> u8 {
        self.bdf.to_be_bytes()[1]
    }

    /// Writes the address into the record for the next kernel.
    pub(crate) fn encode(self, record: &mut Record) {
        if let Some((domain, rest)) = record.split_first_chunk_mut() {
            *domain = self.domain.to_ne_bytes();
            if let Some((bdf, _)) = rest.split_first_chunk_mut() {
                *bdf = self.bdf.to_ne_bytes();
            }
        }
    }

    /// Reads the address in the record of the previous kernel.
    ///
    /// Returns `None` if it is not one that a kernel could have written: the PCI core counts
    /// domains in an `int`, so that half of the numbers are none.
    pub(crate) fn decode(record: &Record) -> Option<Self> {
        let [a, b, c, d, e, f, ..] = *record;
        let domain = u32::from_ne_bytes([a, b, c, d]);
        let bdf = u16::from_ne_bytes([e, f]);

        i32::try_from(domain).ok().map(|_| Self::new(domain, bdf))
    }
}

/// What is known of a device beside its address and its saved state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Traits {
    /// Whether the device can be reset.
    pub(crate) reset_works: bool,
}

impl Traits {
    /// Writes the flags into the record for the next kernel.
    pub(crate) fn encode(self, record: &mut Record) {
        let flags = if self.reset_works { RESET_WORKS } else { 0 };

        if let Some(bytes) = record.get_mut(6..STATE) {
            bytes.copy_from_slice(&flags.to_ne_bytes());
        }
    }

    /// Reads the flags in the record of the previous kernel.
    ///
    /// Returns `None` if there is one among them that nobody has defined.
    pub(crate) fn decode(record: &Record) -> Option<Self> {
        let [_, _, _, _, _, _, low, high, ..] = *record;
        let flags = u16::from_ne_bytes([low, high]);

        (flags & !RESET_WORKS == 0).then_some(Self {
            reset_works: flags & RESET_WORKS != 0,
        })
    }
}

/// Where the saved state is in the record of the previous kernel.
pub(crate) fn state(record: &Record) -> &[u8] {
    record.get(STATE..).unwrap_or_default()
}

/// Where the saved state goes in the record for the next kernel.
pub(crate) fn state_mut(record: &mut Record) -> &mut [u8] {
    record.get_mut(STATE..).unwrap_or_default()
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
