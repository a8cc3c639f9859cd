// SPDX-License-Identifier: GPL-2.0-only

//! The modules of the kernels that a plan runs.
//!
//! A stage that loads one names no other: what it needs it says itself. So all modules of its kernel are packed, and those of no
//! other kernel.

use std::collections::BTreeSet;

use camino::Utf8Path;
use plan::{Plan, Step};

use crate::error::{HarnessError, io};
use crate::run::KernelFiles;
use crate::scenario::innermost;

/// The files of the modules that the stages of a plan may load, as `<role>/<file>`. `kernel` knows the kernel of a role.
///
/// # Errors
/// For a module that its kernel does not have, with those that it has.
pub(crate) fn read<'a>(
    plan: &Plan,
    kernel: impl Fn(&str) -> Result<&'a KernelFiles, HarnessError>,
) -> Result<Vec<(String, Vec<u8>)>, HarnessError> {
    let mut files = Vec::new();
    let mut roles = BTreeSet::new();
    for (hop, stage) in (0..).zip(&plan.stages) {
        let loaded = stage.steps.iter().filter_map(|step| match innermost(step) {
            Step::LoadModule { module, .. } => Some(module.as_str()),
            _ => None,
        });
        let role = plan.role(hop);
        for module in loaded {
            let directory = kernel(role)?.modules.as_deref();
            if !directory.is_some_and(|directory| directory.join(format!("{module}.ko")).is_file()) {
                return Err(missing(plan, module, directory));
            }
            if let Some(directory) = directory
                && roles.insert(role)
            {
                files.extend(of(directory, role)?);
            }
        }
    }
    Ok(files)
}

/// All modules in a directory.
fn of(directory: &Utf8Path, role: &str) -> Result<Vec<(String, Vec<u8>)>, HarnessError> {
    let mut files = Vec::new();
    for entry in directory.read_dir_utf8().map_err(io("read", directory))? {
        let entry = entry.map_err(io("read", directory))?;
        let content = std::fs::read(entry.path()).map_err(io("read", entry.path()))?;
        files.push((format!("{role}/{}", entry.file_name()), content));
    }
    Ok(files)
}

fn missing(plan: &Plan, module: &str, directory: Option<&Utf8Path>) -> HarnessError {
    let entries = directory.and_then(|directory| directory.read_dir_utf8().ok()).into_iter().flatten().flatten();
    let known: BTreeSet<String> = entries.filter_map(|entry| Some(entry.path().file_stem()?.to_owned())).collect();
    let known = if known.is_empty() { "(it has none)".to_owned() } else { Vec::from_iter(known).join(", ") };
    HarnessError::NoModule { case: plan.name.clone(), module: module.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use plan::Stage;

    use super::*;
    use crate::needs::Needs;

    fn plan(stages: [&str; 2]) -> Plan {
        let stage = |steps: &str| serde_json::from_str::<Stage>(&format!(r#"{{"steps":[{steps}]}}"#)).unwrap();
        let stages = stages.map(stage).to_vec();
        Plan { name: "p/s/a".into(), devices: BTreeMap::new(), kernels: Vec::new(), slowness: 1, stages }
    }

    #[test]
    fn what_a_kernel_may_load_is_packed_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(directory.path()).unwrap();
        std::fs::write(directory.join("b.ko"), "elf").unwrap();
        let files = |modules: Option<&Utf8Path>| KernelFiles {
            bzimage: "bz".into(),
            system_map: None,
            modules: modules.map(Utf8Path::to_owned),
            needs: Needs::default(),
        };
        let (with, without) = (files(Some(directory)), files(None));
        let kernel = |role: &str| Ok(if role == "incoming" { &with } else { &without });
        let load = r#"{"fails":{"errno":"EINVAL","step":{"load-module":{"module":"b"}}}}"#;
        let jump = r#"{"kexec-load":{"kernel":"incoming"}},"kexec-reboot""#;
        assert_eq!(read(&plan([jump, load]), kernel).unwrap(), [("incoming/b.ko".to_owned(), b"elf".to_vec())]);
        assert!(read(&plan([jump, ""]), kernel).unwrap().is_empty());
        let error = |stages| read(&plan(stages), kernel).unwrap_err().to_string();
        let both = format!("{load},{jump}");
        insta::assert_snapshot!(error([&both, ""]), @r"
        p/s/a loads the module `b`, which its kernel does not have
          fix: name one of: (it has none); `kernels:` names a variant that has modules, such as `current+modules`
        ");
        insta::assert_snapshot!(error([jump, &load.replace("\"b\"", "\"c\"")]), @r"
        p/s/a loads the module `c`, which its kernel does not have
          fix: name one of: b; `kernels:` names a variant that has modules, such as `current+modules`
        ");
    }
}
