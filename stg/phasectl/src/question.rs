// SPDX-License-Identifier: GPL-2.0-only

//! Questions that are answered before anything is built.
//!
//! [`judged`](crate::judged) knows a case by what runs: images, the init, the files beside them. `faults` and `matrix` ask about kernels that
//! take minutes to build, so they know a question by what those are made from: the keys of the kernels and the sources of the rest. An
//! answer that is known costs neither a build nor a run.

use std::collections::BTreeMap;
use std::time::Instant;

use ci::hash::hash;
use ci::outcomes::{Inputs, Outcomes};
use harness::filter::Filter;
use harness::needs::Needs;
use harness::scenario::Scenario;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stg_core::Source;

use crate::judged::inputs;

/// What all questions of a command have in common.
pub(crate) struct Common<'a> {
    source: &'a dyn Source,
    qemu: String,
    harness: String,
    topologies: BTreeMap<String, String>,
}

/// A kernel in a question.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The key under which it is kept, whether it is built or not: the same key, the same kernel.
    pub(crate) key: String,
    /// What it asks of the machine.
    pub(crate) needs: Needs,
}

impl<'a> Common<'a> {
    /// `qemu` is what QEMU says of its version.
    pub(crate) fn new(source: &'a dyn Source, qemu: String) -> stg_core::Result<Self> {
        Ok(Self { source, qemu, harness: inputs::harness_and_guest(source)?, topologies: inputs::topologies(source)? })
    }

    /// What the end of these cases of a scenario depends on.
    pub(crate) fn inputs(
        &self,
        kind: &str,
        scenario: &Scenario,
        cases: &Filter,
        kernels: &[(&str, &Asked)],
    ) -> stg_core::Result<Inputs> {
        let mut inputs = Inputs::new(kind)
            .with("scenario", inputs::scenario(self.source, scenario)?)
            .with("qemu", &self.qemu)
            .with("harness", &self.harness);
        for case in scenario.cases.iter().filter(|case| cases.wants(&scenario.case_id(case))) {
            let topology = self.topologies.get(&case.topology).map_or("", String::as_str);
            inputs = inputs.with(&format!("case-{}", case.name), topology);
        }
        for (name, Asked { key, needs }) in kernels {
            let needs = hash(format!("{needs:?}"));
            inputs = inputs.with(&format!("kernel-{name}"), key).with(&format!("needs-{name}"), needs);
        }
        Ok(inputs)
    }
}

/// The answer to a question, and whether it was known. One that is found out is kept if it `lasts`. What is known is asked all the same
/// if it is to be asked `again`.
pub(crate) fn answer<T: Serialize + DeserializeOwned>(
    outcomes: &Outcomes,
    inputs: &Inputs,
    again: bool,
    lasts: impl FnOnce(&T) -> bool,
    ask: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, bool)> {
    if let Some(answer) = outcomes.get(inputs).filter(|_| !again) {
        return Ok((answer, true));
    }
    let started = Instant::now();
    let answer = ask()?;
    if lasts(&answer) {
        outcomes.put(inputs, &answer, started.elapsed().as_secs_f64())?;
    }
    Ok((answer, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Small;

    const GUEST: [&str; 3] = ["selftests/guest/src/a.rs", "selftests/guest/Cargo.toml", "Cargo.lock"];

    fn asked(small: &Small, case: &str, key: &str) -> Inputs {
        let disk = small.disk();
        let scenario = Scenario::load(&disk, "phase1/second").unwrap();
        let common = Common::new(&disk, "QEMU 10".to_owned()).unwrap();
        let asked = Asked { key: key.to_owned(), needs: Needs::default() };
        common.inputs("fault", &scenario, &Filter::new([case.to_owned()]), &[("current", &asked)]).unwrap()
    }

    #[test]
    fn a_question_is_known_by_all_that_its_answer_depends_on() {
        let small = Small::new().with_scenarios();
        for file in GUEST {
            small.put(file, "fn a() {}\n");
        }
        let first = asked(&small, "phase1/second/x", "k");
        assert_eq!(asked(&small, "phase1/second/x", "k").key(), first.key());
        let differing = |other: Inputs| first.differing(&other).join(" ");
        assert_eq!(differing(asked(&small, "phase1/second/x", "l")), "kernel-current");
        assert_eq!(differing(asked(&small, "phase1/second", "k")), "case-y");
        for file in GUEST {
            small.put(file, "fn b() {}\n");
            assert_eq!(differing(asked(&small, "phase1/second/x", "k")), "harness");
            small.put(file, "fn a() {}\n");
        }
        small.put("selftests/topologies.yaml", "none: { iommu: legacy, devices: [] }\n");
        assert_eq!(differing(asked(&small, "phase1/second/x", "k")), "case-x");
    }

    #[test]
    fn what_is_known_is_asked_once() {
        let small = Small::new();
        let outcomes = Outcomes::of(&stg_env::Cache::at(small.root()).unwrap());
        let inputs = Inputs::new("fault").with("a", "b");
        let ask = |again, lasts, finds: u32| answer(&outcomes, &inputs, again, |_| lasts, || Ok(finds)).unwrap();
        assert_eq!(ask(false, false, 1), (1, false));
        assert_eq!(ask(false, true, 2), (2, false), "what does not last is not kept");
        assert_eq!(ask(false, true, 3), (2, true));
        assert_eq!(ask(true, true, 4), (4, false));
        assert_eq!(ask(false, true, 5), (4, true), "what is asked again takes its place");
        let inputs = Inputs::new("fault").with("a", "c");
        assert!(answer::<u32>(&outcomes, &inputs, false, |_| true, || anyhow::bail!("no")).is_err());
    }
}
