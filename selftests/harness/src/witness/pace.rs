// SPDX-License-Identifier: GPL-2.0-only

//! When the next frames are due.
//!
//! - Usually at the rate that the topology says.
//! - Much faster while no kernel runs: a blackout of some 50 ms is to be filled with frames. It starts with the guest's report that it is going to
//!   jump, which comes some milliseconds before the kernel's own line, and ends with the next kernel's first line.
//! - More slowly, the fuller the rings are. Nobody gives descriptors back between two kernels, and on a busy host that can take long.
//!   A full ring would look like a device that has stopped; this way it fills ever more slowly, and never quite.

use std::time::Duration;

/// How fast frames are sent in a blackout, or more slowly by as much as the guest is slower: so much longer it takes to get there.
const BURST: Duration = Duration::from_micros(100);
/// At a given pace, a ring must last for so long, or longer by as much as the guest is slower.
const LASTS: Duration = Duration::from_secs(10);
/// Descriptors that are never counted on: frames under way, and what the guest gives back in pieces.
const SPARE: usize = 32;

/// Free descriptors of a ring, and how many it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Room {
    pub(super) free: usize,
    pub(super) of: usize,
}

/// What does not change during a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Time from one frame to the next, usually.
    pub(super) usual: Duration,
    /// How much longer than usually the guest takes for everything.
    pub(super) slowness: u32,
}

impl Pace {
    /// Time from one frame to the next; `None` while there is no room at all. `tightest` is the ring with the least room, if there is one.
    pub(super) fn interval(&self, blackout: bool, tightest: Option<Room>) -> Option<Duration> {
        let Some(Room { free, of }) = tightest else { return Some(self.usual) };
        // A burst leaves half of the ring for what comes after it.
        if blackout && free > of / 2 {
            return Some((BURST * self.slowness).min(self.usual));
        }
        let free = u32::try_from(free.checked_sub(SPARE)?).unwrap_or(u32::MAX);
        Some(self.usual.max((LASTS * self.slowness).checked_div(free)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { usual: Duration::from_millis(5), slowness: 1 };

    fn paced(blackout: bool, free: usize) -> Option<u128> {
        PACE.interval(blackout, Some(Room { free, of: 4096 })).map(|interval| interval.as_micros())
    }

    #[test]
    fn frames_are_many_in_a_blackout_and_few_in_a_full_ring() {
        assert_eq!(PACE.interval(true, None), Some(PACE.usual), "nobody would take them");
        assert_eq!((paced(false, 4095), paced(true, 4095)), (Some(5000), Some(100)));
        assert_eq!(
            (paced(true, 2049), paced(true, 2048)),
            (Some(100), Some(5000)),
            "a burst ends with half of the ring"
        );
        assert_eq!(
            (paced(false, 1032), paced(false, 132), paced(false, 33)),
            (Some(10_000), Some(100_000), Some(10_000_000))
        );
        assert_eq!((paced(false, 32), paced(true, 0)), (None, None));
        let slow = Pace { slowness: 6, ..PACE };
        assert_eq!(slow.interval(true, Some(Room { free: 4095, of: 4096 })), Some(Duration::from_micros(600)));
        assert_eq!(slow.interval(false, Some(Room { free: 1032, of: 4096 })), Some(Duration::from_millis(60)));
    }

    #[test]
    fn a_ring_never_fills_up() {
        let (mut free, mut time) = (4095, Duration::ZERO);
        while time < Duration::from_secs(3600)
            && let Some(interval) = PACE.interval(false, Some(Room { free, of: 4096 }))
        {
            time += interval;
            free -= 1;
        }
        assert!(free >= SPARE, "{free} left after {time:?}");
    }
}
