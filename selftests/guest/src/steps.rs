// SPDX-License-Identifier: GPL-2.0-only

//! Executing one step.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use plan::{Plan, Process, Step};
use rustix::fs::OFlags;
use rustix::system::RebootCommand;

use crate::background::{self, Threads};
use crate::errno;
use crate::failure::Failure;
use crate::files;
use crate::iommufd;
use crate::kexec;
use crate::kmemleak;
use crate::kmsg;
use crate::lock::lock;
use crate::luo::{self, Luo};
use crate::memfd;
use crate::mock;
use crate::modules::{self, Modules};
use crate::names::Names;
use crate::process::Processes;
use crate::program;
use crate::rings::Rings;
use crate::sysfs::{self, Sysfs};
use crate::vfio;
use crate::vmstat;

/// What a stage's steps act on and share, with threads of `background` too.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) devices: BTreeMap<String, Vec<String>>,
    pub(crate) kernels: Vec<String>,
    modules: Modules,
    pub(crate) sysfs: Sysfs,
    luo: Mutex<Luo>,
    pub(crate) names: Names,
    /// I/O address spaces by the name of the attached device's fd.
    spaces: Mutex<BTreeMap<String, u32>>,
    pub(crate) rings: Rings,
    threads: Threads,
    processes: Processes,
}

impl Runner {
    /// For the stage of this hop. Nothing is open yet.
    pub(crate) fn new(plan: &Plan, hop: u32) -> Arc<Self> {
        Arc::new(Self {
            devices: plan.devices.clone(),
            kernels: plan.kernels.clone(),
            modules: Modules::of(plan.role(hop)),
            sysfs: Sysfs::mounted(),
            luo: Mutex::default(),
            names: Names::default(),
            spaces: Mutex::default(),
            rings: Rings::default(),
            threads: Threads::default(),
            processes: Processes::default(),
        })
    }

    /// Executes a step and returns what was observed.
    pub(crate) fn run(self: &Arc<Self>, step: &Step) -> Result<String, Failure> {
        match step {
            Step::Bind { device, driver } => self.bind(device, driver),
            Step::Unbind { device } => {
                let driver = self.sysfs.unbind(&self.device(device)?)?;
                Ok(format!("was bound to {}", driver.as_deref().unwrap_or("no driver")))
            }
            Step::WaitFor { device } => self.wait_for(device),
            Step::WaitGone { device } => self.wait_gone(device),
            Step::Address { device, bdf } => self.address(device, bdf),
            Step::Driver { device, name } => self.driver(device, name.as_deref()),
            Step::SysfsConfig(read) => self.config_read(read),
            Step::SysfsConfigWrite(write) => self.config_write(write),
            Step::Host { .. } => Err(Failure::new("only the stage speaks to the host: `host` is no inner step")),
            Step::LoadModule { module, params } => self.modules.load(module, params),
            Step::UnloadModule { module } => modules::unload(module).map(silent),
            Step::Kmemleak => kmemleak::check(),
            Step::OpenCdev { device, fd } => {
                self.names.free(fd)?;
                let node = self.sysfs.vfio_cdev(&self.device(device)?)?;
                self.open(fd, &node)
            }
            Step::Open { path, fd } => {
                self.names.free(fd)?;
                self.open(fd, Path::new(path))
            }
            Step::WriteFd { fd, text } => files::write_fd(self.names.get(fd)?.as_fd(), text).map(silent),
            Step::ReadFd { fd, text } => files::check_fd(self.names.get(fd)?.as_fd(), text).map(silent),
            Step::OpenIommufd { fd } => {
                self.names.free(fd)?;
                self.open(fd, Path::new(iommufd::DEVICE))
            }
            Step::BindIommufd { fd, iommufd } => {
                let id = vfio::bind(self.names.get(fd)?.as_fd(), self.names.get(iommufd)?.as_fd())?;
                Ok(format!("device id {id}"))
            }
            Step::AttachIoas { fd, iommufd, with, small_pages } => {
                let ioas = match with {
                    Some(other) => self.ioas(other)?,
                    None => iommufd::allocate_ioas(self.names.get(iommufd)?.as_fd())?,
                };
                if *small_pages {
                    iommufd::forbid_huge_pages(self.names.get(iommufd)?.as_fd(), ioas)?;
                }
                let table = vfio::attach(self.names.get(fd)?.as_fd(), ioas)?;
                lock(&self.spaces).insert(fd.clone(), ioas);
                Ok(format!("IOAS {ioas}, page table {table}"))
            }
            Step::Map { fd, iommufd, memory, iova } => self.map(fd, iommufd, memory, *iova),
            Step::MapAnonymous { fd, iommufd, bytes, iova } => {
                iommufd::map_anonymous(self.names.get(iommufd)?.as_fd(), self.ioas(fd)?, *bytes, *iova).map(silent)
            }
            Step::Unmap { fd, iommufd, bytes, iova } => {
                iommufd::unmap(self.names.get(iommufd)?.as_fd(), self.ioas(fd)?, *iova, *bytes).map(silent)
            }
            Step::MockDevice { iommufd, attached } => {
                mock::attach(self.names.get(iommufd)?.as_fd(), *attached).map(silent)
            }
            Step::DetachIoas { fd } => vfio::detach(self.names.get(fd)?.as_fd()).map(silent),
            Step::PunchHole { fd, offset, bytes } => {
                memfd::punch_hole(self.names.get(fd)?.as_fd(), *offset, *bytes).map(silent)
            }
            Step::Seal { fd, seals } => memfd::seal(self.names.get(fd)?.as_fd(), seals).map(silent),
            Step::IgbReceive(receive) => self.igb_receive(receive),
            Step::IgbResume { fd, memory } => self.igb_resume(fd, memory),
            Step::IgbReceived(received) => self.igb_received(received),
            Step::CheckCanary { fd } => self.check_canary(fd),
            Step::ReadBar(read) => self.read(read, read.bar),
            Step::ReadConfig(read) => self.read(read, vfio::CONFIG_REGION),
            Step::SameDevice { fd, device } => self.same_device(fd, device),
            Step::Memfd { fd, bytes, seed, seals } => {
                self.names.free(fd)?;
                self.names.add(fd, memfd::create(fd, *bytes, *seed, seals)?);
                Ok(String::new())
            }
            Step::CheckMemfd { fd, bytes, seed } => {
                memfd::check(self.names.get(fd)?.as_fd(), *bytes, *seed).map(silent)
            }
            Step::CreateSession { session } => {
                self.names.free(session)?;
                self.names.add(session, lock(&self.luo).create(session)?);
                Ok(String::new())
            }
            Step::RetrieveSession { session } => {
                self.names.free(session)?;
                self.names.add(session, lock(&self.luo).retrieve(session)?);
                Ok(String::new())
            }
            Step::Preserve { session, fd, token } => {
                luo::preserve(self.names.get(session)?.as_fd(), self.names.get(fd)?.as_fd(), *token).map(silent)
            }
            Step::Retrieve { session, token, fd } => {
                self.names.free(fd)?;
                let retrieved = luo::retrieve(self.names.get(session)?.as_fd(), *token)?;
                self.names.add(fd, retrieved);
                Ok(String::new())
            }
            Step::Finish { session } => luo::finish(self.names.get(session)?.as_fd()).map(silent),
            Step::Close { name } => {
                self.rings.closing(name)?;
                lock(&self.spaces).remove(name);
                self.names.close(name).map(silent)
            }
            Step::Fails { errno, step } => self.fails(errno, step),
            Step::Timed { .. } | Step::LogSpan { .. } | Step::Growth { .. } => {
                Err(Failure::new("only the stage measures: `timed`, `log-span` and `growth` are no inner steps"))
            }
            Step::Background { name, step } => self.background(name, step).map(silent),
            Step::WhenStopped { device, step } => {
                self.wait_stopped(device)?;
                self.run(step)
            }
            Step::Running { name } => self.threads.running(name).map(silent),
            Step::Join { name } => self.threads.join(name),
            Step::Sleep { ms } => {
                thread::sleep(Duration::from_millis(*ms));
                Ok(String::new())
            }
            Step::Kmsg { text, count } => kmsg::check(text, *count),
            Step::ForEach(_) => Err(Failure::new("`for-each` is no inner step")),
            Step::Read { path, text } => {
                let path = sysfs::expand(path, |name| self.device(name))?;
                let found = files::read_trimmed(&path)?;
                if found != *text {
                    return Err(Failure::new(format!("{} says {found:?}, want {text:?}", path.display())));
                }
                Ok(path.display().to_string())
            }
            Step::Vmstat { item, from, to } => vmstat::check(item, *from..=*to),
            Step::Write { path, value } => {
                let path = sysfs::expand(path, |name| self.device(name))?;
                files::write(&path, value)?;
                Ok(path.display().to_string())
            }
            // The report of every step carries the time; the stage turns this one into a mark.
            Step::Mark { .. } => Ok(String::new()),
            Step::KexecLoad { kernel, append, drop } => self.load(kernel, append, drop),
            Step::KexecUnload => kexec::unload().map(silent),
            Step::Run(run) => program::run(run, |name| self.device(name)),
            Step::KexecReboot => match self.rings.held(|| rustix::system::reboot(RebootCommand::Kexec)) {
                Ok(()) => Err(Failure::new("reboot(LINUX_REBOOT_CMD_KEXEC) came back without an error")),
                Err(errno) => Err(Failure::call("reboot(LINUX_REBOOT_CMD_KEXEC)", errno)),
            },
            Step::WriteBar(write) => self.write(write, write.bar),
            Step::WriteConfig(write) => self.write(write, vfio::CONFIG_REGION),
            Step::ReadResource(read) => self.read_resource(read),
            Step::WriteResource(write) => self.write_resource(write),
            Step::SaveConfig { device, fd } => self.save_config(device, fd),
            Step::CheckConfig(check) => self.check_config(check),
            Step::BindIommufdUnwritable { fd, iommufd } => {
                vfio::bind_unwritable(self.names.get(fd)?.as_fd(), self.names.get(iommufd)?.as_fd()).map(silent)
            }
            Step::SetVfToken { fd } => self.set_vf_token(fd),
            Step::BindVf { fd, iommufd } => self.bind_vf(fd, iommufd),
            Step::OpenGroup { device, fd } => self.open_group(device, fd),
            Step::SetContainer { group, iommufd } => self.set_container(group, iommufd),
            Step::GroupDevice { group, device, fd } => self.group_device(group, device, fd),
            Step::Reset { fd } => self.reset(fd),
            Step::HotReset { fd } => self.hot_reset(fd),
            Step::Eventfd { fd } => self.eventfd(fd),
            Step::SetIrqs(set) => self.set_irqs(set),
            Step::UnmaskIntx { fd } => self.unmask_intx(fd),
            Step::Signalled { fd } => self.signalled(fd),
            Step::NotSignalled { fd } => self.not_signalled(fd),
            Step::IrqQuiet(quiet) => self.irq_quiet(quiet),
            Step::Exercise(exercise) => self.exercise(exercise),
            Step::DmaBuf(export) => self.dma_buf(export),
            Step::MapDmaBuf(map) => self.map_dma_buf(map),
            Step::UnmapDmaBuf(map) => self.unmap_dma_buf(map),
            Step::LoadNoKernel => kexec::load_bad().map(silent),
            Step::KexecContend => self.contend(),
            Step::Process(process) => self.process(process),
            Step::In(inside) => self.processes.run(&inside.process, &inside.step),
            Step::Kill { process } => self.processes.kill(process),
            Step::Together { steps } => self.together(steps),
            Step::Observe { .. } => Err(Failure::new("only the stage observes: `observe` is no inner step")),
            Step::Attempt(attempt) => self.attempt(attempt),
            Step::FailNth(fail) => self.fail_nth(fail),
            Step::FailEach(fail) => self.fail_each(fail),
        }
    }

    fn open(&self, name: &str, node: &Path) -> Result<String, Failure> {
        self.names.add(name, files::open(node, OFlags::RDWR)?);
        Ok(node.display().to_string())
    }

    /// The address space that `attach-ioas` gave to a device.
    pub(crate) fn ioas(&self, fd: &str) -> Result<u32, Failure> {
        lock(&self.spaces)
            .get(fd)
            .copied()
            .ok_or_else(|| Failure::new(format!("{fd:?} has no IOAS; attach-ioas first")))
    }

    fn background(self: &Arc<Self>, name: &str, step: &Step) -> Result<(), Failure> {
        if let Some(why) = background::refused(step) {
            return Err(Failure::new(format!("this step cannot run in the background: {why}")));
        }
        let (runner, step) = (self.clone(), step.clone());
        self.threads.start(name, move || runner.run(&step))
    }

    fn process(&self, process: &Process) -> Result<String, Failure> {
        let with = process.with.iter().map(|name| Ok((name.as_str(), self.names.get(name)?)));
        self.processes.start(&process.name, &with.collect::<Result<Vec<_>, Failure>>()?, process.without_rawio)
    }

    fn fails(self: &Arc<Self>, want: &str, step: &Step) -> Result<String, Failure> {
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

    fn load(&self, kernel: &str, append: &str, drop: &[String]) -> Result<String, Failure> {
        if !self.kernels.iter().any(|known| known == kernel) {
            let known = self.kernels.join(", ");
            return Err(Failure::new(format!("the plan has no kernel {kernel:?}; it has: [{known}]")));
        }
        kexec::load(kernel, append, drop)
    }
}

/// The outcome of a step with nothing to tell.
fn silent((): ()) -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn plan() -> Plan {
        let devices = BTreeMap::from([("dut".to_owned(), vec!["1f.7".to_owned(), "1f.7".to_owned()])]);
        Plan { name: "t".into(), devices, kernels: vec!["b".into()], slowness: 1, stages: Vec::new() }
    }

    fn run(runner: &Arc<Runner>, json: &str) -> Result<String, String> {
        let step = serde_json::from_str(json).unwrap();
        runner.run(&step).map_err(|failure| failure.to_string())
    }

    #[test]
    fn fails_wants_the_errno_of_the_step_itself() {
        let plan = plan();
        let runner = Runner::new(&plan, 0);
        run(&runner, r#"{"memfd":{"fd":"m","bytes":16,"seed":1}}"#).unwrap();
        // A memfd is no vfio device and says so; that is the one outcome which passes.
        let read = r#"{"read-bar":{"fd":"m","bar":0,"offset":8,"width":4,"check":"alive"}}"#;
        let fails = |errno: &str, step: &str| format!(r#"{{"fails":{{"errno":"{errno}","step":{step}}}}}"#);
        assert_eq!(run(&runner, &fails("ENOTTY", read)).unwrap(), "VFIO_DEVICE_GET_REGION_INFO of region 0: ENOTTY");
        assert!(run(&runner, &fails("EIO", read)).unwrap_err().ends_with("ENOTTY, want EIO"));
        assert!(run(&runner, &fails("EIOO", read)).unwrap_err().contains("not the name of an errno"));
        let good = r#"{"check-memfd":{"fd":"m","bytes":16,"seed":1}}"#;
        assert_eq!(run(&runner, &fails("EIO", good)).unwrap_err(), "it succeeded, want EIO");
        let wrong = r#"{"check-memfd":{"fd":"m","bytes":16,"seed":2}}"#;
        assert!(run(&runner, &fails("EIO", wrong)).unwrap_err().contains("not the call"));
        let unknown = r#"{"finish":{"session":"s"}}"#;
        assert!(run(&runner, &fails("ENOENT", unknown)).unwrap_err().contains("no fd or session is named"));
    }

    #[test]
    fn names_of_the_plan_are_checked() {
        let plan = plan();
        let runner = Runner::new(&plan, 0);
        let text = run(&runner, r#"{"unbind":{"device":"dup"}}"#).unwrap_err();
        assert_eq!(text, r#"the plan has no device "dup"; it has: [dut]"#);
        let text = run(&runner, r#"{"write":{"path":"{dup}/x","value":"1"}}"#).unwrap_err();
        assert!(text.contains("no device \"dup\""), "{text}");
        let text = run(&runner, r#"{"kexec-load":{"kernel":"c"}}"#).unwrap_err();
        assert_eq!(text, r#"the plan has no kernel "c"; it has: [b]"#);
        run(&runner, r#"{"memfd":{"fd":"m","bytes":1,"seed":1}}"#).unwrap();
        let text = run(&runner, r#"{"memfd":{"fd":"m","bytes":1,"seed":1}}"#).unwrap_err();
        assert!(text.contains("is taken"), "{text}");
    }
}
