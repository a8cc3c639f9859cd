// SPDX-License-Identifier: GPL-2.0-only
//! Planted faults: `selftests/faults/<row>-<name>.patch`.
//!
//! A test that cannot fail shows nothing. Each fault is a small, plausible mistake on top of the end of its phase, and says
//! which scenario must notice it, and how. Its header block has `Phase`, `Row`, `Scenario` and `Expect` beside the subject;
//! its edits are hunks, which apply like those of patches: without fuzz, or with an error that names the line.

use camino::{Utf8Path, Utf8PathBuf};
use harness::verdict::Class;
use stg_core::git::{NewCommit, Oid, Repo, Update};
use stg_core::patchfile::{FileDiff, Kind, PatchFile};
use stg_core::{Assembled, Diagnostic, Error, Result, Source, Stack, hunk};

/// Where faults are, relative to the project root.
const DIRECTORY: &str = "selftests/faults";

/// A fault as its file says.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// The file's name without row and `.patch`.
    pub(crate) name: String,
    /// Relative to the project root.
    pub(crate) file: Utf8PathBuf,
    /// The phase on whose end it lies.
    pub(crate) phase: String,
    /// The row whose test it tests.
    pub(crate) row: String,
    /// The scenario, or the one case of it, that must notice.
    pub(crate) scenario: String,
    /// How that must end.
    pub(crate) expect: Class,
    text: PatchFile,
}

/// Reads every fault, sorted by file name.
///
/// # Errors
///
/// All mistakes in their headers.
pub(crate) fn load(source: &dyn Source, stack: &Stack) -> Result<Vec<Fault>> {
    let mut all = Vec::new();
    let mut wrong = Vec::new();
    for entry in source.list(Utf8Path::new(DIRECTORY))? {
        if entry.path.extension() != Some("patch") {
            continue;
        }
        let Some(file) = source.read(&entry.path)? else { continue };
        match parse(&entry.path, &file.bytes, stack) {
            Ok(fault) => all.push(fault),
            Err(Error::Invalid(more)) => wrong.extend(more),
            Err(other) => return Err(other),
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(Error::Invalid(wrong)) }
}

fn parse(path: &Utf8Path, bytes: &[u8], stack: &Stack) -> Result<Fault> {
    let text = PatchFile::parse(path, bytes, Kind::Fault)?;
    let mut wrong = Vec::new();
    let mut header = |name: &str, example: &str| match text.header(name) {
        Some(header) if !header.value.is_empty() => (header.value.clone(), header.line),
        _ => {
            let message = format!("a fault without `{name}:`");
            wrong.push(Diagnostic::new(path, message, format!("add a header such as `{name}: {example}`")).at(1));
            (String::new(), 0)
        }
    };
    let (phase, phase_line) = header("Phase", "phase1");
    let (row, row_line) = header("Row", "1.2");
    let (scenario, _) = header("Scenario", "phase1/fd-preserve/legacy");
    let (expect, expect_line) = header("Expect", "stage1-failure");
    if wrong.is_empty() {
        if let Err(error) = stack.phase(&phase) {
            wrong.push(Diagnostic::new(path, error.to_string(), "correct `Phase:`").at(phase_line));
        }
        if path.file_stem().and_then(|stem| stem.strip_prefix(&format!("{row}-"))).is_none() {
            let message = format!("the fault's file name does not begin with its row, `{row}-`");
            wrong.push(Diagnostic::new(path, message, "rename the file, or correct `Row:`").at(row_line));
        }
        if let Some((line, added)) = text.adds().map(|(added, line)| (line, added)).next() {
            let message = format!("a fault adds the file {added}");
            wrong.push(Diagnostic::new(path, message, "plant the fault in files that exist").at(line));
        }
    }
    let class = match expect.parse() {
        Ok(Class::Pass) => Err("a fault that passes shows nothing".to_owned()),
        other => other,
    };
    match class {
        Ok(expect) if wrong.is_empty() => {
            let stem = path.file_stem().unwrap_or_default();
            let name = stem.strip_prefix(&format!("{row}-")).unwrap_or(stem).to_owned();
            Ok(Fault { name, file: path.to_owned(), phase, row, scenario, expect, text })
        }
        Ok(_) => Err(Error::Invalid(wrong)),
        Err(message) => {
            if expect_line > 0 {
                wrong.push(Diagnostic::new(path, message, "correct `Expect:`").at(expect_line));
            }
            Err(Error::Invalid(wrong))
        }
    }
}

impl Fault {
    /// Whether a user who types `name` means this one: with or without its row.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.file.file_stem() == Some(name)
    }

    /// The scenario without the case.
    pub(crate) fn scenario_id(&self) -> String {
        self.scenario.splitn(3, '/').take(2).collect::<Vec<_>>().join("/")
    }

    /// The fault as a commit on top of an assembled stack. The same files give the same id.
    ///
    /// # Errors
    ///
    /// A diagnostic with the fault's line for the first edit that does not apply.
    pub(crate) fn commit(&self, assembled: &Assembled, stack: &Stack) -> Result<Oid> {
        let repo = Repo::open(&assembled.base.repo)?;
        let before = assembled.tip_tree()?;
        let mut updates = Vec::new();
        for diff in &self.text.diffs {
            updates.push(self.edit(&repo, before, diff)?);
        }
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
        repo.set_ref(&format!("refs/phasectl-faults/{}-{}", self.row, self.name), commit)?;
        Ok(commit)
    }

    fn edit(&self, repo: &Repo, tree: Oid, diff: &FileDiff) -> Result<(Utf8PathBuf, Update)> {
        let complain = |message: String, fix: &str| Diagnostic::new(&self.file, message, fix).at(diff.line);
        if diff.renamed_from.is_some() || diff.modes.is_some() || diff.deleted.is_some() {
            let message = format!("the fault renames or deletes {}, or changes its mode", diff.path);
            return Err(complain(message, "plant the fault in the file's content").into());
        }
        let Some(old) = repo.read(tree, &diff.path)? else {
            let message = format!("the fault changes {}, which does not exist at the end of {}", diff.path, self.phase);
            return Err(complain(message, "correct the path").into());
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
    use crate::testing::Small;

    const FAULT: &str = "Subject: forgotten
Phase: phase1
Row: 1.1
Scenario: phase1/first/x
Expect: stage2-failure

Why not.
---
diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c
--- a/drivers/pci/pci.c
+++ b/drivers/pci/pci.c
@@ -2,3 +2,3 @@
 line 2
-line 3
+line three
 line 4
";

    fn planted(text: &str) -> Result<String> {
        let small = Small::new();
        small.put("selftests/faults/1.1-forgotten.patch", text);
        let stack = small.stack();
        let faults = load(&small.disk(), &stack)?;
        let assembled = Assembled { base: small.base(), patches: Vec::new() };
        let commit = faults[0].commit(&assembled, &stack)?;
        assert_eq!(faults[0].commit(&assembled, &stack)?, commit, "the same fault is another commit");
        let repo = Repo::open(&assembled.base.repo)?;
        let file = repo.read(repo.tree_of(commit)?, Utf8Path::new("drivers/pci/pci.c"))?.unwrap();
        Ok(String::from_utf8(file.bytes).unwrap())
    }

    #[test]
    fn a_fault_becomes_a_commit() {
        assert_eq!(planted(FAULT).unwrap().lines().nth(2), Some("line three"));
    }

    #[test]
    fn a_fault_that_does_not_apply_says_where() {
        let error = planted(&FAULT.replace(" line 4", " line four")).unwrap_err().to_string();
        insta::assert_snapshot!(error, @r"
        selftests/faults/1.1-forgotten.patch:16: hunk 1 does not apply to drivers/pci/pci.c: line 4 differs
          wanted: line four
          found:  line 4
          fix: bring the fault up to date with the end of phase1
        ");
        let error = planted(&FAULT.replace("drivers/pci/pci.c", "drivers/pci/pcie.c")).unwrap_err().to_string();
        insta::assert_snapshot!(error, @r"
        selftests/faults/1.1-forgotten.patch:9: the fault changes drivers/pci/pcie.c, which does not exist at the end of phase1
          fix: correct the path
        ");
    }

    #[test]
    fn a_fault_is_an_edit_and_nothing_else() {
        let empty = FAULT.split("---\n").next().unwrap();
        assert!(planted(empty).unwrap_err().to_string().contains("changes nothing"));
        let adding = FAULT.replace("Phase:", "Adds: new.c\nPhase:");
        assert!(planted(&adding).unwrap_err().to_string().contains("adds the file new.c"));
        let moving = "diff --git a/drivers/pci/pci.c b/drivers/pci/pci.c\nold mode 100644\nnew mode 100755\n";
        let error = planted(&format!("{empty}---\n{moving}")).unwrap_err().to_string();
        assert!(error.contains("changes its mode"), "{error}");
    }

    #[test]
    fn names_with_and_without_the_row() {
        let small = Small::new();
        small.put("selftests/faults/1.1-forgotten.patch", FAULT);
        let fault = &load(&small.disk(), &small.stack()).unwrap()[0];
        assert!(fault.is_called("forgotten") && fault.is_called("1.1-forgotten") && !fault.is_called("1.1"));
        assert_eq!(fault.scenario_id(), "phase1/first");
    }
}
