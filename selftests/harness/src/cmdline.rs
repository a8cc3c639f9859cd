// SPDX-License-Identifier: GPL-2.0-only

//! QEMU's arguments and the first kernel's command line.
//!
//! Emulation is always TCG: a `/dev/kvm` that exists does not mean that kernels boot on it.

use camino::{Utf8Path, Utf8PathBuf};
use plan::HOP_PARAM;

use crate::devices::{Added, Netdev, Reference, escape};
use crate::topology::{Firmware, Iommu, PlaceKind, Topology};
use crate::translation;

/// A machine to start.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// IOMMU, CPUs and devices.
    pub topology: &'a Topology,
    /// Its memory, in QEMU's notation.
    pub memory: &'a str,
    /// The first kernel.
    pub kernel: &'a Utf8Path,
    /// The initramfs.
    pub initrd: &'a Utf8Path,
    /// The first kernel's command line.
    pub append: &'a str,
    /// A file that is to be the guest's memory, so that we can reach into it; it is created.
    pub memory_file: Option<&'a Utf8Path>,
    /// Whether DMA is witnessed, for which QEMU has a network backend that sends back what it gets.
    pub witnessed: bool,
    /// Where QEMU is to log what its IOMMU does, if that is of interest.
    pub trace: Option<&'a Utf8Path>,
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
    /// Where the sockets lie through which network cards get their [frames](crate::frames).
    pub frames: Utf8PathBuf,
}

impl Channels {
    /// Names in a directory.
    pub fn below(directory: &Utf8Path) -> Self {
        Self {
            console: directory.join("console"),
            result: directory.join("result"),
            qmp: directory.join("qmp"),
            frames: directory.to_owned(),
        }
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
    let memory = machine.memory;
    if let Some(file) = machine.memory_file {
        add("-object", &format!("memory-backend-file,id=ram,size={memory},mem-path={},share=on", escape(file)));
        add("-M", "q35,kernel-irqchip=split,memory-backend=ram");
    } else {
        add("-M", "q35,kernel-irqchip=split");
    }
    // One thread for all CPUs, in turn: with a thread for each, QEMU 10.0 aborts now and then (`iotlb_to_section`) when one CPU
    // moves the BAR that another is just reading. Counting instructions implies it.
    add("-accel", if machine.exact { "tcg" } else { "tcg,thread=single" });
    add("-cpu", "max");
    add("-m", memory);
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
    if topology.firmware == Firmware::Qboot {
        add("-bios", "qboot.rom");
    }
    if topology.hotplug {
        // PCIe hot-plug, as on servers, and not QEMU's own by ACPI.
        add("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off");
    }
    if machine.witnessed {
        for argument in Reference::of(&channels.frames).arguments() {
            add("-netdev", &argument);
        }
    }
    for (option, value) in machine.trace.into_iter().flat_map(translation::arguments) {
        add(option, &value);
    }
    // Before the devices that it serves.
    if let Some(iommu) = iommu_device(topology.iommu) {
        add("-device", &iommu);
    }
    for place in topology.places.iter().filter(|place| place.present) {
        if let PlaceKind::Device { frames: Some(_), .. } = place.kind {
            add("-netdev", &Netdev::of(place, &channels.frames).argument());
        }
        add("-device", &Added::of(place).argument());
    }
    args
}

fn iommu_device(mode: Iommu) -> Option<String> {
    // Interrupts are remapped for the x2APIC in scalable mode, as on the machines that have it, and for the xAPIC in legacy mode, which is
    // what QEMU does by itself under TCG.
    let extra = match mode {
        Iommu::None => return None,
        Iommu::Legacy => "",
        Iommu::Scalable => ",eim=on,x-scalable-mode=on",
        Iommu::FirstStage => ",eim=on,x-scalable-mode=on,x-flts=on",
    };
    Some(format!("intel-iommu,intremap=on,caching-mode=on{extra}"))
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
    use crate::testing::topology;

    const TWO: &str = "[{ id: dut, model: igb }, { id: dut1, model: virtio-net }]";

    fn line_of(topology: &Topology, exact: bool, memory_file: Option<&Utf8Path>) -> String {
        let (kernel, initrd) = (Utf8Path::new("bz"), Utf8Path::new("a,b"));
        let memory = &topology.memory;
        let machine = Machine {
            topology,
            memory,
            memory_file,
            kernel,
            initrd,
            append: "APPEND",
            witnessed: false,
            trace: None,
            exact,
        };
        arguments(&machine, &Channels::below(Utf8Path::new("t"))).join(" ")
    }

    fn line(iommu: &str, exact: bool) -> String {
        line_of(&topology(&format!("iommu: {iommu}\ndevices: {TWO}")), exact, None)
    }

    #[test]
    fn a_whole_line() {
        insta::assert_snapshot!(line("legacy", false).replace(" -", "\n-"), @"
        -nodefaults
        -no-user-config
        -no-reboot
        -display none
        -M q35,kernel-irqchip=split
        -accel tcg,thread=single
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
        let legacy = line("legacy", false);
        assert_eq!(
            line("scalable", false),
            legacy.replace("caching-mode=on", "caching-mode=on,eim=on,x-scalable-mode=on")
        );
        assert_eq!(
            line("first-stage", false),
            legacy.replace("caching-mode=on", "caching-mode=on,eim=on,x-scalable-mode=on,x-flts=on")
        );
        assert!(!line("none", false).contains("intel-iommu"));
    }

    #[test]
    fn nested_and_pluggable() {
        let topology = topology(
            "
iommu: none
firmware: qboot
bridges:
  - { id: rp, model: root-port, bus-reserve: 8 }
  - { id: up, model: upstream, behind: rp }
  - { id: down, model: downstream, behind: up }
  - { id: hp, model: root-port }
  - { id: conv, model: pci-bridge, behind: hp, plugged: false }
devices:
  - { id: dut, model: igb, behind: down, count: 2 }
  - { id: many, model: igb, behind: up, count: 2 }
  - { id: one, model: virtio-net-ats, frames: { rate: 200 } }
  - { id: late, model: igb, behind: conv, frames: { rate: 1 } }
",
        );
        let line = line_of(&topology, false, Some(Utf8Path::new("m,m")));
        let (_, devices) = line.split_once("mode=control ").unwrap();
        insta::assert_snapshot!(devices.replace(" -", "\n-"), @r"
        -bios qboot.rom
        -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off
        -device pcie-root-port,id=rp,bus=pcie.0,addr=03.0,chassis=1,slot=1,bus-reserve=8
        -device x3130-upstream,id=up,bus=rp
        -device xio3130-downstream,id=down,bus=up,chassis=2,slot=2
        -device pcie-root-port,id=hp,bus=pcie.0,addr=04.0,chassis=3,slot=3
        -device igb,romfile=,id=dut,bus=down,addr=00.0,multifunction=on,x-pcie-ari-nextfn-1=on
        -device igb,romfile=,id=dut1,bus=down,addr=00.1,multifunction=on
        -device xio3130-downstream,id=port0,bus=up,addr=01.0,chassis=4,slot=4
        -device igb,romfile=,id=many,bus=port0
        -device xio3130-downstream,id=port1,bus=up,addr=02.0,chassis=5,slot=5
        -device igb,romfile=,id=many1,bus=port1
        -device pcie-root-port,id=port2,bus=pcie.0,addr=05.0,chassis=6,slot=6
        -netdev dgram,id=one-net,local.type=unix,local.path=t/q-one,remote.type=unix,remote.path=t/h-one
        -device virtio-net-pci,disable-legacy=on,iommu_platform=on,ats=on,romfile=,id=one,bus=port2,netdev=one-net
        ");
        assert!(line.contains("-object memory-backend-file,id=ram,size=1G,mem-path=m,,m,share=on -M q35,kernel-irqchip=split,memory-backend=ram "), "{line}");
        let plugged: Vec<_> = topology.subtree("conv").into_iter().map(|place| Added::of(place).qmp()).collect();
        insta::assert_snapshot!(serde_json::to_string(&plugged).unwrap(), @r#"[{"bus":"hp","driver":"pcie-pci-bridge","id":"conv"},{"addr":"01.0","bus":"conv","driver":"igb","id":"late","netdev":"late-net","romfile":""}]"#);
    }

    #[test]
    fn who_watches_is_told() {
        let topology = topology("iommu: none\ndevices: [{ id: dut, model: igb, frames: { rate: 200 } }]");
        let (kernel, initrd) = (Utf8Path::new("bz"), Utf8Path::new("i"));
        let machine = Machine {
            topology: &topology,
            memory: &topology.memory,
            memory_file: None,
            kernel,
            initrd,
            append: "APPEND",
            witnessed: true,
            trace: Some(Utf8Path::new("l")),
            exact: false,
        };
        let line = arguments(&machine, &Channels::below(Utf8Path::new("t"))).join(" ");
        insta::assert_snapshot!(line.split_once("mode=control ").unwrap().1.replace(" -", "\n-"), @r"
        -netdev dgram,id=reference,local.type=unix,local.path=t/q-reference,remote.type=unix,remote.path=t/h-reference
        -netdev hubport,id=reference-hub,hubid=0,netdev=reference
        -netdev dgram,id=echo,local.type=unix,local.path=t/q-echo,remote.type=unix,remote.path=t/h-echo
        -netdev hubport,id=echo-hub,hubid=0,netdev=echo
        -trace enable=vtd_dmar_enable
        -trace enable=vtd_dmar_fault
        -trace enable=vtd_reg_dmar_root
        -trace enable=vtd_fault_disabled
        -trace enable=vtd_ir_enable
        -trace enable=vtd_reg_ir_root
        -msg timestamp=on
        -D l
        -device pcie-root-port,id=port0,bus=pcie.0,addr=03.0,chassis=1,slot=1
        -netdev dgram,id=dut-net,local.type=unix,local.path=t/q-dut,remote.type=unix,remote.path=t/h-dut
        -device igb,romfile=,id=dut,bus=port0,netdev=dut-net
        ");
    }

    #[test]
    fn exact_runs_have_one_cpu_and_a_fixed_seed() {
        let line = line("legacy", true);
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
