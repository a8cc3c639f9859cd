// SPDX-License-Identifier: GPL-2.0-only

//! The guest: its init, and the initramfs around it.
//!
//! Init is the crate `guest`, one static binary: nothing else runs in user space. The initramfs also carries the plan
//! and the kernels that the plan loads. Every kernel of a run gets the same initramfs: the guest hands it on from
//! `/sys/firmware/initrd`, for which the command line says `retain_initrd`.

use std::process::Command;
use std::{env, fs};

use camino::{Utf8Path, Utf8PathBuf};
use plan::{KERNEL_DIR, MODULE_DIR, PLAN_PATH, PROGRAM_DIR, Plan};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::error::{HarnessError, io};
use crate::newc::Archive;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds init with cargo and gives the path of a copy below `directory`. Cargo decides whether there is anything to do.
///
/// Every checkout has a target directory of its own, as its path is part of the compiler's flags: in one that is shared, two
/// checkouts would build all of it anew whenever they take turns. The copy is named after its contents, so a command that
/// runs keeps its init whoever builds another one meanwhile.
///
/// The binary is the same wherever the workspace lies: paths are remapped. It is linked at a fixed address, because
/// relocating itself is work that would be counted when time is measured.
pub fn build_init(workspace: &Utf8Path, directory: &Utf8Path) -> Result<Utf8PathBuf, HarnessError> {
    let target_dir = directory.join(format!("target-{}", &digest(workspace.as_str().as_bytes())[..16]));
    let mut flags = format!(
        "-C target-feature=+crt-static -C relocation-model=static --remap-path-prefix {workspace}=/phasectl \
         --remap-path-prefix {target_dir}=/target"
    );
    if let Some(home) = cargo_home() {
        flags.push_str(&format!(" --remap-path-prefix {home}=/cargo"));
    }
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(&cargo)
        .current_dir(workspace)
        .args(["build", "--quiet", "--locked", "--package", "guest", "--profile", "guest", "--target", TARGET])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .output()
        .map_err(io("run", Utf8Path::new(&cargo)))?;
    if !output.status.success() {
        return Err(HarnessError::GuestBuild(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    keep(&target_dir.join(TARGET).join("guest").join("guest"), directory)
}

/// A copy of a program in `directory` that is named after its contents.
fn keep(program: &Utf8Path, directory: &Utf8Path) -> Result<Utf8PathBuf, HarnessError> {
    let bytes = fs::read(program).map_err(io("read", program))?;
    let copy = directory.join(format!("init-{}", digest(&bytes)));
    if !copy.exists() {
        // Complete before it gets its name: another command may look for the same one.
        let fresh = NamedTempFile::new_in(directory).map_err(io("create a file in", directory))?;
        fs::write(fresh.path(), &bytes).map_err(io("write", &copy))?;
        fresh.persist(&copy).map_err(|error| io("rename", &copy)(error.error))?;
    }
    Ok(copy)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cargo_home() -> Option<String> {
    env::var("CARGO_HOME").ok().or_else(|| Some(format!("{}/.cargo", env::var("HOME").ok()?)))
}

/// What an initramfs holds beside init and the plan; files come with their names.
#[derive(Debug, Default)]
pub struct Contents {
    /// The plan is filled up with blanks to so many bytes, so that two plans that are measured against each other give initramfs of
    /// one size.
    pub plan_bytes: usize,
    /// The kernels that are loaded.
    pub kernels: Vec<(String, Vec<u8>)>,
    /// Modules, below the role of their kernel.
    pub modules: Vec<(String, Vec<u8>)>,
    /// The programs that stages run.
    pub programs: Vec<(String, Vec<u8>)>,
}

/// Packs the initramfs: init, the plan, the contents, and the directories that init mounts on.
pub fn initramfs(init: Vec<u8>, plan: &Plan, contents: Contents) -> Result<Vec<u8>, HarnessError> {
    let Contents { plan_bytes, kernels, modules, programs } = contents;
    let mut json = plan_json(plan)?;
    json.resize(json.len().max(plan_bytes), b' ');
    let mut archive = Archive::new();
    for directory in ["/dev", "/proc", "/sys", "/tmp"] {
        archive.directory(directory);
    }
    // The kernel opens this for init's standard streams before init can mount anything.
    archive.char_device("/dev/console", 0o600, 5, 1);
    archive.file("/init", 0o755, init).file(PLAN_PATH, 0o644, json);
    for (name, content) in kernels {
        archive.file(&format!("{KERNEL_DIR}/{name}"), 0o644, content);
    }
    for (name, content) in modules {
        archive.file(&format!("{MODULE_DIR}/{name}"), 0o644, content);
    }
    for (name, content) in programs {
        archive.file(&format!("{PROGRAM_DIR}/{name}"), 0o755, content);
    }
    Ok(archive.to_bytes())
}

/// The plan as the guest reads it.
pub(crate) fn plan_json(plan: &Plan) -> Result<Vec<u8>, HarnessError> {
    serde_json::to_vec(plan).map_err(|error| io("write", Utf8Path::new(PLAN_PATH))(error.into()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_copy_stays_when_the_program_changes() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(directory.path()).unwrap();
        let program = directory.join("guest");
        let build = |text: &str| {
            fs::write(&program, text).unwrap();
            keep(&program, directory).unwrap()
        };
        let (first, second) = (build("one"), build("two"));
        assert_eq!((fs::read(&first).unwrap(), fs::read(second).unwrap()), (b"one".to_vec(), b"two".to_vec()));
        assert_eq!(build("one"), first);
        assert_eq!(directory.read_dir_utf8().unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn the_initramfs_is_reproducible_and_complete() {
        let kernels = vec!["incoming".into()];
        let plan = Plan { name: "x".into(), devices: BTreeMap::new(), kernels, slowness: 1, stages: vec![] };
        let pack = |plan_bytes| {
            let file = |name: &str| vec![(name.to_owned(), b"elf".to_vec())];
            let (kernels, modules, programs) = (file("incoming"), file("incoming/b.ko"), file("t"));
            initramfs(b"elf".to_vec(), &plan, Contents { plan_bytes, kernels, modules, programs }).unwrap()
        };
        assert_eq!(pack(0), pack(0));
        assert!(pack(4096).len() > pack(0).len() + 3900);
        let text = String::from_utf8_lossy(&pack(0)).into_owned();
        let names =
            ["dev/console", "init", "kernels/incoming", "modules/incoming/b.ko", "plan.json", "proc", "programs/t"];
        for name in names.into_iter().chain(["sys", "tmp"]) {
            assert!(text.contains(&format!("{name}\0")), "{name}");
        }
    }
}
