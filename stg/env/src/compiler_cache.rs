// SPDX-License-Identifier: GPL-2.0-only

//! `PHASECTL_COMPILER_CACHE`: a cache of compiled objects that kernel builds go through, `ccache` or `sccache`; without it there is none.
//!
//! It makes builds faster and changes nothing that they make, so no key depends on it. Where the objects are kept, and with whom they are shared, is
//! the program's own setting: its configuration file, or the variables that [`CompilerCache::passed`] lets through to it. The kernel's C code
//! goes through it, and with sccache also bindgen's code in set-up. The kernel's Rust code does not: neither program can keep what
//! rustc is asked for there (`--emit=obj`).

use std::str::FromStr;

use crate::EnvError;

/// The variable.
const VARIABLE: &str = "PHASECTL_COMPILER_CACHE";

/// A program that keeps compiled objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompilerCache {
    /// <https://ccache.dev>
    Ccache,
    /// <https://github.com/mozilla/sccache>
    Sccache,
}

/// What ccache may be told by its environment. Not what names another compiler, or changes the paths in objects.
const CCACHE: [&str; 13] = [
    "CCACHE_CONFIGPATH",
    "CCACHE_DIR",
    "CCACHE_LOGFILE",
    "CCACHE_MAXFILES",
    "CCACHE_MAXSIZE",
    "CCACHE_READONLY",
    "CCACHE_READONLY_DIRECT",
    "CCACHE_REMOTE_ONLY",
    "CCACHE_REMOTE_STORAGE",
    "CCACHE_RESHARE",
    "CCACHE_SECONDARY_STORAGE",
    "CCACHE_TEMPDIR",
    "CCACHE_UMASK",
];

/// Where both look for their settings, beside their own variables.
const PLACES: [&str; 2] = ["XDG_CACHE_HOME", "XDG_CONFIG_HOME"];

impl CompilerCache {
    /// The one that the environment asks for.
    ///
    /// # Errors
    ///
    /// [`EnvError::Setting`] if it is none of those.
    pub fn chosen() -> Result<Option<Self>, EnvError> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => text.parse().map(Some),
            _ => Ok(None),
        }
    }

    /// The program's name, which is also Debian's name for the package.
    pub fn program(self) -> &'static str {
        match self {
            Self::Ccache => "ccache",
            Self::Sccache => "sccache",
        }
    }

    /// Those of some variables that a build passes on to the program.
    pub fn passed(self, variables: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
        let mine = |name: &str| match self {
            Self::Ccache => CCACHE.contains(&name),
            Self::Sccache => name.starts_with("SCCACHE_"),
        };
        let mut passed: Vec<_> =
            variables.into_iter().filter(|(name, _)| mine(name) || PLACES.contains(&name.as_str())).collect();
        passed.sort_unstable();
        passed
    }
}

impl FromStr for CompilerCache {
    type Err = EnvError;

    fn from_str(text: &str) -> Result<Self, EnvError> {
        let all = [Self::Ccache, Self::Sccache];
        all.into_iter().find(|cache| cache.program() == text).ok_or_else(|| EnvError::Setting {
            name: VARIABLE,
            value: text.to_owned(),
            fix: "set it to `ccache` or `sccache`, or unset it for none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for cache in [CompilerCache::Ccache, CompilerCache::Sccache] {
            assert_eq!(cache.program().parse::<CompilerCache>().unwrap(), cache);
        }
        let error = "distcc".parse::<CompilerCache>().unwrap_err();
        assert_eq!(error.exit_code(), crate::exit::ENVIRONMENT);
        insta::assert_snapshot!(error, @r"
        PHASECTL_COMPILER_CACHE is `distcc`
          fix: set it to `ccache` or `sccache`, or unset it for none
        ");
    }

    #[test]
    fn settings_that_could_change_an_object_are_not_passed() {
        let names = ["CCACHE_DIR", "CCACHE_COMPILER", "CCACHE_BASEDIR", "SCCACHE_BUCKET", "XDG_CACHE_HOME", "CFLAGS"];
        let passed = |cache: CompilerCache| {
            let all = cache.passed(names.map(|name| (name.to_owned(), "x".to_owned())));
            all.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(passed(CompilerCache::Ccache), ["CCACHE_DIR", "XDG_CACHE_HOME"]);
        assert_eq!(passed(CompilerCache::Sccache), ["SCCACHE_BUCKET", "XDG_CACHE_HOME"]);
    }
}
