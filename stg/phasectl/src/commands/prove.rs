// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl prove`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use camino::Utf8Path;
use ci::outcomes::{Inputs, Outcomes};
use ci::proof::{Hashes, Made, Record, Subject, Tools, current};
use ci::shard::Shard;
use harness::filter::Filter;
use harness::run::KernelFiles;
use harness::scenario::Scenario;
use serde::Serialize;
use stg_core::Stack;
use stg_env::exit;

use crate::app::App;
use crate::judged::{Judge, Known, Question, inputs, lasts};
use crate::kernels::Which;
use crate::lab::{Lab, TEST};
use crate::proofs::{self, Planned};
use crate::{output, text};

/// Build, boot and live-update every patch, and keep a record of each in proofs/.
///
/// At each patch those scenarios run that pass there and are not slow; where none of them goes through a kexec, a memfd does. The record of a
/// patch is written when all of that passed. It says which tree, configuration, scenarios, machines and tools that was, with their hashes, and
/// continues the record of the patch before it in its phase. `phasectl verify` checks records, and `export` shows them in the cover letter.
///
/// What is known is not done again: neither a patch whose record still is about this repository, nor a case that passed with a kernel of the same
/// bytes. So it can be interrupted, and goes on with the case that it was at. A case that fails is told of and the others go on; run it
/// again to try what failed. With --shard results are kept in the cache and no record is written: merge the caches (`phasectl merge`), then
/// run it without --shard. Exits with 100 if a case failed.
///
/// A record stays good when only the tools or the harness are others than it was made with; `phasectl verify` notes that. --again does not rely
/// on what is known: every case runs, with kernels out of the store if they are there, and the records are written anew. A patch that fails then
/// loses its record, unless nothing but the host was at fault; those behind it keep theirs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The phase, or PHASE/PATCH: this patch and all before it.
    target: String,

    /// Prove only part I of N of the patches.
    #[arg(long, value_name = "I/N", default_value_t = Shard::ALL)]
    shard: Shard,

    /// Run every case again, although it is known how it ends. It begins anew when it was interrupted.
    #[arg(long, conflicts_with = "shard")]
    again: bool,

    /// Report as JSON instead of KTAP.
    #[arg(long)]
    json: bool,
}

/// How it went with a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Outcome {
    patch: String,
    /// Whether all passes; `None` if that is for another shard to find out.
    proved: Option<bool>,
    /// The hash of its record, if there is one now.
    record: Option<String>,
    boots: usize,
    kexecs: usize,
    what: String,
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let stack = Stack::load(&app.disk()?)?;
    let target = stack.target(&args.target)?;
    let lab = Lab::open(app, stack, TEST)?;
    let planned = proofs::planned(&lab.base, &lab.disk, &lab.stack, &[target])?;
    let (logs, _lock) = lab.results("prove", None)?;
    let work = Work {
        tools: proofs::tools(&lab.disk, &lab.cache)?,
        outcomes: Outcomes::of(&lab.cache),
        texts: proofs::read(&lab.disk, &planned)?,
        root: lab.disk.root(),
        shard: args.shard,
        again: args.again,
    };
    let known = if args.again { Known::Ignored } else { Known::IfPassed };
    let judge: &Judge<'_> = &|question, known, out| lab.judge(question, known, out);
    let mut sink = std::io::sink();
    let shown: &mut dyn Write = if args.json { &mut sink } else { &mut *out };
    let all = work.go(&planned, &mut |plan, out| prove(&lab, plan, &logs, known, judge, out), shown)?;
    if args.json {
        output::json(out, &all)?;
    }
    Ok(if all.iter().any(|one| one.proved == Some(false)) { exit::TEST_FAILED } else { exit::OK })
}

/// Why a patch is not proved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failed {
    /// The cases.
    cases: Vec<String>,
    /// Whether nothing but the host was at fault.
    host: bool,
}

/// Builds the kernels of a patch and runs its cases, or relies on what is `known`; gives the images' hashes.
fn prove(
    lab: &Lab,
    plan: &Planned,
    logs: &Utf8Path,
    known: Known,
    judge: &Judge<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<Result<Hashes, Failed>> {
    let (kernels, images) = build(lab, plan, &plan.scenarios, &|which| lab.files(which, None), out)?;
    let question = Question {
        scenarios: &plan.scenarios,
        filter: &Filter::all(),
        kernels: &kernels,
        programs: lab.programs(&plan.scenarios, &plan.target)?,
        logs: logs.join(&plan.subject.patch),
    };
    let judged = judge(&question, known, out)?;
    let failed: Vec<_> = judged.into_iter().filter(|one| !one.passed).collect();
    if failed.is_empty() {
        return Ok(Ok(images));
    }
    let host = failed.iter().all(|one| !lasts(one.class));
    Ok(Err(Failed { cases: failed.into_iter().map(|one| one.case).collect(), host }))
}

/// The kernels of a patch that some scenarios want, which are built by `files`, and the hashes of their images.
pub(crate) fn build(
    lab: &Lab,
    plan: &Planned,
    scenarios: &[Scenario],
    files: &dyn Fn(&Which) -> anyhow::Result<KernelFiles>,
    out: &mut dyn Write,
) -> anyhow::Result<(BTreeMap<String, KernelFiles>, Hashes)> {
    let (mut kernels, mut images) = (BTreeMap::new(), Hashes::new());
    for name in proofs::kernel_names(scenarios) {
        if kernels.contains_key(name) {
            continue;
        }
        let (which, began) = (Which::named(name, &plan.target, &lab.stack, None)?, Instant::now());
        let files = files(&which)?;
        let image = inputs::file(&files.bzimage)?;
        writeln!(out, "# kernel {}: {}, {} s", which.label(), &image[..12], began.elapsed().as_secs())?;
        out.flush()?;
        if let Some(modules) = &files.modules {
            images.insert(proofs::modules(name), inputs::directory(modules)?);
        }
        images.insert(name.to_owned(), image);
        kernels.insert(name.to_owned(), files);
    }
    Ok((kernels, images))
}

/// Finds out whether a patch can be proved: the hashes of its kernels' images, or the cases that failed.
type Prover<'a> = dyn FnMut(&Planned, &mut dyn Write) -> anyhow::Result<Result<Hashes, Failed>> + 'a;

/// What all patches share.
struct Work<'a> {
    tools: Tools,
    outcomes: Outcomes,
    /// The files of the records that there are.
    texts: BTreeMap<String, Vec<u8>>,
    root: &'a Utf8Path,
    shard: Shard,
    /// Whether nothing is relied on that is known.
    again: bool,
}

impl Work<'_> {
    /// Goes through the patches in order.
    fn go(&self, planned: &[Planned], prover: &mut Prover<'_>, out: &mut dyn Write) -> anyhow::Result<Vec<Outcome>> {
        let mine = self.shard.range(planned.len());
        writeln!(out, "KTAP version 1\n1..{}", planned.len())?;
        if let Some(idle) = self.shard.idle(planned.len(), &text::count(planned.len(), "patch", "patches")) {
            writeln!(out, "# {idle}")?;
        }
        out.flush()?;
        let mut all = Vec::new();
        // The hash of the last record; `None` behind a patch that has none, where no record can be written.
        let mut parent = Some(None);
        for (index, plan) in planned.iter().enumerate() {
            if index > 0 && planned[index - 1].subject.phase() != plan.subject.phase() {
                parent = Some(None);
            }
            let (outcome, hash) = self.one(plan, mine.contains(&index), parent, prover, out)?;
            let result = if outcome.proved == Some(false) { "not ok" } else { "ok" };
            let skipped = if outcome.proved.is_none() { " # SKIP" } else { ":" };
            writeln!(out, "{result} {} - {}{skipped} {}", index + 1, outcome.patch, outcome.what)?;
            out.flush()?;
            parent = hash.map(Some);
            all.push(outcome);
        }
        Ok(all)
    }

    /// Proves a patch, or finds it proved; gives the hash of its record too.
    fn one(
        &self,
        plan: &Planned,
        mine: bool,
        parent: Option<Option<String>>,
        prover: &mut Prover<'_>,
        out: &mut dyn Write,
    ) -> anyhow::Result<(Outcome, Option<String>)> {
        let subject = &plan.subject;
        let outcome = |proved, record: Option<String>, what: String| {
            let Planned { subject, .. } = plan;
            let (patch, boots, kexecs) = (subject.patch.clone(), subject.boots, subject.kexecs);
            (Outcome { patch, proved, record: record.clone(), boots, kexecs, what }, record)
        };
        let text = self.texts.get(&subject.patch).map(Vec::as_slice);
        let inputs = subject.inputs(&self.tools);
        let recorded = current(subject, text).map(|proved| (proved.record.subject, proved.record.made));
        let anew = |images| (subject.clone(), Made { tools: self.tools.clone(), images });
        let ((subject, made), proved, how) = if let Some(record) = recorded.clone().filter(|_| !self.again) {
            (record, true, "on record".to_owned())
        } else if let Some(images) = self.outcomes.get::<Hashes>(&inputs).filter(|_| !self.again) {
            (anew(images), true, "known".to_owned())
        } else if !mine {
            return Ok(outcome(None, None, "for another shard".to_owned()));
        } else {
            writeln!(out, "# {}", subject.patch)?;
            out.flush()?;
            let began = Instant::now();
            match prover(plan, out)? {
                Ok(images) => {
                    self.outcomes.put(&inputs, &images, began.elapsed().as_secs_f64())?;
                    (anew(images), true, "proved".to_owned())
                }
                Err(Failed { cases, host }) => {
                    let failed = format!("failed: {}", text::listing(&cases));
                    match recorded {
                        // Nothing was found out about the patch.
                        Some(record) if host => {
                            (record, false, format!("{failed}; its record stays, as the host was at fault"))
                        }
                        recorded => {
                            let what = if recorded.is_some() { "; its record is removed" } else { "" };
                            if !host {
                                self.take_back(&inputs, recorded.map(|_| subject))?;
                            }
                            return Ok(outcome(Some(false), None, format!("{failed}{what}")));
                        }
                    }
                }
            }
        };
        let what = if proved { format!("{how}, {}", text::ran(subject.boots, subject.kexecs)) } else { how };
        let Some(parent) = parent.filter(|_| self.shard == Shard::ALL) else {
            let why = match text {
                _ if self.shard != Shard::ALL => "",
                Some(_) => "; its record stays as it is, as a patch before it has none",
                None => "; no record, as a patch before it has none",
            };
            return Ok(outcome(Some(proved), None, format!("{what}{why}")));
        };
        let patch = subject.patch.clone();
        let (fresh, hash) = Record { subject, parent, made }.write();
        if text != Some(fresh.as_bytes()) {
            proofs::write(self.root, &patch, &fresh)?;
        }
        Ok(outcome(Some(proved), Some(hash), what))
    }

    /// Forgets that a patch was proved, on record or not.
    fn take_back(&self, inputs: &Inputs, recorded: Option<&Subject>) -> anyhow::Result<()> {
        self.outcomes.forget(inputs)?;
        recorded.map_or(Ok(()), |subject| proofs::remove(self.root, &subject.patch))
    }
}

#[cfg(test)]
pub(super) mod tests;
