// SPDX-License-Identifier: GPL-2.0-only

//! Round trips, and every text that is refused.

use super::*;

const FULL: &str = "Subject: rust: kho: add abstractions
Adds: rust/kernel/kho.rs

Why.

Signed-off-by: Jane Doe <jane@example.org>
---
diff --git a/a.c b/a.c
--- a/a.c
+++ b/a.c
@@ -1,3 +1,4 @@ int main(void)
 a
 b
+new
 c
@@ -9 +10 @@
-x
+y
\\ No newline at end of file
diff --git a/gone.c b/gone.c
deleted file mode 100644
--- a/gone.c
+++ /dev/null
@@ -1,2 +0,0 @@
-a
-b
diff --git a/old.c b/new.c
rename from old.c
rename to new.c
diff --git a/s.sh b/s.sh
old mode 100644
new mode 100755
";

fn parse(text: &str) -> Result<PatchFile> {
    PatchFile::parse(Utf8Path::new("phases/phase1/x.patch"), text.as_bytes(), Kind::Phase)
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// A patch with one diff.
fn diff(text: &str) -> String {
    format!("Subject: s\n\nbody\n---\n{text}")
}

#[test]
fn what_is_printed_is_what_was_parsed() {
    let patch = parse(FULL).unwrap();
    assert_eq!(String::from_utf8(patch.print()).unwrap(), FULL);
    assert_eq!(patch.subject(), "rust: kho: add abstractions");
    assert_eq!(patch.adds().collect::<Vec<_>>(), [(Utf8Path::new("rust/kernel/kho.rs"), 2)]);
    assert_eq!(patch.last_sign_off(), (Some("Jane Doe <jane@example.org>"), 6));
    assert_eq!(patch.message(), "rust: kho: add abstractions\n\nWhy.\n\nSigned-off-by: Jane Doe <jane@example.org>\n");
    let lines: Vec<_> = patch.diffs.iter().map(|diff| (diff.line, diff.hunks.first().map(|hunk| hunk.at))).collect();
    assert_eq!(lines, [(8, Some(11)), (20, Some(24)), (27, None), (30, None)]);
}

#[test]
fn what_git_adds_to_a_diff_is_read_and_not_kept() {
    let with = diff(
        "diff --git a/a.c b/b.c\nsimilarity index 90%\nrename from a.c\nrename to b.c\nindex 1..2 100644\n--- a/a.c\n+++ b/b.c\n@@ -1 +1 @@\n-a\n+b\n",
    );
    let without = with.replace("similarity index 90%\n", "").replace("index 1..2 100644\n", "");
    assert_eq!(String::from_utf8(parse(&with).unwrap().print()).unwrap(), without);
}

#[test]
fn faults_have_headers_of_their_own() {
    let text = "Subject: s\nPhase: phase1\nScenario: phase1/fd-preserve/legacy\nRow: 1.3\nExpect: hang\n\nbody\n";
    let path = Utf8Path::new("selftests/faults/1.3-x.patch");
    let fault = PatchFile::parse(path, text.as_bytes(), Kind::Fault).unwrap();
    assert_eq!(fault.header("Expect").unwrap().value, "hang");
    insta::assert_snapshot!(error(text), @r"
    phases/phase1/x.patch:2: unknown header `Phase`
      fix: use Subject, Adds, then an empty line before the body
    phases/phase1/x.patch:3: unknown header `Scenario`
      fix: use Subject, Adds, then an empty line before the body
    phases/phase1/x.patch:4: unknown header `Row`
      fix: use Subject, Adds, then an empty line before the body
    phases/phase1/x.patch:5: unknown header `Expect`
      fix: use Subject, Adds, then an empty line before the body
    ");
}

#[test]
fn empty_messages() {
    insta::assert_snapshot!(error("Subject:\n\nbody\n"), @r"
    phases/phase1/x.patch:1: empty message: the subject is empty
      fix: write `Subject: subsystem: what the patch does`
    ");
    insta::assert_snapshot!(error("Subject: s\n\n"), @r"
    phases/phase1/x.patch:3: empty message: the body is empty
      fix: say under the subject, after an empty line, why the change is needed
    ");
    insta::assert_snapshot!(error("Subject: s\n\nSigned-off-by: J <j@example.org>\n"), @r"
    phases/phase1/x.patch:3: empty message: the body is empty
      fix: say under the subject, after an empty line, why the change is needed
    ");
    insta::assert_snapshot!(error("Adds: a.c\n\nbody\n"), @r"
    phases/phase1/x.patch:1: empty message: no `Subject:`
      fix: begin the file with `Subject: ...`
    ");
}

#[test]
fn paths_outside_the_tree() {
    insta::assert_snapshot!(error("Subject: s\nAdds: /etc/passwd\n\nbody\n"), @r"
    phases/phase1/x.patch:2: absolute path: /etc/passwd
      fix: write the path as it is in the Linux tree, such as `rust/kernel/kho.rs`
    ");
    insta::assert_snapshot!(error("Subject: s\nAdds: drivers/../../x\n\nbody\n"), @r"
    phases/phase1/x.patch:2: escaping path: drivers/../../x
      fix: write the path as it is in the Linux tree, such as `rust/kernel/kho.rs`
    ");
    insta::assert_snapshot!(error("Subject: s\nAdds: ./x\nAdds: a b\n\nbody\n"), @r"
    phases/phase1/x.patch:2: not a plain path: ./x
      fix: write the path as it is in the Linux tree, such as `rust/kernel/kho.rs`
    phases/phase1/x.patch:3: a path with blanks, quotes or characters outside ASCII: a b
      fix: write the path as it is in the Linux tree, such as `rust/kernel/kho.rs`
    ");
    insta::assert_snapshot!(error(&diff("diff --git a/../x b/../x\n--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n")), @r"
    phases/phase1/x.patch:5: escaping path: ../x
      fix: name files by their path in the Linux tree, after `a/` and `b/`
    ");
}

#[test]
fn a_file_added_twice_by_one_patch() {
    insta::assert_snapshot!(error("Subject: s\nAdds: a.c\nAdds: a.c\n\nbody\n"), @r"
    phases/phase1/x.patch:3: file added twice: a.c (first on line 2)
      fix: remove one of the two lines
    ");
}

#[test]
fn binary_content() {
    insta::assert_snapshot!(error(&diff("diff --git a/a.bin b/a.bin\nindex 1..2 100644\nGIT binary patch\n")), @r"
    phases/phase1/x.patch:7: binary file: a.bin
      fix: keep binary files out of the series
    ");
    insta::assert_snapshot!(error("Subject: s\n\nbo\0dy\n"), @r"
    phases/phase1/x.patch:3: binary file: a NUL byte in a patch
      fix: keep binary files out of the series
    ");
}

#[test]
fn new_files_belong_under_kernel() {
    insta::assert_snapshot!(error(&diff("diff --git a/n.c b/n.c\nnew file mode 100644\n--- /dev/null\n+++ b/n.c\n@@ -0,0 +1 @@\n+a\n")), @r"
    phases/phase1/x.patch:6: n.c is new: new files are kept whole, not as diffs
      fix: add the header `Adds: n.c` and put the file under kernel/<phase>/
    ");
}

#[test]
fn links_are_no_files() {
    insta::assert_snapshot!(error(&diff("diff --git a/n b/n\ndeleted file mode 120000\n")), @r"
    phases/phase1/x.patch:6: mode 120000 is not that of a regular file
      fix: keep links and submodules out
    ");
}

#[test]
fn texts_that_mail_would_change() {
    insta::assert_snapshot!(error("Subject: [RFC] s\n\nbody\n"), @r"
    phases/phase1/x.patch:1: `git am` would cut the subject's beginning (`[...]` or `Re:`)
      fix: write `Subject: subsystem: what the patch does`
    ");
    insta::assert_snapshot!(error("Subject: s\n\nFrom: someone <x@example.org>\n\nbody\nIndex: x\n"), @r"
    phases/phase1/x.patch:3: `git am` would not take this line as part of the message
      fix: indent it, or put diffs after a line `---`
    phases/phase1/x.patch:6: `git am` would not take this line as part of the message
      fix: indent it, or put diffs after a line `---`
    ");
    insta::assert_snapshot!(error("Subject: s\n\n\nbody\n"), @r"
    phases/phase1/x.patch:3: the body begins or ends with an empty line, or its last line has no end
      fix: leave exactly one empty line before the body and none after it
    ");
}

#[test]
fn hunks_that_do_not_count() {
    insta::assert_snapshot!(error(&diff("diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n")), @r"
    phases/phase1/x.patch:12: the hunk of line 8 has other line counts than its header says (old 2, new 2 so far)
      fix: correct the header, or let `phasectl edit` and `refresh` write the file
    ");
    insta::assert_snapshot!(error(&diff("diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1,1 +1,1 @@\n-b\n+c\n d\n")), @r"
    phases/phase1/x.patch:11: the hunk of line 8 has other line counts than its header says (old 1, new 1 so far)
      fix: correct the header, or let `phasectl edit` and `refresh` write the file
    ");
    insta::assert_snapshot!(error(&diff("--- a/a.c\n+++ b/a.c\n")), @r"
    phases/phase1/x.patch:5: not a diff: --- a/a.c
      fix: put only git-style diffs after `---`, each beginning with `diff --git a/PATH b/PATH`
    ");
    insta::assert_snapshot!(error(&diff("diff --git a/a.c b/a.c\n")), @r"
    phases/phase1/x.patch:6: the diff of a.c changes nothing
      fix: add its hunks, or remove it
    ");
}

#[test]
fn a_commit_message_is_split_at_its_subject() {
    let path = Utf8Path::new("phases/phase1/x.patch");
    let (subject, body) = split_message(path, "a: b\n\nWhy.\n\nMore.\n\n").unwrap();
    assert_eq!((subject.as_str(), body.as_str()), ("a: b", "Why.\n\nMore.\n"));
    insta::assert_snapshot!(split_message(path, "a: b\n").unwrap_err(), @r"
    phases/phase1/x.patch:3: empty message: the body is empty
      fix: say under the subject, after an empty line, why the change is needed
    ");
}
