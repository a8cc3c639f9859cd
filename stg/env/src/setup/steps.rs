// SPDX-License-Identifier: GPL-2.0-only

//! The steps that change something: packages of the system, the user's Rust toolchain, tools in the cache.

use std::process::Command;
use std::process::Stdio;

use camino::Utf8Path;
use camino::Utf8PathBuf;

use super::Plan;
use crate::Cache;
use crate::CompilerCache;
use crate::EnvError;
use crate::apt::Apt;
use crate::apt::run;
use crate::apt::run_apt;
use crate::deb;
use crate::deb::Wanted;
use crate::machine::Machine;
use crate::requirements;
use crate::requirements::BINDGEN_VERSION;

/// How long to wait for another process that is installing packages, in seconds.
const DPKG_LOCK_TIMEOUT: u32 = 900;

/// Suites that carry `rust-src` in several recent versions.
const RUST_SRC_SUITES: [&str; 4] = ["trixie-backports", "unstable", "experimental", "trixie"];

/// Installs packages with apt, those of backports in a second run, so that the first does not prefer backports too.
pub(super) fn install_packages(cache: &Cache, machine: &Machine, plan: &Plan, dry_run: bool) -> Result<(), EnvError> {
    let apt = Apt::for_install(cache, machine)?;
    let backports = format!("{}-backports", machine.os.codename);
    for (packages, target) in [(&plan.packages, None), (&plan.backports, Some(&backports))] {
        if packages.is_empty() {
            continue;
        }
        let mut command = apt.command("apt-get");
        // --no-remove: making room for our packages by removing the user's would be a surprise; better to fail.
        command.args(["-q", "-y", "--no-install-recommends", "--no-remove"]);
        command.arg("-o").arg(format!("DPkg::Lock::Timeout={DPKG_LOCK_TIMEOUT}"));
        if dry_run {
            command.arg("--simulate");
        }
        if let Some(target) = target {
            if !apt.releases.contains(target) {
                let suites = target.clone();
                return Err(EnvError::NoLists { suites, mirror: apt.mirror, output: String::new() });
            }
            command.arg("-t").arg(target);
        }
        command.arg("install").args(packages.as_slice());
        // Not the lock of set-up, which a daemon that a package starts would inherit: dpkg has its own.
        let text = run_apt(command, "installing packages", None, Stdio::null())?;
        if dry_run {
            for line in text.lines().filter(|line| line.starts_with("Inst ")) {
                eprintln!("setup:   {line}");
            }
        }
    }
    Ok(())
}

/// Adds a component to a toolchain of rustup.
pub(super) fn add_component(machine: &Machine, toolchain: &str, name: &str, dry_run: bool) -> Result<(), EnvError> {
    let rustup = machine.which("rustup").unwrap_or_else(|| Utf8PathBuf::from("rustup"));
    let mut command = Command::new(rustup);
    command.args(["component", "add", "--toolchain", toolchain, name]);
    if dry_run {
        return Ok(());
    }
    run(command).map(drop)
}

/// Whether a Rust program can be built; if not, the requirements say so better than cargo's error would.
pub(super) fn can_build(machine: &Machine) -> bool {
    machine.which("cc").is_some() && requirements::rust(machine).is_some_and(|rust| rust.program("cargo").is_some())
}

/// Builds bindgen into the cache. cargo puts the finished program in place in one step.
pub(super) fn install_bindgen(machine: &Machine, dry_run: bool) -> Result<(), EnvError> {
    let rust = requirements::rust(machine);
    let Some((rust, cargo)) = rust.and_then(|rust| rust.program("cargo").map(|cargo| (rust, cargo))) else {
        return Ok(());
    };
    let mut command = cargo_install(machine, &cargo, &rust.sysroot);
    command.args(["install", "bindgen-cli", "--version", BINDGEN_VERSION, "--locked", "--force", "--quiet", "--root"]);
    command.arg(requirements::bindgen_root(machine));
    if dry_run {
        return Ok(());
    }
    run(command).map(drop)
}

/// cargo with this toolchain's rustc, outside this workspace: its configuration, and what the cargo that runs this
/// very program has put into the environment, are not for bindgen.
fn cargo_install(machine: &Machine, cargo: &Utf8Path, sysroot: &Utf8Path) -> Command {
    let mut command = Command::new(cargo);
    command.current_dir(&machine.tools).env("PATH", format!("{sysroot}/bin:{}", machine.path_var()));
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER"]
    {
        command.env_remove(variable);
    }
    // ccache knows nothing of Rust.
    if machine.compiler_cache == Some(CompilerCache::Sccache) {
        command.envs(machine.which("sccache").map(|sccache| ("RUSTC_WRAPPER", sccache)));
    }
    command
}

/// Obtains the sources of Rust's library: from Debian's archive if it has exactly this version, so that the user's
/// toolchain stays as it is, else as a component of a toolchain of rustup.
pub(super) fn unpack_rust_src(cache: &Cache, machine: &Machine, dry_run: bool) -> Result<(), EnvError> {
    let Some(rust) = requirements::rust(machine) else { return Ok(()) };
    if dry_run {
        return Ok(());
    }
    let version = rust.version.to_string();
    let fetched = deb::fetch(cache, "rust-src", &RUST_SRC_SUITES, &Wanted::Release(&version));
    match (fetched, rust.rustup_name()) {
        (Ok(package), _) => {
            let target = requirements::rust_src_dir(machine, rust.version);
            if target.exists() {
                // It is there and was not accepted, or set-up would not be here.
                std::fs::remove_dir_all(&target).map_err(EnvError::io("remove", &target))?;
            }
            deb::unpack(&package, &target)
        }
        (Err(_), Some(toolchain)) if machine.which("rustup").is_some() => {
            add_component(machine, toolchain, "rust-src", dry_run)
        }
        (Err(error), _) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Lab;

    #[test]
    fn components_are_added_to_the_named_toolchain() {
        let lab = Lab::debian("12", "bookworm");
        let log = lab.dir.join("log");
        lab.program("rustup", &format!("echo \"$@\" >> {log}"));
        add_component(&lab.machine(), "mine", "clippy", true).unwrap();
        assert!(!log.exists());
        add_component(&lab.machine(), "mine", "clippy", false).unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "component add --toolchain mine clippy\n");
        lab.program("rustup", "echo 'no network' >&2; exit 1");
        let error = add_component(&lab.machine(), "mine", "clippy", false).unwrap_err().to_string();
        assert!(error.contains("no network"), "{error}");
    }

    #[test]
    fn bindgen_is_built_by_the_toolchain_in_use() {
        let lab = Lab::debian("12", "bookworm");
        std::fs::create_dir(lab.dir.join("tools")).unwrap();
        assert!(!can_build(&lab.machine()));
        lab.program("cc", "echo cc");
        lab.program("rustc", &format!("echo {}/toolchains/mine", lab.dir));
        lab.script("toolchains/mine/bin/rustc", "echo rustc 1.95.0");
        lab.script("toolchains/mine/bin/cargo", &format!("echo \"$PWD $@\" > {}/log", lab.dir));
        assert!(can_build(&lab.machine()));
        install_bindgen(&lab.machine(), false).unwrap();
        let log = || std::fs::read_to_string(lab.dir.join("log")).unwrap().replace(lab.dir.as_str(), "<dir>");
        insta::assert_snapshot!(log(), @r"<dir>/tools install bindgen-cli --version 0.73.0 --locked --force --quiet --root <dir>/tools/bindgen");

        // Through sccache, if that was chosen; ccache knows nothing of Rust.
        lab.versions(&["ccache", "sccache"], "1.0");
        lab.script("toolchains/mine/bin/cargo", &format!("echo \"$RUSTC_WRAPPER\" > {}/log", lab.dir));
        for (cache, wrapper) in [(CompilerCache::Ccache, "\n"), (CompilerCache::Sccache, "<dir>/bin/sccache\n")] {
            install_bindgen(&lab.machine_with(cache), false).unwrap();
            assert_eq!(log(), wrapper);
        }
    }
}
