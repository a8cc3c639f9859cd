// SPDX-License-Identifier: GPL-2.0-only

//! Which kernel is meant, and its configuration.
//!
//! Scenarios name kernels by words ([`Which::named`]); what a word stands for depends on what is being tested. A kernel's
//! configuration is the project's own plus, for every phase below it, that phase's part and its gates. With the gate off
//! only the last phase's gates go: the phases that it requires stay as they are for its parent, so that the two compare.
//! A variant (`current+modules`) lays its own fragment on top of all that.

use camino::Utf8Path;
use ci::kbuild::{BuildError, Fragment, PhaseGates, project_fragments};
use harness::scenario::variant_of;
use stg_core::{Stack, Target};

/// A kernel, by what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Which {
    /// What it is made of.
    pub(crate) made: Made,
    /// How it is configured, if not as usual.
    pub(crate) variant: Option<String>,
}

/// What a kernel is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    /// At the end of a phase or at a patch, gates on.
    At(Target),
    /// The same with the gates of its phase off.
    GateOff(Target),
    /// The base without any patch.
    Base,
}

impl From<Made> for Which {
    /// Configured as usual.
    fn from(made: Made) -> Self {
        Self { made, variant: None }
    }
}

impl Which {
    /// What a scenario calls `current`, `gate-off`, `base`, `phase1` or `phase1/kho-rust` while `current` is tested, with `+variant`
    /// behind it or not; if not, it is of the variant that is given here.
    ///
    /// # Errors
    ///
    /// When the name is none of these.
    pub(crate) fn named(name: &str, current: &Target, stack: &Stack, variant: Option<&str>) -> stg_core::Result<Self> {
        let (name, own) = variant_of(name);
        let made = match name {
            "current" => Made::At(current.clone()),
            "gate-off" => Made::GateOff(current.clone()),
            "base" => Made::Base,
            other => Made::At(stack.target(other)?),
        };
        Ok(Self { made, variant: own.or(variant).map(str::to_owned) })
    }

    /// How it is called in progress and messages.
    pub(crate) fn label(&self) -> String {
        let label = match &self.made {
            Made::At(target) => target_label(target),
            Made::GateOff(target) => format!("{} with its gate off", target_label(target)),
            Made::Base => "base".to_owned(),
        };
        self.variant.iter().fold(label, |label, variant| format!("{label} as {variant}"))
    }

    /// Its configuration.
    ///
    /// # Errors
    ///
    /// If a fragment is malformed or cannot be read.
    pub(crate) fn fragments(&self, root: &Utf8Path, stack: &Stack) -> Result<Vec<Fragment>, BuildError> {
        let variant = self.variant.as_deref();
        let (target, gate) = match &self.made {
            Made::At(target) => (target, true),
            Made::GateOff(target) => (target, false),
            Made::Base => return project_fragments(root, &[], variant),
        };
        let chain = stack.chain(target)?;
        let last = chain.len().saturating_sub(1);
        let phases: Vec<PhaseGates<'_>> = chain
            .iter()
            .enumerate()
            .map(|(index, (phase, _))| PhaseGates {
                phase: phase.name(),
                gates: &phase.manifest.gates,
                on: gate || index != last,
            })
            .collect();
        project_fragments(root, &phases, variant)
    }
}

/// `phase1`, `phase1/kho-rust`.
pub(crate) fn target_label(target: &Target) -> String {
    match target {
        Target::All => "the whole stack".to_owned(),
        Target::Phase(name) | Target::Patch(name) => name.clone(),
        Target::Upto { last, .. } => last.clone().unwrap_or_else(|| "base".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Small;

    fn options(which: impl Into<Which>) -> String {
        let (which, small) = (which.into(), Small::new());
        let fragments = which.fragments(small.root(), &small.stack()).unwrap();
        let lines = fragments.iter().flat_map(Fragment::options).map(ToString::to_string);
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn gates_of_all_phases_below_are_on_and_only_the_last_goes_off() {
        let phase2 = Target::Phase("phase2".to_owned());
        insta::assert_snapshot!(options(Made::At(phase2.clone())), @r"
        CONFIG_PCI=y
        CONFIG_ONE_KUNIT_TEST=y
        CONFIG_ONE=y
        CONFIG_TWO=y
        ");
        insta::assert_snapshot!(options(Made::GateOff(phase2)), @r"
        CONFIG_PCI=y
        CONFIG_ONE_KUNIT_TEST=y
        CONFIG_ONE=y
        # CONFIG_TWO is not set
        ");
        assert_eq!(options(Made::Base), "CONFIG_PCI=y");
        let modular = Which { made: Made::Base, variant: Some("modules".into()) };
        assert_eq!(options(modular), "CONFIG_PCI=y\nCONFIG_PCI=m");
    }

    #[test]
    fn names() {
        let stack = Small::new().stack();
        let current = Target::Patch("phase1/b".to_owned());
        let named = |name: &str| Which::named(name, &current, &stack, None).map(|which| which.label());
        assert_eq!(named("current").unwrap(), "phase1/b");
        assert_eq!(named("gate-off").unwrap(), "phase1/b with its gate off");
        assert_eq!(named("base").unwrap(), "base");
        assert_eq!(named("phase2").unwrap(), "phase2");
        assert_eq!(named("phase1/c").unwrap(), "phase1/c");
        assert!(named("phase9").is_err() && named("phase9+modules").is_err());
        assert_eq!(named("current+modules").unwrap(), "phase1/b as modules");
        let chosen = |name: &str| Which::named(name, &current, &stack, Some("debug")).map(|which| which.label());
        assert_eq!(chosen("gate-off").unwrap(), "phase1/b with its gate off as debug");
        assert_eq!(chosen("base+modules").unwrap(), "base as modules", "its own has precedence");
    }
}
