// SPDX-License-Identifier: GPL-2.0-only

//! What a check has to say.

use std::collections::BTreeMap;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use stg_core::Diagnostic;

/// Something that is wrong with a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// In the Linux tree as of the patch; for the message and the series, a file of the project.
    pub file: Utf8PathBuf,
    /// 1-based. What is about a whole file is at its first line, what is gone at the one it had.
    pub line: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do, as an imperative.
    pub fix: String,
}

impl Finding {
    /// About a line of a file; 0 is the file as a whole.
    pub fn new(file: &Utf8Path, line: usize, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: line.max(1), message: message.into(), fix: fix.into() }
    }

    /// `path:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// A mistake in a file of the project.
impl From<&Diagnostic> for Finding {
    fn from(one: &Diagnostic) -> Self {
        Self::new(&one.file, one.line.unwrap_or(0), &one.message, &one.fix)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  fix: {}", self.place(), self.message, self.fix)
    }
}

/// Those of `new` that have no counterpart in `old`. Lines move, so what counts is the message; of several with the same one the
/// last are the fresh ones.
pub fn fresh(old: &[Finding], new: Vec<Finding>) -> Vec<Finding> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for one in old {
        *left.entry(&one.message).or_default() += 1;
    }
    new.into_iter()
        .filter(|one| match left.get_mut(one.message.as_str()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_not_fresh_wherever_it_is_now() {
        let at = |line: usize, message: &str| Finding::new("a.c".into(), line, message, "f");
        let old = [at(1, "x"), at(2, "y")];
        assert_eq!(fresh(&old, vec![at(5, "x"), at(6, "x"), at(9, "z")]), [at(6, "x"), at(9, "z")]);
        assert_eq!(fresh(&old, vec![at(7, "y")]), []);
        assert_eq!(at(3, "m").to_string(), "a.c:3: m\n  fix: f");
        assert_eq!(at(0, "m").place(), "a.c:1");
    }
}
