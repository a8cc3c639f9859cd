// SPDX-License-Identifier: GPL-2.0-only

//! Records are judged.

use crate::report::Crossing;
use crate::witness::{Device, Finding, Frame, Landed, Limits, Look, Mark, Record, What, judge};

const MS: u64 = 1_000_000;
/// Between two ticks.
const PERIOD: u64 = 5 * MS;
const TICKS: usize = 600;
/// The host's time of the jump, of the next kernel's first line, and of the end.
const JUMP: u64 = 1000 * MS;
const LINE: u64 = 1300 * MS;
const END: u64 = 2900 * MS;

/// A run in which every tick comes back 1 ms after it was sent, and every frame lands within the next millisecond.
fn good() -> Record {
    let ticks: Vec<u64> = (0..TICKS as u64).map(|tick| tick * PERIOD).collect();
    let echoes = ticks.iter().map(|sent| sent + MS).collect();
    let frame = |(tick, sent): (usize, &u64)| {
        let landed = Landed {
            missed: Look { at: *sent, echoes: tick },
            seen: Look { at: sent + 2 * MS, echoes: tick + 1 },
            descriptor: tick,
        };
        Frame { tick, sent: *sent, landed: Some(landed) }
    };
    let frames = ticks.iter().enumerate().skip(20).map(frame).collect();
    let device = Device { name: "dut".into(), since: Some(20 * PERIOD - MS), first: 7, frames, ..Device::default() };
    let mark = |what, at| Mark { what, after: at - MS, at };
    let marks = vec![
        mark(What::Leaves(0), JUMP - 20 * MS),
        mark(What::Jumps(0), JUMP),
        mark(What::Speaks(1), LINE),
        mark(What::Ends, END),
    ];
    Record { limits: Limits::default(), jumps: 1, ticks, echoes, marks, devices: vec![device], ..Record::default() }
}

/// From the frame of this tick on, so many are held back until the last of them is sent and land together then.
fn held(record: &mut Record, from: usize, count: usize) {
    let until = from + count;
    for frame in &mut record.devices[0].frames {
        if (from..until).contains(&frame.tick) {
            let at = until as u64 * PERIOD;
            let descriptor = frame.tick;
            frame.landed = Some(Landed {
                missed: Look { at, echoes: until },
                seen: Look { at: at + MS, echoes: until },
                descriptor,
            });
        }
    }
}

fn interrupted(record: &Record) -> String {
    match judge(record) {
        Finding::Interrupted { what, .. } => what,
        other => panic!("{other:?}"),
    }
}

fn unwitnessed(record: &Record) -> String {
    match judge(record) {
        Finding::Unwitnessed(what) => what,
        other => panic!("{other:?}"),
    }
}

fn continuous(record: &Record) -> bool {
    matches!(judge(record), Finding::Continuous(_))
}

#[test]
fn a_device_that_writes_all_the_time() {
    let Finding::Continuous(all) = judge(&good()) else { panic!("{:?}", judge(&good())) };
    let [dut] = &all[..] else { panic!("{all:?}") };
    assert_eq!((dut.device.as_str(), dut.frames), ("dut", 560));
    assert_eq!((dut.latest_microseconds, dut.silence_microseconds, dut.silence_ticks), (2000, 5000, 0));
    assert_eq!(dut.blackouts, [Crossing { arrivals: 60, microseconds: 300_000 }]);
}

#[test]
fn frames_that_come_late_are_an_interruption_although_none_is_lost() {
    let mut record = good();
    held(&mut record, 220, 60);
    assert_eq!(
        interrupted(&record),
        "dut wrote nothing for 304 ms from 1.097 s on, while 60 ticks of the reference came back, more than 20: 9 frames landed \
         later than 250 ms, frame 207 301 ms after it was sent"
    );
    // Less than 250 ms, but that is a gap.
    let mut record = good();
    held(&mut record, 220, 22);
    assert!(
        interrupted(&record).ends_with("22 ticks of the reference came back, more than 20"),
        "{}",
        interrupted(&record)
    );
    let mut record = good();
    held(&mut record, 220, 20);
    assert!(continuous(&record));
}

#[test]
fn a_device_that_stops_for_good() {
    let mut record = good();
    let frames = &mut record.devices[0].frames;
    frames.truncate(400);
    frames[390..].iter_mut().for_each(|frame| frame.landed = None);
    assert_eq!(
        interrupted(&record),
        "dut wrote nothing any more from 2.047 s on: frame 397 and 9 after it never landed, while 170 ticks of the reference came back"
    );
    // It does not even take frames.
    record.devices[0].frames.truncate(390);
    assert!(interrupted(&record).contains("it did not take any more frames"));
}

#[test]
fn the_first_interruption_counts() {
    let mut record = good();
    let mut other = record.devices[0].clone();
    other.name = "dut1".into();
    record.devices.push(other);
    held(&mut record, 320, 60);
    record.devices[1].frames[100].landed = None;
    let what = interrupted(&record);
    assert_eq!(
        what,
        "dut1 lost frame 107, sent at 0.600 s: frame 108 landed and it did not (1 more devices were interrupted, too)"
    );
}

#[test]
fn faults_in_the_ring_count_up_to_the_end_and_those_found_then_too() {
    for (at, counts) in [(JUMP, true), (END, true), (END - MS + 1, false), (END + 1, false)] {
        let mut record = good();
        record.devices[0].faults.push((at, "descriptor 3 is bad".into()));
        assert_eq!(!continuous(&record), counts, "{at}");
    }
    let mut record = good();
    record.devices[0].faults.push((JUMP, "descriptor 3 is bad".into()));
    assert_eq!(interrupted(&record), "dut: descriptor 3 is bad");
}

#[test]
fn a_host_that_is_kept_from_running_is_no_interruption() {
    // For 800 ms nobody does anything; then everything happens at once: the ticks that were under way come back, and the frames that
    // were sent with them are seen to land.
    let mut record = good();
    let stall = 800 * MS;
    let from = 300;
    for tick in from..TICKS {
        record.ticks[tick] += if tick < from + 8 { 0 } else { stall };
        record.echoes[tick] += stall;
    }
    for frame in record.devices[0].frames.iter_mut().filter(|frame| frame.tick >= from) {
        let landed = frame.landed.as_mut().unwrap();
        frame.sent = record.ticks[frame.tick];
        // The last looks without them were before, or in between.
        landed.missed = if frame.tick < from + 8 {
            Look { at: frame.sent, echoes: from }
        } else {
            Look { at: frame.sent, echoes: frame.tick }
        };
        landed.seen.at += stall;
    }
    record.marks[3] = Mark { what: What::Ends, after: END + stall - MS, at: END + stall };
    let Finding::Continuous(all) = judge(&record) else { panic!("{:?}", judge(&record)) };
    assert!(all[0].latest_microseconds > 800_000, "on the host's clock that was late");
    // A tick or two more than there should be, and one that was sent much later: still within what may be under way.
    for frame in record.devices[0].frames.iter_mut().filter(|frame| (from..from + 8).contains(&frame.tick)) {
        frame.landed.as_mut().unwrap().missed.echoes = from + 10;
    }
    assert!(continuous(&record));
}

#[test]
fn a_host_that_looks_away_for_too_long_sees_nothing() {
    let mut record = good();
    for tick in 300..TICKS {
        record.ticks[tick] += 1100 * MS;
        record.echoes[tick] += 1100 * MS;
    }
    for frame in record.devices[0].frames.iter_mut().filter(|frame| frame.tick >= 300) {
        let landed = frame.landed.as_mut().unwrap();
        frame.sent += 1100 * MS;
        landed.missed.at += 1100 * MS;
        landed.seen.at += 1100 * MS;
    }
    record.marks[3] = Mark { what: What::Ends, after: END + 1099 * MS, at: END + 1100 * MS };
    record.used = vec![(1400 * MS, 50 * MS), (1500 * MS, 90 * MS), (2600 * MS, 1100 * MS), (2700 * MS, 1150 * MS)];
    assert_eq!(
        unwitnessed(&record),
        "nobody sent frames for 1105 ms from 1.495 s on, and QEMU ran for 1050 ms of it, of which nothing is known"
    );
    record.used[2].1 = 1000 * MS;
    assert!(continuous(&record), "nor did QEMU do anything in the meantime");
    record.used.clear();
    assert!(unwitnessed(&record).contains("1105 ms of it"), "it may have");
}

#[test]
fn what_happens_after_the_end_does_not_count() {
    let mut record = good();
    let last = record.devices[0].frames.len();
    // Under way when the guest went down, or sent after that.
    record.devices[0].frames[last - 40..].iter_mut().for_each(|frame| frame.landed = None);
    assert!(continuous(&record));
    // Too long before.
    record.devices[0].frames[last - 42..].iter_mut().for_each(|frame| frame.landed = None);
    assert!(interrupted(&record).contains("wrote nothing any more"));
}

#[test]
fn a_device_that_is_given_up_and_started_anew_counts_twice() {
    let mut record = good();
    record.limits.jumps = Some(1);
    record.jumps = 2;
    let leaves = Mark { what: What::Leaves(1), after: 1600 * MS - MS, at: 1600 * MS };
    let mark = |what, at| Mark { what, after: at - MS, at };
    record.marks.splice(3..3, [leaves, mark(What::Jumps(1), 1620 * MS), mark(What::Speaks(2), 1920 * MS)]);
    // From the second kernel's end on nothing lands, until the third one starts it again.
    let old = &mut record.devices[0];
    let later = old.frames.iter().filter(|frame| frame.sent > 2000 * MS).copied().collect::<Vec<_>>();
    old.frames.iter_mut().filter(|frame| frame.sent > 1600 * MS).for_each(|frame| frame.landed = None);
    old.until = Some(leaves);
    let (since, first) = (later.first().map(|frame| frame.sent - MS), 1000);
    let new = Device { name: "dut".into(), kernel: 2, since, first, frames: later, ..Device::default() };
    record.devices.push(new);
    let Finding::Continuous(all) = judge(&record) else { panic!("{:?}", judge(&record)) };
    assert_eq!(all.iter().map(|one| one.blackouts.len()).collect::<Vec<_>>(), [1, 0]);
    // What was wrong before it was given up was wrong, and what its ring held then.
    let mut bad = record.clone();
    held(&mut bad, 220, 60);
    assert!(interrupted(&bad).starts_with("dut wrote nothing for"));
    let mut bad = record.clone();
    bad.devices[0].faults.push((leaves.at, "descriptor 3 is bad".into()));
    assert_eq!(interrupted(&bad), "dut: descriptor 3 is bad");
    record.devices[0].faults.push((leaves.at + 1, "descriptor 3 is bad".into()));
    assert!(continuous(&record));
    // It was to go on over one more jump.
    record.limits.jumps = Some(2);
    assert!(unwitnessed(&record).contains("blackout 1"), "{}", unwitnessed(&record));
}

#[test]
fn too_little_to_tell() {
    let mut record = good();
    record.limits.arrivals = 64;
    assert_eq!(
        unwitnessed(&record),
        "only 61 frames of dut landed in the 300 ms of blackout 0, 64 must; no more were sent",
        "one that may have landed in it is counted"
    );
    record.limits.arrivals = 61;
    assert!(continuous(&record));
    for lost in [1, 2] {
        let mut record = good();
        record.marks.remove(lost);
        assert!(unwitnessed(&record).contains("was not heard"));
    }
    let mut record = good();
    record.marks.pop();
    assert!(unwitnessed(&record).contains("never told"));
    record = good();
    record.devices.push(Device { name: "dut1".into(), ..Device::default() });
    assert_eq!(unwitnessed(&record), "no ring of dut1 was ever set up");
    // An interruption is one, however little was seen.
    held(&mut record, 220, 60);
    interrupted(&record);
}
