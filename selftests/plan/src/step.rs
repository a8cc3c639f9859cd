// SPDX-License-Identifier: GPL-2.0-only

//! What the guest does.
//!
//! Steps are small and speak the field's terms. Anything that refers to an open file or a session does so by a name
//! that an earlier step of the same stage gave it; nothing but the devices' names crosses a kexec.

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, BarRead, BarWrite, CheckConfig, ConfigRead, ConfigWrite, DmaBuf, Exercise, FailEach, FailNth, ForEach,
    HostAction, IgbReceive, IgbReceived, InProcess, Iova, IrqQuiet, MapDmaBuf, Mock, Process, Program, ResourceRead,
    ResourceWrite, Seal, SetIrqs,
};

/// One action and what it must give.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// Binds a device to a driver through `driver_override`; waits for its vfio cdev if the driver is `vfio-pci`.
    Bind {
        /// Device name.
        device: String,
        /// Driver name.
        driver: String,
    },
    /// Unbinds a device from whatever driver it has.
    Unbind {
        /// Device name.
        device: String,
    },
    /// Waits, 20 s at most, until there is a device at this place that drivers may bind.
    WaitFor {
        /// Device name.
        device: String,
    },
    /// Waits, 20 s at most, until there is no device at this place.
    WaitGone {
        /// Device name.
        device: String,
    },
    /// Checks the address that the kernel gave to a device.
    Address {
        /// Device name.
        device: String,
        /// `DDDD:BB:DD.F`, hexadecimal.
        bdf: String,
    },
    /// Checks which driver a device is bound to.
    Driver {
        /// Device name.
        device: String,
        /// The driver; none, if not given.
        #[serde(default)]
        name: Option<String>,
    },
    /// Reads config space through sysfs.
    SysfsConfig(ConfigRead),
    /// Changes config space through sysfs, behind the back of the driver.
    SysfsConfigWrite(ConfigWrite),
    /// Has the host do something and goes on at once.
    Host {
        /// What.
        #[serde(rename = "do")]
        action: HostAction,
    },
    /// Loads a module of this kernel, after those that it needs and that are not there yet. Refused for one that is loaded (`EEXIST`).
    LoadModule {
        /// Its file's name without `.ko`: `vfio-pci`.
        module: String,
        /// Its parameters: `enable_sriov=1 disable_denylist=1`.
        #[serde(default)]
        params: String,
    },
    /// Unloads a module and nothing else. Refused with `EAGAIN` while anything uses it, another module among others.
    UnloadModule {
        /// Its file's name without `.ko`.
        module: String,
    },
    /// Tells how much memory there is and how much the kernel uses. Kernels that do the same one after the other must tell the same,
    /// for as long as the scenario's `expect.growth` says so.
    Growth {
        /// Name of the place in the stage; what is told at one place is compared.
        name: String,
    },
    /// Looks for memory that the kernel has lost, with kmemleak; it takes some seconds, as only what is older counts. The kernel must be one
    /// that has it, such as variant `debug`.
    Kmemleak,
    /// Opens the device's vfio cdev. Nothing is bound to an iommufd yet.
    OpenCdev {
        /// Device name.
        device: String,
        /// Name for the fd.
        fd: String,
    },
    /// Opens a file or device for reading and writing.
    Open {
        /// Path.
        path: String,
        /// Name for the fd.
        fd: String,
    },
    /// Writes a text to an fd in one call.
    WriteFd {
        /// The fd.
        fd: String,
        /// What to write.
        text: String,
    },
    /// Reads from an fd in one call, at most a page; must give this text.
    ReadFd {
        /// The fd.
        fd: String,
        /// What must be read.
        text: String,
    },
    /// Opens `/dev/iommu`.
    OpenIommufd {
        /// Name for the fd.
        fd: String,
    },
    /// `VFIO_DEVICE_BIND_IOMMUFD`: from then on the device fd works.
    BindIommufd {
        /// The vfio device fd.
        fd: String,
        /// The iommufd.
        iommufd: String,
    },
    /// Allocates an IOAS and attaches the bound device to it, so that the IOMMU really translates for the device.
    AttachIoas {
        /// The vfio device fd.
        fd: String,
        /// The iommufd.
        iommufd: String,
        /// Allocates none, but attaches it to that of this vfio device fd: the two share their page tables.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        with: Option<String>,
        /// With entries for the smallest pages only, whatever the memory consists of (`IOMMU_OPTION_HUGE_PAGES`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        small_pages: bool,
    },
    /// Makes a device behind the kernel's own mock IOMMU (`CONFIG_IOMMUFD_TEST`), and attaches it. It goes away with the iommufd.
    MockDevice {
        /// The iommufd.
        iommufd: String,
        /// What it is attached to.
        attached: Mock,
    },
    /// Maps all of a memfd into the I/O address space that `attach-ioas` gave to the device.
    Map {
        /// The vfio device fd.
        fd: String,
        /// The iommufd.
        iommufd: String,
        /// The memfd.
        memory: String,
        /// Where the device sees it; `same` if not given.
        #[serde(default)]
        iova: Option<Iova>,
    },
    /// Maps fresh anonymous memory, which nobody can preserve, into the I/O address space of the device.
    MapAnonymous {
        /// The vfio device fd.
        fd: String,
        /// The iommufd.
        iommufd: String,
        /// Size in bytes.
        bytes: u64,
        /// Where the device sees it.
        iova: u64,
    },
    /// Takes back what is mapped at an address.
    Unmap {
        /// The vfio device fd.
        fd: String,
        /// The iommufd.
        iommufd: String,
        /// Size in bytes.
        bytes: u64,
        /// Where the device sees it.
        iova: u64,
    },
    /// `VFIO_DEVICE_DETACH_IOMMUFD_PT`.
    DetachIoas {
        /// The vfio device fd.
        fd: String,
    },
    /// Gives the pages in a range of a memfd back; what is written there later goes to others.
    PunchHole {
        /// The memfd.
        fd: String,
        /// Where it begins.
        offset: u64,
        /// Size in bytes.
        bytes: u64,
    },
    /// Seals a memfd that can still be sealed.
    Seal {
        /// The memfd.
        fd: String,
        /// What cannot be done with it any more.
        seals: Vec<Seal>,
    },
    /// Starts reception of frames into a memfd.
    IgbReceive(IgbReceive),
    /// Gives used descriptors back to the device from here on, in a ring that an earlier kernel set up.
    IgbResume {
        /// The vfio device fd.
        fd: String,
        /// The memfd.
        memory: String,
    },
    /// Waits until frames have landed.
    IgbReceived(IgbReceived),
    /// Checks that nothing was written to the canary of an `igb-receive`.
    CheckCanary {
        /// The memfd.
        fd: String,
    },
    /// Reads a register of a BAR through the vfio fd.
    ReadBar(BarRead),
    /// Reads `width` bytes of config space through the vfio fd.
    ReadConfig(BarRead),
    /// Checks that a vfio fd belongs to the named device: vendor and device id read through the fd equal sysfs', and the kernel
    /// names the device's place in sysfs for the fd.
    SameDevice {
        /// The vfio device fd.
        fd: String,
        /// Device name.
        device: String,
    },
    /// Creates a memfd of this many bytes and fills it with a pattern derived from `seed`.
    Memfd {
        /// Name for the fd.
        fd: String,
        /// Size in bytes.
        bytes: u64,
        /// Start of the pattern.
        seed: u64,
        /// What cannot be done with it any more once it is filled; nothing but adding seals if not given.
        #[serde(default)]
        seals: Vec<Seal>,
    },
    /// Checks that a memfd holds the pattern.
    CheckMemfd {
        /// The memfd.
        fd: String,
        /// Size in bytes.
        bytes: u64,
        /// Start of the pattern.
        seed: u64,
    },
    /// `LIVEUPDATE_IOCTL_CREATE_SESSION`.
    CreateSession {
        /// Name of the session, for LUO and for later steps.
        session: String,
    },
    /// `LIVEUPDATE_IOCTL_RETRIEVE_SESSION`.
    RetrieveSession {
        /// Name of the session, for LUO and for later steps.
        session: String,
    },
    /// `LIVEUPDATE_SESSION_PRESERVE_FD`.
    Preserve {
        /// The session.
        session: String,
        /// The fd.
        fd: String,
        /// The token under which it is retrieved.
        token: u64,
    },
    /// `LIVEUPDATE_SESSION_RETRIEVE_FD`.
    Retrieve {
        /// The session.
        session: String,
        /// The token under which it was preserved.
        token: u64,
        /// Name for the fd.
        fd: String,
    },
    /// `LIVEUPDATE_SESSION_FINISH`.
    Finish {
        /// The session.
        session: String,
    },
    /// Closes an fd or a session by its name. Closing a session that was not handed over unpreserves its files.
    Close {
        /// The fd's or session's name.
        name: String,
    },
    /// The inner step must fail with this errno, nothing else.
    Fails {
        /// Symbolic name, for example `EBUSY`.
        errno: String,
        /// The step that must fail.
        step: Box<Step>,
    },
    /// Counts what a step takes, from just before it to just after it. Only a step of the stage itself can be timed, and none of
    /// `host`, `mark`, `background` and `kexec-reboot`.
    Timed {
        /// Name of the span, for the report.
        name: String,
        /// The step.
        step: Box<Step>,
    },
    /// Tells from the kernel log of this boot how long something took that is over before init runs: from the first line with one text to the
    /// next one with the other. The log's clock counts microseconds.
    LogSpan {
        /// Name of the span, for the report.
        name: String,
        /// Part of the line where it starts.
        from: String,
        /// Part of the line where it ends.
        to: String,
    },
    /// Executes a step in a thread of its own and goes on. It may give a name to an fd; that counts once it is joined. A kexec or the
    /// end of the stage does not wait for it. Of `host`, `mark`, `kexec-reboot` and these three, none can be executed so.
    Background {
        /// Name for the thread.
        name: String,
        /// The step.
        step: Box<Step>,
    },
    /// Executes a step as soon as a device is no longer master of the bus, which it is until the kernel shuts its devices down. Waits 20 s
    /// for that at most, without a pause.
    WhenStopped {
        /// Device name.
        device: String,
        /// The step.
        step: Box<Step>,
    },
    /// Checks that a background step has not ended, 300 ms from now.
    Running {
        /// The thread.
        name: String,
    },
    /// Waits, 20 s at most, for a background step, which must succeed.
    Join {
        /// The thread.
        name: String,
    },
    /// Lets time pass.
    Sleep {
        /// Milliseconds.
        ms: u64,
    },
    /// Checks the kernel log of this boot.
    Kmsg {
        /// Part of a line.
        text: String,
        /// How many lines must have it; at least one, if not given.
        #[serde(default)]
        count: Option<usize>,
    },
    /// The same steps for several devices. Replaced by what it stands for when a stage is read, so neither host nor
    /// guest meets one: see [`ForEach`].
    ForEach(ForEach),
    /// Reads a file of a line; `{device}` in the path stands for the sysfs directory of that device.
    Read {
        /// Path, with `{name}` replaced by the sysfs directory of the device of that name.
        path: String,
        /// What it must say, without the newline.
        text: String,
    },
    /// Reads a counter of `/proc/vmstat`.
    Vmstat {
        /// Its name.
        item: String,
        /// What it must be at least.
        from: u64,
        /// What it must be at most.
        to: u64,
    },
    /// Writes a value to a file; `{device}` in the path stands for the sysfs directory of that device.
    Write {
        /// Path, with `{name}` replaced by the sysfs directory of the device of that name.
        path: String,
        /// What to write.
        value: String,
    },
    /// Reports the time stamp counter under a name.
    Mark {
        /// The name.
        name: String,
    },
    /// `kexec_file_load` of a kernel with the initramfs of this boot and this boot's command line, the hop counted up.
    KexecLoad {
        /// Name of the kernel in [`Plan::kernels`](crate::Plan::kernels).
        kernel: String,
        /// Appended to the command line of the next kernel.
        #[serde(default)]
        append: String,
        /// Words that the next kernel's command line does not inherit. Each must be on this boot's.
        #[serde(default)]
        drop: Vec<String>,
    },
    /// `kexec_file_load` with no kernel: unloads.
    KexecUnload,
    /// `reboot(LINUX_REBOOT_CMD_KEXEC)`. Everything is left open, as a live-update agent does. Comes back only on failure.
    KexecReboot,
    /// Runs a program and holds it to its results.
    Run(Program),
    /// Writes a register of a BAR through the vfio fd.
    WriteBar(BarWrite),
    /// Writes `width` bytes of config space through the vfio fd.
    WriteConfig(BarWrite),
    /// Reads a register of a BAR through sysfs.
    ReadResource(ResourceRead),
    /// Writes a register of a BAR through sysfs.
    WriteResource(ResourceWrite),
    /// Reads all of a device's config space through sysfs into a memfd, which can be preserved like any other.
    SaveConfig {
        /// Device name.
        device: String,
        /// Name for the memfd.
        fd: String,
    },
    /// Compares a device's config space with what was saved.
    CheckConfig(CheckConfig),
    /// `BIND_IOMMUFD` with an argument that the kernel cannot write to: it fails at the very end, with `EFAULT`.
    BindIommufdUnwritable {
        /// The vfio device fd.
        fd: String,
        /// The iommufd.
        iommufd: String,
    },
    /// Sets the token that the virtual functions of a device want (`VFIO_DEVICE_FEATURE_PCI_VF_TOKEN`): always the same one.
    SetVfToken {
        /// The vfio device fd of the physical function.
        fd: String,
    },
    /// `VFIO_DEVICE_BIND_IOMMUFD` of a virtual function, with that token.
    BindVf {
        /// The vfio device fd.
        fd: String,
        /// The iommufd.
        iommufd: String,
    },
    /// Opens the node of the device's group: `/dev/vfio/N`, or `noiommu-N` there.
    OpenGroup {
        /// Device name.
        device: String,
        /// Name for the fd.
        fd: String,
    },
    /// `VFIO_GROUP_SET_CONTAINER`, with an iommufd for the container.
    SetContainer {
        /// The group.
        group: String,
        /// The iommufd.
        iommufd: String,
    },
    /// `VFIO_GROUP_GET_DEVICE_FD`.
    GroupDevice {
        /// The group.
        group: String,
        /// Device name.
        device: String,
        /// Name for the vfio device fd.
        fd: String,
    },
    /// `VFIO_DEVICE_RESET`.
    Reset {
        /// The vfio device fd.
        fd: String,
    },
    /// `VFIO_DEVICE_PCI_HOT_RESET`: resets everything on the device's bus or in its slot.
    HotReset {
        /// The vfio device fd.
        fd: String,
    },
    /// Creates an eventfd.
    Eventfd {
        /// Name for the fd.
        fd: String,
    },
    /// Sets interrupts up, or switches them off.
    SetIrqs(SetIrqs),
    /// Lets the line interrupt again, as it must be let after each time.
    UnmaskIntx {
        /// The vfio device fd.
        fd: String,
    },
    /// Waits, 20 s at most, until an eventfd was signalled, and takes the signal.
    Signalled {
        /// The eventfd.
        fd: String,
    },
    /// Checks that an eventfd is not signalled, 300 ms from now.
    NotSignalled {
        /// The eventfd.
        fd: String,
    },
    /// Checks that the device's line does not scream.
    IrqQuiet(IrqQuiet),
    /// Uses a device for some time.
    Exercise(Exercise),
    /// Exports part of a BAR.
    DmaBuf(DmaBuf),
    /// Maps a dma-buf for a device.
    MapDmaBuf(MapDmaBuf),
    /// Takes that mapping back.
    UnmapDmaBuf(MapDmaBuf),
    /// `kexec_file_load` of a file that is no kernel, which must fail with `ENOEXEC`; whatever was loaded before stays.
    LoadNoKernel,
    /// Calls `reboot(LINUX_REBOOT_CMD_KEXEC)`, with no kernel loaded, while a thread loads one again and again, with a mistake that is
    /// noticed late. Ends well when the call came back with `EBUSY` because the loader was at it; other calls must give `EINVAL`.
    KexecContend,
    /// Starts another process.
    Process(Process),
    /// Has another process execute a step.
    In(InProcess),
    /// Kills another process (`SIGKILL`) and waits for its end. All that it had open is closed then.
    Kill {
        /// The process.
        process: String,
    },
    /// Executes steps at the same moment, each in a thread of its own. Each must do what it is to do.
    Together {
        /// The steps.
        steps: Vec<Step>,
    },
    /// A step that may fail.
    Attempt(Attempt),
    /// A step that may end in any way: how it did is reported, and the stage goes on. Only a step of the stage itself can be observed, and
    /// none of `host`, `mark`, `background` and `kexec-reboot`. What a later step needs of it may be missing then, so that one is better
    /// observed too.
    Observe {
        /// Name of what is observed, for the report.
        name: String,
        /// The step.
        step: Box<Step>,
    },
    /// Makes one allocation fail during a step.
    FailNth(FailNth),
    /// Makes each allocation fail in turn.
    FailEach(FailEach),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Check;

    #[test]
    fn unknown_fields_are_refused() {
        let text = r#"{"preserve":{"session":"s","fd":"dut","token":1,"tokn":2}}"#;
        let error = serde_json::from_str::<Step>(text).expect_err("a typo must not pass").to_string();
        assert!(error.contains("tokn"), "{error}");
    }

    #[test]
    fn a_step_round_trips() {
        let step = Step::Fails {
            errno: "EBUSY".into(),
            step: Box::new(Step::ReadBar(BarRead {
                fd: "dut".into(),
                bar: 0,
                offset: 8,
                width: 4,
                check: Check::Equals { want: 3, mask: u64::MAX },
            })),
        };
        let text = serde_json::to_string(&step).expect("serialises");
        assert_eq!(serde_json::from_str::<Step>(&text).expect("parses"), step);
    }
}
