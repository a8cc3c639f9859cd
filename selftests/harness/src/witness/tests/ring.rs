// SPDX-License-Identifier: GPL-2.0-only

//! A ring is followed from outside.

use std::sync::Arc;
use std::time::Duration;

use plan::Frame;
use plan::ring::word;

use super::image::{DESCRIPTORS, HEADER, Image};
use crate::physical::Memory;
use crate::witness::pace::Room;
use crate::witness::ring::{Found, Ring};

fn image() -> (Image, Arc<Memory>) {
    let file = tempfile::tempfile().unwrap();
    let image = Image::new(file.try_clone().unwrap());
    (image, Arc::new(Memory::new(file).unwrap()))
}

fn load(memory: Arc<Memory>) -> Result<Ring, String> {
    Ring::load(memory, HEADER, Duration::from_millis(5))
}

fn look(ring: &mut Ring) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(found) = ring.look().unwrap() {
        all.push(match found {
            Found::Frame { sequence, descriptor, .. } => format!("{sequence} in {descriptor}"),
            Found::Damaged(what) => what,
        });
    }
    all
}

#[test]
fn frames_are_seen_once_whether_the_guest_was_faster_or_not() {
    let (mut image, memory) = image();
    for sequence in 3..7 {
        image.land(sequence);
    }
    image.reap();
    let mut ring = load(memory).unwrap();
    assert!(look(&mut ring).is_empty(), "what was there before does not count");
    image.land(7);
    image.land(8);
    assert_eq!(look(&mut ring), ["7 in 4", "8 in 5"]);
    assert!(look(&mut ring).is_empty());
    image.land(9);
    image.reap();
    image.land(10);
    assert_eq!(look(&mut ring), ["9 in 6", "10 in 7"]);
    assert_eq!(ring.room(), Ok(Room { free: 503, of: 512 }), "what was seen was not given back");
    image.give_back();
    assert_eq!(ring.room(), Ok(Room { free: 510, of: 512 }));
    // Round the corner, and what the buffers held before is not taken for new.
    for round in 0..2 {
        for sequence in 11 + round * DESCRIPTORS..11 + (round + 1) * DESCRIPTORS {
            image.reap();
            image.land(sequence);
            assert_eq!(look(&mut ring).len(), 1);
        }
    }
    assert!(look(&mut ring).is_empty());
    assert_eq!(ring.overwritten(), Ok(vec![]));
}

#[test]
fn a_ring_is_found_in_the_middle() {
    let (mut image, memory) = image();
    for sequence in 0..700 {
        image.land(sequence);
        image.reap();
        image.give_back();
    }
    image.land(700);
    let mut ring = load(memory).unwrap();
    assert_eq!(look(&mut ring), ["700 in 188"]);
    assert_eq!(ring.room(), Ok(Room { free: 510, of: 512 }));
    image.land(702);
    assert_eq!(look(&mut ring), ["702 in 189"], "that 701 is missing is for others to judge");
}

#[test]
fn damage_is_seen() {
    let (mut image, memory) = image();
    let mut ring = load(memory).unwrap();
    image.land(0);
    let mut bytes = Frame { sequence: 1, sent: 1 }.to_bytes();
    bytes[50] ^= 1;
    image.write(1, &bytes);
    assert_eq!(look(&mut ring), ["0 in 0"], "it is not done yet");
    image.done();
    image.reap();
    image.land(0);
    let damaged = look(&mut ring);
    assert_eq!(damaged[0], "descriptor 1 is done and its buffer holds no frame as it was sent");
    assert_eq!(damaged[1], "descriptor 2 is done and its buffer holds frame 0, which was there before");
}

#[test]
fn memory_that_has_become_somebody_else_s_is_not_followed_for_ever() {
    let (image, memory) = image();
    let mut ring = load(memory).unwrap();
    image.set(word::LANDED, u64::MAX);
    assert_eq!(look(&mut ring).len(), 64);
    assert!(look(&mut ring).is_empty());
}

#[test]
fn a_descriptor_that_is_written_twice_is_found_at_the_end() {
    let (mut image, memory) = image();
    let mut ring = load(memory).unwrap();
    for sequence in 0..DESCRIPTORS - 1 {
        image.land(sequence);
        image.reap();
        assert_eq!(look(&mut ring).len(), 1);
    }
    image.write(100, &Frame { sequence: 900, sent: 1 }.to_bytes());
    image.write(101, &[0; 8]);
    // It may be this one's turn already.
    image.write(3, &Frame { sequence: 515, sent: 1 }.to_bytes());
    assert_eq!(
        ring.overwritten().unwrap(),
        [
            "descriptor 100 was written twice: frame 900 has replaced frame 100",
            "the buffer of descriptor 101 was written after frame 101 was in it"
        ]
    );
}

#[test]
fn what_is_no_ring_is_refused() {
    for (index, value, why) in [
        (word::MAGIC, 0, "no header"),
        (word::HEADER, 0x4000, "no header"),
        (word::DESCRIPTORS, 100, "100 descriptors"),
        (word::DESCRIPTORS, 256, "the last buffer does not lead to the first"),
        (word::FIRST_BUFFER, 1 << 40, "not in the guest's memory"),
        (word::NEXT, 512, "is at 512 of 512"),
    ] {
        let (image, memory) = image();
        image.set(index, value);
        let error = load(memory).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let (mut image, memory) = image();
    image.land(5);
    image.reap();
    image.set(word::DUE, 9);
    assert!(load(memory).unwrap_err().contains("never makes sense"));
}
