// SPDX-License-Identifier: GPL-2.0-only

//! The names that the steps of a stage give to open files and sessions.
//!
//! One table for both, because both are fds and `close` takes either. A name is given once: a plan that gives it
//! twice would lose an fd that a later step, or a kexec, counts on.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::failure::Failure;

/// Open files by name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    open: BTreeMap<String, OwnedFd>,
}

impl Names {
    /// Fails if the name is taken. To be asked before the kernel is, so that a failed step leaves nothing behind.
    pub(crate) fn free(&self, name: &str) -> Result<(), Failure> {
        if self.open.contains_key(name) {
            return Err(Failure::new(format!(
                "the name {name:?} is taken by an earlier step; give each fd its own name"
            )));
        }
        Ok(())
    }

    /// Takes an fd in. The caller has asked [`Names::free`].
    pub(crate) fn add(&mut self, name: &str, fd: OwnedFd) {
        self.open.insert(name.to_owned(), fd);
    }

    /// The fd of this name.
    pub(crate) fn get(&self, name: &str) -> Result<BorrowedFd<'_>, Failure> {
        self.open.get(name).map(AsFd::as_fd).ok_or_else(|| self.unknown(name))
    }

    /// Forgets the name and closes its fd.
    pub(crate) fn close(&mut self, name: &str) -> Result<(), Failure> {
        self.open.remove(name).map(drop).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> Failure {
        let known: Vec<_> = self.open.keys().map(String::as_str).collect();
        Failure::new(format!("no fd or session is named {name:?} in this stage; open are: [{}]", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fd() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_name_is_given_once_and_can_be_given_again_after_close() {
        let mut names = Names::default();
        names.add("dut", fd());
        assert!(names.free("dut").unwrap_err().to_string().contains("taken"));
        names.get("dut").unwrap();
        names.close("dut").unwrap();
        names.free("dut").unwrap();
    }

    #[test]
    fn an_unknown_name_says_what_there_is() {
        let mut names = Names::default();
        names.add("b", fd());
        names.add("a", fd());
        let text = names.close("c").unwrap_err().to_string();
        assert_eq!(text, r#"no fd or session is named "c" in this stage; open are: [a, b]"#);
    }
}
