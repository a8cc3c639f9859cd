// SPDX-License-Identifier: GPL-2.0-only

//! SHA-256 in hexadecimal: of bytes, as `sha256sum` prints it, and of lists, for keys.
//!
//! Kernels and answers are kept under such hashes and records hold them, so what they are made of never changes.

use sha2::{Digest as _, Sha256};

/// Of some bytes, as `sha256sum` prints it.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// Of a list with one part.
pub fn hash(part: impl AsRef<[u8]>) -> String {
    hash_all([part])
}

/// Of a list.
pub fn hash_all(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut all = Parts::default();
    parts.into_iter().for_each(|part| all.add(part));
    all.hash()
}

/// A list as it grows. Each part counts with its length, so that no two lists run together to the same bytes.
#[derive(Debug, Clone, Default)]
pub struct Parts(Sha256);

impl Parts {
    /// One part more.
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The hash of the list.
    pub fn hash(self) -> String {
        hex(self.0)
    }
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_under_a_hash_is_found_again() {
        assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash("abc"), "ce91dc5eec0139adf091900d225971d6ad246a845bad791b5693a9d0d55dd391");
        assert_eq!(hash_all(["ab", "c"]), "43ee655579de01ca739b3f95c1c2d3f46d353b2c0df818064ea594506cdb2617");
    }

    #[test]
    fn lists_do_not_run_together() {
        assert_ne!(hash_all(["ab", "c"]), hash_all(["a", "bc"]));
        assert_ne!(hash_all(["a", ""]), hash_all(["a"]));
    }
}
