// SPDX-License-Identifier: GPL-2.0-only

//! QEMU's arguments and the first kernel's command line.
//!
//! Emulation is always TCG: a `/dev/kvm` that exists does not mean that kernels boot on it.

use camino::{Utf8Path, Utf8PathBuf};
use plan::HOP_PARAM;

use crate::topology::{Iommu, Model, Topology};

/// A machine to start.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// IOMMU, CPUs and devices.
    pub topology: &'a Topology,
    /// Instead of the topology's memory.
    pub memory: Option<&'a str>,
    /// The first kernel.
    pub kernel: &'a Utf8Path,
    /// The initramfs.
    pub initrd: &'a Utf8Path,
    /// The first kernel's command line.
    pub append: &'a str,
    /// Count instructions instead of time: one CPU, one tick per instruction, and two runs give the same numbers.
    pub exact: bool,
}

/// The files through which QEMU and we speak.
///
/// The serial ports are FIFOs and no sockets: QEMU sends byte by byte, and a socket that holds some 280 bytes which nobody
/// has read is full; QEMU's serial port gives up on a byte that it cannot get rid of soon.
#[derive(Clone, Debug)]
pub struct Channels {
    /// FIFO of the first serial port: the kernels' console.
    pub console: Utf8PathBuf,
    /// FIFO of the second serial port: the guest's reports.
    pub result: Utf8PathBuf,
    /// Unix socket of QEMU's control channel; we listen and QEMU connects.
    pub qmp: Utf8PathBuf,
}

impl Channels {
    /// Three names in a directory.
    pub fn below(directory: &Utf8Path) -> Self {
        Self { console: directory.join("console"), result: directory.join("result"), qmp: directory.join("qmp") }
    }

    /// The values of QEMU's `-chardev`, with the ids `console`, `result` and `qmp`.
    pub fn chardevs(&self) -> [String; 3] {
        let file = |id: &str, path| format!("file,id={id},path={}", escape(path));
        let socket = format!("socket,id=qmp,path={}", escape(&self.qmp));
        [file("console", &self.console), file("result", &self.result), socket]
    }
}

/// QEMU's arguments.
pub fn arguments(machine: &Machine<'_>, channels: &Channels) -> Vec<String> {
    let topology = machine.topology;
    let cpus = if machine.exact { 1 } else { topology.cpus };
    let mut args = Vec::new();
    let mut add = |option: &str, value: &str| {
        args.push(option.to_owned());
        if !value.is_empty() {
            args.push(value.to_owned());
        }
    };
    add("-nodefaults", "");
    add("-no-user-config", "");
    add("-no-reboot", "");
    add("-display", "none");
    add("-M", "q35,kernel-irqchip=split");
    add("-accel", "tcg");
    add("-cpu", "max");
    add("-m", machine.memory.unwrap_or(&topology.memory));
    add("-smp", &cpus.to_string());
    if machine.exact {
        add("-icount", "shift=0,sleep=off");
        add("-rtc", "base=2026-01-01T00:00:00,clock=vm");
        add("-seed", "1");
    }
    add("-kernel", machine.kernel.as_str());
    add("-initrd", &escape(machine.initrd));
    add("-append", machine.append);
    for argument in channels.chardevs() {
        add("-chardev", &argument);
    }
    add("-serial", "chardev:console");
    add("-serial", "chardev:result");
    add("-mon", "chardev=qmp,mode=control");
    // Before the devices that it serves.
    if let Some(iommu) = iommu_device(topology.iommu) {
        add("-device", &iommu);
    }
    for (index, (address, device)) in topology.ports().enumerate() {
        let port = format!("port{index}");
        add("-device", &format!("pcie-root-port,id={port},bus=pcie.0,addr={address},chassis={0},slot={0}", index + 1));
        add("-device", &format!("{},id={},bus={port}", model(device.model), device.id));
    }
    args
}

/// Commas separate options; a doubled one stands for itself.
fn escape(path: &Utf8Path) -> String {
    path.as_str().replace(',', ",,")
}

fn iommu_device(mode: Iommu) -> Option<String> {
    let extra = match mode {
        Iommu::None => return None,
        Iommu::Legacy => "",
        Iommu::Scalable => ",x-scalable-mode=on",
        Iommu::FirstStage => ",x-scalable-mode=on,x-flts=on",
    };
    Some(format!("intel-iommu,intremap=on,caching-mode=on{extra}"))
}

/// Without their option ROMs, which only cost time.
fn model(model: Model) -> &'static str {
    match model {
        Model::Igb => "igb,romfile=",
        Model::VirtioNet => "virtio-net-pci,disable-legacy=on,iommu_platform=on,romfile=",
    }
}

/// The first kernel's command line. The later ones inherit it, with the hop counted up.
///
/// - `panic=-1 oops=panic`: the first sign of trouble ends the VM; together with QEMU's `-no-reboot`, at once.
/// - `nokaslr`: addresses in a hang report can be named.
/// - `no_timer_check`: the check counts timer interrupts against the time stamp counter, which under TCG runs on while the host gives its
///   CPU to somebody else; on a loaded host it panics a healthy kernel.
/// - `retain_initrd`: the guest hands the initramfs on.
/// - `earlyprintk`: a kernel that dies before its console works is still heard. Not when time is measured; nor is
///   anything else printed then.
pub fn kernel_parameters(iommu: Iommu, exact: bool, extra: &[&str]) -> String {
    let mut words = vec!["console=ttyS0"];
    words.push(if exact { "quiet" } else { "earlyprintk=ttyS0,115200" });
    words.extend([
        "panic=-1",
        "oops=panic",
        "nokaslr",
        "no_timer_check",
        "retain_initrd",
        "rdinit=/init",
        "kho=on",
        "liveupdate=on",
    ]);
    words.extend(match iommu {
        Iommu::None => None,
        Iommu::Legacy => Some("intel_iommu=on,sm_off"),
        Iommu::Scalable | Iommu::FirstStage => Some("intel_iommu=on,sm_on"),
    });
    let hop = format!("{HOP_PARAM}=0");
    words.push(&hop);
    words.extend(extra.iter().map(|word| word.trim()).filter(|word| !word.is_empty()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Device;

    fn topology(iommu: Iommu) -> Topology {
        let devices =
            vec![Device { id: "dut".into(), model: Model::Igb }, Device { id: "dut1".into(), model: Model::VirtioNet }];
        Topology { iommu, memory: "1G".into(), cpus: 2, devices }
    }

    fn line(iommu: Iommu, exact: bool) -> String {
        let topology = topology(iommu);
        let (kernel, initrd) = (Utf8Path::new("bz"), Utf8Path::new("a,b"));
        let machine = Machine { topology: &topology, memory: None, kernel, initrd, append: "APPEND", exact };
        arguments(&machine, &Channels::below(Utf8Path::new("t"))).join(" ")
    }

    #[test]
    fn a_whole_line() {
        insta::assert_snapshot!(line(Iommu::Legacy, false).replace(" -", "\n-"), @"
        -nodefaults
        -no-user-config
        -no-reboot
        -display none
        -M q35,kernel-irqchip=split
        -accel tcg
        -cpu max
        -m 1G
        -smp 2
        -kernel bz
        -initrd a,,b
        -append APPEND
        -chardev file,id=console,path=t/console
        -chardev file,id=result,path=t/result
        -chardev socket,id=qmp,path=t/qmp
        -serial chardev:console
        -serial chardev:result
        -mon chardev=qmp,mode=control
        -device intel-iommu,intremap=on,caching-mode=on
        -device pcie-root-port,id=port0,bus=pcie.0,addr=03.0,chassis=1,slot=1
        -device igb,romfile=,id=dut,bus=port0
        -device pcie-root-port,id=port1,bus=pcie.0,addr=04.0,chassis=2,slot=2
        -device virtio-net-pci,disable-legacy=on,iommu_platform=on,romfile=,id=dut1,bus=port1
        ");
    }

    #[test]
    fn iommu_modes_differ_only_there() {
        let legacy = line(Iommu::Legacy, false);
        assert_eq!(
            line(Iommu::Scalable, false),
            legacy.replace("caching-mode=on", "caching-mode=on,x-scalable-mode=on")
        );
        assert_eq!(
            line(Iommu::FirstStage, false),
            legacy.replace("caching-mode=on", "caching-mode=on,x-scalable-mode=on,x-flts=on")
        );
        assert!(!line(Iommu::None, false).contains("intel-iommu"));
    }

    #[test]
    fn exact_runs_have_one_cpu_and_a_fixed_seed() {
        let line = line(Iommu::Legacy, true);
        for part in ["-smp 1 ", "-icount shift=0,sleep=off", "clock=vm", "-seed 1 "] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn parameters() {
        insta::assert_snapshot!(kernel_parameters(Iommu::Scalable, false, &["pci=nomsi ", "", "kunit.enable=1"]), @"console=ttyS0 earlyprintk=ttyS0,115200 panic=-1 oops=panic nokaslr no_timer_check retain_initrd rdinit=/init kho=on liveupdate=on intel_iommu=on,sm_on phasectl.hop=0 pci=nomsi kunit.enable=1");
        insta::assert_snapshot!(kernel_parameters(Iommu::None, true, &[]), @"console=ttyS0 quiet panic=-1 oops=panic nokaslr no_timer_check retain_initrd rdinit=/init kho=on liveupdate=on phasectl.hop=0");
    }
}
