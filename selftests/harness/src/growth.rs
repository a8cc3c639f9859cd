// SPDX-License-Identifier: GPL-2.0-only

//! Whether memory becomes less from kernel to kernel.
//!
//! In a long chain of live updates every kernel but the first does the same, and tells at the same places how much memory there is
//! (`growth` steps). What is lost or handed on again and again adds up. No two kernels tell exactly the same, so what counts is
//! not one of them: it is the average of the last quarter against that of the first. The first kernel of all, to which nothing
//! was handed over, is left out.

use std::collections::BTreeMap;

use plan::{Event, Meter, Stage, Step};

use crate::observe::Observation;

/// By how many KiB the last quarter may be worse than the first.
pub type Limits = BTreeMap<Meter, u64>;

/// With fewer kernels that tell, nothing could be said.
pub(crate) const LEAST: usize = 8;

/// The first place and meter at which memory grew beyond its limit, in words.
pub(crate) fn grown(limits: &Limits, seen: &Observation) -> Option<String> {
    let mut told: BTreeMap<(&str, Meter), Vec<u64>> = BTreeMap::new();
    for timed in &seen.events {
        if let Event::Memory { hop: 1.., name, kib } = &timed.event {
            for (meter, kib) in kib {
                told.entry((name, *meter)).or_default().push(*kib);
            }
        }
    }
    told.into_iter().find_map(|((name, meter), values)| {
        let limit = *limits.get(&meter)?;
        let growth = growth(meter, &values)?;
        (growth > limit.cast_signed()).then(|| {
            let (key, kernels) = (meter.key(), values.len());
            let (first, last) = (values.first().copied().unwrap_or(0), values.last().copied().unwrap_or(0));
            format!("{key} at `{name}`: {growth} KiB worse after {kernels} kernels ({first} KiB, then {last}), {limit} are allowed")
        })
    })
}

/// How much worse the last quarter is than the first, on average.
fn growth(meter: Meter, values: &[u64]) -> Option<i64> {
    let quarter = values.len().div_ceil(4);
    let average = |values: &[u64]| values.iter().sum::<u64>().checked_div(values.len() as u64);
    Some(meter.growth(average(&values[..quarter])?, average(&values[values.len() - quarter..])?))
}

/// The places at which at least [`LEAST`] kernels after the first tell; all others are named.
pub(crate) fn rare(stages: &[Stage]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for step in stages.iter().skip(1).flat_map(|stage| &stage.steps) {
        if let Step::Growth { name } = step {
            *counts.entry(name).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Some("no kernel after the first has a `growth` step".to_owned());
    }
    let (name, count) = counts.into_iter().find(|(_, count)| *count < LEAST)?;
    Some(format!("only {count} kernels after the first have the `growth` step `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::observation;

    fn seen(available: impl IntoIterator<Item = u64>) -> Observation {
        let event = |(hop, kib)| Event::Memory {
            hop,
            name: "start".into(),
            kib: BTreeMap::from([(Meter::MemAvailable, kib), (Meter::Slab, 1000)]),
        };
        observation((0..).zip(available).map(event))
    }

    fn judge(available: impl IntoIterator<Item = u64>) -> Option<String> {
        grown(&BTreeMap::from([(Meter::MemAvailable, 20), (Meter::Slab, 0)]), &seen(available))
    }

    #[test]
    fn a_page_for_each_kernel_adds_up() {
        let lost = |hop: u64| 100_000 - 4 * hop;
        insta::assert_snapshot!(judge((0..=16).map(lost)).unwrap(), @"MemAvailable at `start`: 48 KiB worse after 16 kernels (99996 KiB, then 99936), 20 are allowed");
        assert_eq!(judge((0..=16).map(|hop| 100_000 + 4 * hop)), None, "more memory is no growth");
    }

    #[test]
    fn noise_does_not() {
        assert_eq!(judge((0..=40).map(|hop: u64| 100_000 + 60 * (hop * 7 % 5))), None);
        assert_eq!(judge([900_000].into_iter().chain([100_000; 16])), None, "the first kernel is another matter");
        assert_eq!(judge([]), None);
    }

    #[test]
    fn enough_kernels_must_tell() {
        let stage = |steps: &str| serde_json::from_str::<Stage>(&format!(r#"{{"steps":[{steps}]}}"#)).unwrap();
        let growth = r#"{"growth":{"name":"start"}}"#;
        assert_eq!(rare(&vec![stage(growth); LEAST + 1]), None);
        assert!(rare(&vec![stage(growth); LEAST]).unwrap().starts_with("only 7 kernels"));
        assert!(rare(&[stage(growth), stage("")]).unwrap().starts_with("no kernel"));
    }
}
