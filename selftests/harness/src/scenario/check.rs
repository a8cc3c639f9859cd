// SPDX-License-Identifier: GPL-2.0-only

//! Refuses scenarios that could not show anything, or not what they seem to.

use plan::{Stage, Step};

use super::{Case, File, Kind, ROLES, innermost};

/// What holds for every kind.
pub(super) fn common(file: &File) -> Result<(), String> {
    if file.title.trim().is_empty() {
        return Err("`title` is empty".into());
    }
    if file.cases.is_empty() {
        return Err("`cases` is empty, so nothing would run".into());
    }
    for (index, case) in file.cases.iter().enumerate() {
        if case.name.is_empty() || case.name.contains(['/', ' ', '#']) {
            return Err(format!("case name `{}` must not be empty or contain `/`, `#` or blanks", case.name));
        }
        if file.cases[..index].iter().any(|earlier| earlier.name == case.name) {
            return Err(format!("two cases are called `{}`", case.name));
        }
        if case.rows.as_ref().unwrap_or(&file.rows).is_empty() {
            return Err(format!("case `{}` shows no row: `rows` is empty", case.name));
        }
    }
    if file.wall == 0 || file.stall == 0 || file.repeat == 0 {
        return Err("`wall`, `stall` and `repeat` must be at least 1".into());
    }
    Ok(())
}

/// What holds for this kind.
pub(super) fn kind(scenario: &Kind, cases: &[Case]) -> Result<(), String> {
    match scenario {
        Kind::Handover(stages) => handover(stages, "stages")?,
        Kind::Kunit(suites) if suites.is_empty() => {
            return Err("`kunit.suites` is empty, so nothing would be checked".into());
        }
        Kind::Kunit(_) => {}
        Kind::Blackout { stages, baseline, to } => {
            for (stages, name) in [(stages, "stages"), (baseline, "blackout.baseline")] {
                handover(stages, name)?;
                let marks = |step: &Step| matches!(step, Step::Mark { name } if name == to);
                if stages.len() != 2 || !stages[1].steps.iter().any(marks) {
                    return Err(format!("`{name}` must have two stages, the second with `mark: {{name: {to}}}`"));
                }
            }
        }
    }
    for case in cases {
        match (&case.stages, scenario) {
            (None, _) => {}
            (Some(stages), Kind::Handover(_)) => handover(stages, &format!("stages of case `{}`", case.name))?,
            (Some(_), _) => {
                return Err(format!("case `{}`: only hand-over scenarios have `stages` per case", case.name));
            }
        }
    }
    Ok(())
}

fn handover(stages: &[Stage], name: &str) -> Result<(), String> {
    if stages.len() < 2 {
        return Err(format!("`{name}` has {} stage(s): a hand-over needs a kernel after the first", stages.len()));
    }
    for (index, stage) in stages.iter().enumerate() {
        let last = index + 1 == stages.len();
        let reboots = stage.steps.iter().position(|step| *step == Step::KexecReboot);
        if !last && reboots.map(|at| at + 1) != Some(stage.steps.len()) {
            return Err(format!("`{name}`: stage {index} must end with its only `kexec-reboot`"));
        }
        if last && reboots.is_some() {
            return Err(format!("`{name}`: no stage follows the `kexec-reboot` in stage {index}"));
        }
        for step in &stage.steps {
            if let Step::KexecLoad { kernel, .. } = innermost(step)
                && !ROLES.contains(&kernel.as_str())
            {
                return Err(format!("`{name}`: kexec-load of `{kernel}`: it must be one of {}", ROLES.join(", ")));
            }
        }
    }
    Ok(())
}
