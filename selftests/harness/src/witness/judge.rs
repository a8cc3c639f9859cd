// SPDX-License-Identifier: GPL-2.0-only

//! Judges what the witness saw; a pure function. The reasons for the rules are in the [module above](super).

use super::{Device, Frame, Landed, Look, Record, What};
use crate::clock::seconds;
use crate::report::{Crossing, Witnessed};

/// How long QEMU may run while nobody sends frames, in nanoseconds.
const BLIND: u64 = 1_000_000_000;

/// The outcome.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    /// The devices wrote all the time.
    Continuous(Vec<Witnessed>),
    /// One of them did not.
    Interrupted {
        /// From when on.
        at: u64,
        /// What is known of it.
        what: String,
    },
    /// Nothing bad was seen, but too little was seen at all. What was missing.
    Unwitnessed(String),
}

/// Judges a run.
pub(crate) fn judge(record: &Record) -> Finding {
    let Some(end) = record.mark(What::Ends) else {
        return Finding::Unwitnessed("the guest never told that its last stage was over".to_owned());
    };
    // By the time that the end was heard, the guest may have gone further.
    let views: Vec<_> = record.devices.iter().map(|device| View::new(record, device, end.after)).collect();
    let found: Vec<_> = views.iter().filter_map(View::interruption).collect();
    if let Some((at, what)) = found.iter().min_by_key(|(at, _)| *at) {
        let others = found.len() - 1;
        let others = if others > 0 { format!(" ({others} more devices were interrupted, too)") } else { String::new() };
        return Finding::Interrupted { at: *at, what: format!("{what}{others}") };
    }
    if views.is_empty() {
        return Finding::Unwitnessed("there was nothing to be witnessed".to_owned());
    }
    match blind(record, end.after).map_or_else(|| views.iter().map(View::summary).collect(), Err) {
        Ok(all) => Finding::Continuous(all),
        Err(missing) => Finding::Unwitnessed(missing),
    }
}

/// A time in which nobody sent anything and QEMU ran, if there was one: what is shorter than it would not have been noticed.
fn blind(record: &Record, end: u64) -> Option<String> {
    let start = record.devices.iter().filter_map(|device| device.since).min()?;
    let ticks = record.ticks.iter().copied().filter(|tick| (start..=end).contains(tick));
    let times: Vec<u64> = [start].into_iter().chain(ticks).chain([end]).collect();
    let pauses = times.windows(2).map(|pair| (pair[0], pair[1])).filter(|(from, to)| to.saturating_sub(*from) > BLIND);
    let (from, to, ran) = pauses.map(|(from, to)| (from, to, record.ran(from, to))).find(|(_, _, ran)| *ran > BLIND)?;
    let [pause, ran] = [to - from, ran].map(|time| time / 1_000_000);
    let from = seconds(from);
    Some(format!(
        "nobody sent frames for {pause} ms from {from} on, and QEMU ran for {ran} ms of it, of which nothing is known"
    ))
}

/// One device, up to the end of the count.
struct View<'a> {
    record: &'a Record,
    device: &'a Device,
    end: Look,
}

/// A time in which nothing landed that was longer than it may be.
struct Excess {
    /// From the last look that saw something land, to the next one; `None` if there was none.
    from: u64,
    to: Option<u64>,
    /// So many ticks came back in between.
    ticks: usize,
}

impl<'a> View<'a> {
    fn new(record: &'a Record, device: &'a Device, end: u64) -> Self {
        let end = device.until.map_or(end, |until| until.after);
        Self { record, device, end: Look { at: end, echoes: record.heard(end) } }
    }

    /// What was wrong first, and when.
    fn interruption(&self) -> Option<(u64, String)> {
        self.device.since?;
        let fault = self.device.faults.iter().find(|(at, _)| *at <= self.end.at || self.is_final(*at));
        let fault = fault.map(|(at, what)| (*at, format!("{}: {what}", self.device.name)));
        let silence = self.excess().map(|excess| (excess.from, self.tell(&excess)));
        [silence, self.lost(), fault].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The ring is compared when the end is heard, with what landed before.
    fn is_final(&self, at: u64) -> bool {
        self.device.until.as_ref().or(self.record.mark(What::Ends)).is_some_and(|end| end.at == at)
    }

    /// Frames that count, with their numbers.
    fn frames(&self) -> impl Iterator<Item = (u64, &'a Frame)> {
        let end = self.end.at;
        (self.device.first..).zip(&self.device.frames).filter(move |(_, frame)| frame.sent <= end)
    }

    /// Its landing, if that was before the end.
    fn landing(&self, frame: &Frame) -> Option<Landed> {
        frame.landed.filter(|landed| landed.seen.at <= self.end.at)
    }

    /// All landings, in the order of the frames' numbers; lost ones are left out.
    fn landings(&self) -> impl Iterator<Item = (u64, &'a Frame, Landed)> {
        self.frames().filter_map(|(number, frame)| Some((number, frame, self.landing(frame)?)))
    }

    /// When the count began.
    fn start(&self) -> Look {
        let at = self.device.since.unwrap_or(0);
        Look { at, echoes: self.record.heard(at) }
    }

    /// How long QEMU went on after a frame was sent while it had not landed: in nanoseconds and ticks, by the reference at a look.
    fn behind(&self, frame: &Frame, look: Look) -> (u64, usize) {
        (self.record.clock(look.echoes).saturating_sub(frame.sent), look.echoes.saturating_sub(frame.tick))
    }

    /// Whether it was late, or is by the end.
    fn late(&self, frame: &Frame) -> bool {
        let look = self.landing(frame).map_or(self.end, |landed| landed.missed);
        let (time, ticks) = self.behind(frame, look);
        time > self.record.limits.late_ms.saturating_mul(1_000_000) && ticks > self.record.limits.gap
    }

    /// The first silence that was too long, or in which a frame was late.
    fn excess(&self) -> Option<Excess> {
        let too_long = |from: Look, look: Look| look.echoes.saturating_sub(from.echoes) > self.record.limits.gap;
        let mut last = self.start();
        for (_, frame, Landed { missed, seen, .. }) in self.landings() {
            if too_long(last, missed) || self.late(frame) {
                let ticks = missed.echoes.saturating_sub(last.echoes);
                return Some(Excess { from: last.at, to: Some(seen.at), ticks });
            }
            last = seen;
        }
        let late = self.frames().any(|(_, frame)| self.landing(frame).is_none() && self.late(frame));
        let ticks = self.end.echoes.saturating_sub(last.echoes);
        (late || too_long(last, self.end)).then_some(Excess { from: last.at, to: None, ticks })
    }

    fn tell(&self, Excess { from, to, ticks }: &Excess) -> String {
        let name = &self.device.name;
        let since = seconds(*from);
        let gap = self.record.limits.gap;
        let limit = self.record.limits.late_ms;
        let Some(to) = to else {
            let frames = self.frames().filter(|(_, frame)| self.landing(frame).is_none());
            let numbers: Vec<_> = frames.map(|(number, _)| number).collect();
            let frames = match numbers.first() {
                Some(first) => format!("frame {first} and {} after it never landed", numbers.len() - 1),
                None => "it did not take any more frames".to_owned(),
            };
            return format!(
                "{name} wrote nothing any more from {since} on: {frames}, while {ticks} ticks of the reference came back"
            );
        };
        let length = to.saturating_sub(*from) / 1_000_000;
        let late = self.landings().filter(|(_, frame, _)| self.late(frame));
        let delays: Vec<_> =
            late.map(|(number, frame, landed)| (number, landed.seen.at.saturating_sub(frame.sent))).collect();
        let late = match delays.iter().max_by_key(|(_, delay)| delay) {
            Some((number, delay)) => format!(
                ": {} frames landed later than {limit} ms, frame {number} {} ms after it was sent",
                delays.len(),
                delay / 1_000_000
            ),
            None => String::new(),
        };
        format!(
            "{name} wrote nothing for {length} ms from {since} on, while {ticks} ticks of the reference came back, more than {gap}{late}"
        )
    }

    /// The first frame that was left out.
    fn lost(&self) -> Option<(u64, String)> {
        let (last, ..) = self.landings().last()?;
        let (number, frame) = self.frames().find(|(number, frame)| *number < last && self.landing(frame).is_none())?;
        let (next, ..) = self.landings().find(|(landed, ..)| *landed > number)?;
        let (name, sent) = (&self.device.name, seconds(frame.sent));
        Some((frame.sent, format!("{name} lost frame {number}, sent at {sent}: frame {next} landed and it did not")))
    }

    /// What there is to say of a device that was not interrupted, or why that was not seen.
    fn summary(&self) -> Result<Witnessed, String> {
        let name = &self.device.name;
        if self.device.since.is_none() {
            return Err(format!("no ring of {name} was ever set up"));
        }
        let mut blackouts = Vec::new();
        let last = self.record.limits.jumps.map_or(usize::MAX, |jumps| self.device.kernel.saturating_add(jumps));
        for hop in self.device.kernel..self.record.jumps.min(last) {
            let [jump, next] = [What::Jumps(hop), What::Speaks(hop + 1)].map(|what| self.record.mark(what));
            let (Some(jump), Some(next)) = (jump, next) else {
                return Err(format!("jump {hop} or the next kernel's first line was not heard"));
            };
            // It was there for certain, or may have been.
            let between = |Landed { seen, .. }: Landed| jump.at <= seen.at && seen.at <= next.at;
            let perhaps = |Landed { seen, missed, .. }: Landed| jump.after <= seen.at && missed.at <= next.at;
            let count =
                |within: &dyn Fn(Landed) -> bool| self.landings().filter(|(_, _, landed)| within(*landed)).count();
            let (arrivals, possible) = (count(&between), count(&perhaps));
            let wanted = self.record.limits.arrivals;
            if possible < wanted {
                let ms = next.at.saturating_sub(jump.at) / 1_000_000;
                return Err(format!(
                    "only {possible} frames of {name} landed in the {ms} ms of blackout {hop}, {wanted} must; no more were sent"
                ));
            }
            blackouts.push(Crossing { arrivals, microseconds: next.at.saturating_sub(jump.at) / 1000 });
        }
        let mut last = self.start();
        let (mut frames, mut silence, mut ticks, mut latest) = (0, 0, 0, 0);
        for (_, frame, Landed { missed, seen, .. }) in self.landings() {
            frames += 1;
            silence = silence.max(seen.at.saturating_sub(last.at));
            ticks = ticks.max(missed.echoes.saturating_sub(last.echoes));
            latest = latest.max(seen.at.saturating_sub(frame.sent));
            last = seen;
        }
        Ok(Witnessed {
            device: name.clone(),
            frames,
            latest_microseconds: latest / 1000,
            silence_microseconds: silence / 1000,
            silence_ticks: ticks,
            blackouts,
        })
    }
}
