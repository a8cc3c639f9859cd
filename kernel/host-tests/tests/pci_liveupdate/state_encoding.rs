// SPDX-License-Identifier: GPL-2.0-only

//! Saved states that a kernel writes, and the next one reads.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::state_image::{read, Saved, State, HEADER};
use crate::state_record::{
    Cap, CapShape, Record, Writer, ASSIGNED, CAP_HEADER_SIZE, CONFIG_DWORDS, HEADER_SIZE, VERSION,
};

/// States as the PCI core saves them, and others.
pub(crate) fn state() -> impl Strategy<Value = State> {
    let cap = (any::<u16>(), any::<bool>(), vec(any::<u8>(), 1..40));
    let cap = cap.prop_map(|(nr, extended, contents)| Saved { nr, extended, contents });

    (any::<[u32; 16]>(), vec(cap, 0..6)).prop_map(|(config, caps)| State { config, caps })
}

#[test]
fn the_constants_are_those_of_the_abi() {
    assert_eq!((VERSION, CONFIG_DWORDS, HEADER_SIZE, CAP_HEADER_SIZE), (1, 16, 72, 8));
}

#[test]
fn the_record_has_the_layout_of_the_abi() {
    let mut config = [0; 16];
    config[0] = 0x1041_1af4;
    config[15] = 0x0000_010b;
    let mut wanted = [0; 100];
    wanted[0..4].copy_from_slice(&1u32.to_ne_bytes());
    wanted[4..8].copy_from_slice(&93u32.to_ne_bytes());
    wanted[8..12].copy_from_slice(&0x1041_1af4u32.to_ne_bytes());
    wanted[68..72].copy_from_slice(&0x010bu32.to_ne_bytes());
    wanted[72..74].copy_from_slice(&0x0007u16.to_ne_bytes());
    wanted[76..80].copy_from_slice(&3u32.to_ne_bytes());
    wanted[80..83].copy_from_slice(&[1, 2, 3]);
    // Aligned or not.
    wanted[83..85].copy_from_slice(&0x0102u16.to_ne_bytes());
    wanted[85..87].copy_from_slice(&1u16.to_ne_bytes());
    wanted[87..91].copy_from_slice(&2u32.to_ne_bytes());
    wanted[91..93].copy_from_slice(&[4, 5]);

    let mut buffer = [0; 100];
    let mut writer = Writer::new(&mut buffer, &config).expect("it fits");
    assert_eq!(writer.add(Cap { nr: 7, extended: false, contents: &[1, 2, 3] }), Some(()));
    assert_eq!(writer.add(Cap { nr: 0x0102, extended: true, contents: &[4, 5] }), Some(()));
    assert_eq!(buffer, wanted);
    assert_eq!(Record::read(&wanted).map(|record| record.ids()), Some(0x1041_1af4));
}

#[test]
fn a_state_without_capabilities_is_one() {
    let state = State { config: [0x5a5a_a5a5; 16], caps: Vec::new() };
    let mut buffer = [0; HEADER];
    assert_eq!(state.write(&mut buffer), Some(0));
    assert_eq!(read(&buffer), Some(state));
}

#[test]
fn a_capability_that_does_not_fit_leaves_no_trace() {
    let mut buffer = [0; 96];
    let mut writer = Writer::new(&mut buffer, &[0; 16]).expect("it fits");
    assert_eq!(writer.add(Cap { nr: 1, extended: false, contents: &[1; 17] }), None);
    assert_eq!(writer.add(Cap { nr: 2, extended: false, contents: &[2; 4] }), Some(()));

    let caps: Vec<_> = Record::read(&buffer).expect("it is complete").caps().collect();
    assert_eq!(caps, [Cap { nr: 2, extended: false, contents: &[2; 4] }]);
}

#[test]
fn a_record_fits_what_is_saved_of_the_device_and_nothing_else() {
    let mut buffer = [0; 200];
    let mut writer = Writer::new(&mut buffer, &[0; 16]).expect("it fits");
    writer.add(Cap { nr: 0x10, extended: false, contents: &[1; 14] }).expect("it fits");
    writer.add(Cap { nr: 0x10, extended: true, contents: &[2; 8] }).expect("it fits");
    let record = Record::read(&buffer).expect("it is complete");

    let shape = |nr, extended, size| CapShape { nr, extended, size };
    let (one, two) = (shape(0x10, false, 14), shape(0x10, true, 8));
    for saved in [vec![one, two], vec![two, one]] {
        assert!(record.has_exactly(&saved.into_iter()));
    }
    // One less, one more, another size, another kind, another one.
    for saved in [
        vec![one],
        vec![one, two, shape(0x11, false, 4)],
        vec![one, shape(0x10, true, 12)],
        vec![one, shape(0x10, false, 8)],
        vec![one, shape(0x0f, true, 8)],
    ] {
        assert!(!record.has_exactly(&saved.into_iter()));
    }
}

#[test]
fn the_bars_the_rom_and_the_interrupt_line_are_assigned() {
    let offsets: Vec<usize> = ASSIGNED.iter().map(|index| 4 * index).collect();
    assert_eq!(offsets, [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30, 0x3c]);
}

#[test]
fn a_capability_without_contents_is_none() {
    let mut buffer = [0; 200];
    let mut writer = Writer::new(&mut buffer, &[0; 16]).expect("it fits");
    assert_eq!(writer.add(Cap { nr: 1, extended: false, contents: &[] }), None);
    // It leaves no trace.
    assert_eq!(writer.add(Cap { nr: 2, extended: false, contents: &[3] }), Some(()));
    let cap = Saved { nr: 2, extended: false, contents: vec![3] };
    assert_eq!(read(&buffer), Some(State { config: [0; 16], caps: vec![cap] }));
}

proptest! {
    /// Whatever was in the memory before, and whatever there is behind the record.
    #[test]
    fn a_state_survives_the_hand_over(state in state(), before: u8, more in 0usize..40) {
        let bytes = state.bytes();
        let mut buffer = vec![before; bytes.len() + more];
        prop_assert_eq!(state.write(&mut buffer), Some(state.caps.len()));
        prop_assert_eq!(&buffer[..bytes.len()], &bytes[..]);
        prop_assert!(buffer[bytes.len()..].iter().all(|&byte| byte == before));
        prop_assert_eq!(read(&buffer), Some(state));
    }

    /// A record is complete whenever something was added.
    #[test]
    fn every_beginning_is_a_record(state in state(), count: Index) {
        let beginning = State { caps: state.caps[..count.index(state.caps.len() + 1)].to_vec(), ..state };
        let mut buffer = vec![0xff; 1000];
        prop_assert_eq!(beginning.write(&mut buffer), Some(beginning.caps.len()));
        prop_assert_eq!(read(&buffer), Some(beginning));
    }

    /// What does not fit is said not to. What did fit is still there.
    #[test]
    fn a_state_that_does_not_fit(state in state(), room: Index) {
        let size = state.bytes().len();
        let mut buffer = vec![0; room.index(size)];
        let fits = state.starts().iter().zip(&state.caps).filter(|(at, cap)| *at + cap.len() <= buffer.len()).count();

        match state.write(&mut buffer) {
            Some(written) => {
                prop_assert!(buffer.len() >= HEADER);
                prop_assert_eq!(written, fits);
                let caps = state.caps[..fits].to_vec();
                prop_assert_eq!(read(&buffer), Some(State { caps, ..state }));
            }
            None => prop_assert!(buffer.len() < HEADER),
        }
    }
}
