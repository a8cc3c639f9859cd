// SPDX-License-Identifier: GPL-2.0-only

//! The cover letter.
//!
//! Composed here and not by `git format-patch --cover-letter`, which would need a branch with a description and dates it
//! with the clock. Its date is the first patch's. A packaged base has no commit that anyone else has, so no `base-commit:`
//! is claimed for it: release, package and tree id are named instead, and the tree id can be checked. For a clone the tagged
//! commit is named, and the patches that must come before, as their stable patch-ids.

use std::fmt::Write;

use super::Job;
use crate::base::Origin;
use crate::error::{Error, Result};
use crate::git::Oid;
use crate::git::command::Git;

impl Job<'_> {
    pub(super) fn cover(&self, before: Oid, last: Oid) -> Result<String> {
        let git = |args: &[&str]| Git::repo(self.repo.path()).args(args);
        let range = format!("{before}..{last}");
        let first = self.patches.first().map_or(before, |patch| patch.commit);
        // `%aD` is the mail date; the assembled commit and its copy have the same.
        let date = git(&["show", "--no-patch", "--format=%aD", &first.to_string()]).line()?;
        let shortlog = git(&["shortlog", "--no-merges", "-w72,2,4", &range]).line()?;
        let stat = git(&[
            "diff",
            "--no-ext-diff",
            "--diff-algorithm=myers",
            "--indent-heuristic",
            "--find-renames=50%",
            "--stat=72",
            "--summary",
            &before.to_string(),
            &last.to_string(),
        ])
        .run()?;
        let stat = String::from_utf8_lossy(&stat).trim_end().to_owned();

        let who = &self.options.identity;
        let count = self.patches.len();
        let zero = "0".repeat(count.to_string().len());
        let subject = format!("[{} {zero}/{count}] {}", self.prefix(), self.series.title);
        let mut text = String::from("From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n");
        let failed = |_| Error::refused("writing the cover letter failed", "report this as a bug");
        let name = if who.name.is_ascii() { who.name.clone() } else { encoded(&who.name) };
        let title = if subject.is_ascii() { subject } else { encoded(&subject) };
        let (blurb, tested, base) = (&self.blurb, self.tested(), self.base()?);
        write!(
            text,
            "From: {name} <{}>\nDate: {date}\nSubject: {title}\nMIME-Version: 1.0\n\
             Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n\
             {blurb}\n\nWhat was tested\n---------------\n{tested}\n\n{base}\n\n{shortlog}\n\n{stat}\n",
            who.email
        )
        .map_err(failed)?;
        Ok(text)
    }

    fn tested(&self) -> String {
        if self.options.tested.is_empty() {
            // Better said than left out: a reader would take silence for success.
            return "No test was recorded for this export.".to_owned();
        }
        self.options.tested.join("\n")
    }

    fn base(&self) -> Result<String> {
        let base = &self.assembled.base;
        let mut text = match &base.origin {
            Origin::Package { name, version, .. } => {
                format!("Base: Linux {}, package {name} {version}, tree {}", base.release, base.tree)
            }
            Origin::Clone { tag, .. } => format!("Base: Linux {} ({tag})\nbase-commit: {}", base.release, base.commit),
        };
        let first = self.patches.first().map(|patch| patch.commit);
        let earlier = self.assembled.patches.iter().take_while(|patch| Some(patch.commit) != first);
        for patch in earlier {
            let id = self.repo.patch_id(patch.parent_tree, patch.tree)?;
            text.push_str(&format!("\nprerequisite-patch-id: {id}"));
        }
        Ok(text)
    }
}

/// A header value as an encoded word of RFC 2047, in one piece per 45 bytes so that no line is too long.
fn encoded(text: &str) -> String {
    let mut words: Vec<String> = vec![String::new()];
    for c in text.chars() {
        let mut buffer = [0; 4];
        let piece: String = match c {
            c if c.is_ascii_alphanumeric() || "-./:!*+".contains(c) => c.to_string(),
            c => c.encode_utf8(&mut buffer).bytes().map(|byte| format!("={byte:02X}")).collect(),
        };
        if words.last().is_some_and(|word| word.len() + piece.len() > 60) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&piece);
        }
    }
    words.iter().map(|word| format!("=?UTF-8?q?{word}?=")).collect::<Vec<_>>().join("\n ")
}
