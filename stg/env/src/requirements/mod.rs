// SPDX-License-Identifier: GPL-2.0-only

//! Everything the project needs from the machine, as one table ([`TABLE`]), and how it is found.
//!
//! Each [`Requirement`] says what for, from which version on, how it is found ([`Find`]), and where it comes from. It
//! belongs to [`Group`]s, so that `test` asks for what it uses and not for what `check` uses. [`check`] turns the table
//! into [`Row`]s, which is what `doctor` prints, what [`crate::setup`] works from and what `--json` shows: there is no
//! second opinion on whether something is there.

mod find;
mod llvm;
mod report;
mod rust;
mod table;

use crate::CompilerCache;
use crate::machine::Machine;
use crate::version::Version;

pub use llvm::Llvm;
pub use llvm::llvm;
pub use report::Row;
pub use report::complete;
pub use report::table_text;
pub use rust::BINDGEN_VERSION;
pub use rust::Rust;
pub use rust::bindgen;
pub use rust::bindgen_root;
pub use rust::rust;
pub use rust::rust_lib_src;
pub use rust::rust_src_dir;
pub use rust::unpacked_library;
pub use table::TABLE;

pub use llvm::libclang;

/// What a requirement is needed for; commands name the groups they use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Building and running this project's own tools.
    Tool,
    /// Obtaining the base tree from Debian's package.
    Base,
    /// Building kernels and in-tree selftests.
    Build,
    /// Running scenarios.
    Vm,
    /// `phasectl check` and `cargo ci`: formatting and lints.
    Check,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 5] = [Self::Tool, Self::Base, Self::Build, Self::Vm, Self::Check];

    /// What the group is for, in a few words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tool => "the tools",
            Self::Base => "base fetch",
            Self::Build => "build",
            Self::Vm => "test",
            Self::Check => "check",
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Requirement {
    /// The name in `doctor`'s output.
    pub id: &'static str,
    /// What it is needed for.
    pub why: &'static str,
    /// The oldest version that does.
    pub minimum: Option<Version>,
    /// Where it is looked for.
    pub find: Find,
    /// Where it comes from.
    pub source: Source,
    /// Who needs it.
    pub groups: &'static [Group],
}

/// How a requirement is found and asked for its version.
#[derive(Debug)]
pub enum Find {
    /// The first of these programs in `PATH`, asked with these arguments.
    Program(&'static [&'static str], &'static [&'static str]),
    /// A program of the Rust toolchain in use, which may not be the first in `PATH` (rustup).
    RustTool(&'static str),
    /// The sources of Rust's standard library, of exactly the compiler's version.
    RustSrc,
    /// bindgen, set-up's own or one in `PATH`.
    Bindgen,
    /// clang, lld and the binutils of LLVM, all with one suffix.
    Llvm,
    /// The library of the same LLVM, which bindgen loads.
    Libclang,
    /// All of these C headers.
    Headers(&'static [&'static str]),
    /// A library file.
    Library(&'static str),
    /// `qemu-system-x86_64` that knows this device.
    QemuWith(&'static str),
    /// All of these programs, but only on Debian; elsewhere the requirement does not exist.
    DebianOnly(&'static [&'static str]),
    /// A compiler cache, if it is the one that was chosen; else the requirement does not exist.
    Chosen(CompilerCache),
}

/// Where a requirement comes from.
#[derive(Debug)]
pub enum Source {
    /// Debian packages, and what other distributions' users look for.
    Package {
        /// Debian's packages.
        debian: &'static [&'static str],
        /// Whether Debian 12 has it only in backports.
        backport: bool,
        /// The project's own name for it.
        upstream: &'static str,
    },
    /// A Rust toolchain: the user's own choice of how.
    Toolchain,
    /// A component of the Rust toolchain.
    Component(&'static str),
    /// Set-up builds it into the cache.
    Bindgen,
    /// Set-up unpacks it into the cache.
    RustSrc,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// Something, but not what is needed; the text says what is wrong with it.
    Unfit(String),
    /// It is there.
    Present {
        /// Its version, if it has one.
        version: Option<Version>,
        /// Its file or directory.
        path: camino::Utf8PathBuf,
    },
}

impl Found {
    fn is_present(&self) -> bool {
        matches!(self, Self::Present { .. })
    }
}

/// Checks the requirements of these groups, in the table's order.
pub fn check(machine: &Machine, groups: &[Group]) -> Vec<Row> {
    let rows = TABLE
        .iter()
        .filter(|requirement| requirement.groups.iter().any(|group| groups.contains(group)))
        .filter(|requirement| match requirement.find {
            Find::DebianOnly(_) => machine.os.is_debian(),
            Find::Chosen(cache) => machine.compiler_cache == Some(cache),
            _ => true,
        })
        .map(|requirement| Row::new(requirement, find::find(machine, requirement), machine))
        .collect();
    machine.remember();
    rows
}
