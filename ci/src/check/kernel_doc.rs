// SPDX-License-Identifier: GPL-2.0-only

//! `kernel-doc -none -Wall` of the tree, on the C files that a patch touches, before and after.

use camino::Utf8Path;

use super::finding::fresh;
use super::programs::broken;
use super::{Bench, Finding, Subject, Touched, Verdict};
use crate::kbuild::BuildError;

pub(super) fn check(subject: &Subject, bench: &Bench<'_>) -> Result<Verdict, BuildError> {
    let files: Vec<&Touched> = subject.touched.iter().filter(|file| file.is(&["c", "h"])).collect();
    let mut found = look(subject, bench, &files, |file| file.new.as_deref())?;
    if !found.is_empty() {
        found = fresh(&look(subject, bench, &files, |file| file.old.as_deref())?, found);
    }
    Ok(found.into())
}

fn look<'a>(
    subject: &Subject,
    bench: &Bench<'_>,
    files: &[&'a Touched],
    text: impl Fn(&'a Touched) -> Option<&'a str>,
) -> Result<Vec<Finding>, BuildError> {
    let scripts = bench.programs.of_tree(bench.repo, subject.tree)?;
    let program = scripts.join("tools/docs/kernel-doc");
    let temp = tempfile::tempdir().map_err(BuildError::io("create", "a temporary directory".into()))?;
    let dir = Utf8Path::from_path(temp.path()).unwrap_or(Utf8Path::new("."));
    let mut args = vec![program.as_str(), "-none", "-Wall"];
    for file in files {
        if let Some(text) = text(file) {
            let path = dir.join(&file.path);
            let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
            made.map_err(BuildError::io("write", &path))?;
            args.push(file.path.as_str());
        }
    }
    if args.len() == 3 {
        return Ok(Vec::new());
    }
    let said = bench.programs.run("python3", &args, dir, b"")?;
    let found: Vec<Finding> = said.err.lines().chain(said.out.lines()).filter_map(finding).collect();
    if found.is_empty() && !said.success {
        return Err(broken("tools/docs/kernel-doc", &said));
    }
    Ok(found)
}

/// `Warning: include/linux/x.h:12 function parameter 'y' not described in 'z'`.
fn finding(line: &str) -> Option<Finding> {
    let rest = ["Warning: ", "Error: "].iter().find_map(|word| line.strip_prefix(word))?;
    let (place, message) = rest.split_once(' ')?;
    let (file, number) = place.split_once(':')?;
    let number = number.trim_end_matches(':').parse().unwrap_or(0);
    Some(Finding::new(file.into(), number, format!("kernel-doc: {message}"), fix(message)))
}

/// What to do, by what kernel-doc says of the comment.
fn fix(message: &str) -> String {
    let mut quoted = message.split('\'').skip(1).step_by(2);
    let (first, second) = (quoted.next().unwrap_or("it"), quoted.next().unwrap_or("it"));
    let has = |words: &str| message.contains(words);
    if has("No description found for return value") {
        format!("say behind `Return:` what {first} returns")
    } else if has("starts with '/**'") {
        "begin it with `/*`, or with a line `name - what it is`".to_owned()
    } else if has("not described in") {
        format!("describe it as `@{first}:` in the comment of {second}")
    } else if message.starts_with("Excess") {
        format!("remove the description of {first}, or call it what the code calls it")
    } else if has("expecting prototype for") {
        "put the comment right above what it describes, and begin it with the name of that".to_owned()
    } else if has("identifier") || has("short description") {
        "begin the comment with a line `name - what it is`".to_owned()
    } else if has("duplicate section") {
        format!("merge the sections called {first}")
    } else if has("bad line") || has("suspicious ending") {
        "begin each line of the comment with ` * `, and end it with ` */` alone".to_owned()
    } else {
        "write the comment as Documentation/doc-guide/kernel-doc.rst of Linux has it".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Small;

    #[test]
    fn each_finding_says_what_to_do() {
        let fix = |said: &str| super::finding(&format!("Warning: a.h:7 {said}")).unwrap().fix;
        insta::assert_snapshot!([
            fix("function parameter 'y' not described in 'z'"),
            fix("Excess struct member 'x' description in 'y'"),
            fix("No description found for return value of 'f'"),
            fix("This comment starts with '/**', but isn't a kernel-doc comment. Refer to x"),
            fix("expecting prototype for a(). Prototype was for b() instead"),
            fix("cannot understand function prototype: 'x'"),
        ].join("\n"), @r"
        describe it as `@y:` in the comment of z
        remove the description of x, or call it what the code calls it
        say behind `Return:` what f returns
        begin it with `/*`, or with a line `name - what it is`
        put the comment right above what it describes, and begin it with the name of that
        write the comment as Documentation/doc-guide/kernel-doc.rst of Linux has it
        ");
    }

    #[test]
    fn only_what_is_new() {
        let small = Small::new();
        small.program(
            "python3",
            "#!/bin/sh\nshift 3\nfor file; do grep -n BAD $file | sed \"s|:.*BAD\\(.*\\)| parameter\\1|; s|^|Warning: $file:|\" >&2; done\n\
             ! grep -q CRASH \"$@\"\n",
        );
        let run =
            |old: &str, new: &str| small.try_run("kernel-doc", &small.subject(&[("a/b.h", old)], &[("a/b.h", new)]));
        assert!(run("1\n", "2\n").unwrap().is_empty());
        let found = run("BAD x\n", "1\nBAD x\nBAD y\n").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string().lines().next(), Some("a/b.h:3: kernel-doc: parameter y"));
        assert!(run("1\n", "CRASH\n").is_err());
        let other = small.subject(&[("a.rs", "1\n")], &[("a.rs", "BAD\n")]);
        assert!(small.run("kernel-doc", &other).is_empty(), "it is for C");
    }
}
