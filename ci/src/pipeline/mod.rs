// SPDX-License-Identifier: GPL-2.0-only

//! The pipeline behind `cargo ci`: everything that must hold of a checkout, in one command.
//!
//! A [`Step`] is data: a name, what must have passed before, and the work. The [`engine`] runs steps in order and goes on
//! after a failure with whatever does not depend on it, so that one run tells as much as it can. Every step is timed
//! and counted ([`count`]); a budget bounds the whole, and what runs when it is used up is stopped ([`process`]). A long
//! run can be taken up again ([`ledger`]): what passed for exactly these files is not repeated. [`plan`] is this
//! project's list of steps, the rest knows nothing of it.

pub mod count;
pub mod engine;
pub mod ledger;
pub mod mails;
pub mod plan;
pub mod process;
pub mod report;

pub use self::count::{Count, Counter};
pub use self::engine::{Failure, Record, Selection, Status, Step, Summary};
pub use self::ledger::Ledger;
