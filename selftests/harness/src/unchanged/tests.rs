// SPDX-License-Identifier: GPL-2.0-only

//! What counts as a change, in made-up memory.

use super::*;
use crate::vtd::Ram;

const REGISTER: u64 = 0x1400;
const DEVICE: u16 = 0x0100;

/// In scalable mode, two functions share a context table; the first one has a page, with page requests.
fn ram() -> Ram {
    let mut ram = Ram::new(32);
    ram.put(0x1000 + 16, &[0x2001, 0x2001]);
    ram.put(0x2000, &[0x3001 | PAGE_REQUESTS, 0, 0, 0, 0x9001]);
    ram.put(0x3000, &[0x4001]);
    ram.put(0x4000, &[0x5001 | 1 << 2 | 2 << 6, 7]);
    ram.put(0x5000, &[0x6003]);
    ram.put(0x6000, &[0x7003]);
    ram.put(0x7000, &[0x8003]);
    ram.put(0xa000, &[1, 2, 3]);
    ram
}

fn recorded() -> Recorded {
    let mut recorded = Recorded::default();
    recorded.add_tables(&ram(), REGISTER, "dut", DEVICE).unwrap();
    recorded.add_ring(&ram(), "dut1", [0xa000, 0xb000]).unwrap();
    recorded
}

fn change(changes: &[(u64, u64)]) -> String {
    let mut ram = ram();
    changes.iter().for_each(|(at, word)| ram.put(*at, &[*word]));
    recorded().change(&ram, Some(REGISTER)).unwrap_or_default()
}

#[test]
fn nothing_has_changed() {
    assert_eq!(change(&[]), "");
    assert_eq!(recorded().bytes(), 8 + 32 + 8 + 64 + 3 * 4096 + 2 * 4096);
    // Page requests, other devices of the bus, other PASIDs.
    for (at, word) in [(0x2000, 0x3001), (0x2020, 0), (0x1018, 0), (0x3008, 0x9001), (0x4040, 1)] {
        assert_eq!(change(&[(at, word)]), "", "{at:#x}");
    }
}

#[test]
fn every_change_is_named() {
    let all = [
        change(&[(0x1010, 0)]),
        change(&[(0x2000, 0x3001 | PAGE_REQUESTS | 2)]),
        change(&[(0x2008, 1)]),
        change(&[(0x3000, 0)]),
        change(&[(0x4038, 1)]),
        change(&[(0x5000 + 511 * 8, 1)]),
        change(&[(0x7000, 0x8001)]),
        change(&[(0xb000, 1)]),
        change(&[(0x7000, 0), (0x4008, 8), (0xa010, 0)]),
        recorded().change(&ram(), Some(0x1000)).unwrap(),
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    word 0 of the root entry of dut at 0x1010 changed from 0x2001 to 0x0
    word 0 of the context entry of dut at 0x2000 changed from 0x3011 to 0x3013
    word 1 of the context entry of dut at 0x2000 changed from 0x0 to 0x1
    word 0 of the PASID directory entry of dut at 0x3000 changed from 0x4001 to 0x0
    word 7 of the PASID entry of dut at 0x4000 changed from 0x0 to 0x1
    entry 511 of the page table of level 2 of dut at 0x5000 changed from 0x0 to 0x1
    entry 0 of the page table of level 0 of dut at 0x7000 changed from 0x8003 to 0x8001
    word 0 of the ring page of dut1 at 0xb000 changed from 0x0 to 0x1
    word 1 of the PASID entry of dut at 0x4000 changed from 0x7 to 0x8; so did 2 more
    the register of the root table was 0x1400 and is 0x1000
    ");
}

#[test]
fn nothing_is_no_answer() {
    let change = Recorded::default().change(&ram(), None).unwrap();
    assert_eq!(change, "it was to be compared, and nothing was recorded before");
}

#[test]
fn in_legacy_mode_all_of_the_context_entry_counts() {
    let mut ram = Ram::new(32);
    ram.put(0x1010, &[0x2001]);
    ram.put(0x2000, &[0x5001, 1]);
    let mut recorded = Recorded::default();
    recorded.add_tables(&ram, 0x1000, "dut", DEVICE).unwrap();
    ram.put(0x2000, &[0x5001 | PAGE_REQUESTS]);
    let changed = recorded.change(&ram, Some(0x1000)).unwrap();
    assert_eq!(changed, "word 0 of the context entry of dut at 0x2000 changed from 0x5001 to 0x5011");
}

#[test]
fn what_cannot_be_followed_is_told() {
    let mut recorded = Recorded::default();
    let mut lost = |register, device| recorded.add_tables(&ram(), register, "dut", device).unwrap_err();
    insta::assert_snapshot!([lost(REGISTER, 0x0101), lost(0x1c00, DEVICE), lost(REGISTER, 0x0200)].join("\n"), @"
    the tables of dut cannot be followed: its PASID directory entry at 0x9000 is not in use
    the tables of dut cannot be followed: the unit is in mode 3, which is neither legacy nor scalable
    the tables of dut cannot be followed: its root entry at 0x1020 is not in use
    ");
    assert_eq!(recorded.add_ring(&ram(), "dut", [0x20000]).unwrap_err(), "there is no memory at 0x20000");
}

#[test]
fn the_host_compares_before_the_end() {
    let stages = |step: &str, between: &str| {
        let text =
            format!(r#"[{{"steps":[{step}"kexec-reboot"],"between":[{between}]}},{{"steps":["kexec-unload"]}}]"#);
        let mut stages: Vec<Stage> = serde_json::from_str(&text).unwrap();
        (compared(&mut stages), stages[1].steps.len())
    };
    assert_eq!(stages("", r#"{"record":{"rings":["dut"]}}"#), (true, 2));
    assert_eq!(stages(r#"{"host":{"do":{"record":{"tables":["dut"]}}}},"#, ""), (true, 2));
    assert_eq!(stages(r#"{"host":{"do":"compare"}},"#, ""), (false, 1));
}

#[test]
fn what_is_left_of_an_entry_is_told() {
    let cleared = |device, changes: &[(u64, u64)]| {
        let mut ram = ram();
        changes.iter().for_each(|(at, word)| ram.put(*at, &[*word]));
        left(&ram, REGISTER, "dut", device).unwrap_or_default()
    };
    // The root entry, or the one of the device.
    assert_eq!((cleared(0x0200, &[]), cleared(DEVICE, &[(0x2000, 0)])), (String::new(), String::new()));
    let all = [
        cleared(DEVICE, &[]),
        cleared(DEVICE, &[(0x2000, 0), (0x2008, 5)]),
        // The entry is there, and what it leads to is not in use.
        cleared(0x0101, &[]),
        cleared(DEVICE, &[(0x1010, 0x20001)]),
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    the tables of dut are still in use
    the context entry of dut at 0x2000 is not zero: [0, 5, 0, 0]
    the context entry of dut is still in use
    what leads to dut cannot be followed: there is no memory at 0x20000
    ");
}
