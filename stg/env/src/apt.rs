// SPDX-License-Identifier: GPL-2.0-only

//! Private apt configurations: packages from more suites than the system has configured, without changing the system.
//!
//! Each purpose has a directory `<cache>/apt/<purpose>` with sources, package lists and archives of its own, and a
//! configuration file that points apt there. It is passed with `-c`, which apt reads after the system's configuration:
//! proxies, certificates and the like still apply, while nothing the system sets can redirect us back into /etc/apt or
//! /var/lib/apt/lists (`APT_CONFIG` is read first and could be overridden). Hooks that the system runs after its own
//! `apt-get update` are switched off, they would act on the system's lists; hooks after an installation stay. dpkg's status
//! is the system's, as installing is meant to be seen there.
//!
//! There are two kinds of purpose. `install` has the running release with its updates, backports and (as on the
//! system, if it has it) security: packages from it fit the system. `fetch-<suite>` has one suite of any release, from
//! which packages are only ever downloaded; a suite the mirror lacks thus cannot get in the way of another one.
//!
//! The mirror is the one the system already uses, see [`mirror`]; sources are signed by Debian's archive keyring, so a
//! wrong guess about it fails, it does not install anything. Lists older than a day are refreshed; when that fails, the
//! old ones are used, and it is said.

pub mod index;
pub mod mirror;
mod run;

use std::process::Command;
use std::time::Duration;

use camino::Utf8Path;
use camino::Utf8PathBuf;

use crate::Cache;
use crate::EnvError;
use crate::LockGuard;
use crate::error::checked_name;
use crate::machine::Machine;
use mirror::Mirror;

pub(crate) use run::run;
pub(crate) use run::run_apt;

/// How old package lists may be before they are refreshed.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Debian's keyring, where it lies on every Debian system; without it apt falls back on its trusted keys.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One private configuration, with package lists.
#[derive(Debug)]
pub struct Apt {
    dir: Utf8PathBuf,
    /// The suites that the mirror has, as apt names their releases.
    pub releases: Vec<String>,
    /// The mirror's address.
    pub mirror: String,
}

impl Apt {
    /// The configuration for installing packages into the running Debian release.
    ///
    /// # Errors
    ///
    /// [`EnvError::NoMirror`], [`EnvError::NoLists`].
    pub fn for_install(cache: &Cache, machine: &Machine) -> Result<Self, EnvError> {
        let mirror = Mirror::of_system(&machine.os)?;
        let codename = &machine.os.codename;
        let mut sources = String::new();
        for suite in [codename.clone(), format!("{codename}-updates"), format!("{codename}-backports")] {
            sources += &source(&mirror.uri, &suite);
        }
        if let Some(security) = &mirror.security {
            sources += &source(security, &format!("{codename}-security"));
        }
        let apt = Self::prepare(cache, "install", &sources, codename, &mirror)?;
        if apt.releases.contains(codename) {
            return Ok(apt);
        }
        Err(EnvError::NoLists { suites: codename.clone(), mirror: apt.mirror, output: String::new() })
    }

    /// The configuration for downloading from one suite of any release.
    ///
    /// # Errors
    ///
    /// [`EnvError::NoMirror`], or [`EnvError::NoLists`] if the mirror does not have the suite.
    pub fn for_fetch(cache: &Cache, mirror: &Mirror, suite: &str) -> Result<Self, EnvError> {
        let purpose = format!("fetch-{}", checked_name("suite", suite)?);
        Self::prepare(cache, &purpose, &source(&mirror.uri, suite), suite, mirror)
    }

    /// A command with this configuration; `program` is `apt-get` or `apt-cache`.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.join("apt.conf"));
        command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn prepare(cache: &Cache, purpose: &str, sources: &str, suites: &str, mirror: &Mirror) -> Result<Self, EnvError> {
        let lock = cache.lock(&format!("apt-{purpose}"))?;
        let mut apt = Self { dir: cache.apt()?.join(purpose), releases: Vec::new(), mirror: mirror.uri.clone() };
        for dir in ["lists/partial", "archives/partial", "empty"] {
            let dir = apt.dir.join(dir);
            std::fs::create_dir_all(&dir).map_err(EnvError::io("create", &dir))?;
        }
        write(&apt.dir.join("apt.conf"), &configuration(&apt.dir)?)?;
        write(&apt.dir.join("preferences"), "")?;
        let stamp = apt.dir.join("refreshed");
        if write(&apt.dir.join("sources.list"), sources)? {
            // A stamp that cannot be removed is one that is not there.
            let _ = std::fs::remove_file(&stamp);
        }
        if is_fresh(&stamp) {
            apt.releases = apt.listed_releases()?;
        }
        if apt.releases.is_empty() {
            apt.refresh(suites, &stamp, &lock)?;
        }
        Ok(apt)
    }

    /// `apt-get update`. Its status says little (one absent suite of several is a failure, an unreachable mirror may be a
    /// success), so what counts is which lists there are afterwards.
    fn refresh(&mut self, suites: &str, stamp: &Utf8Path, lock: &LockGuard) -> Result<(), EnvError> {
        let mut update = self.command("apt-get");
        update.args(["-q", "-o", "APT::Update::Error-Mode=any", "update"]);
        let output = match run_apt(update, &format!("reading the package list of {suites}"), None, lock.share()?) {
            Ok(_) => None,
            Err(EnvError::Command { output, .. }) => Some(output),
            Err(error) => return Err(error),
        };
        self.releases = self.listed_releases()?;
        if self.releases.is_empty() {
            let output = output.unwrap_or_default();
            return Err(EnvError::NoLists { suites: suites.to_owned(), mirror: self.mirror.clone(), output });
        }
        match output {
            Some(output) if !only_absent_suites(&output) => {
                eprintln!("warning: could not refresh the package list of {suites}, using an older one:\n{output}");
                Ok(())
            }
            _ => std::fs::write(stamp, "").map_err(EnvError::io("write", stamp)),
        }
    }

    /// The releases whose package lists are there.
    fn listed_releases(&self) -> Result<Vec<String>, EnvError> {
        let mut command = self.command("apt-get");
        command.args(["indextargets", "--format", "$(RELEASE)", "Identifier: Packages"]);
        Ok(run(command)?.lines().map(str::to_owned).collect())
    }
}

/// One line of sources.list: only package lists, no translations, no icons.
fn source(uri: &str, suite: &str) -> String {
    let signed = if Utf8Path::new(KEYRING).exists() { format!(" signed-by={KEYRING}") } else { String::new() };
    format!("deb [target=Packages lang=none{signed}] {uri} {suite} main\n")
}

/// apt's configuration file for a private directory.
fn configuration(dir: &Utf8Path) -> Result<String, EnvError> {
    if dir.as_str().contains(['"', '\n', '\\']) {
        // apt's syntax has no escapes.
        return Err(EnvError::BadName { kind: "cache directory", name: dir.to_string() });
    }
    Ok(format!(
        "Dir::Etc::SourceList \"{dir}/sources.list\";\n\
         Dir::Etc::SourceParts \"{dir}/empty\";\n\
         Dir::Etc::Preferences \"{dir}/preferences\";\n\
         Dir::Etc::PreferencesParts \"{dir}/empty\";\n\
         Dir::State::Lists \"{dir}/lists\";\n\
         Dir::Cache \"{dir}\";\n\
         Dir::Cache::Archives \"{dir}/archives\";\n\
         Dir::Cache::pkgcache \"pkgcache.bin\";\n\
         Dir::Cache::srcpkgcache \"srcpkgcache.bin\";\n\
         APT::Sandbox::User \"root\";\n\
         APT::Default-Release \"\";\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n"
    ))
}

/// Whether all that went wrong in an update is that the mirror does not have some suite.
pub(crate) fn only_absent_suites(output: &str) -> bool {
    let mut errors = output.lines().filter(|line| line.starts_with("E: "));
    errors.clone().next().is_some() && errors.all(|line| line.ends_with(" does not have a Release file."))
}

/// Writes a file if its contents differ; whether they did.
fn write(path: &Utf8Path, text: &str) -> Result<bool, EnvError> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    std::fs::write(path, text).map_err(EnvError::io("write", path))?;
    Ok(true)
}

/// Whether the stamp is there and young. A stamp from the future (a clock that was set back) is not.
fn is_fresh(stamp: &Utf8Path) -> bool {
    let age = stamp.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age < MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::tempdir;
    use std::fs::File;
    use std::time::SystemTime;

    #[test]
    fn everything_of_apt_lies_in_the_private_directory() {
        let text = configuration("/c/apt/install".into()).unwrap();
        let dirs: Vec<&str> = text.lines().filter(|line| line.starts_with("Dir::") && line.contains('/')).collect();
        assert_eq!(dirs.len(), 7, "{text}");
        assert!(dirs.iter().all(|line| line.contains("\"/c/apt/install")), "{text}");
        assert!(text.contains("#clear APT::Update::Post-Invoke-Success;"));
        assert!(configuration("/c/a\"b".into()).is_err());
    }

    #[test]
    fn an_absent_suite_is_told_from_an_unreachable_mirror() {
        let absent = "E: The repository 'http://mirror.invalid/debian nosuch Release' does not have a Release file.\n";
        let offline = "E: Failed to fetch http://mirror.invalid/debian/dists/x/InRelease  Could not connect\n\
                       E: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        assert!(only_absent_suites(absent));
        assert!(!only_absent_suites(offline));
        assert!(!only_absent_suites(&format!("{absent}{offline}")));
        assert!(!only_absent_suites(""));
    }

    #[test]
    fn lists_are_fresh_for_a_day() {
        let (_guard, dir) = tempdir();
        let stamp = dir.join("refreshed");
        assert!(!is_fresh(&stamp));
        let file = File::create(&stamp).unwrap();
        assert!(is_fresh(&stamp));
        file.set_modified(SystemTime::now() - MAX_AGE).unwrap();
        assert!(!is_fresh(&stamp));
        file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
        assert!(!is_fresh(&stamp));
    }

    #[test]
    fn unchanged_files_are_left_alone() {
        let (_guard, dir) = tempdir();
        let file = dir.join("sources.list");
        assert!(write(&file, "a").unwrap());
        assert!(!write(&file, "a").unwrap());
        assert!(write(&file, "b").unwrap());
        assert_eq!(std::fs::read_to_string(file).unwrap(), "b");
    }
}
