// SPDX-License-Identifier: GPL-2.0

//! What one kernel tells the next about a vfio-pci device.
//!
//! Pure data: nothing here needs more than `core`, so that the parser of what another kernel wrote
//! can be tested anywhere. The layout is that of `struct vfio_pci_core_device_ser`.
//!
//! C header: `include/linux/kho/abi/vfio_pci.h`

use core::fmt;

/// Size of the record in bytes.
pub(crate) const SIZE: usize = 6;

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

    /// Writes the record for the next kernel.
    pub(crate) fn encode(self) -> Record {
        let mut record = [0; SIZE];
        let (domain, bdf) = record.split_at_mut(4);

        domain.copy_from_slice(&self.domain.to_ne_bytes());
        bdf.copy_from_slice(&self.bdf.to_ne_bytes());
        record
    }

    /// Reads the record of the previous kernel.
    ///
    /// Returns `None` if it is not one that a kernel could have written: the PCI core counts
    /// domains in an `int`, so that half of the numbers are none.
    pub(crate) fn decode(record: &Record) -> Option<Self> {
        let [a, b, c, d, e, f] = *record;
        let domain = u32::from_ne_bytes([a, b, c, d]);
        let bdf = u16::from_ne_bytes([e, f]);

        i32::try_from(domain).ok().map(|_| Self::new(domain, bdf))
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
