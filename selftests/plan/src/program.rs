// SPDX-License-Identifier: GPL-2.0-only

//! Programs that the guest runs: the Linux tree's own selftests.
//!
//! ```yaml
//! - run: { program: vfio_pci_device_test, args: ["{dut-bdf}"], pass: 5 }
//! - run: { program: luo_kexec_simple, args: [-s, "1"] }
//! ```
//!
//! Such a program reports in TAP. The numbers are exact: a test that is not there any more, one that is skipped because something
//! is missing, and a new one that nobody counted are failures alike. Without numbers the program must report no test
//! at all, and its exit status is all that counts.

use serde::{Deserialize, Serialize};

/// Directory in the initramfs that holds the programs which stages run.
pub const PROGRAM_DIR: &str = "/programs";

/// A run of a program and what it must report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Program {
    /// File in [`PROGRAM_DIR`].
    pub program: String,
    /// Its arguments; `{dut-bdf}` stands for the PCI address of the device `dut`.
    #[serde(default)]
    pub args: Vec<String>,
    /// How many tests must pass.
    #[serde(default)]
    pub pass: usize,
    /// How many tests must be skipped.
    #[serde(default)]
    pub skip: usize,
}

impl Program {
    /// The devices whose addresses the arguments want.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        self.args.iter().filter_map(|arg| device_of(arg))
    }
}

/// The device whose address an argument stands for: the whole argument is `{<device>-bdf}`.
pub fn device_of(arg: &str) -> Option<&str> {
    arg.strip_prefix('{')?.strip_suffix("-bdf}")
}

/// A virtual function is named after its physical one: `dut-vf0` is the first of `dut`.
pub fn virtual_function(name: &str) -> Option<(&str, u32)> {
    let (physical, number) = name.rsplit_once("-vf")?;
    Some((physical, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Step;

    #[test]
    fn virtual_functions_have_names() {
        assert_eq!(virtual_function("dut-vf0"), Some(("dut", 0)));
        assert_eq!(virtual_function("dut1-vf12"), Some(("dut1", 12)));
        assert_eq!(virtual_function("dut-vfx"), None);
        assert_eq!(virtual_function("dut"), None);
    }

    #[test]
    fn a_run_says_what_it_wants() {
        let text = r#"{"run":{"program":"t","args":["-s","{dut-bdf}","{x}"],"pass":5}}"#;
        let Step::Run(program) = serde_json::from_str(text).expect("parses") else { panic!("not a run") };
        assert_eq!(program.devices().collect::<Vec<_>>(), ["dut"]);
        assert_eq!((program.pass, program.skip), (5, 0));
    }
}
