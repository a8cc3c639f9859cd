// SPDX-License-Identifier: GPL-2.0-only

//! What QEMU traces of its Intel IOMMU, one event per line:
//!
//! ```text
//! 4711@1700000000.123456:vtd_dmar_enable enable 1
//! 4711@1700000002.000001:vtd_dmar_fault sid 0x100 fault 2 addr 0x40001000 write 1
//! ```
//!
//! The number in front is QEMU's process, the next one the time in seconds since 1970. A fault is traced whether or not the guest is told of
//! it. All but one kind are judged; that shows people what led to it.

use std::time::Duration;

use camino::Utf8Path;

/// Translation, and with it all that devices can reach, is switched on or off.
const ENABLE: &str = "vtd_dmar_enable";
/// A request is refused.
const FAULT: &str = "vtd_dmar_fault";
/// The unit is told where its root table is.
const ROOT: &str = "vtd_reg_dmar_root";
/// Interrupts are remapped from now on, or no longer.
const REMAP: &str = "vtd_ir_enable";
/// The unit is told where the table for that is, and how many entries it has.
const INTERRUPTS: &str = "vtd_reg_ir_root";
/// For people: a fault of an entry that wants none to be told.
const OTHER: &str = "vtd_fault_disabled";

/// QEMU's arguments. The log has what else QEMU logs as well, which usually is nothing.
pub(crate) fn arguments(log: &Utf8Path) -> Vec<(&'static str, String)> {
    let events = [ENABLE, FAULT, ROOT, OTHER, REMAP, INTERRUPTS];
    let events = events.into_iter().map(|event| ("-trace", format!("enable={event}")));
    // Without it there are no times.
    events.chain([("-msg", "timestamp=on".to_owned()), ("-D", log.to_string())]).collect()
}

/// What a line tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    /// Translation was switched on, or off.
    Enabled(bool),
    /// A request was refused.
    Fault(Fault),
    /// The root table is at this address from now on.
    Root(u64),
    /// Interrupts are remapped from now on, or no longer.
    Remaps(bool),
    /// The table that they are remapped by has so many entries from now on.
    Interrupts(u64),
}

/// A request that was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// Whose, by bus, device and function number.
    pub(crate) source: u16,
    /// Why, by the number of the VT-d specification.
    pub(crate) reason: u32,
    /// What the device wanted to access.
    pub(crate) address: u64,
    /// Whether it was going to write.
    pub(crate) write: bool,
}

/// Reads a line; the time counts from 1970. `None` for those that are not judged.
pub(super) fn parse(line: &str) -> Option<(Duration, Told)> {
    let (time, event) = line.split_once('@')?.1.split_once(':')?;
    let (seconds, micros) = time.split_once('.')?;
    let at = Duration::from_secs(seconds.parse().ok()?).checked_add(Duration::from_micros(micros.parse().ok()?))?;
    let mut words = event.split_ascii_whitespace();
    let told = match words.next()? {
        ENABLE => Told::Enabled(number(&mut words, "enable")? != 0),
        FAULT => Told::Fault(Fault {
            source: number(&mut words, "sid")?.try_into().ok()?,
            reason: number(&mut words, "fault")?.try_into().ok()?,
            address: number(&mut words, "addr")?,
            write: number(&mut words, "write")? != 0,
        }),
        ROOT => Told::Root(number(&mut words, "addr")?),
        REMAP => Told::Remaps(number(&mut words, "enable")? != 0),
        INTERRUPTS => {
            number(&mut words, "addr")?;
            Told::Interrupts(number(&mut words, "size")?)
        }
        _ => return None,
    };
    Some((at, told))
}

/// The number behind the next word, which must be this one.
fn number<'a>(words: &mut impl Iterator<Item = &'a str>, name: &str) -> Option<u64> {
    let (word, value) = (words.next()?, words.next()?);
    match value.strip_prefix("0x") {
        _ if word != name => None,
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let at = Duration::new(1_795_220_043, 367_374_000);
        let line = |rest: &str| parse(&format!("27234@1795220043.367374:{rest}"));
        assert_eq!(line("vtd_dmar_enable enable 0"), Some((at, Told::Enabled(false))));
        assert_eq!(line("vtd_dmar_enable enable 1 "), Some((at, Told::Enabled(true))));
        assert_eq!(line("vtd_reg_dmar_root addr 0x6822000 scalable 1"), Some((at, Told::Root(0x682_2000))));
        let fault = Fault { source: 0x100, reason: 6, address: 0x4000_1000, write: true };
        assert_eq!(line("vtd_dmar_fault sid 0x100 fault 6 addr 0x40001000 write 1"), Some((at, Told::Fault(fault))));
        assert_eq!(line("vtd_ir_enable enable 1"), Some((at, Told::Remaps(true))));
        assert_eq!(line("vtd_reg_ir_root addr 0x6822000 size 0x10000"), Some((at, Told::Interrupts(0x1_0000))));
        for other in ["vtd_reset_exit ", "vtd_dmar_fault sid 0x10000 fault 6 addr 0x0 write 0", ""] {
            assert_eq!(line(other), None, "{other}");
        }
        assert_eq!(parse("vtd_dmar_enable enable 1"), None, "without a time it proves nothing");
    }

    #[test]
    fn few_events_are_asked_for() {
        let all: Vec<_> =
            arguments(Utf8Path::new("a,b")).into_iter().map(|(option, value)| format!("{option} {value}")).collect();
        insta::assert_snapshot!(all.join("\n"), @"
        -trace enable=vtd_dmar_enable
        -trace enable=vtd_dmar_fault
        -trace enable=vtd_reg_dmar_root
        -trace enable=vtd_fault_disabled
        -trace enable=vtd_ir_enable
        -trace enable=vtd_reg_ir_root
        -msg timestamp=on
        -D a,b
        ");
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in "[0-9]{0,3}@?[0-9]{0,22}\\.?[0-9]{0,22}:?(vtd_(dmar_(enable|fault)|reg_(dmar|ir)_root|ir_enable))?( sid| enable| addr)? ?(0x)?[0-9a-f]{0,20}.*") {
            let _ = parse(&line);
        }
    }
}
