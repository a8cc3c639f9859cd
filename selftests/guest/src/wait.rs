// SPDX-License-Identifier: GPL-2.0-only

//! Waiting for what the kernel, the host or a device does in its own time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How long a step waits on the usual kernel. Hot-plug takes seconds under emulation: five for the attention button alone.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// How many times as long as the usual kernel this one may take, [`Plan::slowness`](plan::Plan::slowness).
static SLOWNESS: AtomicU32 = AtomicU32::new(1);

/// Multiplies all limits from now on.
pub(crate) fn be_patient(slowness: u32) {
    SLOWNESS.store(slowness.max(1), Ordering::Relaxed);
}

/// A limit on this kernel.
pub(crate) fn scaled(limit: Duration) -> Duration {
    limit * SLOWNESS.load(Ordering::Relaxed)
}

/// Asks until the answer is there, and returns it with the time that it took; `None` after `limit`, as it is on this kernel. An error ends
/// the wait.
pub(crate) fn until<T>(
    limit: Duration,
    ask: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<(T, Duration)>, Failure> {
    every(POLL, limit, ask)
}

/// The same without a pause, for what may be over soon.
pub(crate) fn until_at_once<T>(
    limit: Duration,
    ask: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<(T, Duration)>, Failure> {
    every(Duration::ZERO, limit, ask)
}

fn every<T>(
    pause: Duration,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<(T, Duration)>, Failure> {
    let limit = scaled(limit);
    let start = Instant::now();
    loop {
        // Read before asking: what takes long to answer still gets its last chance.
        let waited = start.elapsed();
        if let Some(answer) = ask()? {
            return Ok(Some((answer, waited)));
        }
        if waited >= limit {
            return Ok(None);
        }
        thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_waited_for_and_no_longer_than_the_limit() {
        let mut asked = 0;
        let answer = until(LIMIT, || {
            asked += 1;
            Ok((asked == 3).then_some("here"))
        });
        assert_eq!(answer.unwrap().unwrap().0, "here");
        assert!(until(Duration::from_millis(15), || Ok(None::<()>)).unwrap().is_none());
        until(LIMIT, || Err::<Option<()>, _>(Failure::new("broken"))).unwrap_err();
    }
}
