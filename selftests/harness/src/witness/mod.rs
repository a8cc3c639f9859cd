// SPDX-License-Identifier: GPL-2.0-only

//! The witness of DMA: shows that a device never stopped writing, not even while no kernel ran.
//!
//! The host sends numbered frames to the network cards of the VM from outside, so every frame that lands in guest memory is a DMA write
//! that the device made on its own. The guest's memory is a file that we share, the guest tells where the [ring](plan::ring) of a device
//! is, and from then on we look there for every frame: when it landed, whether it is the one that was sent, and whether
//! it is in the descriptor whose turn it was. The ring stays where it is over any number of live updates, so we look on
//! while one kernel is gone and the next one has not started.
//!
//! # What counts is arrival
//!
//! QEMU's igb holds frames back while it may not master the bus, and delivers them all when it may again: in the end none is missing,
//! and they are in order. So a frame must land soon after it was sent. But what is soon? On a busy host QEMU gets no CPU for
//! half a second now and then, and nothing lands, of which the device is innocent.
//!
//! # The reference
//!
//! So a device is not measured by the clock but by QEMU's progress. With every frame, just after it, we send a frame to a second
//! kind of network backend, the *reference*: it has no device, and QEMU sends back to us what it gets there. QEMU's main loop serves
//! all backends in turn, one frame each, and both paths wait alike while it is not scheduled, while it does something else, and
//! while the VM is stopped. When a frame of the reference (a *tick*) comes back, the frames that were sent with it
//! must have landed, give or take those that are under way. These are few, because we send no more than
//! [`WINDOW`](observer::WINDOW) ticks ahead of those that came back. So:
//!
//! - A **gap** is the number of ticks that came back between two looks, in which nothing landed. With a device that works it stays
//!   below the window and a few, at any load; more than [`Limits::gap`] is an interruption. At 200 frames a second the default of 20 is
//!   100 ms, in a blackout, when more are sent, some 3 ms.
//! - A frame is **late** if a tick that was sent more than [`Limits::late_ms`] after it came back and it had not landed (and that is beyond
//!   the gap, for one tick can be that late alone, when nobody had time to send any before).
//! - A frame is **lost** if a later one landed, **damaged** if its descriptor is done and its buffer is not what was sent, and a
//!   descriptor must hold at the end what we saw land there.
//!
//! One thread sends, listens and looks (see `observer`), in a fixed order, so its notes are in the order of what happened, however
//! long it was kept from running: it claims no more than what it knows. A moment that another thread tells it of (the jump, the next
//! kernel's first line, the end) lies between two of that one's looks at QEMU's output, and whatever is judged by it is given the benefit of that doubt.
//!
//! # What cannot be judged
//!
//! In the blackout proper, between the line `Starting new kernel` and the next kernel's first, at least [`Limits::arrivals`] frames must
//! land. Frames are sent faster then (see `pace`), but if nobody ran who could send them, or the blackout was that
//! short, too few arrived without anybody's fault. And if no frame was sent while QEMU used a second of CPU time, nothing is known of what
//! it did. Neither is an interruption: the run is *unwitnessed*, and done again.
//!
//! The count starts when the guest reports that the ring is set up and the link is up, and ends with the last stage, or with the first
//! step that fails: what a guest that goes down does to its devices is no matter. With [`Limits::jumps`] the count of a ring ends earlier,
//! when the kernel leaves that nobody hands the device over from; the device may be started anew after that, in a ring of its own.

mod judge;
mod log;
mod observer;
mod pace;
mod record;
mod ring;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use judge::{Finding, judge};
pub(crate) use observer::{Notebook, Observer};
pub(crate) use record::{Device, Frame, Landed, Look, Mark, Record, What};
pub(crate) use ring::pages as ring_pages;

/// What DMA is held to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// So many frames of each device must land between the line `Starting new kernel` and the next kernel's first, at every jump.
    pub arrivals: usize,
    /// After so many milliseconds, by the reference, a frame is late.
    pub late_ms: u64,
    /// So many ticks may come back and nothing lands.
    pub gap: usize,
    /// A device must go on over so many jumps from when it was started; over all that there are if nothing is said.
    pub jumps: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { arrivals: 50, late_ms: 250, gap: 20, jumps: None }
    }
}

/// What is to be witnessed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Task {
    /// What it is held to.
    pub limits: Limits,
    /// The devices by the names of their fds.
    pub devices: BTreeMap<String, String>,
    /// How many jumps there are to be.
    pub jumps: usize,
    /// How much longer than usually the guest takes for everything.
    pub slowness: u32,
}
