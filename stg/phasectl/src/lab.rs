// SPDX-License-Identifier: GPL-2.0-only

//! Everything that `build`, `test`, `faults` and `blackout` need, set up on first use.
//!
//! [`Lab::open`] goes from cheap to dear: the project's files are read first, so that a misspelt manifest is reported before
//! anything is installed or fetched; then the machine is set up for what the command does; then there is a base. A kernel is
//! asked for by [what it is](Which) and built if the store does not have it.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use ci::kbuild::{self, BuildError, BuildRequest, Fragment, GitBlame, KernelImage, SelftestsRequest, Tools};
use harness::HarnessError;
use harness::guest::build_init;
use harness::needs::{Needs, Variants};
use harness::programs;
use harness::run::{KernelFiles, Runner};
use harness::scenario::Scenario;
use harness::topology::Topologies;
use stg_core::git::Oid;
use stg_core::{Assembled, Base, Disk, Stack, Target, assemble};
use stg_env::requirements::Group;
use stg_env::toolchain::{Qemu, Toolchain};
use stg_env::{Cache, LockGuard, Project, setup};

use crate::app::{App, base_or_fetch};
use crate::kernels::{Made, Which};
use crate::question::Asked;

/// What builds a kernel: the machine must have it.
pub(crate) const BUILD: &[Group] = &[Group::Tool, Group::Build];
/// What builds and boots one.
pub(crate) const TEST: &[Group] = &[Group::Tool, Group::Build, Group::Vm];

/// A checkout, a base and the tools.
pub(crate) struct Lab {
    pub(crate) cache: Cache,
    pub(crate) project: Project,
    pub(crate) disk: Disk,
    pub(crate) stack: Stack,
    pub(crate) base: Base,
    variants: Variants,
    pub(crate) tools: Tools,
}

/// A commit on top of an assembled stack, such as a planted fault.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    /// Its id.
    pub(crate) commit: Oid,
    /// What it is called.
    pub(crate) label: String,
}

impl Lab {
    /// Sets everything up for `groups`. `stack` is what [`App::disk`] holds.
    pub(crate) fn open(app: &App, stack: Stack, groups: &[Group]) -> anyhow::Result<Self> {
        let (cache, project) = (app.cache()?, app.project()?);
        let disk = Disk::new(project.root());
        let variants = Variants::load(&disk)?;
        setup::ensure(&cache, groups)?;
        let base = base_or_fetch(&cache, &stack)?;
        let tools = Tools::from(&Toolchain::detect(&cache)?);
        Ok(Self { cache, project, disk, stack, base, variants, tools })
    }

    /// The commits up to a target.
    pub(crate) fn assemble(&self, target: &Target) -> stg_core::Result<Assembled> {
        assemble(&self.base, &self.disk, &self.stack, target)
    }

    /// A kernel, built if need be.
    ///
    /// # Errors
    ///
    /// Also if nobody knows its variant.
    pub(crate) fn kernel(&self, which: &Which) -> anyhow::Result<KernelImage> {
        self.needs(which)?;
        self.kernel_with(which, None)
    }

    /// The same with a commit on top.
    pub(crate) fn kernel_with(&self, which: &Which, extra: Option<&Extra>) -> anyhow::Result<KernelImage> {
        self.request(which, extra, kbuild::build)
    }

    /// The key of a kernel, whether it was ever built or not.
    pub(crate) fn kernel_key(&self, which: &Which, extra: Option<&Extra>) -> anyhow::Result<String> {
        self.request(which, extra, kbuild::key)
    }

    /// Asks [`kbuild`] about a kernel.
    pub(crate) fn request<T>(
        &self,
        which: &Which,
        extra: Option<&Extra>,
        ask: impl FnOnce(&BuildRequest<'_>) -> Result<T, BuildError>,
    ) -> anyhow::Result<T> {
        let (commit, patches) = self.commit(which, extra)?;
        let label = extra.map_or_else(|| which.label(), |extra| extra.label.clone());
        self.ask((&commit, &patches), &label, &which.fragments(self.project.root(), &self.stack)?, ask)
    }

    /// The same about a commit, with all of its patches by commit and name.
    pub(crate) fn ask<T>(
        &self,
        (commit, patches): (&str, &[(String, String)]),
        label: &str,
        fragments: &[Fragment],
        ask: impl FnOnce(&BuildRequest<'_>) -> Result<T, BuildError>,
    ) -> anyhow::Result<T> {
        Ok(ask(&BuildRequest {
            repo: &self.base.repo,
            commit,
            label,
            fragments,
            tools: &self.tools,
            cache: &self.cache,
            jobs: stg_env::jobs(),
            blame: Some(&self.blame(commit, patches)?),
        })?)
    }

    /// Finds the patch that an error is of.
    fn blame<'a>(&'a self, commit: &str, patches: &'a [(String, String)]) -> Result<GitBlame<'a>, BuildError> {
        GitBlame::new(&self.base.repo, &self.base.commit, commit, patches, Some(self.project.root()))
    }

    /// A kernel as a question names it.
    pub(crate) fn asked(&self, which: &Which, extra: Option<&Extra>) -> anyhow::Result<Asked> {
        let needs = self.needs(which)?;
        Ok(Asked { key: self.kernel_key(which, extra)?, needs })
    }

    /// What a kernel asks of the machine. Asked before it is built: a variant that nobody knows is a slip of the pen.
    fn needs(&self, which: &Which) -> Result<Needs, HarnessError> {
        which.variant.as_deref().map_or(Ok(Needs::default()), |variant| self.variants.needs(variant))
    }

    /// The commit of a kernel, and all of its patches by commit and name.
    pub(crate) fn commit(
        &self,
        which: &Which,
        extra: Option<&Extra>,
    ) -> anyhow::Result<(String, Vec<(String, String)>)> {
        let assembled = match &which.made {
            Made::At(target) | Made::GateOff(target) => self.assemble(target)?,
            Made::Base => Assembled { base: self.base.clone(), patches: Vec::new() },
        };
        let mut patches: Vec<(String, String)> =
            assembled.patches.iter().map(|patch| (patch.commit.to_string(), patch.id())).collect();
        patches.extend(extra.map(|extra| (extra.commit.to_string(), extra.label.clone())));
        let commit = extra.map_or_else(|| assembled.tip(), |extra| Ok(extra.commit))?.to_string();
        Ok((commit, patches))
    }

    /// The Linux tree's own selftests at a target, built if need be; nothing if none of the scenarios runs any. All kernels of
    /// a scenario get the same ones, whatever tree they are of.
    pub(crate) fn programs(&self, scenarios: &[Scenario], target: &Target) -> anyhow::Result<Option<Utf8PathBuf>> {
        let wanted = programs::wanted(scenarios);
        wanted.then(|| self.selftests(target, None)).transpose()
    }

    /// The selftests at a target, or of a commit on top of it.
    pub(crate) fn selftests(&self, target: &Target, extra: Option<&Extra>) -> anyhow::Result<Utf8PathBuf> {
        let which = Which::from(Made::At(target.clone()));
        let (commit, patches) = self.commit(&which, extra)?;
        let label = extra.map_or_else(|| which.label(), |extra| extra.label.clone());
        Ok(kbuild::selftests(&SelftestsRequest {
            repo: &self.base.repo,
            commit: &commit,
            label: &label,
            tools: &self.tools,
            cache: &self.cache,
            jobs: stg_env::jobs(),
            blame: Some(&self.blame(&commit, &patches)?),
        })?)
    }

    /// The kernels that scenarios name, `current` being `current`; those of no variant of their own are of `variant`.
    pub(crate) fn kernels(
        &self,
        scenarios: &[Scenario],
        current: &Target,
        variant: Option<&str>,
    ) -> anyhow::Result<BTreeMap<String, KernelFiles>> {
        let mut kernels = BTreeMap::new();
        for name in scenarios.iter().flat_map(Scenario::kernel_names) {
            if !kernels.contains_key(name) {
                let which = Which::named(name, current, &self.stack, variant)?;
                kernels.insert(name.to_owned(), self.files(&which, None)?);
            }
        }
        Ok(kernels)
    }

    /// The files of a kernel as the harness wants them, built if need be.
    pub(crate) fn files(&self, which: &Which, extra: Option<&Extra>) -> anyhow::Result<KernelFiles> {
        let needs = self.needs(which)?;
        Ok(files(self.kernel_with(which, extra)?, needs))
    }

    /// The same, built whether it is known or not, into a directory of the caller's.
    pub(crate) fn files_again(&self, which: &Which, kernels: &Utf8Path) -> anyhow::Result<KernelFiles> {
        let needs = self.needs(which)?;
        let image = self.request(which, None, |request| kbuild::build_again(request, kernels))?;
        Ok(files(image, needs))
    }

    /// What runs scenarios. The guest's init is built; the kernels and programs are given.
    pub(crate) fn runner(
        &self,
        kernels: BTreeMap<String, KernelFiles>,
        programs: Option<Utf8PathBuf>,
        out_dir: Utf8PathBuf,
    ) -> anyhow::Result<Runner> {
        Ok(Runner {
            qemu: Qemu::detect(&self.cache)?.path,
            init: build_init(self.project.root(), &self.cache.guest()?)?,
            topologies: Topologies::load(&self.disk)?,
            out_dir,
            kernels,
            programs,
        })
    }

    /// What QEMU says of its version.
    pub(crate) fn qemu(&self) -> anyhow::Result<String> {
        Ok(Qemu::detect(&self.cache)?.id)
    }

    /// The directory for logs of a command, and its lock: two runs into one place would mix. `chosen` is the user's own
    /// choice, which is the user's own to share.
    pub(crate) fn results(
        &self,
        command: &str,
        chosen: Option<&Utf8PathBuf>,
    ) -> anyhow::Result<(Utf8PathBuf, Option<LockGuard>)> {
        match chosen {
            Some(directory) => Ok((camino::absolute_utf8(directory)?, None)),
            None => {
                let lock = self.cache.lock(&format!("results-{command}"))?;
                Ok((self.cache.results()?.join(command), Some(lock)))
            }
        }
    }
}

fn files(image: KernelImage, needs: Needs) -> KernelFiles {
    KernelFiles { bzimage: image.bzimage, system_map: Some(image.system_map), modules: image.modules, needs }
}

#[cfg(test)]
impl Lab {
    /// One whose tools are given instead of found.
    pub(crate) fn fake(cache: Cache, project: Project, base: Base, tools: Tools) -> Self {
        let disk = Disk::new(project.root());
        let (stack, variants) = (Stack::load(&disk).unwrap(), Variants::load(&disk).unwrap());
        Self { cache, project, disk, stack, base, variants, tools }
    }
}
