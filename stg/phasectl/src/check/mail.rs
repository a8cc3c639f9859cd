// SPDX-License-Identifier: GPL-2.0-only

//! b4 asks about a mail: on standard input, from any directory, and it wants the answer soon.
//!
//! b4 takes each line on standard output for a warning, with `ERROR:` in it for a failure, and each on standard error for a failure;
//! no line at all is success. Its review screen (`review-perpatch-check-cmd`) wants a JSON array of results instead.
//!
//! A mail says what it changes but not in which tree. If its subject is that of a patch of the project, it is the one before that patch.
//! Otherwise the trees of the stack are tried from the last one down to the base. If it applies to none, what is said is where it fails
//! on the one before its patch, or else where it fails least.

use std::io::Write;

use ci::check::{Answer, Bench, Check, Finding, Origin, Programs, Subject};
use ci::outcomes::Outcomes;
use serde::Serialize;
use stg_core::git::{Mail, Oid, Repo};
use stg_core::{Assembled, Stack, Target, assemble};
use stg_env::exit;

use super::refusal::Refusal;
use crate::app::App;
use crate::output;

/// An entry of what b4's review screen reads.
#[derive(Debug, Serialize)]
struct Entry {
    tool: String,
    status: &'static str,
    summary: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    details: String,
}

/// Answers b4. Only what is wrong with the machine or the project is an error.
pub(crate) fn b4(
    app: &App,
    json: bool,
    checks: &[&'static Check],
    mail: Vec<u8>,
    out: &mut dyn Write,
) -> anyhow::Result<i32> {
    let disk = app.disk()?;
    let stack = Stack::load(&disk)?;
    let (cache, base) = (app.cache()?, app.base(&stack)?);
    let repo = Repo::open(&base.repo)?;
    let assembled = assemble(&base, &disk, &stack, &Target::All)?;
    let read = repo.read_mail(&mail)?;
    let answers = match place(&repo, &assembled, &read)? {
        Err(refusal) => vec![Answer { check: "applies", findings: refusal.findings(&mail), note: None, cached: false }],
        Ok((parent, tree)) => {
            let programs = Programs::new(&cache)?;
            let (base_tree, gates) = (Repo::oid(&base.tree)?, super::gates(&stack));
            let bench = Bench { repo: &repo, base_tree, programs: &programs, gates: &gates, kernels: None };
            let body_line = String::from_utf8_lossy(&mail).lines().position(str::is_empty).map_or(1, |line| line + 2);
            let origin = Origin { id: read.subject.clone(), file: "mail".into(), body_line };
            let subject = Subject::new(&repo, origin, &read.message, mail, parent, tree)?;
            ci::check::run(&subject, checks, &bench, &Outcomes::of(&cache))?
        }
    };
    if json {
        output::json(out, &answers.iter().map(entry).collect::<Vec<_>>())?;
    } else {
        for line in answers.iter().flat_map(lines) {
            writeln!(out, "{line}")?;
        }
    }
    let found = answers.iter().any(|answer| !answer.findings.is_empty());
    Ok(if found { exit::CHECK_FAILED } else { exit::OK })
}

/// The tree that a mail goes on, and what becomes of it.
fn place(repo: &Repo, assembled: &Assembled, mail: &Mail) -> anyhow::Result<Result<(Oid, Oid), Refusal>> {
    let all = &assembled.patches;
    let same = all.iter().filter(|patch| patch.subject == mail.subject);
    let same = same.map(|patch| (true, patch.parent_tree, format!("the tree before {}", patch.id())));
    let after = all.iter().rev().map(|patch| (false, patch.tree, format!("the tree after {}", patch.id())));
    let base = (false, Repo::oid(&assembled.base.tree)?, format!("Linux {}", assembled.base.release));
    let mut refusals = Vec::new();
    for (meant, tree, name) in same.chain(after).chain([base]) {
        match repo.apply(tree, &mail.patch)? {
            Ok(made) if made != tree => return Ok(Ok((tree, made))),
            Ok(_) => (),
            Err(said) => refusals.push((meant, Refusal { tree: name, said })),
        }
    }
    let least = refusals.into_iter().min_by_key(|(meant, refusal)| (!meant, refusal.failures()));
    Ok(Err(least.map(|(_, refusal)| refusal).unwrap_or_default()))
}

fn lines(answer: &Answer) -> Vec<String> {
    let line = |one: &Finding| format!("{}: ERROR: {}: {} (fix: {})", one.place(), answer.check, one.message, one.fix);
    answer.findings.iter().map(line).chain(answer.note.iter().map(|note| format!("{}: {note}", answer.check))).collect()
}

fn entry(answer: &Answer) -> Entry {
    let status = match (answer.findings.is_empty(), &answer.note) {
        (false, _) => "fail",
        (true, Some(_)) => "warn",
        (true, None) => "pass",
    };
    let summary = match &answer.findings[..] {
        [] => answer.note.clone().unwrap_or_else(|| "nothing found".to_owned()),
        [one] => format!("{}: {}", one.place(), one.message),
        several => format!("{} findings", several.len()),
    };
    let details = answer.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Entry { tool: format!("phasectl-{}", answer.check), status, summary, details }
}
