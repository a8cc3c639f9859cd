// SPDX-License-Identifier: GPL-2.0-only

//! Refuses scenarios that could not show anything, or not what they seem to.

use plan::{Attempt, Change, Edit, FailEach, FailNth, HostAction, InProcess, Stage, Step, Value};

use super::{Case, Expect, File, Kind, Limit, ROLES, innermost};
use crate::blackout::INIT;
use crate::growth;
use crate::tamper;
use crate::translation::Devices;
use crate::unchanged;
use crate::verdict::Class;
use crate::witness::Limits as WitnessLimits;

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
    let expectations = file.cases.iter().filter_map(|case| case.expect.as_ref()).chain([&file.expect]);
    for Expect { verdict, reason, .. } in expectations {
        if reason.is_some() && *verdict == Class::Pass {
            return wrong("`expect` has a `reason`, and `pass` has none", "take it out, or name the `verdict`");
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
        Kind::Handover(stages) => handover(stages, &[], "stages")?,
        Kind::Measure { spans, .. } if spans.is_empty() => {
            return wrong(
                "`measure.spans` is empty, so nothing would be measured",
                "name the spans of the `timed` steps",
            );
        }
        Kind::Measure { stages, spans } => handover(stages, spans, "stages")?,
        Kind::Kunit(suites) if suites.is_empty() => {
            return wrong("`kunit.suites` is empty, so nothing would be checked", "name the suites that must pass");
        }
        Kind::Kunit(_) => {}
        Kind::Blackout { stages, baseline, to, .. } => {
            for (stages, name) in [(stages, "stages"), (baseline, "blackout.baseline")] {
                handover(stages, &[], name)?;
                if stages.iter().any(|stage| !stage.between.is_empty()) {
                    let message = format!("`{name}` has `between`, which would disturb what is measured");
                    return wrong(message, "take it out, or make a hand-over scenario of it");
                }
                let marks =
                    |step: &Step| matches!(step, Step::Mark { name } | Step::LogSpan { name, .. } if name == to);
                if stages
                    .iter()
                    .flat_map(|stage| &stage.steps)
                    .any(|step| matches!(step, Step::Mark { name } if name == INIT))
                {
                    let message = format!("`{name}` has a mark `{INIT}`, which is where the kernel's init starts");
                    return wrong(message, "give it another name");
                }
                if stages.len() != 2 || (to != INIT && !stages[1].steps.iter().any(marks)) {
                    let message = format!("`{name}` does not have two stages, the second with the mark `{to}`");
                    return wrong(message, format!("put `mark: {{ name: {to} }}` where the blackout ends"));
                }
            }
        }
    }
    for case in cases {
        let name = format!("stages of case `{}`", case.name);
        match (&case.stages, scenario) {
            (None, _) => {}
            (Some(stages), Kind::Handover(_)) => handover(stages, &[], &name)?,
            (Some(stages), Kind::Measure { spans, .. }) => handover(stages, spans, &name)?,
            (Some(_), _) => {
                let message = format!(
                    "case `{}` has `stages` of its own, which only hand-over and measure scenarios may",
                    case.name
                );
                return wrong(message, "take them out");
            }
        }
    }
    Ok(())
}

/// Memory is told often enough to be judged, and judged where it is told.
pub(super) fn growth(kind: &Kind, cases: &[Case], expect: &Expect) -> Result<(), Wrong> {
    let Kind::Handover(own) = kind else { return Ok(()) };
    for case in cases {
        let stages = case.stages.as_ref().unwrap_or(own);
        let judged = !case.expect.as_ref().unwrap_or(expect).growth.is_empty();
        let mut steps = stages.iter().flat_map(|stage| &stage.steps);
        if !judged && steps.any(|step| matches!(step, Step::Growth { .. })) {
            let message = format!("case `{}`: a `growth` step, and nothing to judge it by", case.name);
            return wrong(message, "say how much in `expect.growth`");
        }
        if judged && let Some(what) = growth::rare(stages) {
            let fix = format!("make the chain longer: {} kernels after the first at least", growth::LEAST);
            return wrong(format!("case `{}`: `expect.growth`: {what}", case.name), fix);
        }
    }
    Ok(())
}

/// What is witnessed starts in the first stage, on its own, and is not started anew, unless it has gone on over as many jumps as it must.
pub(super) fn witness(limits: WitnessLimits, scenario: &Kind, cases: &[Case]) -> Result<(), Wrong> {
    let Kind::Handover(own) = scenario else {
        return wrong(
            "`witness` disturbs what is measured, and KUnit has no devices",
            "make a hand-over scenario of it",
        );
    };
    let starts = |stage: &Stage| stage.steps.iter().any(|step| matches!(innermost(step), Step::IgbReceive(_)));
    for case in cases {
        let stages = case.stages.as_ref().unwrap_or(own);
        let name = &case.name;
        if !stages.first().is_some_and(starts) {
            return wrong(
                format!("case `{name}`: there is a `witness`, and nothing to be witnessed in the first stage"),
                "start a device there with `igb-receive`",
            );
        }
        let there = stages.len() - 1;
        if limits.jumps.is_some_and(|jumps| !(1..=there).contains(&jumps)) {
            return wrong(
                format!(
                    "case `{name}`: `witness.jumps` is not from 1 to {there}, which is how often the kernel changes"
                ),
                "say over how many jumps each device must go on; or leave it away, which means all of them",
            );
        }
        if limits.jumps.is_none() && stages.iter().skip(1).any(starts) {
            return wrong(
                format!("case `{name}`: there is a `witness`, and an `igb-receive` after the first stage"),
                "go on with `igb-resume`, as a ring that is set up anew is an interruption; or say with `jumps` how far each device must go on",
            );
        }
    }
    Ok(())
}

/// What is said of the IOMMU can be seen and is no contradiction, and it is looked at only where that is judged.
pub(super) fn translation(scenario: &Kind, cases: &[Case], common: Option<&Devices>) -> Result<(), Wrong> {
    let Kind::Handover(own) = scenario else {
        return match common.or(cases.iter().find_map(|case| case.translation.as_ref())) {
            Some(_) => wrong("`translation` wants kernels that follow each other", "make a hand-over scenario of it"),
            None => Ok(()),
        };
    };
    for case in cases {
        let name = &case.name;
        let looks = |step: &Step| matches!(innermost(step), Step::Host { action: HostAction::CheckTranslation });
        match case.translation.as_ref().or(common) {
            Some(devices) => {
                if let Some(both) = devices.preserved.iter().find(|device| devices.shut_out.contains(device)) {
                    let what = format!("case `{name}`: `{both}` is both `preserved` and `shut-out`");
                    return wrong(what, "leave out what it is not");
                }
            }
            None if case.stages.as_ref().unwrap_or(own).iter().flat_map(|stage| &stage.steps).any(looks) => {
                let what = format!("case `{name}`: a `check-translation`, and nothing to judge it by");
                return wrong(what, "say what is to become of the devices: `translation`");
            }
            None => {}
        }
    }
    Ok(())
}

/// Every span has one name and is judged once, and nothing is judged that is not there.
fn timed<'a>(stages: &'a [Stage], limits: &[Limit], of: &str) -> Result<(), Wrong> {
    // Those of the log stand among the marks of a blackout, and are nothing but steps elsewhere.
    let span = |step: &'a Step| match step {
        Step::LogSpan { name, .. } if !limits.is_empty() => Some(name.as_str()),
        step => span(step),
    };
    let spans: Vec<&str> = stages.iter().flat_map(|stage| &stage.steps).filter_map(span).collect();
    for (index, span) in spans.iter().enumerate() {
        if spans[..index].contains(span) {
            let message = format!("`{of}` has two spans called `{span}`");
            return wrong(message, "give each `timed` step a name of its own; in `for-each`, one with {device}");
        }
        let covering = limits.iter().filter(|limit| limit.covers(span)).count();
        if covering != 1 {
            let message = format!("span `{span}` of `{of}` is meant by {covering} entries of `measure.spans`");
            return wrong(
                message,
                "name each span once there, {device} stands for any word; only measure scenarios have it",
            );
        }
    }
    match limits.iter().find(|limit| !spans.iter().any(|span| limit.covers(span))) {
        Some(Limit { name, .. }) => {
            wrong(format!("`{of}` has no span `{name}`, which `measure.spans` names"), "put it around a step: `timed`")
        }
        None => Ok(()),
    }
}

fn span(step: &Step) -> Option<&str> {
    if let Step::Timed { name, .. } = step { Some(name) } else { None }
}

/// `limits` are what its spans are held to.
fn handover(stages: &[Stage], limits: &[Limit], name: &str) -> Result<(), Wrong> {
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
        for step in stage.steps.iter().flat_map(Step::all) {
            if let Step::KexecLoad { kernel, .. } = step
                && !ROLES.contains(&kernel.as_str())
            {
                let message = format!("`{name}`: kexec-load of `{kernel}`, which no kernel is called here");
                return wrong(message, format!("name one of: {}", ROLES.join(", ")));
            }
        }
    }
    timed(stages, limits, name)
}

/// A word of the scenario's file, what is wrong there, and the remedy.
pub(super) type WrongAt = (String, String, String);

/// What is done by the host and in the background, in the stages that `of` holds.
pub(super) fn actions(stages: &[Stage], of: &str) -> Result<(), WrongAt> {
    for (index, stage) in stages.iter().enumerate() {
        if !stage.between.is_empty() && index + 1 == stages.len() {
            let what = format!("`{of}`: `between` in stage {index}, which no kernel follows");
            return Err(("between".into(), what, "put it into the stage whose kernel jumps".into()));
        }
        if stage.between.iter().any(|action| matches!(action, HostAction::BusMaster { on: true, .. })) {
            let what = format!(
                "`{of}`: `bus-master` on between stages {index} and {}: a device that waits for it has lost its ring when the VM stands still",
                index + 1
            );
            return Err(("between".into(), what, "allow it in a `host` step of the next stage".into()));
        }
        if stage.between.contains(&HostAction::Compare) {
            let what = format!("`{of}`: `compare` between stages {index} and {}", index + 1);
            return Err(("compare".into(), what, "put it into a `host` step of the next stage".into()));
        }
        if let Some(tables) = stage.between.iter().find_map(recorded_tables) {
            let what = format!("`{of}`: `record` of the `tables` of {tables} between stages {index} and {}", index + 1);
            let fix = "put it into a `host` step, when they are preserved: by now the kernel may have changed them";
            return Err(("record".into(), what, fix.into()));
        }
        for edit in stage.between.iter().flat_map(edits) {
            sensible(edit).map_err(|(what, fix)| {
                ("tamper".to_owned(), format!("`{of}`: tamper between stages {index} and {}: {what}", index + 1), fix)
            })?;
        }
        let compares = |step: &Step| matches!(innermost(step), Step::Host { action: HostAction::Compare });
        if stage.steps.iter().any(compares) && !stages[..index].iter().any(unchanged::records) {
            let what = format!("`{of}`: `compare` in stage {index}, and nothing was recorded in an earlier one");
            return Err(("compare".into(), what, "`record` it there".into()));
        }
        for step in &stage.steps {
            let misplaced = misplaced(step);
            misplaced.map_err(|(at, (what, fix))| (at, format!("`{of}`: {what}, in stage {index}"), fix))?;
        }
    }
    Ok(())
}

fn recorded_tables(action: &HostAction) -> Option<String> {
    match action {
        HostAction::Record { tables, .. } if !tables.is_empty() => Some(tables.join(", ")),
        _ => None,
    }
}

fn edits(action: &HostAction) -> &[Edit] {
    match action {
        HostAction::Tamper(tamper) => &tamper.edits,
        _ => &[],
    }
}

/// An edit must stay inside what it names, and its value must fit.
fn sensible(edit: &Edit) -> Result<(), Wrong> {
    let Edit { at, offset, width, ref change } = *edit;
    let (place, size) = (tamper::name(at), tamper::size(at));
    if offset.checked_add(width.into()).is_none_or(|end| end > size) {
        return wrong(format!("{width} bytes at {offset:#x} of {place} do not fit into its {size}"), "stay inside");
    }
    let fits = |value: u64| width >= 8 || value >> (8 * width) == 0;
    match *change {
        Change::Set(Value::AddressOf(_)) if width != 8 => {
            wrong(format!("an address in {width} bytes of {place}"), "make `width` 8")
        }
        Change::Set(Value::Number(value)) | Change::Xor(value) if !fits(value) => {
            wrong(format!("{value:#x} does not fit into {width} bytes of {place}"), "make it smaller")
        }
        Change::Set(_) | Change::Xor(_) => Ok(()),
    }
}

/// What may not be where it is; the error starts with a word that is there.
fn misplaced(step: &Step) -> Result<(), (String, Wrong)> {
    let at = |word: &str| {
        let word = word.to_owned();
        move |wrong| (word, wrong)
    };
    if let Step::Host { action: HostAction::Tamper(_) } = innermost(step) {
        let fix = "put it into `between`: only then the hand-over is complete, and unread";
        return wrong("`tamper` in a `host` step", fix).map_err(at("tamper"));
    }
    if let Step::Host { action: HostAction::Record { rings, .. } } = innermost(step)
        && !rings.is_empty()
    {
        let fix = "put it into `between`: before, the device writes there";
        return wrong("`record` of `rings` in a `host` step", fix).map_err(at("record"));
    }
    if let Step::Host { action: HostAction::CheckCleared { .. } } = innermost(step) {
        let fix = "put it into `between`: before, the kernel has cleared nothing";
        return wrong("`check-cleared` in a `host` step", fix).map_err(at("check-cleared"));
    }
    if let Step::Fails { step: inner, .. } | Step::Background { step: inner, .. } | Step::Timed { step: inner, .. } =
        step
        && let Step::Observe { name, .. } = &**inner
    {
        return wrong(format!("`{name}` is observed inside another step"), "put `observe` outermost").map_err(at(name));
    }
    if let Step::Fails { step: inner, .. } | Step::Background { step: inner, .. } | Step::Timed { step: inner, .. } =
        step
        && let Some(name) = span(inner)
    {
        return wrong(format!("span `{name}` inside another step"), "put `timed` outermost").map_err(at(name));
    }
    match step {
        Step::Timed { name, step } => match **step {
            Step::Host { .. }
            | Step::Mark { .. }
            | Step::LogSpan { .. }
            | Step::Growth { .. }
            | Step::KexecReboot
            | Step::Background { .. } => {
                wrong(format!("span `{name}` of a step that cannot be timed"), "make it a step of its own")
                    .map_err(at(name))
            }
            _ => misplaced(step),
        },
        Step::Observe { name, step } => match **step {
            Step::Background { .. } | Step::KexecReboot => {
                wrong(format!("`{name}` observes what cannot be observed"), "make it a step of its own")
                    .map_err(at(name))
            }
            _ => contained(step, name),
        },
        Step::Fails { errno, step } => match **step {
            Step::Host { .. }
            | Step::Background { .. }
            | Step::Sleep { .. }
            | Step::Mark { .. }
            | Step::LogSpan { .. }
            | Step::Growth { .. } => {
                wrong("a step in `fails` that cannot fail", "take it out of `fails`").map_err(at(errno))
            }
            _ => misplaced(step),
        },
        Step::Background { name, step } => match innermost(step) {
            Step::Host { .. }
            | Step::Mark { .. }
            | Step::LogSpan { .. }
            | Step::Growth { .. }
            | Step::KexecReboot
            | Step::Running { .. }
            | Step::Join { .. } => {
                let what = format!("background `{name}` of a step that cannot run there");
                wrong(what, "make it a step of its own").map_err(at(name))
            }
            _ if matches!(**step, Step::Background { .. }) => {
                wrong(format!("background `{name}` of another one"), "one is enough").map_err(at(name))
            }
            _ => misplaced(step),
        },
        Step::FailEach(FailEach { errno, step, undo, last, .. }) => {
            let jump = **step == Step::KexecReboot && last.is_some();
            let inner = undo.iter().chain((!jump).then_some(&**step));
            inner.into_iter().try_for_each(|step| contained(step, errno))
        }
        Step::In(InProcess { process: word, .. }) | Step::Attempt(Attempt { errno: word, .. }) => {
            step.inner().into_iter().try_for_each(|step| contained(step, word))
        }
        Step::WhenStopped { device, step } => contained(step, device),
        Step::FailNth(FailNth { step, .. }) => contained(step, "fail-nth"),
        Step::Together { steps } => steps.iter().try_for_each(|step| contained(step, "together")),
        _ => Ok(()),
    }
}

/// What a step may not be that is executed by another process, by another thread, or perhaps not at all.
fn contained(step: &Step, word: &str) -> Result<(), (String, Wrong)> {
    let jump = "put it into `fails`: a jump is the stage's last step";
    let (what, fix) = match step {
        Step::KexecReboot => ("`kexec-reboot` that may succeed inside another step", jump),
        Step::Host { .. }
        | Step::Mark { .. }
        | Step::LogSpan { .. }
        | Step::Timed { .. }
        | Step::Growth { .. }
        | Step::Observe { .. } => ("a step inside another one that speaks to the host", "make it a step of its own"),
        Step::Background { .. }
        | Step::Running { .. }
        | Step::Join { .. }
        | Step::Process(_)
        | Step::Kill { .. }
        | Step::ForEach(_) => ("a step inside another one that belongs to the stage", "make it a step of its own"),
        Step::Fails { step, .. } if **step == Step::KexecReboot => return Ok(()),
        step => return step.inner().into_iter().try_for_each(|step| contained(step, word)),
    };
    wrong(what, fix).map_err(|wrong| (word.to_owned(), wrong))
}
