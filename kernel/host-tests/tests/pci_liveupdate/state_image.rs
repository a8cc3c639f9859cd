// SPDX-License-Identifier: GPL-2.0-only

//! The saved state of a device in the form in which it is handed over, as bytes.
//!
//! The offsets are those of the C header `include/linux/kho/abi/pci_saved_state.h`. Besides what the kernel makes of the
//! bytes there is a second opinion, [`walk`], and besides what it writes there is [`State::bytes`].

use crate::state_record::{Cap, Record, Writer};

/// Size of a `struct pci_saved_state_ser`.
pub(crate) const HEADER: usize = 72;

/// Size of a `struct pci_saved_cap_ser`.
pub(crate) const CAP_HEADER: usize = 8;

/// The saved contents of a capability.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Saved {
    pub(crate) nr: u16,
    pub(crate) extended: bool,
    pub(crate) contents: Vec<u8>,
}

impl Saved {
    /// What the kernel has of it.
    pub(crate) fn cap(&self) -> Cap<'_> {
        Cap { nr: self.nr, extended: self.extended, contents: &self.contents }
    }

    /// How many bytes of a record it takes.
    pub(crate) fn len(&self) -> usize {
        CAP_HEADER + self.contents.len()
    }
}

/// The saved state of a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) config: [u32; 16],
    pub(crate) caps: Vec<Saved>,
}

impl State {
    /// The record of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let size = HEADER + self.caps.iter().map(Saved::len).sum::<usize>();
        let mut bytes = Vec::new();

        bytes.extend(1u32.to_ne_bytes());
        bytes.extend((size as u32).to_ne_bytes());
        bytes.extend(self.config.iter().flat_map(|dword| dword.to_ne_bytes()));
        for cap in &self.caps {
            bytes.extend(cap.nr.to_ne_bytes());
            bytes.extend(u16::from(cap.extended).to_ne_bytes());
            bytes.extend((cap.contents.len() as u32).to_ne_bytes());
            bytes.extend(&cap.contents);
        }
        assert_eq!(bytes.len(), size);
        bytes
    }

    /// Where the record of each capability begins.
    pub(crate) fn starts(&self) -> Vec<usize> {
        let ends = self.caps.iter().scan(HEADER, |end, cap| {
            *end += cap.len();
            Some(*end)
        });
        [HEADER].into_iter().chain(ends).take(self.caps.len()).collect()
    }

    /// Has the kernel write the record. Returns how many capabilities fit, or `None` if nothing does.
    pub(crate) fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(buffer, &self.config)?;
        Some(self.caps.iter().take_while(|cap| writer.add(cap.cap()).is_some()).count())
    }
}

/// What the kernel reads.
pub(crate) fn read(bytes: &[u8]) -> Option<State> {
    let record = Record::read(bytes)?;
    let caps = record.caps().map(|cap| Saved { nr: cap.nr, extended: cap.extended, contents: cap.contents.to_vec() });
    assert_eq!(record.ids(), record.config[0]);
    Some(State { config: record.config, caps: caps.collect() })
}

/// What there is to be read.
pub(crate) fn walk(bytes: &[u8]) -> Option<State> {
    if bytes.len() < HEADER || dword(bytes, 0) != 1 {
        return None;
    }
    let size = dword(bytes, 4) as usize;
    if size < HEADER || size > bytes.len() {
        return None;
    }
    let mut state = State { config: std::array::from_fn(|n| dword(bytes, 8 + 4 * n)), caps: Vec::new() };
    let mut at = HEADER;
    while at != size {
        if size - at < CAP_HEADER {
            return None;
        }
        let len = dword(bytes, at + 4) as usize;
        if word(bytes, at + 2) > 1 || len == 0 || len > size - at - CAP_HEADER {
            return None;
        }
        let from = at + CAP_HEADER;
        state.caps.push(Saved {
            nr: word(bytes, at),
            extended: word(bytes, at + 2) == 1,
            contents: bytes[from..from + len].to_vec(),
        });
        at = from + len;
    }
    Some(state)
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn dword(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
