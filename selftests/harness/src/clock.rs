// SPDX-License-Identifier: GPL-2.0-only

//! Times of a run: nanoseconds since QEMU was started.

use std::time::Duration;

/// As a number.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// For people.
pub(crate) fn seconds(time: u64) -> String {
    // Times of a run are far below the point where this is not exact.
    format!("{:.3} s", time as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(seconds(nanoseconds(Duration::from_millis(12_345))), "12.345 s");
        assert_eq!(nanoseconds(Duration::MAX), u64::MAX);
    }
}
