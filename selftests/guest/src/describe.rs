// SPDX-License-Identifier: GPL-2.0-only

//! Steps in words, for the report.

use plan::{
    Attempt, BarRead, BarWrite, Check, CheckConfig, ConfigRead, ConfigWrite, DmaBuf, Exercise, FailEach, FailNth,
    HostAction, IgbReceive, IgbReceived, InProcess, Iova, IovaName, IrqKind, IrqQuiet, MapDmaBuf, Process,
    ResourceRead, ResourceWrite, SetIrqs, Step,
};

/// What a step does, on one line.
pub(crate) fn describe(step: &Step) -> String {
    match step {
        Step::Bind { device, driver } => format!("bind {device} to {driver}"),
        Step::Unbind { device } => format!("unbind {device}"),
        Step::WaitFor { device } => format!("wait for {device}"),
        Step::WaitGone { device } => format!("wait until {device} is gone"),
        Step::Address { device, bdf } => format!("check that {device} is at {bdf}"),
        Step::Driver { device, name: Some(name) } => format!("check that {device} is bound to {name}"),
        Step::Driver { device, name: None } => format!("check that {device} is bound to no driver"),
        Step::SysfsConfig(ConfigRead { device, cap, ext_cap, offset, width, check }) => {
            let place = place(*cap, *ext_cap, *offset);
            format!("read config space of {device} at {place}, {width} bytes, {}", describe_check(check))
        }
        Step::SysfsConfigWrite(ConfigWrite { device, cap, ext_cap, offset, width, value, mask }) => {
            let mask = if *mask == u64::MAX { String::new() } else { format!(" under mask {mask:#x}") };
            let place = place(*cap, *ext_cap, *offset);
            format!("write config space of {device} at {place}, {width} bytes, to {value:#x}{mask}")
        }
        Step::Host { action: HostAction::Plug { device } } => format!("have the host plug {device}"),
        Step::Host { action: HostAction::Unplug { device } } => format!("have the host unplug {device}"),
        Step::Host { action: HostAction::BusMaster { device, on } } => {
            format!("have the host switch bus mastering of {device} {}", if *on { "on" } else { "off" })
        }
        Step::Host { action: HostAction::Reset { device } } => format!("have the host reset {device}"),
        Step::Host { action: HostAction::CheckTranslation } => "have the host look whether the IOMMU translates".into(),
        Step::Host { action: HostAction::Record { .. } } => "have the host record memory".into(),
        Step::Host { action: HostAction::CheckCleared { device } } => {
            format!("have the host check that the entry of {device} is cleared")
        }
        Step::Host { action: HostAction::Compare } => "have the host compare the memory that it recorded".into(),
        Step::Host { action: HostAction::Tamper(tamper) } => {
            format!("have the host make {} edits to the hand-over", tamper.edits.len())
        }
        Step::LoadModule { module, params } if params.is_empty() => format!("load module {module}"),
        Step::LoadModule { module, params } => format!("load module {module} with {params}"),
        Step::UnloadModule { module } => format!("unload module {module}"),
        Step::Growth { name } => format!("tell how much memory there is ({name})"),
        Step::Kmemleak => "look for lost memory".into(),
        Step::OpenCdev { device, fd } => format!("open the vfio cdev of {device} as {fd}"),
        Step::Open { path, fd } => format!("open {path} as {fd}"),
        Step::WriteFd { fd, text } => format!("write {text:?} to {fd}"),
        Step::ReadFd { fd, text } => format!("read {text:?} from {fd}"),
        Step::OpenIommufd { fd } => format!("open an iommufd as {fd}"),
        Step::BindIommufd { fd, iommufd } => format!("bind {fd} to iommufd {iommufd}"),
        Step::MapAnonymous { fd, iommufd, bytes, iova } => {
            format!("map {bytes} bytes of anonymous memory for {fd} through {iommufd} at {iova:#x}")
        }
        Step::Unmap { fd, iommufd, bytes, iova } => {
            format!("unmap {bytes} bytes at {iova:#x} for {fd} through {iommufd}")
        }
        Step::DetachIoas { fd } => format!("detach {fd}"),
        Step::Seal { fd, seals } => format!("seal {fd} against {seals:?}"),
        Step::PunchHole { fd, offset, bytes } => format!("punch a hole of {bytes} bytes into {fd} at {offset:#x}"),
        Step::AttachIoas { fd, iommufd, with, small_pages } => {
            let which = with.as_ref().map_or_else(|| "a new IOAS".to_owned(), |other| format!("the IOAS of {other}"));
            let how = if *small_pages { ", with small pages" } else { "" };
            format!("attach {fd} to {which} of {iommufd}{how}")
        }
        Step::MockDevice { iommufd, attached } => format!("attach a mock device of {iommufd} ({attached:?})"),
        Step::Map { fd, iommufd, memory, iova } => {
            format!("map {memory} for {fd} through {iommufd} at {}", describe_iova(*iova))
        }
        Step::IgbReceive(receive) => describe_receive(receive),
        Step::IgbResume { fd, memory } => format!("go on to give descriptors of {memory} back to {fd}"),
        Step::IgbReceived(IgbReceived { memory, at_least, fresh, complete }) => {
            let more = if *fresh { "more " } else { "" };
            let gaps = if *complete { ", none missing" } else { "" };
            format!("wait for {at_least} {more}frames in {memory}{gaps}")
        }
        Step::CheckCanary { fd } => format!("check that nobody wrote to canary {fd}"),
        Step::ReadBar(read) => format!("read BAR {} of {}", read.bar, describe_read(read)),
        Step::ReadConfig(read) => format!("read config space of {}", describe_read(read)),
        Step::SameDevice { fd, device } => format!("check that {fd} is {device}"),
        Step::Memfd { fd, bytes, seed, seals } => {
            let sealed = if seals.is_empty() { String::new() } else { format!(", sealed against {seals:?}") };
            format!("create memfd {fd} of {bytes} bytes with seed {seed:#x}{}", sealed.to_lowercase())
        }
        Step::CheckMemfd { fd, bytes, seed } => format!("check memfd {fd} for {bytes} bytes with seed {seed:#x}"),
        Step::CreateSession { session } => format!("create session {session}"),
        Step::RetrieveSession { session } => format!("retrieve session {session}"),
        Step::Preserve { session, fd, token } => format!("preserve {fd} in session {session} as token {token}"),
        Step::Retrieve { session, token, fd } => format!("retrieve token {token} of session {session} as {fd}"),
        Step::Finish { session } => format!("finish session {session}"),
        Step::Close { name } => format!("close {name}"),
        Step::Fails { errno, step } => format!("{} must fail with {errno}", describe(step)),
        Step::LogSpan { name, from, to } => {
            format!("tell from the kernel log how long {name} took, from {from:?} to {to:?}")
        }
        Step::Timed { name, step } => format!("{} (timed as {name})", describe(step)),
        Step::Background { name, step } => format!("in thread {name}: {}", describe(step)),
        Step::WhenStopped { device, step } => format!("{} as soon as {device} is stopped", describe(step)),
        Step::Running { name } => format!("check that thread {name} still runs"),
        Step::Join { name } => format!("join thread {name}"),
        Step::Sleep { ms } => format!("sleep {ms} ms"),
        Step::Kmsg { text, count: None } => format!("check that the kernel log has {text:?}"),
        Step::Kmsg { text, count: Some(count) } => format!("check that the kernel log has {text:?} {count} times"),
        Step::ForEach(each) => format!("for each of {}", each.devices.join(", ")),
        Step::Vmstat { item, from, to } => format!("check that {item} is from {from} to {to}"),
        Step::Read { path, text } => format!("read {text:?} from {path}"),
        Step::Write { path, value } => format!("write {value:?} to {path}"),
        Step::Mark { name } => format!("mark {name}"),
        Step::KexecLoad { kernel, append, drop } => {
            let with = if append.is_empty() { String::new() } else { format!(" with {append:?}") };
            let without = if drop.is_empty() { String::new() } else { format!(" without {drop:?}") };
            format!("load kernel {kernel}{with}{without}")
        }
        Step::KexecUnload => "unload the next kernel".into(),
        Step::KexecReboot => "reboot into the next kernel".into(),
        Step::WriteBar(write) => format!("write {:#x} to BAR {} of {}", write.value, write.bar, describe_write(write)),
        Step::WriteConfig(write) => format!("write {:#x} to config space of {}", write.value, describe_write(write)),
        Step::ReadResource(ResourceRead { device, bar, offset, width, check }) => {
            format!("read BAR {bar} of {device} at {offset:#x} through sysfs, {width} bytes, {}", describe_check(check))
        }
        Step::WriteResource(ResourceWrite { device, bar, offset, width, value }) => {
            format!("write {value:#x} to BAR {bar} of {device} at {offset:#x} through sysfs, {width} bytes")
        }
        Step::SaveConfig { device, fd } => format!("save config space of {device} as {fd}"),
        Step::CheckConfig(CheckConfig { device, saved, except }) => match except.len() {
            0 => format!("compare config space of {device} with {saved}"),
            n => format!("compare config space of {device} with {saved} but for {n} fields"),
        },
        Step::BindIommufdUnwritable { fd, iommufd } => {
            format!("bind {fd} to iommufd {iommufd} with an argument that cannot be written")
        }
        Step::SetVfToken { fd } => format!("set the token for the virtual functions of {fd}"),
        Step::BindVf { fd, iommufd } => format!("bind virtual function {fd} to iommufd {iommufd} with the token"),
        Step::OpenGroup { device, fd } => format!("open the group of {device} as {fd}"),
        Step::SetContainer { group, iommufd } => format!("make iommufd {iommufd} the container of group {group}"),
        Step::GroupDevice { group, device, fd } => format!("open {device} through group {group} as {fd}"),
        Step::Reset { fd } => format!("reset {fd}"),
        Step::HotReset { fd } => format!("hot-reset what {fd} shares a bus or slot with"),
        Step::Eventfd { fd } => format!("create eventfd {fd}"),
        Step::SetIrqs(SetIrqs { fd, kind, eventfds }) => match eventfds.as_slice() {
            [] => format!("switch {} of {fd} off", describe_kind(*kind)),
            all => format!("have {} of {fd} signal {}", describe_kind(*kind), all.join(", ")),
        },
        Step::UnmaskIntx { fd } => format!("unmask INTx of {fd}"),
        Step::Signalled { fd } => format!("wait for a signal of {fd}"),
        Step::NotSignalled { fd } => format!("check that {fd} is not signalled"),
        Step::IrqQuiet(IrqQuiet { device, .. }) => format!("check that the interrupt line of {device} is quiet"),
        Step::Exercise(Exercise { fd, bar, offset, ms, .. }) => {
            format!("use {fd}, BAR {bar} at {offset:#x}, for {ms} ms")
        }
        Step::DmaBuf(DmaBuf { fd, bar, buffer, .. }) => format!("export BAR {bar} of {fd} as dma-buf {buffer}"),
        Step::MapDmaBuf(MapDmaBuf { fd, buffer, iova, .. }) => format!("map dma-buf {buffer} for {fd} at {iova:#x}"),
        Step::UnmapDmaBuf(MapDmaBuf { fd, buffer, iova, .. }) => {
            format!("unmap dma-buf {buffer} for {fd} at {iova:#x}")
        }
        Step::LoadNoKernel => "load a file that is no kernel".into(),
        Step::KexecContend => "reboot into the next kernel while another thread fails to load one".into(),
        Step::Process(Process { name, with, without_rawio }) => {
            let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(", ")) };
            let without = if *without_rawio { " without CAP_SYS_RAWIO" } else { "" };
            format!("start process {name}{with}{without}")
        }
        Step::In(InProcess { process, step }) => format!("in process {process}: {}", describe(step)),
        Step::Kill { process } => format!("kill process {process}"),
        Step::Together { steps } => {
            let steps: Vec<_> = steps.iter().map(describe).collect();
            format!("at once: {}", steps.join(", and: "))
        }
        Step::Observe { name, step } => format!("{} (observed as {name})", describe(step)),
        Step::Attempt(Attempt { step, errno, .. }) => format!("{}, which may fail with {errno}", describe(step)),
        Step::FailNth(FailNth { nth, step, .. }) => format!("{}, with allocation {nth} failing", describe(step)),
        Step::FailEach(FailEach { step, .. }) => format!("{}, with each allocation failing in turn", describe(step)),
        Step::Run(run) => run.args.iter().fold(format!("run {}", run.program), |text, arg| format!("{text} {arg}")),
    }
}

fn describe_read(BarRead { fd, offset, width, check, .. }: &BarRead) -> String {
    format!("{fd} at {offset:#x}, {width} bytes, {}", describe_check(check))
}

fn describe_write(BarWrite { fd, offset, width, .. }: &BarWrite) -> String {
    format!("{fd} at {offset:#x}, {width} bytes")
}

fn describe_kind(kind: IrqKind) -> &'static str {
    match kind {
        IrqKind::Intx => "INTx",
        IrqKind::Msi => "MSI",
        IrqKind::Msix => "MSI-X",
    }
}

fn describe_check(check: &Check) -> String {
    match check {
        Check::Equals { want, mask: u64::MAX } => format!("want {want:#x}"),
        Check::Equals { want, mask } => format!("want {want:#x} under mask {mask:#x}"),
        Check::Alive => "want it alive".into(),
        Check::Absent => "want it absent".into(),
    }
}

fn describe_receive(receive: &IgbReceive) -> String {
    let IgbReceive { fd, iommufd, memory, iova, canary, descriptors, refill } = receive;
    let at = match (iommufd, canary) {
        (None, _) => "physical addresses".to_owned(),
        (Some(_), Some(canary)) => format!("the addresses of canary {canary}"),
        (Some(_), None) => describe_iova(*iova),
    };
    let refill = if *refill { "" } else { ", not refilled" };
    format!("receive frames from {fd} in {memory} at {at}, {descriptors} descriptors{refill}")
}

fn describe_iova(iova: Option<Iova>) -> String {
    match iova {
        Some(Iova::At(address)) => format!("{address:#x}"),
        None | Some(Iova::Named(IovaName::Same)) => "its own addresses".into(),
    }
}

fn place(cap: Option<u8>, ext_cap: Option<u16>, offset: u16) -> String {
    match (cap, ext_cap) {
        (Some(id), _) => format!("capability {id:#x} + {offset:#x}"),
        (None, Some(id)) => format!("extended capability {id:#x} + {offset:#x}"),
        (None, None) => format!("{offset:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_step_reads_as_a_sentence() {
        let check = Check::Equals { want: 3, mask: 0xf };
        let read = BarRead { fd: "dut".into(), bar: 0, offset: 8, width: 4, check };
        let step = Step::Fails { errno: "EIO".into(), step: Box::new(Step::ReadBar(read)) };
        assert_eq!(describe(&step), "read BAR 0 of dut at 0x8, 4 bytes, want 0x3 under mask 0xf must fail with EIO");
    }
}
