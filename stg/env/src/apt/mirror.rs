// SPDX-License-Identifier: GPL-2.0-only

//! Which Debian mirror the system uses, asked of apt itself.
//!
//! `apt-get indextargets` knows the origin of every source, but only of those whose lists have been fetched. Before the
//! first `apt-get update` (a fresh container) `apt-get update --print-uris` still names the sources, in any of the
//! formats that apt reads, and needs neither root nor network. It does not know origins, so a source that also has the
//! release's `-updates` is preferred over one that merely has a suite of the same name, as third parties do.

use std::process::Command;

use super::run::run;
use crate::EnvError;
use crate::machine::OsRelease;

/// The system's mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The address of the archive, without a slash at the end.
    pub uri: String,
    /// The address of the security archive, if the system uses it.
    pub security: Option<String>,
}

/// One source of the system.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    uri: String,
    suite: String,
}

impl Mirror {
    /// The mirror of the running release.
    ///
    /// # Errors
    ///
    /// [`EnvError::NoMirror`], or apt's own error if it does not read its configuration.
    pub fn of_system(os: &OsRelease) -> Result<Self, EnvError> {
        let mut known = Command::new("apt-get");
        let format = "$(REPO_URI) $(ORIGIN) $(CODENAME)";
        known.env("LC_ALL", "C").args(["indextargets", "--format", format, "Identifier: Packages"]);
        if let Some(mirror) = choose(&from_indextargets(&run(known)?), &os.codename) {
            return Ok(mirror);
        }
        let mut configured = Command::new("apt-get");
        configured.env("LC_ALL", "C").args(["update", "--print-uris"]);
        choose(&from_print_uris(&run(configured)?), &os.codename)
            .ok_or_else(|| EnvError::NoMirror { codename: os.codename.clone() })
    }
}

/// Reads lines of `URI ORIGIN CODENAME`, keeping Debian's. An origin may have blanks ("Debian Backports").
fn from_indextargets(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let (uri, rest) = line.split_once(' ')?;
        let (origin, suite) = rest.rsplit_once(' ')?;
        (origin == "Debian").then(|| Entry { uri: trimmed(uri), suite: suite.to_owned() })
    };
    text.lines().filter_map(entry).collect()
}

/// Reads lines of `'URI/dists/SUITE/InRelease' file size`.
fn from_print_uris(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let uri = line.strip_prefix('\'')?.split_once('\'')?.0;
        let (uri, suite) = uri.strip_suffix("/InRelease")?.split_once("/dists/")?;
        Some(Entry { uri: trimmed(uri), suite: suite.to_owned() })
    };
    text.lines().filter_map(entry).collect()
}

fn trimmed(uri: &str) -> String {
    uri.trim_end_matches('/').to_owned()
}

/// The archive that has the release's updates too, else any that has the release, by its codename or as `stable`.
fn choose(entries: &[Entry], codename: &str) -> Option<Mirror> {
    let has = |uri: &str, suite: &str| entries.iter().any(|entry| entry.uri == uri && entry.suite == suite);
    let by_suite = |suite: &str| {
        let all = || entries.iter().filter(|entry| entry.suite == suite);
        all().find(|entry| has(&entry.uri, &format!("{suite}-updates"))).or_else(|| all().next())
    };
    let archive = [codename, "stable", "oldstable"].into_iter().find_map(by_suite)?;
    let security = [format!("{codename}-security"), "stable-security".into(), "oldstable-security".into()];
    let security = security.iter().find_map(|suite| by_suite(suite)).map(|entry| entry.uri.clone());
    Some(Mirror { uri: archive.uri.clone(), security })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_lists_that_were_fetched() {
        let text = "http://third.invalid/linux/ Third Party bookworm\n\
                    http://mirror.invalid/debian/ Debian bookworm\n\
                    http://mirror.invalid/debian/ Debian bookworm-updates\n\
                    http://mirror.invalid/debian/ Debian Backports bookworm-backports\n\
                    http://safe.invalid/debian-security/ Debian bookworm-security\n";
        let mirror = choose(&from_indextargets(text), "bookworm").unwrap();
        assert_eq!(mirror.uri, "http://mirror.invalid/debian");
        assert_eq!(mirror.security.as_deref(), Some("http://safe.invalid/debian-security"));
        assert_eq!(choose(&from_indextargets(text), "trixie"), None);
        assert_eq!(choose(&from_indextargets(""), "bookworm"), None);
    }

    #[test]
    fn from_a_configuration_that_was_never_updated() {
        let text = "'https://third.invalid/linux/debian/dists/trixie/InRelease' third.invalid_dists_trixie_InRelease 0 \n\
                    'http://flat.invalid/x/./InRelease' flat.invalid_x_._InRelease 0 \n\
                    'mirror+file:/etc/apt/mirrors/debian.list/dists/trixie/InRelease' _etc_apt_InRelease 0 \n\
                    'mirror+file:/etc/apt/mirrors/debian.list/dists/trixie-updates/InRelease' _etc_apt_InRelease 0 \n\
                    'http://flat.invalid/dists/trixie/main/binary-amd64/Packages.xz' x 0 \n";
        let mirror = choose(&from_print_uris(text), "trixie").unwrap();
        assert_eq!(mirror, Mirror { uri: "mirror+file:/etc/apt/mirrors/debian.list".into(), security: None });
    }

    #[test]
    fn a_source_may_call_the_release_stable() {
        let text = "'http://mirror.invalid/debian/dists/stable/InRelease' mirror.invalid_InRelease 0 \n";
        assert_eq!(choose(&from_print_uris(text), "trixie").unwrap().uri, "http://mirror.invalid/debian");
    }
}
