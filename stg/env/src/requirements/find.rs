// SPDX-License-Identifier: GPL-2.0-only

//! From a requirement to what the machine has of it.

use camino::Utf8PathBuf;

use super::Find;
use super::Found;
use super::Requirement;
use super::llvm::libclang;
use super::llvm::llvm;
use super::rust::bindgen;
use super::rust::rust;
use super::rust::rust_lib_src;
use crate::machine::Machine;
use crate::version::Version;
use crate::version::parse_version;

/// Looks for a requirement.
pub(super) fn find(machine: &Machine, requirement: &Requirement) -> Found {
    let found = match &requirement.find {
        Find::Program(names, args) => program(machine, names.iter().find_map(|name| machine.which(name)), args),
        Find::RustTool(name) => rust_tool(machine, name),
        Find::RustSrc => {
            rust(machine).and_then(|rust| Some(present(rust_lib_src(machine, &rust)?, Some(rust.version))))
        }
        Find::Bindgen => bindgen(machine).map(|(file, version)| present(file, Some(version))),
        Find::Llvm => Some(match llvm(machine) {
            Ok(llvm) => present(llvm.clang, Some(llvm.version)),
            Err(found) => found,
        }),
        Find::Libclang => {
            let clang = llvm(machine).ok().map(|llvm| llvm.clang);
            libclang(machine, clang.as_deref()).map(|dir| present(dir, None))
        }
        Find::Headers(names) => headers(machine, names),
        Find::Library(name) => machine.library(name).map(|file| present(file, None)),
        Find::QemuWith(device) => qemu(machine, device),
        Find::Chosen(cache) => program(machine, machine.which(cache.program()), &["--version"]),
        Find::DebianOnly(names) => all(names.iter().map(|name| (*name, machine.which(name)))),
    };
    too_old(found.unwrap_or(Found::Missing), requirement)
}

fn present(path: Utf8PathBuf, version: Option<Version>) -> Found {
    Found::Present { version, path }
}

/// A version below the minimum, or none where there must be one, is unfit.
fn too_old(found: Found, requirement: &Requirement) -> Found {
    match (&found, requirement.minimum) {
        (Found::Present { version: Some(version), .. }, Some(minimum)) if *version < minimum => {
            Found::Unfit(version.to_string())
        }
        (Found::Present { version: None, path }, Some(_)) => Found::Unfit(format!("{path} does not tell its version")),
        _ => found,
    }
}

fn program(machine: &Machine, file: Option<Utf8PathBuf>, args: &[&str]) -> Option<Found> {
    let file = file?;
    let version = machine.ask_once(&file, args).as_deref().and_then(parse_version);
    Some(present(file, version))
}

fn rust_tool(machine: &Machine, name: &str) -> Option<Found> {
    let rust = rust(machine)?;
    if name == "rustc" {
        return Some(present(rust.rustc, Some(rust.version)));
    }
    program(machine, rust.program(name), &["--version"])
}

/// Present if all are; unfit, naming the absent ones, if some are.
fn all<'a>(parts: impl Iterator<Item = (&'a str, Option<Utf8PathBuf>)>) -> Option<Found> {
    let (mut there, mut absent) = (None, Vec::new());
    for (name, file) in parts {
        match file {
            Some(file) => there = there.or(Some(file)),
            None => absent.push(name),
        }
    }
    let there = there?;
    if absent.is_empty() {
        return Some(present(there, None));
    }
    Some(Found::Unfit(format!("{there} without {}", absent.join(", "))))
}

fn headers(machine: &Machine, names: &[&'static str]) -> Option<Found> {
    all(names.iter().map(|name| (*name, machine.header(name))))
}

fn qemu(machine: &Machine, device: &str) -> Option<Found> {
    let found = program(machine, machine.which("qemu-system-x86_64"), &["--version"])?;
    let Found::Present { path, version: Some(version) } = &found else { return Some(found) };
    let devices = machine.ask_once(path, &["-device", "help"]).unwrap_or_default();
    if devices.contains(&format!("name \"{device}\"")) {
        return Some(found);
    }
    Some(Found::Unfit(format!("{version}, without the {device} device")))
}
