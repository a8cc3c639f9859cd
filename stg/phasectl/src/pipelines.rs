// SPDX-License-Identifier: GPL-2.0-only

//! The ready pipelines for GitHub Actions and GitLab CI: they can be read, their shards are complete, and every command line in them is
//! one that phasectl takes.

use camino::Utf8Path;
use clap::Parser as _;
use serde_yaml::Value;

use crate::cli::Cli;

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
    let workflow = load(".github/workflows/phase.yml");
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
    let file = load(".gitlab-ci.yml");
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
    check phase1 --shard 1/4
    check phase1 --shard 2/4
    check phase1 --shard 3/4
    check phase1 --shard 4/4
    faults phase1 --shard 1/4
    faults phase1 --shard 2/4
    faults phase1 --shard 3/4
    faults phase1 --shard 4/4
    matrix --shard 1/4
    matrix --shard 2/4
    matrix --shard 3/4
    matrix --shard 4/4
    merge shards/1 shards/2
    prove phase1 --shard 1/4
    prove phase1 --shard 2/4
    prove phase1 --shard 3/4
    prove phase1 --shard 4/4
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
