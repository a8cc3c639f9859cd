// SPDX-License-Identifier: GPL-2.0-only

//! A plan and its stages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ROLES;
use crate::each;
use crate::host::HostAction;
use crate::step::Step;

/// Everything init needs to know.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the scenario and case, for the log.
    pub name: String,
    /// Devices by their name in the topology: the path from the root bus, one `DD.F` (device and function number, hexadecimal) per hop,
    /// for example `["03.0", "00.0"]` for what sits behind root port 00:03.0. Bus numbers are the kernel's business, so they are
    /// looked up in sysfs along this path.
    pub devices: BTreeMap<String, Vec<String>>,
    /// Names of the kernels in [`KERNEL_DIR`](crate::KERNEL_DIR).
    pub kernels: Vec<String>,
    /// All time limits of the guest are multiplied by this.
    #[serde(default = "usual")]
    pub slowness: u32,
    /// Stage 0 runs in the first kernel, stage N after the Nth kexec.
    pub stages: Vec<Stage>,
}

fn usual() -> u32 {
    1
}

impl Plan {
    /// Which of [`ROLES`] the kernel of this hop has: later ones are what the stage before loaded last.
    pub fn role(&self, hop: u32) -> &str {
        let before = usize::try_from(hop).ok().and_then(|hop| self.stages.get(hop.checked_sub(1)?));
        let mut loaded = before.into_iter().flat_map(|stage| &stage.steps).filter_map(|step| match step {
            Step::KexecLoad { kernel, .. } => Some(kernel.as_str()),
            Step::Timed { step, .. } => match &**step {
                Step::KexecLoad { kernel, .. } => Some(kernel),
                _ => None,
            },
            _ => None,
        });
        loaded.next_back().unwrap_or(ROLES[0])
    }
}

/// What one kernel of the run does.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawStage")]
pub struct Stage {
    /// Executed in order; the first that fails ends the stage.
    pub steps: Vec<Step>,
    /// What the host does after this kernel has jumped and before the next one has read anything; the VM stands still meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between: Vec<HostAction>,
}

/// [`Stage`] as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStage {
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    between: Vec<HostAction>,
}

impl TryFrom<RawStage> for Stage {
    type Error = String;

    fn try_from(RawStage { steps, between }: RawStage) -> Result<Self, String> {
        Ok(Self { steps: each::expand(steps)?, between })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_has_the_role_in_which_it_was_loaded() {
        let load = |role: &str| format!(r#"{{"kexec-load":{{"kernel":"{role}"}}}}"#);
        let failed = format!(r#"{{"fails":{{"errno":"EIO","step":{}}}}}"#, load("outgoing"));
        let timed = format!(r#"{{"timed":{{"name":"t","step":{}}}}}"#, load("outgoing"));
        let stages = [format!("{},{failed}", load("incoming")), format!("{},{timed}", load("incoming")), String::new()];
        let stages = stages.map(|steps| format!(r#"{{"steps":[{steps}]}}"#)).join(",");
        let text = format!(r#"{{"name":"t","devices":{{}},"kernels":[],"stages":[{stages}]}}"#);
        let plan: Plan = serde_json::from_str(&text).expect("parses");
        assert_eq!([0, 1, 2, 3].map(|hop| plan.role(hop)), ["outgoing", "incoming", "outgoing", "outgoing"]);
        assert_eq!(plan.slowness, 1);
    }
}
