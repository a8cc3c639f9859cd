// SPDX-License-Identifier: GPL-2.0-only

//! Finding the Rust toolchain, the sources of its library, and bindgen.
//!
//! With rustup, the `rustc` in `PATH` is a shim that picks a toolchain by directory and environment. A kernel build in
//! another directory must not pick another one, so everything is resolved once, through `--print sysroot`, and the
//! toolchain's own programs are used from there on.

use camino::Utf8Path;
use camino::Utf8PathBuf;

use crate::machine::Machine;
use crate::version::Version;
use crate::version::parse_version;

/// The bindgen that set-up installs.
pub const BINDGEN_VERSION: &str = "0.73.0";

/// The Rust toolchain in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rust {
    /// Where it is installed.
    pub sysroot: Utf8PathBuf,
    /// The compiler itself, not a shim.
    pub rustc: Utf8PathBuf,
    /// Its version.
    pub version: Version,
    /// The first line of its `--version`, with the commit.
    pub banner: String,
}

impl Rust {
    /// A program of this toolchain, such as `cargo`.
    pub fn program(&self, name: &str) -> Option<Utf8PathBuf> {
        Some(self.sysroot.join("bin").join(name)).filter(|file| file.is_file())
    }

    /// The name of the toolchain, if rustup manages it (`<home>/toolchains/<name>`).
    pub fn rustup_name(&self) -> Option<&str> {
        let parent = self.sysroot.parent()?.file_name()?;
        (parent == "toolchains").then(|| self.sysroot.file_name()).flatten()
    }
}

/// The Rust toolchain in use, if there is one.
pub fn rust(machine: &Machine) -> Option<Rust> {
    machine.rust.get_or_init(|| resolve(machine)).clone()
}

fn resolve(machine: &Machine) -> Option<Rust> {
    let shim = machine.which("rustc")?;
    let sysroot = Utf8PathBuf::from(machine.ask(&shim, &["--print", "sysroot"])?.trim());
    let own = sysroot.join("bin/rustc");
    let rustc = if own.is_file() { own } else { shim };
    let text = machine.ask_once(&rustc, &["--version"])?;
    let banner = text.lines().next().unwrap_or_default().to_owned();
    Some(Rust { sysroot, version: parse_version(&text)?, rustc, banner })
}

/// The library's sources for this toolchain: the toolchain's own, else those that set-up unpacked.
pub fn rust_lib_src(machine: &Machine, rust: &Rust) -> Option<Utf8PathBuf> {
    let own = rust.sysroot.join("lib/rustlib/src/rust/library");
    let unpacked = unpacked_library(&machine.tools, rust.version);
    [own, unpacked].into_iter().find(|dir| dir.join("core/src/lib.rs").is_file())
}

/// Where set-up unpacks the package `rust-src`.
pub fn rust_src_dir(machine: &Machine, version: Version) -> Utf8PathBuf {
    unpacked(&machine.tools, version)
}

/// Where Rust's library is if set-up unpacked it below these tools.
pub fn unpacked_library(tools: &Utf8Path, version: Version) -> Utf8PathBuf {
    unpacked(tools, version).join(format!("usr/src/rustc-{version}/library"))
}

fn unpacked(tools: &Utf8Path, version: Version) -> Utf8PathBuf {
    tools.join(format!("rust-src-{version}"))
}

/// Where set-up installs bindgen (`cargo install --root`).
pub fn bindgen_root(machine: &Machine) -> Utf8PathBuf {
    machine.tools.join("bindgen")
}

/// bindgen and its version: set-up's own if it is there, else the one in `PATH`.
pub fn bindgen(machine: &Machine) -> Option<(Utf8PathBuf, Version)> {
    let own = Some(bindgen_root(machine).join("bin/bindgen")).filter(|file| file.is_file());
    let file = own.or_else(|| machine.which("bindgen"))?;
    let version = parse_version(&machine.ask_once(&file, &["--version"])?)?;
    Some((file, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Lab;

    fn with_rust(lab: &Lab, name: &str, version: &str) -> Utf8PathBuf {
        let sysroot = lab.dir.join("rustup/toolchains").join(name);
        lab.program("rustc", &format!("test \"$1\" = --print && echo {sysroot} || echo rustc shim"));
        lab.script(&format!("rustup/toolchains/{name}/bin/rustc"), &format!("echo 'rustc {version} (abc 2026)'"));
        sysroot
    }

    #[test]
    fn the_toolchain_behind_the_shim() {
        let lab = Lab::debian("12", "bookworm");
        assert_eq!(rust(&lab.machine()), None);
        let sysroot = with_rust(&lab, "stable", "1.95.0");
        let found = rust(&lab.machine()).unwrap();
        assert_eq!(found.banner, "rustc 1.95.0 (abc 2026)");
        assert_eq!((found.rustup_name(), found.program("cargo")), (Some("stable"), None));
        assert_eq!(found.rustc, sysroot.join("bin/rustc"));

        // Another toolchain behind an unchanged name is noticed.
        with_rust(&lab, "newer", "1.96.0");
        assert_eq!(rust(&lab.machine()).unwrap().version, Version::new(1, 96, 0));
    }

    #[test]
    fn sources_of_another_version_do_not_count() {
        let lab = Lab::debian("12", "bookworm");
        let sysroot = with_rust(&lab, "stable", "1.95.0");
        let find = || rust_lib_src(&lab.machine(), &rust(&lab.machine()).unwrap());
        lab.file("tools/rust-src-1.94.0/usr/src/rustc-1.94.0/library/core/src/lib.rs");
        assert_eq!(find(), None);
        lab.file("tools/rust-src-1.95.0/usr/src/rustc-1.95.0/library/core/src/lib.rs");
        assert_eq!(find(), Some(lab.dir.join("tools/rust-src-1.95.0/usr/src/rustc-1.95.0/library")));
        lab.file("rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/lib.rs");
        assert_eq!(find(), Some(sysroot.join("lib/rustlib/src/rust/library")));
    }

    #[test]
    fn the_bindgen_of_setup_comes_before_one_in_path() {
        let lab = Lab::debian("12", "bookworm");
        assert_eq!(bindgen(&lab.machine()), None);
        lab.versions(&["bindgen"], "0.60.1");
        assert_eq!(bindgen(&lab.machine()).unwrap().1, Version::new(0, 60, 1));
        lab.script("tools/bindgen/bin/bindgen", "echo bindgen 0.73.0");
        let own = (bindgen_root(&lab.machine()).join("bin/bindgen"), Version::new(0, 73, 0));
        assert_eq!(bindgen(&lab.machine()), Some(own));
    }
}
