// SPDX-License-Identifier: GPL-2.0-only

//! Tables that the steps of a stage share with threads of `background` and of igb rings.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A thread that panics ends the guest (see [`crate::init`]), so nobody is left to meet what it left behind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
