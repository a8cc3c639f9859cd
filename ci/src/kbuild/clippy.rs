// SPDX-License-Identifier: GPL-2.0-only

//! clippy on a kernel's Rust code, as `make CLIPPY=1` runs it.
//!
//! It compiles with another compiler driver, so it has build directories of its own, in which nothing but the Rust crates, and what
//! they need, is made. They keep a [ledger](super::ledger) like all others.

use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use stg_core::git::Repo;

use super::config;
use super::error::BuildError;
use super::ledger::{Ledger, Warnings};
use super::progress::Progress;
use super::worktree;
use super::{BuildRequest, Work, interrupted};

/// What clippy says of some crates of a commit, given by their root files; `rust` stands for those that every kernel has.
/// Crates that are not there, or not configured, have nothing to say.
///
/// # Errors
///
/// As for [`build`](super::build).
pub fn clippy(request: &BuildRequest<'_>, crates: &[Utf8PathBuf]) -> Result<Warnings, BuildError> {
    let repo = Repo::open(request.repo)?;
    let commit = Repo::oid(request.commit)?;
    let wanted = config::merge(request.fragments);
    let lock = request.cache.lock("kernel-build")?;
    let work = Work::new(request, &wanted, "clippy", lock)?;
    let progress = Progress::start(&format!("clippy of {}", request.label));
    let started = Instant::now();
    progress.say("checkout");
    worktree::prepare(&repo, &work.source, commit)?;
    let made = work.clippy(crates, &progress);
    progress.finish(if made.is_ok() { "made" } else { "failed to make" }, started.elapsed());
    made
}

impl Work<'_> {
    fn clippy(&self, crates: &[Utf8PathBuf], progress: &Progress) -> Result<Warnings, BuildError> {
        let log = self.out.join("build.log");
        let ledger = Ledger::open(self.dirs(), &log);
        std::fs::write(&log, "").map_err(BuildError::io("write", &log))?;
        let make = self.tool(&log);
        let running = interrupted::Running::begin(&self.out)?;
        let made = self.configure(&make, progress).and_then(|_| {
            let config = std::fs::read_to_string(self.out.join(".config"));
            let config = config.map_err(BuildError::io("read", &self.out.join(".config")))?;
            let jobs = format!("-j{}", self.request.jobs.max(1));
            let mut args = vec![jobs, "--output-sync=target".to_owned(), "CLIPPY=1".to_owned(), "prepare".to_owned()];
            args.extend(crates.iter().filter_map(|root| object(&self.source, root, &config)));
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            self.succeed(&make, &args, progress)
        });
        if !matches!(made, Err(BuildError::Interrupted { .. })) {
            running.done()?;
        }
        let mut known = ledger.close(&self.said(&log)?)?;
        made?;
        // The directory may have others, as of other commits. Those in rust/ are always made.
        let asked = |object: &str, said: &[String]| {
            let root = Utf8Path::new(object.rsplit(' ').next().unwrap_or(object)).with_extension("rs");
            object.contains(" rust/") || crates.contains(&root) || said.iter().any(|text| text.starts_with("rust/"))
        };
        known.objects.retain(|object, said| asked(object, said));
        Ok(known)
    }
}

/// The object of a crate, if the Makefile beside it makes one with this configuration.
fn object(source: &Utf8Path, root: &Utf8Path, config: &str) -> Option<String> {
    let object = root.with_extension("o");
    let name = object.file_name().filter(|_| root.extension() == Some("rs") && source.join(root).is_file())?;
    let makefile = std::fs::read_to_string(source.join(root.with_file_name("Makefile"))).ok()?.replace("\\\n", " ");
    let listed = makefile.lines().find(|line| line.split_whitespace().any(|word| word == name))?;
    let symbol = listed.split_once("$(CONFIG_").and_then(|(_, rest)| rest.split(')').next());
    let set = |symbol: &str| config.lines().any(|line| line.starts_with(&format!("CONFIG_{symbol}=")));
    symbol.is_none_or(set).then(|| object.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_that_are_configured() {
        let guard = tempfile::tempdir().unwrap();
        let source = Utf8Path::from_path(guard.path()).unwrap();
        std::fs::create_dir_all(source.join("d")).unwrap();
        for name in ["a", "b", "c", "e", "f"] {
            std::fs::write(source.join(format!("d/{name}.rs")), "").unwrap();
        }
        let makefile =
            "obj-y := x.o \\\n\ta.o\nobj-$(CONFIG_B) += b.o\nvfio-$(CONFIG_C) += c.o\nobj-$(CONFIG_E) += e.o\n";
        std::fs::write(source.join("d/Makefile"), makefile).unwrap();
        let config = "CONFIG_B=m\n# CONFIG_C is not set\nCONFIG_E=y\n";
        let of = |root: &str| object(source, root.into(), config);
        assert_eq!(of("d/a.rs").as_deref(), Some("d/a.o"));
        assert_eq!(of("d/b.rs").as_deref(), Some("d/b.o"));
        assert_eq!(of("d/c.rs"), None);
        assert_eq!(of("d/e.rs").as_deref(), Some("d/e.o"));
        assert_eq!([of("d/f.rs"), of("d/gone.rs"), of("rust")], [None, None, None]);
    }
}
