// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl check`.

use std::io::{Read as _, Write};

use ci::check::{Answer, Bench, CHECKS, Check, Cost, Finding, Kernels, Programs};
use ci::outcomes::Outcomes;
use ci::shard::Shard;
use serde::Serialize;
use stg_core::git::Repo;
use stg_core::{Error, Stack, Target, assemble};
use stg_env::requirements::Group;
use stg_env::{exit, setup};

use crate::app::{App, base_or_fetch};
use crate::check::{self, Patches};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::text::{count, listing};
use crate::{names, output};

/// The name that stands for Linux itself.
const BASE: &str = "base";

/// What the machine must have for all checks.
const ALL: &[Group] = &[Group::Tool, Group::Check, Group::Build];

/// Check each patch as its reviewers would: one by one, on the patch before it.
///
/// A finding is what the patch itself makes wrong, with file, line and remedy; what was there before is not reported again.
/// Files are those of the Linux tree as of the patch: `phasectl edit PATCH` opens it. Exits with 102 if there is any
/// finding. What was checked before is taken from the cache, as long as nothing that matters has changed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = checks_help())]
pub(crate) struct Args {
    /// What to check: PHASE for each of its patches, PHASE/PATCH for one, `base` for what Linux itself gets wrong (abi).
    #[arg(required_unless_present = "b4", conflicts_with = "b4")]
    target: Option<String>,

    /// Make only this check. May be repeated.
    #[arg(long = "only", value_name = "CHECK", value_parser = names::check)]
    only: Vec<&'static Check>,

    /// Make only the checks that compile nothing.
    #[arg(long)]
    quick: bool,

    /// Check part I of N parts of the patches; the caches of the parts can be merged.
    #[arg(long, value_name = "I/N", default_value_t = Shard::ALL)]
    shard: Shard,

    /// Forget what was found in these patches, and check them again.
    #[arg(long, conflicts_with = "b4")]
    again: bool,

    /// Check the mail on standard input, quickly, and report as b4 wants it: for `b4.prep-perpatch-check-cmd` and
    /// `b4.am-perpatch-check-cmd`, with --json for `b4.review-perpatch-check-cmd`.
    #[arg(long)]
    b4: bool,

    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

fn checks_help() -> String {
    let line = |check: &Check| {
        let cost = if check.cost == Cost::Build { " (compiles)" } else { "" };
        format!("  {:10}  {}{cost}\n", check.name, check.about)
    };
    let all: String = CHECKS.iter().map(line).collect();
    format!(
        "Checks:\n{all}\nIn a Linux clone, for b4:\n  git config b4.prep-perpatch-check-cmd 'phasectl --project CHECKOUT check --b4'\n"
    )
}

#[derive(Serialize)]
struct View<'a> {
    patches: &'a [PatchView],
    findings: usize,
}

/// What was found in a patch.
#[derive(Serialize)]
struct PatchView {
    patch: String,
    checks: Vec<CheckView>,
}

#[derive(Serialize)]
struct CheckView {
    check: &'static str,
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<Answer> for CheckView {
    fn from(answer: Answer) -> Self {
        Self { check: answer.check, findings: answer.findings, note: answer.note }
    }
}

impl PatchView {
    fn findings(&self) -> usize {
        self.checks.iter().map(|check| check.findings.len()).sum()
    }

    fn print(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let said = match self.findings() {
            0 => "nothing found".to_owned(),
            some => count(some, "finding", "findings"),
        };
        writeln!(out, "{}: {said}", self.patch)?;
        for check in &self.checks {
            for finding in &check.findings {
                let Finding { message, fix, .. } = finding;
                writeln!(out, "{}: {}: {message}\n  fix: {fix}", finding.place(), check.check)?;
            }
            if let Some(note) = &check.note {
                writeln!(out, "  {}: {note}", check.check)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let checks = chosen(args);
    if checks.is_empty() {
        let message = "no check is left: those of --only compile, and --quick and --b4 leave out what compiles";
        return Err(Failure::usage(message, "name another check, or leave out --quick").into());
    }
    if args.b4 {
        return check::b4(app, args.json, &checks, stdin()?, out);
    }
    let disk = app.disk()?;
    let stack = match Stack::load(&disk) {
        Err(Error::Invalid(found)) => return unreadable(args, &found, out),
        other => other?,
    };
    let text = args.target.as_deref().unwrap_or_default();
    if text == BASE {
        return base(args, app, &stack, out);
    }
    let target = stack.target_beside(text, &[BASE])?;
    let cache = app.cache()?;
    setup::ensure(&cache, groups(&checks))?;
    let base = base_or_fetch(&cache, &stack)?;
    let assembled = match assemble(&base, &disk, &stack, &target) {
        Err(Error::Invalid(found)) => return unreadable(args, &found, out),
        other => other?,
    };
    let compiles = checks.iter().any(|check| check.cost == Cost::Build);
    let lab = if compiles { Some(Lab::open(app, stack.clone(), ALL)?) } else { None };
    let builder = lab.as_ref().map(check::Builder::new);
    let (repo, programs) = (Repo::open(&base.repo)?, Programs::new(&cache)?);
    let gates = check::gates(&stack);
    let bench = Bench {
        repo: &repo,
        base_tree: Repo::oid(&base.tree)?,
        programs: &programs,
        gates: &gates,
        kernels: builder.as_ref().map(|builder| builder as &dyn Kernels),
    };
    let patches = Patches { stack: &stack, assembled: &assembled, repo: &repo, disk: &disk };
    let outcomes = Outcomes::of(&cache);
    let mut views = Vec::new();
    let ids = of_target(&assembled, &target);
    if let Some(idle) = args.shard.idle(ids.len(), &count(ids.len(), "patch", "patches")).filter(|_| !args.json) {
        writeln!(out, "{idle}")?;
    }
    for id in args.shard.of(ids) {
        let subject = patches.subject(&id)?;
        if args.again {
            ci::check::forget(&subject, &checks, &bench, &outcomes)?;
        }
        let checks = ci::check::run(&subject, &checks, &bench, &outcomes)?.into_iter().map(CheckView::from).collect();
        let view = PatchView { patch: id, checks };
        if !args.json {
            view.print(out)?;
        }
        views.push(view);
    }
    report(args, &views, checks.len(), out)
}

fn stdin() -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The checks that are asked for.
fn chosen(args: &Args) -> Vec<&'static Check> {
    let named = |check: &&Check| args.only.is_empty() || args.only.iter().any(|one| one.name == check.name);
    let cheap = |check: &&Check| !(args.quick || args.b4) || check.cost == Cost::Quick;
    CHECKS.iter().filter(named).filter(cheap).collect()
}

/// What the machine must have for some checks.
fn groups(checks: &[&'static Check]) -> &'static [Group] {
    if checks.iter().any(|check| check.cost == Cost::Build) {
        return ALL;
    }
    if checks.iter().any(|check| check.name == "rustfmt") { &[Group::Tool, Group::Check] } else { &[] }
}

/// The patches that a target means, as opposed to those that it needs.
fn of_target(assembled: &stg_core::Assembled, target: &Target) -> Vec<String> {
    let all = assembled.patches.iter();
    match target {
        Target::All | Target::Upto { .. } => all.map(stg_core::AssembledPatch::id).collect(),
        Target::Phase(phase) => all.filter(|patch| patch.phase == *phase).map(stg_core::AssembledPatch::id).collect(),
        Target::Patch(id) => vec![id.clone()],
    }
}

/// The project does not even assemble: that is what is reported, and nothing else can be.
fn unreadable(args: &Args, found: &[stg_core::Diagnostic], out: &mut dyn Write) -> anyhow::Result<i32> {
    let mut views: Vec<PatchView> = Vec::new();
    for one in found {
        let finding = Finding::from(one);
        let patch = one.file.to_string();
        match views.iter_mut().find(|view| view.patch == patch) {
            Some(view) => view.checks[0].findings.push(finding),
            None => {
                let checks = vec![CheckView { check: "applies", findings: vec![finding], note: None }];
                views.push(PatchView { patch, checks });
            }
        }
    }
    if !args.json {
        for view in &views {
            view.print(out)?;
        }
    }
    report(args, &views, 1, out)
}

/// What is wrong with the base. Not a patch, so only what reads whole files.
fn base(args: &Args, app: &App, stack: &Stack, out: &mut dyn Write) -> anyhow::Result<i32> {
    if args.only.iter().any(|check| check.name != "abi") {
        return Err(Failure::usage("only `abi` can be checked of the base", "run `phasectl check base`").into());
    }
    let base = base_or_fetch(&app.cache()?, stack)?;
    let findings = ci::check::lint_abi(&Repo::open(&base.repo)?, Repo::oid(&base.tree)?)?;
    let checks = vec![CheckView { check: "abi", findings, note: None }];
    let views = [PatchView { patch: format!("Linux {}", base.release), checks }];
    if !args.json {
        views[0].print(out)?;
    }
    report(args, &views, 1, out)
}

fn report(args: &Args, views: &[PatchView], checks: usize, out: &mut dyn Write) -> anyhow::Result<i32> {
    let findings = views.iter().map(PatchView::findings).sum();
    if args.json {
        output::json(out, &View { patches: views, findings })?;
    } else if views.len() > 1 {
        let bad: Vec<&str> = views.iter().filter(|view| view.findings() > 0).map(|view| view.patch.as_str()).collect();
        let (patches, checks) = (count(views.len(), "patch", "patches"), count(checks, "check", "checks"));
        let said = match findings {
            0 => "nothing found".to_owned(),
            _ => format!("{} in {}", count(findings, "finding", "findings"), listing(&bad)),
        };
        writeln!(out, "\n{patches}, {checks}: {said}")?;
    }
    Ok(if findings == 0 { exit::OK } else { exit::CHECK_FAILED })
}
