// SPDX-License-Identifier: GPL-2.0-only

//! Names for kernel addresses, from a System.map.
//!
//! Holds as long as the kernel runs at its link address: the harness boots with `nokaslr`.

use std::fs;

use camino::Utf8Path;

use crate::error::{HarnessError, io};

/// Functions by address.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    by_address: Vec<(u64, String)>,
}

impl Symbols {
    /// Reads a System.map.
    pub fn load(path: &Utf8Path) -> Result<Self, HarnessError> {
        Ok(Self::parse(&fs::read_to_string(path).map_err(io("read", path))?))
    }

    /// Takes the text of a System.map; lines that are none are passed over.
    pub fn parse(text: &str) -> Self {
        let mut by_address: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let address = u64::from_str_radix(words.next()?, 16).ok()?;
                let kind = words.next()?;
                let name = words.next()?;
                matches!(kind, "t" | "T" | "w" | "W").then(|| (address, name.to_owned()))
            })
            .collect();
        by_address.sort();
        Self { by_address }
    }

    /// `function+0x1f` for an address in the kernel's text.
    pub fn name(&self, address: u64) -> Option<String> {
        let above = self.by_address.partition_point(|(start, _)| *start <= address);
        let (start, name) = self.by_address.get(above.checked_sub(1)?)?;
        let offset = address - start;
        // Nothing is that large: the address lies behind the last function, or in a module.
        (offset < 0x10_0000).then(|| format!("{name}+{offset:#x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let symbols = Symbols::parse(
            "ffffffff81000000 T _text\nffffffff81000100 t luo_file_freeze\nffffffff81000180 D data\nffffffff81000200 T x\n",
        );
        assert_eq!(symbols.name(0xffff_ffff_8100_01ff).as_deref(), Some("luo_file_freeze+0xff"));
        assert_eq!(symbols.name(0xffff_ffff_8100_0200).as_deref(), Some("x+0x0"));
        assert_eq!(symbols.name(0x1000), None);
        assert_eq!(symbols.name(u64::MAX), None);
    }
}
