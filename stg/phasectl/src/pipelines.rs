// SPDX-License-Identifier: GPL-2.0-only

//! The ready pipelines for GitHub Actions and GitLab CI: they can be read, their shards are complete and begin with what is known, what they
//! find out is reported as a whole and goes into records that can be had, and every command line in them is one that phasectl takes.

use camino::Utf8Path;
use clap::Parser as _;
use serde_yaml::Value;

use crate::cli::Cli;

const GITHUB: &str = ".github/workflows/phase.yml";
const GITLAB: &str = ".gitlab-ci.yml";

/// What is known, in the checkout: the outcomes of the cache that `PHASECTL_CACHE` names there.
const OUTCOMES: &str = "cache/outcomes";

fn load(path: &str) -> Value {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    serde_yaml::from_str(&std::fs::read_to_string(root.join(path)).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("{other:?} is no text"),
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().unwrap_or_else(|| panic!("{value:?} is no list")).iter().map(text).collect()
}

/// The lines of all scripts of GitHub's jobs, each for every shard.
fn github() -> Vec<String> {
    let workflow = load(GITHUB);
    let shards = text(&workflow["env"]["SHARDS"]);
    let mut lines = Vec::new();
    for (_, job) in workflow["jobs"].as_mapping().unwrap() {
        assert_eq!(text(&job["container"]), "debian:trixie");
        let steps = job["steps"].as_sequence().unwrap();
        let runs = || steps.iter().filter(|step| step.get("run").is_some()).map(|step| text(&step["run"]));
        let Some(matrix) = job.get("strategy").map(|strategy| &strategy["matrix"]) else {
            lines.extend(runs());
            continue;
        };
        for command in texts(&matrix["command"]) {
            for shard in texts(&matrix["shard"]) {
                let set = |line: String| {
                    let line = line.replace("${{ matrix.command }}", &command).replace("${{ matrix.shard }}", &shard);
                    line.replace("$SHARDS", &shards)
                };
                lines.extend(runs().map(set));
            }
        }
    }
    lines
}

/// The same of GitLab's jobs.
fn gitlab() -> Vec<String> {
    let file = load(GITLAB);
    let mut lines = Vec::new();
    for (name, job) in file.as_mapping().unwrap() {
        let Some(script) = job.get("script") else { continue };
        assert!(file["stages"].as_sequence().unwrap().contains(stage(&file, job)), "{name:?}");
        let Some(template) = job.get("extends") else {
            lines.extend(texts(script));
            continue;
        };
        let of = file[text(template).as_str()]["parallel"].as_u64().unwrap();
        for shard in 1..=of {
            let set = |line: String| {
                let line = line.replace("$CI_NODE_INDEX", &shard.to_string());
                line.replace("$CI_NODE_TOTAL", &of.to_string())
            };
            lines.extend(texts(script).into_iter().map(set));
        }
    }
    lines
}

fn stage<'a>(file: &'a Value, job: &'a Value) -> &'a Value {
    job.get("stage").unwrap_or_else(|| &file[text(&job["extends"]).as_str()]["stage"])
}

/// The words of the phasectl command lines, as a shell would pass them on.
fn commands(lines: &[String]) -> Vec<Vec<String>> {
    let lines = lines.iter().flat_map(|script| script.lines());
    let own = lines.filter_map(|line| line.trim().strip_prefix("cargo phasectl "));
    own.map(|line| {
        let line = line.strip_suffix(" || failed=yes").unwrap_or(line);
        let line = line.replace("$PHASE", "phase1").replace("shards/*", "shards/1 shards/2").replace('"', "");
        assert!(!line.contains('$'), "{line}: a variable that nobody sets");
        line.split_whitespace().map(str::to_owned).collect()
    })
    .collect()
}

#[test]
fn both_pipelines_do_the_same_in_shards_that_cover_everything() {
    let all = [commands(&github()), commands(&gitlab())];
    let sorted = all.map(|mut commands| {
        commands.sort();
        commands.into_iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("\n")
    });
    assert_eq!(sorted[0], sorted[1]);
    insta::assert_snapshot!(sorted[0], @r"
    check phase1
    check phase1 --shard 1/4
    check phase1 --shard 2/4
    check phase1 --shard 3/4
    check phase1 --shard 4/4
    faults phase1
    faults phase1 --shard 1/4
    faults phase1 --shard 2/4
    faults phase1 --shard 3/4
    faults phase1 --shard 4/4
    matrix
    matrix --shard 1/4
    matrix --shard 2/4
    matrix --shard 3/4
    matrix --shard 4/4
    merge shards/1 shards/2
    prove phase1
    prove phase1 --shard 1/4
    prove phase1 --shard 2/4
    prove phase1 --shard 3/4
    prove phase1 --shard 4/4
    verify phase1
    ");
}

#[test]
fn every_command_line_is_one_that_phasectl_takes() {
    for words in commands(&github()).into_iter().chain(commands(&gitlab())) {
        let line = ["phasectl".to_owned()].into_iter().chain(words);
        if let Err(error) = Cli::try_parse_from(line) {
            panic!("{error}");
        }
    }
    for lines in [github(), gitlab()] {
        assert!(lines.iter().any(|line| line.trim() == "cargo ci"), "{lines:?}");
    }
}

/// The steps of one of GitHub's jobs.
fn steps(job: &str) -> Vec<Value> {
    load(GITHUB)["jobs"][job]["steps"].as_sequence().unwrap().clone()
}

/// What a step runs, or the action that it uses with the path and the condition.
fn step(step: &Value) -> String {
    let given = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let uses = given(&step["uses"]);
    let name = uses.split('@').next().unwrap_or_default();
    let said = if name.is_empty() { given(&step["run"]) } else { format!("{name} {}", given(&step["with"]["path"])) };
    format!("{said} {}", given(&step["if"])).trim().to_owned()
}

fn place(all: &[String], wanted: impl Fn(&str) -> bool) -> usize {
    all.iter().position(|one| wanted(one)).unwrap_or_else(|| panic!("not among {all:#?}"))
}

#[test]
fn what_is_known_is_there_before_a_shard_begins_under_a_key_with_the_phase() {
    let shard = steps("shard");
    let said: Vec<String> = shard.iter().map(step).collect();
    let restored = place(&said, |one| one == format!("actions/cache/restore {OUTCOMES}"));
    assert!(restored < place(&said, |one| one.contains("--shard")), "{said:#?}");
    let keys = &shard[restored]["with"];
    let start = "outcomes-${{ env.PHASE }}-${{ hashFiles(";
    assert!(text(&keys["key"]).starts_with(start), "{keys:?}");
    assert!(text(&keys["restore-keys"]).lines().next().unwrap().starts_with(start), "{keys:?}");
    assert_eq!(text(&keys["restore-keys"]).lines().nth(1), Some("outcomes-${{ env.PHASE }}-"));
    // Kept under a name of its own each time, since GitHub never writes to one again, and whatever became of the job.
    assert!(text(&keys["key"]).ends_with("${{ github.run_id }}-${{ github.run_attempt }}"));
    let merge: Vec<Value> = steps("merge");
    let saved = place(&merge.iter().map(step).collect::<Vec<_>>(), |one| {
        one == format!("actions/cache/save {OUTCOMES} always()")
    });
    assert_eq!(merge[saved]["with"]["key"], keys["key"]);

    let file = load(GITLAB);
    let caches = file[".shard"]["cache"].as_sequence().unwrap();
    let of = |cache: &Value| texts(&cache["paths"]).concat() == OUTCOMES;
    let pulled = caches.iter().find(|cache| of(cache)).unwrap();
    let mut pushed = file["merge"]["cache"].clone();
    pushed.apply_merge().unwrap();
    assert!(text(&pulled["key"]).starts_with("outcomes-$PHASE-") && of(&pushed), "{pulled:?}");
    assert_eq!((&pushed["key"], text(&pulled["policy"]).as_str()), (&pulled["key"], "pull"));
    assert_eq!((text(&pushed["policy"]).as_str(), text(&pushed["when"]).as_str()), ("pull-push", "always"));
    for cache in caches {
        // In the name of a job that runs in parallel there is a slash, which no key may have.
        assert!(text(&cache["key"]).contains("$PHASE") && !text(&cache["key"]).ends_with("$CI_JOB_NAME"), "{cache:?}");
    }
}

#[test]
fn after_the_merge_the_whole_is_asked_for_and_its_proofs_can_be_had() {
    let said: Vec<String> = steps("merge").iter().map(step).collect();
    let script = texts(&load(GITLAB)["merge"]["script"]);
    let sharded: Vec<Vec<String>> =
        commands(&github()).into_iter().filter(|words| words.contains(&"--shard".to_owned())).collect();
    for lines in [&said, &script] {
        let merged = place(lines, |line| line.starts_with("cargo phasectl merge shards/*"));
        for words in &sharded {
            let whole = words[..words.len() - 2].join(" ").replace("phase1", "\"$PHASE\"");
            let at = place(lines, |line| {
                let end = line.strip_prefix(&format!("cargo phasectl {whole}"));
                // What one of them finds keeps no other from running, and is not forgotten.
                matches!(end, Some(" || failed=yes" | " ${{ !cancelled() }}"))
            });
            assert!(merged < at, "{whole} before the merge");
        }
        let proved = place(lines, |line| line.starts_with("cargo phasectl prove"));
        assert!(proved < place(lines, |line| line.starts_with("cargo phasectl verify")));
    }
    let proved = place(&said, |line| line.starts_with("cargo phasectl prove"));
    assert!(proved < place(&said, |line| line == "actions/upload-artifact proofs always()"));
    assert_eq!(script.last().unwrap(), "test -z \"$failed\"");
    let artifacts = &load(GITLAB)["merge"]["artifacts"];
    assert_eq!((texts(&artifacts["paths"]), text(&artifacts["when"]).as_str()), (vec!["proofs".to_owned()], "always"));
    // A shard writes no records, so there is nothing to carry from there.
    for lines in [github(), gitlab()] {
        assert!(!lines.iter().any(|line| line.contains("cp -r proofs")), "{lines:?}");
    }
}

#[test]
fn a_shard_hands_on_a_directory_that_merge_takes() {
    let said: Vec<String> = steps("shard").iter().map(step).collect();
    // With the wildcard the name `outcomes` is in the artifact; each artifact is unpacked into a directory of its own.
    assert!(said.contains(&format!("actions/upload-artifact {OUTCOMES}* always()")), "{said:?}");
    let merge = steps("merge");
    let download = merge.iter().find(|one| step(one) == "actions/download-artifact shards").unwrap();
    assert!(download["with"].get("merge-multiple").is_none());
    let after = texts(&load(GITLAB)[".shard"]["after_script"]);
    assert!(after.contains(&format!("cp -r {OUTCOMES} \"shards/$CI_JOB_ID/\"")), "{after:?}");
}
