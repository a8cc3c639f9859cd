// SPDX-License-Identifier: GPL-2.0-only

//! os-release(5): which distribution this is.

/// The fields of os-release that set-up decides by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`, for example `debian`.
    pub id: String,
    /// `VERSION_ID`, for example `12`; empty on rolling distributions.
    pub version_id: String,
    /// `VERSION_CODENAME`, for example `bookworm`.
    pub codename: String,
    /// `PRETTY_NAME`, for people.
    pub pretty: String,
}

impl OsRelease {
    /// Reads the file's text: `KEY=value` lines, values perhaps in shell quotes.
    pub fn parse(text: &str) -> Self {
        let field = |key: &str| {
            let value = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
            value.map_or_else(String::new, |value| value.trim_matches(['"', '\'']).to_owned())
        };
        let (id, pretty) = (field("ID"), field("PRETTY_NAME"));
        let pretty = [pretty, id.clone(), "an unknown system".to_owned()].into_iter().find(|name| !name.is_empty());
        Self {
            id,
            version_id: field("VERSION_ID"),
            codename: field("VERSION_CODENAME"),
            pretty: pretty.unwrap_or_default(),
        }
    }

    /// Whether this is Debian itself, whose archive packages can be fetched from.
    pub fn is_debian(&self) -> bool {
        self.id == "debian" && !self.codename.is_empty()
    }

    /// Whether set-up knows this release well enough to install packages: Debian 12 and 13.
    pub fn can_install(&self) -> bool {
        self.is_debian() && ["12", "13"].contains(&self.version_id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_others() {
        let debian = OsRelease::parse(
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n",
        );
        assert_eq!((debian.codename.as_str(), debian.pretty.as_str()), ("bookworm", "Debian GNU/Linux 12 (bookworm)"));
        assert!(debian.can_install());

        let sid = OsRelease::parse("ID=debian\nVERSION_CODENAME=forky\n");
        assert!(sid.is_debian() && !sid.can_install());

        let other = OsRelease::parse("NAME=Fedora\nID='fedora'\nVERSION_ID=42\nID_LIKE=debian\n");
        assert_eq!((other.id.as_str(), other.pretty.as_str()), ("fedora", "fedora"));
        assert!(!other.is_debian());

        assert_eq!(OsRelease::parse("").pretty, "an unknown system");
    }
}
