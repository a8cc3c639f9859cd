// SPDX-License-Identifier: GPL-2.0-only

//! The states of a phase's own files, from its end backwards.
//!
//! Walking the patches from the last to the first, the hunks of own files are taken back, and a file's content at the
//! patch that adds it is its first state. Hunks must come off without guessing and, put on again, give what they came
//! off from; so the states are the only ones that fit both sides, and the walk is an exact inverse.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::misplaced;
use crate::error::{Diagnostic, Result, check};
use crate::hunk::{self, Direction};
use crate::patchfile::FileDiff;
use crate::source::{File, Source};
use crate::stack::{Patch, Phase, home};

/// What one patch does to its phase's own files.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Content after the patch, of files that it adds or edits.
    pub(super) after: BTreeMap<Utf8PathBuf, File>,
    /// Names that a renaming leaves behind.
    pub(super) gone: Vec<Utf8PathBuf>,
    /// Which of the patch's diffs are hereby done, by path after the edit.
    pub(super) done: BTreeSet<Utf8PathBuf>,
}

/// One [`Own`] for each patch of the phase.
pub(super) fn phase(source: &dyn Source, phase: &Phase) -> Result<Vec<Own>> {
    let mut found = Vec::new();
    let mut files = end_states(source, phase, &mut found)?;
    let listed: BTreeSet<Utf8PathBuf> = files.keys().cloned().collect();
    check(found)?;

    let mut found = Vec::new();
    let mut all = Vec::new();
    // Files that are said to be wrong already: what else does not fit them only follows from that.
    let mut wrong: BTreeSet<&Utf8Path> = BTreeSet::new();
    for patch in phase.patches.iter().rev() {
        let mut own = Own::default();
        for diff in patch.text.diffs.iter().filter(|diff| diff.deleted.is_none()) {
            let Some(after) = files.remove(&diff.path).filter(|_| !wrong.contains(diff.path.as_path())) else {
                continue;
            };
            match step_back(patch, diff, &after) {
                Ok(before) => {
                    own.done.insert(diff.path.clone());
                    own.after.insert(diff.path.clone(), after);
                    own.gone.extend(diff.renamed_from.clone());
                    files.insert(diff.old_path().to_owned(), before);
                }
                Err(problem) => {
                    found.push(*problem);
                    wrong.insert(diff.old_path());
                }
            }
        }
        for (path, line) in patch.text.adds() {
            match files.remove(path) {
                Some(file) => {
                    own.after.insert(path.to_owned(), file);
                }
                None if wrong.contains(path) => {}
                None => found.push(missing(phase, patch, path, line, listed.contains(path))),
            }
        }
        all.push(own);
    }
    for path in files.keys() {
        let message = format!("file never added: no patch of {} adds it", phase.name());
        let fix = format!("add `Adds: {path}` to the patch that it belongs to, or delete it");
        found.push(Diagnostic::new(phase.home(path), message, fix));
    }
    check(found)?;
    all.reverse();
    Ok(all)
}

fn missing(phase: &Phase, patch: &Patch, path: &Utf8Path, line: usize, renamed_away: bool) -> Diagnostic {
    let place = phase.home(path);
    let (message, fix) = if renamed_away {
        let message = format!("{path} is at {place}, but a hunk or renaming of this phase uses it before it is added");
        (message, "order the patches so that the one that adds a file comes first".to_owned())
    } else {
        (
            format!("missing file: {place}"),
            "create the file (as of the end of the phase), or remove this line".to_owned(),
        )
    };
    Diagnostic::new(&patch.file, message, fix).at(line)
}

/// Every file under the phase's two directories, by its path in Linux.
fn end_states(source: &dyn Source, phase: &Phase, found: &mut Vec<Diagnostic>) -> Result<BTreeMap<Utf8PathBuf, File>> {
    let mut files = BTreeMap::new();
    for top in ["kernel", "selftests"] {
        let top = Utf8Path::new(top).join(phase.name());
        for entry in source.list(&top)? {
            let path = entry.path.strip_prefix(&top).unwrap_or(&entry.path).to_owned();
            let mut complain = |message: String, fix: String| found.push(Diagnostic::new(&entry.path, message, fix));
            if entry.symlink {
                complain("symlink: only regular files can be added".to_owned(), "put the file itself here".to_owned());
                continue;
            }
            let proper = home(phase.name(), &path);
            if proper != entry.path {
                complain("file at the wrong place".to_owned(), format!("move it to {proper}"));
                continue;
            }
            if let Err(why) = crate::patchfile::patch_path(path.as_str()) {
                complain(why, "give the file another name".to_owned());
                continue;
            }
            let Some(file) = source.read(&entry.path)? else { continue };
            if file.bytes.contains(&0) {
                complain("binary file: it has a NUL byte".to_owned(), "keep binary files out of the series".to_owned());
                continue;
            }
            files.insert(path, file);
        }
    }
    Ok(files)
}

/// The state of a file before a diff.
fn step_back(patch: &Patch, diff: &FileDiff, after: &File) -> Result<File, Box<Diagnostic>> {
    let taken = hunk::take_back(&after.bytes, &diff.hunks);
    let bytes = taken.map_err(|what| misplaced(patch, diff, &what, Direction::TakeBack))?;
    let again = hunk::apply(&bytes, &diff.hunks);
    let again = again.map_err(|what| misplaced(patch, diff, &what, Direction::Apply))?;
    if again != after.bytes {
        let message = format!("the hunks of {} fit at more than one place", diff.path);
        let fix =
            "add lines around them to the hunks until the place is the only one, or take the .patch back with git";
        return Err(Diagnostic::new(&patch.file, message, fix).at(diff.line).into());
    }
    let mut executable = after.executable;
    if let Some((old, new)) = diff.modes {
        if executable != (new == 0o100_755) {
            let message = format!("mode of {}: this says {new:o}, the file in kernel/ has another", diff.path);
            return Err(Diagnostic::new(&patch.file, message, "make the two agree").at(diff.line).into());
        }
        executable = old == 0o100_755;
    }
    Ok(File { bytes, executable })
}
