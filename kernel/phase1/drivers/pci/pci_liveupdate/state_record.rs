// SPDX-License-Identifier: GPL-2.0

//! The saved state of a device in the form in which one kernel hands it to the next.
//!
//! Pure data: nothing here needs more than `core`, so that the parser of what another kernel wrote
//! can be tested anywhere.
//!
//! C header: `include/linux/kho/abi/pci_saved_state.h`

/// The version of the interface.
pub(crate) const VERSION: u32 = 1;

/// Number of dwords of configuration space that are saved for any device.
pub(crate) const CONFIG_DWORDS: usize = 16;

/// Size of a `struct pci_saved_state_ser` in bytes.
pub(crate) const HEADER_SIZE: usize = 8 + 4 * CONFIG_DWORDS;

/// Size of a `struct pci_saved_cap_ser` in bytes.
pub(crate) const CAP_HEADER_SIZE: usize = 8;

/// The dwords of configuration space that every kernel assigns by itself: the BARs, the address of
/// the expansion ROM, and the interrupt line.
pub(crate) const ASSIGNED: [usize; 8] = [4, 5, 6, 7, 8, 9, 12, 15];

/// What a capability is, without its contents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CapShape {
    /// The ID.
    pub(crate) nr: u16,
    /// Whether it is an extended capability.
    pub(crate) extended: bool,
    /// Size of the contents in bytes.
    pub(crate) size: usize,
}

/// The saved contents of a capability.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cap<'a> {
    /// The ID.
    pub(crate) nr: u16,
    /// Whether it is an extended capability.
    pub(crate) extended: bool,
    /// What was saved, as the kernel keeps it. Not empty.
    pub(crate) contents: &'a [u8],
}

impl<'a> Cap<'a> {
    /// What it is.
    pub(crate) fn shape(self) -> CapShape {
        CapShape {
            nr: self.nr,
            extended: self.extended,
            size: self.contents.len(),
        }
    }

    /// Takes a capability off the front of `bytes`.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<CAP_HEADER_SIZE>()?;
        let [n0, n1, e0, e1, s0, s1, s2, s3] = *header;
        let extended = match u16::from_ne_bytes([e0, e1]) {
            0 => false,
            1 => true,
            _ => return None,
        };
        let size = usize::try_from(u32::from_ne_bytes([s0, s1, s2, s3])).ok()?;

        if size == 0 {
            return None;
        }
        let (contents, rest) = rest.split_at_checked(size)?;
        let cap = Self {
            nr: u16::from_ne_bytes([n0, n1]),
            extended,
            contents,
        };

        Some((cap, rest))
    }
}

/// A record that was read, and found to be well-formed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Record<'a> {
    /// The beginning of the configuration space.
    pub(crate) config: [u32; CONFIG_DWORDS],
    caps: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record at the beginning of `bytes`.
    ///
    /// Returns `None` if it is not one that a kernel could have written.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut next = || {
            let (word, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            Some(u32::from_ne_bytes(*word))
        };
        let version = next()?;
        let size = usize::try_from(next()?).ok()?;

        if version != VERSION {
            return None;
        }
        let mut config = [0; CONFIG_DWORDS];
        for dword in &mut config {
            *dword = next()?;
        }
        let record = Self {
            config,
            caps: bytes.get(HEADER_SIZE..size)?,
        };

        let mut rest = record.caps;
        while !rest.is_empty() {
            (_, rest) = Cap::split(rest)?;
        }
        Some(record)
    }

    /// The vendor and device ID.
    pub(crate) fn ids(&self) -> u32 {
        self.config[0]
    }

    /// Whether the capabilities are those that are saved of a device, in any order.
    ///
    /// None must be missing either: its contents would be those of the device as it was found.
    pub(crate) fn has_exactly(&self, saved: &(impl Iterator<Item = CapShape> + Clone)) -> bool {
        self.caps()
            .all(|cap| saved.clone().any(|saved| saved == cap.shape()))
            && saved
                .clone()
                .all(|saved| self.caps().any(|cap| saved == cap.shape()))
    }

    /// The capabilities, in the order in which they were saved.
    pub(crate) fn caps(&self) -> impl Iterator<Item = Cap<'a>> {
        let mut rest = self.caps;

        core::iter::from_fn(move || {
            let (cap, after) = Cap::split(rest)?;
            rest = after;
            Some(cap)
        })
    }
}

/// Writes a record.
pub(crate) struct Writer<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl<'a> Writer<'a> {
    /// Begins a record at the beginning of `buffer`. Returns `None` if it does not fit.
    pub(crate) fn new(buffer: &'a mut [u8], config: &[u32; CONFIG_DWORDS]) -> Option<Self> {
        let mut writer = Self { buffer, used: 0 };

        writer.append(&VERSION.to_ne_bytes())?;
        writer.append(&0u32.to_ne_bytes())?;
        for dword in config {
            writer.append(&dword.to_ne_bytes())?;
        }
        writer.update_size()?;
        Some(writer)
    }

    /// Adds a capability. Returns `None` if it does not fit, or if it is none; then nothing has
    /// changed.
    pub(crate) fn add(&mut self, cap: Cap<'_>) -> Option<()> {
        let size = u32::try_from(cap.contents.len()).ok()?;
        let left = self.buffer.len() - self.used;

        if size == 0 || left.checked_sub(CAP_HEADER_SIZE)? < cap.contents.len() {
            return None;
        }
        self.append(&cap.nr.to_ne_bytes())?;
        self.append(&u16::from(cap.extended).to_ne_bytes())?;
        self.append(&size.to_ne_bytes())?;
        self.append(cap.contents)?;
        self.update_size()
    }

    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.used.checked_add(bytes.len())?;

        self.buffer.get_mut(self.used..end)?.copy_from_slice(bytes);
        self.used = end;
        Some(())
    }

    /// Makes the record complete up to what was added so far.
    fn update_size(&mut self) -> Option<()> {
        let size = u32::try_from(self.used).ok()?;

        self.buffer
            .get_mut(4..8)?
            .copy_from_slice(&size.to_ne_bytes());
        Some(())
    }
}
