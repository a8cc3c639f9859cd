// SPDX-License-Identifier: GPL-2.0-only

//! Steps in words, for the report.

use plan::{BarRead, Check, Step};

/// What a step does, on one line.
pub(crate) fn describe(step: &Step) -> String {
    match step {
        Step::Bind { device, driver } => format!("bind {device} to {driver}"),
        Step::Unbind { device } => format!("unbind {device}"),
        Step::OpenCdev { device, fd } => format!("open the vfio cdev of {device} as {fd}"),
        Step::Open { path, fd } => format!("open {path} as {fd}"),
        Step::WriteFd { fd, text } => format!("write {text:?} to {fd}"),
        Step::ReadFd { fd, text } => format!("read {text:?} from {fd}"),
        Step::OpenIommufd { fd } => format!("open an iommufd as {fd}"),
        Step::BindIommufd { fd, iommufd } => format!("bind {fd} to iommufd {iommufd}"),
        Step::AttachIoas { fd, iommufd } => format!("attach {fd} to a new IOAS of {iommufd}"),
        Step::ReadBar(read) => format!("read BAR {} of {}", read.bar, describe_read(read)),
        Step::ReadConfig(read) => format!("read config space of {}", describe_read(read)),
        Step::SameDevice { fd, device } => format!("check that {fd} is {device}"),
        Step::Memfd { fd, bytes, seed } => format!("create memfd {fd} of {bytes} bytes with seed {seed:#x}"),
        Step::CheckMemfd { fd, bytes, seed } => format!("check memfd {fd} for {bytes} bytes with seed {seed:#x}"),
        Step::CreateSession { session } => format!("create session {session}"),
        Step::RetrieveSession { session } => format!("retrieve session {session}"),
        Step::Preserve { session, fd, token } => format!("preserve {fd} in session {session} as token {token}"),
        Step::Retrieve { session, token, fd } => format!("retrieve token {token} of session {session} as {fd}"),
        Step::Finish { session } => format!("finish session {session}"),
        Step::Close { name } => format!("close {name}"),
        Step::Fails { errno, step } => format!("{} must fail with {errno}", describe(step)),
        Step::Write { path, value } => format!("write {value:?} to {path}"),
        Step::Mark { name } => format!("mark {name}"),
        Step::KexecLoad { kernel, append } if append.is_empty() => format!("load kernel {kernel}"),
        Step::KexecLoad { kernel, append } => format!("load kernel {kernel} with {append:?}"),
        Step::KexecUnload => "unload the next kernel".into(),
        Step::KexecReboot => "reboot into the next kernel".into(),
    }
}

fn describe_read(BarRead { fd, offset, width, check, .. }: &BarRead) -> String {
    let check = match check {
        Check::Equals { want, mask: u64::MAX } => format!("want {want:#x}"),
        Check::Equals { want, mask } => format!("want {want:#x} under mask {mask:#x}"),
        Check::Alive => "want it alive".into(),
    };
    format!("{fd} at {offset:#x}, {width} bytes, {check}")
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
