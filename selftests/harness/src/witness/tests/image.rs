// SPDX-License-Identifier: GPL-2.0-only

//! Guest memory with a receive ring in it, a device that fills it and a guest that empties it.

use std::fs::File;

use plan::Frame;
use plan::ring::{BUFFER, DONE, MAGIC, NEXT_BUFFER, STATUS, word};

use crate::physical::Memory;

pub(super) const HEADER: u64 = 0x5000;
pub(super) const DESCRIPTORS: u64 = 512;
/// The ring's pages are not one behind the other.
const PAGES: [u64; 2] = [0x9000, 0x7000];
const BUFFERS: u64 = 0x10_0000;

/// The memory and how far the device and the guest are.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) memory: Memory,
    /// What the device uses next.
    pub(super) head: u64,
    /// What the guest looks at next.
    reaped: u64,
}

/// Buffers lie from the last to the first.
fn buffer(descriptor: u64) -> u64 {
    BUFFERS + (DESCRIPTORS - 1 - descriptor % DESCRIPTORS) * BUFFER as u64
}

fn descriptor(index: u64) -> u64 {
    let index = index % DESCRIPTORS;
    PAGES[(index / 256) as usize] + index % 256 * 16
}

impl Image {
    /// An empty ring.
    pub(super) fn new(file: File) -> Self {
        file.set_len(2 << 20).unwrap();
        let image = Self { memory: Memory::new(file).unwrap(), head: 0, reaped: 0 };
        image.set(word::DESCRIPTORS, DESCRIPTORS);
        image.set(word::HEADER, HEADER);
        image.set(word::FIRST_BUFFER, buffer(0));
        for (index, page) in PAGES.iter().enumerate() {
            image.set(word::PHYSICAL + index, *page);
        }
        for index in 0..DESCRIPTORS {
            image.memory.write(buffer(index) + NEXT_BUFFER as u64, 8, buffer(index + 1)).unwrap();
        }
        image.set(word::MAGIC, MAGIC);
        image
    }

    pub(super) fn set(&self, index: usize, value: u64) {
        self.memory.write(HEADER + index as u64 * 8, 8, value).unwrap();
    }

    fn get(&self, index: usize) -> u64 {
        self.memory.u64(HEADER + index as u64 * 8).unwrap()
    }

    /// The device writes a frame.
    pub(super) fn land(&mut self, sequence: u64) {
        self.receive(Frame { sequence, sent: 1 });
    }

    /// The device writes this frame.
    pub(super) fn receive(&mut self, frame: Frame) {
        self.write(self.head, &frame.to_bytes());
        self.done();
    }

    /// Something is written into a buffer.
    pub(super) fn write(&self, index: u64, bytes: &[u8]) {
        self.memory.put(bytes, buffer(index)).unwrap();
    }

    /// The device says that it is done with its descriptor.
    pub(super) fn done(&mut self) {
        self.memory.write(descriptor(self.head) + STATUS as u64, 8, DONE | 64 << 32).unwrap();
        self.head += 1;
    }

    /// The guest takes note of everything that has landed.
    pub(super) fn reap(&mut self) {
        while self.memory.u64(descriptor(self.reaped) + STATUS as u64).unwrap() & DONE != 0 {
            let frame = self.memory.read::<{ Frame::LENGTH }>(buffer(self.reaped)).unwrap();
            if let Some(frame) = Frame::from_bytes(&frame) {
                self.set(word::DUE, frame.sequence + 1);
            }
            self.set(word::LANDED, self.get(word::LANDED) + 1);
            self.memory.write(descriptor(self.reaped) + STATUS as u64, 8, 0).unwrap();
            self.reaped += 1;
            self.set(word::NEXT, self.reaped % DESCRIPTORS);
        }
    }

    /// It gives back what it has taken note of.
    pub(super) fn give_back(&self) {
        self.set(word::GIVEN, self.get(word::LANDED));
    }
}
