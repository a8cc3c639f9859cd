// SPDX-License-Identifier: GPL-2.0-only

//! Where the lines of a mail are: in the message, or in the tree after the patch.

use camino::Utf8PathBuf;

use super::Subject;

/// For every line of the mail the file and line that it shows.
pub(super) fn places(subject: &Subject) -> Vec<(Utf8PathBuf, usize)> {
    let mail = String::from_utf8_lossy(&subject.mail);
    let mut all = Vec::new();
    // Before the first empty line there are headers, then the message.
    let mut place = (subject.origin.file.clone(), 1);
    let (mut headers, mut diff) = (true, false);
    for line in mail.lines() {
        if let Some(path) = line.strip_prefix("+++ b/").filter(|_| diff) {
            place = (path.into(), 1);
        } else if let Some(start) = line.strip_prefix("@@ -").filter(|_| diff).and_then(new_start) {
            place.1 = start;
            all.push(place.clone());
            continue;
        } else if line.starts_with("diff --git ") {
            diff = true;
        }
        all.push(place.clone());
        if headers && line.is_empty() {
            (headers, place.1) = (false, subject.origin.body_line);
        } else if !headers && !diff || diff && line.starts_with([' ', '+']) && !line.starts_with("+++ ") {
            place.1 += 1;
        }
    }
    all
}

/// The 3 of `1,2 +3,4 @@`.
fn new_start(head: &str) -> Option<usize> {
    head.split_once(" +")?.1.split([',', ' ']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::Small;

    #[test]
    fn places_are_those_of_the_files() {
        let mail = "From: x\nSubject: s\n\nbody 1\nbody 2\n---\n a.c | 2 +-\n\ndiff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1,2 +7,3 @@ f\n one\n-two\n+three\n+four\n";
        let mut subject = Small::new().subject(&[("a.c", "1\n")], &[("a.c", "2\n")]);
        (subject.mail, subject.origin.body_line) = (mail.into(), 4);
        let places = places(&subject);
        let at = |line: usize| format!("{}:{}", places[line - 1].0, places[line - 1].1);
        assert_eq!([at(4), at(5)], ["x.patch:4", "x.patch:5"]);
        assert_eq!([at(13), at(15), at(16)], ["a.c:7", "a.c:8", "a.c:9"]);
    }
}
