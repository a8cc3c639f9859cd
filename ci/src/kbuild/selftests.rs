// SPDX-License-Identifier: GPL-2.0-only

//! The Linux tree's own selftests, as static programs for the guest.
//!
//! They are built as their authors build them, `make headers` and `make -C tools/testing/selftests O=...`, but from a part of the
//! tree: the [inputs](INPUTS), written out into a directory of their own. Two reasons:
//!
//! - The key of the result is the id of that part (with the tools, and the libraries that are linked in), so a patch that
//!   touches none of it builds nothing. A list that lacks something cannot give a stale program: what is not listed is not
//!   there, and the build fails.
//! - Some of the Makefiles leave objects beside the sources whatever `O=` says (liveupdate's does), where a later build with
//!   other options would use them again. So every build begins with nothing.
//!
//! Paths of the source directory are taken out of the programs' messages; it is always the same one.

#[cfg(test)]
mod tests;

use std::process::Command;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::{Oid, Repo};
use stg_env::{Cache, LockGuard};

use super::attribute;
use super::blame::Blame;
use super::diagnose::{self, Dirs};
use super::error::BuildError;
use super::interrupted;
use super::make::{self, Make, Tools};
use super::progress::Progress;
use crate::hash::{hash_all, sha256};

/// Changes whenever this module makes other programs from the same inputs.
const RECIPE: &str = "phasectl selftests 1";

/// The suites, directories of `tools/testing/selftests`.
const SUITES: [&str; 3] = ["iommu", "liveupdate", "vfio"];

/// What the suites are made from: themselves with what they include, and what makes the headers of user space.
const INPUTS: [&str; 26] = [
    "Makefile",
    "arch/x86/Makefile",
    "arch/x86/entry/syscalls",
    "arch/x86/include",
    // Headers that libvfio's drivers share with the kernel's, by symbolic links.
    "drivers/dma/idxd/registers.h",
    "drivers/dma/ioat/hw.h",
    "drivers/dma/ioat/registers.h",
    // What the mock devices of iommufd understand.
    "drivers/iommu/iommufd/iommufd_test.h",
    "drivers/net/ethernet/intel/igb/e1000_82575.h",
    "drivers/net/ethernet/intel/igb/e1000_defines.h",
    "drivers/net/ethernet/intel/igb/e1000_regs.h",
    "include/asm-generic",
    "include/linux/pci_ids.h",
    "include/uapi",
    "scripts",
    "tools/arch/x86/include",
    "tools/include",
    "tools/scripts",
    "tools/testing/selftests/Makefile",
    "tools/testing/selftests/iommu",
    "tools/testing/selftests/kselftest",
    "tools/testing/selftests/kselftest.h",
    "tools/testing/selftests/kselftest_harness.h",
    "tools/testing/selftests/lib.mk",
    "tools/testing/selftests/liveupdate",
    "tools/testing/selftests/vfio",
];

/// Libraries that are linked in: another version makes other programs.
const LIBRARIES: [&str; 3] = ["libc.a", "libcap.a", "libuuid.a"];

/// What to build and with what.
pub struct SelftestsRequest<'a> {
    /// The bare repository that has the commit.
    pub repo: &'a Utf8Path,
    /// The commit id.
    pub commit: &'a str,
    /// What the commit is called in progress and messages, such as `phase1/kho-rust`.
    pub label: &'a str,
    /// The tools.
    pub tools: &'a Tools,
    /// The cache that everything is kept in.
    pub cache: &'a Cache,
    /// How many compilers run at once.
    pub jobs: usize,
    /// Finds the patch of a line that does not compile.
    pub blame: Option<&'a dyn Blame>,
}

/// Builds the programs, or finds them built; gives the directory that has them, each under its own name.
///
/// # Errors
///
/// [`BuildError::Compile`] if the tree is to blame, the others if the surroundings are.
pub fn selftests(request: &SelftestsRequest<'_>) -> Result<Utf8PathBuf, BuildError> {
    let repo = Repo::open(request.repo)?;
    let inputs = repo.subset(repo.tree_of(Repo::oid(request.commit)?)?, &INPUTS)?;
    let programs = request.cache.guest()?.join(format!("selftests-{}", key(inputs, request.tools)?));
    if programs.is_dir() {
        return Ok(programs);
    }
    let lock = request.cache.lock("selftests-build")?;
    if programs.is_dir() {
        return Ok(programs);
    }
    let work = Work { request, lock, dir: request.cache.build("selftests")? };
    let progress = Progress::start(&format!("selftests of {}", request.label));
    let started = Instant::now();
    let made = work.make(&repo, inputs, &programs, &progress);
    progress.finish(if made.is_ok() { "built" } else { "failed to build" }, started.elapsed());
    made.map(|()| programs)
}

fn key(inputs: Oid, tools: &Tools) -> Result<String, BuildError> {
    let mut parts = vec![RECIPE.to_owned(), inputs.to_string(), tools.id.clone()];
    parts.extend(tools.args.clone());
    parts.extend(make::FIXED.iter().map(|(name, value)| format!("{name}={value}")));
    for library in LIBRARIES {
        parts.push(format!("{library} {}", digest(library)?));
    }
    Ok(hash_all(parts))
}

/// Digest of a library that the linker will find. One that is missing has none: the build says so better than we could.
fn digest(library: &str) -> Result<String, BuildError> {
    let tool = |source| BuildError::Tool { program: "cc".into(), source };
    let output = Command::new("cc").arg(format!("-print-file-name={library}")).output().map_err(tool)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let path = Utf8Path::new(said.trim());
    if !path.is_absolute() {
        return Ok("missing".to_owned());
    }
    let bytes = std::fs::read(path).map_err(BuildError::io("read", path))?;
    Ok(sha256(bytes))
}

/// A build under way.
struct Work<'a> {
    request: &'a SelftestsRequest<'a>,
    lock: LockGuard,
    dir: Utf8PathBuf,
}

impl Work<'_> {
    fn make(&self, repo: &Repo, inputs: Oid, programs: &Utf8Path, progress: &Progress) -> Result<(), BuildError> {
        let (source, out, log) = (self.dir.join("source"), self.dir.join("out"), self.dir.join("build.log"));
        progress.say("checkout");
        for dir in [&source, &out] {
            if dir.exists() {
                std::fs::remove_dir_all(dir).map_err(BuildError::io("remove", dir))?;
            }
            std::fs::create_dir_all(dir).map_err(BuildError::io("create", dir))?;
        }
        repo.write_out(inputs, &source)?;
        std::fs::write(&log, "").map_err(BuildError::io("write", &log))?;
        let jobs = format!("-j{}", self.request.jobs.max(1));
        let targets = format!("TARGETS={}", SUITES.join(" "));
        let prefix = format!("EXTRA_CFLAGS=-ffile-prefix-map={source}/=");
        let tools = self.request.tools;
        let whole = Make { tools, lock: &self.lock, source: &source, out: &out, log: &log };
        self.succeed(&whole, &source, &["-s", &jobs, "headers"], progress)?;
        let suites = Make { source: &source.join("tools/testing/selftests"), ..whole };
        let args = ["--output-sync=target", &jobs, &targets, "FORCE_TARGETS=1", "LDFLAGS=-static", &prefix, "all"];
        self.succeed(&suites, &source, &args, progress)?;
        keep(&out.join("kselftest"), programs)
    }

    fn succeed(
        &self,
        make: &Make<'_>,
        source: &Utf8Path,
        args: &[&str],
        progress: &Progress,
    ) -> Result<(), BuildError> {
        let end = make.run(args, |line| progress.say(line))?;
        if end.success() {
            return Ok(());
        }
        let bytes = std::fs::read(make.log).map_err(BuildError::io("read", make.log))?;
        let said = String::from_utf8_lossy(&bytes);
        if let Some(what) = interrupted::by(end, &said) {
            return Err(BuildError::Interrupted { what, log: make.log.to_owned() });
        }
        let mut errors = diagnose::errors(&said, Dirs { source, out: make.out });
        if let Some(blame) = self.request.blame {
            errors.iter_mut().for_each(|error| attribute(error, blame));
        }
        Err(BuildError::Compile { errors, log: make.log.to_owned() })
    }
}

/// Takes the programs of all suites into their place, at once or not at all.
fn keep(built: &Utf8Path, programs: &Utf8Path) -> Result<(), BuildError> {
    let parent = programs.parent().unwrap_or(Utf8Path::new("."));
    let fresh = tempfile::Builder::new().prefix(".unfinished-").tempdir_in(parent);
    let fresh = fresh.map_err(BuildError::io("create a directory in", parent))?;
    for suite in SUITES {
        let suite = built.join(suite);
        for entry in suite.read_dir_utf8().map_err(BuildError::io("read", &suite))? {
            let entry = entry.map_err(BuildError::io("read", &suite))?;
            // Beside the programs there are objects, lists of what they depend on, and the directories of libraries.
            if entry.path().extension().is_none() && entry.path().is_file() {
                let copy = fresh.path().join(entry.file_name());
                std::fs::copy(entry.path(), &copy).map_err(BuildError::io("copy", entry.path()))?;
            }
        }
    }
    let fresh = fresh.keep();
    std::fs::rename(&fresh, programs).map_err(BuildError::io("create", programs))
}
