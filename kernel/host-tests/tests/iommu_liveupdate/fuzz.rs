// SPDX-License-Identifier: GPL-2.0-only

//! Hand-overs that are damaged in any way.
//!
//! Each iteration takes what a kernel would hand over, damages it, and does with it what the next kernel does. Whatever
//! comes out of it must be so: a fault that is named is there, and what passes has none.

use std::collections::BTreeMap;

use host_tests::fuzz::{run, Random};

use crate::corpus;
use crate::handover::{self, Fault};
use crate::image::{Image, Reading};
use crate::opinion::{self, Listed};

/// So many iterations take a few seconds in a debug build.
const ITERATIONS: u64 = 300_000;

/// How often something came of an iteration.
#[derive(Debug, Default)]
struct Counts(BTreeMap<&'static str, usize>);

impl Counts {
    fn add(&mut self, outcome: &'static str) {
        *self.0.entry(outcome).or_default() += 1;
    }

    fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Whether there was enough of each of these, more than one in so many, and of nothing else.
    ///
    /// Otherwise a corpus is of no use.
    fn assert(&self, wanted: &[(&'static str, usize)]) {
        let total = self.total();
        // A run for a single iteration says nothing about the others.
        if total >= 10_000 {
            for (outcome, least) in wanted {
                let count = self.0.get(outcome).copied().unwrap_or_default();
                assert!(count > total / least, "{outcome}: {count} of {total}: {self:?}");
            }
        }
        let is_wanted = |outcome| wanted.iter().any(|(wanted, _)| wanted == outcome);
        assert!(self.0.keys().all(is_wanted), "{self:?}");
    }
}

/// What cannot be read, by the fault.
fn unreadable(fault: Fault) -> &'static str {
    match fault {
        Fault::Version(_) => "version",
        Fault::Units(_) => "number of units",
        Fault::Unit(_) => "unit",
        Fault::Unknown => "unknown",
        Fault::Domains { .. } => "number of domains",
        Fault::Domain(_) => "domain",
        Fault::Devices(_, 0) => "no devices",
        Fault::Devices(..) => "number of devices",
        Fault::Device(..) => "device behind no unit",
        Fault::DomainId(..) | Fault::NoMemory => panic!("this is no fault of the reader: {fault}"),
    }
}

/// What contradicts itself, by the fault and by what the devices say.
fn contradiction(fault: Fault, devices: &[Listed]) -> &'static str {
    match (fault, opinion::has_shared_id(devices), opinion::has_second_id(devices)) {
        (Fault::Device(..), ..) => "device listed twice",
        (Fault::Unit(_), ..) => "unused unit",
        (Fault::DomainId(..), true, true) => "ids of several kinds",
        (Fault::DomainId(..), true, false) => "id of two domains",
        (Fault::DomainId(..), false, _) => "two ids of a domain",
        _ => panic!("this is no fault of a list: {fault}"),
    }
}

/// Checks a list as the kernel does, and says what came of it.
fn check(nr_units: usize, listed: &[Listed]) -> &'static str {
    let mut devices = listed.to_vec();
    if let Err(fault) = handover::check(nr_units, &mut devices) {
        assert!(opinion::has(nr_units, listed, fault), "it is not so that {fault}: {nr_units}, {listed:x?}");
        return contradiction(fault, listed);
    }
    assert!(opinion::is_right(nr_units, listed), "a fault was not noticed: {nr_units}, {listed:x?}");
    assert_eq!(devices.len(), listed.len());
    for one in listed {
        let (segment, bdf) = one.1.address();
        assert_eq!(handover::find(&devices, segment, bdf).map(|index| devices[index]), Some(*one));
    }
    "pass"
}

/// Reads and checks an image as the kernel does, and says what came of it.
fn judge(image: &Image) -> &'static str {
    let Reading { result, claims, .. } = image.read();
    assert!(claims <= image.pages.len() + 1, "{claims} claims");

    match result {
        Ok(contents) => {
            // Whether devices agree is not the matter of the reader.
            assert!(image.is_readable_as(&contents), "a fault was not noticed");
            check(contents.units.len(), &contents.devices())
        }
        Err(fault) => {
            assert!(image.is_unreadable_for(fault), "there is no such fault: {fault}");
            // It does not say where, but it is where the reader got to.
            assert!(fault != Fault::Unknown || image.has_unknown_field(claims), "domain {claims} is known");
            unreadable(fault)
        }
    }
}

#[test]
fn damage_is_named_or_harmless() {
    let mut counts = Counts::default();
    run(ITERATIONS, |random: &mut Random| counts.add(judge(&corpus::image(random))));
    counts.assert(&[
        ("pass", 5),
        ("version", 100),
        ("number of units", 100),
        ("unit", 100),
        ("unknown", 100),
        ("number of domains", 100),
        ("domain", 100),
        ("no devices", 100),
        ("number of devices", 100),
        ("device behind no unit", 100),
        ("device listed twice", 100),
        ("unused unit", 200),
        ("two ids of a domain", 200),
        ("id of two domains", 500),
        // One change of a hand-over that is right seldom leads to both.
        ("ids of several kinds", 10_000),
    ]);
}

#[test]
fn lists_are_right_or_have_a_fault() {
    let mut counts = Counts::default();
    run(ITERATIONS, |random: &mut Random| {
        let (nr_units, devices) = corpus::devices(random);
        counts.add(check(nr_units, &devices));
    });
    counts.assert(&[
        ("pass", 4),
        ("device listed twice", 50),
        ("unused unit", 50),
        ("two ids of a domain", 50),
        ("id of two domains", 50),
        ("ids of several kinds", 50),
    ]);
}
