// SPDX-License-Identifier: GPL-2.0-only

use stg_core::Diagnostic;

use super::*;
use crate::hash::sha256;

fn hashes(all: &[(&str, &str)]) -> Hashes {
    all.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn subject(patch: &str) -> Subject {
    Subject {
        patch: format!("phase1/{patch}"),
        base: "ba5e00000000000000".into(),
        tree: format!("{patch}-tree-0000000"),
        diff: format!("{patch}-diff"),
        configs: hashes(&[("current", "c0"), ("gate-off", "c1")]),
        scenarios: hashes(&[("phase1/sample", "50"), ("phase1/preserve", "51")]),
        topologies: hashes(&[("legacy", "70")]),
        verdicts: hashes(&[("phase1/sample/legacy", "pass"), ("phase1/preserve/legacy", "restore-panic")]),
        boots: 2,
        kexecs: 3,
    }
}

fn tools() -> Tools {
    Tools { toolchain: "rustc 1.95.0; clang 19".into(), qemu: "QEMU 10".into(), harness: "4a".into() }
}

fn made() -> Made {
    Made { tools: tools(), images: hashes(&[("current", "1a"), ("gate-off", "1b")]) }
}

/// Three patches and their records.
fn chain() -> (Vec<Subject>, BTreeMap<String, Vec<u8>>) {
    let subjects = ["one", "two", "three"].map(subject).to_vec();
    let mut texts = BTreeMap::new();
    let mut parent = None;
    for subject in &subjects {
        let (text, hash) = Record { subject: subject.clone(), parent, made: made() }.write();
        texts.insert(subject.patch.clone(), text.into_bytes());
        parent = Some(hash);
    }
    (subjects, texts)
}

/// A record as text.
fn text(texts: &BTreeMap<String, Vec<u8>>, patch: &str) -> String {
    String::from_utf8(texts[patch].clone()).unwrap()
}

/// What is found: patch, class and message of each.
fn found(subjects: &[Subject], texts: &BTreeMap<String, Vec<u8>>) -> String {
    let report = check(subjects, texts, Some(&tools()));
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    report.findings().map(|finding| format!("{:?} {}\n", finding.kind, finding.diagnostic)).collect()
}

#[test]
fn a_record_is_a_file_that_sha256sum_can_check() {
    let (subjects, texts) = chain();
    insta::assert_snapshot!(text(&texts, "phase1/one"), @r#"
    {
      "patch": "phase1/one",
      "base": "ba5e00000000000000",
      "tree": "one-tree-0000000",
      "diff": "one-diff",
      "configs": {
        "current": "c0",
        "gate-off": "c1"
      },
      "scenarios": {
        "phase1/preserve": "51",
        "phase1/sample": "50"
      },
      "topologies": {
        "legacy": "70"
      },
      "verdicts": {
        "phase1/preserve/legacy": "restore-panic",
        "phase1/sample/legacy": "pass"
      },
      "boots": 2,
      "kexecs": 3,
      "parent": null,
      "toolchain": "rustc 1.95.0; clang 19",
      "qemu": "QEMU 10",
      "harness": "4a",
      "images": {
        "current": "1a",
        "gate-off": "1b"
      },
      "hash": "9bc145911d126e61beb84ebf2b4752bce240aa6bea940ff548324779091e1545"
    }
    "#);
    let report = check(&subjects, &texts, Some(&tools()));
    assert!(report.findings().count() == 0 && report.notes.is_empty());
    let Ok(Proved { record, hash }) = &report.patches[0] else { panic!("no proof") };
    assert_eq!(record.made, made());
    let text = text(&texts, "phase1/one");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(sha256(lines[..lines.len() - 2].concat()), *hash);
}

/// Records of which one has these bytes, and everything that is found then.
fn with(patch: &str, bytes: Vec<u8>) -> Vec<Finding> {
    let (subjects, mut texts) = chain();
    texts.insert(patch.to_owned(), bytes);
    check(&subjects, &texts, None).findings().cloned().collect()
}

#[test]
fn every_changed_byte_is_noticed_and_named_and_no_other_record_is_blamed() {
    let (_, texts) = chain();
    // One that another continues, and the last one.
    for patch in ["phase1/two", "phase1/three"] {
        let text = text(&texts, patch);
        let hash = text.rfind("  \"hash\"").unwrap();
        // Another letter, and a byte that is no text.
        for (at, byte) in (0..text.len()).flat_map(|at| [b'x', 0xff].map(|byte| (at, byte))) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == byte { b'y' } else { byte };
            let [finding] = &with(patch, bytes)[..] else { panic!("{patch}, byte {at}: {byte:x}") };
            assert_eq!((finding.patch.as_str(), finding.kind), (patch, Kind::Changed), "byte {at}: {byte:x}");
            let Diagnostic { line, message, .. } = &*finding.diagnostic;
            assert_eq!(*line, Some(text[..at].matches('\n').count() + 1), "byte {at}: {message}");
            assert!(message.contains(&format!("byte {} ", at + 1)), "byte {at}: {message}");
            let own = (hash..text.len() - "}\n".len()).contains(&at);
            assert_eq!(message.contains("in the record's own hash"), own, "byte {at}: {message}");
        }
    }
}

#[test]
fn a_byte_too_many_or_too_few_is_blamed_on_no_other_record() {
    let (_, texts) = chain();
    let text = text(&texts, "phase1/two");
    for at in (0..text.len()).step_by(7).chain(text.len() - 90..text.len()) {
        let (before, behind) = text.split_at(at);
        for wrong in [format!("{before}\n{behind}"), format!("{before}\r{behind}"), format!("{before}{}", &behind[1..])]
        {
            let found = with("phase1/two", wrong.into_bytes());
            let found: Vec<_> = found.iter().map(|finding| (finding.patch.as_str(), finding.kind)).collect();
            assert_eq!(found, [("phase1/two", Kind::Changed)], "byte {at}");
        }
    }
}

#[test]
fn what_was_done_to_the_end_or_to_the_ends_of_lines_is_said() {
    let (_, texts) = chain();
    let text = text(&texts, "phase1/two");
    let (body, _) = text.split_at(text.rfind("  \"hash\"").unwrap());
    let crlf = text.replace('\n', "\r\n");
    let cases = [
        text.trim_end().to_owned(),
        crlf.clone(),
        crlf.trim_end().to_owned(),
        crlf.replace("QEMU 10", "QEMU 11"),
        text.replacen('\n', "\r\n", 1),
        format!("{body}  \"hash\": \"{}\"\n}}\n", "0".repeat(64)),
        format!("{body}  \"hash\": \"\"\n}}\n"),
        format!("{text}\n"),
        format!("{text}}}\n"),
        text.trim_end_matches("}\n").to_owned(),
        body.to_owned(),
        text.replace("\"1a\"", "\"2a\"").replace("\"1b\"", "\"2b\""),
        format!("{body}  \"hash\": \"{}\"\n}}\n", "0".repeat(64)).replace("\"1a\"", "\"2a\""),
    ];
    let mut said = String::new();
    for wrong in cases {
        for finding in with("phase1/two", wrong.into_bytes()) {
            let Diagnostic { file, line, message, .. } = &*finding.diagnostic;
            said.push_str(&format!("{:?} {file}:{}: {message}\n", finding.kind, line.unwrap_or_default()));
        }
    }
    insta::assert_snapshot!(said, @r#"
    Changed proofs/phase1/two.json:32: there is no newline at its end
    Changed proofs/phase1/two.json:1: its lines end with a carriage return and a line feed (CRLF), not with a line feed alone
    Changed proofs/phase1/two.json:1: its lines end with a carriage return and a line feed (CRLF), not with a line feed alone, and there is no newline at its end
    Changed proofs/phase1/two.json:1: its lines end with a carriage return and a line feed (CRLF), not with a line feed alone; with line feeds alone, line 25: byte 563 (column 18) was changed: it was `0`
    Changed proofs/phase1/two.json:1: this line ends with a carriage return and a line feed (CRLF), not with a line feed alone
    Changed proofs/phase1/two.json:31: byte 659 (column 13) was changed, in the record's own hash: the line was "hash": "0d336586f989f75f42684b2c59981fb7676feacd026f352263773852b8750aa3"
    Changed proofs/phase1/two.json:31: byte 658 (column 12) was changed, in the record's own hash: the line was "hash": "0d336586f989f75f42684b2c59981fb7676feacd026f352263773852b8750aa3"
    Changed proofs/phase1/two.json:33: byte 726 (column 1) is wrong: behind the line of the hash there is one with `}`, and nothing else
    Changed proofs/phase1/two.json:33: byte 726 (column 1) is wrong: behind the line of the hash there is one with `}`, and nothing else
    Changed proofs/phase1/two.json:32: byte 724 (column 1) is wrong: behind the line of the hash there is one with `}`, and nothing else
    Changed proofs/phase1/two.json:31: byte 647 (column 1) was changed, in the record's own hash: the line was "hash": "0d336586f989f75f42684b2c59981fb7676feacd026f352263773852b8750aa3"
    Changed proofs/phase1/two.json:31: the SHA-256 of the lines above is another one: they were changed, in more than one byte
    Changed proofs/phase1/two.json:31: the SHA-256 of the lines above is another one: the record was changed, here or in several places
    "#);
    // Of the last one nobody has a copy.
    let text = self::text(&texts, "phase1/three");
    let hash = &text[text.rfind("  \"hash\"").unwrap()..];
    let zeros = format!("  \"hash\": \"{}\"\n}}\n", "0".repeat(64));
    let said = with("phase1/three", text.replace(hash, &zeros).into_bytes());
    assert!(said[0].diagnostic.message.ends_with("the record was changed, here or in several places"), "{said:?}");
}

#[test]
fn letters_that_take_several_bytes_are_noticed_wherever_they_are() {
    let (subjects, texts) = chain();
    let text = text(&texts, "phase1/two");
    let hash = text.rfind("\"hash\"").unwrap();
    for at in (0..hash).step_by(16).chain(hash..text.len()) {
        let wrong = format!("{}\u{fffd}{}", &text[..at], &text[at + 1..]);
        let changed = BTreeMap::from([("phase1/two".to_owned(), wrong.into_bytes())]);
        let texts: BTreeMap<_, _> = texts.clone().into_iter().chain(changed).collect();
        let report = check(&subjects, &texts, None);
        let finding = report.findings().next().unwrap();
        assert_eq!((finding.patch.as_str(), finding.kind), ("phase1/two", Kind::Changed), "byte {at}");
    }
}

#[test]
fn bytes_that_come_or_go_are_noticed() {
    let (subjects, texts) = chain();
    let text = text(&texts, "phase1/one");
    for wrong in [
        format!("{text}\n"),
        text.trim_end().to_owned(),
        format!(" {text}"),
        String::new(),
        "{}\n".into(),
        text.replace("\"1a\"", "\"1\""),
    ] {
        let texts = BTreeMap::from([("phase1/one".to_owned(), wrong.into_bytes())]);
        let report = check(&subjects[..1], &texts, None);
        assert_eq!(report.findings().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::Changed], "{texts:?}");
    }
}

#[test]
fn a_changed_byte_is_named_with_its_line() {
    let (subjects, mut texts) = chain();
    for patch in ["phase1/one", "phase1/three"] {
        let wrong = text(&texts, patch).replacen("\"phase1/preserve\": \"51\"", "\"phase1/preserve\": \"61\"", 1);
        texts.insert(patch.into(), wrong.into_bytes());
    }
    let two = text(&texts, "phase1/two").replace("clang 19", "clang 20");
    texts.insert("phase1/two".into(), two.into_bytes());
    insta::assert_snapshot!(found(&subjects, &texts), @r#"
    Changed proofs/phase1/one.json:11: byte 215 (column 25) was changed: the line was "phase1/preserve": "51",
      fix: take it back with `git checkout -- proofs/phase1/one.json`, or prove it again: `phasectl prove phase1/one`
    Changed proofs/phase1/two.json:31: the SHA-256 of the lines above is another one: they were changed, in more than one byte
      fix: take it back with `git checkout -- proofs/phase1/two.json`, or prove it again: `phasectl prove phase1/two`
    Changed proofs/phase1/three.json:11: byte 221 (column 25) was changed: the line was "phase1/preserve": "51",
      fix: take it back with `git checkout -- proofs/phase1/three.json`, or prove it again: `phasectl prove phase1/three`
    "#);
}

#[test]
fn a_record_is_stale_when_the_repository_says_otherwise() {
    let (subjects, texts) = chain();
    let stale = |change: &dyn Fn(&mut Subject)| {
        let mut subjects = subjects.clone();
        change(&mut subjects[1]);
        let text = found(&subjects, &texts);
        assert!(text.matches("Stale").count() == 1 && text.contains("fix: run `phasectl prove phase1/two`"), "{text}");
        text.lines().next().unwrap().to_owned()
    };
    let set = |map: fn(&mut Subject) -> &mut Hashes, name: &'static str, value: Option<&'static str>| {
        move |subject: &mut Subject| {
            match value {
                Some(value) => map(subject).insert(name.to_owned(), value.to_owned()),
                None => map(subject).remove(name),
            };
        }
    };
    let lines = [
        stale(&|subject| subject.tree = "other-tree-0000000".into()),
        stale(&|subject| (subject.tree, subject.diff) = ("other-tree-0000000".into(), "other".into())),
        stale(&set(|subject| &mut subject.configs, "current", Some("c9"))),
        stale(&set(|subject| &mut subject.scenarios, "phase1/preserve", Some("59"))),
        stale(&set(|subject| &mut subject.scenarios, "phase1/sample", None)),
        stale(&set(|subject| &mut subject.topologies, "legacy", Some("79"))),
        stale(&set(|subject| &mut subject.verdicts, "phase1/new/legacy", Some("pass"))),
        stale(&set(|subject| &mut subject.verdicts, "phase1/sample/legacy", Some("hang"))),
        stale(&|subject| subject.boots = 9),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    Stale proofs/phase1/two.json:4: stale: an earlier patch is another one now: tree two-tree-000 was proved, it is other-tree-0
    Stale proofs/phase1/two.json:4: stale: the patch is another one now: tree two-tree-000 was proved, it is other-tree-0
    Stale proofs/phase1/two.json:7: stale: the configuration of kernel current has changed
    Stale proofs/phase1/two.json:11: stale: scenario phase1/preserve has changed
    Stale proofs/phase1/two.json:12: stale: scenario phase1/sample is gone
    Stale proofs/phase1/two.json:15: stale: topology legacy has changed
    Stale proofs/phase1/two.json: stale: the verdict of case phase1/new/legacy is new
    Stale proofs/phase1/two.json:19: stale: the verdict of case phase1/sample/legacy has changed
    Stale proofs/phase1/two.json:21: stale: it counts 2 boots and 3 kexecs, there are 9 and 3
    ");
}

#[test]
fn a_chain_has_no_gap() {
    let (subjects, mut texts) = chain();
    texts.remove("phase1/two");
    insta::assert_snapshot!(found(&subjects, &texts), @r"
    Missing proofs/phase1/two.json: there is no proof of phase1/two
      fix: if it was deleted, take it back with `git checkout -- proofs/phase1/two.json`; else run `phasectl prove phase1/two`
    ");
    // A record that was made anew, and those behind it not.
    let (subjects, mut texts) = chain();
    let mut other = made();
    other.images.insert("current".into(), "1c".into());
    let record = Record { subject: subjects[0].clone(), parent: None, made: other };
    texts.insert("phase1/one".into(), record.write().0.into_bytes());
    insta::assert_snapshot!(found(&subjects, &texts), @r"
    Unchained proofs/phase1/two.json:23: it does not continue the record of the patch before it, 67b8306baa71
      fix: run `phasectl prove phase1/two`
    ");
    // A patch before all others.
    let (mut subjects, texts) = chain();
    subjects.remove(0);
    insta::assert_snapshot!(found(&subjects, &texts), @r"
    Unchained proofs/phase1/two.json:23: it continues another record, and this is the first patch of its phase
      fix: run `phasectl prove phase1/two`
    ");
}

#[test]
fn each_phase_has_a_chain_of_its_own() {
    let (mut subjects, mut texts) = chain();
    let mut parent = None;
    for name in ["four", "five"] {
        let subject = Subject { patch: format!("phase2/{name}"), ..subject(name) };
        let (text, hash) = Record { subject: subject.clone(), parent, made: made() }.write();
        texts.insert(subject.patch.clone(), text.into_bytes());
        subjects.push(subject);
        parent = Some(hash);
    }
    assert_eq!(found(&subjects, &texts), "");
    // The second phase neither needs the records of the first one, nor does it cover for them.
    texts.retain(|patch, _| patch.starts_with("phase2"));
    assert_eq!(found(&subjects[3..], &texts), "");
    assert_eq!(found(&subjects, &texts).matches("Missing").count(), 3);
    // One that continues a record of another phase.
    let record = Record { subject: subjects[3].clone(), parent: Some("0".repeat(64)), made: made() };
    texts.insert("phase2/four".into(), record.write().0.into_bytes());
    assert!(found(&subjects[3..], &texts).starts_with("Unchained proofs/phase2/four.json:23: it continues another"));
}

#[test]
fn other_tools_and_another_base_are_noted() {
    let (mut subjects, texts) = chain();
    let here = Tools { qemu: "QEMU 11".into(), harness: "4b".into(), ..tools() };
    for subject in &mut subjects {
        subject.base = "0ther0000000000000".into();
        subject.tree = "whatever".into();
    }
    let report = check(&subjects, &texts, Some(&here));
    assert_eq!(report.findings().count(), 0);
    insta::assert_snapshot!(report.notes.join("\n"), @r"
    3 records: proved on a base with tree ba5e00000000, here it is 0ther0000000: what the patches change was compared, not their trees
    3 records: proved with QEMU `QEMU 10`, here it is `QEMU 11`
    3 records: proved with another source of the harness
    ");
    subjects[0].diff = "other".into();
    assert_eq!(check(&subjects, &texts, None).findings().count(), 1);
}

#[test]
fn a_proof_without_its_patch_is_a_stray() {
    let others = ["README", "phase1/one.json.new", "phase1/two.json.new", "phase1/one.json/one.json"];
    let others = others.map(|path| format!("{DIRECTORY}/{path}").into());
    let files = [&[file("phase1/one"), file("phase1/gone")], &others[..]].concat();
    let strays = strays(&files, &["phase1/one".to_owned()]);
    let text: Vec<String> = strays.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    proofs/phase1/gone.json: a proof of a patch that does not exist
      fix: delete it, or put the patch back into phase.yaml
    proofs/README: this is no record, and nothing else belongs here
      fix: delete it, or move it elsewhere
    proofs/phase1/one.json.new: a record that was not written to its end
      fix: delete it
    proofs/phase1/two.json.new: this is no record, and nothing else belongs here
      fix: delete it, or move it elsewhere
    proofs/phase1/one.json/one.json: this is no record, and nothing else belongs here
      fix: delete it, or move it elsewhere
    ");
}

#[test]
fn the_same_question_has_the_same_key() {
    let key = |subject: &Subject, tools: &Tools| subject.inputs(tools).key();
    let (one, tools) = (subject("one"), tools());
    assert_eq!(key(&one, &tools), key(&one.clone(), &tools));
    assert_ne!(key(&one, &tools), key(&subject("two"), &tools));
    assert_ne!(key(&one, &tools), key(&one, &Tools { harness: "4b".into(), ..tools.clone() }));
    let mut other = one.clone();
    other.scenarios.insert("phase1/sample".into(), "59".into());
    assert_eq!(one.inputs(&tools).differing(&other.inputs(&tools)), ["scenarios"]);
}
