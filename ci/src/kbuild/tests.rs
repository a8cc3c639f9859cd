// SPDX-License-Identifier: GPL-2.0-only

//! Builds of a tiny tree with a make that is a shell script: what is built, kept, refused, and blamed on whom.

use std::os::unix::fs::PermissionsExt as _;

use stg_core::git::{NewCommit, Update};
use stg_core::manifest::Identity;

use super::*;

/// Knows `tinyconfig`, `olddefconfig` (drops what Kconfig does not declare, or declares `depends on NEVER`) and `bzImage`
/// (compiles a.c: fails on lines with BROKEN, warns on lines with WARN, does not link with MISSING, else the image is its text)
/// with `modules` (one, of the same text). `vmlinux.a` is what lies in `objects/<text of a.c>` of the cache. Counts its kernels.
const MAKE: &str = r#"#!/bin/sh
for arg in "$@"; do
    case $arg in
    O=*) out=${arg#O=} ;;
    CC=*) echo "${arg#CC=}" >"$out/../../cc" ;;
    KCONFIG_CONFIG=*) config=${arg#KCONFIG_CONFIG=} ;;
    tinyconfig|olddefconfig|bzImage|prepare|vmlinux_a) goal=$arg ;;
    CLIPPY=1) clippy=yes ;;
    modules) modules=yes ;;
    esac
done
src=$2
cd "$out" || exit 9
case $goal in
tinyconfig) echo CONFIG_TINY=y >"$config" ;;
olddefconfig)
    mv "$config" old
    echo CONFIG_TINY=y >"$config"
    grep -v TINY old | while read -r line; do
        symbol=$(echo "$line" | sed 's/.*CONFIG_\([A-Z0-9_]*\).*/\1/')
        grep -A2 "^config $symbol\$" "$src/Kconfig" | grep -q NEVER && continue
        grep -q "^config $symbol\$" "$src/Kconfig" && echo "$line" >>"$config"
    done ;;
vmlinux_a)
    echo run >>"$out/../../runs"
    cp -r "$out/../../objects/$(cat "$src/a.c")/." . || exit 2
    ;;
prepare)
    if [ -z "$clippy" ]; then exit 8; fi
    echo "  CLIPPY L rust/kernel.o"
    if [ -e "$src/rust/lib.rs" ]; then
        grep -n LINT "$src/rust/lib.rs" | while IFS=: read -r number text; do
            printf 'warning: tidy this\n --> %s\n' "$src/rust/kernel/lib.rs:$number:1"
        done
    fi ;;
bzImage)
    if grep -q MISSING "$src/a.c"; then
        echo "ld.lld-19: error: undefined symbol: luo_gone"
        echo ">>> referenced by a.c"
        echo ">>>               vmlinux.o:(f)"
        exit 2
    fi
    echo run >>"$out/../../runs"
    echo "  CC      a.o"
    readlink /proc/self/fd/0 >"$out/../../stdin"
    if [ -e "$out/../../slow" ]; then sleep 0.4; fi
    if [ -e "$out/../../killed" ]; then kill -TERM $$; fi
    if [ -e "$out/../../full" ]; then echo "error: a.o: No space left on device"; exit 2; fi
    grep -n WARN "$src/a.c" | sed "s|^\([0-9]*\):.*|$src/a.c:\1:3: warning: odd [-Wodd]|"
    if grep -q BROKEN "$src/a.c"; then
        grep -n BROKEN "$src/a.c" | sed "s|^\([0-9]*\):.*|$src/a.c:\1:7: error: broken|" >&2
        echo "make[1]: *** [a.o] Error 1" >&2
        exit 2
    fi
    mkdir -p arch/x86/boot
    cat "$src/a.c" >arch/x86/boot/bzImage
    env | grep -c KCFLAGS >System.map
    if [ "$modules" ]; then
        mkdir -p drivers/b
        cp "$src/a.c" drivers/b/b-mod.ko
        echo drivers/b/b-mod.o >modules.order
    fi
    ;;
esac
exit 0
"#;

const KCONFIG: &str = "config A\n\tbool\nconfig B\n\tbool\nconfig HARD\n\tbool\n\tdepends on NEVER\n";

/// Tools whose make is a script.
pub(crate) fn tools(dir: &Utf8Path, script: &str) -> Tools {
    let make = dir.join("make");
    std::fs::write(&make, script).unwrap();
    std::fs::set_permissions(&make, std::fs::Permissions::from_mode(0o755)).unwrap();
    Tools { make, args: vec!["LLVM=-19".into()], env: Vec::new(), cache_args: Vec::new(), id: "tools 1".into() }
}

pub(crate) struct Lab {
    _guard: tempfile::TempDir,
    root: Utf8PathBuf,
    pub(crate) cache: Cache,
    tools: Tools,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(&guard.path().canonicalize().unwrap()).unwrap().to_owned();
        let cache = Cache::at(&root.join("cache")).unwrap();
        let tools = tools(&root, MAKE);
        Self { _guard: guard, root, cache, tools }
    }

    fn repo(&self) -> Utf8PathBuf {
        self.root.join("base.git")
    }

    /// A commit with these files on top of another.
    pub(crate) fn commit(&self, parent: Option<&str>, files: &[(&str, &str)], message: &str) -> String {
        let repo = Repo::open_or_create(&self.repo()).unwrap();
        let parent = parent.map(|id| Repo::oid(id).unwrap());
        let from = parent.map_or_else(|| repo.empty_tree(), |parent| repo.tree_of(parent)).unwrap();
        let put = |(path, text): &(&str, &str)| {
            (Utf8PathBuf::from(*path), Update::Put(repo.blob(text.as_bytes()).unwrap(), 0o100_644))
        };
        let tree = repo.update_tree(from, &files.iter().map(put).collect::<Vec<_>>()).unwrap();
        let who = Identity { name: "P".into(), email: "p@example.org".into() };
        repo.commit(&NewCommit { tree, parent, who: &who, date: 1, message }).unwrap().to_string()
    }

    pub(crate) fn base(&self) -> String {
        self.commit(None, &[("a.c", "one\n"), ("Kconfig", KCONFIG), (".gitignore", "*.o\n")], "base")
    }

    fn build(&self, commit: &str, fragments: &[Fragment]) -> Result<KernelImage, BuildError> {
        self.build_blaming(commit, fragments, None)
    }

    fn build_blaming(
        &self,
        commit: &str,
        fragments: &[Fragment],
        blame: Option<&dyn Blame>,
    ) -> Result<KernelImage, BuildError> {
        self.request(commit, fragments, |request| build(&BuildRequest { blame, ..*request }))
    }

    /// What is asked of a build of a commit.
    pub(crate) fn request<T>(
        &self,
        commit: &str,
        fragments: &[Fragment],
        ask: impl FnOnce(&BuildRequest<'_>) -> T,
    ) -> T {
        let (repo, tools, cache) = (&self.repo(), &self.tools, &self.cache);
        ask(&BuildRequest { repo, commit, label: "test", fragments, tools, cache, jobs: 2, blame: None })
    }

    /// How many kernels were compiled.
    pub(crate) fn runs(&self) -> usize {
        std::fs::read_to_string(self.cache.root().join("runs")).map_or(0, |text| text.lines().count())
    }

    fn worktree(&self) -> Utf8PathBuf {
        self.cache.worktrees().unwrap().join("kernel-build")
    }
}

fn wants(scope: Scope, text: &str) -> Vec<Fragment> {
    vec![Fragment::parse("ci/kernel.config", scope, text).unwrap()]
}

fn read(path: &Utf8Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_second_call_builds_nothing() {
    let lab = Lab::new();
    let base = lab.base();
    let wanted = wants(Scope::Always, "CONFIG_A=y\n");
    let first = lab.build(&base, &wanted).unwrap();
    assert!(first.built);
    assert_eq!((read(&first.bzimage), read(&first.config)), ("one\n".into(), "CONFIG_TINY=y\nCONFIG_A=y\n".into()));
    assert!(read(&first.log).contains("  CC      a.o\n"));

    // Without worktree and build directory there is nothing to build in; the store alone must do.
    std::fs::remove_dir_all(lab.worktree()).unwrap();
    std::fs::remove_dir_all(lab.cache.root().join("build")).unwrap();
    let second = lab.build(&base, &wanted).unwrap();
    assert!(!second.built);
    assert_eq!((second.key, second.meta, lab.runs()), (first.key, first.meta, 1));
    assert!(!lab.worktree().exists());
}

#[test]
fn built_again_it_is_made_whatever_the_store_has() {
    let lab = Lab::new();
    let base = lab.base();
    let known = lab.build(&base, &[]).unwrap();
    // What somebody put there is what a build finds.
    std::fs::write(&known.bzimage, "forged\n").unwrap();
    assert_eq!(read(&lab.build(&base, &[]).unwrap().bzimage), "forged\n");
    let elsewhere = lab.root.join("elsewhere");
    let again = lab.request(&base, &[], |request| build_again(request, &elsewhere)).unwrap();
    assert!(again.built && again.dir.starts_with(&elsewhere) && again.key == known.key);
    assert_eq!((read(&again.bzimage), read(&known.bzimage)), ("one\n".into(), "forged\n".into()));
    assert_eq!(lab.runs(), 2);
    // Once more, over what lies there.
    assert!(lab.request(&base, &[], |request| build_again(request, &elsewhere)).unwrap().built);
    assert_eq!(lab.runs(), 3);
}

#[test]
fn keys_cover_what_shapes_a_kernel_and_nothing_else() {
    let mut lab = Lab::new();
    let base = lab.base();
    let same_tree = lab.commit(Some(&base), &[], "another commit, the same tree");
    let changed = lab.commit(Some(&base), &[("a.c", "two\n")], "another tree");
    let key = |lab: &Lab, commit: &str, text: &str| {
        let (repo, fragments) = (lab.repo(), wants(Scope::Always, text));
        key(&BuildRequest {
            repo: &repo,
            commit,
            label: "",
            fragments: &fragments,
            tools: &lab.tools,
            cache: &lab.cache,
            jobs: 1,
            blame: None,
        })
        .unwrap()
    };
    let first = key(&lab, &base, "CONFIG_A=y\nCONFIG_B=y\n");
    assert_eq!(first.len(), 64);
    assert_eq!(first, key(&lab, &same_tree, "# why\nCONFIG_B=y\n\nCONFIG_A=y\n"));
    assert_ne!(first, key(&lab, &changed, "CONFIG_A=y\nCONFIG_B=y\n"));
    assert_ne!(first, key(&lab, &base, "CONFIG_A=y\n# CONFIG_B is not set\n"));
    lab.tools.id = "tools 2".into();
    assert_ne!(first, key(&lab, &base, "CONFIG_A=y\nCONFIG_B=y\n"));
}

#[test]
fn a_compiler_cache_is_used_and_is_part_of_no_key() {
    let mut lab = Lab::new();
    let base = lab.base();
    lab.tools.cache_args = vec!["CC=/usr/bin/ccache clang-19".into()];
    let cached = lab.build(&base, &[]).unwrap();
    assert_eq!(read(&lab.cache.root().join("cc")), "/usr/bin/ccache clang-19\n");
    lab.tools.cache_args.clear();
    let plain = lab.build(&base, &[]).unwrap();
    assert_eq!((plain.built, plain.key), (false, cached.key));
}

#[test]
fn every_lost_option_is_reported_with_its_place() {
    let lab = Lab::new();
    let error =
        lab.build(&lab.base(), &wants(Scope::Always, "CONFIG_A=y\n\nCONFIG_HARD=y\nCONFIG_NONE=8\n")).unwrap_err();
    insta::assert_snapshot!(error, @"
    ci/kernel.config:3: CONFIG_HARD=y did not survive olddefconfig (it is not set)
      fix: Kconfig:5 says: depends on NEVER
    ci/kernel.config:4: CONFIG_NONE=8 did not survive olddefconfig (it is not set)
      fix: no Kconfig file of this tree declares it: correct the name
    ");
    assert_eq!((error.exit_code(), lab.runs()), (101, 0));
}

#[test]
fn options_of_a_phase_wait_for_their_patch() {
    let lab = Lab::new();
    let base = lab.base();
    let wanted =
        [wants(Scope::Always, "CONFIG_A=y\n"), vec![Fragment::gates("phase1", &["LATER".into()], true)]].concat();
    assert_eq!(lab.build(&base, &wanted).unwrap().meta.left_out, ["LATER"]);

    // Once declared it has to survive like any other.
    let kconfig = format!("{KCONFIG}config LATER\n\tbool\n\tdepends on NEVER\n");
    let hard = lab.commit(Some(&base), &[("Kconfig", &kconfig)], "declare");
    let error = lab.build(&hard, &wanted).unwrap_err().to_string();
    assert!(error.starts_with("phases/phase1/phase.yaml: gates: CONFIG_LATER=y did not survive"), "{error}");
    let good = lab.commit(Some(&hard), &[("Kconfig", &kconfig.replace("depends on NEVER\n", "\n"))], "free");
    let image = lab.build(&good, &wanted).unwrap();
    assert!(read(&image.config).contains("CONFIG_LATER=y") && image.meta.left_out.is_empty());
}

#[test]
fn gates_share_a_build_directory_and_other_kernels_do_not() {
    let lab = Lab::new();
    let base = lab.base();
    let directories = || std::fs::read_dir(lab.cache.root().join("build")).unwrap().count();
    let gate = |on| [wants(Scope::Always, "CONFIG_A=y\n"), vec![Fragment::gates("p", &["B".into()], on)]].concat();
    let on = lab.build(&base, &gate(true)).unwrap();
    let off = lab.build(&base, &gate(false)).unwrap();
    assert!(on.built && off.built && on.key != off.key);
    assert!(read(&on.config).contains("CONFIG_B=y") && read(&off.config).contains("# CONFIG_B is not set"));
    assert_eq!(directories(), 1);
    lab.build(&base, &wants(Scope::Always, "CONFIG_A=y\nCONFIG_B=y\n")).unwrap();
    assert_eq!(directories(), 2);
}

#[test]
fn modules_are_kept_beside_the_image() {
    let lab = Lab::new();
    let base = lab.base();
    let plain = lab.build(&base, &wants(Scope::Always, "CONFIG_A=y\nCONFIG_B=y\n")).unwrap();
    assert_eq!((plain.modules, plain.meta.modules), (None, Vec::<String>::new()));
    let wanted = [wants(Scope::Always, "CONFIG_A=y\nCONFIG_B=y\n"), wants(Scope::Always, "CONFIG_B=m\n")].concat();
    let modular = lab.build(&base, &wanted).unwrap();
    let module = modular.modules.unwrap().join("b-mod.ko");
    assert_eq!((read(&module).as_str(), modular.meta.modules), ("one\n", vec!["b-mod".to_owned()]));
    // A kernel that has lost one is no kernel.
    std::fs::remove_file(&module).unwrap();
    assert!(lab.build(&base, &wanted).unwrap().built && module.is_file());
    assert!(!lab.build(&base, &wanted).unwrap().built);
}

#[test]
fn errors_go_to_the_patch_whose_line_it_is() {
    let lab = Lab::new();
    let base = lab.commit(None, &[("a.c", "BROKEN base\nx\nend\n"), ("Kconfig", KCONFIG)], "base");
    let one = lab.commit(Some(&base), &[("a.c", "BROKEN base\nBROKEN one\nend\n")], "one");
    let two = lab.commit(Some(&one), &[("a.c", "BROKEN base\nBROKEN one\nBROKEN two\n")], "two");
    let patches = [(one, "phase1/one".to_owned()), (two.clone(), "phase1/two".to_owned())];
    // The project's file has the line of the second patch at the same place, and that of the first elsewhere.
    let project = lab.root.join("project");
    std::fs::create_dir_all(project.join("kernel/phase1")).unwrap();
    std::fs::write(project.join("kernel/phase1/a.c"), "BROKEN base\nmoved\nBROKEN two\n").unwrap();
    let blame = GitBlame::new(&lab.repo(), &base, &two, &patches, Some(&project)).unwrap();

    let error = lab.build_blaming(&two, &[], Some(&blame)).unwrap_err();
    assert_eq!(error.exit_code(), 101);
    let log = match &error {
        BuildError::Compile { log, .. } => log.clone(),
        other => panic!("{other}"),
    };
    assert!(read(&log).contains("make[1]: *** [a.o] Error 1"));
    insta::assert_snapshot!(error.to_string().replace(log.as_str(), "LOG"), @"
    a.c:1:7: error: broken
      patch: none, the line is the base's own
    a.c:2:7: error: broken
      patch: phase1/one
    kernel/phase1/a.c:3:7: error: broken
      patch: phase1/two
      log: LOG
    ");
    assert_eq!(blame.blame("a.c".into(), 99), None);
    assert_eq!(blame.blame("gone.c".into(), 1), None);

    // A failure is not kept, and does not stand in the way of what works.
    let good = lab.commit(Some(&two), &[("a.c", "fine\n")], "fine");
    assert_eq!(read(&lab.build(&good, &[]).unwrap().bzimage), "fine\n");
    assert!(lab.build(&two, &[]).is_err());
}

#[test]
fn an_undefined_symbol_goes_to_the_patch_that_mentions_it() {
    let lab = Lab::new();
    let base = lab.commit(None, &[("a.c", "luo_gone\n"), ("Kconfig", KCONFIG)], "base");
    let files = [
        ("a.c", "luo_gone\nMISSING\nluo_gone_too();\nluo_gone();\n"),
        ("0.h", "luo_gone();\n"),
        ("0.txt", "luo_gone\n"),
    ];
    let one = lab.commit(Some(&base), &files, "one");
    let patches = [(one.clone(), "phase1/one".to_owned())];
    let blame = GitBlame::new(&lab.repo(), &base, &one, &patches, None).unwrap();
    let error = lab.build_blaming(&one, &[], Some(&blame)).unwrap_err().to_string();
    assert!(error.starts_with("a.c:4: error: undefined symbol: luo_gone\n  patch: phase1/one\n"), "{error}");
    assert_eq!(blame.mention("luo"), None);
}

#[test]
fn what_a_killed_run_left_is_not_used() {
    let lab = Lab::new();
    let base = lab.base();
    let image = lab.build(&base, &[]).unwrap();
    for file in ["meta.json", "bzImage"] {
        std::fs::remove_file(image.dir.join(file)).unwrap();
        let leftover = lab.cache.kernels().unwrap().join(".unfinished-0");
        std::fs::create_dir_all(&leftover).unwrap();
        let again = lab.build(&base, &[]).unwrap();
        assert!(again.built, "{file} was missing");
        assert!(image.bzimage.is_file() && !leftover.exists());
    }
    std::fs::write(image.dir.join("meta.json"), "{\"key\":").unwrap();
    assert!(lab.build(&base, &[]).unwrap().built);
    assert!(!lab.build(&base, &[]).unwrap().built);
}

#[test]
fn a_killed_make_is_no_failure_of_the_code() {
    let lab = Lab::new();
    let commit = lab.commit(None, &[("a.c", "BROKEN\n"), ("Kconfig", KCONFIG)], "base");
    std::fs::write(lab.cache.root().join("killed"), "").unwrap();
    let error = lab.build(&commit, &[]).unwrap_err();
    let BuildError::Interrupted { log, .. } = &error else { panic!("{error}") };
    assert_eq!(error.exit_code(), 1);
    insta::assert_snapshot!(error.to_string().replace(log.as_str(), "LOG"), @r#"
    the build was interrupted: make: Terminated
      log: LOG
      fix: make room if it lacked some (what was "Killed" may have lacked memory), and run it again: it goes on where it stopped
    "#);
    // The directory is still marked, so that the next build throws away what may be cut short.
    assert!(log.with_file_name(".phasectl-building").exists());
    std::fs::remove_file(lab.cache.root().join("killed")).unwrap();
    assert_eq!(lab.build(&commit, &[]).unwrap_err().exit_code(), 101);
    assert!(!log.with_file_name(".phasectl-building").exists());
}

#[test]
fn a_full_disk_is_no_failure_of_the_code() {
    let lab = Lab::new();
    let base = lab.base();
    std::fs::write(lab.cache.root().join("full"), "").unwrap();
    let error = lab.build(&base, &[]).unwrap_err();
    let BuildError::Interrupted { what, log } = &error else { panic!("{error}") };
    assert_eq!((what.as_str(), error.exit_code()), ("error: a.o: No space left on device", 1));
    assert!(log.with_file_name(".phasectl-building").exists(), "what was written last may be cut short");
    std::fs::remove_file(lab.cache.root().join("full")).unwrap();
    assert!(lab.build(&base, &[]).unwrap().built);
}

#[test]
fn that_it_does_not_build_is_known_until_it_does() {
    let lab = Lab::new();
    let commit = lab.base();
    let key = lab.request(&commit, &[], key).unwrap();
    let known = || unbuildable::known(&lab.cache, &key).unwrap();
    // As somebody found who could not know better.
    let remember = || unbuildable::remember(&lab.cache, &key, "broken").unwrap();
    remember();
    assert_eq!(known().as_deref(), Some("broken"));
    let entries = || std::fs::read_dir(lab.cache.root().join("outcomes/unbuildable")).unwrap().count();
    lab.build(&commit, &[]).unwrap();
    assert_eq!(entries(), 0, "whoever built it forgot that");
    // What comes later, out of another cache, is not believed either.
    remember();
    assert_eq!((known(), entries()), (None, 0));

    let broken = lab.commit(Some(&commit), &[("a.c", "BROKEN\n")], "broken");
    let reason = lab.build(&broken, &[]).unwrap_err().of_tree().unwrap();
    assert!(reason.contains("error: broken") && !reason.contains("log:"), "{reason}");
    std::fs::write(lab.cache.root().join("full"), "").unwrap();
    assert_eq!(lab.build(&broken, &[]).unwrap_err().of_tree(), None, "a full disk is not the tree's");
}

#[test]
fn a_worktree_in_disorder_is_put_right() {
    let lab = Lab::new();
    let base = lab.base();
    let next = lab.commit(Some(&base), &[("a.c", "two\n"), ("new.c", "new\n")], "next");
    lab.build(&base, &[]).unwrap();

    // As a killed checkout leaves it: a lock, a file of the other commit unknown to the index, another half-written.
    let git_dir = read(&lab.worktree().join(".git")).trim().replace("gitdir: ", "");
    std::fs::write(format!("{git_dir}/index.lock"), "").unwrap();
    std::fs::write(lab.worktree().join("a.c"), "tw").unwrap();
    std::fs::write(lab.worktree().join("stray.c"), "").unwrap();
    assert_eq!(read(&lab.build(&next, &[]).unwrap().bzimage), "two\n");
    assert!(!lab.worktree().join("stray.c").exists() && lab.worktree().join("new.c").exists());

    // And back, by way of a worktree that git knows nothing of any more.
    std::fs::remove_dir_all(&git_dir).unwrap();
    let third = lab.commit(Some(&base), &[("a.c", "three\n")], "third");
    assert_eq!(read(&lab.build(&third, &[]).unwrap().bzimage), "three\n");
    assert!(!lab.worktree().join("new.c").exists());
}

#[test]
fn make_holds_the_lock_as_well() {
    let lab = Lab::new();
    lab.build(&lab.base(), &[]).unwrap();
    // Whoever has the file open has the lock: an orphan goes on writing in the directory.
    let held = read(&lab.cache.root().join("stdin"));
    assert_eq!(held.trim(), lab.cache.root().join("locks/kernel-build.lock"));
}

#[test]
fn two_at_once_build_once() {
    let lab = Lab::new();
    let base = lab.base();
    std::fs::write(lab.cache.root().join("slow"), "").unwrap();
    let images: Vec<KernelImage> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| lab.build(&base, &[]).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(images.iter().filter(|image| image.built).count(), 1);
    assert_eq!(lab.runs(), 1);
}

#[test]
fn warnings_are_kept() {
    let lab = Lab::new();
    let commit = lab.commit(None, &[("a.c", "x\nWARN\n"), ("Kconfig", "")], "base");
    let image = lab.build(&commit, &[]).unwrap();
    assert_eq!(read(&image.warnings), "a.c:2:3: warning: odd [-Wodd]\n");
}

#[test]
fn a_missing_make_is_the_machines_fault() {
    let mut lab = Lab::new();
    lab.tools.make = lab.root.join("no-make");
    let error = lab.build(&lab.base(), &[]).unwrap_err();
    assert_eq!(error.exit_code(), 110);
    assert!(error.to_string().contains("phasectl doctor"), "{error}");
}

#[test]
fn a_kernel_knows_the_warnings_of_all_of_its_objects() {
    let lab = Lab::new();
    let base = lab.base();
    let warning = lab.commit(Some(&base), &[("a.c", "WARN\n")], "warns");
    let first = lab.build(&base, &[]).unwrap().objects();
    let second = lab.build(&warning, &[]).unwrap();
    assert!(first.whole && second.objects().whole);
    let fresh: Vec<String> = second.objects().fresh(&first).into_iter().map(|one| one.message).collect();
    assert_eq!(fresh, ["odd [-Wodd]"]);
    // One that was built before that was written down.
    std::fs::remove_file(second.dir.join("objects.json")).unwrap();
    let old = lab.build(&warning, &[]).unwrap();
    assert!(!old.built && !old.objects().whole && old.objects().fresh(&first).len() == 1);
}

#[test]
fn clippy_has_a_directory_of_its_own() {
    let lab = Lab::new();
    let base = lab.base();
    let commit = lab.commit(Some(&base), &[("rust/lib.rs", "x\nLINT\n"), ("rust/kernel/lib.rs", "x\nLINT\n")], "lint");
    let run = |commit: &str| {
        let (repo, tools, cache) = (&lab.repo(), &lab.tools, &lab.cache);
        let request = BuildRequest { repo, commit, label: "test", fragments: &[], tools, cache, jobs: 2, blame: None };
        clippy(&request, &["rust".into()]).unwrap()
    };
    let (before, after) = (run(&base), run(&commit));
    let fresh = after.fresh(&before);
    assert!(before.whole && after.whole && fresh.len() == 1, "{fresh:?}");
    assert_eq!((fresh[0].file.as_deref(), fresh[0].line), (Some("rust/kernel/lib.rs".into()), Some(2)));
    assert_eq!(lab.runs(), 0, "no kernel is built for it");
    assert!(
        lab.cache
            .root()
            .join("build")
            .read_dir_utf8()
            .unwrap()
            .all(|dir| dir.unwrap().file_name().starts_with("clippy-"))
    );
}
