// SPDX-License-Identifier: GPL-2.0-only

//! What the guest does.
//!
//! Steps are small and speak the field's terms. Anything that refers to an open file or a session does so by a name
//! that an earlier step of the same stage gave it; nothing but the devices' names crosses a kexec.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything init needs to know.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the scenario and case, for the log.
    pub name: String,
    /// Devices by their name in the topology: the path from the root bus, one `DD.F` (device and function number, hexadecimal) per hop,
    /// for example `["03.0", "00.0"]` for what sits behind root port 00:03.0. Bus numbers are the kernel's business, so they are
    /// looked up in sysfs along this path.
    pub devices: BTreeMap<String, Vec<String>>,
    /// Names of the kernels in [`KERNEL_DIR`](crate::KERNEL_DIR).
    pub kernels: Vec<String>,
    /// Stage 0 runs in the first kernel, stage N after the Nth kexec.
    pub stages: Vec<Stage>,
}

/// What one kernel of the run does.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Executed in order; the first that fails ends the stage.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One action and what it must give.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
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
        /// Name of the kernel in [`Plan::kernels`].
        kernel: String,
        /// Appended to the command line of the next kernel.
        #[serde(default)]
        append: String,
    },
    /// `kexec_file_load` with no kernel: unloads.
    KexecUnload,
    /// `reboot(LINUX_REBOOT_CMD_KEXEC)`. Everything is left open, as a live-update agent does. Comes back only on failure.
    KexecReboot,
}

/// A read through a vfio fd.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BarRead {
    /// The vfio device fd.
    pub fd: String,
    /// Number of the BAR; ignored for config space.
    #[serde(default)]
    pub bar: u32,
    /// Offset in bytes.
    pub offset: u64,
    /// 1, 2, 4 or 8 bytes.
    pub width: u32,
    /// What the value must be.
    pub check: Check,
}

/// What a value must be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Check {
    /// `value & mask == want & mask`.
    Equals {
        /// The wanted value.
        want: u64,
        /// Which bits count.
        #[serde(default = "all_bits")]
        mask: u64,
    },
    /// Neither zero nor all ones, the two things an absent device or a switched-off decoder gives.
    Alive,
}

fn all_bits() -> u64 {
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

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
                check: Check::Equals { want: 3, mask: all_bits() },
            })),
        };
        let text = serde_json::to_string(&step).expect("serialises");
        assert_eq!(serde_json::from_str::<Step>(&text).expect("parses"), step);
    }
}
