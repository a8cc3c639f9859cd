// SPDX-License-Identifier: GPL-2.0-only

//! What the witness saw. All times are nanoseconds since QEMU was started.

use super::Limits;

/// Everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// What it is held to.
    pub limits: Limits,
    /// How many jumps there were to be.
    pub jumps: usize,
    /// When each frame of the reference was sent.
    pub ticks: Vec<u64>,
    /// When each of them, from the first on, came back.
    pub echoes: Vec<u64>,
    /// What CPU time QEMU had used at which time, several times a second.
    pub used: Vec<(u64, u64)>,
    /// What else happened, in order.
    pub marks: Vec<Mark>,
    /// The devices; one that was started anew is another one from then on.
    pub devices: Vec<Device>,
}

impl Record {
    /// How many ticks had come back.
    pub fn heard(&self, at: u64) -> usize {
        self.echoes.partition_point(|echo| *echo <= at)
    }

    /// When the last of so many ticks was sent: QEMU has got that far.
    pub fn clock(&self, echoes: usize) -> u64 {
        echoes.checked_sub(1).and_then(|last| self.ticks.get(last)).copied().unwrap_or(0)
    }

    /// How long QEMU can have run between two times, at most.
    pub fn ran(&self, from: u64, to: u64) -> u64 {
        let before = self.used.iter().rfind(|(at, _)| *at <= from).map_or(0, |(_, used)| *used);
        let after = self.used.iter().find(|(at, _)| *at >= to).or(self.used.last()).map(|(_, used)| *used);
        after.map_or(to.saturating_sub(from), |after| after.saturating_sub(before))
    }

    /// The first mark of this kind.
    pub fn mark(&self, what: What) -> Option<&Mark> {
        self.marks.iter().find(|mark| mark.what == what)
    }
}

/// Something that the VM said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// What.
    pub what: What,
    /// It had not been said when we looked then.
    pub after: u64,
    /// It was heard then.
    pub at: u64,
}

/// What the VM may say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// The guest's init is going to ask this kernel for the jump.
    Leaves(usize),
    /// This kernel's line that it starts the next one.
    Jumps(usize),
    /// This kernel's first line.
    Speaks(usize),
    /// The last stage is over, or a step failed.
    Ends,
}

/// A network card.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// When its ring was found; from then on, frames count.
    pub since: Option<u64>,
    /// The kernel that it was started in.
    pub kernel: usize,
    /// When the count ended, if that was before the end of all.
    pub until: Option<Mark>,
    /// Number of the first frame that counts.
    pub first: u64,
    /// The frames that count, by number.
    pub frames: Vec<Frame>,
    /// What was wrong in the ring, and when it was seen.
    pub faults: Vec<(u64, String)>,
}

/// A frame that QEMU took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    /// The tick that was sent just after it.
    pub tick: usize,
    /// When it was sent, or a little before.
    pub sent: u64,
    /// How it landed.
    pub landed: Option<Landed>,
}

/// The landing of a frame: somewhere between two looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Landed {
    /// The last look at which it was not there.
    pub missed: Look,
    /// The look at which it was.
    pub seen: Look,
    /// In which descriptor.
    pub descriptor: usize,
}

/// A look into the ring.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Look {
    /// When it began.
    pub at: u64,
    /// How many ticks had come back before.
    pub echoes: usize,
}
