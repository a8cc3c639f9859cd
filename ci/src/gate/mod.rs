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

use crate::hash::hash;
use crate::kbuild::{self, BuildError, BuildRequest};
use crate::outcomes::{Inputs, Outcomes};

pub use self::findings::findings;
pub use self::rule::{Comparison, comparisons, misplaced};

/// Changes whenever this module reads something else from the same objects.
const READER: &str = "1";

/// What a kernel is linked from: the digest of each object's parts, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Objects(BTreeMap<Utf8PathBuf, String>);

impl Objects {
    /// Reads those of a finished build. The parts of each are kept on their own, since most objects are the same in many states.
    fn read(out: &Utf8Path, outcomes: &Outcomes) -> Result<Self, BuildError> {
        let read = |path: Utf8PathBuf| {
            let file = out.join(&path);
            let bytes = std::fs::read(&file).map_err(BuildError::io("read", &file))?;
            let parts = parts(&bytes).map_err(std::io::Error::other).map_err(BuildError::io("read", &file))?;
            let digest = hash(&parts);
            let inputs = part_inputs(&digest);
            if outcomes.get::<String>(&inputs).is_none() {
                outcomes.put(&inputs, &parts, 0.0)?;
            }
            Ok((path, digest))
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

fn part_inputs(digest: &str) -> Inputs {
    Inputs::new("gate-object").with("digest", digest)
}

/// The parts of an object file, one on each line: section, symbol (`-` for none), size, digest.
fn parts(bytes: &[u8]) -> object::Result<String> {
    let mut parts = String::new();
    for part in elf::parts(bytes)? {
        let symbol = if part.symbol.is_empty() { "-" } else { &part.symbol };
        // Writing to a string does not fail.
        let _ = writeln!(parts, "{} {symbol} {:x} {}", part.section, part.size, part.hash);
    }
    Ok(parts)
}

/// Sizes and digests of each part by section and symbol, which several may share.
fn by_name(parts: &str) -> BTreeMap<(&str, &str), Vec<(&str, &str)>> {
    let mut named: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in parts.lines() {
        let mut words = line.rsplitn(3, ' ');
        let (digest, size, name) = (words.next(), words.next(), words.next());
        let name = name.and_then(|name| name.split_once(' '));
        if let (Some(name), Some(size), Some(digest)) = (name, size, digest) {
            named.entry(name).or_default().push((size, digest));
        }
    }
    named
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
                if functions.is_empty() && data.is_empty() {
                    return f.write_str("its code or data");
                }
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
    let objects = kbuild::compile(request, archive::GOAL, |out| Objects::read(out, outcomes))?;
    outcomes.put(&inputs, &objects, started.elapsed().as_secs_f64())?;
    Ok(objects)
}

/// The objects in which a state differs from its reference; none if the gates keep their promise.
pub fn compare(reference: &Objects, state: &Objects, outcomes: &Outcomes) -> Vec<Difference> {
    let paths: BTreeSet<&Utf8PathBuf> = reference.0.keys().chain(state.0.keys()).collect();
    // What is not known any more, because somebody deleted half a cache, is only not named.
    let parts = |digest: &str| outcomes.get::<String>(&part_inputs(digest)).unwrap_or_default();
    let difference = |path: &Utf8PathBuf| {
        let change = match (reference.0.get(path), state.0.get(path)) {
            (Some(one), Some(other)) if one == other => return None,
            (Some(one), Some(other)) => changed(&parts(one), &parts(other)),
            (None, _) => Change::Added,
            (_, None) => Change::Gone,
        };
        Some(Difference { object: path.clone(), change })
    };
    paths.into_iter().filter_map(difference).collect()
}

fn changed(one: &str, other: &str) -> Change {
    let (one, other) = (by_name(one), by_name(other));
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
