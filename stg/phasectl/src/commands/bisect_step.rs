// SPDX-License-Identifier: GPL-2.0-only

//! `phasectl bisect-step`.

use std::io::Write;

use camino::Utf8PathBuf;
use ci::bisect::{Answer, CONFIRMATIONS};
use harness::verdict::Class;
use stg_core::base::linux_head;
use stg_core::git::Repo;
use stg_core::{Error, Stack};
use stg_env::exit;

use crate::app::App;
use crate::bisect::bench::{Bench, Tally};
use crate::bisect::hunt::{Tested, word};
use crate::bisect::span::Span;
use crate::bisect::walk::{self, Side, Walk};
use crate::bisect::{is_failure, scenario, target};
use crate::lab::{Extra, Lab, TEST};
use crate::{failure, names};

/// How often a commit is asked about: as often as `bisect` asks about a patch before it names it.
const TRIALS: u32 = 1 + CONFIRMATIONS as u32;

/// Test what is checked out, for `git bisect run`.
///
/// In a clone of this project it tests TARGET as the files have it now, and so git finds the commit that broke it (run an
/// installed phasectl: `cargo phasectl` would first build that of each revision):
///
/// `git bisect run phasectl bisect-step phase1 --scenario sample`
///
/// With --linux it tests the commit that a Linux tree has checked out, configured as TARGET: in a clone that the series
/// were applied to, git walks the patches:
///
/// `git bisect run phasectl --project DIR bisect-step phase1 --scenario sample --linux .`
///
/// If the scenario runs test programs of the Linux tree's own, they are those of what is tested; if a commit of --linux does not have them,
/// they are those of TARGET.
///
/// Exits with 0 if the scenario passes, with 1 if it fails, and with 125, which git skips, if it does not build, does not
/// exist yet, or does not say the same every time. Trouble of the machine ends the bisection: 128; so does a wrong command line, and with
/// --linux a name that does not exist, or a directory that is no Linux tree.
#[derive(Debug, clap::Args)]
#[command(after_long_help = names::classes_help())]
pub(crate) struct Args {
    /// What is tested: PHASE, PHASE/PATCH, or `all` for the whole stack.
    target: String,

    /// The scenario or case: NAME or NAME/CASE, with or without the phase before it.
    #[arg(long, value_name = "NAME")]
    scenario: String,

    /// Test the commit that this Linux tree has checked out instead.
    #[arg(long, value_name = "DIR")]
    linux: Option<Utf8PathBuf>,

    /// Let only this kernel be the one that is tested. The other is --other.
    #[arg(long, value_name = "KERNEL", requires = "other")]
    side: Option<Side>,

    /// With --side: which patches the other kernel has, a patch or `base`.
    #[arg(long, value_name = "PATCH", requires = "side")]
    other: Option<String>,

    /// Count only this verdict as the failure; another one is 125. `pass` is one only where a case must end otherwise.
    #[arg(long, value_name = "CLASS", value_parser = names::class)]
    verdict: Option<Class>,

    /// Run it N times; if it does not say the same every time, that is 125. git asks of a commit once and believes it, and one wrong answer
    /// leads it to an innocent commit: a scenario that is wrong once in five times gets past four runs at one commit in 600, and
    /// past two at one in 25.
    #[arg(long, value_name = "N", default_value_t = TRIALS, value_parser = clap::value_parser!(u32).range(1..))]
    trials: u32,

    /// Run it on kernels that are configured as this variant (selftests/variants.yaml).
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,

    /// Keep the logs in DIR (default: results/bisect-step in the cache).
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

/// Never an error: git takes every code below 128 for an answer.
pub(crate) fn run(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<i32> {
    let answer = step(args, app, out);
    if let Err(error) = &answer {
        eprint!("{}", failure::message(error));
    }
    Ok(code(answer, args.linux.is_none()))
}

/// What git is to be told. If it walks `here`, in this project, a name that means nothing may mean something at another revision.
fn code(answer: anyhow::Result<Answer>, here: bool) -> i32 {
    match answer {
        Ok(Answer::Good) => exit::OK,
        Ok(Answer::Bad) => exit::OTHER,
        Ok(Answer::Untestable) => exit::UNTESTABLE,
        Err(error) => match failure::exit_code(&error) {
            // The files of this revision are to blame.
            exit::CHECK_FAILED | exit::BUILD_FAILED | exit::UNTESTABLE => exit::UNTESTABLE,
            _ if here && matches!(error.downcast_ref(), Some(Error::Unknown { .. })) => exit::UNTESTABLE,
            _ => exit::ABORT,
        },
    }
}

fn step(args: &Args, app: &App, out: &mut dyn Write) -> anyhow::Result<Answer> {
    let disk = app.disk()?;
    args.linux.as_deref().map(linux_head).transpose()?;
    let stack = Stack::load(&disk)?;
    let target = target(&args.target, &stack)?;
    let scenario = scenario(&disk, &stack, &target, &args.scenario)?;
    walk::check(&scenario, args.side)?;
    is_failure(&scenario, args.verdict)?;
    names::variant(&disk, args.variant.as_deref())?;
    let span = Span::new(&stack, target, &scenario, None, None)?;
    let other = args.other.as_deref().map_or(Ok(span.end()), |name| span.point(&stack, name))?;
    let walk = args.side.map_or(Walk::Both, |side| Walk::One { side, other });

    let lab = Lab::open(app, stack, TEST)?;
    let extra = args.linux.as_ref().map(|tree| taken(&lab, tree)).transpose()?;
    let (logs, _lock) = lab.results("bisect-step", args.out.as_ref())?;
    let mut bench = Bench {
        lab: &lab,
        span: &span,
        scenario: &scenario,
        variant: args.variant.as_deref(),
        walk,
        extra: extra.as_ref(),
        end: span.end(),
        logs,
        only: args.verdict,
        again: false,
        judge: &|question, known, out| lab.judge(question, known, out),
        tally: Tally::default(),
    };
    trials(args.trials, &mut |trial| bench.test(walk.pair(span.end()), trial), out)
}

/// Tests so many times, until there is nothing more to be said.
fn trials(
    number: u32,
    test: &mut dyn FnMut(usize) -> anyhow::Result<Tested>,
    out: &mut dyn Write,
) -> anyhow::Result<Answer> {
    let mut first = None;
    for trial in 0..number as usize {
        let tested = test(trial)?;
        writeln!(out, "{}", word(tested.answer))?;
        for line in tested.reason.lines() {
            writeln!(out, "    {line}")?;
        }
        if tested.answer == Answer::Untestable {
            return Ok(Answer::Untestable);
        }
        if first.is_some_and(|first| first != tested.answer) {
            writeln!(out, "untestable\n    it does not say the same every time")?;
            return Ok(Answer::Untestable);
        }
        first = Some(tested.answer);
    }
    Ok(first.unwrap_or(Answer::Untestable))
}

/// The commit that a Linux tree has checked out.
fn taken(lab: &Lab, tree: &Utf8PathBuf) -> anyhow::Result<Extra> {
    let tree = camino::absolute_utf8(tree)?;
    let commit = Repo::open(&lab.base.repo)?.take_head(&tree)?;
    Ok(Extra { commit, label: format!("{commit} of {tree}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn tested(answer: Answer) -> Tested {
        Tested { answer, class: None, reason: "because".to_owned(), known: false }
    }

    fn answers(all: &[Answer]) -> (i32, usize) {
        let mut asked = 0;
        let mut test = |trial: usize| {
            asked += 1;
            Ok(tested(all[trial]))
        };
        let answer = trials(u32::try_from(all.len()).unwrap(), &mut test, &mut Vec::new());
        (code(answer, true), asked)
    }

    #[test]
    fn git_is_told_good_bad_or_skip() {
        use Answer::{Bad, Good, Untestable};
        assert_eq!(answers(&[Good, Good]), (0, 2));
        assert_eq!(answers(&[Bad, Bad, Bad]), (1, 3));
        assert_eq!(answers(&[Bad, Good, Good]), (125, 2), "it contradicts itself");
        assert_eq!(answers(&[Untestable, Good]), (125, 1));
    }

    #[test]
    fn errors_are_the_revisions_or_the_machines() {
        let of = |error: anyhow::Error| code(Err(error), true);
        let compile = ci::kbuild::BuildError::Compile { errors: Vec::new(), log: "l".into() };
        assert_eq!(of(compile.into()), 125);
        let wrong = stg_core::Diagnostic::new("phases/phase1/a.patch", "no", "yes");
        assert_eq!(of(Error::Invalid(vec![wrong]).into()), 125);
        let unknown = || Error::unknown("there is no scenario `a`", "name another").into();
        assert_eq!(of(unknown()), 125, "another revision may have it");
        assert_eq!(code(Err(unknown()), false), 128, "with --linux the project is the same at each revision");
        assert_eq!(of(Error::NoBase { cache: "c".into() }.into()), 128);
        assert_eq!(of(anyhow::anyhow!("a full disk")), 128);
        assert_eq!(of(Failure::usage("no", "yes").into()), 128, "else git would take 2 for bad");
    }
}
