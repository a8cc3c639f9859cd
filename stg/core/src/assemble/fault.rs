// SPDX-License-Identifier: GPL-2.0-only
//! Planted faults: a test that has never been seen to fail shows nothing.
//!
//! `selftests/faults/<row>-<name>.patch` is one mistake, put on a finished stack. Its headers say which phase it breaks,
//! which scenario must notice, and with which verdict. It is applied like every other edit, so a fault whose place has
//! gone is an error and not a fault that is silently not planted.

use camino::Utf8Path;

use super::{Assembled, forward_edit, gather};
use crate::error::{Diagnostic, Result, check};
use crate::git::{NewCommit, Oid, Repo};
use crate::manifest::PatchEntry;
use crate::patchfile::{Kind, PatchFile};
use crate::source::Source;
use crate::stack::{Patch, Stack};

/// A planted fault.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Its edits; the name is the file's without `.patch`.
    pub patch: Patch,
    /// The scenario (perhaps with its case) that must fail.
    pub scenario: String,
    /// The row of the requirements whose test it tries.
    pub row: String,
    /// The expected verdict class.
    pub expect: String,
}

/// A stack with a fault on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// Commit id.
    pub commit: Oid,
    /// Tree id.
    pub tree: Oid,
}

/// All faults, by name.
///
/// # Errors
/// Every mistake in the files.
pub fn faults(source: &dyn Source, stack: &Stack) -> Result<Vec<Fault>> {
    let mut all = Vec::new();
    let mut found = Vec::new();
    for entry in source.list(Utf8Path::new("selftests/faults"))? {
        let file = &entry.path;
        if file.extension() != Some("patch") {
            continue;
        }
        let bytes = source.read(file)?.map(|file| file.bytes).unwrap_or_default();
        let Some(text) = gather(PatchFile::parse(file, &bytes, Kind::Fault), &mut found)? else { continue };
        for name in ["Phase", "Scenario", "Row", "Expect"] {
            if text.header(name).is_none_or(|header| header.value.is_empty()) {
                found.push(
                    Diagnostic::new(file, format!("no `{name}:`"), format!("add the header `{name}: ...`")).at(1),
                );
            }
        }
        if let Some((_, line)) = text.adds().next() {
            found.push(Diagnostic::new(file, "a fault adds no files", "change existing files by hunks").at(line));
        }
        let value = |name: &str| text.header(name).map_or_else(String::new, |header| header.value.clone());
        if let Some(phase) = text.header("Phase")
            && stack.phase(&phase.value).is_err()
        {
            let message = format!("there is no phase `{}`", phase.value);
            found.push(Diagnostic::new(file, message, "name the phase that the fault breaks").at(phase.line));
        }
        let name = file.file_stem().unwrap_or_default().to_owned();
        let (phase, scenario, row, expect) = (value("Phase"), value("Scenario"), value("Row"), value("Expect"));
        let entry = PatchEntry { name, prepares: false, rows: Vec::new(), tests: Vec::new() };
        let patch = Patch { phase, series: String::new(), entry, file: file.clone(), text };
        all.push(Fault { patch, scenario, row, expect });
    }
    check(found)?;
    Ok(all)
}

/// Puts a fault on top of a stack, which should reach to the end of the fault's phase.
///
/// # Errors
/// Hunks that do not apply.
pub fn plant(assembled: &Assembled, stack: &Stack, fault: &Fault) -> Result<Planted> {
    let repo = Repo::open(&assembled.base.repo)?;
    let (parent, tree) = (assembled.tip()?, assembled.tip_tree()?);
    let mut updates = Vec::new();
    let mut found = Vec::new();
    for diff in &fault.patch.text.diffs {
        if let Some(more) = gather(forward_edit(&repo, tree, &fault.patch, diff, stack), &mut found)? {
            updates.extend(more);
        }
    }
    check(found)?;
    let tree = repo.update_tree(tree, &updates)?;
    let commit = repo.commit(&NewCommit {
        tree,
        parent: Some(parent),
        who: &stack.base.author,
        date: stack.base.epoch + assembled.patches.len() as i64 + 1,
        message: &fault.patch.text.message(),
    })?;
    repo.set_ref(&format!("refs/phasectl-faults/{}", fault.patch.entry.name), commit)?;
    Ok(Planted { commit, tree })
}

#[cfg(test)]
mod tests {
    use crate::stack::Target;
    use crate::testing::World;

    const FAULT: &str = "Subject: drop the tracking
Phase: phase1
Scenario: phase1/fd-preserve/legacy
Row: 1.4
Expect: stage2-failure

Nothing is tracked.
---
diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c
--- a/drivers/pci/pci.c
+++ b/drivers/pci/pci.c
@@ -21,3 +21,2 @@
 line 21
-tracked
 line 22
";

    #[test]
    fn a_fault_goes_on_top() {
        let world = World::new();
        world.put("selftests/faults/1.4-untracked.patch", FAULT);
        let stack = world.load().unwrap();
        let fault = super::faults(&world.disk(), &stack).unwrap().remove(0);
        assert_eq!((fault.row.as_str(), fault.expect.as_str()), ("1.4", "stage2-failure"));
        let assembled = world.assemble(&Target::Phase("phase1".to_owned())).unwrap();
        let planted = super::plant(&assembled, &stack, &fault).unwrap();
        let file = world.repo().read(planted.tree, "drivers/pci/pci.c".into()).unwrap().unwrap();
        assert_eq!(String::from_utf8(file.bytes).unwrap(), crate::testing::numbered(1, 40));
        assert_eq!(super::plant(&assembled, &stack, &fault).unwrap(), planted);
    }

    #[test]
    fn a_fault_without_its_place_is_an_error() {
        let world = World::new();
        world.put("selftests/faults/1.4-untracked.patch", FAULT.replace("-tracked", "-gone"));
        let stack = world.load().unwrap();
        let fault = super::faults(&world.disk(), &stack).unwrap().remove(0);
        let assembled = world.assemble(&Target::Phase("phase1".to_owned())).unwrap();
        insta::assert_snapshot!(super::plant(&assembled, &stack, &fault).unwrap_err(), @r"
        selftests/faults/1.4-untracked.patch:14: hunk 1 of patch 1.4-untracked does not apply to drivers/pci/pci.c: line 22 differs
          wanted: gone
          found:  tracked
          fix: run `phasectl edit` on the patch that changed these lines last, bring this one up to date and `refresh`
        ");
        world.put(
            "selftests/faults/1.4-untracked.patch",
            FAULT.replace("Row: 1.4\n", "").replace("phase1\n", "phase9\n"),
        );
        insta::assert_snapshot!(super::faults(&world.disk(), &stack).unwrap_err(), @r"
        selftests/faults/1.4-untracked.patch:1: no `Row:`
          fix: add the header `Row: ...`
        selftests/faults/1.4-untracked.patch:2: there is no phase `phase9`
          fix: name the phase that the fault breaks
        ");
    }
}
