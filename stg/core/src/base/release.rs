// SPDX-License-Identifier: GPL-2.0-only

//! Which release a tree is: what its Makefile says, in the form of the kernel's tags without the `v`.

use camino::Utf8Path;

use crate::error::{Error, Result};
use crate::git::{Oid, Repo};
use crate::manifest::BaseManifest;

/// The release of a tree by its top Makefile.
pub(super) fn of_tree(repo: &Repo, tree: Oid) -> Result<String> {
    let file = repo.read(tree, Utf8Path::new("Makefile"))?;
    file.and_then(|file| of_makefile(&String::from_utf8_lossy(&file.bytes)))
        .ok_or_else(|| Error::base("the tree has no Linux Makefile", "use the source of a Linux release"))
}

pub(super) fn of_makefile(text: &str) -> Option<String> {
    let value = |name: &str| {
        let line = text.lines().take(12).find(|line| line.split('=').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once('=')?.1.trim().to_owned())
    };
    let (version, patchlevel) = (value("VERSION")?, value("PATCHLEVEL")?);
    let sublevel = value("SUBLEVEL").filter(|level| level != "0").map_or_else(String::new, |level| format!(".{level}"));
    let extra = value("EXTRAVERSION").unwrap_or_default();
    Some(format!("{version}.{patchlevel}{sublevel}{extra}"))
}

/// The release of a package by its version: `7.3~rc7-1~exp1` is `7.3-rc7`.
pub(super) fn of_package(version: &str) -> String {
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    let upstream = upstream.split_once(':').map_or(upstream, |(_, rest)| rest);
    upstream.split('+').next().unwrap_or(upstream).replace('~', "-")
}

/// Whether a release is one of the manifest's.
pub(super) fn matches(release: &str, manifest: &BaseManifest) -> Result<()> {
    let wanted = &manifest.release;
    match release.strip_prefix(wanted.as_str()) {
        Some(rest) if rest.is_empty() || rest.starts_with(['.', '-']) => Ok(()),
        _ => Err(Error::base(
            format!("the base tree is Linux {release}, but phases/base.yaml wants {wanted}"),
            "run `phasectl base fetch`, or `phasectl base use PATH` with a clone that has its tag",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makefiles() {
        let text = |sub: &str, extra: &str| {
            format!("# SPDX\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = {sub}\nEXTRAVERSION ={extra}\nNAME = x\n")
        };
        assert_eq!(of_makefile(&text("0", "")).as_deref(), Some("7.3"));
        assert_eq!(of_makefile(&text("4", "")).as_deref(), Some("7.3.4"));
        assert_eq!(of_makefile(&text("0", " -rc7")).as_deref(), Some("7.3-rc7"));
        assert_eq!(of_makefile("all:\n"), None);
    }

    #[test]
    fn package_versions() {
        assert_eq!(of_package("7.3.4-1~bpo13+1"), "7.3.4");
        assert_eq!(of_package("7.3~rc7-1~exp1"), "7.3-rc7");
        assert_eq!(of_package("7.3-1"), "7.3");
    }
}
