// SPDX-License-Identifier: GPL-2.0-only

//! Planted faults: a test that has never been seen to fail shows nothing.
//!
//! `selftests/faults/<row>-<name>.patch` is one mistake, put on the end of its phase. Its headers say which phase it
//! breaks, which scenario must notice, and how. It changes the content of files that exist and does nothing else: its
//! hunks apply like those of patches, so a fault whose place has gone is an error and not a fault that is silently not
//! planted. What a verdict is the engine does not know; `Expect:` is read by whoever runs the scenario.

use camino::{Utf8Path, Utf8PathBuf};

use super::Assembled;
use crate::error::{Diagnostic, Result, check, gather};
use crate::git::{NewCommit, Oid, Repo, Update};
use crate::hunk;
use crate::names;
use crate::patchfile::{FileDiff, Kind, PatchFile};
use crate::source::Source;
use crate::stack::Stack;

/// Where faults are, relative to the project root.
const DIRECTORY: &str = "selftests/faults";

/// The headers that a fault must have, with examples.
const HEADERS: [(&str, &str); 4] =
    [("Phase", "phase1"), ("Row", "1.2"), ("Scenario", "phase1/fd-preserve/legacy"), ("Expect", "stage2-failure")];

/// A fault as its file says.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The file's name without row and `.patch`.
    pub name: String,
    /// Relative to the project root.
    pub file: Utf8PathBuf,
    /// The phase on whose end it lies.
    pub phase: String,
    /// The row of the requirements whose test it tests.
    pub row: String,
    /// The scenario, or the one case of it, that must notice.
    pub scenario: String,
    /// How that must end; any word.
    pub expect: String,
    /// What must be found, if that is told apart: `FILE: MESSAGE`.
    pub finding: Option<String>,
    text: PatchFile,
}

/// Reads every fault, sorted by file name.
///
/// # Errors
/// Every mistake in the files.
pub fn faults(source: &dyn Source, stack: &Stack) -> Result<Vec<Fault>> {
    let mut all = Vec::new();
    let mut found = Vec::new();
    for entry in source.list(Utf8Path::new(DIRECTORY))? {
        if entry.path.extension() == Some("patch") {
            let bytes = source.read(&entry.path)?.map(|file| file.bytes).unwrap_or_default();
            all.extend(gather(parse(&entry.path, &bytes, stack), &mut found)?);
        }
    }
    check(found)?;
    Ok(all)
}

fn parse(path: &Utf8Path, bytes: &[u8], stack: &Stack) -> Result<Fault> {
    let text = PatchFile::parse(path, bytes, Kind::Fault)?;
    let mut found = Vec::new();
    let [phase, row, scenario, expect] = HEADERS.map(|(name, example)| {
        let value = text.header(name).map(|header| header.value.clone()).filter(|value| !value.is_empty());
        if value.is_none() {
            found.push(lacks(path, name, example));
        }
        value.unwrap_or_default()
    });
    let stem = path.file_stem().unwrap_or_default();
    let fault = Fault {
        name: stem.strip_prefix(&format!("{row}-")).unwrap_or(stem).to_owned(),
        file: path.to_owned(),
        phase,
        row,
        scenario,
        expect,
        finding: text.header("Finding").map(|header| header.value.clone()),
        text,
    };
    fault.check(stack, &mut found);
    check(found)?;
    Ok(fault)
}

fn lacks(path: &Utf8Path, header: &str, example: &str) -> Diagnostic {
    let fix = format!("add a header such as `{header}: {example}`");
    Diagnostic::new(path, format!("a fault without `{header}:`"), fix).at(1)
}

impl Fault {
    /// Row and name, unique: `1.3-wrong-function`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.row, self.name)
    }

    /// What to say of a header that it lacks.
    pub fn lacks(&self, header: &str, example: &str) -> Diagnostic {
        lacks(&self.file, header, example)
    }

    /// What to say of one of its headers that is wrong.
    pub fn wrong(&self, header: &str, message: impl Into<String>) -> Diagnostic {
        let line = self.text.header(header).map_or(1, |header| header.line);
        Diagnostic::new(&self.file, message, format!("correct `{header}:`")).at(line)
    }

    /// What to say of one of its headers that names what does not exist; `fix` is that of [`names::fix`].
    pub fn unknown(&self, header: &str, message: impl Into<String>, fix: &str) -> Diagnostic {
        Diagnostic { fix: format!("correct `{header}:`; {fix}"), ..self.wrong(header, message) }
    }

    fn check(&self, stack: &Stack, found: &mut Vec<Diagnostic>) {
        if !self.phase.is_empty() && stack.phase(&self.phase).is_err() {
            let known: Vec<&str> = stack.phases.iter().map(crate::stack::Phase::name).collect();
            let fix = names::fix(&self.phase, &known, "run `phasectl list` for all names");
            found.push(self.unknown("Phase", format!("there is no phase `{}`", self.phase), &fix));
        }
        if !self.row.is_empty() && self.file.file_stem() == Some(self.name.as_str()) {
            let message = format!("the fault's file name does not begin with its row, `{}-`", self.row);
            found.push(Diagnostic { fix: "rename the file, or correct `Row:`".into(), ..self.wrong("Row", message) });
        }
        let mut complain = |line: usize, message: String, fix: &str| {
            found.push(Diagnostic::new(&self.file, message, fix).at(line));
        };
        for (added, line) in self.text.adds() {
            complain(line, format!("the fault adds the file {added}"), "plant it in files that exist");
        }
        for diff in &self.text.diffs {
            if diff.renamed_from.is_some() || diff.modes.is_some() || diff.deleted.is_some() {
                let message = format!("the fault renames or deletes {}, or changes its mode", diff.path);
                complain(diff.line, message, "plant it in the file's content");
            }
        }
    }

    /// The fault as a commit on top of a stack that reaches to the end of its phase. The same files give the same id.
    ///
    /// # Errors
    /// A diagnostic for every edit that does not apply.
    pub fn plant(&self, assembled: &Assembled, stack: &Stack) -> Result<Oid> {
        let repo = Repo::open(&assembled.base.repo)?;
        let before = assembled.tip_tree()?;
        let mut updates = Vec::new();
        let mut found = Vec::new();
        for diff in &self.text.diffs {
            updates.extend(gather(self.edit(&repo, before, diff), &mut found)?);
        }
        check(found)?;
        let tree = repo.update_tree(before, &updates)?;
        if tree == before {
            let fix = "write what it breaks as hunks after `---`";
            return Err(Diagnostic::new(&self.file, "the fault changes nothing", fix).at(1).into());
        }
        let commit = repo.commit(&NewCommit {
            tree,
            parent: Some(assembled.tip()?),
            who: &stack.base.author,
            date: stack.base.epoch + assembled.patches.len() as i64 + 1,
            message: &self.text.message(),
        })?;
        repo.set_ref(&format!("refs/phasectl-faults/{}", self.id()), commit)?;
        Ok(commit)
    }

    fn edit(&self, repo: &Repo, tree: Oid, diff: &FileDiff) -> Result<(Utf8PathBuf, Update)> {
        let Some(old) = repo.read(tree, &diff.path)? else {
            let message = format!("the fault changes {}, which does not exist at the end of {}", diff.path, self.phase);
            return Err(Diagnostic::new(&self.file, message, "correct the path").at(diff.line).into());
        };
        let new = hunk::apply(&old.bytes, &diff.hunks).map_err(|what| {
            let message = format!("hunk {} does not apply to {}: {}", what.number, diff.path, what.why);
            let fix = format!("bring the fault up to date with the end of {}", self.phase);
            Diagnostic::new(&self.file, message, fix).at(what.at)
        })?;
        Ok((diff.path.clone(), Update::Put(repo.blob(&new)?, old.mode)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Target;
    use crate::testing::World;

    const FILE: &str = "selftests/faults/1.4-untracked.patch";

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

    /// pci.c after planting.
    fn planted(text: &str) -> Result<String> {
        let world = World::new();
        world.put(FILE, text);
        let stack = world.load()?;
        let fault = faults(&world.disk(), &stack)?.remove(0);
        let assembled = world.assemble(&Target::Phase("phase1".to_owned()))?;
        let commit = fault.plant(&assembled, &stack)?;
        assert_eq!(fault.plant(&assembled, &stack)?, commit, "the same fault is another commit");
        let repo = world.repo();
        let file = repo.read(repo.tree_of(commit)?, "drivers/pci/pci.c".into())?.unwrap();
        Ok(String::from_utf8(file.bytes).unwrap())
    }

    fn error(text: &str) -> String {
        planted(text).unwrap_err().to_string()
    }

    #[test]
    fn a_fault_goes_on_top() {
        assert_eq!(planted(FAULT).unwrap(), crate::testing::numbered(1, 40));
        let world = World::new();
        world.put(FILE, FAULT);
        let fault = faults(&world.disk(), &world.load().unwrap()).unwrap().remove(0);
        let said = [&fault.name, &fault.phase, &fault.row, &fault.scenario, &fault.expect];
        assert_eq!(said, ["untracked", "phase1", "1.4", "phase1/fd-preserve/legacy", "stage2-failure"]);
        assert_eq!(fault.finding, None);
        world.put(FILE, FAULT.replace("Expect: stage2-failure", "Expect: finding\nFinding: a.c: wrong"));
        let fault = faults(&world.disk(), &world.load().unwrap()).unwrap().remove(0);
        assert_eq!(fault.finding.as_deref(), Some("a.c: wrong"));
        assert!(fault.lacks("Row", "1.2").to_string().contains("1.4-untracked.patch:1: a fault without `Row:`"));
    }

    #[test]
    fn a_fault_without_its_place_is_an_error() {
        insta::assert_snapshot!(error(&FAULT.replace("-tracked", "-gone")), @r"
        selftests/faults/1.4-untracked.patch:14: hunk 1 does not apply to drivers/pci/pci.c: line 22 differs
          wanted: gone
          found:  tracked
          fix: bring the fault up to date with the end of phase1
        ");
        insta::assert_snapshot!(error(&FAULT.replace("pci.c", "pcie.c")), @r"
        selftests/faults/1.4-untracked.patch:9: the fault changes drivers/pci/pcie.c, which does not exist at the end of phase1
          fix: correct the path
        ");
    }

    #[test]
    fn headers() {
        insta::assert_snapshot!(error(&FAULT.replace("Expect: stage2-failure\n", "").replace("phase1\n", "phase9\n")), @r"
        selftests/faults/1.4-untracked.patch:1: a fault without `Expect:`
          fix: add a header such as `Expect: stage2-failure`
        selftests/faults/1.4-untracked.patch:2: there is no phase `phase9`
          fix: correct `Phase:`; name one of: phase1, phase2
        ");
        insta::assert_snapshot!(error(&FAULT.replace("Row: 1.4", "Row: 1.5")), @r"
        selftests/faults/1.4-untracked.patch:4: the fault's file name does not begin with its row, `1.5-`
          fix: rename the file, or correct `Row:`
        ");
    }

    #[test]
    fn a_fault_is_an_edit_and_nothing_else() {
        let empty = FAULT.split("---\n").next().unwrap();
        insta::assert_snapshot!(error(empty), @r"
        selftests/faults/1.4-untracked.patch:1: the fault changes nothing
          fix: write what it breaks as hunks after `---`
        ");
        insta::assert_snapshot!(error(&FAULT.replace("Phase:", "Adds: new.c\nPhase:")), @r"
        selftests/faults/1.4-untracked.patch:2: the fault adds the file new.c
          fix: plant it in files that exist
        ");
        let mode = "diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c\nold mode 100644\nnew mode 100755\n";
        insta::assert_snapshot!(error(&format!("{empty}---\n{mode}")), @r"
        selftests/faults/1.4-untracked.patch:9: the fault renames or deletes drivers/pci/pci.c, or changes its mode
          fix: plant it in the file's content
        ");
    }
}
