// SPDX-License-Identifier: GPL-2.0-only

//! Refuses scenarios that could not show anything, or not what they seem to.

use plan::{Stage, Step};

use super::{Case, File, Kind, ROLES, innermost};

/// What is wrong, and the remedy.
pub(super) type Wrong = (String, String);

fn wrong(message: impl Into<String>, fix: impl Into<String>) -> Result<(), Wrong> {
    Err((message.into(), fix.into()))
}

/// What holds for every kind.
pub(super) fn common(file: &File) -> Result<(), Wrong> {
    if file.title.trim().is_empty() {
        return wrong("`title` is empty", "say in a few words what the scenario shows");
    }
    if file.cases.is_empty() {
        return wrong("`cases` is empty, so nothing would run", "add a case with a topology");
    }
    for (index, case) in file.cases.iter().enumerate() {
        if case.name.is_empty() || case.name.contains(['/', ' ', '#']) {
            return wrong(format!("`{}` is no name for a case", case.name), "use no `/`, no `#` and no blanks");
        }
        if file.cases[..index].iter().any(|earlier| earlier.name == case.name) {
            return wrong(format!("two cases are called `{}`", case.name), "rename one of them");
        }
        if case.rows.as_ref().unwrap_or(&file.rows).is_empty() {
            return wrong(format!("case `{}` shows no row: `rows` is empty", case.name), "name the rows that it shows");
        }
    }
    if file.wall == 0 || file.stall == 0 || file.repeat == 0 {
        return wrong("`wall`, `stall` or `repeat` is 0", "set it to 1 at least");
    }
    Ok(())
}

/// What holds for this kind.
pub(super) fn kind(scenario: &Kind, cases: &[Case]) -> Result<(), Wrong> {
    match scenario {
        Kind::Handover(stages) => handover(stages, "stages")?,
        Kind::Kunit(suites) if suites.is_empty() => {
            return wrong("`kunit.suites` is empty, so nothing would be checked", "name the suites that must pass");
        }
        Kind::Kunit(_) => {}
        Kind::Blackout { stages, baseline, to } => {
            for (stages, name) in [(stages, "stages"), (baseline, "blackout.baseline")] {
                handover(stages, name)?;
                let marks = |step: &Step| matches!(step, Step::Mark { name } if name == to);
                if stages.len() != 2 || !stages[1].steps.iter().any(marks) {
                    let message = format!("`{name}` does not have two stages, the second with the mark `{to}`");
                    return wrong(message, format!("put `mark: {{ name: {to} }}` where the blackout ends"));
                }
            }
        }
    }
    for case in cases {
        match (&case.stages, scenario) {
            (None, _) => {}
            (Some(stages), Kind::Handover(_)) => handover(stages, &format!("stages of case `{}`", case.name))?,
            (Some(_), _) => {
                let message =
                    format!("case `{}` has `stages` of its own, which only hand-over scenarios may", case.name);
                return wrong(message, "take them out");
            }
        }
    }
    Ok(())
}

fn handover(stages: &[Stage], name: &str) -> Result<(), Wrong> {
    if stages.len() < 2 {
        let message = format!("`{name}` has {} stage(s): a hand-over needs a kernel after the first", stages.len());
        return wrong(message, "add the stage that runs after the kexec");
    }
    for (index, stage) in stages.iter().enumerate() {
        let last = index + 1 == stages.len();
        let reboots = stage.steps.iter().position(|step| *step == Step::KexecReboot);
        if !last && reboots.map(|at| at + 1) != Some(stage.steps.len()) {
            let message = format!("`{name}`: stage {index} does not end with its only `kexec-reboot`");
            return wrong(message, "make `kexec-reboot` its last step, and no other");
        }
        if last && reboots.is_some() {
            let message = format!("`{name}`: no stage follows the `kexec-reboot` in stage {index}");
            return wrong(message, "add the stage, or take the step out");
        }
        for step in &stage.steps {
            if let Step::KexecLoad { kernel, .. } = innermost(step)
                && !ROLES.contains(&kernel.as_str())
            {
                let message = format!("`{name}`: kexec-load of `{kernel}`, which no kernel is called here");
                return wrong(message, format!("name one of: {}", ROLES.join(", ")));
            }
        }
    }
    Ok(())
}
