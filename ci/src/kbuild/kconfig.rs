// SPDX-License-Identifier: GPL-2.0-only

//! What a tree's Kconfig files say about a symbol, read only when an option was lost.
//!
//! Two questions need no Kconfig parser: does any file declare the symbol, and what does its entry depend on. Menus and
//! `if` blocks around the entry count too and are not followed, so the answer is a hint and is called one.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

/// Where a symbol is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    /// File and line of (the first of) its entries, relative to the tree.
    pub(crate) place: String,
    /// The expressions of its `depends on` lines.
    pub(crate) depends: Vec<String>,
}

/// The declarations of these symbols, by symbol. Unreadable directories count as empty.
pub(crate) fn declarations(tree: &Utf8Path, symbols: &[&str]) -> BTreeMap<String, Declaration> {
    let mut files = Vec::new();
    collect(tree, &mut files);
    files.sort();
    let mut found = BTreeMap::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if symbols.iter().any(|symbol| text.contains(symbol)) {
            scan(file.strip_prefix(tree).unwrap_or(&file), &text, symbols, &mut found);
        }
    }
    found
}

/// Every file named `Kconfig` or `Kconfig.something`.
fn collect(dir: &Utf8Path, files: &mut Vec<Utf8PathBuf>) {
    for entry in dir.read_dir_utf8().into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        // Links are not followed: the tree has none that matter, and a loop would never end.
        if kind.is_dir() && entry.file_name() != ".git" {
            collect(entry.path(), files);
        } else if kind.is_file() && entry.file_name().starts_with("Kconfig") {
            files.push(entry.path().to_owned());
        }
    }
}

fn scan(file: &Utf8Path, text: &str, symbols: &[&str], found: &mut BTreeMap<String, Declaration>) {
    let mut current: Option<String> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("config" | "menuconfig") => {
                current = words.next().filter(|name| symbols.contains(name)).map(str::to_owned);
                if let Some(name) = &current {
                    let new = || Declaration { place: format!("{file}:{number}"), depends: Vec::new() };
                    found.entry(name.clone()).or_insert_with(new);
                }
            }
            Some("menu" | "endmenu" | "if" | "endif" | "choice" | "endchoice" | "source" | "comment") => current = None,
            // Help text is indented further than anything that could be mistaken for it.
            Some("help") => current = None,
            Some("depends") => {
                if let Some(declaration) = current.as_ref().and_then(|name| found.get_mut(name)) {
                    declaration.depends.push(words.skip(1).collect::<Vec<_>>().join(" "));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_dependencies() {
        let guard = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(guard.path()).unwrap();
        std::fs::create_dir_all(tree.join("drivers/x")).unwrap();
        std::fs::create_dir_all(tree.join(".git")).unwrap();
        std::fs::write(tree.join(".git/Kconfig"), "config HIDDEN\n").unwrap();
        std::fs::write(tree.join("Kconfig"), "source \"drivers/x/Kconfig.sub\"\nconfig OTHER\n\tbool\n").unwrap();
        let text = "menuconfig X\n\tbool \"x\"\n\tdepends on PCI && MMU\n\thelp\n\t  depends on nothing at all\n\n\
                    config X_Y\n\tdepends on X\n\tdepends on (A || B)\n";
        std::fs::write(tree.join("drivers/x/Kconfig.sub"), text).unwrap();
        let found = declarations(tree, &["X", "X_Y", "HIDDEN", "OTHER", "NONE"]);
        let lines: Vec<String> =
            found.iter().map(|(name, one)| format!("{name} {} {:?}", one.place, one.depends)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        OTHER Kconfig:2 []
        X drivers/x/Kconfig.sub:1 ["PCI && MMU"]
        X_Y drivers/x/Kconfig.sub:7 ["X", "(A || B)"]
        "#);
    }
}
