// SPDX-License-Identifier: GPL-2.0-only

//! Which objects a kernel is linked from: the members of the thin archive `vmlinux.a`.
//!
//! A build directory that was walked has more: objects of other commits, which nobody removes.

use camino::{Utf8Path, Utf8PathBuf};
use object::read::archive::ArchiveFile;

use crate::kbuild::BuildError;

/// What make is told to make. (It takes `vmlinux.a` for the archive of one directory.)
pub(super) const GOAL: &str = "vmlinux_a";
/// The archive.
const ARCHIVE: &str = "vmlinux.a";

/// The objects' paths relative to the build directory, sorted.
pub(super) fn objects(out: &Utf8Path) -> Result<Vec<Utf8PathBuf>, BuildError> {
    let path = out.join(ARCHIVE);
    let bytes = std::fs::read(&path).map_err(BuildError::io("read", &path))?;
    let mut objects = names(&bytes).map_err(|error| BuildError::io("read", &path)(std::io::Error::other(error)))?;
    objects.sort_unstable();
    objects.dedup();
    Ok(objects)
}

fn names(bytes: &[u8]) -> object::Result<Vec<Utf8PathBuf>> {
    let archive = ArchiveFile::parse(bytes)?;
    let name = |member: object::Result<object::read::archive::ArchiveMember<'_>>| {
        Ok(Utf8PathBuf::from(String::from_utf8_lossy(member?.name()).as_ref()))
    };
    archive.members().map(name).collect()
}
