// SPDX-License-Identifier: GPL-2.0-only

//! Hunks against generated files, and the cases that must not be guessed.

use camino::Utf8Path;
use proptest::prelude::*;

use super::*;
use crate::git::Repo;
use crate::testing::tempdir;

fn repo() -> (crate::testing::Temp, Repo) {
    let dir = tempdir();
    let repo = Repo::open_or_create(&dir.path().join("r.git")).unwrap();
    (dir, repo)
}

fn parse(text: &str) -> Vec<Hunk> {
    let text = format!("diff --git a/x b/x\n--- a/x\n+++ b/x\n{text}");
    crate::patchfile::parse_diffs(Utf8Path::new("t.patch"), text.as_bytes(), 10).unwrap().remove(0).hunks
}

/// Few distinct lines, so that the same context occurs often; perhaps without an end of line at the end.
fn file() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(0_u8..6, 0..60), any::<bool>()).prop_map(|(lines, end)| {
        let mut text: Vec<u8> = lines.iter().flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        if !end {
            text.pop();
        }
        text
    })
}

#[test]
fn a_diff_goes_on_and_comes_off() {
    let (_dir, repo) = repo();
    proptest!(|(old in file(), new in file())| {
        let hunks = repo.hunks(&old, &new).unwrap();
        prop_assert_eq!(apply(&old, &hunks).unwrap(), new.clone());
        prop_assert_eq!(take_back(&new, &hunks).unwrap(), old);
    });
}

/// With distinct lines the place is unique, wherever other lines push it.
#[test]
fn a_shifted_diff_finds_its_place() {
    let (_dir, repo) = repo();
    proptest!(|(at in 3_usize..36, above in 0_usize..30)| {
        let old = crate::testing::numbered(1, 40);
        let new = old.replace(&format!("line {at}\n"), "changed\n");
        let hunks = repo.hunks(old.as_bytes(), new.as_bytes()).unwrap();
        let more: String = (0..above).map(|n| format!("more {n}\n")).collect();
        let got = apply(format!("{more}{old}").as_bytes(), &hunks).unwrap();
        prop_assert_eq!(String::from_utf8(got).unwrap(), format!("{more}{new}"));
    });
}

#[test]
fn the_exact_place_wins_over_others_that_look_alike() {
    let hunks = parse("@@ -3,2 +3,3 @@\n a\n b\n+new\n");
    assert_eq!(apply(b"a\nb\na\nb\na\nb\n", &hunks).unwrap(), b"a\nb\na\nb\nnew\na\nb\n");
}

#[test]
fn two_places_are_an_error() {
    let hunks = parse("@@ -9,2 +9,3 @@\n a\n b\n+new\n");
    let error = apply(b"a\nb\nx\na\nb\n", &hunks).unwrap_err();
    assert_eq!((error.number, error.at), (1, 13));
    insta::assert_snapshot!(error.why, @"it would fit at lines 1, 4, and at none of them exactly");
}

#[test]
fn a_later_hunk_moves_with_the_one_before() {
    let hunks = parse("@@ -1,2 +1,3 @@\n p\n+1\n q\n@@ -5,1 +6,2 @@\n a\n+2\n");
    // Two more lines at the top: `a` is at lines 6, 7 and 8, and the first hunk says which one is meant.
    assert_eq!(apply(b"x\ny\np\nq\nr\na\na\na\n", &hunks).unwrap(), b"x\ny\np\n1\nq\nr\na\na\n2\na\n");
}

#[test]
fn the_first_line_that_differs_is_named() {
    let hunks = parse("@@ -1,4 +1,4 @@\n one\n two\n-three\n+THREE\n four\n");
    let error = apply(b"zero\none\ntwo\n3\nfour\n", &hunks).unwrap_err();
    // Line 13 is the `@@`; `three` is three lines below.
    assert_eq!(error.at, 16);
    insta::assert_snapshot!(error.why, @r"
    line 4 differs
      wanted: three
      found:  3
    ");
    let error = take_back(b"one\ntwo\nTHREE\n", &hunks).unwrap_err();
    assert_eq!(error.at, 18);
    insta::assert_snapshot!(error.why, @r"
    the file ends before line 4
      wanted: four
    ");
}

/// The lower part of the hunk is longer, and matches one line further down.
#[test]
fn a_line_that_was_put_into_the_middle_is_what_differs() {
    let hunks = parse("@@ -2,6 +2,7 @@\n doc\n struct\n a\n+new\n b\n c\n end\n");
    let error = apply(b"top\ndoc\nmine\nstruct\na\nb\nc\nend\n", &hunks).unwrap_err();
    assert_eq!(error.at, 15);
    insta::assert_snapshot!(error.why, @r"
    line 3 differs
      wanted: struct
      found:  mine
    ");
    // The same when the hunk comes off, and when a line was taken out.
    let error = take_back(b"top\ndoc\nmine\nstruct\na\nnew\nb\nc\nend\n", &hunks).unwrap_err();
    assert_eq!((error.at, error.why.to_string().lines().next()), (15, Some("line 3 differs")));
    let error = apply(b"top\ndoc\na\nb\nc\nend\n", &hunks).unwrap_err();
    assert_eq!((error.at, error.why.to_string().lines().next()), (15, Some("line 3 differs")));
}

#[test]
fn of_places_that_match_alike_the_expected_one_is_shown() {
    let hunks = parse("@@ -3,2 +3,3 @@\n a\n b\n+new\n");
    let error = apply(b"a\nx\na\ny\na\nz\n", &hunks).unwrap_err();
    insta::assert_snapshot!(error.why, @r"
    line 4 differs
      wanted: b
      found:  y
    ");
}

#[test]
fn the_end_of_line_at_the_end_counts() {
    let hunks = parse("@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
    assert_eq!(apply(b"a", &hunks).unwrap(), b"a\n");
    assert_eq!(take_back(b"a\n", &hunks).unwrap(), b"a");
    assert!(apply(b"a\n", &hunks).is_err());
}

#[test]
fn lines_without_context_go_exactly_where_they_say_or_nowhere() {
    let hunks = parse("@@ -2,0 +3,1 @@\n+new\n");
    assert_eq!(apply(b"a\nb\nc\n", &hunks).unwrap(), b"a\nb\nnew\nc\n");
    assert!(apply(b"a\n", &hunks).is_err());
}
