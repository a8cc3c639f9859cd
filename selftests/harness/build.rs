// SPDX-License-Identifier: GPL-2.0-only

//! Tells the harness which source it was made from, so that what it finds out can be kept under that: [`SOURCE`](../src/lib.rs).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Its own source and that of the plans that it hands to the guest.
const DIRECTORIES: [&str; 2] = ["src", "../plan/src"];

fn main() -> io::Result<()> {
    let mut hasher = Sha256::new();
    for directory in DIRECTORIES {
        println!("cargo::rerun-if-changed={directory}");
        let mut files = Vec::new();
        list(Path::new(directory), &mut files)?;
        files.sort_unstable();
        for file in files {
            let text = fs::read(&file)?;
            hasher.update(format!("{} {}\n", file.display(), text.len()));
            hasher.update(text);
        }
    }
    let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=HARNESS_SOURCE={hash}");
    Ok(())
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
