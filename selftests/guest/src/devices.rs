// SPDX-License-Identifier: GPL-2.0-only

//! The steps about a device's place, driver and config space.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use plan::{BarRead, BarWrite, ConfigRead, ConfigWrite};

use crate::config::{Config, Field};
use crate::failure::Failure;
use crate::steps::Runner;
use crate::sysfs;
use crate::value;
use crate::vfio;
use crate::wait;

/// Between the last sign of a new device and its use.
const SETTLE: Duration = Duration::from_millis(100);

impl Runner {
    /// The sysfs directory of a device of the plan, or of a virtual function of one.
    pub(crate) fn device(&self, name: &str) -> Result<PathBuf, Failure> {
        match plan::virtual_function(name) {
            Some((physical, number)) if !self.devices.contains_key(name) => {
                self.sysfs.virtual_function(&self.sysfs.device(self.place(physical)?)?, number)
            }
            _ => self.sysfs.device(self.place(name)?),
        }
    }

    fn place(&self, name: &str) -> Result<&[String], Failure> {
        self.devices.get(name).map(Vec::as_slice).ok_or_else(|| {
            let known: Vec<_> = self.devices.keys().map(String::as_str).collect();
            Failure::new(format!("the plan has no device {name:?}; it has: [{}]", known.join(", ")))
        })
    }

    /// `bind`.
    pub(crate) fn bind(&self, device: &str, driver: &str) -> Result<String, Failure> {
        let device = self.device(device)?;
        self.sysfs.bind(&device, driver)?;
        let mut detail = sysfs::address(&device).to_owned();
        if driver == "vfio-pci" {
            detail += &format!(" is {}", self.sysfs.vfio_cdev(&device)?.display());
        }
        Ok(detail)
    }

    /// `wait-for`.
    pub(crate) fn wait_for(&self, device: &str) -> Result<String, Failure> {
        let place = self.place(device)?;
        let found = wait::until(wait::LIMIT, || Ok(self.sysfs.find(place)?.filter(|dir| self.sysfs.is_ready(dir))))?;
        match found {
            Some((dir, time)) => {
                // What follows the last sign has none of its own and takes a millisecond at most.
                thread::sleep(SETTLE);
                Ok(format!("{} after {} ms", sysfs::address(&dir), time.as_millis()))
            }
            // Says what there is instead.
            None => match self.sysfs.device(place) {
                Ok(dir) => Err(Failure::new(format!(
                    "{} is there, but the kernel does not let drivers in",
                    sysfs::address(&dir)
                ))),
                Err(failure) => Err(failure),
            },
        }
    }

    /// `wait-gone`.
    pub(crate) fn wait_gone(&self, device: &str) -> Result<String, Failure> {
        let place = self.place(device)?;
        let mut last = PathBuf::new();
        let gone = wait::until(wait::LIMIT, || match self.sysfs.find(place)? {
            Some(dir) => {
                last = dir;
                Ok(None)
            }
            None => Ok(Some(())),
        })?;
        let address = sysfs::address(&last);
        match gone {
            Some(_) if address.is_empty() => Ok("it was not there".to_owned()),
            Some(((), time)) => Ok(format!("{address} went after {} ms", time.as_millis())),
            None => {
                Err(Failure::new(format!("{address} is still there after {} s", wait::scaled(wait::LIMIT).as_secs())))
            }
        }
    }

    /// `address`.
    pub(crate) fn address(&self, device: &str, want: &str) -> Result<String, Failure> {
        let directory = self.device(device)?;
        match sysfs::address(&directory) {
            got if got == want => Ok(got.to_owned()),
            got => Err(Failure::new(format!("{device} is at {got}, want {want}"))),
        }
    }

    /// `driver`.
    pub(crate) fn driver(&self, device: &str, want: Option<&str>) -> Result<String, Failure> {
        let directory = self.device(device)?;
        let got = sysfs::bound_driver(&directory);
        let text = |driver: Option<&str>| driver.unwrap_or("no driver").to_owned();
        let detail = format!("{} is bound to {}", sysfs::address(&directory), text(got.as_deref()));
        if got.as_deref() == want { Ok(detail) } else { Err(Failure::new(format!("{detail}, want {}", text(want)))) }
    }

    /// `sysfs-config`.
    pub(crate) fn config_read(&self, read: &ConfigRead) -> Result<String, Failure> {
        let (config, field, place) = self.config(&read.device, read.cap, read.ext_cap, read.offset, read.width)?;
        match value::check(config.read(field)?, read.width, &read.check) {
            Ok(value) => Ok(format!("{place}: {value}")),
            Err(failure) => Err(Failure::new(format!("{place}: {failure}"))),
        }
    }

    /// `sysfs-config-write`.
    pub(crate) fn config_write(&self, write: &ConfigWrite) -> Result<String, Failure> {
        let (config, field, place) = self.config(&write.device, write.cap, write.ext_cap, write.offset, write.width)?;
        let [old, new, now] = config.write(field, write.value, write.mask)?;
        Ok(format!("{place}: was {old:#x}, wrote {new:#x}, is {now:#x}"))
    }

    /// Waits until a device is no longer master of the bus.
    pub(crate) fn wait_stopped(&self, device: &str) -> Result<(), Failure> {
        const COMMAND: u16 = 4;
        const BUS_MASTER: u64 = 1 << 2;

        let (config, field, place) = self.config(device, None, None, COMMAND, 2)?;
        match wait::until_at_once(wait::LIMIT, || Ok((config.read(field)? & BUS_MASTER == 0).then_some(())))? {
            Some(_) => Ok(()),
            None => Err(Failure::new(format!(
                "{place}: it is still master of the bus after {} s",
                wait::scaled(wait::LIMIT).as_secs()
            ))),
        }
    }

    fn config(
        &self,
        device: &str,
        cap: Option<u8>,
        ext_cap: Option<u16>,
        offset: u16,
        width: u32,
    ) -> Result<(Config, Field, String), Failure> {
        let directory = self.device(device)?;
        let config = Config::open(&directory)?;
        let field = config.field(cap, ext_cap, offset, width)?;
        let place = format!("{} at {:#x}", sysfs::address(&directory), field.at);
        Ok((config, field, place))
    }

    /// `read-bar` and `read-config`.
    pub(crate) fn read(&self, read: &BarRead, region: u32) -> Result<String, Failure> {
        let value = vfio::read(self.names.get(&read.fd)?.as_fd(), region, read.offset, read.width)?;
        value::check(value, read.width, &read.check)
    }

    /// `write-bar` and `write-config`.
    pub(crate) fn write(&self, write: &BarWrite, region: u32) -> Result<String, Failure> {
        vfio::write(self.names.get(&write.fd)?.as_fd(), region, write.offset, write.width, write.value)?;
        Ok(String::new())
    }

    /// `same-device`.
    pub(crate) fn same_device(&self, fd: &str, device: &str) -> Result<String, Failure> {
        let directory = self.device(device)?;
        let want = sysfs::ids(&directory)?;
        let got = vfio::read(self.names.get(fd)?.as_fd(), vfio::CONFIG_REGION, 0, 4)?;
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
        let place = vfio::sysfs_path(self.names.get(fd)?.as_fd())?;
        if place != directory {
            let (place, directory) = (place.display(), directory.display());
            return Err(Failure::new(format!("{fd} is the device {place}, but {device} is {directory}")));
        }
        Ok(format!("{} at {}", ids(got), sysfs::address(&directory)))
    }
}
