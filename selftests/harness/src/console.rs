// SPDX-License-Identifier: GPL-2.0-only

//! The console of a machine that runs several kernels, kept apart.
//!
//! One serial port stays open over kexec, so the kernels' output must be told apart by what it says. The next kernel's
//! output starts with the first of:
//! - the banner `Linux version`, when one was printed already;
//! - after `kexec_core: Starting new kernel`, a line without the kernel's time (the decompressor), or whose time runs
//!   backwards. Until then, lines after that message are the outgoing kernel's last words;
//! - the Boot event of the guest, for kernels that are told to be quiet.

use crate::observe::{Hop, Line};

/// Printed by the outgoing kernel (kernel/kexec_core.c) once nothing can come back any more.
pub const JUMP: &str = "Starting new kernel";
/// Printed by every kernel that reaches `start_kernel`.
const BANNER: &str = "Linux version ";

/// Sorts console lines by the kernel that printed them.
#[derive(Debug)]
pub struct Console {
    hops: Vec<Hop>,
    jumped_at: Option<f64>,
}

impl Default for Console {
    fn default() -> Self {
        Self { hops: vec![Hop::default()], jumped_at: None }
    }
}

impl Console {
    /// Adds a line; tells to which kernel it belongs, and lends it.
    pub fn push(&mut self, line: Line) -> (usize, &Line) {
        let banner = line.text.starts_with(BANNER);
        let back = self.jumped_at.is_some_and(|jumped| line.guest_seconds.is_none_or(|seconds| seconds < jumped));
        if (banner && self.current().banner) || (back && !line.text.is_empty()) {
            self.next();
        }
        if line.text.contains(JUMP) {
            self.jumped_at = Some(line.guest_seconds.unwrap_or(f64::INFINITY));
        }
        let current = self.current();
        current.banner |= banner;
        current.lines.push(line);
        let at = current.lines.len() - 1;
        let hop = self.hop();
        (hop, &self.hops[hop].lines[at])
    }

    /// The guest's init says that it runs for the `hop`th time.
    pub fn booted(&mut self, hop: usize) {
        // At most one further, whatever a mangled report says.
        if self.hops.len() <= hop {
            self.next();
        }
    }

    /// What was gathered.
    pub fn into_hops(self) -> Vec<Hop> {
        self.hops
    }

    /// The kernel whose lines arrive now.
    pub fn hop(&self) -> usize {
        self.hops.len() - 1
    }

    /// Whether the kernel whose lines arrive now has said that it panicked and stopped there.
    pub fn panicked(&self) -> bool {
        self.hops.last().is_some_and(|hop| hop.find("---[ end Kernel panic").is_some())
    }

    fn current(&mut self) -> &mut Hop {
        let last = self.hops.len() - 1;
        &mut self.hops[last]
    }

    fn next(&mut self) {
        self.hops.push(Hop::default());
        self.jumped_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::Splitter;

    fn split(text: &str) -> Vec<Vec<String>> {
        let mut console = Console::default();
        for line in Splitter::default().push(0, text.as_bytes()) {
            console.push(line);
        }
        console.into_hops().into_iter().map(|hop| hop.lines.into_iter().map(|line| line.text).collect()).collect()
    }

    #[test]
    fn last_words_stay_with_the_outgoing_kernel() {
        let hops = split(
            "SeaBIOS\n[    0.0] Linux version 7.3.4 a\n[    2.0] kexec_core: Starting new kernel\n[    2.1] WARNING: late\n\
             early console in extract_kernel\n[    0.0] Linux version 7.3.4 b\n[    0.1] x\n",
        );
        assert_eq!(
            hops,
            [
                vec!["SeaBIOS", "Linux version 7.3.4 a", "kexec_core: Starting new kernel", "WARNING: late"],
                vec!["early console in extract_kernel", "Linux version 7.3.4 b", "x"],
            ]
        );
    }

    #[test]
    fn time_running_backwards_is_the_next_kernel() {
        let hops =
            split("[    0.0] Linux version a\n[    2.0] kexec_core: Starting new kernel\n[    0.0] Linux version b\n");
        assert_eq!(hops[1], ["Linux version b"]);
    }

    #[test]
    fn a_banner_alone_is_enough() {
        assert_eq!(split("[    0.0] Linux version a\n[    0.0] Linux version b\n").len(), 2);
        assert_eq!(split("[    0.0] Linux version a\n[    0.1] Linux agpgart\n").len(), 1);
    }

    #[test]
    fn quiet_kernels_are_told_apart_by_their_init() {
        let mut console = Console::default();
        console.booted(0);
        console.booted(1);
        let line = Line { host_ms: 0, guest_seconds: Some(0.5), text: "late".into() };
        assert_eq!(console.push(line).0, 1);
    }
}
