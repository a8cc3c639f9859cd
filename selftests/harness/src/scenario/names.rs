// SPDX-License-Identifier: GPL-2.0-only

//! The names that the steps of a stage give to open files and sessions, to threads and to processes, followed without running anything.
//!
//! The guest keeps one table per stage and process, for files and sessions alike: a name is given once, is good until it is closed,
//! and does not cross a kexec. A step in `fails` gives no name, as it must not succeed, but those that it uses must be there:
//! the guest's own complaint is never the errno that is waited for. What a step in `background` gives counts when it is joined; of what an
//! `attempt` does, what it does either way.

use std::collections::{BTreeMap, BTreeSet};

use plan::{Attempt, BarRead, BarWrite, DmaBuf, Exercise, FailEach, IgbReceive, IgbReceived, MapDmaBuf, SetIrqs};
use plan::{CheckConfig, FailNth, InProcess, Process, Stage, Step};

/// A name that is wrong, what is wrong with it, and the remedy.
pub(super) type Wrong = (String, String, String);

/// Checks the stages that `of` holds.
pub(super) fn check(stages: &[Stage], of: &str) -> Result<(), Wrong> {
    for (index, stage) in stages.iter().enumerate() {
        let mut state = State { of, index, ..State::default() };
        for step in &stage.steps {
            state.step(step, INIT)?;
        }
    }
    Ok(())
}

/// Who executes a step: a process by its name.
type Who<'a> = Option<&'a str>;
const INIT: Who<'static> = None;

/// What is known at a step.
#[derive(Clone, Default)]
struct State<'a> {
    of: &'a str,
    /// Index of the stage.
    index: usize,
    open: BTreeSet<(Who<'a>, &'a str)>,
    processes: BTreeSet<&'a str>,
    /// Threads that run, with the names that each will give.
    threads: BTreeMap<&'a str, Vec<(Who<'a>, &'a str)>>,
}

impl<'a> State<'a> {
    /// Goes past a step.
    fn step(&mut self, step: &'a Step, who: Who<'a>) -> Result<(), Wrong> {
        match step {
            // Of one that may not succeed, the later steps that are observed too may fail for want of the name.
            Step::Timed { step, .. } | Step::Observe { step, .. } | Step::WhenStopped { step, .. } => {
                self.step(step, who)
            }
            Step::FailNth(FailNth { step, .. }) => self.step(step, who),
            // The same names as after a success; then nothing of it counts.
            Step::Fails { step, .. } => self.clone().step(step, who),
            Step::Background { name, step } => self.background(name, step, who),
            Step::Running { name } | Step::Join { name } => {
                let given = self.threads.get(name.as_str()).ok_or_else(|| {
                    let what = self.at(&format!("no background step is called `{name}` at that step"));
                    (name.clone(), what, "name one that was started and not yet joined".to_owned())
                })?;
                if matches!(step, Step::Join { .. }) {
                    self.open.extend(given.clone());
                    self.threads.remove(name.as_str());
                }
                Ok(())
            }
            Step::In(InProcess { process, step }) => {
                self.process(process)?;
                self.step(step, Some(process))
            }
            Step::Process(Process { name, with, .. }) => {
                self.uses(with.iter().map(String::as_str), INIT)?;
                if !self.processes.insert(name) {
                    let what = self.at(&format!("two processes that run are called `{name}`"));
                    return Err((name.clone(), what, "give each a name of its own".to_owned()));
                }
                self.open.extend(with.iter().map(|file| (Some(name.as_str()), file.as_str())));
                Ok(())
            }
            Step::Kill { process } => {
                self.process(process)?;
                self.processes.remove(process.as_str());
                self.open.retain(|(who, _)| *who != Some(process));
                Ok(())
            }
            Step::Together { steps } => steps.iter().try_for_each(|step| self.step(step, who)),
            Step::Attempt(Attempt { step, then, otherwise, .. }) => {
                let mut good = self.clone();
                good.step(step, who)?;
                then.iter().try_for_each(|step| good.step(step, who))?;
                otherwise.iter().try_for_each(|step| self.step(step, who))?;
                self.open.retain(|name| good.open.contains(name));
                Ok(())
            }
            Step::FailEach(FailEach { step, undo, last, .. }) => {
                let mut again = self.clone();
                again.step(step, who)?;
                undo.iter().try_for_each(|step| again.step(step, who))?;
                again.step(step, who)?;
                if last.is_none() { self.step(step, who) } else { Ok(()) }
            }
            step => {
                self.uses(used(step), who)?;
                if let Some(name) = given(step) {
                    self.gives(name, who)?;
                }
                if let Step::Close { name } = step {
                    self.open.remove(&(who, name));
                }
                Ok(())
            }
        }
    }

    fn background(&mut self, name: &'a str, step: &'a Step, who: Who<'a>) -> Result<(), Wrong> {
        let mut after = self.clone();
        after.step(step, who)?;
        let given = after.open.difference(&self.open).copied().collect();
        if self.threads.insert(name, given).is_some() {
            let what = self.at(&format!("two background steps that run are called `{name}`"));
            return Err((name.to_owned(), what, "give each a name of its own".to_owned()));
        }
        Ok(())
    }

    fn uses(&self, names: impl IntoIterator<Item = &'a str>, who: Who<'a>) -> Result<(), Wrong> {
        let Some(name) = names.into_iter().find(|name| !self.open.contains(&(who, name))) else { return Ok(()) };
        let of = who.map(|process| format!(" of process `{process}`")).unwrap_or_default();
        let what = self.at(&format!("no fd or session{of} is called `{name}` at that step"));
        let known: Vec<_> = self.open.iter().filter(|(owner, _)| *owner == who).map(|(_, name)| *name).collect();
        let fix = if known.is_empty() {
            "open or retrieve it in an earlier step of the stage".to_owned()
        } else {
            format!("name one that an earlier step of the stage gave: {}", known.join(", "))
        };
        Err((name.to_owned(), what, fix))
    }

    fn gives(&mut self, name: &'a str, who: Who<'a>) -> Result<(), Wrong> {
        if self.open.contains(&(who, name)) || self.threads.values().flatten().any(|given| *given == (who, name)) {
            let what = self.at(&format!("the name `{name}` is given twice"));
            return Err((name.to_owned(), what, "give each fd and session a name of its own".to_owned()));
        }
        self.open.insert((who, name));
        Ok(())
    }

    fn process(&self, name: &str) -> Result<(), Wrong> {
        if self.processes.contains(name) {
            return Ok(());
        }
        let what = self.at(&format!("no process is called `{name}` at that step"));
        Err((name.to_owned(), what, "start it in an earlier step of the stage: `process`".to_owned()))
    }

    /// Where it is.
    fn at(&self, what: &str) -> String {
        let link = if what.ends_with("step") { "of" } else { "in" };
        format!("`{}`: {what} {link} stage {}", self.of, self.index)
    }
}

/// The names of what a step needs open.
fn used(step: &Step) -> Vec<&str> {
    match step {
        Step::WriteFd { fd, .. }
        | Step::ReadFd { fd, .. }
        | Step::ReadBar(BarRead { fd, .. })
        | Step::ReadConfig(BarRead { fd, .. })
        | Step::WriteBar(BarWrite { fd, .. })
        | Step::WriteConfig(BarWrite { fd, .. })
        | Step::SameDevice { fd, .. }
        | Step::CheckMemfd { fd, .. }
        | Step::CheckCanary { fd }
        | Step::SetVfToken { fd }
        | Step::Reset { fd }
        | Step::HotReset { fd }
        | Step::UnmaskIntx { fd }
        | Step::Signalled { fd }
        | Step::NotSignalled { fd }
        | Step::Exercise(Exercise { fd, .. })
        | Step::DmaBuf(DmaBuf { fd, .. }) => vec![fd],
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
        Step::BindIommufd { fd, iommufd }
        | Step::MapAnonymous { fd, iommufd, .. }
        | Step::Unmap { fd, iommufd, .. }
        | Step::BindVf { fd, iommufd }
        | Step::BindIommufdUnwritable { fd, iommufd } => vec![fd, iommufd],
        Step::AttachIoas { fd, iommufd, with, .. } => {
            [Some(fd), Some(iommufd), with.as_ref()].into_iter().flatten().map(String::as_str).collect()
        }
        Step::Preserve { session, fd, .. } => vec![session, fd],
        Step::Retrieve { session, .. } | Step::Finish { session } => vec![session],
        Step::DetachIoas { fd } | Step::PunchHole { fd, .. } | Step::Seal { fd, .. } => vec![fd],
        Step::MockDevice { iommufd, .. } => vec![iommufd],
        Step::Close { name } => vec![name],
        Step::SetIrqs(SetIrqs { fd, eventfds, .. }) => [fd].into_iter().chain(eventfds).map(String::as_str).collect(),
        Step::SetContainer { group, iommufd } => vec![group, iommufd],
        Step::GroupDevice { group, .. } => vec![group],
        Step::CheckConfig(CheckConfig { saved, .. }) => vec![saved],
        Step::MapDmaBuf(MapDmaBuf { fd, iommufd, buffer, .. })
        | Step::UnmapDmaBuf(MapDmaBuf { fd, iommufd, buffer, .. }) => vec![fd, iommufd, buffer],
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
        | Step::ReadResource(_)
        | Step::WriteResource(_)
        | Step::SaveConfig { .. }
        | Step::OpenGroup { .. }
        | Step::Eventfd { .. }
        | Step::IrqQuiet(_)
        | Step::Host { .. }
        | Step::Background { .. }
        | Step::WhenStopped { .. }
        | Step::Running { .. }
        | Step::Join { .. }
        | Step::Sleep { .. }
        | Step::Kmsg { .. }
        | Step::ForEach(_)
        | Step::Fails { .. }
        | Step::Timed { .. }
        | Step::LogSpan { .. }
        | Step::Read { .. }
        | Step::Vmstat { .. }
        | Step::Write { .. }
        | Step::Mark { .. }
        | Step::KexecLoad { .. }
        | Step::LoadNoKernel
        | Step::KexecContend
        | Step::KexecUnload
        | Step::Growth { .. }
        | Step::Kmemleak
        | Step::LoadModule { .. }
        | Step::UnloadModule { .. }
        | Step::KexecReboot
        | Step::Process(_)
        | Step::In(_)
        | Step::Kill { .. }
        | Step::Together { .. }
        | Step::Attempt(_)
        | Step::Observe { .. }
        | Step::FailNth(_)
        | Step::FailEach(_)
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
        | Step::SaveConfig { fd, .. }
        | Step::OpenGroup { fd, .. }
        | Step::GroupDevice { fd, .. }
        | Step::Eventfd { fd }
        | Step::DmaBuf(DmaBuf { buffer: fd, .. })
        | Step::Retrieve { fd, .. } => Some(fd),
        Step::CreateSession { session } | Step::RetrieveSession { session } => Some(session),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with these steps, after a memfd `m`; empty if nothing is.
    fn wrong(steps: &str) -> String {
        let text = format!(r#"{{"steps":[{{"memfd":{{"fd":"m","bytes":1,"seed":1}}}},{steps}]}}"#);
        let stage: Stage = serde_json::from_str(&text).expect(&text);
        check(&[stage], "s").err().map(|(_, what, _)| what).unwrap_or_default()
    }

    const CLOSE: &str = r#"{"close":{"name":"m"}}"#;
    const OPEN: &str = r#"{"open":{"path":"/x","fd":"n"}}"#;

    fn inside(process: &str, step: &str) -> String {
        format!(r#"{{"in":{{"process":"{process}","step":{step}}}}}"#)
    }

    #[test]
    fn a_process_has_names_of_its_own() {
        let start = r#"{"process":{"name":"p"}}"#;
        let with = r#"{"process":{"name":"p","with":["m"]}}"#;
        let kill = r#"{"kill":{"process":"p"}}"#;
        let close = inside("p", CLOSE);
        assert_eq!(
            wrong(&format!("{start},{close}")),
            "`s`: no fd or session of process `p` is called `m` at that step of stage 0"
        );
        assert_eq!(wrong(&format!("{with},{close},{CLOSE}")), "", "it is open in both");
        assert_eq!(wrong(&close), "`s`: no process is called `p` at that step of stage 0");
        assert_eq!(wrong(&format!("{start},{start}")), "`s`: two processes that run are called `p` in stage 0");
        assert_eq!(wrong(&format!("{with},{kill},{with},{close}")), "", "a killed one has nothing open");
        assert!(wrong(&format!("{with},{close},{kill},{close}")).contains("no process"));
        let open = inside("p", OPEN);
        assert_eq!(wrong(&format!("{start},{open},{OPEN}")), "");
        assert!(wrong(&format!("{start},{open},{open}")).contains("given twice"));
        let fails = format!(r#"{{"fails":{{"errno":"EIO","step":{close}}}}}"#);
        assert_eq!(wrong(&format!("{with},{fails},{close}")), "");
    }

    #[test]
    fn of_an_attempt_counts_what_happens_either_way() {
        let attempt = |then: &str, otherwise: &str| {
            format!(r#"{{"attempt":{{"errno":"EIO","step":{OPEN},"then":[{then}],"otherwise":[{otherwise}]}}}}"#)
        };
        assert_eq!(wrong(&format!("{},{OPEN}", attempt("", ""))), "");
        assert_eq!(wrong(&attempt(r#"{"close":{"name":"n"}}"#, "")), "");
        assert!(wrong(&attempt("", r#"{"close":{"name":"n"}}"#)).contains("called `n`"));
        for (then, otherwise) in [(CLOSE, ""), ("", CLOSE)] {
            assert!(wrong(&format!("{},{CLOSE}", attempt(then, otherwise))).contains("called `m`"));
        }
    }

    #[test]
    fn what_is_tried_again_must_be_undone() {
        let each = |undo: &str, last: &str| {
            format!(r#"{{"fail-each":{{"errno":"EIO","step":{OPEN},"undo":[{undo}]{last}}}}}"#)
        };
        let (close, used) = (r#"{"close":{"name":"n"}}"#, r#"{"reset":{"fd":"n"}}"#);
        assert!(wrong(&each("", "")).contains("given twice"));
        assert_eq!(wrong(&format!("{},{used}", each(close, ""))), "");
        assert!(wrong(&format!("{},{used}", each(close, r#","last":"EIO""#))).contains("called `n`"));
    }

    #[test]
    fn together_is_in_any_order() {
        let other = r#"{"open":{"path":"/x","fd":"o"}}"#;
        assert_eq!(wrong(&format!(r#"{{"together":{{"steps":[{OPEN},{other}]}}}},{{"close":{{"name":"o"}}}}"#)), "");
        assert!(wrong(&format!(r#"{{"together":{{"steps":[{OPEN},{OPEN}]}}}}"#)).contains("given twice"));
    }
}
