// SPDX-License-Identifier: GPL-2.0-only

//! Configuration fragments: what is wanted of a kernel's `.config`.
//!
//! A fragment is written like a `.config`. Several are laid over each other, the last word on a symbol counts, and the
//! sum is what a build key covers: comments and order do not matter. [`Scope`] says what happens to an option that the
//! tree does not know. Kconfig itself says nothing when it drops an option, whether misspelt or without its
//! dependencies; so [`Wanted`] is compared with the result, and every loss is an error.

use std::collections::BTreeMap;
use std::fmt;

use camino::Utf8Path;
use stg_core::yaml::locate;

use super::error::BuildError;

/// When an option must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In every tree.
    Always,
    /// In every tree that declares its symbol: the patch that does may not be applied yet.
    Declared,
}

/// What an option is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `# CONFIG_X is not set`, or absent.
    Unset,
    /// The text after the `=`.
    Set(String),
}

/// One option and where it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The symbol without `CONFIG_`.
    pub symbol: String,
    /// Its value.
    pub value: Value,
    /// When it must be there.
    pub scope: Scope,
    /// File and line that ask for it, for messages.
    pub origin: String,
}

impl fmt::Display for Wanted {
    /// As a line of a `.config`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Unset => write!(f, "# CONFIG_{} is not set", self.symbol),
            Value::Set(value) => write!(f, "CONFIG_{}={value}", self.symbol),
        }
    }
}

/// A file, or a generated list, of wanted options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    options: Vec<Wanted>,
}

impl Fragment {
    /// Reads a fragment; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// [`BuildError::Fragment`] for a line that is neither an option nor a comment, and for an option given twice.
    pub fn parse(name: &str, scope: Scope, text: &str) -> Result<Self, BuildError> {
        let mut lines = BTreeMap::new();
        let mut options = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let origin = format!("{name}:{number}");
            let Some((symbol, value)) = option(line.trim()) else {
                if line.trim().is_empty() || line.trim_start().starts_with('#') {
                    continue;
                }
                return Err(BuildError::Fragment {
                    origin,
                    message: format!("`{}` is no option", line.trim()),
                    fix: "write CONFIG_X=value, `# CONFIG_X is not set`, or a comment",
                });
            };
            if let Some(first) = lines.insert(symbol.to_owned(), number) {
                return Err(BuildError::Fragment {
                    origin,
                    message: format!("CONFIG_{symbol} was given on line {first} already"),
                    fix: "keep one of them",
                });
            }
            options.push(Wanted { symbol: symbol.to_owned(), value, scope, origin });
        }
        Ok(Self { options })
    }

    /// Reads a fragment of the project, `root/path`.
    ///
    /// # Errors
    ///
    /// As [`Fragment::parse`], and if the file cannot be read.
    pub fn read(root: &Utf8Path, path: &str, scope: Scope) -> Result<Self, BuildError> {
        let file = root.join(path);
        let text = std::fs::read_to_string(&file).map_err(BuildError::io("read", &file))?;
        Self::parse(path, scope, &text)
    }

    /// A phase's gates, all on or all off.
    pub fn gates(phase: &str, gates: &[String], on: bool) -> Self {
        let value = if on { Value::Set("y".to_owned()) } else { Value::Unset };
        let origin = format!("phases/{phase}/phase.yaml: gates");
        let wanted = |symbol: &String| Wanted {
            symbol: symbol.clone(),
            value: value.clone(),
            scope: Scope::Declared,
            origin: origin.clone(),
        };
        Self { options: gates.iter().map(wanted).collect() }
    }

    /// The same options, all off.
    #[must_use]
    pub fn off(mut self) -> Self {
        self.options.iter_mut().for_each(|option| option.value = Value::Unset);
        self
    }

    /// Its options, in order.
    pub fn options(&self) -> &[Wanted] {
        &self.options
    }
}

/// Name and gates of a phase, as far as a configuration goes.
#[derive(Debug, Clone, Copy)]
pub struct PhaseGates<'a> {
    /// Its name.
    pub phase: &'a str,
    /// Kconfig symbols without `CONFIG_`.
    pub gates: &'a [String],
    /// Whether they are switched on.
    pub on: bool,
}

/// The fragments of a kernel with these phases: `ci/kernel.config`, and for each phase `phases/<phase>/kernel.config`,
/// if there is one, and its gates. On top of all, for a variant, `ci/variants/<variant>.config`.
///
/// # Errors
///
/// As [`Fragment::read`].
pub fn project_fragments(
    root: &Utf8Path,
    phases: &[PhaseGates<'_>],
    variant: Option<&str>,
) -> Result<Vec<Fragment>, BuildError> {
    let mut fragments = vec![Fragment::read(root, "ci/kernel.config", Scope::Always)?];
    for phase in phases {
        fragments.extend(own_fragment(root, phase)?);
        fragments.push(gates(root, phase, phase.on));
    }
    if let Some(variant) = variant {
        fragments.push(Fragment::read(root, &format!("ci/variants/{variant}.config"), Scope::Always)?);
    }
    Ok(fragments)
}

/// The same for a kernel to which the last phase must make no difference: its gates are off, and so is every option of its
/// `kernel.config`, whose samples and tests are a choice of their own.
///
/// # Errors
///
/// As [`Fragment::read`].
pub fn inert_fragments(root: &Utf8Path, phases: &[PhaseGates<'_>]) -> Result<Vec<Fragment>, BuildError> {
    let Some((last, below)) = phases.split_last() else { return project_fragments(root, phases, None) };
    let mut fragments = project_fragments(root, below, None)?;
    fragments.extend(own_fragment(root, last)?.map(Fragment::off));
    fragments.push(gates(root, last, false));
    Ok(fragments)
}

/// The gates of a phase, each with its line of phase.yaml.
fn gates(root: &Utf8Path, phase: &PhaseGates<'_>, on: bool) -> Fragment {
    let mut gates = Fragment::gates(phase.phase, phase.gates, on);
    let file = format!("phases/{}/phase.yaml", phase.phase);
    let text = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
    for gate in &mut gates.options {
        if let (line, Some(_)) = locate(&text, "gates", &gate.symbol) {
            gate.origin = format!("{file}:{line}");
        }
    }
    gates
}

fn own_fragment(root: &Utf8Path, phase: &PhaseGates<'_>) -> Result<Option<Fragment>, BuildError> {
    let own = format!("phases/{}/kernel.config", phase.phase);
    root.join(&own).exists().then(|| Fragment::read(root, &own, Scope::Declared)).transpose()
}

/// Lays fragments over each other: sorted by symbol, of several wishes the last.
pub fn merge(fragments: &[Fragment]) -> Vec<Wanted> {
    let all = fragments.iter().flat_map(|fragment| &fragment.options);
    let merged: BTreeMap<&str, &Wanted> = all.map(|wanted| (wanted.symbol.as_str(), wanted)).collect();
    merged.into_values().cloned().collect()
}

/// A `.config` with the wanted options in place of its own. (Appended ones would win too, with a warning for each.)
pub fn overlay(config: &str, wanted: &[Wanted]) -> String {
    let ours = |line: &str| option(line).is_some_and(|(symbol, _)| wanted.iter().any(|one| one.symbol == symbol));
    let kept = config.lines().filter(|line| !ours(line)).map(str::to_owned);
    kept.chain(wanted.iter().map(ToString::to_string)).map(|line| line + "\n").collect()
}

/// The options that a finished `.config` does not have as wanted, with what it has instead.
pub fn lost<'a>(wanted: &'a [Wanted], config: &str) -> Vec<(&'a Wanted, Value)> {
    let found: BTreeMap<&str, Value> = config.lines().filter_map(option).collect();
    let compare = |wanted: &'a Wanted| {
        let value = found.get(wanted.symbol.as_str()).cloned().unwrap_or(Value::Unset);
        (value != wanted.value).then_some((wanted, value))
    };
    wanted.iter().filter_map(compare).collect()
}

/// Symbol and value of a line of a `.config`.
fn option(line: &str) -> Option<(&str, Value)> {
    let plain = |symbol: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !symbol.is_empty() && symbol.chars().all(fine)
    };
    let (symbol, value) = if let Some(rest) = line.strip_prefix("# CONFIG_") {
        (rest.strip_suffix(" is not set")?, Value::Unset)
    } else {
        match line.strip_prefix("CONFIG_")?.split_once('=')? {
            (symbol, "n") => (symbol, Value::Unset),
            (_, "") => return None,
            (symbol, value) => (symbol, Value::Set(value.to_owned())),
        }
    };
    plain(symbol).then_some((symbol, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(text: &str) -> Fragment {
        Fragment::parse("f.config", Scope::Always, text).unwrap()
    }

    #[test]
    fn options_and_comments() {
        let text = "# why\n\nCONFIG_A=y\n  # CONFIG_B is not set\nCONFIG_C=\"a b\"\nCONFIG_D=n\n# CONFIG_E explained\n";
        let lines: Vec<String> = fragment(text).options().iter().map(|one| format!("{} {one}", one.origin)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        f.config:3 CONFIG_A=y
        f.config:4 # CONFIG_B is not set
        f.config:5 CONFIG_C="a b"
        f.config:6 # CONFIG_D is not set
        "#);
    }

    #[test]
    fn mistakes_name_line_and_fix() {
        let complain = |text: &str| Fragment::parse("f.config", Scope::Always, text).unwrap_err().to_string();
        insta::assert_snapshot!(complain("CONFIG_A=y\nB=y\n"), @"
        f.config:2: `B=y` is no option
          fix: write CONFIG_X=value, `# CONFIG_X is not set`, or a comment
        ");
        insta::assert_snapshot!(complain("CONFIG_A=y\n# CONFIG_A is not set\n"), @"
        f.config:2: CONFIG_A was given on line 1 already
          fix: keep one of them
        ");
        for bad in ["CONFIG_A", "CONFIG_=y", "CONFIG_A=", "CONFIG_A B=y"] {
            assert!(complain(bad).contains("is no option"), "{bad}");
        }
    }

    #[test]
    fn the_last_word_counts_and_order_does_not() {
        let one = merge(&[fragment("CONFIG_B=y\nCONFIG_A=y\n"), fragment("# CONFIG_B is not set\n")]);
        let text: Vec<String> = one.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["CONFIG_A=y", "# CONFIG_B is not set"]);
        assert_eq!(
            merge(&[fragment("CONFIG_A=y\n"), Fragment::gates("p", &["B".into()], false)])[1].value,
            Value::Unset
        );
    }

    #[test]
    fn wanted_options_replace_those_of_the_tiny_configuration() {
        let wanted = merge(&[fragment("CONFIG_B=y\n# CONFIG_C is not set\n")]);
        let config = overlay("# Tiny\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=8\nCONFIG_BB=y\n", &wanted);
        assert_eq!(config, "# Tiny\nCONFIG_A=y\nCONFIG_BB=y\nCONFIG_B=y\n# CONFIG_C is not set\n");
    }

    #[test]
    fn losses_are_found() {
        let wanted =
            merge(&[fragment("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=8\n# CONFIG_D is not set\n# CONFIG_E is not set")]);
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=64\nCONFIG_E=m\n";
        let lost: Vec<_> = lost(&wanted, config).into_iter().map(|(one, has)| (one.symbol.as_str(), has)).collect();
        let set = |value: &str| Value::Set(value.into());
        assert_eq!(lost, [("B", Value::Unset), ("C", set("64")), ("E", set("m"))]);
    }

    #[test]
    fn the_projects_own_fragments() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let gates = ["VFIO_PCI_LIVEUPDATE".to_owned()];
        let on = project_fragments(root, &[PhaseGates { phase: "phase1", gates: &gates, on: true }], None).unwrap();
        assert_eq!(on.len(), 3);
        let merged = merge(&on);
        let find = |symbol: &str| merged.iter().find(|one| one.symbol == symbol).unwrap();
        assert_eq!(find("RELOCATABLE").scope, Scope::Always);
        assert_eq!(find("RUST_KHO_KUNIT_TEST").scope, Scope::Declared);
        assert_eq!(find("VFIO_PCI_LIVEUPDATE").to_string(), "CONFIG_VFIO_PCI_LIVEUPDATE=y");
        // No option stands in two files: the second would hide what the first explains.
        assert_eq!(merged.len(), on.iter().map(|fragment| fragment.options().len()).sum::<usize>());
        let none = project_fragments(root, &[PhaseGates { phase: "phase9", gates: &[], on: true }], None).unwrap();
        assert!(none[1].options().is_empty());
    }

    #[test]
    fn an_inert_phase_has_none_of_its_options() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let gates = ["VFIO_PCI_LIVEUPDATE".to_owned()];
        let phase = PhaseGates { phase: "phase1", gates: &gates, on: true };
        let value = |fragments: &[Fragment], symbol: &str| {
            merge(fragments).into_iter().find(|one| one.symbol == symbol).unwrap().to_string()
        };
        let off = inert_fragments(root, &[phase]).unwrap();
        assert_eq!(value(&off, "VFIO_PCI_LIVEUPDATE"), "# CONFIG_VFIO_PCI_LIVEUPDATE is not set");
        assert_eq!(value(&off, "SAMPLE_RUST_LIVEUPDATE"), "# CONFIG_SAMPLE_RUST_LIVEUPDATE is not set");
        assert_eq!(value(&off, "SAMPLES_RUST"), "CONFIG_SAMPLES_RUST=y");
        let gate = off.iter().flat_map(Fragment::options).find(|one| one.symbol == "VFIO_PCI_LIVEUPDATE").unwrap();
        let text = std::fs::read_to_string(root.join("phases/phase1/phase.yaml")).unwrap();
        let line = text.lines().position(|line| line.starts_with("gates:")).unwrap() + 1;
        assert_eq!(gate.origin, format!("phases/phase1/phase.yaml:{line}"));
        // What it requires stays on.
        let above = inert_fragments(root, &[phase, PhaseGates { phase: "phase9", gates: &[], on: true }]).unwrap();
        assert_eq!(value(&above, "VFIO_PCI_LIVEUPDATE"), "CONFIG_VFIO_PCI_LIVEUPDATE=y");
        assert_eq!(value(&above, "SAMPLE_RUST_LIVEUPDATE"), "CONFIG_SAMPLE_RUST_LIVEUPDATE=y");
    }

    #[test]
    fn a_variant_has_the_last_word() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let vfio = |variant| {
            let merged = merge(&project_fragments(root, &[], variant).unwrap());
            merged.into_iter().find(|one| one.symbol == "VFIO_PCI").unwrap()
        };
        assert_eq!(vfio(None).to_string(), "CONFIG_VFIO_PCI=y");
        let modular = vfio(Some("modules"));
        assert_eq!(modular.to_string(), "CONFIG_VFIO_PCI=m");
        assert!(modular.origin.starts_with("ci/variants/modules.config:"), "{}", modular.origin);
        let error = project_fragments(root, &[], Some("no-such")).unwrap_err().to_string();
        assert!(error.contains("ci/variants/no-such.config"), "{error}");
    }
}
