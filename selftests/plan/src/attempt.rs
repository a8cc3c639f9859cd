// SPDX-License-Identifier: GPL-2.0-only

//! Steps that may fail, and failures that are made.
//!
//! With a kernel that has fault injection, `/proc/thread-self/fail-nth` makes the Nth place fail at which the thread's system call could
//! find no memory. Which N belongs to what changes with every kernel, so a scenario never names one: [`FailEach`] counts until nothing
//! failed any more, and where a failure is final and each N needs a device of its own, [`FailNth`] takes its number from the device in
//! `for-each`, and the last must be `clean`.
//!
//! ```yaml
//! - fail-each:
//!     errno: ENOMEM
//!     step: { preserve: { session: vm, fd: dut, token: 0 } }
//!     # It succeeded although something failed on the way: so that it can be tried again.
//!     undo: [{ close: { name: vm } }, { create-session: { session: vm } }]
//! ```

use serde::{Deserialize, Serialize};

use crate::step::Step;

/// A step that may succeed or fail with one errno, and what is done then.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attempt {
    /// The step.
    pub step: Box<Step>,
    /// The one errno that it may fail with.
    pub errno: String,
    /// Executed if it succeeded. A name that is given here cannot be used after the attempt, but its file stays open.
    #[serde(default)]
    pub then: Vec<Step>,
    /// Executed if it failed.
    #[serde(default)]
    pub otherwise: Vec<Step>,
}

/// A step during which one allocation fails.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FailNth {
    /// Which one, from 1. In `for-each` the number of the device is added.
    pub nth: u64,
    /// The step.
    pub step: Box<Step>,
    /// There must not have been so many: the numbers before were all there are.
    #[serde(default)]
    pub clean: bool,
}

/// A step that is tried with the first allocation failing, then with the second, and so on until none failed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FailEach {
    /// What the step must fail with, if it fails, while an allocation does.
    pub errno: String,
    /// What the last try, in which nothing failed, must fail with; it must succeed, if not given.
    #[serde(default)]
    pub last: Option<String>,
    /// The step.
    pub step: Box<Step>,
    /// Executed after a try that succeeded although an allocation failed.
    #[serde(default)]
    pub undo: Vec<Step>,
}
