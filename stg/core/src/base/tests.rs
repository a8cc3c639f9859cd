// SPDX-License-Identifier: GPL-2.0-only

//! A base from a package, and one from a clone that must not notice.

use std::process::Command;
use std::time::SystemTime;

use super::*;
use crate::testing::{MAKEFILE, Temp, base_files, tempdir};

fn manifest() -> BaseManifest {
    serde_yaml::from_str(crate::testing::PROJECT[0].1).unwrap()
}

fn package() -> Package {
    Package { name: "linux-source-7.3".to_owned(), version: "7.3.4-1~bpo13+1".to_owned(), sha256: "ab".repeat(32) }
}

fn write_tree(top: &Utf8Path) {
    for (path, text) in base_files() {
        let path = top.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// An archive as the package has it: everything below one directory, `.gitignore` made useless, with files that it
/// would ignore, and a link.
fn archive(dir: &Temp, makefile: &str) -> Utf8PathBuf {
    let top = dir.path().join("linux-source-7.3");
    write_tree(&top);
    std::fs::write(top.join("Makefile"), makefile).unwrap();
    std::fs::write(top.join(".gitignore"), "*.o\n\n#\n# Debian packaging: ignore everything\n#\n/*\n").unwrap();
    std::fs::write(top.join("ignored.o"), "kept all the same\n").unwrap();
    std::os::unix::fs::symlink("Makefile", top.join("link")).unwrap();
    let path = dir.path().join("source.tar.xz");
    let made =
        Command::new("tar").args(["-C", dir.path().as_str(), "-cJf", path.as_str(), "linux-source-7.3"]).status();
    assert!(made.unwrap().success());
    path
}

#[test]
fn a_package_becomes_the_same_commit_everywhere() {
    let dir = tempdir();
    let archive = archive(&dir, MAKEFILE);
    let base = |name: &str| import(&dir.path().join(name), &manifest(), &package(), &archive).unwrap();
    let (one, two) = (base("one"), base("two"));
    assert_eq!(one.commit, two.commit);
    assert_eq!(one.release, "7.3.4");
    assert!(!dir.path().join("one/base-import").exists());
    let repo = Repo::open(&one.repo).unwrap();
    let tree = Repo::oid(&one.tree).unwrap();
    let read = |path: &str| repo.read(tree, path.into()).unwrap().map(|file| String::from_utf8(file.bytes).unwrap());
    assert_eq!(read(".gitignore").as_deref(), Some("*.o\n"));
    assert_eq!(read("ignored.o").as_deref(), Some("kept all the same\n"));
    assert_eq!(read("link").as_deref(), Some("Makefile"));
    assert_eq!(load(&dir.path().join("one"), &manifest()).unwrap(), one);
    insta::assert_snapshot!(one.show().replace(dir.path().as_str(), "DIR"), @r"
    release 7.3.4
    package linux-source-7.3 7.3.4-1~bpo13+1
    sha256  abababababababababababababababababababababababababababababababab
    files   10
    commit  dfbae0863999a67e1baf118b18bd38960b51d68b
    tree    96d5ab3e380fcc5f37eae6368bc28881ca015eb1
    in      DIR/one/base.git
    ");
}

#[test]
fn an_interrupted_import_goes_on() {
    let dir = tempdir();
    let archive = archive(&dir, MAKEFILE);
    let cache = dir.path().join("cache");
    let staging = cache.join("base-import");
    // Interrupted while unpacking: what is half there is thrown away.
    std::fs::create_dir_all(staging.join("tree")).unwrap();
    std::fs::write(staging.join("package"), format!("linux-source-7.3 7.3.4-1~bpo13+1 {}\n", "ab".repeat(32))).unwrap();
    std::fs::write(staging.join("tree/half"), "x").unwrap();
    let whole = import(&dir.path().join("other"), &manifest(), &package(), &archive).unwrap();
    assert_eq!(
        import(&cache, &manifest(), &package(), &archive).unwrap(),
        Base { repo: repo_path(&cache), ..whole.clone() }
    );

    // Interrupted after unpacking: the archive is not needed any more.
    std::fs::create_dir_all(staging.join("tree")).unwrap();
    write_tree(&staging.join("tree"));
    std::fs::write(staging.join("index.lock"), "").unwrap();
    std::fs::write(staging.join("package"), format!("linux-source-7.3 7.3.4-1~bpo13+1 {}\n", "ab".repeat(32))).unwrap();
    std::fs::write(staging.join("unpacked"), "").unwrap();
    let gone = dir.path().join("gone.tar.xz");
    assert!(import(&cache, &manifest(), &package(), &gone).is_ok());

    // Another package starts over.
    std::fs::create_dir_all(&staging).unwrap();
    std::fs::write(staging.join("package"), "linux-source-7.3 7.3.3-1 00\n").unwrap();
    std::fs::write(staging.join("unpacked"), "").unwrap();
    assert!(import(&cache, &manifest(), &package(), &gone).is_err());
}

#[test]
fn an_archive_of_another_release_is_refused() {
    let dir = tempdir();
    let archive = archive(&dir, &MAKEFILE.replace("SUBLEVEL = 4", "SUBLEVEL = 5"));
    let cache = dir.path().join("cache");
    insta::assert_snapshot!(import(&cache, &manifest(), &package(), &archive).unwrap_err(), @r"
    package linux-source-7.3 7.3.4-1~bpo13+1 holds Linux 7.3.5
      fix: report this to the distribution, or use a clone with `phasectl base use PATH`
    ");
    assert_eq!(load(&cache, &manifest()).unwrap_err().exit_code(), stg_env::exit::ENVIRONMENT);
    insta::assert_snapshot!(load(&cache, &manifest()).unwrap_err().to_string().replace(cache.as_str(), "CACHE"), @r"
    no base tree in CACHE
      fix: run `phasectl base fetch`, or `phasectl base use PATH` with a Linux clone
    ");
}

#[test]
fn a_damaged_archive_is_an_error() {
    let dir = tempdir();
    let path = dir.path().join("bad.tar.xz");
    std::fs::write(&path, "not an archive").unwrap();
    let error = import(&dir.path().join("cache"), &manifest(), &package(), &path).unwrap_err();
    assert!(matches!(error, Error::Command { .. }), "{error}");
}

#[test]
fn damage_is_found_when_loading() {
    let dir = tempdir();
    let archive = archive(&dir, MAKEFILE);
    let cache = dir.path().join("cache");
    let base = import(&cache, &manifest(), &package(), &archive).unwrap();
    let record = std::fs::read_to_string(cache.join("base.json")).unwrap();
    let load_with = |from: &str, to: &str| {
        std::fs::write(cache.join("base.json"), record.replace(from, to)).unwrap();
        load(&cache, &manifest())
            .unwrap_err()
            .to_string()
            .replace(cache.as_str(), "CACHE")
            .replace(&base.commit, "COMMIT")
    };
    let other = Repo::open(&base.repo).unwrap().empty_tree().unwrap().to_string();
    insta::assert_snapshot!(load_with(&base.tree, &other), @r"
    the base commit COMMIT does not have the tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904 of CACHE/base.json
      fix: run `phasectl base fetch`, or `phasectl base use PATH`, again
    ");
    insta::assert_snapshot!(load_with("\"release\": \"7.3.4\"", "\"release\": \"7.4\""), @r"
    the base tree is Linux 7.4, but phases/base.yaml wants 7.3
      fix: run `phasectl base fetch`, or `phasectl base use PATH` with a clone that has its tag
    ");
    insta::assert_snapshot!(load_with(&base.commit, &"1".repeat(40)), @r"
    the base commit 1111111111111111111111111111111111111111 is missing in CACHE/base.git
      fix: run `phasectl base fetch`, or `phasectl base use PATH`, again
    ");
    insta::assert_snapshot!(load_with("{", "["), @r"
    CACHE/base.json is damaged: expected `,` or `]` at line 2 column 11
      fix: run `phasectl base fetch`, or `phasectl base use PATH`, again
    ");
}

/// A clone with a history, tags, a branch, changes of the user's, and a second worktree.
fn a_clone(dir: &Temp) -> Utf8PathBuf {
    let path = dir.path().join("linux");
    write_tree(&path);
    let git = |args: &[&str]| git(&path, args);
    git(&["init", "-q", "-b", "master"]);
    std::fs::write(path.join("Makefile"), MAKEFILE.replace("SUBLEVEL = 4", "SUBLEVEL = 0")).unwrap();
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "Linux 7.3"]);
    git(&["tag", "-a", "-m", "Linux 7.3", "v7.3"]);
    std::fs::write(path.join("Makefile"), MAKEFILE).unwrap();
    git(&["commit", "-q", "-a", "-m", "Linux 7.3.4"]);
    git(&["tag", "v7.3.4"]);
    git(&["checkout", "-q", "-b", "topic"]);
    git(&["worktree", "add", "-q", dir.path().join("second").as_str(), "master"]);
    std::fs::write(path.join("Makefile"), "changed by the user\n").unwrap();
    std::fs::write(path.join("untracked"), "x\n").unwrap();
    git(&["gc", "-q"]);
    path
}

fn git(at: &Utf8Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    let me = [("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.org"), ("GIT_COMMITTER_NAME", "A")];
    command.envs(me).envs([("GIT_COMMITTER_EMAIL", "a@example.org"), ("GIT_CONFIG_GLOBAL", "/dev/null")]);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_OPTIONAL_LOCKS", "0").arg("-C").arg(at).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything below a directory with time and size, and what git says of it, one fact a line.
fn state(clone: &Utf8Path) -> Vec<String> {
    fn walk(dir: &Utf8Path, all: &mut Vec<(Utf8PathBuf, SystemTime, u64)>) {
        for entry in dir.read_dir_utf8().unwrap() {
            let entry = entry.unwrap();
            let meta = std::fs::symlink_metadata(entry.path()).unwrap();
            all.push((entry.path().to_owned(), meta.modified().unwrap(), meta.len()));
            if meta.is_dir() {
                walk(entry.path(), all);
            }
        }
    }
    let mut all = Vec::new();
    walk(clone, &mut all);
    all.sort();
    let said = [&["status", "--porcelain"][..], &["branch", "-avv"], &["config", "--list", "--local"], &["show-ref"]];
    let said = said.iter().map(|args| git(clone, args));
    all.iter().map(|(path, time, size)| format!("{path} {size} {time:?}")).chain(said).collect()
}

/// Facts of the first that are not in the second, and the other way round.
fn differences(before: &[String], after: &[String]) -> Vec<String> {
    let without = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|fact| !those.contains(fact)).cloned().collect()
    };
    [without(before, after), without(after, before)].concat()
}

#[test]
fn a_clone_is_read_and_never_written() {
    let dir = tempdir();
    let clone = a_clone(&dir);
    let cache = dir.path().join("cache");
    let before = state(&clone);
    let base = adopt(&cache, &manifest(), &clone).unwrap();
    assert_eq!(base.origin, Origin::Clone { path: clone.clone(), tag: "v7.3.4".to_owned() });
    assert_eq!(base.commit, git(&clone, &["rev-parse", "v7.3.4"]).trim());
    assert_eq!(load(&cache, &manifest()).unwrap(), base);
    // Work on it: assemble, edit, refresh.
    let world = crate::testing::World::new();
    let opened = crate::edit::open(&cache, &base, &world.disk(), "phase1/kho").unwrap();
    std::fs::write(opened.path.join("rust/helpers/kho.c"), "int changed;\n").unwrap();
    let which = crate::edit::Which::Patch("phase1/kho".to_owned());
    crate::edit::refresh(&cache, &base, &world.disk(), &which).unwrap();
    assert_eq!(world.get("kernel/phase1/rust/helpers/kho.c"), "int changed;\n");
    assert_eq!(differences(&before, &state(&clone)), [""; 0]);
    // From a worktree of the clone the same base is found.
    let second = adopt(&cache, &manifest(), &dir.path().join("second")).unwrap();
    assert_eq!(second.commit, base.commit);
    assert_eq!(differences(&before, &state(&clone)), [""; 0]);
}

#[test]
fn package_and_clone_can_be_exchanged() {
    let dir = tempdir();
    let other = tempdir();
    let (clone, archive) = (a_clone(&dir), archive(&other, MAKEFILE));
    let cache = dir.path().join("cache");
    let package = import(&cache, &manifest(), &package(), &archive).unwrap();
    let adopted = adopt(&cache, &manifest(), &clone).unwrap();
    assert_ne!(package.commit, adopted.commit);
    assert_eq!(load(&cache, &manifest()).unwrap(), adopted);
    assert_eq!(import(&cache, &manifest(), &self::package(), &archive).unwrap(), package);
    assert_eq!(load(&cache, &manifest()).unwrap(), package);
    // A clone that went away is not missed.
    adopt(&cache, &manifest(), &clone).unwrap();
    std::fs::rename(&clone, dir.path().join("moved")).unwrap();
    assert_eq!(load(&cache, &manifest()).unwrap(), adopted);
    let world = crate::testing::World::new();
    let stack = world.load().unwrap();
    crate::assemble(&adopted, &world.disk(), &stack, &crate::Target::All).unwrap();
}

#[test]
fn a_shallow_clone_is_enough() {
    let dir = tempdir();
    let clone = a_clone(&dir);
    let shallow = dir.path().join("shallow");
    git(dir.path(), &["clone", "-q", "--depth=1", "--branch=v7.3.4", &format!("file://{clone}"), shallow.as_str()]);
    let base = adopt(&dir.path().join("cache"), &manifest(), &shallow).unwrap();
    assert_eq!(base.commit, git(&clone, &["rev-parse", "v7.3.4"]).trim());
}

#[test]
fn clones_that_will_not_do() {
    let dir = tempdir();
    let clone = a_clone(&dir);
    let cache = dir.path().join("cache");
    let error =
        |path: &Utf8Path| adopt(&cache, &manifest(), path).unwrap_err().to_string().replace(dir.path().as_str(), "DIR");
    let bare = dir.path().join("tagless.git");
    git(dir.path(), &["clone", "-q", "--bare", "--no-tags", &format!("file://{clone}"), bare.as_str()]);
    insta::assert_snapshot!(error(&bare), @r"
    DIR/tagless.git has no tag v7.3 or v7.3.N
      fix: run `git fetch --tags` in it, from a remote that has v7.3
    ");
    git(&bare, &["tag", "v7.3.9", "master"]);
    insta::assert_snapshot!(error(&bare), @r"
    tag v7.3.9 of DIR/tagless.git is Linux 7.3.4
      fix: use a clone with the release's own tags
    ");
    let partial = dir.path().join("partial");
    git(&clone, &["config", "uploadpack.allowFilter", "true"]);
    git(
        dir.path(),
        &["clone", "-q", "--filter=blob:none", "--no-checkout", &format!("file://{clone}"), partial.as_str()],
    );
    insta::assert_snapshot!(error(&partial), @r"
    DIR/partial is a partial clone: objects are missing
      fix: use a full clone
    ");
    let nothing = dir.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    assert!(error(&nothing).starts_with("DIR/nothing is not a git repository that can be read"));
    insta::assert_snapshot!(error(&dir.path().join("nowhere")), @r"
    DIR/nowhere: No such file or directory (os error 2)
      fix: give the path of a Linux clone
    ");
    let missing = adopt(&cache, &manifest(), &dir.path().join("nowhere")).unwrap_err();
    assert_eq!(missing.exit_code(), stg_env::exit::USAGE);
    assert!(!cache.join("base.json").exists());
}

#[test]
fn one_process_at_a_time_chooses_the_base() {
    let dir = tempdir();
    let (clone, cache) = (a_clone(&dir), dir.path().join("cache"));
    let held = stg_env::Cache::at(&cache).unwrap().lock("base").unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(adopt(&cache, &manifest(), &clone).is_ok()).unwrap());
        assert!(receiver.recv_timeout(std::time::Duration::from_millis(200)).is_err(), "it did not wait");
        drop(held);
        assert!(receiver.recv().unwrap());
    });
}

#[test]
fn what_a_clone_has_checked_out_is_taken_over_without_touching_it() {
    let dir = tempdir();
    let clone = a_clone(&dir);
    let base = adopt(&dir.path().join("cache"), &manifest(), &clone).unwrap();
    git(&clone, &["commit", "-q", "-a", "-m", "mine"]);
    let head = git(&clone, &["rev-parse", "HEAD"]).trim().to_owned();
    // Its own `git status` brings the index up to date.
    state(&clone);
    let before = state(&clone);
    for _ in 0..2 {
        let taken = Repo::open(&base.repo).unwrap().take_head(&clone).unwrap();
        assert_eq!(taken.to_string(), head);
    }
    assert_eq!(state(&clone), before);
    let repo = Repo::open(&base.repo).unwrap();
    let tree = repo.tree_of(Repo::oid(&head).unwrap()).unwrap();
    let file = repo.read(tree, "Makefile".into()).unwrap().unwrap();
    assert_eq!(file.bytes, b"changed by the user\n");
    assert!(repo.take_head(&dir.path().join("nowhere")).is_err());
}
