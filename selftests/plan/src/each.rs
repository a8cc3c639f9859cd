// SPDX-License-Identifier: GPL-2.0-only

//! Steps for several devices, written once.
//!
//! ```yaml
//! - for-each:
//!     devices: [dut, dut1, dut2]
//!     steps:
//!       - bind: { device: "{device}", driver: vfio-pci }
//!       - open-cdev: { device: "{device}", fd: "{device}" }
//!       - write: { path: "{{device}}/d3cold_allowed", value: "0" }   # a path wants `{dut}` for the device's directory
//!       - preserve: { session: vm, fd: "{device}", token: 0x100 }
//! ```
//!
//! In every text of the inner steps `{device}` becomes the name of the device, and every `token`, as the `nth` of `fail-nth`, counts from the
//! number at the end of that name: 0x100 for `dut`, 0x102 for `dut2`. The number belongs to the device and not to its place in the list, so
//! two stages that take the devices in different orders mean the same tokens.
//!
//! The devices come one after the other, each with all the steps. The steps are numbered and reported singly.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::step::Step;

const PLACEHOLDER: &str = "{device}";

/// The same steps for several devices.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ForEach {
    /// Names of devices.
    pub devices: Vec<String>,
    /// The steps for each; no `for-each` among them.
    pub steps: Vec<Step>,
}

/// Replaces every `for-each` by what it stands for.
pub(crate) fn expand(steps: Vec<Step>) -> Result<Vec<Step>, String> {
    let mut flat = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::ForEach(each) => {
                for device in &each.devices {
                    for step in &each.steps {
                        flat.push(single(of(step, device)?)?);
                    }
                }
            }
            step => flat.push(single(step)?),
        }
    }
    Ok(flat)
}

/// A `for-each` inside another step cannot be reported singly.
fn single(step: Step) -> Result<Step, String> {
    if step.all().iter().any(|step| matches!(step, Step::ForEach(_))) {
        return Err("`for-each` stands among the steps of a stage, not inside a step".to_owned());
    }
    Ok(step)
}

/// The step for one device. Texts and tokens are found in its serialised form, so that a new kind of step needs nothing here.
fn of(step: &Step, device: &str) -> Result<Step, String> {
    let failed = |error: serde_json::Error| format!("`for-each` with device {device:?}: {error}");
    let mut value = serde_json::to_value(step).map_err(failed)?;
    replace(&mut value, device)?;
    serde_json::from_value(value).map_err(failed)
}

fn replace(value: &mut Value, device: &str) -> Result<(), String> {
    match value {
        Value::String(text) => *text = text.replace(PLACEHOLDER, device),
        Value::Array(items) => items.iter_mut().try_for_each(|item| replace(item, device))?,
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_u64() {
                    Some(base) if name == "token" || name == "nth" => {
                        let counted = number(device).and_then(|number| base.checked_add(number));
                        *field = counted.ok_or_else(|| format!("device {device:?}: no {name} for it"))?.into();
                    }
                    _ => replace(field, device)?,
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// The number at the end of a name, 0 without one; `None` if it is too large.
fn number(device: &str) -> Option<u64> {
    let digits = &device[device.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stage;

    fn steps(text: &str) -> Result<Vec<Step>, String> {
        let parsed: Result<Stage, _> = serde_json::from_str(&format!(r#"{{"steps":[{text}]}}"#));
        parsed.map(|stage| stage.steps).map_err(|error| error.to_string())
    }

    #[test]
    fn each_device_gets_all_steps_and_its_own_token() {
        let each = r#"{"for-each":{"devices":["dut12","dut"],"steps":[
            {"write":{"path":"{{device}}/x","value":"1"}},
            {"fails":{"errno":"EBUSY","step":{"preserve":{"session":"vm","fd":"{device}","token":256}}}}]}}"#;
        let flat = steps(&format!(r#""kexec-unload",{each}"#)).unwrap();
        let preserve = |fd: &str, token| {
            let step = Step::Preserve { session: "vm".into(), fd: fd.into(), token };
            Step::Fails { errno: "EBUSY".into(), step: Box::new(step) }
        };
        let write = |path: &str| Step::Write { path: path.into(), value: "1".into() };
        assert_eq!(
            flat,
            [Step::KexecUnload, write("{dut12}/x"), preserve("dut12", 268), write("{dut}/x"), preserve("dut", 256)]
        );
    }

    #[test]
    fn a_number_is_only_one_at_the_end() {
        for (name, want) in [("dut", 0), ("dut7", 7), ("a1b", 0), ("a1b20", 20), ("31", 31)] {
            assert_eq!(number(name), Some(want), "{name}");
        }
        assert_eq!(number("dut99999999999999999999999"), None);
    }

    #[test]
    fn loops_do_not_nest() {
        let inner = r#"{"for-each":{"devices":["a"],"steps":[]}}"#;
        for text in [
            format!(r#"{{"for-each":{{"devices":["a"],"steps":[{inner}]}}}}"#),
            format!(r#"{{"fails":{{"errno":"EIO","step":{inner}}}}}"#),
        ] {
            assert!(steps(&text).unwrap_err().contains("not inside a step"), "{text}");
        }
    }
}
