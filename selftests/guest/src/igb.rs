// SPDX-License-Identifier: GPL-2.0-only

//! The registers of an igb that make it receive, through a vfio fd (82576 datasheet, 4.5.9 and 8).
//!
//! Order matters because the device may still be running for an earlier kernel: reception is stopped first, bus mastering is switched
//! on when the ring's address is in place, and the link comes up last. QEMU's model holds frames back while it cannot
//! deliver them, so whatever was sent before lands then.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::failure::Failure;
use crate::vfio;
use crate::wait;

const BAR: u32 = 0;
const STATUS: u64 = 0x0008;
const STATUS_LINK_UP: u64 = 1 << 1;
const CTRL: u64 = 0x0000;
const CTRL_SET_LINK_UP: u64 = 1 << 6;
const MDIC: u64 = 0x0020;
const MDIC_READY: u64 = 1 << 28;
const MDIC_ERROR: u64 = 1 << 30;
/// Write (operation 1), PHY address 1, register 0 (control).
const MDIC_WRITE_CONTROL: u64 = 1 << 26 | 1 << 21;
/// Negotiate, and start anew; 1000 Mb/s, full duplex.
const PHY_RESTART: u64 = 0x1000 | 0x0200 | 0x0100 | 0x0040;
const RCTL: u64 = 0x0100;
/// Enable, all unicast, all multicast, broadcast, strip the checksum.
const RCTL_ALL: u64 = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 15 | 1 << 26;
const IMC: u64 = 0x150c;
const EIMC: u64 = 0x1528;
const RDBAL: u64 = 0xc000;
const RDBAH: u64 = 0xc004;
const RDLEN: u64 = 0xc008;
const SRRCTL: u64 = 0xc00c;
/// Buffers of 1 KiB, advanced descriptors with one buffer, no dropping.
const SRRCTL_1K: u64 = 1 | 1 << 25;
const RDH: u64 = 0xc010;
const RDT: u64 = 0xc018;
const RXDCTL: u64 = 0xc028;
const RXDCTL_ENABLE: u64 = 1 << 25;

const COMMAND: u64 = 4;
const COMMAND_MEMORY_AND_MASTER: u64 = 1 << 1 | 1 << 2;

/// An igb behind a vfio fd.
#[derive(Clone, Debug)]
pub(crate) struct Igb {
    device: Arc<OwnedFd>,
}

impl Igb {
    /// Holds the fd open.
    pub(crate) fn new(device: Arc<OwnedFd>) -> Self {
        Self { device }
    }

    /// Starts reception into a ring at this address, with all descriptors but one free, and waits for the link.
    pub(crate) fn start(&self, ring: u64, descriptors: usize, bytes: usize) -> Result<String, Failure> {
        self.write(RCTL, 0)?;
        self.write(RXDCTL, 0)?;
        self.write(IMC, 0xffff_ffff)?;
        self.write(EIMC, 0xffff_ffff)?;
        self.write(RDBAL, ring & 0xffff_ffff)?;
        self.write(RDBAH, ring >> 32)?;
        self.write(RDLEN, bytes as u64)?;
        self.write(SRRCTL, SRRCTL_1K)?;
        self.write(RDH, 0)?;
        self.write(RDT, 0)?;
        let command = vfio::read(self.device.as_fd(), vfio::CONFIG_REGION, COMMAND, 2)?;
        vfio::write(self.device.as_fd(), vfio::CONFIG_REGION, COMMAND, 2, command | COMMAND_MEMORY_AND_MASTER)?;
        self.write(RXDCTL, RXDCTL_ENABLE)?;
        self.give_back(0, descriptors)?;
        self.write(RCTL, RCTL_ALL)?;
        let ms = self.link_up()?;
        Ok(format!("link up after {ms} ms"))
    }

    /// Tells the device that every descriptor before `next`, all round the ring, is free.
    pub(crate) fn give_back(&self, next: usize, descriptors: usize) -> Result<(), Failure> {
        self.write(RDT, ((next + descriptors - 1) % descriptors) as u64)
    }

    fn link_up(&self) -> Result<u128, Failure> {
        self.write(CTRL, self.read(CTRL)? | CTRL_SET_LINK_UP)?;
        self.write(MDIC, MDIC_WRITE_CONTROL | PHY_RESTART)?;
        let written = wait::until(wait::LIMIT, || {
            let mdic = self.read(MDIC)?;
            Ok((mdic & (MDIC_READY | MDIC_ERROR) != 0).then_some(mdic))
        })?;
        match written {
            Some((mdic, _)) if mdic & MDIC_ERROR == 0 => {}
            other => return Err(Failure::new(format!("the PHY does not take a write: MDIC is {other:x?}"))),
        }
        let up = wait::until(wait::LIMIT, || Ok((self.read(STATUS)? & STATUS_LINK_UP != 0).then_some(())))?;
        up.map(|((), time)| time.as_millis())
            .ok_or_else(|| Failure::new("the link does not come up; has the device a netdev?"))
    }

    fn read(&self, register: u64) -> Result<u64, Failure> {
        vfio::read(self.device.as_fd(), BAR, register, 4)
    }

    fn write(&self, register: u64, value: u64) -> Result<(), Failure> {
        vfio::write(self.device.as_fd(), BAR, register, 4, value)
    }
}
