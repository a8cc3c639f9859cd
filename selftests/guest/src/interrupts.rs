// SPDX-License-Identifier: GPL-2.0-only

//! Interrupts of a vfio device, the eventfds that tell of them, and what `/proc/interrupts` counts.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::Duration;

use plan::{IrqKind, IrqQuiet, SetIrqs};
use rustix::event::EventfdFlags;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, opcode};

use crate::failure::Failure;
use crate::files;
use crate::ioctl::{self, Argument};
use crate::steps::Runner;
use crate::vfio::{BASE, TYPE};
use crate::wait;

/// Vectors that a step can set up.
const MOST: usize = 8;
const DATA_NONE: u32 = 1 << 0;
const DATA_EVENTFD: u32 = 1 << 2;
const ACTION_UNMASK: u32 = 1 << 4;
const ACTION_TRIGGER: u32 = 1 << 5;
/// How long an eventfd is watched that is to stay silent.
const STILL: Duration = Duration::from_millis(300);
const INTERRUPTS: &str = "/proc/interrupts";

/// `struct vfio_irq_set` with room for some eventfds.
#[repr(C)]
struct IrqSet {
    argsz: u32,
    flags: u32,
    index: u32,
    start: u32,
    count: u32,
    eventfds: [i32; MOST],
}

// SAFETY: The structure's fields are those of the header, with the data behind them, integers all; the kernel only reads it.
unsafe impl Argument for IrqSet {
    const OPCODE: Opcode = opcode::none(TYPE, BASE + 10);
    const NAME: &'static str = "VFIO_DEVICE_SET_IRQS";
}

/// `VFIO_PCI_*_IRQ_INDEX`.
fn index(kind: IrqKind) -> u32 {
    match kind {
        IrqKind::Intx => 0,
        IrqKind::Msi => 1,
        IrqKind::Msix => 2,
    }
}

fn set(device: BorrowedFd<'_>, kind: IrqKind, flags: u32, count: u32, eventfds: [i32; MOST]) -> Result<(), Failure> {
    let argsz = ioctl::size::<IrqSet>();
    let mut argument = IrqSet { argsz, flags, index: index(kind), start: 0, count, eventfds };
    ioctl::call(device, &mut argument).map_err(|errno| Failure::call(IrqSet::NAME, errno))
}

impl Runner {
    /// `set-irqs`.
    pub(crate) fn set_irqs(&self, step: &SetIrqs) -> Result<String, Failure> {
        let device = self.names.get(&step.fd)?;
        let mut numbers = [-1; MOST];
        let eventfds = step.eventfds.iter().map(|name| self.names.get(name)).collect::<Result<Vec<_>, _>>()?;
        if eventfds.len() > MOST {
            return Err(Failure::new(format!("{} eventfds: at most {MOST} fit", eventfds.len())));
        }
        for (number, eventfd) in numbers.iter_mut().zip(&eventfds) {
            *number = eventfd.as_raw_fd();
        }
        let data = if eventfds.is_empty() { DATA_NONE } else { DATA_EVENTFD };
        set(device.as_fd(), step.kind, data | ACTION_TRIGGER, eventfds.len() as u32, numbers)?;
        Ok(String::new())
    }

    /// `unmask-intx`.
    pub(crate) fn unmask_intx(&self, fd: &str) -> Result<String, Failure> {
        set(self.names.get(fd)?.as_fd(), IrqKind::Intx, DATA_NONE | ACTION_UNMASK, 1, [-1; MOST])?;
        Ok(String::new())
    }

    /// `eventfd`.
    pub(crate) fn eventfd(&self, fd: &str) -> Result<String, Failure> {
        self.names.free(fd)?;
        self.names.add(fd, create()?);
        Ok(String::new())
    }

    /// `signalled`.
    pub(crate) fn signalled(&self, fd: &str) -> Result<String, Failure> {
        let eventfd = self.names.get(fd)?;
        match wait::until(wait::LIMIT, || take(eventfd.as_fd()))? {
            Some((signals, time)) => Ok(format!("{signals} signals after {} ms", time.as_millis())),
            None => Err(Failure::new(format!("no signal within {} s", wait::LIMIT.as_secs()))),
        }
    }

    /// `not-signalled`.
    pub(crate) fn not_signalled(&self, fd: &str) -> Result<String, Failure> {
        thread::sleep(STILL);
        match take(self.names.get(fd)?.as_fd())? {
            None => Ok(String::new()),
            Some(signals) => Err(Failure::new(format!("{signals} signals, want none"))),
        }
    }

    /// `irq-quiet`.
    pub(crate) fn irq_quiet(&self, step: &IrqQuiet) -> Result<String, Failure> {
        let irq = files::read_trimmed(&self.device(&step.device)?.join("irq"))?;
        let before = count(&irq)?;
        thread::sleep(Duration::from_millis(step.ms));
        let after = count(&irq)?;
        let detail = format!("line {irq}: {before}, {} ms later {after}", step.ms);
        if after.saturating_sub(before) > step.at_most {
            return Err(Failure::new(format!("{detail}; at most {} may come", step.at_most)));
        }
        Ok(detail)
    }
}

fn create() -> Result<OwnedFd, Failure> {
    rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|errno| Failure::call("eventfd", errno))
}

/// How often it was signalled since the last time; `None` if not at all.
fn take(eventfd: BorrowedFd<'_>) -> Result<Option<u64>, Failure> {
    let mut count = [0; 8];
    match rustix::io::read(eventfd, &mut count) {
        Ok(8) => Ok(Some(u64::from_ne_bytes(count))),
        Ok(n) => Err(Failure::new(format!("the eventfd gave {n} bytes"))),
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(Failure::call("read of the eventfd", errno)),
    }
}

/// How often all CPUs together were interrupted by a line.
fn count(irq: &str) -> Result<u64, Failure> {
    let table = files::read_trimmed(Path::new(INTERRUPTS))?;
    sum(&table, irq).ok_or_else(|| {
        Failure::new(format!("nobody uses line {irq}, so nobody would hear it; name a device whose driver does"))
    })
}

/// The line of an interrupt is its number and a colon, a count for each CPU, and words.
fn sum(table: &str, irq: &str) -> Option<u64> {
    let (_, counts) = table.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == irq))?;
    Some(counts.split_ascii_whitespace().map_while(|word| word.parse::<u64>().ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_and_its_code_are_those_of_the_header() {
        assert_eq!(std::mem::offset_of!(IrqSet, eventfds), 20);
        assert_eq!(IrqSet::OPCODE, 0x3b6e);
    }

    #[test]
    fn signals_are_counted_and_taken() {
        let eventfd = create().unwrap();
        assert_eq!(take(eventfd.as_fd()).unwrap(), None);
        for _ in 0..2 {
            rustix::io::write(&eventfd, &1_u64.to_ne_bytes()).unwrap();
        }
        assert_eq!(take(eventfd.as_fd()).unwrap(), Some(2));
        assert_eq!(take(eventfd.as_fd()).unwrap(), None);
    }

    #[test]
    fn interrupts_of_all_cpus_are_summed() {
        let table = "           CPU0       CPU1
  4:        700         25  IR-IO-APIC    4-edge      ttyS0
 24:          3          0  PCI-MSIX-0000:01:00.0    0-edge      vfio-msix[0](0000:01:00.0)
NMI:          0          0   Non-maskable interrupts";
        assert_eq!(sum(table, "4"), Some(725));
        assert_eq!(sum(table, "24"), Some(3));
        assert_eq!(sum(table, "2"), None);
    }
}
