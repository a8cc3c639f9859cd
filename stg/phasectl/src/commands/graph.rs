// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl graph`.

use std::collections::BTreeSet;
use std::io::Write;

use serde::Serialize;
use stg_core::{Phase, Stack};
use stg_env::exit;

use crate::app::App;
use crate::output;
use crate::text::count;

/// Show which phase requires which.
///
/// As a tree, a phase stands under the phases that it requires; one that requires several stands under each, and its own
/// dependants are shown the first time only.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the graph in the language of Graphviz, with arrows from a phase to those that require it.
    #[arg(long)]
    dot: bool,

    /// Report as JSON: the phases in the order in which they stack.
    #[arg(long, conflicts_with = "dot")]
    json: bool,
}

#[derive(Serialize)]
struct View<'a> {
    phase: &'a str,
    title: &'a str,
    requires: &'a [String],
    required_by: Vec<&'a str>,
    patches: usize,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let stack = Stack::load(&app.disk()?)?;
    if args.json {
        output::json(out, &stack.phases.iter().map(|phase| view(&stack, phase)).collect::<Vec<_>>())?;
    } else if args.dot {
        dot(&stack, out)?;
    } else {
        let mut shown = BTreeSet::new();
        for phase in stack.phases.iter().filter(|phase| phase.manifest.requires.is_empty()) {
            writeln!(out, "{}", line(phase))?;
            tree(&stack, phase, "", &mut shown, out)?;
        }
    }
    Ok(exit::OK)
}

fn view<'a>(stack: &'a Stack, phase: &'a Phase) -> View<'a> {
    View {
        phase: phase.name(),
        title: &phase.manifest.title,
        requires: &phase.manifest.requires,
        required_by: dependants(stack, phase).iter().map(|phase| phase.name()).collect(),
        patches: phase.patches.len(),
    }
}

/// The phases that name a phase in `requires:`.
fn dependants<'a>(stack: &'a Stack, phase: &Phase) -> Vec<&'a Phase> {
    let requires = |other: &&Phase| other.manifest.requires.iter().any(|name| name == phase.name());
    stack.phases.iter().filter(requires).collect()
}

fn line(phase: &Phase) -> String {
    format!("{} {} ({})", phase.name(), phase.manifest.title, count(phase.patches.len(), "patch", "patches"))
}

fn tree<'a>(
    stack: &'a Stack,
    phase: &'a Phase,
    indent: &str,
    shown: &mut BTreeSet<&'a str>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let dependants = dependants(stack, phase);
    for (index, dependant) in dependants.iter().enumerate() {
        let last = index + 1 == dependants.len();
        let seen = !shown.insert(dependant.name());
        let more = if seen { ", see above" } else { "" };
        writeln!(out, "{indent}{} {}{more}", if last { "└──" } else { "├──" }, line(dependant))?;
        if !seen {
            tree(stack, dependant, &format!("{indent}{}", if last { "    " } else { "│   " }), shown, out)?;
        }
    }
    Ok(())
}

fn dot(stack: &Stack, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "digraph phases {{")?;
    for phase in &stack.phases {
        let title = phase.manifest.title.replace('\\', r"\\").replace('"', "\\\"");
        writeln!(out, "  {:?} [label=\"{}\\n{title}\"];", phase.name(), phase.name())?;
    }
    for phase in &stack.phases {
        for required in &phase.manifest.requires {
            writeln!(out, "  {required:?} -> {:?};", phase.name())?;
        }
    }
    writeln!(out, "}}")?;
    Ok(())
}
