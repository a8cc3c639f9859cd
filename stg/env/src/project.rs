// SPDX-License-Identifier: GPL-2.0-only

//! The checkout that a command works on.
//!
//! It is found from the current directory, as git finds its repository, so that a command can be run from anywhere inside
//! and a second checkout is never mistaken for the first. A `Cargo.toml` with `phases/base.yaml` beside it marks the root.

use camino::Utf8Path;
use camino::Utf8PathBuf;

use crate::EnvError;

/// A checkout of this project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    root: Utf8PathBuf,
}

impl Project {
    /// The checkout around the current directory.
    ///
    /// # Errors
    ///
    /// [`EnvError::NoProject`] if there is none.
    pub fn discover() -> Result<Self, EnvError> {
        let here = std::env::current_dir().map_err(EnvError::io("find", Utf8Path::new("the current directory")))?;
        let here = Utf8PathBuf::from_path_buf(here).map_err(|path| EnvError::NotUtf8 { path })?;
        Self::discover_from(&here)
    }

    /// The checkout around `from`.
    ///
    /// # Errors
    ///
    /// [`EnvError::NoProject`] if there is none.
    pub fn discover_from(from: &Utf8Path) -> Result<Self, EnvError> {
        from.ancestors()
            .find(|dir| dir.join("Cargo.toml").is_file() && dir.join("phases/base.yaml").is_file())
            .map(|root| Self { root: root.to_owned() })
            .ok_or_else(|| EnvError::NoProject { from: from.to_owned() })
    }

    /// The root of the checkout.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// `phases/`: what each phase is.
    pub fn phases(&self) -> Utf8PathBuf {
        self.root.join("phases")
    }

    /// `kernel/`: the code, at the end of each phase.
    pub fn kernel(&self) -> Utf8PathBuf {
        self.root.join("kernel")
    }

    /// `selftests/`: guest, harness, scenarios and in-tree selftests.
    pub fn selftests(&self) -> Utf8PathBuf {
        self.root.join("selftests")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::tempdir;

    #[test]
    fn found_from_below_and_only_whole() {
        let (_guard, dir) = tempdir();
        std::fs::create_dir_all(dir.join("phases/phase1")).unwrap();
        std::fs::create_dir_all(dir.join("stg/core")).unwrap();
        std::fs::write(dir.join("stg/core/Cargo.toml"), "").unwrap();
        std::fs::write(dir.join("Cargo.toml"), "").unwrap();
        let error = Project::discover_from(&dir.join("stg/core")).unwrap_err();
        assert!(error.to_string().contains("stg/core is not inside a checkout"), "{error}");

        std::fs::write(dir.join("phases/base.yaml"), "").unwrap();
        let project = Project::discover_from(&dir.join("stg/core")).unwrap();
        assert_eq!(project.root(), dir);
        assert_eq!(project.kernel(), dir.join("kernel"));
        assert_eq!(project.phases(), dir.join("phases"));
        assert_eq!(project.selftests(), dir.join("selftests"));
    }
}
