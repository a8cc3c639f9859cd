// SPDX-License-Identifier: GPL-2.0-only

//! Kernels of single commits.
//!
//! [`build`] takes a commit of the cache's repository to a bootable image:
//!
//! 1. The build key is the hash of everything that shapes the result: tree, wanted options, tools. If the store has it,
//!    that is the answer, in milliseconds and without touching anything.
//! 2. Under a lock, the one worktree is moved to the commit (`worktree`).
//! 3. `tinyconfig`, the wanted options, `olddefconfig`; every wanted option must have survived ([`config`]).
//! 4. `make W=1 bzImage`, and `modules` if an option is wanted as one, in a build directory shared by all commits with the
//!    same basic options and tools, so that it compiles what changed between the commits and no more. Kconfig's own
//!    dependency tracking covers the options that differ (gates, tests); a debug kernel, with other basic options, gets a
//!    directory of its own.
//! 5. The result goes into the store at once or not at all (`store`), with the warnings of every object (`ledger`).
//!
//! A failure is read out of the log (`diagnose`) and each error goes to the patch whose line it is ([`blame`]).
//!
//! Guarantee: nothing outside the cache is written, and a killed run costs time but no correctness.

pub mod blame;
mod clippy;
pub mod config;
mod diagnose;
pub mod error;
mod interrupted;
mod kconfig;
mod ledger;
mod make;
mod modules;
mod progress;
mod selftests;
mod store;
#[cfg(test)]
pub(crate) mod tests;
pub mod unbuildable;
mod worktree;

use std::collections::BTreeSet;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{Oid, Repo};
use stg_env::{Cache, LockGuard};

pub use self::blame::{Blame, Culprit, GitBlame};
pub use self::clippy::clippy;
pub use self::config::{Fragment, PhaseGates, Scope, inert_fragments, project_fragments};
pub use self::error::{BuildError, CompileError, LostOption};
pub use self::ledger::{Warning, Warnings};
pub use self::make::Tools;
pub use self::selftests::{SelftestsRequest, selftests};
pub use self::store::{KernelImage, Meta};

use self::config::{Value, Wanted};
use self::diagnose::Dirs;
use self::ledger::Ledger;
use self::make::Make;
use self::modules::Module;
use self::progress::Progress;
use crate::hash::hash_all;

/// Changes whenever this module makes another kernel from the same inputs.
const RECIPE: &str = "phasectl kernel 1";

/// What to build and with what.
pub struct BuildRequest<'a> {
    /// The bare repository that has the commit.
    pub repo: &'a Utf8Path,
    /// The commit id.
    pub commit: &'a str,
    /// What the commit is called in progress and messages, such as `phase1/kho-rust`.
    pub label: &'a str,
    /// What its `.config` must contain; later fragments override earlier ones.
    pub fragments: &'a [Fragment],
    /// The tools.
    pub tools: &'a Tools,
    /// The cache that everything is kept in.
    pub cache: &'a Cache,
    /// How many compilers run at once.
    pub jobs: usize,
    /// Finds the patch of a line that does not compile.
    pub blame: Option<&'a dyn Blame>,
}

/// Builds the kernel, or finds it built.
///
/// # Errors
///
/// [`BuildError::Config`] and [`BuildError::Compile`] if the tree is to blame, the others if the surroundings are:
/// [`BuildError::Interrupted`] says nothing about the tree, however far the build came.
pub fn build(request: &BuildRequest<'_>) -> Result<KernelImage, BuildError> {
    let key = key(request)?;
    let kernels = request.cache.kernels()?;
    if let Some(image) = store::find(&kernels, &key) {
        return Ok(image);
    }
    // One lock for all: builds share the worktree, and two at once would only take turns at the processors.
    let lock = request.cache.lock("kernel-build")?;
    if let Some(image) = store::find(&kernels, &key) {
        return Ok(image);
    }
    build_into(request, key, &kernels, lock)
}

/// Builds the kernel whether it is known or not, and keeps it in a directory of the caller's, `kernels`: what the store has under its key is
/// neither used nor touched. It is built where all others are, so make compiles what differs from the kernel that was built there last.
///
/// # Errors
///
/// As [`build`].
pub fn build_again(request: &BuildRequest<'_>, kernels: &Utf8Path) -> Result<KernelImage, BuildError> {
    let lock = request.cache.lock("kernel-build")?;
    std::fs::create_dir_all(kernels).map_err(BuildError::io("create", kernels))?;
    build_into(request, key(request)?, kernels, lock)
}

/// Builds into a store of kernels, under the lock.
fn build_into(
    request: &BuildRequest<'_>,
    key: String,
    kernels: &Utf8Path,
    lock: LockGuard,
) -> Result<KernelImage, BuildError> {
    let repo = Repo::open(request.repo)?;
    let commit = Repo::oid(request.commit)?;
    let tree = repo.tree_of(commit)?.to_string();
    let wanted = config::merge(request.fragments);
    store::sweep(kernels)?;
    let work = Work::new(request, &wanted, "kernel", lock)?;
    let progress = Progress::start(request.label);
    let started = Instant::now();
    let made = work.make(&repo, commit, &progress);
    progress.finish(how(&made, "built"), started.elapsed());
    let made = made?;
    unbuildable::forget(request.cache, &key)?;
    let meta = Meta {
        key,
        commit: request.commit.to_owned(),
        tree,
        toolchain: request.tools.id.clone(),
        left_out: made.left_out.clone(),
        modules: made.modules.iter().map(|module| module.name.clone()).collect(),
        seconds: started.elapsed().as_secs(),
    };
    store::keep(kernels, &work.out, &made, meta)
}

/// The key that [`build`] would use, for callers that only ask whether something changed.
///
/// # Errors
///
/// If the repository does not have the commit.
pub fn key(request: &BuildRequest<'_>) -> Result<String, BuildError> {
    let tree = Repo::open(request.repo)?.tree_of(Repo::oid(request.commit)?)?;
    Ok(build_key(&tree.to_string(), &config::merge(request.fragments), request.tools))
}

/// Compiles `goal`, an archive of what a kernel is linked from, and has it read before anybody else may build there: `read` is given the build
/// directory. That is one of its own, since its gates are off while those of other kernels are on: to switch them to and fro compiles
/// half a kernel.
///
/// # Errors
///
/// As [`build`], and those of `read`.
pub fn compile<T>(
    request: &BuildRequest<'_>,
    goal: &str,
    read: impl FnOnce(&Utf8Path) -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    let repo = Repo::open(request.repo)?;
    let commit = Repo::oid(request.commit)?;
    let wanted = config::merge(request.fragments);
    let lock = request.cache.lock("kernel-build")?;
    let work = Work::new(request, &wanted, "gate", lock)?;
    let progress = Progress::start(request.label);
    let started = Instant::now();
    let compiled = work.compile(&repo, commit, &[goal], &progress);
    progress.finish(how(&compiled, "compiled"), started.elapsed());
    compiled.and_then(|_| read(&work.out))
}

/// How a build ended, for people.
fn how<T>(made: &Result<T, BuildError>, well: &'static str) -> &'static str {
    match made {
        Ok(_) => well,
        Err(BuildError::Interrupted { .. }) => "interrupted while building",
        Err(_) => "failed to build",
    }
}

/// Finds the patch of an error, and for a symbol that the linker misses, the place.
fn attribute(error: &mut CompileError, blame: &dyn Blame) {
    let missing = error.message.strip_prefix("undefined symbol: ").filter(|_| error.line.is_none());
    if let Some((file, line)) = missing.and_then(|symbol| blame.mention(symbol)) {
        (error.file, error.line) = (Some(file), Some(line));
    }
    if let (Some(file), Some(line)) = (&error.file, error.line) {
        error.culprit = blame.blame(file, line);
    }
}

/// Hash of everything that shapes a kernel.
fn build_key(tree: &str, wanted: &[Wanted], tools: &Tools) -> String {
    let fixed = make::FIXED.iter().map(|(name, value)| format!("{name}={value}"));
    let options = wanted.iter().map(|one| format!("{:?} {one}", one.scope));
    hash_all(
        [RECIPE.to_owned(), tree.to_owned(), tools.id.clone()]
            .into_iter()
            .chain(tools.args.clone())
            .chain(fixed)
            .chain(options),
    )
}

/// Hash of what builds must have in common to share a build directory.
fn directory_key(wanted: &[Wanted], tools: &Tools) -> String {
    let options = wanted.iter().filter(|one| one.scope == Scope::Always).map(ToString::to_string);
    let all = [RECIPE.to_owned(), tools.id.clone()].into_iter().chain(tools.args.clone()).chain(options);
    hash_all(all)[..16].to_owned()
}

/// A build under way.
struct Work<'a> {
    request: &'a BuildRequest<'a>,
    wanted: &'a [Wanted],
    lock: LockGuard,
    source: Utf8PathBuf,
    out: Utf8PathBuf,
}

/// What make left in the build directory.
struct Made {
    left_out: Vec<String>,
    modules: Vec<Module>,
    warnings: Vec<String>,
    objects: Warnings,
    log: Utf8PathBuf,
}

impl<'a> Work<'a> {
    /// `kind` is what the build directory is for; `lock` is that of all builds.
    fn new(
        request: &'a BuildRequest<'a>,
        wanted: &'a [Wanted],
        kind: &str,
        lock: LockGuard,
    ) -> Result<Self, BuildError> {
        let source = request.cache.worktrees()?.join("kernel-build");
        let out = request.cache.build(&format!("{kind}-{}", directory_key(wanted, request.tools)))?;
        Ok(Self { request, wanted, lock, source, out })
    }

    fn make(&self, repo: &Repo, commit: Oid, progress: &Progress) -> Result<Made, BuildError> {
        let mut goals = vec!["bzImage"];
        goals.extend(modules::wanted(self.wanted).then_some("modules"));
        let (left_out, objects) = self.compile(repo, commit, &goals, progress)?;
        // A build without modules leaves the list of an earlier one as it is.
        let modules = if modules::wanted(self.wanted) { modules::built(&self.out)? } else { Vec::new() };
        let log = self.log();
        let warnings = diagnose::warnings(&self.said(&log)?, self.dirs());
        Ok(Made { left_out, modules, warnings, objects, log })
    }

    /// Brings the source to a commit and makes `goals`. The wanted options that the tree does not declare yet, and what is known of the
    /// objects' warnings.
    fn compile(
        &self,
        repo: &Repo,
        commit: Oid,
        goals: &[&str],
        progress: &Progress,
    ) -> Result<(Vec<String>, Warnings), BuildError> {
        progress.say("checkout");
        worktree::prepare(repo, &self.source, commit)?;
        let log = self.log();
        let ledger = Ledger::open(self.dirs(), &log);
        std::fs::write(&log, "").map_err(BuildError::io("write", &log))?;
        let make = self.tool(&log);
        let running = interrupted::Running::begin(&self.out)?;
        let made = self.configure(&make, progress).and_then(|left_out| {
            let jobs = format!("-j{}", self.request.jobs.max(1));
            let args: Vec<&str> = [jobs.as_str(), "--output-sync=target", "W=1"].iter().chain(goals).copied().collect();
            self.succeed(&make, &args, progress)?;
            Ok(left_out)
        });
        // Where something was killed objects may be cut short; the marker stays, and the next build throws them away.
        if !matches!(made, Err(BuildError::Interrupted { .. })) {
            running.done()?;
        }
        let objects = ledger.close(&self.said(&log)?)?;
        Ok((made?, objects))
    }

    /// make, which says everything to a log.
    fn tool<'b>(&'b self, log: &'b Utf8Path) -> Make<'b> {
        Make { tools: self.request.tools, lock: &self.lock, source: &self.source, out: &self.out, log }
    }

    fn log(&self) -> Utf8PathBuf {
        self.out.join("build.log")
    }

    /// Makes the `.config`. It is made beside its place and moved there only if it differs: make compares times, and a
    /// new `.config` with the same content would have it go through everything.
    fn configure(&self, make: &Make<'_>, progress: &Progress) -> Result<Vec<String>, BuildError> {
        const NEXT: &str = ".config.next";
        progress.say("configuration");
        let (next, config) = (self.out.join(NEXT), self.out.join(".config"));
        let variable = format!("KCONFIG_CONFIG={NEXT}");
        self.succeed(make, &["-s", &variable, "tinyconfig"], progress)?;
        let tiny = std::fs::read_to_string(&next).map_err(BuildError::io("read", &next))?;
        std::fs::write(&next, config::overlay(&tiny, self.wanted)).map_err(BuildError::io("write", &next))?;
        self.succeed(make, &["-s", &variable, "olddefconfig"], progress)?;
        let text = std::fs::read_to_string(&next).map_err(BuildError::io("read", &next))?;
        let left_out = self.survived(&text)?;
        if std::fs::read_to_string(&config).ok().as_deref() != Some(&text) {
            std::fs::rename(&next, &config).map_err(BuildError::io("create", &config))?;
        }
        Ok(left_out)
    }

    /// Whether every wanted option is there; else the options that the tree does not declare yet.
    fn survived(&self, config: &str) -> Result<Vec<String>, BuildError> {
        let missing = config::lost(self.wanted, config);
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let symbols: Vec<&str> = missing.iter().map(|(one, _)| one.symbol.as_str()).collect();
        let declared = kconfig::declarations(&self.source, &symbols);
        let (mut lost, mut left_out) = (Vec::new(), BTreeSet::new());
        for (one, found) in missing {
            let declaration = declared.get(&one.symbol);
            let hint = match declaration {
                None if one.scope == Scope::Declared => {
                    left_out.insert(one.symbol.clone());
                    continue;
                }
                None => "no Kconfig file of this tree declares it: correct the name".to_owned(),
                Some(declaration) if declaration.depends.is_empty() => {
                    format!("{} declares it: see its type, menu and defaults there", declaration.place)
                }
                Some(declaration) => {
                    format!("{} says: depends on {}", declaration.place, declaration.depends.join(" && "))
                }
            };
            let found = match found {
                Value::Unset => "it is not set".to_owned(),
                Value::Set(value) => format!("it is {value}"),
            };
            lost.push(LostOption { origin: one.origin.clone(), wanted: one.to_string(), found, hint });
        }
        if lost.is_empty() { Ok(left_out.into_iter().collect()) } else { Err(BuildError::Config(lost)) }
    }

    /// Runs make; its failure is an error with everything that the log tells.
    fn succeed(&self, make: &Make<'_>, args: &[&str], progress: &Progress) -> Result<(), BuildError> {
        let args: Vec<&str> =
            self.request.tools.cache_args.iter().map(String::as_str).chain(args.iter().copied()).collect();
        let end = make.run(&args, |line| make::object(line).map_or((), |object| progress.say(object)))?;
        if end.success() {
            return Ok(());
        }
        let said = self.said(make.log)?;
        if let Some(what) = interrupted::by(end, &said) {
            return Err(BuildError::Interrupted { what, log: make.log.to_owned() });
        }
        let mut errors = diagnose::errors(&said, self.dirs());
        if let Some(blame) = self.request.blame {
            errors.iter_mut().for_each(|error| attribute(error, blame));
        }
        Err(BuildError::Compile { errors, log: make.log.to_owned() })
    }

    fn dirs(&self) -> Dirs<'_> {
        Dirs { source: &self.source, out: &self.out }
    }

    fn said(&self, log: &Utf8Path) -> Result<String, BuildError> {
        let bytes = std::fs::read(log).map_err(BuildError::io("read", log))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
