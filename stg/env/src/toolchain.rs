// SPDX-License-Identifier: GPL-2.0-only

//! The tools a kernel is built with, as environment and arguments for make.
//!
//! The kernel is built by exactly these tools whatever the calling shell has set: the Rust toolchain's own directory
//! precedes rustup's shims in `PATH`, and everything that would make two builds of one commit differ (time, user, host,
//! locale, build number, where Rust's sources are) is fixed. [`Toolchain::id`] names the versions and is part of every build key.

use camino::Utf8PathBuf;

use crate::Cache;
use crate::EnvError;
use crate::machine::Machine;
use crate::requirements;
use crate::requirements::Group;
use crate::version::Version;

/// Where Rust's sources are said to be, wherever they are: panics in them name their files, so that an image would be another one for each user.
/// This is where set-up puts them for root unless told otherwise, and what the images had in them that the proofs on record are about.
const SAID: &str = "/root/.cache/phasectl/tools";

/// What builds the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// What follows the names of LLVM's tools: `-19`, or nothing.
    pub llvm_suffix: String,
    /// The C compiler.
    pub clang: Utf8PathBuf,
    /// The Rust compiler itself, not a rustup shim.
    pub rustc: Utf8PathBuf,
    /// Where the Rust toolchain is installed; `bin/cargo` and `bin/rustfmt` are below it.
    pub rust_sysroot: Utf8PathBuf,
    /// bindgen.
    pub bindgen: Utf8PathBuf,
    /// The `library` directory of Rust's sources, for `RUST_LIB_SRC`.
    pub rust_lib_src: Utf8PathBuf,
    /// The directory of libclang, for `LIBCLANG_PATH`.
    pub libclang: Utf8PathBuf,
    /// The search path for a build.
    path: String,
    /// The compiler cache that the C compiler is called through.
    cache: Option<Utf8PathBuf>,
    /// What is passed on to it from the environment.
    cache_env: Vec<(String, String)>,
    rust_version: Version,
    id: String,
}

impl Toolchain {
    /// The toolchain of this machine.
    ///
    /// # Errors
    ///
    /// [`EnvError::Missing`], with advice, if a requirement of [`Group::Build`] is not met; [`crate::setup::ensure`] before
    /// it installs what is missing.
    pub fn detect(cache: &Cache) -> Result<Self, EnvError> {
        Self::of(&Machine::here(cache)?)
    }

    /// The toolchain of a machine; errors as for [`Toolchain::detect`].
    pub(crate) fn of(machine: &Machine) -> Result<Self, EnvError> {
        let missing = || {
            let rows = requirements::check(machine, &[Group::Build]);
            EnvError::Missing(crate::setup::advice(machine, &rows))
        };
        let llvm = requirements::llvm(machine).map_err(|_| missing())?;
        let rust = requirements::rust(machine).ok_or_else(missing)?;
        let (bindgen, bindgen_version) = requirements::bindgen(machine).ok_or_else(missing)?;
        let rust_lib_src = requirements::rust_lib_src(machine, &rust).ok_or_else(missing)?;
        let libclang = requirements::libclang(machine, Some(&llvm.clang)).ok_or_else(missing)?;
        let cache =
            machine.compiler_cache.map(|cache| machine.which(cache.program()).ok_or_else(missing)).transpose()?;
        let variables = || {
            std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        };
        let cache_env = machine.compiler_cache.map_or_else(Vec::new, |cache| cache.passed(variables()));
        machine.remember();
        let mut path = Vec::new();
        for (name, file) in [("bindgen", &bindgen), ("rustc", &rust.rustc)] {
            // What the search path finds anyway must not move ahead of the rest of it.
            if machine.which(name).as_ref() != Some(file) {
                path.extend(file.parent().map(camino::Utf8Path::as_str));
            }
        }
        let rest = machine.path_var();
        path.push(&rest);
        let path = path.join(":");
        Ok(Self {
            id: format!("{}; {}; bindgen {bindgen_version}", rust.banner, llvm.banner),
            llvm_suffix: llvm.suffix,
            clang: llvm.clang,
            rustc: rust.rustc,
            rust_sysroot: rust.sysroot,
            bindgen,
            rust_lib_src,
            libclang,
            path,
            cache,
            cache_env,
            rust_version: rust.version,
        })
    }

    /// The environment for make, to be set on top of the process' own.
    pub fn make_env(&self) -> Vec<(String, String)> {
        let fixed = [
            ("PATH", self.path.as_str()),
            ("RUST_LIB_SRC", self.rust_lib_src.as_str()),
            ("LIBCLANG_PATH", self.libclang.as_str()),
            ("KBUILD_BUILD_TIMESTAMP", "1970-01-01 00:00:00 UTC"),
            ("KBUILD_BUILD_USER", "phasectl"),
            ("KBUILD_BUILD_HOST", "phasectl"),
            ("KBUILD_BUILD_VERSION", "1"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        fixed.into_iter().chain(self.renamed()).chain(self.cache_env.clone()).collect()
    }

    /// What has the Rust compiler say other names for its library's sources than they have. Nothing, if they have these names.
    fn renamed(&self) -> Option<(String, String)> {
        let said = requirements::unpacked_library(SAID.into(), self.rust_version);
        let differ = self.rust_lib_src != said;
        differ.then(|| ("KRUSTFLAGS".to_owned(), format!("--remap-path-prefix={}={said}", self.rust_lib_src)))
    }

    /// Arguments that have the kernel's C compiler called through a compiler cache, if there is one. They change how long a build takes
    /// and nothing else, so they belong into no key.
    pub fn cache_args(&self) -> Vec<String> {
        // As make would find it: the name is what the cache looks for in the search path.
        let compiler = |cache: &Utf8PathBuf| format!("CC={cache} clang{}", self.llvm_suffix);
        self.cache.iter().map(compiler).collect()
    }

    /// Arguments that make needs on each call.
    pub fn make_args(&self) -> Vec<String> {
        let suffix = if self.llvm_suffix.is_empty() { "1" } else { &self.llvm_suffix };
        vec![format!("LLVM={suffix}")]
    }

    /// The versions of everything that determines the output, for build keys.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// What formats Rust code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rustfmt {
    /// The program itself, not a rustup shim.
    pub path: Utf8PathBuf,
    /// What it says of its version.
    pub id: String,
}

impl Rustfmt {
    /// That of this machine's Rust toolchain, if it has one.
    ///
    /// # Errors
    ///
    /// If the machine cannot be looked at.
    pub fn detect(cache: &Cache) -> Result<Option<Self>, EnvError> {
        Ok(Self::of(&Machine::here(cache)?))
    }

    fn of(machine: &Machine) -> Option<Self> {
        let path = requirements::rust(machine)?.program("rustfmt")?;
        let text = machine.ask_once(&path, &["--version"])?;
        machine.remember();
        Some(Self { path, id: text.trim().to_owned() })
    }
}

/// The emulator that scenarios run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// `qemu-system-x86_64`.
    pub path: Utf8PathBuf,
    /// The first line of its `--version`, for result keys.
    pub id: String,
}

impl Qemu {
    /// The emulator of this machine.
    ///
    /// # Errors
    ///
    /// [`EnvError::Missing`], with advice, if it is absent, too old, or lacks the igb device.
    pub fn detect(cache: &Cache) -> Result<Self, EnvError> {
        Self::of(&Machine::here(cache)?)
    }

    fn of(machine: &Machine) -> Result<Self, EnvError> {
        let mut rows = requirements::check(machine, &[Group::Vm]);
        rows.retain(|row| row.id == "qemu");
        let found = rows.iter().find(|row| row.ok).and_then(|row| row.path.clone());
        let path =
            found.map(Utf8PathBuf::from).ok_or_else(|| EnvError::Missing(crate::setup::advice(machine, &rows)))?;
        let text = machine.ask_once(&path, &["--version"]).unwrap_or_default();
        Ok(Self { path, id: text.lines().next().unwrap_or_default().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CompilerCache;
    use crate::fake::Lab;

    fn lab() -> Lab {
        let lab = Lab::debian("12", "bookworm");
        let sysroot = lab.dir.join("rustup/toolchains/stable");
        lab.program("rustc", &format!("echo {sysroot}"));
        lab.script("rustup/toolchains/stable/bin/rustc", "echo 'rustc 1.95.0 (abc)'");
        for tool in ["clang", "ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-strip", "llvm-readelf"] {
            lab.program(&format!("{tool}-19"), &format!("echo '{tool} version 19.1.7'; echo more"));
        }
        lab.file("usr/lib/libclang.so");
        lab.script("tools/bindgen/bin/bindgen", "echo bindgen 0.73.0");
        lab.file("tools/rust-src-1.95.0/usr/src/rustc-1.95.0/library/core/src/lib.rs");
        lab
    }

    #[test]
    fn the_build_sees_these_tools_and_nothing_of_the_day() {
        let lab = lab();
        let toolchain = Toolchain::of(&lab.machine()).unwrap();
        assert_eq!(toolchain.make_args(), ["LLVM=-19"]);
        assert_eq!(toolchain.id(), "rustc 1.95.0 (abc); clang version 19.1.7; bindgen 0.73.0");
        let dir = &lab.dir;
        let env = toolchain.make_env().iter().map(|(k, v)| format!("{k}={v}\n")).collect::<String>();
        insta::assert_snapshot!(env.replace(dir.as_str(), "<dir>"), @r"
        PATH=<dir>/tools/bindgen/bin:<dir>/rustup/toolchains/stable/bin:<dir>/bin
        RUST_LIB_SRC=<dir>/tools/rust-src-1.95.0/usr/src/rustc-1.95.0/library
        LIBCLANG_PATH=<dir>/usr/lib
        KBUILD_BUILD_TIMESTAMP=1970-01-01 00:00:00 UTC
        KBUILD_BUILD_USER=phasectl
        KBUILD_BUILD_HOST=phasectl
        KBUILD_BUILD_VERSION=1
        LC_ALL=C
        TZ=UTC
        KRUSTFLAGS=--remap-path-prefix=<dir>/tools/rust-src-1.95.0/usr/src/rustc-1.95.0/library=/root/.cache/phasectl/tools/rust-src-1.95.0/usr/src/rustc-1.95.0/library
        ");
    }

    #[test]
    fn what_is_called_as_is_said_is_not_renamed() {
        let mut toolchain = Toolchain::of(&lab().machine()).unwrap();
        toolchain.rust_lib_src = requirements::unpacked_library(SAID.into(), toolchain.rust_version);
        assert_eq!(toolchain.renamed(), None);
    }

    #[test]
    fn a_compiler_cache_is_used_if_it_is_chosen_and_counts_for_nothing() {
        let lab = lab();
        let plain = Toolchain::of(&lab.machine()).unwrap();
        assert_eq!(plain.cache_args(), Vec::<String>::new());
        let machine = || lab.machine_with(CompilerCache::Ccache);
        let error = Toolchain::of(&machine()).unwrap_err().to_string();
        assert!(error.contains("apt-get install --no-install-recommends") && error.contains(" ccache"), "{error}");
        lab.program("ccache", "echo ccache version 4.11");
        let cached = Toolchain::of(&machine()).unwrap();
        assert_eq!(cached.cache_args(), [format!("CC={}/bin/ccache clang-19", lab.dir)]);
        assert_eq!((cached.id(), cached.make_args()), (plain.id(), plain.make_args()));
        // doctor shows it, and nothing of the one that was not chosen.
        let rows = |machine: &Machine| {
            let rows = requirements::check(machine, &[Group::Build]);
            rows.into_iter().filter(|row| row.id.ends_with("ccache")).map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!((rows(&machine()), rows(&lab.machine())), (vec!["ccache"], vec![]));
    }

    #[test]
    fn an_unsuffixed_llvm() {
        let toolchain = Toolchain { llvm_suffix: String::new(), ..Toolchain::of(&lab().machine()).unwrap() };
        assert_eq!(toolchain.make_args(), ["LLVM=1"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let lab = lab();
        std::fs::remove_file(lab.dir.join("bin/ld.lld-19")).unwrap();
        let error = Toolchain::of(&lab.machine()).unwrap_err();
        assert_eq!(error.exit_code(), crate::exit::ENVIRONMENT);
        assert!(error.to_string().contains("clang-19 19.1.7 without ld.lld-19"), "{error}");
    }

    #[test]
    fn rustfmt_is_the_toolchains() {
        let lab = lab();
        lab.program("rustfmt", "echo shim");
        assert_eq!(Rustfmt::of(&lab.machine()), None, "a shim without its component formats nothing");
        lab.script("rustup/toolchains/stable/bin/rustfmt", "echo rustfmt 1.9.0");
        let path = lab.dir.join("rustup/toolchains/stable/bin/rustfmt");
        assert_eq!(Rustfmt::of(&lab.machine()), Some(Rustfmt { path, id: "rustfmt 1.9.0".into() }));
    }

    #[test]
    fn an_emulator_without_the_device_is_refused() {
        let lab = Lab::debian("13", "trixie");
        let script =
            |device: &str| format!("test $1 = -device && echo 'name \"{device}\"' || echo 'QEMU version 9.0.0'");
        lab.program("qemu-system-x86_64", &script("e1000"));
        let text = Qemu::of(&lab.machine()).unwrap_err().to_string();
        assert!(text.contains("9.0.0, without the igb device"), "{text}");
        lab.program("qemu-system-x86_64", &script("igb"));
        assert_eq!(Qemu::of(&lab.machine()).unwrap().id, "QEMU version 9.0.0");
    }
}
