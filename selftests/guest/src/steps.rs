// SPDX-License-Identifier: GPL-2.0-only

//! Executing one step.

use std::path::{Path, PathBuf};

use plan::{BarRead, Check, Plan, Step};
use rustix::fs::OFlags;
use rustix::system::RebootCommand;

use crate::errno;
use crate::failure::Failure;
use crate::files;
use crate::iommufd;
use crate::kexec;
use crate::luo::{self, Luo};
use crate::memfd;
use crate::names::Names;
use crate::sysfs::{self, Sysfs};
use crate::vfio;

/// What a stage's steps act on and share.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    plan: &'a Plan,
    sysfs: Sysfs,
    luo: Luo,
    names: Names,
}

impl<'a> Runner<'a> {
    /// Nothing is open yet.
    pub(crate) fn new(plan: &'a Plan) -> Self {
        Self { plan, sysfs: Sysfs::mounted(), luo: Luo::default(), names: Names::default() }
    }

    /// Executes a step and returns what was observed.
    pub(crate) fn run(&mut self, step: &Step) -> Result<String, Failure> {
        match step {
            Step::Bind { device, driver } => self.bind(device, driver),
            Step::Unbind { device } => {
                let driver = self.sysfs.unbind(&self.device(device)?)?;
                Ok(format!("was bound to {}", driver.as_deref().unwrap_or("no driver")))
            }
            Step::OpenCdev { device, fd } => {
                self.names.free(fd)?;
                let node = self.sysfs.vfio_cdev(&self.device(device)?)?;
                self.open(fd, &node)
            }
            Step::Open { path, fd } => {
                self.names.free(fd)?;
                self.open(fd, Path::new(path))
            }
            Step::WriteFd { fd, text } => files::write_fd(self.names.get(fd)?, text).map(silent),
            Step::ReadFd { fd, text } => files::check_fd(self.names.get(fd)?, text).map(silent),
            Step::OpenIommufd { fd } => {
                self.names.free(fd)?;
                self.open(fd, Path::new(iommufd::DEVICE))
            }
            Step::BindIommufd { fd, iommufd } => {
                let id = vfio::bind(self.names.get(fd)?, self.names.get(iommufd)?)?;
                Ok(format!("device id {id}"))
            }
            Step::AttachIoas { fd, iommufd } => {
                let ioas = iommufd::allocate_ioas(self.names.get(iommufd)?)?;
                let table = vfio::attach(self.names.get(fd)?, ioas)?;
                Ok(format!("IOAS {ioas}, page table {table}"))
            }
            Step::ReadBar(read) => self.read(read, read.bar),
            Step::ReadConfig(read) => self.read(read, vfio::CONFIG_REGION),
            Step::SameDevice { fd, device } => self.same_device(fd, device),
            Step::Memfd { fd, bytes, seed } => {
                self.names.free(fd)?;
                self.names.add(fd, memfd::create(fd, *bytes, *seed)?);
                Ok(String::new())
            }
            Step::CheckMemfd { fd, bytes, seed } => memfd::check(self.names.get(fd)?, *bytes, *seed).map(silent),
            Step::CreateSession { session } => {
                self.names.free(session)?;
                self.names.add(session, self.luo.create(session)?);
                Ok(String::new())
            }
            Step::RetrieveSession { session } => {
                self.names.free(session)?;
                self.names.add(session, self.luo.retrieve(session)?);
                Ok(String::new())
            }
            Step::Preserve { session, fd, token } => {
                luo::preserve(self.names.get(session)?, self.names.get(fd)?, *token).map(silent)
            }
            Step::Retrieve { session, token, fd } => {
                self.names.free(fd)?;
                let retrieved = luo::retrieve(self.names.get(session)?, *token)?;
                self.names.add(fd, retrieved);
                Ok(String::new())
            }
            Step::Finish { session } => luo::finish(self.names.get(session)?).map(silent),
            Step::Close { name } => self.names.close(name).map(silent),
            Step::Fails { errno, step } => self.fails(errno, step),
            Step::Write { path, value } => {
                let path = sysfs::expand(path, |name| self.device(name))?;
                files::write(&path, value)?;
                Ok(path.display().to_string())
            }
            // The report of every step carries the time; the stage turns this one into a mark.
            Step::Mark { .. } => Ok(String::new()),
            Step::KexecLoad { kernel, append } => self.load(kernel, append),
            Step::KexecUnload => kexec::unload().map(silent),
            Step::KexecReboot => match rustix::system::reboot(RebootCommand::Kexec) {
                Ok(()) => Err(Failure::new("reboot(LINUX_REBOOT_CMD_KEXEC) came back without an error")),
                Err(errno) => Err(Failure::call("reboot(LINUX_REBOOT_CMD_KEXEC)", errno)),
            },
        }
    }

    fn device(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.plan.devices.get(name).ok_or_else(|| {
            let known: Vec<_> = self.plan.devices.keys().map(String::as_str).collect();
            Failure::new(format!("the plan has no device {name:?}; it has: [{}]", known.join(", ")))
        })?;
        self.sysfs.device(path)
    }

    fn open(&mut self, name: &str, node: &Path) -> Result<String, Failure> {
        self.names.add(name, files::open(node, OFlags::RDWR)?);
        Ok(node.display().to_string())
    }

    fn bind(&self, device: &str, driver: &str) -> Result<String, Failure> {
        let device = self.device(device)?;
        self.sysfs.bind(&device, driver)?;
        let mut detail = sysfs::address(&device).to_owned();
        if driver == "vfio-pci" {
            detail += &format!(" is {}", self.sysfs.vfio_cdev(&device)?.display());
        }
        Ok(detail)
    }

    fn read(&self, read: &BarRead, region: u32) -> Result<String, Failure> {
        let value = vfio::read(self.names.get(&read.fd)?, region, read.offset, read.width)?;
        check(value, read.width, &read.check)
    }

    fn same_device(&self, fd: &str, device: &str) -> Result<String, Failure> {
        let directory = self.device(device)?;
        let want = sysfs::ids(&directory)?;
        let got = vfio::read(self.names.get(fd)?, vfio::CONFIG_REGION, 0, 4)?;
        let ids = |word: u64| format!("{:04x}:{:04x}", word & 0xffff, word >> 16);
        if got != u64::from(want) {
            let address = sysfs::address(&directory);
            return Err(Failure::new(format!(
                "{fd} is {}, but {device} ({address}) is {}",
                ids(got),
                ids(want.into())
            )));
        }
        // The ids are those of every device of the model; only its place tells it from its like.
        let place = vfio::sysfs_path(self.names.get(fd)?)?;
        if place != directory {
            let (place, directory) = (place.display(), directory.display());
            return Err(Failure::new(format!("{fd} is the device {place}, but {device} is {directory}")));
        }
        Ok(format!("{} at {}", ids(got), sysfs::address(&directory)))
    }

    fn fails(&mut self, want: &str, step: &Step) -> Result<String, Failure> {
        if !errno::is_known(want) {
            return Err(Failure::new(format!("the plan wants {want:?}, which is not the name of an errno")));
        }
        match self.run(step) {
            Ok(_) => Err(Failure::new(format!("it succeeded, want {want}"))),
            Err(failure) => match failure.errno() {
                Some(errno) if errno::name(errno) == want => Ok(failure.to_string()),
                Some(_) => Err(Failure::new(format!("{failure}, want {want}"))),
                None => Err(Failure::new(format!("{failure}; that is not the call which must fail with {want}"))),
            },
        }
    }

    fn load(&self, kernel: &str, append: &str) -> Result<String, Failure> {
        if !self.plan.kernels.iter().any(|known| known == kernel) {
            let known = self.plan.kernels.join(", ");
            return Err(Failure::new(format!("the plan has no kernel {kernel:?}; it has: [{known}]")));
        }
        kexec::load(kernel, append)
    }
}

/// The outcome of a step with nothing to tell.
fn silent((): ()) -> String {
    String::new()
}

/// Whether a value of `width` bytes is what the plan wants.
fn check(value: u64, width: u32, check: &Check) -> Result<String, Failure> {
    let all_ones = u64::MAX >> (64 - 8 * width.clamp(1, 8));
    match *check {
        Check::Equals { want, mask } if value & mask == want & mask => Ok(format!("{value:#x}")),
        Check::Equals { want, mask } => {
            Err(Failure::new(format!("read {value:#x}, want {:#x} under mask {mask:#x}", want & mask)))
        }
        Check::Alive if value == 0 || value == all_ones => {
            Err(Failure::new(format!("read {value:#x}: nobody answers")))
        }
        Check::Alive => Ok(format!("{value:#x}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn plan() -> Plan {
        let devices = BTreeMap::from([("dut".to_owned(), vec!["1f.7".to_owned(), "1f.7".to_owned()])]);
        Plan { name: "t".into(), devices, kernels: vec!["b".into()], stages: Vec::new() }
    }

    fn run(runner: &mut Runner<'_>, json: &str) -> Result<String, String> {
        let step = serde_json::from_str(json).unwrap();
        runner.run(&step).map_err(|failure| failure.to_string())
    }

    #[test]
    fn fails_wants_the_errno_of_the_step_itself() {
        let plan = plan();
        let mut runner = Runner::new(&plan);
        run(&mut runner, r#"{"memfd":{"fd":"m","bytes":16,"seed":1}}"#).unwrap();
        // A memfd is no vfio device and says so; that is the one outcome which passes.
        let read = r#"{"read-bar":{"fd":"m","bar":0,"offset":8,"width":4,"check":"alive"}}"#;
        let fails = |errno: &str, step: &str| format!(r#"{{"fails":{{"errno":"{errno}","step":{step}}}}}"#);
        assert_eq!(
            run(&mut runner, &fails("ENOTTY", read)).unwrap(),
            "VFIO_DEVICE_GET_REGION_INFO of region 0: ENOTTY"
        );
        assert!(run(&mut runner, &fails("EIO", read)).unwrap_err().ends_with("ENOTTY, want EIO"));
        assert!(run(&mut runner, &fails("EIOO", read)).unwrap_err().contains("not the name of an errno"));
        let good = r#"{"check-memfd":{"fd":"m","bytes":16,"seed":1}}"#;
        assert_eq!(run(&mut runner, &fails("EIO", good)).unwrap_err(), "it succeeded, want EIO");
        let wrong = r#"{"check-memfd":{"fd":"m","bytes":16,"seed":2}}"#;
        assert!(run(&mut runner, &fails("EIO", wrong)).unwrap_err().contains("not the call"));
        let unknown = r#"{"finish":{"session":"s"}}"#;
        assert!(run(&mut runner, &fails("ENOENT", unknown)).unwrap_err().contains("no fd or session is named"));
    }

    #[test]
    fn names_of_the_plan_are_checked() {
        let plan = plan();
        let mut runner = Runner::new(&plan);
        let text = run(&mut runner, r#"{"unbind":{"device":"dup"}}"#).unwrap_err();
        assert_eq!(text, r#"the plan has no device "dup"; it has: [dut]"#);
        let text = run(&mut runner, r#"{"write":{"path":"{dup}/x","value":"1"}}"#).unwrap_err();
        assert!(text.contains("no device \"dup\""), "{text}");
        let text = run(&mut runner, r#"{"kexec-load":{"kernel":"c"}}"#).unwrap_err();
        assert_eq!(text, r#"the plan has no kernel "c"; it has: [b]"#);
        run(&mut runner, r#"{"memfd":{"fd":"m","bytes":1,"seed":1}}"#).unwrap();
        let text = run(&mut runner, r#"{"memfd":{"fd":"m","bytes":1,"seed":1}}"#).unwrap_err();
        assert!(text.contains("is taken"), "{text}");
    }

    #[test]
    fn values_are_judged_at_their_width() {
        let equals = |want, mask| Check::Equals { want, mask };
        assert_eq!(check(0x123, 4, &equals(0x3, 0xf)).unwrap(), "0x123");
        check(0x123, 4, &equals(0x4, 0xf)).unwrap_err();
        for (dead, width) in [(0, 4), (0xffff_ffff, 4), (0xff, 1), (u64::MAX, 8)] {
            assert!(check(dead, width, &Check::Alive).is_err(), "{dead:#x} of {width} bytes");
        }
        check(0xffff, 4, &Check::Alive).unwrap();
    }
}
