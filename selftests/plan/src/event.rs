// SPDX-License-Identifier: GPL-2.0-only

//! What the guest reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::host::HostAction;
use crate::meter::Meter;

/// Marks a line of the result channel as an event; anything else there is noise and shown as such.
pub const EVENT_PREFIX: &str = "@phasectl ";

/// One line of the result channel.
///
/// `tsc` is the time stamp counter: with `-icount shift=0` one tick is one guest instruction (see the design's lab facts),
/// and it is not reset by a kexec, so differences hold across kernels.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Init runs. The first thing it says.
    Boot {
        /// How many kexecs came before.
        hop: u32,
        /// `uname -r` and `uname -v`, which tells two kernels apart.
        kernel: String,
        /// Time stamp counter when init started.
        tsc: u64,
    },
    /// A step ended.
    Step {
        /// How many kexecs came before.
        hop: u32,
        /// Index of the step in its stage.
        index: usize,
        /// What the step was, for people.
        what: String,
        /// Whether it did what the plan wants.
        ok: bool,
        /// What was observed; the reason if it failed.
        detail: String,
        /// Time stamp counter when the step ended.
        tsc: u64,
    },
    /// A `mark` step, which says this instead of `Step`.
    Mark {
        /// How many kexecs came before.
        hop: u32,
        /// The mark's name.
        name: String,
        /// Time stamp counter at the mark.
        tsc: u64,
    },
    /// A `timed` step did what the plan wants, or a `log-span` found both lines. Said just before the `Step`.
    Span {
        /// How many kexecs came before.
        hop: u32,
        /// The span's name.
        name: String,
        /// Time stamp counter just before the step; for `log-span`, nanoseconds of the kernel's clock.
        start: u64,
        /// The same just after it.
        end: u64,
    },
    /// How the step of an `observe` ended. Said just before the `Step`.
    Observed {
        /// How many kexecs came before.
        hop: u32,
        /// The `observe` step's name.
        name: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// What a `growth` step saw. Said just before the `Step`.
    Memory {
        /// How many kexecs came before.
        hop: u32,
        /// The step's name.
        name: String,
        /// In KiB, by what is measured.
        kib: BTreeMap<Meter, u64>,
    },
    /// A ring for frames is set up and the link is up. Said just before the `Step` of the `igb-receive`, or of the step that ran while a thread
    /// did it.
    Ring {
        /// How many kexecs came before.
        hop: u32,
        /// Name of the device's fd.
        fd: String,
        /// Physical address of the ring's header, see [`ring`](crate::ring).
        header: u64,
    },
    /// The host is to do this now. Said just before the `Step` of the `host` step, which tells nothing about the outcome.
    Host {
        /// How many kexecs came before.
        hop: u32,
        /// What to do.
        action: HostAction,
    },
    /// The very next thing is the reboot call. The last event of a stage that jumps; a jump inside `fails` is not announced.
    Kexec {
        /// How many kexecs came before.
        hop: u32,
        /// Time stamp counter just before the call.
        tsc: u64,
    },
    /// The stage is over. The guest powers off next, unless the stage ends with `kexec-reboot`: then `Done` with `ok` comes before
    /// `Kexec`, and should the call come back, a failed `Step` and another `Done` without `ok` follow. The last `Done` counts.
    Done {
        /// How many kexecs came before.
        hop: u32,
        /// Whether every step of the stage did what the plan wants.
        ok: bool,
    },
}

/// How a step ended that may end in any way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did what the plan wants.
    Done,
    /// The kernel call that it is about failed with this errno: `EIO`.
    Errno(String),
    /// It failed otherwise: what it found is not what the plan wants, or it could not be tried at all.
    Failed,
}

impl Event {
    /// The line to write, without the newline.
    pub fn to_line(&self) -> String {
        // Serialising a struct of strings and numbers cannot fail; a lost event must still be seen as noise.
        let json = serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"lost\":\"{error}\"}}"));
        format!("{EVENT_PREFIX}{json}")
    }

    /// Reads a line of the result channel back; `None` for noise.
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line.trim_end().strip_prefix(EVENT_PREFIX)?).ok()
    }

    /// How many kexecs came before the kernel that said this.
    pub fn hop(&self) -> u32 {
        match self {
            Self::Boot { hop, .. }
            | Self::Step { hop, .. }
            | Self::Mark { hop, .. }
            | Self::Span { hop, .. }
            | Self::Observed { hop, .. }
            | Self::Memory { hop, .. }
            | Self::Ring { hop, .. }
            | Self::Host { hop, .. }
            | Self::Kexec { hop, .. }
            | Self::Done { hop, .. } => *hop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_channel() {
        let event = Event::Step {
            hop: 1,
            index: 3,
            what: "retrieve fd".into(),
            ok: false,
            detail: "EBUSY: \"quoted\"\nsecond line".into(),
            tsc: u64::MAX,
        };
        let line = event.to_line();
        assert!(!line.contains('\n'), "an event is one line: {line}");
        assert_eq!(Event::from_line(&(line + "\r\n")), Some(event));
    }

    #[test]
    fn an_action_of_the_host_survives_the_channel() {
        let event = Event::Host { hop: 2, action: HostAction::Plug { device: "late".into() } };
        let line = event.to_line();
        assert_eq!(line, r#"@phasectl {"event":"host","hop":2,"action":{"plug":{"device":"late"}}}"#);
        assert_eq!(Event::from_line(&line), Some(event));
    }

    #[test]
    fn an_observation_survives_the_channel() {
        for (outcome, text) in [
            (Outcome::Done, r#""done""#),
            (Outcome::Errno("EIO".into()), r#"{"errno":"EIO"}"#),
            (Outcome::Failed, r#""failed""#),
        ] {
            let event = Event::Observed { hop: 1, name: "session".into(), outcome };
            let line = event.to_line();
            assert_eq!(line, format!(r#"@phasectl {{"event":"observed","hop":1,"name":"session","outcome":{text}}}"#));
            assert_eq!(Event::from_line(&line), Some(event));
        }
    }

    #[test]
    fn noise_is_no_event() {
        assert_eq!(Event::from_line("[    0.1] a kernel line"), None);
        assert_eq!(Event::from_line("@phasectl {\"event\":\"bo"), None);
    }
}
