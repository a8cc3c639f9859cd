// SPDX-License-Identifier: GPL-2.0-only

//! What apt prints about packages: `apt-cache madison` and the stanzas of `apt-cache show`.

use crate::deb::DebVersion;

/// What a Packages stanza says of the file behind one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// The version.
    pub version: DebVersion,
    /// The size of the .deb in bytes.
    pub size: u64,
    /// The sha256 of the .deb, in lower-case hexadecimal.
    pub sha256: String,
}

/// The versions in `apt-cache madison`'s output (`package | version | source`), highest first, each once.
pub fn madison(text: &str) -> Vec<DebVersion> {
    let version = |line: &str| line.split('|').nth(1).map(|version| DebVersion::new(version.trim()));
    let mut versions: Vec<DebVersion> = text.lines().filter_map(version).collect();
    versions.sort();
    versions.dedup();
    versions.reverse();
    versions
}

/// The first stanza of this version.
pub fn stanza(text: &str, version: &DebVersion) -> Option<Stanza> {
    text.split("\n\n").find_map(|stanza| {
        let field = |key: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(|value| value.trim().to_owned()))
        };
        let found = DebVersion::new(&field("Version")?);
        let sha256 = field("SHA256").filter(|hash| hash.len() == 64)?;
        (found == *version).then_some(Stanza { version: found, size: field("Size")?.parse().ok()?, sha256 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_highest_first() {
        let text = "  rust-src | 1.9.1+dfsg1-2 | http://mirror.invalid/debian sid/main amd64 Packages\n\
                    rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://mirror.invalid/debian trixie/main amd64 Packages\n\
                    rust-src | 1.95.0+dfsg1-2 | http://mirror.invalid/debian sid/main amd64 Packages\n\
                    rust-src | 1.95.0+dfsg1-2 | http://mirror.invalid/debian sid/main i386 Packages\n";
        let versions: Vec<String> = madison(text).iter().map(ToString::to_string).collect();
        assert_eq!(versions, ["1.95.0+dfsg1-2", "1.95.0+dfsg1-2~bpo13+1", "1.9.1+dfsg1-2"]);
        assert!(madison("").is_empty());
    }

    #[test]
    fn the_stanza_of_one_version() {
        let hash = "7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b";
        let other = hash.replace('7', "0");
        let text = format!(
            "Package: x\nVersion: 1.0-1\nDescription: words\n Size: 3\nSize: 10\nSHA256: {other}\n\n\
             Package: x\nVersion: 2.0-1\nSize: 20\nSHA256: {hash}\n\n"
        );
        let found = stanza(&text, &DebVersion::new("2.0-1")).unwrap();
        assert_eq!((found.size, found.sha256.as_str()), (20, hash));
        assert_eq!(stanza(&text, &DebVersion::new("1.0-1")).unwrap().size, 10);
        assert_eq!(stanza(&text, &DebVersion::new("3.0-1")), None);
        assert_eq!(stanza("Version: 1\nSize: 1\nSHA256: short\n", &DebVersion::new("1")), None);
    }
}
