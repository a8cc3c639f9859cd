// SPDX-License-Identifier: GPL-2.0-only

//! What a phase is, as data: `phases/base.yaml` and `phases/phaseN/phase.yaml`.
//!
//! The types refuse unknown fields, so that a misspelt `require:` is an error and not a phase without requirements.
//! Rows of the requirements are strings: YAML reads an unquoted `1.10` as the number 1.1, which is another row.

mod check;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::{Deserialize, Deserializer, Visitor};

use crate::error::{Result, gather};
use crate::source::Source;
use crate::yaml::{self, UNQUOTED};

/// Where the base manifest is.
pub const BASE_FILE: &str = "phases/base.yaml";

/// A name and an address, as git has them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Full name.
    pub name: String,
    /// Mail address, without brackets.
    pub email: String,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
    }
}

/// `phases/base.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseManifest {
    /// The Linux release, such as `7.3`; its stable updates are accepted.
    pub release: String,
    /// The distribution's package with its source.
    pub package: String,
    /// Suites in which the package is looked for; the newest version wins.
    pub suites: Vec<String>,
    /// Author and committer of assembled commits.
    pub author: Identity,
    /// Date of the base commit in seconds; patch n of a stack is dated `epoch + n`.
    pub epoch: i64,
}

/// The id of a requirement, such as `1.10`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub String);

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a quoted row such as \"1.10\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Row, E> {
                let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
                match text.split_once('.') {
                    Some((phase, row)) if plain(phase) && plain(row) => Ok(Row(text.to_owned())),
                    _ => Err(E::custom(format!("`{text}` is not a row such as \"1.10\""))),
                }
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> std::result::Result<Row, E> {
                Err(E::custom(format!("{UNQUOTED} reads it as the number {number}")))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> std::result::Result<Row, E> {
                Err(E::custom(format!("{UNQUOTED} reads it as the number {number}")))
            }
        }
        deserializer.deserialize_any(Quoted)
    }
}

/// One patch in the order list of a series.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchEntry {
    /// Name of `phases/<phase>/<name>.patch`, unique in the project.
    pub name: String,
    /// Only prepares: shows nothing by itself.
    #[serde(default)]
    pub prepares: bool,
    /// Rows of the requirements that it serves.
    #[serde(default)]
    pub rows: Vec<Row>,
    /// Scenarios that pass from this patch on.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Scenarios that do not apply any more from this patch on, because it makes what they stage impossible: the phase's own, or those of the
    /// phases that it is built upon.
    #[serde(default)]
    pub obsoletes: Vec<String>,
}

/// What goes to a mailing list in one posting.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Unique in the phase; names the directory of its export.
    pub name: String,
    /// Subject of the cover letter.
    pub title: String,
    /// File beside `phase.yaml` with the cover letter's text.
    pub cover: String,
    /// In order.
    pub patches: Vec<PatchEntry>,
}

/// `phases/<phase>/phase.yaml`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseManifest {
    /// Equal to the directory's name.
    pub phase: String,
    /// A short name for people.
    pub slug: String,
    /// One line.
    pub title: String,
    /// Phases that must come before.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Kconfig symbols without `CONFIG_` that switch the phase on.
    #[serde(default)]
    pub gates: Vec<String>,
    /// Addresses of the mailing lists.
    #[serde(default)]
    pub lists: Vec<String>,
    /// In order.
    pub series: Vec<Series>,
    /// All scenarios of the phase.
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// What its scenarios may cost.
    #[serde(default)]
    pub budgets: Budgets,
}

/// Limits for what is measured in a phase.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// How much longer the blackout may be than without what its scenarios preserve, in per cent of the guest instructions; as long as it
    /// likes, if not given.
    #[serde(default)]
    pub blackout_percent: Option<f64>,
}

impl BaseManifest {
    /// Reads `phases/base.yaml`.
    ///
    /// # Errors
    /// A missing file, bad YAML, unknown or wrong fields.
    pub fn load(source: &dyn Source) -> Result<Self> {
        let (_, manifest): (String, Self) = yaml::read(source, Utf8Path::new(BASE_FILE))?;
        check::base(&manifest)?;
        Ok(manifest)
    }
}

/// A manifest with what is needed to point into it.
pub(crate) struct Loaded {
    pub(crate) file: Utf8PathBuf,
    pub(crate) text: String,
    pub(crate) manifest: PhaseManifest,
}

/// Reads every `phases/*/phase.yaml`, sorted by directory, and checks them by themselves and together.
pub(crate) fn load_phases(source: &dyn Source) -> Result<Vec<Loaded>> {
    let listed = source.list(Utf8Path::new("phases"))?;
    let mut all = Vec::new();
    let mut found = Vec::new();
    for entry in listed.iter().filter(|entry| entry.path.components().count() == 3) {
        if entry.path.file_name() != Some("phase.yaml") {
            continue;
        }
        if let Some((text, manifest)) = gather(yaml::read(source, &entry.path), &mut found)? {
            all.push(Loaded { file: entry.path.clone(), text, manifest });
        }
    }
    crate::error::check(found)?;
    check::orphans(source, &listed)?;
    check::phases(&all, &listed)?;
    Ok(all)
}

#[cfg(test)]
mod tests;
