// SPDX-License-Identifier: GPL-2.0-only

//! The frames that the host sends and that a device writes into guest memory.
//!
//! Broadcast, ethertype 0x88b5 (for local experiments, IEEE 802), 64 bytes, so that nobody pads them. Numbers are little-endian.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 14 | Ethernet header |
//! | 14 | 8 | [`MAGIC`](Frame::MAGIC) |
//! | 22 | 8 | sequence number, from 0 |
//! | 30 | 8 | time of sending, in ns of the sender's clock |
//! | 38 | 8 | FNV-1a of the bytes before, so that a damaged frame is noticed |
//! | 46 | 18 | filling: byte i is i |

/// What a frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    /// Sequence number, from 0.
    pub sequence: u64,
    /// When it was sent, in ns of the sender's clock.
    pub sent: u64,
}

impl Frame {
    /// Bytes of a frame on the wire, without the checksum that a device adds.
    pub const LENGTH: usize = 64;
    /// Where [`Frame::MAGIC`] is.
    pub const MAGIC_OFFSET: usize = HEADER.len();
    /// Tells a frame of ours from others, and from memory.
    pub const MAGIC: [u8; 8] = *b"phsctlDM";

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..14].copy_from_slice(&HEADER);
        bytes[14..22].copy_from_slice(&Self::MAGIC);
        bytes[22..30].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[30..38].copy_from_slice(&self.sent.to_le_bytes());
        let sum = fnv1a(&bytes[..38]);
        bytes[38..46].copy_from_slice(&sum.to_le_bytes());
        for (byte, index) in bytes[46..].iter_mut().zip(0..) {
            *byte = index;
        }
        bytes
    }

    /// Reads the frame at the start of a buffer back; `None` unless every byte is as it was sent.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let frame = Self { sequence: number(22)?, sent: number(30)? };
        (bytes.get(..Self::LENGTH)? == frame.to_bytes()).then_some(frame)
    }
}

/// To everybody, from a local address.
const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x70, 0x68, 0x73, 0x88, 0xb5];

/// The 64-bit hash of Fowler, Noll and Vo, variant 1a: notices damage, not malice.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_and_a_damaged_one_is_not() {
        let frame = Frame { sequence: 0x1_0203, sent: u64::MAX };
        let bytes = frame.to_bytes();
        let mut buffer = vec![0xaa; 100];
        buffer[..Frame::LENGTH].copy_from_slice(&bytes);
        assert_eq!(Frame::from_bytes(&buffer), Some(frame));
        for at in 0..Frame::LENGTH {
            buffer[at] ^= 1;
            assert_eq!(Frame::from_bytes(&buffer), None, "byte {at}");
            buffer[at] ^= 1;
        }
        assert_eq!(Frame::from_bytes(&bytes[..63]), None);
    }
}
