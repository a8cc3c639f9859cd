// SPDX-License-Identifier: GPL-2.0-only

//! Whether the message stands where git and people look for it.
//!
//! git takes the last paragraph for trailers if it looks like that, and nothing else. What was changed since the last posting
//! belongs under the `---` of the mail, which git drops, and not into the history.

use super::{Bench, Finding, Subject, Verdict};
use crate::kbuild::BuildError;

/// Trailers that the kernel uses beside `...-by`.
const TRAILERS: [&str; 4] = ["Cc", "Closes", "Fixes", "Link"];

pub(super) fn check(subject: &Subject, _: &Bench<'_>) -> Result<Verdict, BuildError> {
    let lines: Vec<&str> = subject.body.lines().collect();
    let mut found = Vec::new();
    let mut say = |index: usize, message: String, fix: &str| {
        found.push(Finding::new(&subject.origin.file, subject.origin.body_line + index, message, fix));
    };
    if lines.first().is_some_and(|line| line.trim() == subject.subject) {
        say(0, "the body begins with the subject again".into(), "remove this line");
    }
    // Where the last paragraph begins.
    let last = lines.iter().rposition(|line| line.is_empty()).map_or(0, |empty| empty + 1);
    let trailers = lines[last..].iter().all(|line| is_trailer(line) || line.starts_with(' '));
    for (index, line) in lines.iter().enumerate() {
        if (is_signature(line) || is_tag(line)) && (index < last || !trailers) {
            let message = format!("`{}` is not in the last paragraph, so git takes it for text", name(line));
            say(index, message, "put all trailers into one paragraph, the last one, with nothing else in it");
        }
        if is_changelog(line) {
            let message = format!("`{line}` begins a changelog, which is not for the history");
            say(index, message, "say what changed between postings in the cover letter");
        }
    }
    Ok(found.into())
}

fn name(line: &str) -> &str {
    line.split(':').next().unwrap_or(line)
}

fn is_trailer(line: &str) -> bool {
    line.contains(": ") && (TRAILERS.contains(&name(line)) || is_signature(line))
}

/// `Signed-off-by: ...`.
fn is_signature(line: &str) -> bool {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    line.contains(": ") && name(line).ends_with("-by") && plain(name(line))
}

/// `Fixes: 0123456789ab ("...")`, `Cc: a@b.c`, `Link: https://...`. Such a word may well begin a line of text (`Fixes: none yet`), so
/// what counts is that there is behind it what only a trailer has there.
fn is_tag(line: &str) -> bool {
    let Some((name, value)) = line.split_once(": ") else { return false };
    let value = value.trim();
    let word = value.split_whitespace().next().unwrap_or_default();
    match name {
        "Fixes" => {
            let is_id = (7..=40).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_id && value[word.len()..].trim_start().starts_with("(\"")
        }
        "Cc" => {
            let part = value.split_once('<').map_or(word, |(_, rest)| rest).split('>').next().unwrap_or_default();
            part.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
        }
        "Link" | "Closes" => word.starts_with("https://") || word.starts_with("http://"),
        _ => false,
    }
}

/// `v2:`, `Changes since v1:`, `Changes in v3`.
fn is_changelog(line: &str) -> bool {
    let version = |text: &str| {
        let digits = text.trim_end_matches(':').strip_prefix(['v', 'V']);
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let text = line.trim();
    let lower = text.to_ascii_lowercase();
    let listed =
        ["changes since ", "changes in ", "changelog since "].iter().find_map(|start| lower.strip_prefix(start));
    (text.ends_with(':') && version(text)) || listed.is_some_and(version) || lower == "changelog:"
}

#[cfg(test)]
mod tests {
    use crate::check::testing::Small;

    fn found(body: &str) -> Vec<String> {
        let small = Small::new();
        let mut subject = small.subject(&[("a.c", "1\n")], &[("a.c", "2\n")]);
        subject.body = body.to_owned();
        small.run("body", &subject).iter().map(|one| format!("{}: {}", one.place(), one.message)).collect()
    }

    #[test]
    fn good_ones() {
        for body in [
            "Why.\n",
            "Why.\n\nSigned-off-by: A <a@x>\n",
            "Why.\n\nLink: https://x/\nFixes: 123 (\"x\")\nAssisted-by: Tool\nSigned-off-by: A <a@x>\n",
            "Since v2: of the ABI nothing is freed.\n\nNote: v2 of the ABI does it\n",
            "Fixes: none yet.\nLink: and state follow.\nCc: nobody, for now @home.\nFixes: 0123456789 of them.\n\nThe end.\n",
        ] {
            assert_eq!(found(body), [""; 0], "{body}");
        }
    }

    #[test]
    fn bad_ones() {
        insta::assert_snapshot!(found("x: Change\n\nSigned-off-by: A <a@x>\n\nText.\n").join("\n"), @r"
        x.patch:3: the body begins with the subject again
        x.patch:5: `Signed-off-by` is not in the last paragraph, so git takes it for text
        ");
        insta::assert_snapshot!(found("Why.\n\nThe end.\nSigned-off-by: A <a@x>\n").join("\n"), @"x.patch:6: `Signed-off-by` is not in the last paragraph, so git takes it for text");
        let tags = [
            "Fixes: 0123456789ab (\"x: Break\")",
            "Fixes: 0123456789abcdef0123456789abcdef01234567 (\"x\")",
            "Cc: a@b.org",
            "Cc: A B <a@b.org> # 7.3",
            "Link: https://x/y",
            "Closes: https://x/y",
        ];
        let misplaced = "is not in the last paragraph, so git takes it for text";
        for tag in tags {
            let name = super::name(tag);
            assert_eq!(
                found(&format!("Why.\n\n{tag}\n\nText.\n")),
                [format!("x.patch:5: `{name}` {misplaced}")],
                "{tag}"
            );
            assert_eq!(found(&format!("Why.\n{tag}\nMore.\n")), [format!("x.patch:4: `{name}` {misplaced}")], "{tag}");
            assert_eq!(found(&format!("Why.\n\n{tag}\nAcked-by: A <a@x>\n")), [""; 0], "{tag}");
        }
        insta::assert_snapshot!(found("Why.\n\nFixes: 0123456789ab (\"x\")\n\nLink: https://x/\nSigned-off-by: A <a@x>\n").join("\n"), @"x.patch:5: `Fixes` is not in the last paragraph, so git takes it for text");
        insta::assert_snapshot!(found("Why.\n\nv2:\n - more\n\nChanges since v1\n - less\n").join("\n"), @r"
        x.patch:5: `v2:` begins a changelog, which is not for the history
        x.patch:8: `Changes since v1` begins a changelog, which is not for the history
        ");
    }
}
