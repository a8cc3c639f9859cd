// SPDX-License-Identifier: GPL-2.0-only

//! The distribution's source package, from the mirror to the base commit.

use camino::Utf8PathBuf;
use stg_env::{Cache, deb};

use super::{Base, Origin, Package, import, load};
use crate::error::{Error, Result};
use crate::manifest::BaseManifest;

/// Obtains the newest package of the manifest's release and makes it the current base; does nothing when it is that
/// already. An interrupted run continues where it stopped.
///
/// # Errors
/// [`Error::Env`] when the package cannot be had; [`Error::Base`] when what it holds is not the promised release.
pub fn fetch(cache: &Cache, manifest: &BaseManifest) -> Result<Base> {
    let _one_at_a_time = cache.lock("base")?;
    let package = deb::fetch(cache, &manifest.package, &manifest.suites, &deb::Wanted::Line(&manifest.release))?;
    if let Ok(base) = load(cache.root(), manifest)
        && matches!(&base.origin, Origin::Package { sha256, .. } if *sha256 == package.sha256)
    {
        return Ok(base);
    }
    // Beside the import's own staging directory, which is gone when its base is.
    let files: Utf8PathBuf = cache.root().join(format!("base-package-{}", &package.sha256[..12]));
    if !files.exists() {
        deb::unpack(&package, &files)?;
    }
    let archive = files.join(format!("usr/src/{}.tar.xz", package.package));
    if !archive.exists() {
        return Err(Error::base(
            format!("package {} has no {archive}", package.package),
            "use `phasectl base use PATH`",
        ));
    }
    let what = Package { name: package.package, version: package.version, sha256: package.sha256 };
    let base = import(cache.root(), manifest, &what, &archive)?;
    std::fs::remove_dir_all(&files).map_err(Error::io(&files))?;
    Ok(base)
}
