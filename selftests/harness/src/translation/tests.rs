// SPDX-License-Identifier: GPL-2.0-only

//! Runs that were made up, and where the host is made to look.

use super::*;

const ON: u32 = 0xc700_0000;

fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

fn look(at: u64, status: u32) -> Look {
    let addresses = [("dut".to_owned(), 0x100), ("dut1".to_owned(), 0x200)].into();
    Look { at: ms(at), status, addresses }
}

fn fault(source: u16) -> Told {
    Told::Fault(Fault { source, reason: 2, address: 0x4000_1000, write: true })
}

/// Translation is on from 500 ms on, the second kernel's init starts after 2 s, and all is over after 3 s.
fn record(more: &[(u64, Told)]) -> Record {
    let mut told = vec![(ms(500), Told::Enabled(true)), (ms(3100), Told::Enabled(false))];
    told.extend(more.iter().map(|(at, told)| (ms(*at), *told)));
    told.sort_by_key(|(at, _)| *at);
    let (preserved, shut_out) = (vec!["dut".into()], vec!["dut1".into()]);
    let devices = Devices { preserved, shut_out, remapping_ends: false };
    Record { devices, told, looks: vec![look(1000, ON), look(2000, ON), look(2900, ON)], over: Some(ms(3000)) }
}

fn wrong(record: &Record) -> String {
    violation(record).map_or_else(String::new, |violation| violation.what)
}

#[test]
fn what_is_as_it_must_be() {
    let record = record(&[(1500, fault(0x200)), (2500, fault(0x200)), (2600, fault(0x300))]);
    assert_eq!((violation(&record), missing(&record, ms(2000))), (None, None));
    let summary = summary(&record).unwrap();
    assert_eq!((summary.milliseconds, summary.looks), (2500, 3));
    let refused: Vec<_> = summary.refused.into_iter().collect();
    assert_eq!(refused, [("03:00.0".to_owned(), 1), ("dut1".to_owned(), 2)]);
}

#[test]
fn translation_may_not_be_off() {
    let off = [(1200, Told::Enabled(false)), (1234, Told::Enabled(true))];
    assert_eq!(wrong(&record(&off)), "translation was switched off for 34 ms at 1.200 s");
    assert_eq!(wrong(&record(&off[..1])), "translation was switched off for good at 1.200 s");
    let never = Record { told: Vec::new(), ..record(&[]) };
    assert_eq!(wrong(&never), "no kernel ever switched translation on");
    // Firmware may have it on and off before; and when all is over, nobody cares.
    assert_eq!(wrong(&record(&[(400, Told::Enabled(false))])), "");
}

#[test]
fn the_root_table_stays_where_it_is() {
    let root = |at| wrong(&record(&[(at, Told::Root(0x1000))]));
    assert_eq!(root(1200), "the IOMMU was given a root table at 0x1000 at 1.200 s");
    assert_eq!((root(400), root(3050)), (String::new(), String::new()));
}

#[test]
fn interrupts_are_blocked_between_kernels() {
    let [first, blocked, next] =
        [(400, 0x1_0000), (1900, 2), (1950, 0x1_0000)].map(|(at, n)| (at, Told::Interrupts(n)));
    let text = "interrupts were remapped by a table of the kernel before until 1.950 s";
    assert_eq!(wrong(&record(&[first, blocked, next])), "");
    assert_eq!(wrong(&record(&[first, blocked, next, (2500, Told::Interrupts(2))])), "");
    assert_eq!(wrong(&record(&[first, next])), text);
    assert_eq!(wrong(&record(&[first, (300, Told::Interrupts(0x1_0000)), blocked, next])), "", "of firmware");

    let off = (1940, Told::Remaps(false));
    assert_eq!(wrong(&record(&[off])), "interrupts were no longer remapped at 1.940 s");
    assert_eq!(wrong(&record(&[(400, Told::Remaps(false)), (3050, Told::Remaps(false))])), "");
    let mut ends = record(&[first, blocked, off, next]);
    ends.devices.remapping_ends = true;
    assert_eq!(wrong(&ends), "");

    // A kernel that has no table of its own makes no difference.
    let refused = (2500, fault(0x200));
    let missing = |told: &[_]| missing(&record(told), ms(2000)).unwrap_or_default();
    assert_eq!(missing(&[first, refused]), "interrupts were remapped before the last kexec, and not blocked then");
    assert_eq!((missing(&[first, blocked, refused]), missing(&[refused])), (String::new(), String::new()));
}

#[test]
fn the_register_is_believed_as_well() {
    let mut record = record(&[]);
    record.looks[1].status = 0x4700_0000;
    assert_eq!(wrong(&record), "at 2.000 s the IOMMU's status register is 0x47000000: it does not translate");
}

#[test]
fn a_preserved_device_is_refused_nothing() {
    let text = "dut was refused a write to 0x40001000 at 1.300 s (fault 2)";
    assert_eq!(wrong(&record(&[(1300, fault(0x100))])), text);
    assert_eq!(
        wrong(&record(&[(1300, fault(0x100)), (1400, fault(0x100)), (1350, fault(0x200))])),
        format!("{text}, and 1 more requests")
    );
    assert_eq!(wrong(&record(&[(3050, fault(0x100))])), "");
    // The first of several counts.
    let both = [(1200, Told::Enabled(false)), (1300, fault(0x100))];
    assert_eq!(violation(&record(&both)).map(|violation| violation.at), Some(ms(1200)));
}

#[test]
fn buses_may_get_other_numbers() {
    let mut record = record(&[(1500, fault(0x300)), (2500, fault(0x300))]);
    record.looks[1].addresses.insert("dut".into(), 0x300);
    assert_eq!(wrong(&record), "dut was refused a write to 0x40001000 at 2.500 s (fault 2)");
}

#[test]
fn who_is_shut_out_has_tried() {
    let text = "no request of dut1 was refused after the last kexec: it tried nothing, or was let through";
    for faults in [&[][..], &[(1500, fault(0x200))], &[(2500, fault(0x300))], &[(3050, fault(0x200))]] {
        assert_eq!(missing(&record(faults), ms(2000)).as_deref(), Some(text), "{faults:?}");
    }
}

#[test]
fn the_host_looks_in_every_stage() {
    let text = r#"[{"steps":["kexec-unload",{"kexec-load":{"kernel":"incoming"}},"kexec-unload","kexec-reboot"]},
                   {"steps":["kexec-unload","kexec-reboot"]},{"steps":[]}]"#;
    let mut stages: Vec<Stage> = serde_json::from_str(text).unwrap();
    watched(&mut stages);
    let name = |step: &Step| match step {
        Step::Host { action: HostAction::CheckTranslation } => "look",
        Step::KexecLoad { .. } => "load",
        Step::KexecReboot => "jump",
        _ => "other",
    };
    let names: Vec<Vec<_>> = stages.iter().map(|stage| stage.steps.iter().map(name).collect()).collect();
    assert_eq!(
        names,
        [vec!["other", "look", "load", "other", "jump"], vec!["look", "other", "look", "jump"], vec!["look", "look"]]
    );
}

#[test]
fn a_trace_is_put_on_the_clock_of_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let directory = Utf8Path::from_path(directory.path()).unwrap();
    let task = Task::new(Devices::default(), directory);
    let started = SystemTime::UNIX_EPOCH + Duration::from_millis(100_250);
    let read = || Record::new(&task, Vec::new(), started, Some(Duration::from_secs(1))).unwrap();
    assert_eq!(read().told, [], "QEMU did not get so far");
    std::fs::write(&task.trace, "1@100.500000:vtd_dmar_enable enable 1\n1@100.500001:vtd_reset_exit\n1@10").unwrap();
    assert_eq!(
        read(),
        Record { told: vec![(ms(250), Told::Enabled(true))], over: Some(ms(1000)), ..Record::default() }
    );
}
