// SPDX-License-Identifier: GPL-2.0-only

//! What a person sees of a build: on a terminal the object being made, elsewhere one line when it begins and one when it
//! ends, so that logs stay readable.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress of one build, on stderr.
pub(super) struct Progress {
    label: String,
    spinner: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start(label: &str) -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A malformed template is a mistake in this line; indicatif's own style would do then.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(format!("building {label}"));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if spinner.is_none() {
            eprintln!("building {label}");
        }
        Self { label: label.to_owned(), spinner }
    }

    /// What is being made.
    pub(super) fn say(&self, what: &str) {
        if let Some(bar) = &self.spinner {
            bar.set_message(what.to_owned());
        }
    }

    /// `how` it ended: "built", ...
    pub(super) fn finish(self, how: &str, took: Duration) {
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
        eprintln!("{how} {} in {:.1} s", self.label, took.as_secs_f64());
    }
}
