// SPDX-License-Identifier: GPL-2.0-only

//! What was found out once, under a key of everything that it depends on.
//!
//! `check`, `prove`, `faults`, `matrix` and `bisect` consist of many small questions: does this patch build without new warnings, does
//! this kernel pass this case. Each has [`Inputs`], all that the answer depends on, by name; their hash is the key. An answer is kept as one file
//! in the cache ([`Outcomes::put`]), so that the same question is never worked on twice, a run that was interrupted goes on where it was, and
//! the answers of several machines [merge](Outcomes::merge) into what one of them would have found alone.
//!
//! An answer holds nothing that differs from run to run: no times, no paths. How long it took stands beside it. But a member `reason` is for
//! people, and may quote what a kernel or a compiler said: two answers that differ in nothing else [are the same](Outcomes::merge).

use std::collections::BTreeMap;
use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stg_env::{Cache, EnvError};

use crate::handover::{Seen, classify};
use crate::hash::hash_all;

/// Where they are in a cache.
pub const DIRECTORY: &str = "outcomes";

/// All that an answer depends on: the kind of question, and named values such as `tree`, `config`, `qemu`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    kind: String,
    #[serde(flatten)]
    values: BTreeMap<String, String>,
}

impl Inputs {
    /// The inputs of a kind of question. `kind` names the directory of the answers: lower-case letters and dashes.
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), values: BTreeMap::new() }
    }

    /// With one more. Long ones, the text of a file, are better given as their [`hash`](crate::hash::hash).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The kind of question.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The values by name.
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The key: a SHA-256 over names and values.
    pub fn key(&self) -> String {
        let pairs = self.values.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        hash_all([self.kind.as_bytes()].into_iter().chain(pairs))
    }

    /// The names under which two sets of inputs differ.
    pub fn differing<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let names = self.values.keys().chain(other.values.keys()).map(String::as_str);
        let mut differing: Vec<&str> = names.filter(|&name| self.values.get(name) != other.values.get(name)).collect();
        differing.sort_unstable();
        differing.dedup();
        differing
    }
}

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry<T> {
    inputs: Inputs,
    answer: T,
    /// How long it took, in seconds.
    seconds: f64,
}

/// The answers in a cache.
#[derive(Debug, Clone)]
pub struct Outcomes {
    dir: Utf8PathBuf,
}

/// What [`Outcomes::merge`] did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    /// Answers that were new here.
    pub taken: usize,
    /// Answers that were known, and the same but for the reasons that they give.
    pub known: usize,
    /// Answers that were known, and are others. The ones here were kept.
    pub conflicts: Vec<Conflict>,
    /// What is no answer, or one whose key is not that of its inputs.
    pub broken: Vec<Utf8PathBuf>,
}

/// Two answers to the same question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conflict {
    /// The question.
    pub inputs: Inputs,
    /// The one that is known here, which was kept.
    pub kept: Said,
    /// The one of the cache that was merged.
    pub other: Said,
}

/// An answer, and the file that it is in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// The file.
    pub file: Utf8PathBuf,
    /// All that it says.
    pub answer: Value,
}

impl Conflict {
    /// Where in the answers the first difference is, such as `/ran/0/class` (nothing, if they have nothing in common), and what each
    /// of them says there. Reasons only count where nothing else differs.
    pub fn differing(&self) -> (String, Value, Value) {
        let (kept, other) = (&self.kept.answer, &self.other.answer);
        match (essence(kept), essence(other)) {
            (one, two) if one == two => differing(kept, other),
            (one, two) => differing(&one, &two),
        }
    }
}

impl Outcomes {
    /// Those of a cache.
    pub fn of(cache: &Cache) -> Self {
        Self { dir: cache.root().join(DIRECTORY) }
    }

    /// The answer to a question, if it is known. A file that cannot be read as one is none.
    pub fn get<T: DeserializeOwned>(&self, inputs: &Inputs) -> Option<T> {
        let text = std::fs::read(self.path(inputs)).ok()?;
        let entry: Entry<T> = serde_json::from_slice(&text).ok()?;
        (entry.inputs == *inputs).then_some(entry.answer)
    }

    /// Keeps an answer. It is there completely or not at all, whatever becomes of this process.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn put<T: Serialize>(&self, inputs: &Inputs, answer: &T, seconds: f64) -> Result<(), EnvError> {
        let path = self.path(inputs);
        let io = |error| EnvError::io("write", &path)(error);
        let entry = Entry { inputs: inputs.clone(), answer, seconds };
        let mut text = serde_json::to_vec_pretty(&entry).map_err(|error| io(error.into()))?;
        text.push(b'\n');
        write(&path, &text).map_err(io)
    }

    /// Forgets an answer that turned out to be wrong. It is no error if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn forget(&self, inputs: &Inputs) -> Result<(), EnvError> {
        let path = self.path(inputs);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(EnvError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Takes over what another cache knows, given by its root directory. What is no answer is left out.
    ///
    /// # Errors
    ///
    /// If there are no answers, or one cannot be read or written.
    pub fn merge(&self, cache: &Utf8Path) -> Result<Merged, EnvError> {
        let mut merged = Merged::default();
        let other = cache.join(DIRECTORY);
        for kind in children(&other)? {
            if !kind.is_dir() {
                merged.broken.push(kind);
                continue;
            }
            for path in children(&kind)? {
                if path.is_file() {
                    self.take(&path, &mut merged)?;
                } else {
                    merged.broken.push(path);
                }
            }
        }
        Ok(merged)
    }

    fn take(&self, path: &Utf8Path, merged: &mut Merged) -> Result<(), EnvError> {
        let text = std::fs::read(path).map_err(EnvError::io("read", path))?;
        let entry = serde_json::from_slice::<Entry<Value>>(&text).ok();
        let Some(entry) = entry.filter(|entry| path.ends_with(Self::name(&entry.inputs))) else {
            merged.broken.push(path.to_owned());
            return Ok(());
        };
        match self.get::<Value>(&entry.inputs) {
            Some(answer) if agree(&entry.inputs.kind, &answer, &entry.answer) => merged.known += 1,
            Some(answer) => merged.conflicts.push(Conflict {
                kept: Said { file: self.path(&entry.inputs), answer },
                other: Said { file: path.to_owned(), answer: entry.answer },
                inputs: entry.inputs,
            }),
            None => {
                self.put(&entry.inputs, &entry.answer, entry.seconds)?;
                merged.taken += 1;
            }
        }
        Ok(())
    }

    fn path(&self, inputs: &Inputs) -> Utf8PathBuf {
        self.dir.join(Self::name(inputs))
    }

    /// `check/<key>.json`.
    fn name(inputs: &Inputs) -> String {
        format!("{}/{}.json", inputs.kind, inputs.key())
    }
}

fn write(path: &Utf8Path, text: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Utf8Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(text)?;
    file.persist(path)?;
    Ok(())
}

/// Whether two answers to a question say the same, whatever reasons they give.
fn agree(kind: &str, one: &Value, other: &Value) -> bool {
    // What a panic said tells whether it is the documented one.
    let fates = |answer: &Value| Some(classify(&Seen::deserialize(answer).ok()?).0);
    essence(one) == essence(other) && (kind != Seen::KIND || fates(one) == fates(other))
}

/// What an answer says, without the reasons that it gives.
fn essence(answer: &Value) -> Value {
    match answer {
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "reason");
            members.map(|(name, value)| (name.clone(), essence(value))).collect()
        }
        Value::Array(all) => all.iter().map(essence).collect(),
        _ => answer.clone(),
    }
}

/// The first place where two answers differ, and what is there.
fn differing(one: &Value, two: &Value) -> (String, Value, Value) {
    let deeper = match (one, two) {
        (Value::Object(one), Value::Object(two)) if one.keys().eq(two.keys()) => {
            one.iter().find_map(|(name, value)| (*value != two[name]).then(|| (name.clone(), value, &two[name])))
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            let mut pairs = one.iter().zip(two).enumerate();
            pairs.find_map(|(at, (one, two))| (one != two).then(|| (at.to_string(), one, two)))
        }
        _ => None,
    };
    match deeper {
        None => (String::new(), one.clone(), two.clone()),
        Some((name, one, two)) => {
            let (place, one, two) = differing(one, two);
            (format!("/{name}{place}"), one, two)
        }
    }
}

/// The visible entries of a directory, sorted. A name that is no text becomes one that no file has.
fn children(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>, EnvError> {
    let entries = std::fs::read_dir(dir).map_err(EnvError::io("read", dir))?;
    let path = |entry: std::fs::DirEntry| dir.join(&*entry.file_name().to_string_lossy());
    let paths = entries.map(|entry| entry.map(path)).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(EnvError::io("read", dir))?;
    // What is hidden is a file that somebody is still writing.
    paths.retain(|path| path.file_name().is_some_and(|name| !name.starts_with('.')));
    paths.sort_unstable();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let guard = tempfile::tempdir().unwrap();
        let cache = Cache::at(Utf8Path::from_path(guard.path()).unwrap()).unwrap();
        (guard, cache)
    }

    fn inputs(tree: &str) -> Inputs {
        Inputs::new("check").with("tree", tree).with("tool", "1")
    }

    #[test]
    fn an_answer_is_found_under_all_that_it_depends_on_and_nothing_less() {
        let (_guard, cache) = cache();
        let outcomes = Outcomes::of(&cache);
        outcomes.put(&inputs("a"), &vec!["x"], 1.5).unwrap();
        assert_eq!(outcomes.get::<Vec<String>>(&inputs("a")), Some(vec!["x".to_owned()]));
        assert_eq!(outcomes.get::<Vec<String>>(&inputs("b")), None);
        assert_eq!(outcomes.get::<Vec<String>>(&inputs("a").with("more", "")), None);
        for _ in 0..2 {
            outcomes.forget(&inputs("a")).unwrap();
            assert_eq!(outcomes.get::<Vec<String>>(&inputs("a")), None);
        }
        assert_eq!(inputs("a").differing(&inputs("b").with("more", "")), ["more", "tree"]);
    }

    #[test]
    fn what_is_forgotten_is_not_known() {
        let (_guard, cache) = cache();
        let outcomes = Outcomes::of(&cache);
        outcomes.put(&inputs("a"), &1, 0.0).unwrap();
        outcomes.put(&inputs("b"), &2, 0.0).unwrap();
        for _ in 0..2 {
            outcomes.forget(&inputs("a")).unwrap();
        }
        assert_eq!((outcomes.get::<i32>(&inputs("a")), outcomes.get::<i32>(&inputs("b"))), (None, Some(2)));
    }

    #[test]
    fn keys_do_not_run_together() {
        let key = |name: &str, value: &str| Inputs::new("k").with(name, value).key();
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(Inputs::new("k").key(), Inputs::new("l").key());
    }

    #[test]
    fn damage_is_no_answer() {
        let (_guard, cache) = cache();
        let outcomes = Outcomes::of(&cache);
        outcomes.put(&inputs("a"), &1, 0.0).unwrap();
        let path = outcomes.path(&inputs("a"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"tree\": \"a\"", "\"tree\": \"b\"")).unwrap();
        assert_eq!(outcomes.get::<i32>(&inputs("a")), None);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(outcomes.get::<i32>(&inputs("a")), None);
    }

    #[test]
    fn caches_merge_and_disagreement_is_told() {
        let ((_one, here), (_two, there)) = (cache(), cache());
        let (mine, theirs) = (Outcomes::of(&here), Outcomes::of(&there));
        mine.put(&inputs("same"), &1, 1.0).unwrap();
        theirs.put(&inputs("same"), &1, 2.0).unwrap();
        mine.put(&inputs("other"), &1, 1.0).unwrap();
        theirs.put(&inputs("other"), &2, 1.0).unwrap();
        theirs.put(&inputs("new"), &3, 1.0).unwrap();
        let wrong = there.root().join("outcomes/check/0.json");
        std::fs::write(&wrong, "{}").unwrap();
        let merged = mine.merge(there.root()).unwrap();
        let said =
            |outcomes: &Outcomes, answer: i32| Said { file: outcomes.path(&inputs("other")), answer: answer.into() };
        let conflict = Conflict { inputs: inputs("other"), kept: said(&mine, 1), other: said(&theirs, 2) };
        assert_eq!(conflict.differing(), (String::new(), 1.into(), 2.into()));
        assert_eq!(merged, Merged { taken: 1, known: 1, conflicts: vec![conflict], broken: vec![wrong] });
        assert_eq!(mine.get(&inputs("new")), Some(3));
        assert_eq!(mine.get(&inputs("other")), Some(1));
        assert!(mine.merge(Utf8Path::new("/nowhere")).is_err());
    }

    #[test]
    fn reasons_are_no_disagreement() {
        let ((_one, here), (_two, there)) = (cache(), cache());
        let (mine, theirs) = (Outcomes::of(&here), Outcomes::of(&there));
        let case = |passed: bool, class: &str, reason: &str| serde_json::json!({ "ran": [{ "passed": passed, "class": class, "reason": reason }] });
        mine.put(&inputs("a"), &case(false, "hang", "[12.5] the end"), 1.0).unwrap();
        theirs.put(&inputs("a"), &case(false, "hang", "[13.1] the end"), 1.0).unwrap();
        mine.put(&inputs("b"), &case(false, "hang", ""), 1.0).unwrap();
        theirs.put(&inputs("b"), &case(false, "restore-panic", ""), 1.0).unwrap();
        mine.put(&inputs("c"), &case(false, "hang", ""), 1.0).unwrap();
        theirs.put(&inputs("c"), &case(true, "hang", ""), 1.0).unwrap();
        let merged = mine.merge(there.root()).unwrap();
        assert_eq!((merged.taken, merged.known), (0, 1));
        let mut conflicts = [theirs.path(&inputs("b")), theirs.path(&inputs("c"))];
        conflicts.sort();
        let files: Vec<_> = merged.conflicts.iter().map(|one| one.other.file.clone()).collect();
        assert_eq!(files, conflicts);
        let mut places = merged.conflicts.iter().map(Conflict::differing).collect::<Vec<_>>();
        places.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(places[0], ("/ran/0/class".to_owned(), "hang".into(), "restore-panic".into()));
        assert_eq!(places[1], ("/ran/0/passed".to_owned(), false.into(), true.into()));
        assert_eq!(mine.get(&inputs("a")), Some(case(false, "hang", "[12.5] the end")), "the known one is kept");
        let panic = |reason: &str| {
            let reason = reason.to_owned();
            let seen = Seen { passed: false, arrived: true, restore_panic: true, reason, steps: BTreeMap::new() };
            serde_json::to_value(seen).unwrap()
        };
        let documented = "The incoming tree failed to initialize properly";
        let (one, two) = (panic(&format!("[1.0] {documented}")), panic(&format!("[2.0] {documented}")));
        assert!(agree(Seen::KIND, &one, &two) && !agree(Seen::KIND, &one, &panic("[1.0] Oops")));
    }

    #[test]
    fn what_lies_about_in_a_cache_is_left_out() {
        use std::os::unix::ffi::OsStrExt as _;

        let ((_one, here), (_two, there)) = (cache(), cache());
        let (mine, theirs) = (Outcomes::of(&here), Outcomes::of(&there));
        theirs.put(&inputs("a"), &1, 1.0).unwrap();
        let path = |name: &str| theirs.dir.join(name);
        std::fs::write(path("README"), "x").unwrap();
        std::fs::create_dir(path("check/old")).unwrap();
        std::fs::write(path("check/old/1.json"), "x").unwrap();
        std::fs::write(path("check/.half"), "x").unwrap();
        std::fs::write(theirs.dir.as_std_path().join(std::ffi::OsStr::from_bytes(b"check/\xff.json")), "x").unwrap();
        std::os::unix::fs::symlink("nowhere", path("check/link.json")).unwrap();
        let merged = mine.merge(there.root()).unwrap();
        let broken = ["README", "check/link.json", "check/old", "check/\u{fffd}.json"].map(path);
        assert_eq!(merged, Merged { taken: 1, broken: broken.into(), ..Merged::default() });
    }
}
