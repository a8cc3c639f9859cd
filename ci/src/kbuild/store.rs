// SPDX-License-Identifier: GPL-2.0-only

//! Finished kernels: one directory per build key, there completely or not at all.
//!
//! A result is gathered beside its place and renamed into it, so that a killed run leaves nothing that could be taken for
//! a kernel. What it does leave is swept away by the next build.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::Made;
use super::error::BuildError;
use super::ledger::Warnings;

/// Beginning of the names of unfinished results; a key cannot begin like that.
const UNFINISHED: &str = ".unfinished-";

/// The warnings of its objects, beside its image.
const OBJECTS: &str = "objects.json";

/// The directory of a kernel's modules, beside its image.
const MODULES: &str = "modules";

/// What is known of a finished kernel, `meta.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The build key.
    pub key: String,
    /// The commit that it was built from first; others with the same tree share it.
    pub commit: String,
    /// Tree id.
    pub tree: String,
    /// Versions of the tools.
    pub toolchain: String,
    /// Wanted options that the tree does not declare yet.
    pub left_out: Vec<String>,
    /// The modules that belong to it, by the names of their files without `.ko`.
    #[serde(default)]
    pub modules: Vec<String>,
    /// How long the build took, in seconds.
    pub seconds: u64,
}

/// A bootable kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelImage {
    /// The build key.
    pub key: String,
    /// Where everything of it is.
    pub dir: Utf8PathBuf,
    /// The image.
    pub bzimage: Utf8PathBuf,
    /// Its symbols.
    pub system_map: Utf8PathBuf,
    /// Its `.config`.
    pub config: Utf8PathBuf,
    /// What make said.
    pub log: Utf8PathBuf,
    /// Its warnings, one a line, sorted.
    pub warnings: Utf8PathBuf,
    /// The directory of its modules, if it has any.
    pub modules: Option<Utf8PathBuf>,
    /// How it came about.
    pub meta: Meta,
    /// Whether this call built it; else it was there.
    pub built: bool,
}

impl KernelImage {
    /// The warnings of all of its objects. One that was stored before they were has only those of what its own build compiled.
    pub fn objects(&self) -> Warnings {
        let known = std::fs::read(self.dir.join(OBJECTS)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        known.unwrap_or_else(|| {
            let said = std::fs::read_to_string(&self.warnings).unwrap_or_default();
            let said = said.lines().map(str::to_owned).collect();
            Warnings { whole: false, objects: [("unknown".to_owned(), said)].into() }
        })
    }
}

/// The kernel under this key, if there is one.
pub(super) fn find(kernels: &Utf8Path, key: &str) -> Option<KernelImage> {
    let meta: Meta = serde_json::from_slice(&std::fs::read(kernels.join(key).join("meta.json")).ok()?).ok()?;
    let image = image(kernels, meta, false);
    let files = [&image.bzimage, &image.system_map, &image.config, &image.log, &image.warnings];
    let modules = || image.meta.modules.iter().all(|name| module(&image.dir, name).is_file());
    (image.key == key && files.iter().all(|file| file.is_file()) && modules()).then_some(image)
}

fn module(dir: &Utf8Path, name: &str) -> Utf8PathBuf {
    dir.join(MODULES).join(format!("{name}.ko"))
}

fn image(kernels: &Utf8Path, meta: Meta, built: bool) -> KernelImage {
    let dir = kernels.join(&meta.key);
    KernelImage {
        key: meta.key.clone(),
        bzimage: dir.join("bzImage"),
        system_map: dir.join("System.map"),
        config: dir.join("config"),
        log: dir.join("build.log"),
        warnings: dir.join("warnings.txt"),
        modules: (!meta.modules.is_empty()).then(|| dir.join(MODULES)),
        dir,
        meta,
        built,
    }
}

/// Takes the results out of a build directory into the store.
pub(super) fn keep(kernels: &Utf8Path, out: &Utf8Path, made: &Made, meta: Meta) -> Result<KernelImage, BuildError> {
    let unfinished = kernels.join(format!("{UNFINISHED}{}", meta.key));
    remove(&unfinished)?;
    let modules = unfinished.join(MODULES);
    std::fs::create_dir_all(&modules).map_err(BuildError::io("create", &modules))?;
    let copies = [
        (out.join("arch/x86/boot/bzImage"), unfinished.join("bzImage")),
        (out.join("System.map"), unfinished.join("System.map")),
        (out.join(".config"), unfinished.join("config")),
        (made.log.clone(), unfinished.join("build.log")),
    ];
    let modules = made.modules.iter().map(|one| (one.file.clone(), module(&unfinished, &one.name)));
    for (from, to) in copies.into_iter().chain(modules) {
        std::fs::copy(&from, to).map_err(BuildError::io("copy", &from))?;
    }
    let lines: String = made.warnings.iter().map(|line| format!("{line}\n")).collect();
    // Serialising plain strings and numbers cannot fail; if it did, an empty file would be no result.
    let json = serde_json::to_string_pretty(&meta).unwrap_or_default();
    let objects = serde_json::to_string(&made.objects).unwrap_or_default();
    for (name, text) in [("warnings.txt", lines), (OBJECTS, objects), ("meta.json", json)] {
        std::fs::write(unfinished.join(name), text).map_err(BuildError::io("write", &unfinished.join(name)))?;
    }
    let image = image(kernels, meta, true);
    // What lies there is no result, or it would have been found.
    remove(&image.dir)?;
    std::fs::rename(&unfinished, &image.dir).map_err(BuildError::io("create", &image.dir))?;
    Ok(image)
}

/// Removes what killed runs left behind. The caller holds the lock, so nobody is at work on them.
pub(super) fn sweep(kernels: &Utf8Path) -> Result<(), BuildError> {
    for entry in kernels.read_dir_utf8().map_err(BuildError::io("read", kernels))?.flatten() {
        if entry.file_name().starts_with(UNFINISHED) {
            remove(entry.path())?;
        }
    }
    Ok(())
}

fn remove(dir: &Utf8Path) -> Result<(), BuildError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(BuildError::io("remove", dir)(error)),
        _ => Ok(()),
    }
}
