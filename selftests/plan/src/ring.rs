// SPDX-License-Identifier: GPL-2.0-only

//! How a receive ring lies in its memfd, so that the guest, its next kernel and the host all find it.
//!
//! - Page 0 is the header, an array of words (8 bytes, little-endian); see [`word`].
//! - The descriptors are in pages that the device sees one behind the other. Which pages of the memfd those are depends on the
//!   addresses: at physical ones, any run that happens to be contiguous will do. The header lists them.
//! - All other pages, in ascending order, hold the buffers, four to a page; descriptor i uses buffer i. A frame is much shorter than a
//!   buffer, and what is left says where buffers are, see [`OWN_ADDRESS`] and [`NEXT_BUFFER`].
//!
//! The guest goes by the pages of the memfd. The host sees nothing but physical memory: it is told where the header is
//! ([`Event::Ring`](crate::Event::Ring)) and goes on from there.
//!
//! Descriptors have the advanced format with one buffer (82576 datasheet, 7.1.5): the address of the buffer and a zero word. The
//! device overwrites both, with [`DONE`] in the second word, so the address is written anew before a descriptor is used again.

/// Bytes of a buffer: the smallest that the device knows.
pub const BUFFER: usize = 1024;
/// Where in a buffer the address is at which the device sees it.
pub const OWN_ADDRESS: usize = BUFFER - 8;
/// Where in a buffer the physical address of the next descriptor's buffer is; in the last one, of the first one's.
pub const NEXT_BUFFER: usize = BUFFER - 16;
/// Bytes of a descriptor.
pub const DESCRIPTOR: usize = 16;
/// Where in a descriptor the word with [`DONE`] is.
pub const STATUS: usize = 8;
/// The device is done with a descriptor (`DD`).
pub const DONE: u64 = 1 << 0;
/// The most pages of descriptors.
pub const MAX_RING_PAGES: usize = 16;
/// Begins the header.
pub const MAGIC: u64 = u64::from_le_bytes(*b"phsctlRX");

/// Indices of the header's words.
pub mod word {
    use super::MAX_RING_PAGES;

    /// [`MAGIC`](super::MAGIC).
    pub const MAGIC: usize = 0;
    /// Number of descriptors.
    pub const DESCRIPTORS: usize = 1;
    /// Frames that landed and were seen, damaged ones included.
    pub const LANDED: usize = 2;
    /// Of those, how many were not as they were sent, or out of order.
    pub const DAMAGED: usize = 3;
    /// How many sequence numbers were left out.
    pub const MISSING: usize = 4;
    /// The first sequence number, if there is one.
    pub const FIRST: usize = 5;
    /// The next sequence number that is due; 0 before the first. Written before [`LANDED`], and [`NEXT`] last.
    pub const DUE: usize = 6;
    /// The descriptor that is used next.
    pub const NEXT: usize = 7;
    /// Physical address of the header.
    pub const HEADER: usize = 8;
    /// Physical address of descriptor 0's buffer.
    pub const FIRST_BUFFER: usize = 9;
    /// What [`LANDED`] was when descriptors were last given back to the device. Whoever looks at the ring without the device gives none back.
    pub const GIVEN: usize = 10;
    /// From here on, the pages of the memfd that hold the descriptors, in order.
    pub const PAGES: usize = 16;
    /// From here on, the physical addresses of those pages.
    pub const PHYSICAL: usize = PAGES + MAX_RING_PAGES;
}
