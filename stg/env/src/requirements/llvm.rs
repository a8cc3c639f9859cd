// SPDX-License-Identifier: GPL-2.0-only

//! Finding one complete LLVM.
//!
//! The kernel takes all its LLVM tools by one suffix (`LLVM=-19` means clang-19, ld.lld-19, ...), so a suffix counts
//! only if every tool has it. Tried first is the one that set-up installs, so that machines agree (the toolchain is part of
//! every build key); then the unsuffixed one, then the newest.

use camino::Utf8Path;
use camino::Utf8PathBuf;

use super::Found;
use crate::machine::Machine;
use crate::version::Version;
use crate::version::parse_version;

/// Suffixes in the order of preference.
const SUFFIXES: [&str; 7] = ["-19", "", "-22", "-21", "-20", "-18", "-17"];

/// The oldest LLVM that builds the kernel's Rust code (LLVM of a lower version than rustc's is fine without LTO).
pub(super) const MINIMUM: Version = Version::new(17, 0, 1);

/// What a kernel build calls.
const TOOLS: [&str; 7] = ["clang", "ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-strip", "llvm-readelf"];

/// A complete LLVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Llvm {
    /// What follows the tools' names: `-19`, or nothing.
    pub suffix: String,
    /// The compiler.
    pub clang: Utf8PathBuf,
    /// Its version.
    pub version: Version,
    /// The first line of its `--version`.
    pub banner: String,
}

/// The LLVM to use.
///
/// # Errors
///
/// [`Found::Missing`] or [`Found::Unfit`], the latter naming the first suffix that came close and what it lacks.
pub fn llvm(machine: &Machine) -> Result<Llvm, Found> {
    let mut complaint = Found::Missing;
    for suffix in SUFFIXES {
        match with_suffix(machine, suffix) {
            Ok(llvm) => return Ok(llvm),
            Err(unfit @ Found::Unfit(_)) if complaint == Found::Missing => complaint = unfit,
            Err(_) => {}
        }
    }
    Err(complaint)
}

fn with_suffix(machine: &Machine, suffix: &str) -> Result<Llvm, Found> {
    let clang = machine.which(&format!("clang{suffix}")).ok_or(Found::Missing)?;
    let text = machine.ask_once(&clang, &["--version"]).unwrap_or_default();
    let version = parse_version(&text).ok_or_else(|| Found::Unfit(format!("{clang} does not tell its version")))?;
    if version < MINIMUM {
        return Err(Found::Unfit(format!("clang{suffix} {version}")));
    }
    let absent: Vec<String> =
        TOOLS.iter().map(|tool| format!("{tool}{suffix}")).filter(|tool| machine.which(tool).is_none()).collect();
    if !absent.is_empty() {
        return Err(Found::Unfit(format!("clang{suffix} {version} without {}", absent.join(", "))));
    }
    let banner = text.lines().next().unwrap_or_default().to_owned();
    Ok(Llvm { suffix: suffix.to_owned(), clang, version, banner })
}

/// The directory of the libclang that bindgen should load: `$LIBCLANG_PATH`, else the chosen clang's own, else the
/// system's.
pub fn libclang(machine: &Machine, clang: Option<&Utf8Path>) -> Option<Utf8PathBuf> {
    let beside = clang.and_then(|clang| clang.canonicalize_utf8().ok()).and_then(|real| {
        let prefix = real.parent()?.parent()?;
        Some([prefix.join("lib"), prefix.join("lib64")])
    });
    let chosen = machine.libclang_path.iter().cloned();
    chosen.chain(beside.into_iter().flatten()).chain(machine.library_dirs()).find(|dir| holds_libclang(dir))
}

/// Whether a directory holds a file that bindgen's loader accepts: `libclang.so`, `libclang-19.so`, either with a version.
fn holds_libclang(dir: &Utf8Path) -> bool {
    let is_it = |name: &str| {
        name.strip_prefix("libclang").is_some_and(|rest| {
            let stem = rest.split_once(".so").map(|(stem, _)| stem);
            stem.is_some_and(|stem| {
                stem.is_empty()
                    || stem.strip_prefix('-').is_some_and(|v| v.chars().all(|c| c.is_ascii_digit() || c == '.'))
            })
        })
    };
    dir.read_dir_utf8().is_ok_and(|entries| entries.flatten().any(|entry| is_it(entry.file_name())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Lab;

    fn with_tools(lab: &Lab, suffix: &str, version: &str) {
        let names: Vec<String> = TOOLS.iter().map(|tool| format!("{tool}{suffix}")).collect();
        lab.versions(&names.iter().map(String::as_str).collect::<Vec<_>>(), version);
    }

    #[test]
    fn an_old_default_does_not_hide_a_new_enough_one() {
        let lab = Lab::debian("12", "bookworm");
        with_tools(&lab, "", "14.0.6");
        assert_eq!(llvm(&lab.machine()), Err(Found::Unfit("clang 14.0.6".into())));
        with_tools(&lab, "-21", "21.1.0");
        let found = llvm(&lab.machine()).unwrap();
        assert_eq!((found.suffix.as_str(), found.version), ("-21", Version::new(21, 1, 0)));
        with_tools(&lab, "", "20.1.0");
        assert_eq!(llvm(&lab.machine()).unwrap().suffix, "");
        with_tools(&lab, "-19", "19.1.7");
        assert_eq!(llvm(&lab.machine()).unwrap().suffix, "-19");
    }

    #[test]
    fn an_incomplete_set_does_not_count() {
        let lab = Lab::debian("12", "bookworm");
        with_tools(&lab, "-19", "19.1.7");
        for tool in ["ld.lld-19", "llvm-strip-19"] {
            std::fs::remove_file(lab.dir.join("bin").join(tool)).unwrap();
        }
        let unfit = Found::Unfit("clang-19 19.1.7 without ld.lld-19, llvm-strip-19".into());
        assert_eq!(llvm(&lab.machine()), Err(unfit));
        assert_eq!(llvm(&Lab::debian("12", "bookworm").machine()), Err(Found::Missing));
    }

    #[test]
    fn libclang_of_the_same_llvm_comes_first() {
        let lab = Lab::debian("12", "bookworm");
        lab.script("opt/llvm-19/bin/clang", "echo 19");
        std::os::unix::fs::symlink(lab.dir.join("opt/llvm-19/bin/clang"), lab.dir.join("bin/clang-19")).unwrap();
        let clang = lab.dir.join("bin/clang-19");
        let find = |machine: &Machine| libclang(machine, Some(&clang));
        lab.file("opt/llvm-19/lib/libclang-cpp.so.19");
        lab.file("opt/llvm-19/lib/libclang.a");
        assert_eq!(find(&lab.machine()), None);
        lab.file("usr/lib64/libclang-17.so.17");
        assert_eq!(find(&lab.machine()), Some(lab.dir.join("usr/lib64")));
        lab.file("opt/llvm-19/lib/libclang.so.1");
        assert_eq!(find(&lab.machine()).unwrap(), lab.dir.canonicalize_utf8().unwrap().join("opt/llvm-19/lib"));
        lab.file("mine/libclang-19.so");
        let mut machine = lab.machine();
        machine.libclang_path = Some(lab.dir.join("mine"));
        assert_eq!(find(&machine), Some(lab.dir.join("mine")));
    }
}
