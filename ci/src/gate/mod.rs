// SPDX-License-Identifier: GPL-2.0-only

//! The proof that a phase whose gates are off changes nothing (X.1).
//!
//! [`comparisons`] says which states of a phase must be equal. [`objects`] compiles one of them, gates off, and reads every object that the
//! kernel is linked from: a digest of each function and variable, with what its relocations lead to ([`elf`]), but not the line
//! numbers that a longer source moves ([`lines`]). [`compare`] names the objects, functions and variables that are not equal, and [`findings`] the
//! line of the .patch and what to do.
//!
//! Off are the phase's gates and the options of its `kernel.config`: its samples and tests are choices as much. What it requires is on, on both
//! sides.
//!
//! The states of a phase are compiled in their order, in a build directory of their own, so that each costs what its patch changes; linking is not
//! needed. What was read is kept ([`Outcomes`]) under the key of such a kernel.
//!
//! Not compared are the order in which objects are linked, and `arch/x86/boot`, which unpacks the kernel.

mod archive;
mod elf;
mod findings;
mod lines;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::kbuild::{self, BuildError, BuildRequest};
use crate::outcomes::{Inputs, Outcomes, hash};

pub use self::findings::findings;
pub use self::rule::{Comparison, comparisons, misplaced};

/// Changes whenever this module reads something else from the same objects.
const READER: &str = "1";

/// What a kernel is linked from, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Objects(BTreeMap<Utf8PathBuf, Object>);

/// An object file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Object {
    /// Of its parts.
    digest: String,
    /// Its parts, one on each line: section, symbol (`-` for none), size, digest. As one text, since there are tens of thousands.
    parts: String,
}

impl Object {
    fn read(bytes: &[u8]) -> object::Result<Self> {
        let mut parts = String::new();
        for part in elf::parts(bytes)? {
            let symbol = if part.symbol.is_empty() { "-" } else { &part.symbol };
            // Writing to a string does not fail.
            let _ = writeln!(parts, "{} {symbol} {:x} {}", part.section, part.size, part.hash);
        }
        Ok(Self { digest: hash(&parts), parts })
    }

    /// Sizes and digests of each part; several parts may have the same section and symbol.
    fn parts(&self) -> BTreeMap<(&str, &str), Vec<(&str, &str)>> {
        let mut parts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in self.parts.lines() {
            let mut words = line.rsplitn(3, ' ');
            let (digest, size, name) = (words.next(), words.next(), words.next());
            let name = name.and_then(|name| name.split_once(' '));
            if let (Some(name), Some(size), Some(digest)) = (name, size, digest) {
                parts.entry(name).or_default().push((size, digest));
            }
        }
        parts
    }
}

impl Objects {
    /// Reads those of a finished build.
    fn read(out: &Utf8Path) -> Result<Self, BuildError> {
        let read = |path: Utf8PathBuf| {
            let file = out.join(&path);
            let bytes = std::fs::read(&file).map_err(BuildError::io("read", &file))?;
            let object = Object::read(&bytes).map_err(std::io::Error::other).map_err(BuildError::io("read", &file))?;
            Ok((path, object))
        };
        archive::objects(out)?.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An object that is not the same in two states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its path in the build directory: `drivers/pci/pci.o`.
    pub object: Utf8PathBuf,
    /// How it differs.
    pub change: Change,
}

/// How an object differs from the reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The reference does not have it.
    Added,
    /// Only the reference has it.
    Gone,
    /// Both have it.
    Parts {
        /// Functions, or sections of code without symbols, whose length differs or that only one side has; if there are none, those whose
        /// bytes differ. (Where one grows, calls within its neighbours lead elsewhere.)
        functions: Vec<String>,
        /// The same of variables and tables.
        data: Vec<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.object)?;
        match &self.change {
            Change::Added => f.write_str("a new object"),
            Change::Gone => f.write_str("the object is gone"),
            Change::Parts { functions, data } => {
                let named = |what: &str, names: &[String]| {
                    const SHOWN: usize = 4;
                    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
                    let more = names.len().checked_sub(SHOWN).filter(|&more| more > 0);
                    (!names.is_empty()).then(|| {
                        format!("{what} {shown}{}", more.map_or(String::new(), |more| format!(" and {more} more")))
                    })
                };
                let all: Vec<String> =
                    [named("code of", functions), named("data", data)].into_iter().flatten().collect();
                f.write_str(&all.join("; "))
            }
        }
    }
}

/// What a kernel is linked from: known, or compiled and read.
///
/// # Errors
///
/// As [`kbuild::build`].
pub fn objects(request: &BuildRequest<'_>, outcomes: &Outcomes) -> Result<Objects, BuildError> {
    let inputs = Inputs::new("gate").with("kernel", kbuild::key(request)?).with("reader", READER);
    if let Some(objects) = outcomes.get(&inputs) {
        return Ok(objects);
    }
    let started = Instant::now();
    let objects = kbuild::compile(request, archive::ARCHIVE, Objects::read)?;
    outcomes.put(&inputs, &objects, started.elapsed().as_secs_f64())?;
    Ok(objects)
}

/// The objects in which a state differs from its reference; none if the gates keep their promise.
pub fn compare(reference: &Objects, state: &Objects) -> Vec<Difference> {
    let paths: BTreeSet<&Utf8PathBuf> = reference.0.keys().chain(state.0.keys()).collect();
    let difference = |path: &Utf8PathBuf| {
        let change = match (reference.0.get(path), state.0.get(path)) {
            (Some(one), Some(other)) if one.digest == other.digest => return None,
            (Some(one), Some(other)) => changed(one, other),
            (None, _) => Change::Added,
            (_, None) => Change::Gone,
        };
        Some(Difference { object: path.clone(), change })
    };
    paths.into_iter().filter_map(difference).collect()
}

fn changed(one: &Object, other: &Object) -> Change {
    let (one, other) = (one.parts(), other.parts());
    let names: BTreeSet<(&str, &str)> = one.keys().chain(other.keys()).copied().collect();
    let differing: Vec<_> = names.into_iter().filter(|name| one.get(name) != other.get(name)).collect();
    let sizes = |parts: Option<&Vec<(&str, &str)>>| {
        parts.map(|parts| parts.iter().map(|(size, _)| (*size).to_owned()).collect::<Vec<_>>())
    };
    let resized = |name: &&(&str, &str)| sizes(one.get(*name)) != sizes(other.get(*name));
    let named = |code: bool| {
        let mine: Vec<&(&str, &str)> = differing.iter().filter(|(section, _)| is_code(section) == code).collect();
        let grown: Vec<_> = mine.iter().copied().filter(resized).collect();
        let shown = if grown.is_empty() { mine } else { grown };
        shown.into_iter().map(|&(section, symbol)| if symbol == "-" { section } else { symbol }.to_owned()).collect()
    };
    Change::Parts { functions: named(true), data: named(false) }
}

/// Sections of code are called so by everybody: `.text`, `.init.text`, `.text.unlikely.`.
fn is_code(section: &str) -> bool {
    section.split('.').any(|word| word.ends_with("text"))
}
