// SPDX-License-Identifier: GPL-2.0-only

//! Why a step did not do what the plan wants.
//!
//! A failure carries an errno only if it comes from the very kernel call that the step is about. A `fails` step looks at
//! nothing else, so that a test for `ENOENT` from LUO cannot pass because `/dev/liveupdate` is missing, and one for `EINVAL`
//! cannot pass because of a typo in the plan.

use std::fmt::{self, Display};

use rustix::io::Errno;

use crate::errno;

/// A failed step.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    errno: Option<Errno>,
}

impl Failure {
    /// The plan is wrong, or what was observed is not what the plan wants.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), errno: None }
    }

    /// The kernel call that the step is about returned this errno.
    pub(crate) fn call(what: impl Display, errno: Errno) -> Self {
        Self { text: format!("{what}: {}", errno::name(errno)), errno: Some(errno) }
    }

    /// A call that only prepares the step's own call returned this errno; `fails` does not accept it.
    pub(crate) fn setup(what: impl Display, errno: Errno) -> Self {
        Self { text: format!("{what}: {}", errno::name(errno)), errno: None }
    }

    /// What another process said about a step of its own.
    pub(crate) fn passed_on(text: String, errno: Option<Errno>) -> Self {
        Self { text, errno }
    }

    /// The same, with the circumstances before it.
    pub(crate) fn within(self, what: &str) -> Self {
        Self { text: format!("{what}: {}", self.text), errno: self.errno }
    }

    /// The errno of the step's own kernel call, if that is what failed.
    pub(crate) fn errno(&self) -> Option<Errno> {
        self.errno
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
