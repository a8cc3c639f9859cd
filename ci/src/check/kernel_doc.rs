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
    let mut found: Vec<Finding> = Vec::new();
    for one in said.err.lines().chain(said.out.lines()).filter_map(finding) {
        // It says some things twice: when it has read the comment, and when it is done with the file.
        if !found.contains(&one) {
            found.push(one);
        }
    }
    if found.is_empty() && !said.success {
        return Err(broken("tools/docs/kernel-doc", &said));
    }
    Ok(found)
}

/// `Warning: include/linux/x.h:12 function parameter 'y' not described in 'z'`. It counts lines from 0.
fn finding(line: &str) -> Option<Finding> {
    let rest = ["Warning: ", "Error: "].iter().find_map(|word| line.strip_prefix(word))?;
    let (place, message) = rest.split_once(' ')?;
    let (file, number) = place.split_once(':')?;
    let line = number.trim_end_matches(':').parse().map_or(0, |number: usize| number + 1);
    Some(Finding::new(file.into(), line, message, fix(message)))
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

    /// A header, and what kernel-doc of Linux 7.3 says of it on standard error. It exits with 0.
    const HEADER: &str = "/**
 * struct one - first
 * @a: A.
 */
struct one {
\tint a;
\tint b;
};

/**
 * two() - second
 * @x: X.
 * @z: Z.
 */
int two(int x,
\tint y);

/**
 * Something without form.
 */
int three(void);

/**
 * four() - fourth
 * @a: A.
 *
 * Return: One.
 * Return: Other.
 */
int five(int a);
";
    const SAID: &str = "\
Warning: a.h:7 struct member 'b' not described in 'one'
Warning: a.h:15 function parameter 'y' not described in 'two'
Warning: a.h:15 Excess function parameter 'z' description in 'two'
Warning: a.h:15 No description found for return value of 'two'
Warning: a.h:18 This comment starts with '/**', but isn't a kernel-doc comment. Refer to Documentation/doc-guide/kernel-doc.rst
 * Something without form.
Warning: a.h:27 duplicate section name 'Return'
Warning: a.h:29 expecting prototype for four(). Prototype was for five() instead
Warning: a.h:7 struct member 'b' not described in 'one'
Warning: a.h:15 function parameter 'y' not described in 'two'
Warning: a.h:15 Excess function parameter 'z' description in 'two'
Warning: a.h:15 No description found for return value of 'two'
";

    #[test]
    fn each_finding_comes_once_at_its_line() {
        let small = Small::new();
        small.program("python3", &format!("#!/bin/sh\ncat >&2 <<'END'\n{SAID}END\n"));
        let found = small.run("kernel-doc", &small.subject(&[], &[("a.h", HEADER)]));
        let text = |line: usize| HEADER.lines().nth(line - 1).unwrap().trim();
        let shown: Vec<String> =
            found.iter().map(|one| format!("{} `{}`: {}", one.place(), text(one.line), one.message)).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        a.h:8 `};`: struct member 'b' not described in 'one'
        a.h:16 `int y);`: function parameter 'y' not described in 'two'
        a.h:16 `int y);`: Excess function parameter 'z' description in 'two'
        a.h:16 `int y);`: No description found for return value of 'two'
        a.h:19 `* Something without form.`: This comment starts with '/**', but isn't a kernel-doc comment. Refer to Documentation/doc-guide/kernel-doc.rst
        a.h:28 `* Return: Other.`: duplicate section name 'Return'
        a.h:30 `int five(int a);`: expecting prototype for four(). Prototype was for five() instead
        ");
    }

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
            "#!/bin/sh\nshift 3\nfor file; do awk -v f=$file '/BAD/ { print \"Warning: \" f \":\" NR - 1 \" parameter \" $2 }' $file >&2; done\n\
             ! grep -q CRASH \"$@\"\n",
        );
        let run =
            |old: &str, new: &str| small.try_run("kernel-doc", &small.subject(&[("a/b.h", old)], &[("a/b.h", new)]));
        assert!(run("1\n", "2\n").unwrap().is_empty());
        let found = run("BAD x\n", "1\nBAD x\nBAD y\n").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string().lines().next(), Some("a/b.h:3: parameter y"));
        assert!(run("1\n", "CRASH\n").is_err());
        let other = small.subject(&[("a.rs", "1\n")], &[("a.rs", "BAD\n")]);
        assert!(small.run("kernel-doc", &other).is_empty(), "it is for C");
    }
}
