// SPDX-License-Identifier: GPL-2.0-only

//! A QEMU that emulates nothing: it reads the plan out of the initramfs, and reports that each kernel did what the plan says, but for
//! what the kernels' texts make go wrong. It speaks through the same channels as the real one, so whatever judges a VM judges this.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::net::UnixStream;

use plan::{Event, Outcome, Plan, Step};

/// The arguments, one on each line, in the environment: the rest of the command line is this test's.
pub(crate) const ARGS: &str = "PHASECTL_FAKE_QEMU";
/// The test to run, as the test binary calls it.
pub(crate) const TEST: &str = "qemu::plays_what_kernels_say";

/// Text of a kernel that cannot take anything over.
pub(crate) const FAULT: &str = "FAULT";
/// Text of a kernel that hands devices over.
pub(crate) const HANDLER: &str = "vfio-pci-stopped-v1";
/// Text of a kernel of phase2. A kernel without it gets no life out of a device that one with it has handed over, which no rule says.
pub(crate) const DOMAIN: &str = "domain";

#[test]
#[ignore = "the VM of other tests, which run it as a process"]
fn plays_what_kernels_say() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args: Vec<&str> = args.lines().collect();
    Vm::new(&args).run();
}

struct Vm {
    console: File,
    result: File,
    control: UnixStream,
    plan: Plan,
    /// The texts of the outgoing and the incoming kernel.
    kernels: [String; 2],
}

impl Vm {
    fn new(args: &[&str]) -> Self {
        let option = |name: &str| args[args.iter().position(|arg| *arg == name).unwrap() + 1];
        let channel = |id: &str| {
            let start = format!("id={id},path=");
            args.iter().find_map(|arg| Some(arg.split_once(&start)?.1)).unwrap()
        };
        let initramfs = fs::read(option("-initrd")).unwrap();
        let outgoing = fs::read_to_string(option("-kernel")).unwrap();
        let incoming = String::from_utf8(member(&initramfs, "kernels/incoming").unwrap_or_default()).unwrap();
        Self {
            console: File::options().write(true).open(channel("console")).unwrap(),
            result: File::options().write(true).open(channel("result")).unwrap(),
            control: UnixStream::connect(channel("qmp")).unwrap(),
            plan: serde_json::from_slice(&member(&initramfs, "plan.json").unwrap()).unwrap(),
            kernels: [outgoing, incoming],
        }
    }

    fn run(mut self) {
        self.control.write_all(b"{\"QMP\": {}}\n").unwrap();
        let stages = std::mem::take(&mut self.plan.stages);
        for (hop, stage) in (0..).zip(&stages) {
            writeln!(self.console, "[    0.000000] Linux version 7.3.4").unwrap();
            if hop > 0 {
                writeln!(self.console, "[    0.500000] KHO: found kexec handover data.").unwrap();
            }
            self.tell(&Event::Boot { hop, kernel: "7.3.4".into(), tsc: 0 });
            let well = stage.steps.iter().enumerate().all(|(index, step)| self.step(hop, index, step));
            self.tell(&Event::Done { hop, ok: well });
            if !well {
                break;
            }
            if stage.steps.last() == Some(&Step::KexecReboot) {
                self.tell(&Event::Kexec { hop, tsc: 0 });
                writeln!(self.console, "[    1.000000] kexec_core: Starting new kernel").unwrap();
            }
        }
        let end = "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\n";
        self.control.write_all(end.as_bytes()).unwrap();
    }

    /// Reports a step; tells whether it went well. The jump is reported by what comes after it.
    fn step(&mut self, hop: u32, index: usize, step: &Step) -> bool {
        let ok = match step {
            Step::KexecReboot => return true,
            Step::Observe { name, .. } => {
                let outcome = self.observed(name);
                self.tell(&Event::Observed { hop, name: name.clone(), outcome });
                true
            }
            Step::RetrieveSession { .. } => !self.kernels[1].contains(FAULT),
            _ => true,
        };
        let detail = if ok { "" } else { "EIO" }.to_owned();
        self.tell(&Event::Step { hop, index, what: format!("step {index}"), ok, detail, tsc: 0 });
        ok
    }

    /// How an observation of the matrix ends.
    fn observed(&self, name: &str) -> Outcome {
        let [outgoing, incoming] = &self.kernels;
        let handed = outgoing.contains(HANDLER);
        let refused = handed && !incoming.contains(HANDLER);
        let lifeless = handed && outgoing.contains(DOMAIN) && !incoming.contains(DOMAIN);
        match name {
            "preserve-device" if !handed => Outcome::Errno("ENOENT".into()),
            // No kernel here knows how to hand over an iommufd.
            "preserve-translation" => Outcome::Errno("ENOENT".into()),
            "session" if refused => Outcome::Errno("EIO".into()),
            "running" | "known" => Outcome::Failed,
            "memory" | "memory-intact" | "translation" | "finish" if refused => Outcome::Failed,
            "translation" => Outcome::Errno("ENOENT".into()),
            "device" if !handed => Outcome::Errno("ENOENT".into()),
            "device" | "device-bound" | "device-right" if !handed || refused => Outcome::Failed,
            "device-alive" if !handed || refused || lifeless => Outcome::Failed,
            _ => Outcome::Done,
        }
    }

    fn tell(&mut self, event: &Event) {
        writeln!(self.result, "{}", event.to_line()).unwrap();
    }
}

/// A magic number of six characters and 13 fields of eight.
const HEADER: usize = 110;

/// A file of an initramfs (cpio, `newc`): headers, names and contents, each name and content padded.
fn member(archive: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let mut rest = archive;
    while rest.len() > HEADER {
        let field = |index: usize| {
            let digits = std::str::from_utf8(&rest[6 + 8 * index..14 + 8 * index]).unwrap();
            usize::from_str_radix(digits, 16).unwrap()
        };
        let (size, name_size) = (field(6), field(11));
        let content = (HEADER + name_size).next_multiple_of(4);
        if rest[HEADER..HEADER + name_size - 1] == *wanted.as_bytes() {
            return Some(rest[content..content + size].to_vec());
        }
        rest = &rest[content + size.next_multiple_of(4)..];
    }
    None
}
