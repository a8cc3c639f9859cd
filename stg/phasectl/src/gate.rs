// SPDX-License-Identifier: GPL-2.0-only

//! The gate proof of a patch (X.1): with the phase's gates off, its state is that of the reference of its series. What that means
//! exactly is said in [`ci::gate`].

use ci::gate::{self, Comparison, Objects};
use ci::kbuild::{BuildRequest, GitBlame, PhaseGates, inert_fragments};
use ci::outcomes::Outcomes;
use stg_core::stack::Patch;
use stg_core::{Assembled, Diagnostic, Phase, Target};

use crate::lab::Lab;

impl Lab {
    /// What a patch changes although its phase's gates are off: nothing, if all is well. A patch that prepares may, and is not compared.
    ///
    /// Patches are best asked in their order: each compiles what differs from the one before. The reference is compiled first, and once.
    ///
    /// # Errors
    ///
    /// If there is no such patch, or one of the two states does not compile.
    pub(crate) fn gate_proof(&self, patch: &str) -> anyhow::Result<Vec<Diagnostic>> {
        let (phase, patch) = self.stack.patch(patch)?;
        let mut comparisons = gate::comparisons(phase).into_iter();
        let Some(Comparison { reference, .. }) = comparisons.find(|one| one.patch.entry.name == patch.entry.name)
        else {
            return Ok(Vec::new());
        };
        let assembled = self.assemble(&Target::Phase(phase.name().to_owned()))?;
        let before = self.inert(&assembled, phase, reference)?;
        let after = self.inert(&assembled, phase, Some(patch))?;
        let reference = reference.map_or_else(|| format!("what {} stands on", phase.name()), Patch::id);
        let differences = gate::compare(&before, &after, &Outcomes::of(&self.cache));
        Ok(gate::findings(phase, patch, &reference, &differences))
    }

    /// What a kernel is linked from at a patch of a phase (or before its first one) with the gates off.
    fn inert(&self, assembled: &Assembled, phase: &Phase, patch: Option<&Patch>) -> anyhow::Result<Objects> {
        let own = |id: &str| assembled.patches.iter().position(|one| one.id() == id);
        let end = match patch {
            Some(patch) => own(&patch.id()).map(|index| index + 1),
            None => phase.patches.first().and_then(|first| own(&first.id())),
        };
        let line = &assembled.patches[..end.unwrap_or(assembled.patches.len())];
        let commit = line.last().map_or_else(|| assembled.base.commit.clone(), |last| last.commit.to_string());
        let patches: Vec<_> = line.iter().map(|one| (one.commit.to_string(), one.id())).collect();
        let root = self.project.root();
        let blame = GitBlame::new(&self.base.repo, &self.base.commit, &commit, &patches, Some(root))?;
        let chain = self.stack.chain(&Target::Phase(phase.name().to_owned()))?;
        let gates = |(phase, _): &(&'_ Phase, usize)| (phase.name().to_owned(), phase.manifest.gates.clone());
        let gates: Vec<_> = chain.iter().map(gates).collect();
        let gates: Vec<_> = gates.iter().map(|(phase, gates)| PhaseGates { phase, gates, on: true }).collect();
        let at = patch.map_or_else(|| format!("what {} stands on", phase.name()), Patch::id);
        let request = BuildRequest {
            repo: &self.base.repo,
            commit: &commit,
            label: &format!("the objects of {at}, gates off"),
            fragments: &inert_fragments(root, &gates)?,
            tools: &self.tools,
            cache: &self.cache,
            jobs: stg_env::jobs(),
            blame: Some(&blame),
        };
        Ok(gate::objects(&request, &Outcomes::of(&self.cache))?)
    }
}
