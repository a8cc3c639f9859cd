// SPDX-License-Identifier: GPL-2.0-only

//! The names that the steps of a stage give to open files and sessions.
//!
//! One table for both, because both are fds and `close` takes either. A name is given once: a plan that gives it
//! twice would lose an fd that a later step, or a kexec, counts on. Whoever looks a name up holds the fd open while it is used,
//! so `close` refuses while a background step uses it: it would report a close that has not happened.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use crate::failure::Failure;
use crate::lock::lock;

/// Open files by name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    open: Mutex<BTreeMap<String, Arc<OwnedFd>>>,
}

impl Names {
    /// Fails if the name is taken. To be asked before the kernel is, so that a failed step leaves nothing behind.
    pub(crate) fn free(&self, name: &str) -> Result<(), Failure> {
        if lock(&self.open).contains_key(name) {
            return Err(Failure::new(format!(
                "the name {name:?} is taken by an earlier step; give each fd its own name"
            )));
        }
        Ok(())
    }

    /// Takes an fd in. The caller has asked [`Names::free`].
    pub(crate) fn add(&self, name: &str, fd: OwnedFd) {
        lock(&self.open).insert(name.to_owned(), Arc::new(fd));
    }

    /// The fd of this name.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<OwnedFd>, Failure> {
        let open = lock(&self.open);
        open.get(name).cloned().ok_or_else(|| unknown(&open, name))
    }

    /// Forgets the name and closes its fd.
    pub(crate) fn close(&self, name: &str) -> Result<(), Failure> {
        let fd = {
            let mut open = lock(&self.open);
            open.remove(name).ok_or_else(|| unknown(&open, name))?
        };
        // Closed here, with the table unlocked: a close may take long.
        match Arc::into_inner(fd) {
            Some(fd) => {
                drop(fd);
                Ok(())
            }
            None => Err(Failure::new(format!("{name:?} is in use by a background step; join that first"))),
        }
    }
}

fn unknown(open: &BTreeMap<String, Arc<OwnedFd>>, name: &str) -> Failure {
    let known: Vec<_> = open.keys().map(String::as_str).collect();
    Failure::new(format!("no fd or session is named {name:?} in this stage; open are: [{}]", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fd() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_name_is_given_once_and_can_be_given_again_after_close() {
        let names = Names::default();
        names.add("dut", fd());
        assert!(names.free("dut").unwrap_err().to_string().contains("taken"));
        names.get("dut").unwrap();
        names.close("dut").unwrap();
        names.free("dut").unwrap();
    }

    #[test]
    fn an_unknown_name_says_what_there_is() {
        let names = Names::default();
        names.add("b", fd());
        names.add("a", fd());
        let text = names.close("c").unwrap_err().to_string();
        assert_eq!(text, r#"no fd or session is named "c" in this stage; open are: [a, b]"#);
    }

    #[test]
    fn a_close_that_cannot_happen_is_an_error() {
        let names = Names::default();
        names.add("dut", fd());
        let user = names.get("dut").unwrap();
        assert!(names.close("dut").unwrap_err().to_string().contains("in use"));
        drop(user);
    }
}
