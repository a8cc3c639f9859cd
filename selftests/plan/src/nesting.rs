// SPDX-License-Identifier: GPL-2.0-only

//! Steps inside steps.

use crate::step::Step;

impl Step {
    /// The steps directly inside this one; most have none.
    pub fn inner(&self) -> Vec<&Self> {
        match self {
            Self::Fails { step, .. }
            | Self::Background { step, .. }
            | Self::WhenStopped { step, .. }
            | Self::Timed { step, .. }
            | Self::Observe { step, .. } => {
                vec![step]
            }
            Self::In(inside) => vec![&inside.step],
            Self::FailNth(fail) => vec![&fail.step],
            Self::FailEach(fail) => [&*fail.step].into_iter().chain(&fail.undo).collect(),
            Self::Attempt(attempt) => {
                [&*attempt.step].into_iter().chain(&attempt.then).chain(&attempt.otherwise).collect()
            }
            Self::Together { steps } => steps.iter().collect(),
            Self::ForEach(each) => each.steps.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// This step and all inside it, at any depth.
    pub fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut next = 0;
        while let Some(step) = all.get(next) {
            all.extend(step.inner());
            next += 1;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_found_once() {
        let text = r#"{"together":{"steps":[
            {"fail-each":{"errno":"ENOMEM","step":{"finish":{"session":"a"}},"undo":[{"close":{"name":"b"}}]}},
            {"in":{"process":"p","step":{"fails":{"errno":"EIO","step":{"finish":{"session":"c"}}}}}},
            {"attempt":{"errno":"EIO","step":{"fail-nth":{"nth":1,"step":{"finish":{"session":"d"}}}},
                        "then":[{"close":{"name":"e"}}],"otherwise":[{"close":{"name":"f"}}]}}]}}"#;
        let step: Step = serde_json::from_str(text).unwrap();
        let mut names: Vec<_> = step
            .all()
            .into_iter()
            .filter_map(|step| match step {
                Step::Finish { session } => Some(session.as_str()),
                Step::Close { name } => Some(name.as_str()),
                _ => None,
            })
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "c", "d", "e", "f"]);
    }
}
