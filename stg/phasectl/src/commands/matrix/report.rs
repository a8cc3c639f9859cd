// SPDX-License-Identifier: GPL-2.0-only

//! Prints the matrix.

use std::io::Write;

use ci::handover::{Facts, Fate, Mode};
use harness::ktap::{Status, Test, Writer};
use serde::Serialize;

use super::pairs::{Cell, Kernel, Pair};
use crate::output;

/// The document of `--json`.
#[derive(Serialize)]
pub(crate) struct View<'a> {
    kernels: Vec<KernelView<'a>>,
    cells: Vec<&'a Cell>,
}

#[derive(Serialize)]
struct KernelView<'a> {
    kernel: &'a str,
    #[serde(flatten)]
    facts: &'a Facts,
}

pub(crate) fn view<'a>(kernels: &'a [Kernel], pairs: &'a [Pair]) -> View<'a> {
    let kernels = kernels.iter().map(|kernel| KernelView { kernel: &kernel.name, facts: &kernel.facts });
    View { kernels: kernels.collect(), cells: pairs.iter().flat_map(|pair| &pair.cells).collect() }
}

/// Prints KTAP as the pairs come, or JSON at the end.
pub(crate) struct Reporter<'a> {
    out: Output<'a>,
}

enum Output<'a> {
    Ktap(Writer<&'a mut dyn Write>),
    Json(&'a mut dyn Write),
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(json: bool, pairs: &[Pair], out: &'a mut dyn Write) -> anyhow::Result<Self> {
        if json {
            return Ok(Self { out: Output::Json(out) });
        }
        let mut writer = Writer::new(out)?;
        writer.plan(pairs.iter().map(|pair| pair.cells.len()).sum())?;
        Ok(Self { out: Output::Ktap(writer) })
    }

    /// Says something about the run, to people.
    pub(crate) fn note(&mut self, text: &str) -> anyhow::Result<()> {
        match &mut self.out {
            Output::Ktap(writer) => Ok(writer.diagnostic(text)?),
            Output::Json(_) => Ok(()),
        }
    }

    pub(crate) fn pair(&mut self, pair: &Pair) -> anyhow::Result<()> {
        let Output::Ktap(writer) = &mut self.out else { return Ok(()) };
        for cell in &pair.cells {
            let status = if cell.is_good() { Status::Pass } else { Status::Fail };
            writer.test(&Test { name: line(cell), status, diagnostics: Vec::new(), subtests: Vec::new() }, None)?;
            if let (false, Some(observed)) = (cell.is_good(), &cell.observed) {
                writer.diagnostic(&format!("predicted because {}", cell.predicted.why))?;
                writer.diagnostic(&format!("observed: {}", observed.why))?;
            }
            if let Some(why) = &cell.host {
                writer.diagnostic(&format!("the host was at fault: {why}"))?;
            }
        }
        Ok(())
    }

    pub(crate) fn end(self, kernels: &[Kernel], pairs: &[Pair]) -> anyhow::Result<()> {
        match self.out {
            Output::Json(out) => output::json(out, &view(kernels, pairs)),
            Output::Ktap(mut writer) => Ok(writer.diagnostic(&grids(kernels, pairs, &observed))?),
        }
    }
}

/// `X.3 base to phase1/pci, noiommu: device refused (ENOENT), memory works`.
fn line(cell: &Cell) -> String {
    let Cell { from, to, mode, predicted, observed, .. } = cell;
    let what = match observed {
        None => format!("{} was predicted, and nothing was observed", predicted.fates),
        Some(observed) if observed.fates == predicted.fates => predicted.fates.to_string(),
        Some(observed) => format!("{} was predicted, {} was observed", predicted.fates, observed.fates),
    };
    format!("X.3 {from} to {to}, {}: {what}", mode.name())
}

/// Prints what is predicted, and why.
pub(crate) fn predicted(kernels: &[Kernel], pairs: &[Pair], out: &mut dyn Write) -> anyhow::Result<()> {
    write!(out, "{}", grids(kernels, pairs, &|cell| Some(&cell.predicted.fates.device)))?;
    for Pair { from, to, cells } in pairs {
        let same = cells.windows(2).all(|two| two[0].predicted == two[1].predicted);
        for Cell { mode, predicted, .. } in &cells[..if same { cells.len().min(1) } else { cells.len() }] {
            let mode = if same { String::new() } else { format!(", {}", mode.name()) };
            writeln!(out, "{from} to {to}{mode}: {}, because {}", predicted.fates, predicted.why)?;
        }
    }
    Ok(())
}

fn observed(cell: &Cell) -> Option<&Fate> {
    cell.observed.as_ref().map(|observed| &observed.fates.device)
}

/// A grid for each mode: what becomes of the device on the way from the kernel of the row to that of the column.
fn grids(kernels: &[Kernel], pairs: &[Pair], fate: &dyn Fn(&Cell) -> Option<&Fate>) -> String {
    let width = kernels.iter().map(|kernel| kernel.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for mode in Mode::ALL {
        text.push_str(&format!("the device, {}, from the kernel of the row to that of the column:\n", mode.name()));
        let columns: String = (1..=kernels.len()).map(|number| format!("  {number:<WORD$}")).collect();
        text.push_str(format!("{:width$}     {columns}", "").trim_end());
        text.push('\n');
        for (number, from) in (1..).zip(kernels) {
            let cells = kernels.iter().map(|to| {
                let same = |cell: &&Cell| cell.mode == mode && cell.from == from.name && cell.to == to.name;
                pairs.iter().flat_map(|pair| &pair.cells).find(same).and_then(fate).map_or("-", word)
            });
            let cells: String = cells.map(|word| format!("  {word:<WORD$}")).collect();
            text.push_str(format!("{number:>3} {:width$} {cells}", from.name).trim_end());
            text.push('\n');
        }
    }
    text
}

/// The length of the longest [`word`].
const WORD: usize = "contained".len();

/// A fate without its errno.
fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Works => "works",
        Fate::Contained => "contained",
        Fate::Refused(_) => "refused",
        Fate::Lost => "lost",
        Fate::Panic => "panic",
        Fate::Unsafe => "unsafe",
        Fate::Broken => "broken",
        Fate::Unseen => "unseen",
    }
}

#[cfg(test)]
mod tests;
