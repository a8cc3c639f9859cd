// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel counts, by `/proc/vmstat`.

use std::ops::RangeInclusive;
use std::path::Path;

use crate::failure::Failure;
use crate::files;

const PATH: &str = "/proc/vmstat";

/// Checks that a counter is within bounds.
pub(crate) fn check(item: &str, bounds: RangeInclusive<u64>) -> Result<String, Failure> {
    judge(&files::read_trimmed(Path::new(PATH))?, item, &bounds)
}

fn judge(text: &str, item: &str, bounds: &RangeInclusive<u64>) -> Result<String, Failure> {
    let value = |line: &str| line.strip_prefix(item)?.strip_prefix(' ')?.trim().parse::<u64>().ok();
    let found = text.lines().find_map(value).ok_or_else(|| Failure::new(format!("{PATH} has no {item}")))?;
    if bounds.contains(&found) {
        Ok(format!("{item} {found}"))
    } else {
        let (from, to) = (bounds.start(), bounds.end());
        Err(Failure::new(format!("{item} is {found}, want {from} to {to}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let judge = |item, bounds| match judge("nr_iommu_pages_x 1\nnr_iommu_pages 30\n", item, &bounds) {
            Ok(said) => said,
            Err(failure) => failure.to_string(),
        };
        assert_eq!(judge("nr_iommu_pages", 30..=30), "nr_iommu_pages 30");
        assert_eq!(judge("nr_iommu_pages", 0..=29), "nr_iommu_pages is 30, want 0 to 29");
        assert_eq!(judge("nr_iommu_pages", 31..=99), "nr_iommu_pages is 30, want 31 to 99");
        assert_eq!(judge("nr_iommu", 0..=99), "/proc/vmstat has no nr_iommu");
    }
}
