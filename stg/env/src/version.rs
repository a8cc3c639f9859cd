// SPDX-License-Identifier: GPL-2.0-only

//! Version numbers as tools print them: up to three numbers, found anywhere in `--version`'s output.
//!
//! Debian's own package versions have another order and another module ([`crate::deb::DebVersion`]).

use std::fmt;

/// A version; what a tool leaves out counts as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The three numbers, most significant first.
    numbers: [u32; 3],
}

impl Version {
    /// A version known at compile time.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { numbers: [major, minor, patch] }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Finds the version in what a program prints for `--version`: the first number with a dot in it that starts a word (a
/// leading `v` is allowed), else the first whole number (kmod prints `kmod version 30`).
pub fn parse_version(text: &str) -> Option<Version> {
    let words = || {
        text.split(|c: char| c.is_whitespace() || "()[],;:\"'".contains(c))
            .map(|word| word.strip_prefix('v').unwrap_or(word))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
    };
    words().find_map(|word| numbers(word, true)).or_else(|| words().find_map(|word| numbers(word, false)))
}

/// Reads `1.2.3-anything`; with `dotted`, at least two numbers are required.
fn numbers(word: &str, dotted: bool) -> Option<Version> {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let mut out = [0; 3];
    let mut count = 0;
    for (slot, part) in out.iter_mut().zip(word[..end].split('.').take_while(|part| !part.is_empty())) {
        *slot = part.parse().ok()?;
        count += 1;
    }
    (count >= if dotted { 2 } else { 1 }).then_some(Version { numbers: out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_real_tools_print() {
        let cases = [
            ("rustc 1.95.0 (59807616e 2026-04-14)", "1.95.0"),
            ("rustc 1.97.0-nightly (abc 2026-05-01)", "1.97.0"),
            ("git version 2.39.5", "2.39.5"),
            ("GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu", "4.3.0"),
            ("Debian clang version 19.1.7 (3~deb12u1)\nTarget: x86_64-pc-linux-gnu", "19.1.7"),
            ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
            ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)", "10.0.2"),
            ("This is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64", "5.36.0"),
            ("bc 1.07.1", "1.7.1"),
            ("xz (XZ Utils) 5.4.1\nliblzma 5.4.1", "5.4.1"),
            ("kmod version 30\n+ZSTD", "30.0.0"),
            ("Debian 'dpkg-deb' package archive backend version 1.21.22 (amd64).", "1.21.22"),
        ];
        for (text, version) in cases {
            assert_eq!(parse_version(text).map(|v| v.to_string()).as_deref(), Some(version), "{text}");
        }
        for nothing in ["", "no version here", "x86_64 arm64", "99999999999999999999.1"] {
            assert_eq!(parse_version(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn order_is_numeric() {
        assert!(Version::new(7, 9, 0) < Version::new(7, 10, 0));
        assert!(Version::new(17, 0, 1) > Version::new(17, 0, 0));
    }

    proptest! {
        #[test]
        fn any_version_is_found_again(a in 0u32..9999, b in 0u32..9999, c in 0u32..9999, tail in "[-+~ (a-z]{0,8}") {
            let text = format!("tool version {a}.{b}.{c}{}", if tail.is_empty() { String::new() } else { format!("-{tail}") });
            prop_assert_eq!(parse_version(&text), Some(Version::new(a, b, c)));
        }
    }
}
