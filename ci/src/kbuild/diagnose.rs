// SPDX-License-Identifier: GPL-2.0-only

//! Errors and warnings out of a build log.
//!
//! A kernel build speaks with many tongues: clang, rustc, bindgen, ld.lld, modpost, objtool, Kconfig, make. Each has a
//! form of its own, recognised line by line here. A log in which nothing is recognised still gives one error, its
//! last lines: a failed build is never reported without a reason.

mod forms;

use std::collections::BTreeSet;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::error::CompileError;

/// Lines of the log that stand for an error that was not recognised.
const TAIL: usize = 15;

/// The directories that a log's paths are made relative to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dirs<'a> {
    /// The source tree.
    pub(crate) source: &'a Utf8Path,
    /// The build directory (`O=`), in which make runs.
    pub(crate) out: &'a Utf8Path,
}

impl Dirs<'_> {
    /// A path as the log has it, relative to the source tree, else to the build directory, else as it is.
    fn relative(&self, path: &str) -> Utf8PathBuf {
        let path = clean(&self.out.join(path));
        let inside = path.strip_prefix(self.source).or_else(|_| path.strip_prefix(self.out));
        inside.map(Utf8Path::to_owned).unwrap_or(path)
    }

    /// The same inside a text: absolute paths lose their beginning.
    fn shorten(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.source), "").replace(&format!("{}/", self.out), "")
    }

    /// The source that an object is made from.
    fn source_of(&self, object: &str) -> Option<Utf8PathBuf> {
        let object = self.relative(object);
        let candidates = ["c", "rs", "S"].map(|extension| object.with_extension(extension));
        candidates.into_iter().find(|file| self.source.join(file).is_file())
    }
}

/// Takes `.` and `..` out of a path, by text alone.
fn clean(path: &Utf8Path) -> Utf8PathBuf {
    let mut cleaned = Utf8PathBuf::new();
    for component in path.components() {
        match component {
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

/// The errors of a failed build; at least one.
pub(crate) fn errors(log: &str, dirs: Dirs<'_>) -> Vec<CompileError> {
    let lines: Vec<&str> = log.lines().collect();
    let mut errors: Vec<CompileError> = Vec::new();
    for at in 0..lines.len() {
        if let Some(error) = forms::error(&lines[at..], dirs)
            && !errors.contains(&error)
        {
            errors.push(error);
        }
    }
    if errors.is_empty() {
        let tail: Vec<String> = lines[lines.len().saturating_sub(TAIL)..]
            .iter()
            .map(|line| format!("\n    {}", dirs.shorten(line)))
            .collect();
        errors.push(CompileError::unplaced(format!("the build failed; its last lines:{}", tail.concat())));
    }
    errors
}

/// The warnings of a build, each once, sorted, with paths relative to the tree, so that two builds can be compared.
///
/// An incremental build only warns about what it compiled: compare what a patch touches, not whole lists.
pub(crate) fn warnings(log: &str, dirs: Dirs<'_>) -> Vec<String> {
    let lines: Vec<&str> = log.lines().collect();
    let all: BTreeSet<String> = (0..lines.len()).filter_map(|at| forms::warning(&lines[at..], dirs)).collect();
    all.into_iter().collect()
}

/// The warning that begins on the first of some lines, with its paths relative to the tree.
pub(crate) fn warning(lines: &[&str], dirs: Dirs<'_>) -> Option<String> {
    forms::warning(lines, dirs)
}

#[cfg(test)]
mod tests;
