// SPDX-License-Identifier: GPL-2.0-only

//! From what a run of the scenario `matrix/handover` showed to what became of what was handed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Fate, Fates};

/// What a kernel says that stops as documented.
const DOCUMENTED: [&str; 3] = [
    // The PCI core, at the first PCI device: Documentation/PCI/liveupdate.rst.
    "PCI: the hand-over \"pci\" of the previous kernel cannot be trusted",
    // The IOMMU core, about a live translation: Documentation/userspace-api/iommufd-liveupdate.rst.
    "iommu: the hand-over \"iommu-running\" of the previous kernel cannot be trusted",
    // The LUO, before that.
    "The incoming tree failed to initialize properly",
];

/// How each step ends for a device whose live translation the incoming kernel has taken over: well, or with an errno. Nobody can use it,
/// and nobody can let go of it.
const CONTAINED: [(&str, Option<&str>); 8] = [
    ("preserve-device", None),
    ("session", None),
    ("running", None),
    ("known", None),
    ("device", None),
    ("device-bound", Some("EPERM")),
    ("translation", Some("EOPNOTSUPP")),
    ("finish", Some("EBUSY")),
];

/// How an observed step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Well.
    Done,
    /// The kernel call failed with this errno.
    Errno(String),
    /// It found something else, or could not be tried.
    Failed,
}

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whether both kernels did all that the plan says, and said nothing bad.
    pub passed: bool,
    /// Whether the second kernel was seen to run. Answers from before this was kept do not say so.
    #[serde(default)]
    pub arrived: bool,
    /// Whether the second kernel panicked while it took over.
    pub restore_panic: bool,
    /// Why not, if not.
    pub reason: String,
    /// By the names in the scenario.
    pub steps: BTreeMap<String, Step>,
}

impl Seen {
    /// The kind of question that it is kept as the answer to.
    pub const KIND: &str = "matrix";

    /// Whether the second kernel was seen to run, whatever shows it.
    fn arrived(&self) -> bool {
        self.arrived || self.restore_panic || self.steps.contains_key("running")
    }

    fn is_done(&self, step: &str) -> bool {
        self.steps.get(step) == Some(&Step::Done)
    }

    /// The errno of a step, if that is how it ended.
    fn errno(&self, step: &str) -> Option<&str> {
        match self.steps.get(step) {
            Some(Step::Errno(errno)) => Some(errno),
            _ => None,
        }
    }

    /// How a step ended, for people.
    fn tell(&self, step: &str) -> String {
        match self.steps.get(step) {
            Some(Step::Done) => format!("{step} succeeded"),
            Some(Step::Errno(errno)) => format!("{step}: {errno}"),
            Some(Step::Failed) => format!("{step} failed"),
            None => format!("{step} was not tried"),
        }
    }

    /// The first of these that did not end well.
    fn first_bad<'a>(&self, steps: &[&'a str]) -> Option<&'a str> {
        steps.iter().copied().find(|step| !self.is_done(step))
    }
}

/// What became of what was handed over, and what says so.
pub fn classify(seen: &Seen) -> (Fates, String) {
    // A kernel that panics has not got as far as init, or it has touched something.
    let early = !seen.steps.contains_key("running");
    if seen.restore_panic && early && DOCUMENTED.iter().any(|text| seen.reason.contains(text)) {
        return (Fates { device: refused(seen).unwrap_or(Fate::Panic), memory: Fate::Panic }, seen.reason.clone());
    }
    if !seen.passed {
        let fate = if seen.arrived() { Fate::Broken } else { Fate::Unseen };
        return (Fates::both(fate), seen.reason.clone());
    }
    let (memory, about_memory) = memory(seen);
    let (device, about_device) = device(seen);
    (Fates { device, memory }, format!("{about_device}; {about_memory}"))
}

/// That of a device which the outgoing kernel refused.
fn refused(seen: &Seen) -> Option<Fate> {
    seen.errno("preserve-device").map(|errno| Fate::Refused(errno.to_owned()))
}

fn memory(seen: &Seen) -> (Fate, String) {
    match seen.first_bad(&["session", "memory", "memory-intact"]) {
        None => (Fate::Works, "the memory is intact".to_owned()),
        Some(step @ ("session" | "memory")) if seen.errno(step).is_some() => (Fate::Lost, seen.tell(step)),
        Some(step) => (Fate::Broken, seen.tell(step)),
    }
}

fn device(seen: &Seen) -> (Fate, String) {
    if let Some(fate) = refused(seen) {
        // Nobody else is to suffer.
        return match seen.first_bad(&["session", "finish"]) {
            Some("finish") => (Fate::Broken, seen.tell("finish")),
            _ => (fate, seen.tell("preserve-device")),
        };
    }
    match seen.steps.get("preserve-translation") {
        Some(Step::Done) => return translated(seen),
        Some(Step::Failed) => return (Fate::Broken, seen.tell("preserve-translation")),
        // Nothing live was handed over. Runs from before the scenario tried to say nothing of it.
        Some(Step::Errno(_)) | None => (),
    }
    let steps = ["preserve-device", "session", "device", "device-bound", "device-right", "device-alive", "finish"];
    match seen.first_bad(&steps) {
        None => (Fate::Works, "the device works".to_owned()),
        Some(step @ ("session" | "device")) if seen.errno(step).is_some() => withheld(seen, step),
        Some(step) => (Fate::Broken, seen.tell(step)),
    }
}

/// That of a device with a live translation. That no session is given out may be for another file's sake; whatever else is not as it must
/// be is a fault.
fn translated(seen: &Seen) -> (Fate, String) {
    let ended = |(step, errno): &(&str, Option<&str>)| match errno {
        None => seen.is_done(step),
        Some(_) => seen.errno(step) == *errno,
    };
    match CONTAINED.iter().find(|step| !ended(step)) {
        Some((step @ "session", _)) if seen.errno(step).is_some() => withheld(seen, step),
        Some((step, _)) => (Fate::Broken, seen.tell(step)),
        // Its registers belong to whoever could bind it.
        None if seen.is_done("device-alive") => (Fate::Broken, seen.tell("device-alive")),
        None => (Fate::Contained, "the device goes on, and nobody can use it".to_owned()),
    }
}

/// That of a device that the incoming kernel refuses to give out, at this step.
fn withheld(seen: &Seen, step: &str) -> (Fate, String) {
    let why = seen.tell(step);
    match (seen.is_done("running"), seen.is_done("known")) {
        (false, _) => (Fate::Lost, format!("{why}; the device has stopped")),
        (true, true) => (Fate::Lost, format!("{why}; the device is a master of the bus, and known")),
        (true, false) => (Fate::Unsafe, format!("{why}; the device is a master of the bus, and not known")),
    }
}
