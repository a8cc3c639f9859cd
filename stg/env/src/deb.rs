// SPDX-License-Identifier: GPL-2.0-only

//! Downloading one Debian package by name, from suites of any release, and unpacking it beside the system.
//!
//! The newest version that is wanted wins, over all suites, by Debian's order of versions. apt checks the signature of
//! the list and the hash of the file; the hash is compared once more when the file is taken over.
//!
//! Unhappy paths: a suite the mirror lacks is skipped, and named if nothing is found. An interrupted download stays in
//! `downloads/partial/<package>` and apt continues it there (if the mirror supports that, and apt was not killed outright).
//! A finished one has a record beside it; as long as size and time of the file match the record, it is not read again,
//! otherwise it is hashed, and downloaded anew if damaged. Without a network, a recorded download that is wanted is used.

mod version;

use std::fs::File;
use std::process::Command;
use std::time::UNIX_EPOCH;

use camino::Utf8Path;
use camino::Utf8PathBuf;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

pub use version::DebVersion;
pub use version::Wanted;

use crate::Cache;
use crate::EnvError;
use crate::LockGuard;
use crate::apt::Apt;
use crate::apt::index::Stanza;
use crate::apt::index::madison;
use crate::apt::index::stanza;
use crate::apt::mirror::Mirror;
use crate::apt::only_absent_suites;
use crate::apt::run;
use crate::apt::run_apt;
use crate::error::checked_name;
use crate::machine::Machine;

/// A package file in the cache, verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadedDeb {
    /// The package's name.
    pub package: String,
    /// Its Debian version.
    pub version: String,
    /// The file.
    pub path: Utf8PathBuf,
    /// The file's sha256, in lower-case hexadecimal.
    pub sha256: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's time of change in nanoseconds since 1970, by which an untouched file is known.
    modified: u64,
}

/// Downloads the newest wanted version of `package` that any of `suites` has, unless it is there already.
///
/// # Errors
///
/// [`EnvError::NotDebian`] away from Debian, [`EnvError::NoPackage`] if nothing fits, [`EnvError::Corrupt`], and errors of
/// apt.
pub fn fetch<S: AsRef<str>>(
    cache: &Cache,
    package: &str,
    suites: &[S],
    wanted: &Wanted<'_>,
) -> Result<DownloadedDeb, EnvError> {
    checked_name("package", package)?;
    let machine = Machine::here(cache)?;
    if !machine.os.is_debian() {
        return Err(not_debian(package, &machine));
    }
    let lock = cache.lock(&format!("download-{package}"))?;
    let record = cache.downloads()?.join(format!("{package}.json"));
    let names = || suites.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    let (found, seen) = match newest(cache, package, suites, wanted, &machine) {
        Ok(found) => found,
        Err(error @ EnvError::NoLists { .. }) => {
            match recorded(&record).filter(|deb| wanted.accepts(&DebVersion::new(&deb.version))) {
                Some(deb) => {
                    eprintln!("warning: using {package} {} as downloaded before: {error}", deb.version);
                    return Ok(deb);
                }
                None => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    let Some((apt, stanza)) = found else {
        return Err(EnvError::NoPackage {
            package: package.to_owned(),
            wanted: wanted.to_string(),
            suites: names(),
            seen,
        });
    };
    match recorded(&record) {
        Some(deb) if deb.sha256 == stanza.sha256 => Ok(deb),
        _ => download(cache, &apt, package, &stanza, &record, &lock),
    }
}

/// Unpacks a package's files below `target`, which must not exist; it appears complete or not at all.
///
/// # Errors
///
/// If dpkg-deb fails or the directory cannot be made.
pub fn unpack(deb: &DownloadedDeb, target: &Utf8Path) -> Result<(), EnvError> {
    let parent = target.parent().unwrap_or(Utf8Path::new("."));
    let scratch =
        tempfile::Builder::new().prefix("unpack-").tempdir_in(parent).map_err(EnvError::io("create", parent))?;
    let files = scratch.path().join("files");
    let mut command = Command::new("dpkg-deb");
    command.env("LC_ALL", "C").arg("-x").arg(&deb.path).arg(&files);
    run(command)?;
    std::fs::rename(&files, target).map_err(EnvError::io("create", target))
}

fn not_debian(package: &str, machine: &Machine) -> EnvError {
    let fix = if package.starts_with("linux-source") {
        "adopt a clone of Linux instead, with `phasectl base use PATH`"
    } else {
        "install it by other means (`phasectl doctor` says how)"
    };
    EnvError::NotDebian { package: package.to_owned(), os: machine.os.pretty.clone(), fix }
}

/// The highest wanted version and the suite's apt; and, for the error if there is none, what was seen instead.
type Newest = (Option<(Apt, Stanza)>, String);

fn newest<S: AsRef<str>>(
    cache: &Cache,
    package: &str,
    suites: &[S],
    wanted: &Wanted<'_>,
    machine: &Machine,
) -> Result<Newest, EnvError> {
    let mirror = Mirror::of_system(&machine.os)?;
    let mut best: Option<(Apt, Stanza)> = None;
    let (mut seen, mut unreachable) = (Vec::new(), Vec::new());
    for suite in suites.iter().map(AsRef::as_ref) {
        let apt = match Apt::for_fetch(cache, &mirror, suite) {
            Ok(apt) => apt,
            Err(EnvError::NoLists { output, .. }) if only_absent_suites(&output) => {
                seen.push(format!("the mirror has no {suite}"));
                continue;
            }
            Err(error @ EnvError::NoLists { .. }) => {
                seen.push(format!("{suite} could not be read"));
                unreachable.push(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut versions = apt.command("apt-cache");
        versions.args(["madison", package]);
        let versions = madison(&run(versions)?);
        let Some(version) = versions.iter().find(|version| wanted.accepts(version)) else {
            let others: Vec<String> = versions.iter().map(ToString::to_string).collect();
            let others =
                if others.is_empty() { "does not have it".to_owned() } else { format!("has {}", others.join(", ")) };
            seen.push(format!("{suite} {others}"));
            continue;
        };
        if best.as_ref().is_some_and(|(_, stanza)| stanza.version >= *version) {
            continue;
        }
        let mut show = apt.command("apt-cache");
        show.arg("show").arg(format!("{package}={version}"));
        if let Some(stanza) = stanza(&run(show)?, version) {
            best = Some((apt, stanza));
        }
    }
    match unreachable.into_iter().next() {
        Some(error) if best.is_none() => Err(error),
        Some(error) => {
            eprintln!("warning: there may be a newer {package} elsewhere: {error}");
            Ok((best, seen.join("; ")))
        }
        None => Ok((best, seen.join("; "))),
    }
}

/// The finished download of a record, if its file is as it was. A file that was merely touched is hashed, once.
fn recorded(record: &Utf8Path) -> Option<DownloadedDeb> {
    let deb: DownloadedDeb = serde_json::from_str(&std::fs::read_to_string(record).ok()?).ok()?;
    let (size, modified) = size_and_time(&deb.path)?;
    if (size, modified) == (deb.size, deb.modified) {
        return Some(deb);
    }
    if size != deb.size || sha256(&deb.path).ok()? != deb.sha256 {
        return None;
    }
    let deb = DownloadedDeb { modified, ..deb };
    // Without the record the file is hashed next time, too.
    let _ = write_record(record, &deb);
    Some(deb)
}

fn size_and_time(file: &Utf8Path) -> Option<(u64, u64)> {
    let meta = file.metadata().ok()?;
    let age = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((meta.len(), u64::try_from(age.as_nanos()).ok()?))
}

fn download(
    cache: &Cache,
    apt: &Apt,
    package: &str,
    stanza: &Stanza,
    record: &Utf8Path,
    lock: &LockGuard,
) -> Result<DownloadedDeb, EnvError> {
    let downloads = cache.downloads()?;
    let partial = downloads.join("partial").join(package);
    std::fs::create_dir_all(&partial).map_err(EnvError::io("create", &partial))?;
    let mut command = apt.command("apt-get");
    command.arg("-q").arg("download").arg(format!("{package}={}", stanza.version)).current_dir(&partial);
    run_apt(command, &format!("downloading {package} {}", stanza.version), Some(stanza.size), lock.share()?)?;

    // apt names the file `<package>_<version>_<arch>.deb`, the version percent-encoded where need be.
    let mut files = partial.read_dir_utf8().map_err(EnvError::io("read", &partial))?.flatten();
    let is_it = |path: &Utf8Path| path.metadata().is_ok_and(|meta| meta.len() == stanza.size);
    let file = files.find(|entry| is_it(entry.path()));
    let missing = || EnvError::io("find", &partial)(std::io::ErrorKind::NotFound.into());
    let file = file.ok_or_else(missing)?.into_path();
    let found = sha256(&file).map_err(EnvError::io("read", &file))?;
    if found != stanza.sha256 {
        std::fs::remove_file(&file).map_err(EnvError::io("remove", &file))?;
        return Err(EnvError::Corrupt { path: file, found, expected: stanza.sha256.clone() });
    }
    let path = downloads.join(file.file_name().unwrap_or(package));
    std::fs::rename(&file, &path).map_err(EnvError::io("move", &file))?;
    // Remains of other versions are of no use any more.
    let _ = std::fs::remove_dir_all(&partial);
    let (size, modified) = size_and_time(&path).ok_or_else(missing)?;
    let version = stanza.version.to_string();
    let deb = DownloadedDeb { package: package.to_owned(), version, path, sha256: found, size, modified };
    write_record(record, &deb)?;
    Ok(deb)
}

fn write_record(record: &Utf8Path, deb: &DownloadedDeb) -> Result<(), EnvError> {
    let json = serde_json::to_string_pretty(deb).map_err(|error| EnvError::io("write", record)(error.into()))?;
    std::fs::write(record, json).map_err(EnvError::io("write", record))
}

/// The sha256 of a file, in lower-case hexadecimal.
fn sha256(file: &Utf8Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut File::open(file)?, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Lab;
    use crate::fake::tempdir;

    fn recorded_deb(dir: &Utf8Path) -> (DownloadedDeb, Utf8PathBuf) {
        let path = dir.join("x_1.0_all.deb");
        std::fs::write(&path, "abc").unwrap();
        let (size, modified) = size_and_time(&path).unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let deb = DownloadedDeb { package: "x".into(), version: "1.0".into(), path, sha256, size, modified };
        write_record(&dir.join("x.json"), &deb).unwrap();
        (deb, dir.join("x.json"))
    }

    #[test]
    fn a_record_is_believed_only_while_the_file_is_the_same() {
        let (_guard, dir) = tempdir();
        assert_eq!(recorded(&dir.join("x.json")), None);
        let (deb, record) = recorded_deb(&dir);
        assert_eq!(recorded(&record), Some(deb.clone()));
        // Touched, but with the same contents: hashed, believed, and noted.
        File::open(&deb.path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        let touched = DownloadedDeb { modified: 0, ..deb.clone() };
        assert_eq!(recorded(&record), Some(touched));
        assert!(std::fs::read_to_string(&record).unwrap().contains("\"modified\": 0"));
        std::fs::write(&deb.path, "abd").unwrap();
        assert_eq!(recorded(&record), None);
        std::fs::remove_file(&deb.path).unwrap();
        assert_eq!(recorded(&record), None);
    }

    #[test]
    fn a_damaged_package_leaves_no_directory() {
        let (_guard, dir) = tempdir();
        let (deb, _) = recorded_deb(&dir);
        let target = dir.join("tools/x");
        std::fs::create_dir(dir.join("tools")).unwrap();
        assert!(unpack(&deb, &target).is_err());
        assert_eq!(dir.join("tools").read_dir_utf8().unwrap().count(), 0);
    }

    #[test]
    fn away_from_debian_the_error_names_another_way() {
        let machine = Lab::new("ID=fedora\nPRETTY_NAME='Fedora Linux 42'").machine();
        let text = not_debian("linux-source-7.3", &machine).to_string();
        assert!(text.contains("Fedora Linux 42") && text.contains("phasectl base use PATH"), "{text}");
    }
}
