// SPDX-License-Identifier: GPL-2.0-only

//! The gate proof of a patch (X.1): with the phase's gates off, its state is that of the reference of its series. What that means
//! exactly is said in [`ci::gate`].

use ci::gate::{self, Comparison};
use ci::kbuild::{self, BuildError, BuildRequest, PhaseGates, inert_fragments};
use ci::outcomes::Outcomes;
use stg_core::stack::Patch;
use stg_core::{Assembled, Diagnostic, Phase, Target};

use crate::lab::Lab;

/// A patch that is compared, its phase as commits, and what it is compared with; `None` is what the phase stands on.
struct Compared<'a> {
    phase: &'a Phase,
    patch: &'a Patch,
    reference: Option<&'a Patch>,
    assembled: Assembled,
}

impl Compared<'_> {
    /// What the reference is called.
    fn against(&self) -> String {
        self.reference.map_or_else(|| format!("what {} stands on", self.phase.name()), Patch::id)
    }
}

impl Lab {
    /// What a patch changes although its phase's gates are off: nothing, if all is well. A patch that prepares may, and is not compared.
    ///
    /// Patches are best asked in their order: each compiles what differs from the one before. The reference is compiled first, and once.
    ///
    /// # Errors
    ///
    /// If there is no such patch, or one of the two states does not compile.
    pub(crate) fn gate_proof(&self, patch: &str) -> anyhow::Result<Vec<Diagnostic>> {
        let Some(compared) = self.compared(patch)? else { return Ok(Vec::new()) };
        let outcomes = Outcomes::of(&self.cache);
        let objects = |patch| self.inert(&compared, patch, |request| gate::objects(request, &outcomes));
        let (before, after) = (objects(compared.reference)?, objects(Some(compared.patch))?);
        let differences = gate::compare(&before, &after, &outcomes);
        Ok(gate::findings(compared.phase, compared.patch, &compared.against(), &differences))
    }

    /// What the proof of a patch depends on: the keys of both states, and so whatever moves the reference.
    ///
    /// # Errors
    ///
    /// If there is no such patch, or it does not assemble.
    pub(crate) fn gate_inputs(&self, patch: &str) -> anyhow::Result<String> {
        let Some(compared) = self.compared(patch)? else { return Ok("not compared".to_owned()) };
        let key = |patch| self.inert(&compared, patch, kbuild::key);
        let (before, after) = (key(compared.reference)?, key(Some(compared.patch))?);
        Ok(format!("{} {before} {after}", compared.against()))
    }

    fn compared(&self, patch: &str) -> anyhow::Result<Option<Compared<'_>>> {
        let (phase, patch) = self.stack.patch(patch)?;
        let mut comparisons = gate::comparisons(phase).into_iter();
        let Some(Comparison { reference, .. }) = comparisons.find(|one| one.patch.entry.name == patch.entry.name)
        else {
            return Ok(None);
        };
        let assembled = self.assemble(&Target::Phase(phase.name().to_owned()))?;
        Ok(Some(Compared { phase, patch, reference, assembled }))
    }

    /// Asks about the kernel at a patch of a phase (or before its first one) with the gates off.
    fn inert<T>(
        &self,
        compared: &Compared<'_>,
        patch: Option<&Patch>,
        ask: impl FnOnce(&BuildRequest<'_>) -> Result<T, BuildError>,
    ) -> anyhow::Result<T> {
        let Compared { phase, assembled, .. } = compared;
        let own = |id: &str| assembled.patches.iter().position(|one| one.id() == id);
        let end = match patch {
            Some(patch) => own(&patch.id()).map(|index| index + 1),
            None => phase.patches.first().and_then(|first| own(&first.id())),
        };
        let line = &assembled.patches[..end.unwrap_or(assembled.patches.len())];
        let commit = line.last().map_or_else(|| assembled.base.commit.clone(), |last| last.commit.to_string());
        let patches: Vec<_> = line.iter().map(|one| (one.commit.to_string(), one.id())).collect();
        let chain = self.stack.chain(&Target::Phase(phase.name().to_owned()))?;
        let gates = |(phase, _): &(&'_ Phase, usize)| (phase.name().to_owned(), phase.manifest.gates.clone());
        let gates: Vec<_> = chain.iter().map(gates).collect();
        let gates: Vec<_> = gates.iter().map(|(phase, gates)| PhaseGates { phase, gates, on: true }).collect();
        let at = patch.map_or_else(|| format!("what {} stands on", phase.name()), Patch::id);
        let fragments = inert_fragments(self.project.root(), &gates)?;
        self.ask((&commit, &patches), &format!("the objects of {at}, gates off"), &fragments, ask)
    }
}
