// SPDX-License-Identifier: GPL-2.0-only

//! Judging values that were read from a device.

use plan::Check;

use crate::failure::Failure;

/// All bits of `width` bytes, 1 to 8.
pub(crate) fn all_ones(width: u32) -> u64 {
    u64::MAX >> (64 - 8 * width.clamp(1, 8))
}

/// Whether a value of `width` bytes is what the plan wants.
pub(crate) fn check(value: u64, width: u32, check: &Check) -> Result<String, Failure> {
    match *check {
        Check::Equals { want, mask } if value & mask == want & mask => Ok(format!("{value:#x}")),
        Check::Equals { want, mask } => {
            Err(Failure::new(format!("read {value:#x}, want {:#x} under mask {mask:#x}", want & mask)))
        }
        Check::Alive if value == 0 || value == all_ones(width) => {
            Err(Failure::new(format!("read {value:#x}: nobody answers")))
        }
        Check::Absent if value != all_ones(width) => {
            Err(Failure::new(format!("read {value:#x}: somebody answers, want all ones")))
        }
        Check::Alive | Check::Absent => Ok(format!("{value:#x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_at_their_width() {
        let equals = |want, mask| Check::Equals { want, mask };
        assert_eq!(check(0x123, 4, &equals(0x3, 0xf)).unwrap(), "0x123");
        check(0x123, 4, &equals(0x4, 0xf)).unwrap_err();
        for (dead, width) in [(0, 4), (0xffff_ffff, 4), (0xff, 1), (u64::MAX, 8)] {
            assert!(check(dead, width, &Check::Alive).is_err(), "{dead:#x} of {width} bytes");
            assert_eq!(check(dead, width, &Check::Absent).is_ok(), dead != 0, "{dead:#x} of {width} bytes");
        }
        check(0xffff, 4, &Check::Alive).unwrap();
        check(0xffff, 4, &Check::Absent).unwrap_err();
    }
}
