// SPDX-License-Identifier: GPL-2.0-only

//! Saved states that are damaged, each in one way.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::state_encoding::state;
use crate::state_image::{read, walk, Saved, State, CAP_HEADER, HEADER};

/// States with a capability at least, and which of these it is about.
fn with_cap() -> impl Strategy<Value = (State, usize)> {
    (state(), any::<Index>())
        .prop_filter("there is no capability", |(state, _)| !state.caps.is_empty())
        .prop_map(|(state, which)| (state.clone(), which.index(state.caps.len())))
}

proptest! {
    /// Whatever is there, with a header that makes it worth a look or without.
    #[test]
    fn any_bytes_are_refused_or_kept(mut bytes in vec(any::<u8>(), 0..200), version: bool, size in 0u32..220) {
        if version && bytes.len() >= 8 {
            bytes[0..4].copy_from_slice(&1u32.to_ne_bytes());
            bytes[4..8].copy_from_slice(&size.to_ne_bytes());
        }
        prop_assert_eq!(read(&bytes), walk(&bytes));
    }

    #[test]
    fn another_version(state in state(), version in any::<u32>().prop_filter("it is known", |&version| version != 1)) {
        let mut bytes = state.bytes();
        bytes[0..4].copy_from_slice(&version.to_ne_bytes());
        prop_assert_eq!(read(&bytes), None);
    }

    #[test]
    fn the_end_is_missing(state in state(), at: Index) {
        let bytes = state.bytes();
        prop_assert_eq!(read(&bytes[..at.index(bytes.len())]), None);
    }

    /// A size is right only if it is that of some of the capabilities, and if that much is there.
    #[test]
    fn a_size_that_is_wrong(state in state(), size in prop_oneof![0u32..300, any::<u32>()], more in 0usize..300) {
        let mut bytes = state.bytes();
        let ends = state.starts().into_iter().chain([bytes.len()]);
        let count = ends.into_iter().position(|end| end == size as usize);
        prop_assume!(size as usize <= bytes.len() || size as usize > bytes.len() + more);
        bytes[4..8].copy_from_slice(&size.to_ne_bytes());
        bytes.resize(bytes.len() + more, 0);

        let wanted = count.map(|count| State { caps: state.caps[..count].to_vec(), ..state });
        prop_assert_eq!(read(&bytes), wanted);
    }

    /// What is not in use is not taken for the header of a capability.
    #[test]
    fn a_size_that_is_too_large(state in state(), rest in 1..CAP_HEADER) {
        let mut bytes = state.bytes();
        let size = bytes.len() + rest;
        bytes[4..8].copy_from_slice(&(size as u32).to_ne_bytes());
        bytes.resize(size, 0);
        prop_assert_eq!(read(&bytes), None);
    }

    #[test]
    fn a_capability_that_is_neither_extended_nor_not((state, which) in with_cap(), flag in 2u16..) {
        let mut bytes = state.bytes();
        let at = state.starts()[which] + 2;
        bytes[at..at + 2].copy_from_slice(&flag.to_ne_bytes());
        prop_assert_eq!(read(&bytes), None);
    }

    #[test]
    fn a_capability_that_is_empty((state, which) in with_cap()) {
        let mut bytes = state.bytes();
        let at = state.starts()[which] + 4;
        bytes[at..at + 4].fill(0);
        prop_assert_eq!(read(&bytes), None);
    }

    /// Even if there is as much behind the record.
    #[test]
    fn a_capability_that_is_too_large((state, which) in with_cap(), by in prop_oneof![1u32..100, any::<u32>()]) {
        let mut bytes = state.bytes();
        let (start, size) = (state.starts()[which], bytes.len());
        let room = (size - start - CAP_HEADER) as u32;
        let Some(len) = room.checked_add(by).filter(|&len| len > room) else { return Ok(()) };
        bytes[start + 4..start + 8].copy_from_slice(&len.to_ne_bytes());
        bytes.resize(size + 100, 0xff);
        prop_assert_eq!(read(&bytes), None);
    }

    /// The last one may be as large as what is left.
    #[test]
    fn a_capability_that_takes_all_the_rest((state, which) in with_cap()) {
        let mut bytes = state.bytes();
        let from = state.starts()[which] + CAP_HEADER;
        let len = (bytes.len() - from) as u32;
        bytes[from - 4..from].copy_from_slice(&len.to_ne_bytes());

        let mut caps = state.caps[..=which].to_vec();
        caps[which].contents = bytes[from..].to_vec();
        prop_assert_eq!(read(&bytes), Some(State { caps, ..state }));
    }
}

#[test]
fn a_header_alone_is_not_read_beyond_its_end() {
    let bytes = State { config: [7; 16], caps: Vec::new() }.bytes();
    for len in 0..HEADER {
        assert_eq!(read(&bytes[..len]), None, "{len}");
    }
    assert!(read(&bytes).is_some());
}

/// As large as a record of vfio-pci has room for.
#[test]
fn one_large_capability() {
    let contents: Vec<u8> = (0..4088 - HEADER - CAP_HEADER).map(|n| n as u8).collect();
    let state = State { config: [1; 16], caps: vec![Saved { nr: 0x10, extended: false, contents }] };
    let mut buffer = [0; 4088];
    assert_eq!(state.write(&mut buffer), Some(1));
    assert_eq!(read(&buffer), Some(state.clone()));
    assert_eq!(state.write(&mut buffer[1..]), Some(0));
}
