// SPDX-License-Identifier: GPL-2.0-only

//! The rules of the matrix: from the facts of two kernels to what becomes of what is handed over.

use serde::Serialize;

use super::{Facts, Fate, Fates, Mode};

/// The rules in words, for the help of `phasectl matrix`: [`predict`] is the same in code, in the same order.
pub const RULES: &str = "\
Rules of the prediction. The first one that fits decides:
  1. A kernel without a handler for the files of vfio-pci refuses to preserve one: ENOENT, before the kexec. Nothing of the device is
     handed over then, and only the memfd counts.
  2. A device is handed over running if no IOMMU translates for it and the PCI core's list goes with it, or if an IOMMU translates for it
     and goes on doing so: that is so if the outgoing kernel has a handler for iommufds, and preserves the device's (the list's version has
     the mark of a live translation then). Any other is stopped when the outgoing kernel goes.
  3. If the strings of Kexec HandOver differ, nothing arrives. After a live translation, a kernel that could take one over panics when it
     finds the IOMMU translating.
  4. If those of the Live Update Orchestrator differ, the incoming kernel panics.
  5. A kernel that has the PCI core's list, by the same string, reads it when it finds the first PCI device. It panics if the version is
     another one, and if there is the mark of a live translation that it cannot take over.
  6. If it lacks the handler of any file, and an iommufd that was preserved is one, it refuses every session: EIO. The device is lost, and
     so is the memfd.
  7. The same handler's string with other lists behind it is a mistake in the ABI.
  8. A device whose live translation is taken over is contained: it goes on, its file is given out, but nobody can use it (binding it is
     refused: EPERM), nor have the iommufd (EOPNOTSUPP), nor finish the session (EBUSY). The memfd works.
  9. Anything else works.
A device that is handed over running and then lost, to a kernel that did not read the list, is unsafe: nothing is promised, and what is
observed agrees unless the device is usable or stopped, or the incoming kernel was never seen to run.";

/// What becomes of what is handed over, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// What.
    #[serde(flatten)]
    pub fates: Fates,
    /// Why, for people.
    pub why: String,
}

/// Predicts what becomes of a device and a memfd that `outgoing` hands to `incoming`.
pub fn predict(outgoing: &Facts, incoming: &Facts, mode: Mode) -> Prediction {
    let live = mode == Mode::Translated && outgoing.iommufd.is_some();
    let device = outgoing.vfio_pci.as_deref().map(|handler| Device {
        handler,
        runs: live || (mode == Mode::Noiommu && outgoing.pci.is_some()),
        live,
        refused: None,
    });
    // LUO looks for a handler and finds none.
    let refused =
        || Device { handler: "", runs: false, live: false, refused: Some(Fate::Refused("ENOENT".to_owned())) };
    arrive(outgoing, incoming, &device.unwrap_or_else(refused))
}

/// What the outgoing kernel hands over of the device.
struct Device<'a> {
    handler: &'a str,
    /// Whether it may access memory when the next kernel finds it.
    runs: bool,
    /// Whether an IOMMU goes on translating for it, because the iommufd is preserved as well.
    live: bool,
    /// The end of it, if it is not handed over.
    refused: Option<Fate>,
}

impl Device<'_> {
    /// That a hand-over ends like this for what is handed over.
    fn end(&self, device: Fate, memory: Fate, why: String) -> Prediction {
        let device = self.refused.clone().unwrap_or(device);
        let why = match &self.refused {
            Some(_) => format!("the outgoing kernel has no handler for the device; {why}"),
            None => why,
        };
        Prediction { fates: Fates { device, memory }, why }
    }

    /// The fate of a device that is not given out. `known` says whether the incoming kernel has read the list.
    fn lost(&self, known: bool) -> Fate {
        if self.runs && !known { Fate::Unsafe } else { Fate::Lost }
    }
}

fn arrive(outgoing: &Facts, incoming: &Facts, device: &Device<'_>) -> Prediction {
    if outgoing.kho != incoming.kho {
        let why = format!("Kexec HandOver is {} there and {} here", name(&outgoing.kho), name(&incoming.kho));
        if device.live && incoming.iommu.is_some() {
            return device.end(Fate::Panic, Fate::Panic, why);
        }
        return device.end(device.lost(false), Fate::Lost, why);
    }
    if outgoing.luo != incoming.luo {
        let why = format!("the LUO is {} there and {} here", name(&outgoing.luo), name(&incoming.luo));
        return device.end(Fate::Panic, Fate::Panic, why);
    }
    let handed = device.refused.is_none();
    let list = outgoing.pci.as_ref().filter(|_| handed);
    let mine = incoming.pci.as_ref().filter(|mine| list.is_some_and(|list| list.compatible == mine.compatible));
    if let (Some(list), Some(mine)) = (list, mine) {
        if list.version != mine.version {
            let why = format!("the PCI core's list has version {}, and {} is understood", list.version, mine.version);
            return device.end(Fate::Panic, Fate::Panic, why);
        }
        if device.live && outgoing.iommu != incoming.iommu {
            let knows = if mine.mark.is_some() { "knows the mark of" } else { "does not know the version with" };
            let why = format!("the incoming kernel {knows} a live translation, and cannot take one over");
            return device.end(Fate::Panic, Fate::Panic, why);
        }
    }
    let missing = |handler: &str, known: &Option<String>| {
        (known.as_deref() != Some(handler)).then(|| format!("the incoming kernel has no handler `{handler}`"))
    };
    let files = [
        (handed.then_some(device.handler), &incoming.vfio_pci),
        (outgoing.iommufd.as_deref().filter(|_| device.live), &incoming.iommufd),
        (outgoing.memfd.as_deref(), &incoming.memfd),
    ];
    let why = files.into_iter().find_map(|(handler, known)| missing(handler?, known));
    if let Some(why) = why {
        return device.end(device.lost(mine.is_some()), Fate::Lost, why);
    }
    if handed
        && outgoing.pci.as_ref().map(|list| &list.compatible) != incoming.pci.as_ref().map(|list| &list.compatible)
    {
        let why = format!("files `{}` depend on the PCI core's list in one of the kernels only", device.handler);
        return device.end(Fate::Broken, Fate::Broken, why);
    }
    if device.live {
        let why = "the incoming kernel takes the translation over, and cannot give it back to a user".to_owned();
        return device.end(Fate::Contained, Fate::Works, why);
    }
    device.end(Fate::Works, Fate::Works, "all handlers and lists are known".to_owned())
}

fn name(string: &Option<String>) -> String {
    string.as_ref().map_or_else(|| "absent".to_owned(), |string| format!("`{string}`"))
}
