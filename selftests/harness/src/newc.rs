// SPDX-License-Identifier: GPL-2.0-only

//! Writes initramfs archives: cpio in the "newc" format.
//!
//! Guarantee: the same content gives the same bytes, on every machine. Entries are sorted, belong to root, have no
//! time, and are numbered in order. Parents are added as directories, since the kernel does not create them.
//!
//! The format is that of Documentation/driver-api/early-userspace/buffer-format.rst: a header of "070701" and thirteen
//! fields of eight hexadecimal digits, the name with a NUL, the content, name and content each padded to four bytes,
//! and an entry `TRAILER!!!` at the end.

use std::collections::BTreeMap;

/// An archive under construction.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory,
    File { mode: u32, content: Vec<u8> },
    CharDevice { mode: u32, major: u32, minor: u32 },
}

const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory, and its parents. Leading slashes are dropped.
    pub fn directory(&mut self, path: &str) -> &mut Self {
        let mut prefix = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !prefix.is_empty() {
                prefix.push('/');
            }
            prefix.push_str(part);
            self.entries.entry(prefix.clone()).or_insert(Entry::Directory);
        }
        self
    }

    /// Adds a file with these permission bits, and its parents. A later file of the same name replaces an earlier one.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> &mut Self {
        self.insert(path, Entry::File { mode: S_IFREG | mode, content: content.into() })
    }

    /// Adds a character device, and its parents.
    pub fn char_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) -> &mut Self {
        self.insert(path, Entry::CharDevice { mode: S_IFCHR | mode, major, minor })
    }

    fn insert(&mut self, path: &str, entry: Entry) -> &mut Self {
        let path = path.trim_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.entries.insert(path.to_owned(), entry);
        self
    }

    /// The archive's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Sorted by name, so a directory comes before what it holds.
        for (inode, (name, entry)) in (1_u32..).zip(&self.entries) {
            match entry {
                Entry::Directory => put(&mut out, inode, S_IFDIR | 0o755, 2, (0, 0), name, &[]),
                Entry::File { mode, content } => put(&mut out, inode, *mode, 1, (0, 0), name, content),
                Entry::CharDevice { mode, major, minor } => {
                    put(&mut out, inode, *mode, 1, (*major, *minor), name, &[]);
                }
            }
        }
        put(&mut out, 0, 0, 1, (0, 0), "TRAILER!!!", &[]);
        out
    }
}

fn put(out: &mut Vec<u8>, inode: u32, mode: u32, links: u32, device: (u32, u32), name: &str, content: &[u8]) {
    out.extend_from_slice(b"070701");
    let (uid, gid, mtime, size, name_size, check) = (0, 0, 0, content.len(), name.len() + 1, 0);
    let fields: [usize; 13] = [
        inode as usize,
        mode as usize,
        uid,
        gid,
        links as usize,
        mtime,
        size,
        0,
        0,
        device.0 as usize,
        device.1 as usize,
        name_size,
        check,
    ];
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(content);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Eq, PartialEq)]
    struct Read {
        inode: u32,
        mode: u32,
        device: (u32, u32),
        content: Vec<u8>,
    }

    /// A reader that shares nothing with the writer.
    fn read(mut bytes: &[u8]) -> Vec<(String, Read)> {
        let total = bytes.len();
        let mut found = Vec::new();
        loop {
            assert_eq!((total - bytes.len()) % 4, 0, "headers are aligned");
            assert_eq!(&bytes[..6], b"070701");
            let field = |n: usize| {
                let at = 6 + n * 8;
                u32::from_str_radix(std::str::from_utf8(&bytes[at..at + 8]).unwrap(), 16).unwrap()
            };
            let (name_size, size) = (field(11) as usize, field(6) as usize);
            let name = std::str::from_utf8(&bytes[110..110 + name_size - 1]).unwrap().to_owned();
            assert_eq!(bytes[110 + name_size - 1], 0);
            assert_eq!([field(2), field(3), field(5), field(12)], [0; 4], "owner, time and checksum are nought");
            let start = (110 + name_size).next_multiple_of(4);
            let entry = Read {
                inode: field(0),
                mode: field(1),
                device: (field(9), field(10)),
                content: bytes[start..start + size].to_vec(),
            };
            bytes = &bytes[(start + size).next_multiple_of(4)..];
            if name == "TRAILER!!!" {
                assert!(bytes.is_empty());
                return found;
            }
            found.push((name, entry));
        }
    }

    fn cpio_lists(bytes: &[u8]) -> Option<Vec<String>> {
        let mut child = Command::new("cpio")
            .args(["--quiet", "-t"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }

    #[test]
    fn an_initramfs() {
        let mut archive = Archive::new();
        archive.file("/init", 0o755, *b"elf").directory("/proc").char_device("/dev/console", 0o600, 5, 1);
        let bytes = archive.to_bytes();
        let entries = read(&bytes);
        let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["dev", "dev/console", "init", "proc"]);
        assert_eq!(entries[0].1, Read { inode: 1, mode: 0o040_755, device: (0, 0), content: vec![] });
        assert_eq!(entries[1].1, Read { inode: 2, mode: 0o020_600, device: (5, 1), content: vec![] });
        assert_eq!(entries[2].1, Read { inode: 3, mode: 0o100_755, device: (0, 0), content: b"elf".to_vec() });
        if let Some(listed) = cpio_lists(&bytes) {
            assert_eq!(listed, names);
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_any_order(
            files in proptest::collection::btree_map("([a-z]{1,5}/){0,2}[a-z]{1,5}[.]f", proptest::collection::vec(any::<u8>(), 0..40), 0..12),
            seed in any::<u64>(),
        ) {
            let mut order: Vec<_> = files.iter().collect();
            order.sort_by_key(|(name, _)| name.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())));
            let (mut sorted, mut shuffled) = (Archive::new(), Archive::new());
            for (name, content) in &files {
                sorted.file(name, 0o644, content.clone());
            }
            for (name, content) in order {
                shuffled.file(name, 0o644, content.clone());
            }
            prop_assert_eq!(sorted.to_bytes(), shuffled.to_bytes());
            let read = read(&sorted.to_bytes());
            for (name, content) in &files {
                let entry = read.iter().find(|(found, _)| found == name);
                prop_assert!(entry.is_some_and(|(_, entry)| entry.content == *content));
            }
            for (index, (name, _)) in read.iter().enumerate() {
                if let Some((parent, _)) = name.rsplit_once('/') {
                    prop_assert!(read[..index].iter().any(|(earlier, _)| earlier == parent));
                }
            }
        }
    }
}
