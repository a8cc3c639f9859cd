// SPDX-License-Identifier: GPL-2.0-only

//! The modules of a kernel, if any option is wanted as one (`=m`).
//!
//! They are taken as make leaves them, each under its own name. Which one needs which is written in the modules themselves,
//! so nothing is indexed and nothing installed.

use camino::{Utf8Path, Utf8PathBuf};

use super::config::{Value, Wanted};
use super::error::BuildError;

/// A module that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// Its file's name without `.ko`.
    pub(super) name: String,
    /// Where make left it.
    pub(super) file: Utf8PathBuf,
}

/// Whether modules are to be made.
pub(super) fn wanted(options: &[Wanted]) -> bool {
    options.iter().any(|one| one.value == Value::Set("m".to_owned()))
}

/// What make says that it built (`modules.order`), sorted by name.
pub(super) fn built(out: &Utf8Path) -> Result<Vec<Module>, BuildError> {
    let order = out.join("modules.order");
    let text = std::fs::read_to_string(&order).map_err(BuildError::io("read", &order))?;
    let module = |line: &str| {
        let file = out.join(line).with_extension("ko");
        Module { name: file.file_stem().unwrap_or_default().to_owned(), file }
    };
    let mut modules: Vec<Module> = text.lines().filter(|line| !line.is_empty()).map(module).collect();
    modules.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::super::config::{Fragment, Scope, merge};
    use super::*;

    #[test]
    fn modules_are_made_if_one_is_wanted() {
        let wants = |text: &str| wanted(&merge(&[Fragment::parse("f", Scope::Always, text).unwrap()]));
        assert!(wants("CONFIG_A=y\nCONFIG_B=m\n"));
        assert!(!wants("CONFIG_MODULES=y\nCONFIG_NAME=\"m\"\n# CONFIG_B is not set\n"));
    }

    #[test]
    fn the_list_of_make_is_read() {
        let guard = tempfile::tempdir().unwrap();
        let out = Utf8Path::from_path(guard.path()).unwrap();
        assert!(built(out).unwrap_err().to_string().contains("modules.order"));
        std::fs::write(out.join("modules.order"), "drivers/vfio/vfio.o\ndrivers/iommu/iommufd/iommufd.o\n").unwrap();
        let found = built(out).unwrap();
        let names: Vec<_> = found.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["iommufd", "vfio"]);
        assert_eq!(found[1].file, out.join("drivers/vfio/vfio.ko"));
    }
}
