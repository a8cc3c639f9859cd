// SPDX-License-Identifier: GPL-2.0-only

//! Executes what the host does to a running VM.
//!
//! The VM is stopped for it, so what an action consists of happens at once for the guest: a bridge that is plugged is there
//! together with what sits behind it. Only to let a device master the bus again it is not: QEMU empties the queues of a VM that stops into
//! its devices, whether they can take anything or not. For the same reason it goes on when the host merely looks.
//!
//! Between two kernels, the sign to stop is the old kernel's line that it starts the new one. Devices are shut down by then, the IOMMU is next;
//! then it jumps, and the new one is unpacked, which takes a second under emulation; so the stop comes before the next kernel
//! reads anything. That is not taken for granted: if the next kernel was heard before the VM stood still, or
//! the line never came, the run fails, as nothing that it shows is what was meant.

mod config;
mod unchanged;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use plan::{Edit, Event, HostAction};
use serde_json::{Value, json};

use crate::devices::{Added, Netdev};
use crate::error::HarnessError;
use crate::frames::Stream;
use crate::physical::Memory;
use crate::tamper;
use crate::topology::{Frames, Place, PlaceKind, Topology};
use crate::translation::Look;
use crate::unchanged::{Record, Recorded};
use crate::vm::Request;
use crate::vm::watch::{Due, Watch};

/// How long QEMU may take for one command. It is busy only for moments, but the host may be.
const PATIENCE: Duration = Duration::from_secs(20);

/// The hand that acts on the VM.
pub(crate) struct Host<'a> {
    topology: &'a Topology,
    between: &'a [Vec<HostAction>],
    sockets: &'a Utf8Path,
    memory_file: Option<&'a Utf8Path>,
    log_dir: &'a Utf8Path,
    /// Which hops' actions have been executed.
    done: BTreeSet<usize>,
    /// Devices whose netdev QEMU has; it outlives them.
    netdevs: BTreeSet<&'a str>,
    /// Devices of which it is of interest where they are, and what was seen of the IOMMU.
    watched: Vec<&'a str>,
    looks: Vec<Look>,
    /// Devices by the names of the fds that their rings are reported with.
    rings: &'a BTreeMap<String, String>,
    /// What must not change, the hop in or after which it was recorded, and what became of it.
    recorded: Recorded,
    recorded_at: usize,
    unchanged: Option<Record>,
}

impl<'a> Host<'a> {
    pub(crate) fn new(request: &'a Request<'_>) -> Self {
        let frames = request.topology.frames().map(|(place, _)| place);
        Self {
            topology: request.topology,
            between: &request.between,
            sockets: &request.channels.frames,
            memory_file: request.memory_file.as_deref(),
            log_dir: request.log_dir,
            done: BTreeSet::new(),
            netdevs: frames.filter(|place| place.present).map(|place| place.name.as_str()).collect(),
            watched: request.translation.iter().flat_map(|task| task.devices.names()).collect(),
            looks: Vec::new(),
            rings: &request.rings,
            recorded: Recorded::default(),
            recorded_at: 0,
            unchanged: None,
        }
    }

    /// Does whatever is due.
    pub(crate) fn act(&mut self, watch: &mut Watch) -> Result<(), HarnessError> {
        while let Some(due) = watch.due() {
            match due {
                Due::Step { hop, action } => {
                    if let HostAction::Plug { device } = &action {
                        self.room(watch, hop, device)?;
                    }
                    if goes_on(&action) {
                        self.execute(watch, hop, &action)?;
                    } else {
                        self.stopped(watch, hop, |host, watch| host.execute(watch, hop, &action))?;
                    }
                }
                Due::Jump { hop } => self.jumped(watch, hop)?,
            }
        }
        let gone = 0..watch.hop();
        match self.awaited(gone).next() {
            Some(hop) => Err(self.late(hop, "the next kernel ran, and the old one was never heard to start it")),
            None => Ok(()),
        }
    }

    /// Checks, when the VM has ended, that no kernel left without its actions.
    pub(crate) fn finish(&self, watch: &Watch) -> Result<(), HarnessError> {
        let jumped = |hop: &usize| {
            let mut events = watch.events().filter(|event| event.hop() as usize == *hop);
            events.clone().any(|event| matches!(event, Event::Kexec { .. }))
                // The call came back: then nothing was missed.
                && !events.any(|event| matches!(event, Event::Step { ok: false, .. }))
        };
        match self.awaited(0..self.between.len()).find(jumped) {
            Some(hop) => Err(self.late(hop, "the VM ended without the line that the next kernel is started")),
            None => Ok(()),
        }
    }

    /// The hops whose actions are still to be executed.
    fn awaited(&self, hops: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        hops.filter(|hop| self.between.get(*hop).is_some_and(|actions| !actions.is_empty()) && !self.done.contains(hop))
    }

    /// What was seen of the IOMMU.
    pub(crate) fn looks(&self) -> Vec<Look> {
        self.looks.clone()
    }

    /// What became of the memory that must not change, if any was recorded.
    pub(crate) fn unchanged(&self) -> Option<Record> {
        self.unchanged.clone()
    }

    fn late(&self, hop: usize, why: &'static str) -> HarnessError {
        HarnessError::TooLate { action: "`between`", hop, why, logs: self.log_dir.to_owned() }
    }

    fn failed(&self, action: impl Into<String>, hop: usize, why: impl Into<String>) -> HarnessError {
        HarnessError::Host { action: action.into(), hop, why: why.into(), logs: self.log_dir.to_owned() }
    }

    fn jumped(&mut self, watch: &mut Watch, hop: usize) -> Result<(), HarnessError> {
        if self.awaited(hop..hop + 1).next().is_none() {
            return Ok(());
        }
        self.done.insert(hop);
        let actions = &self.between[hop];
        if actions.iter().any(wants_it_left) {
            self.wait_until_left(watch, hop)?;
        }
        if actions.iter().all(goes_on) {
            actions.iter().try_for_each(|action| self.execute(watch, hop, action))?;
            // What was said before QEMU answered has arrived.
            watch.drain()?;
            return if watch.hop() == hop { Ok(()) } else { Err(self.late(hop, "the next kernel spoke meanwhile")) };
        }
        self.stopped(watch, hop, |host, watch| {
            if watch.hop() != hop {
                return Err(host.late(hop, "the next kernel spoke before the VM stood still"));
            }
            actions.iter().try_for_each(|action| host.execute(watch, hop, action))
        })
    }

    /// Does something while the VM stands still.
    fn stopped(
        &mut self,
        watch: &mut Watch,
        hop: usize,
        work: impl FnOnce(&mut Self, &mut Watch) -> Result<(), HarnessError>,
    ) -> Result<(), HarnessError> {
        self.command(watch, hop, "stop", "stop", &json!({}))?;
        // What was said before QEMU answered has arrived.
        watch.drain()?;
        let began = Instant::now();
        work(self, watch)?;
        watch.note(&format!("the VM stood still for {} ms", began.elapsed().as_millis()))?;
        self.command(watch, hop, "cont", "cont", &json!({})).map(drop)
    }

    fn execute(&mut self, watch: &mut Watch, hop: usize, action: &HostAction) -> Result<(), HarnessError> {
        match action {
            HostAction::Plug { device } => self.plug(watch, hop, device),
            HostAction::Unplug { device } => {
                let what = format!("unplug {device}");
                let place = self.place(hop, &what, device)?;
                watch.leaves(&place.id);
                self.command(watch, hop, &what, "device_del", &json!({"id": place.id})).map(drop)
            }
            HostAction::BusMaster { device, on } => {
                let place = self.place(hop, &format!("bus-master {device}"), device)?;
                self.set_bus_master(watch, hop, place, *on)
            }
            HostAction::Reset { device } => {
                let place = self.place(hop, &format!("reset {device}"), device)?;
                self.reset(watch, hop, place)
            }
            HostAction::CheckTranslation => self.look(watch, hop),
            HostAction::Record { tables, rings } => self.record(watch, hop, tables, rings),
            HostAction::CheckCleared { device } => self.check_cleared(watch, hop, device),
            HostAction::Compare => self.compare(watch, hop),
            HostAction::Tamper(edits) => {
                let changed = Memory::open(self.memory_file).and_then(|memory| tamper::tamper(&memory, edits));
                let changed = changed.map_err(|why| self.failed("tamper", hop, why))?;
                changed.iter().try_for_each(|line| watch.note(&format!("tamper: {line}")))
            }
        }
    }

    fn place(&self, hop: usize, what: &str, device: &str) -> Result<&'a Place, HarnessError> {
        let place = self.topology.named(device);
        place.ok_or_else(|| self.failed(what, hop, "the topology has no such device"))
    }

    /// Waits until what was to be unplugged has left its place. For the guest it is gone when its driver has let go of it; for QEMU, a second
    /// later, when the guest has switched off the slot's power.
    fn room(&self, watch: &mut Watch, hop: usize, device: &str) -> Result<(), HarnessError> {
        match watch.wait_until_gone(PATIENCE)? {
            Some(other) => {
                let why = format!("the guest has not yet let go of {other}, which is to be unplugged before");
                Err(self.failed(format!("plug {device}"), hop, why))
            }
            None => Ok(()),
        }
    }

    fn plug(&mut self, watch: &mut Watch, hop: usize, device: &str) -> Result<(), HarnessError> {
        let places = self.topology.subtree(device);
        if places.is_empty() {
            return Err(self.failed(format!("plug {device}"), hop, "the topology has no such device"));
        }
        for place in places {
            let what = format!("plug {}", place.name);
            if matches!(place.kind, PlaceKind::Device { frames: Some(_), .. }) && self.netdevs.insert(&place.name) {
                let netdev = Netdev::of(place, self.sockets).qmp();
                self.command(watch, hop, &what, "netdev_add", &netdev)?;
            }
            self.command(watch, hop, &what, "device_add", &Added::of(place).qmp())?;
        }
        Ok(())
    }

    /// One command; QEMU must agree.
    fn command(
        &self,
        watch: &mut Watch,
        hop: usize,
        what: &str,
        command: &str,
        arguments: &Value,
    ) -> Result<Value, HarnessError> {
        match watch.command(command, arguments, PATIENCE)? {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(why)) => Err(self.failed(what, hop, format!("QEMU refuses `{command}`: {why}"))),
            None => Err(self.failed(what, hop, format!("QEMU did not answer `{command}`"))),
        }
    }
}

/// Whether the VM need not, or may not, stand still for it.
fn goes_on(action: &HostAction) -> bool {
    use HostAction::{BusMaster, CheckCleared, CheckTranslation, Compare, Record};

    matches!(action, BusMaster { on: true, .. } | CheckTranslation | Record { .. } | CheckCleared { .. } | Compare)
}

/// Whether it reads or edits what the old kernel still writes to when it shuts the IOMMU down.
fn wants_it_left(action: &HostAction) -> bool {
    use plan::Place::{ContextEntry, PasidDirectoryEntry, PasidEntry, RootEntry};

    let in_table =
        |edit: &Edit| matches!(edit.at, RootEntry(_) | ContextEntry(_) | PasidDirectoryEntry(_) | PasidEntry(_));
    match action {
        HostAction::Tamper(tamper) => tamper.edits.iter().any(in_table),
        HostAction::CheckCleared { .. } => true,
        _ => false,
    }
}

/// The frames for every network card that wants some. For a slow guest they are fewer a second, so that a ring which nobody refills lasts as many
/// of its steps.
pub(crate) fn streams(topology: &Topology, slowness: u32, sockets: &Utf8Path) -> Vec<Stream> {
    let stream = |(place, frames): (&Place, Frames)| {
        let Netdev { qemu: to, host: from, .. } = Netdev::of(place, sockets);
        Stream { device: place.name.clone(), rate: (frames.rate / slowness).max(1), to, from }
    };
    topology.frames().map(stream).collect()
}
