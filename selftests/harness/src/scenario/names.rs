// SPDX-License-Identifier: GPL-2.0-only

//! The names that the steps of a stage give to open files and sessions, and to threads, followed without running anything.
//!
//! The guest keeps one table per stage, for files and sessions alike: a name is given once, is good until it is closed,
//! and does not cross a kexec. A step in `fails` gives no name, as it must not succeed, but those that it uses must be there:
//! the guest's own complaint is never the errno that is waited for. What a step in `background` gives counts when it is joined.

use std::collections::{BTreeMap, BTreeSet};

use plan::{BarRead, IgbReceive, IgbReceived, Stage, Step};

use super::innermost;

/// A name that is wrong, what is wrong with it, and the remedy.
pub(super) type Wrong = (String, String, String);

/// Checks the stages that `of` holds.
pub(super) fn check(stages: &[Stage], of: &str) -> Result<(), Wrong> {
    for (index, stage) in stages.iter().enumerate() {
        let mut open = BTreeSet::new();
        // Threads that run, with the name that each will give.
        let mut threads = BTreeMap::new();
        for step in &stage.steps {
            let step = if let Step::Timed { step, .. } = step { step } else { step };
            let inner = innermost(step);
            if let Some(name) = used(inner).into_iter().find(|name| !open.contains(name)) {
                let what = format!("`{of}`: no fd or session is called `{name}` at that step of stage {index}");
                let known = open.iter().copied().collect::<Vec<_>>().join(", ");
                let fix = if known.is_empty() {
                    "open or retrieve it in an earlier step of the stage".to_owned()
                } else {
                    format!("name one that an earlier step of the stage gave: {known}")
                };
                return Err((name.to_owned(), what, fix));
            }
            if let Some(name) = given(inner)
                && (open.contains(name) || threads.values().any(|given| *given == Some(name)))
            {
                let what = format!("`{of}`: the name `{name}` is given twice in stage {index}");
                return Err((name.to_owned(), what, "give each fd and session a name of its own".to_owned()));
            }
            match step {
                Step::Background { name, step } => {
                    // Of `background: fails: ...`, nothing comes.
                    if threads.insert(name.as_str(), given(step)).is_some() {
                        let what =
                            format!("`{of}`: two background steps that run are called `{name}` in stage {index}");
                        return Err((name.clone(), what, "give each a name of its own".to_owned()));
                    }
                }
                Step::Running { name } | Step::Join { name } => {
                    let Some(given) = threads.get(name.as_str()).copied() else {
                        let what =
                            format!("`{of}`: no background step is called `{name}` at that step of stage {index}");
                        return Err((name.clone(), what, "name one that was started and not yet joined".to_owned()));
                    };
                    if matches!(step, Step::Join { .. }) {
                        threads.remove(name.as_str());
                        open.extend(given);
                    }
                }
                Step::Fails { .. } => {}
                Step::Close { name } => {
                    open.remove(name.as_str());
                }
                step => open.extend(given(step)),
            }
        }
    }
    Ok(())
}

/// The names of what a step needs open.
fn used(step: &Step) -> Vec<&str> {
    match step {
        Step::WriteFd { fd, .. }
        | Step::ReadFd { fd, .. }
        | Step::ReadBar(BarRead { fd, .. })
        | Step::ReadConfig(BarRead { fd, .. })
        | Step::SameDevice { fd, .. }
        | Step::CheckMemfd { fd, .. }
        | Step::CheckCanary { fd } => vec![fd],
        Step::Map { fd, iommufd, memory, .. } => vec![fd, iommufd, memory],
        Step::IgbReceive(IgbReceive { fd, iommufd, memory, canary, .. }) => {
            [Some(fd), iommufd.as_ref(), Some(memory), canary.as_ref()]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect()
        }
        Step::IgbResume { fd, memory } => vec![fd, memory],
        Step::IgbReceived(IgbReceived { memory, .. }) => vec![memory],
        Step::BindIommufd { fd, iommufd } | Step::AttachIoas { fd, iommufd } => vec![fd, iommufd],
        Step::Preserve { session, fd, .. } => vec![session, fd],
        Step::Retrieve { session, .. } | Step::Finish { session } => vec![session],
        Step::Close { name } => vec![name],
        Step::Bind { .. }
        | Step::Unbind { .. }
        | Step::OpenCdev { .. }
        | Step::Open { .. }
        | Step::OpenIommufd { .. }
        | Step::Memfd { .. }
        | Step::CreateSession { .. }
        | Step::RetrieveSession { .. }
        | Step::WaitFor { .. }
        | Step::WaitGone { .. }
        | Step::Address { .. }
        | Step::Driver { .. }
        | Step::SysfsConfig(_)
        | Step::SysfsConfigWrite(_)
        | Step::Host { .. }
        | Step::Background { .. }
        | Step::Running { .. }
        | Step::Join { .. }
        | Step::Sleep { .. }
        | Step::Kmsg { .. }
        | Step::ForEach(_)
        | Step::Fails { .. }
        | Step::Timed { .. }
        | Step::LogSpan { .. }
        | Step::Read { .. }
        | Step::Write { .. }
        | Step::Mark { .. }
        | Step::KexecLoad { .. }
        | Step::KexecUnload
        | Step::Growth { .. }
        | Step::Kmemleak
        | Step::LoadModule { .. }
        | Step::UnloadModule { .. }
        | Step::KexecReboot
        | Step::Run(_) => Vec::new(),
    }
}

/// The name that a step gives if it succeeds.
fn given(step: &Step) -> Option<&str> {
    match step {
        Step::OpenCdev { fd, .. }
        | Step::Open { fd, .. }
        | Step::OpenIommufd { fd }
        | Step::Memfd { fd, .. }
        | Step::Retrieve { fd, .. } => Some(fd),
        Step::CreateSession { session } | Step::RetrieveSession { session } => Some(session),
        _ => None,
    }
}
