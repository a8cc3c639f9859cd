// SPDX-License-Identifier: GPL-2.0-only

//! What kernels ask of the machine that they run on.
//!
//! The usual kernel asks for nothing. One that is configured otherwise (a *variant*, `ci/variants/<name>.config`) may need more
//! memory, or more time. [`FILE`] holds a map from the names of the variants to their [`Needs`]:
//!
//! ```yaml
//! modules: {}
//! debug:
//!   memory: 2G                            # at least so much; a scenario or topology may have more
//!   cmdline: "kho_scratch=16M,128M,640M"  # before the scenario's own
//!   slowness: 6                           # all time limits, the host's and the guest's, are multiplied by it, and so is the time
//!                                         # between frames, unless the witness paces them
//!   kmemleak: true                        # every stage looks for leaked memory before it ends (the step `kmemleak`)
//!   allow: ["at: some_function"]          # complaints of the base itself, beside what a scenario allows
//! ```

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Deserialize;
use stg_core::{Diagnostic, Source, yaml};

use crate::error::HarnessError;
use crate::memory::bytes;

/// Where the variants are, relative to the project root.
pub const FILE: &str = "selftests/variants.yaml";

/// What a kernel asks for.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// At least so much memory, in QEMU's notation.
    pub memory: Option<String>,
    /// Added to the first kernel's command line, before the scenario's.
    pub cmdline: String,
    /// How many times as long as the usual kernel it may take.
    pub slowness: u32,
    /// Whether every stage looks for leaked memory.
    pub kmemleak: bool,
    /// Complaints that the base has by itself, see [`Expect::allow`](crate::scenario::Expect::allow).
    pub allow: Vec<String>,
}

impl Default for Needs {
    fn default() -> Self {
        Self { memory: None, cmdline: String::new(), slowness: 1, kmemleak: false, allow: Vec::new() }
    }
}

impl Needs {
    /// What two kernels need that run one after the other. Leaks are looked for if both can.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let cmdline = if self.cmdline == other.cmdline {
            self.cmdline.clone()
        } else {
            format!("{} {}", self.cmdline, other.cmdline).trim().to_owned()
        };
        let memory = match (&self.memory, &other.memory) {
            (Some(one), Some(two)) => Some(larger(one, two).to_owned()),
            (one, two) => one.as_ref().or(two.as_ref()).cloned(),
        };
        let slowness = self.slowness.max(other.slowness);
        let more = other.allow.iter().filter(|text| !self.allow.contains(text));
        let allow = self.allow.iter().chain(more).cloned().collect();
        Self { memory, cmdline, slowness, kmemleak: self.kmemleak && other.kmemleak, allow }
    }

    /// The memory of a machine that has at least so much.
    pub(crate) fn memory<'a>(&'a self, given: &'a str) -> &'a str {
        self.memory.as_deref().map_or(given, |needed| larger(given, needed))
    }
}

/// The larger of two sizes; one that is not understood is left to QEMU.
fn larger<'a>(one: &'a str, other: &'a str) -> &'a str {
    if bytes(other) > bytes(one) { other } else { one }
}

/// The variants of the project.
#[derive(Clone, Debug)]
pub struct Variants {
    by_name: BTreeMap<String, Needs>,
}

impl Variants {
    /// Reads [`FILE`].
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(source: &dyn Source) -> Result<Self, HarnessError> {
        let (text, by_name): (String, BTreeMap<String, Needs>) = yaml::read(source, Utf8Path::new(FILE))?;
        for (name, needs) in &by_name {
            let wrong = |key: &str, message: &str, fix: &str| {
                let (line, _) = yaml::locate(&text, name, key);
                Diagnostic::new(FILE, format!("variant `{name}`: {message}"), fix).at(line)
            };
            if needs.slowness == 0 {
                return Err(
                    wrong("slowness", "`slowness` is 0, so all time limits would be", "set it to 1 at least").into()
                );
            }
            if needs.memory.as_ref().is_some_and(|memory| bytes(memory).is_none()) {
                return Err(wrong("memory", "`memory` is no size", "write it as `2G` or `512M`").into());
            }
        }
        Ok(Self { by_name })
    }

    /// What the kernels of a variant need.
    ///
    /// # Errors
    /// A diagnostic with the variants that exist.
    pub fn needs(&self, variant: &str) -> Result<Needs, HarnessError> {
        self.by_name.get(variant).cloned().ok_or_else(|| {
            let known: Vec<_> = self.by_name.keys().map(String::as_str).collect();
            let fix = format!("name one that it has: {}", known.join(", "));
            Diagnostic::new(FILE, format!("there is no variant `{variant}`"), fix).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Files, checkout};

    fn load(text: &str) -> Result<Variants, String> {
        Variants::load(&Files::of(&[(FILE, text)])).map_err(|error| error.to_string())
    }

    #[test]
    fn the_project_s_own_file_is_good_and_every_variant_has_a_configuration() {
        let variants = Variants::load(&checkout()).unwrap();
        assert_eq!(variants.needs("modules").unwrap(), Needs::default());
        assert!(variants.needs("debug").unwrap().kmemleak);
        let configured: Vec<String> = checkout()
            .list(Utf8Path::new("ci/variants"))
            .unwrap()
            .into_iter()
            .map(|entry| entry.path.file_stem().unwrap_or_default().to_owned())
            .collect();
        let mut configured = configured;
        configured.sort();
        assert_eq!(configured, variants.by_name.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn mistakes_are_located() {
        insta::assert_snapshot!(load("a: {}\nb:\n  slowness: 0\n").unwrap_err(), @r"
        selftests/variants.yaml:3: variant `b`: `slowness` is 0, so all time limits would be
          fix: set it to 1 at least
        ");
        insta::assert_snapshot!(load("a:\n  memory: much\n").unwrap_err(), @r"
        selftests/variants.yaml:2: variant `a`: `memory` is no size
          fix: write it as `2G` or `512M`
        ");
        insta::assert_snapshot!(load("a:\n  slownes: 2\n").unwrap_err(), @r"
        selftests/variants.yaml:2:3: a: unknown field `slownes`, expected one of `memory`, `cmdline`, `slowness`, `kmemleak`, `allow`
          fix: remove the field, or write `slowness` if that was meant
        ");
        insta::assert_snapshot!(load("a: {}\nb: {}\n").unwrap().needs("c").unwrap_err(), @r"
        selftests/variants.yaml: there is no variant `c`
          fix: name one that it has: a, b
        ");
    }

    #[test]
    fn the_needs_of_two_kernels_are_those_of_both() {
        let plain = Needs::default();
        let debug = Needs {
            memory: Some("2G".into()),
            cmdline: "a=1 b".into(),
            slowness: 6,
            kmemleak: true,
            allow: vec!["x".into()],
        };
        assert_eq!(debug.and(&debug), debug);
        assert_eq!(plain.and(&debug), Needs { kmemleak: false, ..debug.clone() });
        assert_eq!(debug.and(&plain), plain.and(&debug));
        let other =
            Needs { memory: Some("512M".into()), cmdline: "c".into(), slowness: 2, kmemleak: true, allow: Vec::new() };
        assert_eq!(debug.and(&other), Needs { cmdline: "a=1 b c".into(), ..debug.clone() });
        assert_eq!((debug.memory("1G"), debug.memory("4G"), plain.memory("1G")), ("2G", "4G", "1G"));
    }
}
