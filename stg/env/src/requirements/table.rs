// SPDX-License-Identifier: GPL-2.0-only

//! The table. Minimum versions are those of Documentation/process/changes.rst of Linux 7.3 where the kernel sets them;
//! the others say in `why` what they come from.

use super::Find::Bindgen;
use super::Find::Chosen;
use super::Find::DebianOnly;
use super::Find::Headers;
use super::Find::Libclang;
use super::Find::Library;
use super::Find::Llvm;
use super::Find::Program;
use super::Find::QemuWith;
use super::Find::RustSrc;
use super::Find::RustTool;
use super::Group::Base;
use super::Group::Build;
use super::Group::Check;
use super::Group::Tool;
use super::Group::Vm;
use super::Requirement;
use super::Source;
use crate::CompilerCache;
use crate::version::Version;

/// The usual way to ask for a version.
const VERSION: &[&str] = &["--version"];

/// A requirement that Debian has under one name.
const fn package(debian: &'static [&'static str], upstream: &'static str) -> Source {
    Source::Package { debian, backport: false, upstream }
}

/// A program without a minimum version that kernel builds use.
const fn build_program(
    id: &'static str,
    names: &'static [&'static str],
    why: &'static str,
    debian: &'static [&'static str],
) -> Requirement {
    Requirement { id, why, minimum: None, find: Program(names, VERSION), source: package(debian, id), groups: &[Build] }
}

/// A compiler cache, which is needed only where PHASECTL_COMPILER_CACHE names it.
const fn compiler_cache(id: &'static str, cache: CompilerCache, debian: &'static [&'static str]) -> Requirement {
    let why = "keeps compiled objects, as PHASECTL_COMPILER_CACHE asks for";
    Requirement { id, why, minimum: None, find: Chosen(cache), source: package(debian, id), groups: &[Build] }
}

/// C headers that kernel builds use.
const fn build_headers(
    id: &'static str,
    headers: &'static [&'static str],
    why: &'static str,
    debian: &'static [&'static str],
    upstream: &'static str,
) -> Requirement {
    Requirement { id, why, minimum: None, find: Headers(headers), source: package(debian, upstream), groups: &[Build] }
}

/// Everything the project needs.
pub static TABLE: &[Requirement] = &[
    Requirement {
        id: "rustc",
        why: "compiles this project and the kernel's Rust code",
        minimum: Some(Version::new(1, 95, 0)),
        find: RustTool("rustc"),
        source: Source::Toolchain,
        groups: &[Tool, Build],
    },
    Requirement {
        id: "cargo",
        why: "builds this project's tools, the guest's init and bindgen",
        minimum: Some(Version::new(1, 95, 0)),
        find: RustTool("cargo"),
        source: Source::Toolchain,
        groups: &[Tool, Vm],
    },
    Requirement {
        id: "rustfmt",
        why: "checks the formatting of Rust code",
        minimum: None,
        find: RustTool("rustfmt"),
        source: Source::Component("rustfmt"),
        groups: &[Check],
    },
    Requirement {
        id: "clippy",
        why: "lints Rust code",
        minimum: None,
        find: RustTool("clippy-driver"),
        source: Source::Component("clippy"),
        groups: &[Check],
    },
    Requirement {
        id: "git",
        why: "holds the base tree and exports patches",
        minimum: Some(Version::new(2, 38, 0)),
        find: Program(&["git"], VERSION),
        source: package(&["git"], "git"),
        groups: &[Tool, Base],
    },
    Requirement {
        id: "cc",
        why: "links this project's own tools",
        minimum: None,
        find: Program(&["cc"], VERSION),
        source: package(&["gcc", "libc6-dev"], "gcc"),
        groups: &[Tool, Build, Vm],
    },
    Requirement {
        id: "apt",
        why: "fetches the kernel source package, verified against Debian's keys",
        minimum: None,
        find: DebianOnly(&["apt-get", "apt-cache", "dpkg-deb"]),
        source: package(&["apt", "dpkg"], "apt"),
        groups: &[Base],
    },
    Requirement {
        id: "tar",
        why: "unpacks the kernel source",
        minimum: None,
        find: Program(&["tar"], VERSION),
        source: package(&["tar"], "tar"),
        groups: &[Base],
    },
    Requirement {
        id: "xz",
        why: "unpacks the kernel source and compresses kernels",
        minimum: None,
        find: Program(&["xz"], VERSION),
        source: package(&["xz-utils"], "xz"),
        groups: &[Base, Build],
    },
    Requirement {
        id: "make",
        why: "drives kernel builds",
        minimum: Some(Version::new(4, 0, 0)),
        find: Program(&["make"], VERSION),
        source: package(&["make"], "GNU make"),
        groups: &[Build],
    },
    Requirement {
        id: "llvm",
        why: "compiles the kernel: its Rust code is built with clang, ld.lld and LLVM's binutils of one version",
        minimum: Some(super::llvm::MINIMUM),
        find: Llvm,
        source: package(&["clang-19", "lld-19", "llvm-19"], "clang, lld and llvm"),
        groups: &[Build],
    },
    Requirement {
        id: "libclang",
        why: "parses C headers for bindgen",
        minimum: None,
        find: Libclang,
        source: package(&["libclang-19-dev"], "libclang"),
        groups: &[Build],
    },
    Requirement {
        id: "bindgen",
        why: "makes Rust bindings of the kernel's C headers",
        minimum: Some(Version::new(0, 71, 1)),
        find: Bindgen,
        source: Source::Bindgen,
        groups: &[Build],
    },
    Requirement {
        id: "rust-src",
        why: "`core` for the kernel, of exactly the compiler's version",
        minimum: None,
        find: RustSrc,
        source: Source::RustSrc,
        groups: &[Build],
    },
    build_program("flex", &["flex"], "generates the scanner of Kconfig", &["flex"]),
    build_program("bison", &["bison"], "generates the parser of Kconfig", &["bison"]),
    build_program("bc", &["bc"], "computes time constants of the kernel", &["bc"]),
    build_program("perl", &["perl"], "runs scripts of the kernel build, checkpatch among them", &["perl"]),
    build_program("python3", &["python3"], "runs scripts of the kernel build", &["python3"]),
    build_program("pkg-config", &["pkg-config", "pkgconf"], "finds libelf and openssl", &["pkg-config"]),
    build_program("cpio", &["cpio"], "packs headers and ramdisks of the kernel build", &["cpio"]),
    build_program("rsync", &["rsync"], "installs the kernel's headers for selftests", &["rsync"]),
    build_program("kmod", &["kmod"], "indexes modules", &["kmod"]),
    build_headers("libelf", &["libelf.h", "gelf.h"], "read by objtool", &["libelf-dev"], "libelf (elfutils) headers"),
    build_headers(
        "openssl",
        &["openssl/opensslv.h", "openssl/evp.h"],
        "used by the kernel's certificate tools",
        &["libssl-dev"],
        "openssl headers",
    ),
    build_headers(
        "libcap",
        &["sys/capability.h"],
        "used by the in-tree iommu selftests",
        &["libcap-dev"],
        "libcap headers, with the static library",
    ),
    build_headers(
        "libuuid",
        &["uuid/uuid.h"],
        "used by the in-tree VFIO selftests",
        &["uuid-dev"],
        "libuuid (util-linux) headers",
    ),
    compiler_cache("ccache", CompilerCache::Ccache, &["ccache"]),
    compiler_cache("sccache", CompilerCache::Sccache, &["sccache"]),
    Requirement {
        id: "static-libc",
        why: "linked into the guest's init and the in-tree selftests, which run without libraries",
        minimum: None,
        find: Library("libc.a"),
        source: package(&["libc6-dev"], "a static C library (libc.a)"),
        groups: &[Build, Vm],
    },
    Requirement {
        id: "qemu",
        why: "runs the scenarios; its igb device (since 8.0) is what is preserved",
        minimum: Some(Version::new(8, 0, 0)),
        find: QemuWith("igb"),
        source: Source::Package {
            debian: &["qemu-system-x86"],
            backport: true,
            upstream: "qemu-system-x86_64 with the igb device",
        },
        groups: &[Vm],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::Group;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_every_group_is_used() {
        let ids: BTreeSet<_> = TABLE.iter().map(|requirement| requirement.id).collect();
        assert_eq!(ids.len(), TABLE.len());
        for group in Group::ALL {
            assert!(TABLE.iter().any(|requirement| requirement.groups.contains(&group)), "{group:?}");
        }
        assert!(TABLE.iter().all(|requirement| !requirement.groups.is_empty()));
    }
}
